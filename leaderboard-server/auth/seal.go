package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
)

// ErrNotSealed says that a text is not one that [Tokens.Seal] made for this game
// and this purpose with a key that is still listed.
var ErrNotSealed = errors.New("the text is not sealed by this game's servers")

// strict takes one spelling of each content only.
var strict = base64.RawURLEncoding.Strict()

// Seal makes a text for URLs out of content that its holder may read and cannot
// change: the id of the key, the content and its HMAC-SHA-256. Every server of the
// game can open it, also after the keys were rotated.
func (t *Tokens) Seal(purpose string, content []byte) (string, error) {
	keys := t.keys.Load()
	if keys == nil {
		return "", errNoKeys()
	}

	key := keys.Signer(t.now())
	sum, err := t.sum(key, purpose, content)
	if err != nil {
		return "", err
	}

	return key.ID() + "." + strict.EncodeToString(content) + "." + strict.EncodeToString(sum), nil
}

// Open returns the content of a sealed text, or [ErrNotSealed].
func (t *Tokens) Open(purpose, sealed string) ([]byte, error) {
	keys := t.keys.Load()
	if keys == nil {
		return nil, errNoKeys()
	}

	id, rest, _ := strings.Cut(sealed, ".")
	encoded, encodedSum, _ := strings.Cut(rest, ".")
	key, known := keys.Lookup(id)
	if !known || strings.ContainsAny(rest, "\r\n") { // which decoders skip
		return nil, ErrNotSealed
	}

	content, err := strict.DecodeString(encoded)
	if err != nil {
		return nil, ErrNotSealed
	}

	sum, err := strict.DecodeString(encodedSum)
	if err != nil {
		return nil, ErrNotSealed
	}

	want, err := t.sum(key, purpose, content)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(sum, want) {
		return nil, ErrNotSealed
	}

	return content, nil
}

// sum is the content's HMAC under a key of its own for the purpose.
func (t *Tokens) sum(key keyset.Key, purpose string, content []byte) ([]byte, error) {
	derived, err := t.derive(key, purpose, sha256.Size)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, derived)
	mac.Write(content)
	return mac.Sum(nil), nil
}

// Sealer makes and opens the texts of one purpose.
type Sealer struct {
	tokens  *Tokens
	purpose string
}

// Sealer returns that of a purpose.
func (t *Tokens) Sealer(purpose string) Sealer { return Sealer{t, purpose} }

// Seal implements [leaderboard.Sealer].
func (s Sealer) Seal(content string) (string, error) {
	return s.tokens.Seal(s.purpose, []byte(content))
}

// Open implements [leaderboard.Sealer].
func (s Sealer) Open(sealed string) (string, error) {
	content, err := s.tokens.Open(s.purpose, sealed)
	return string(content), err
}

// Fresh says whether a text was sealed with the key that seals now.
func (s Sealer) Fresh(sealed string) bool {
	keys := s.tokens.keys.Load()
	id, _, _ := strings.Cut(sealed, ".")
	return keys != nil && keys.Signer(s.tokens.now()).ID() == id
}

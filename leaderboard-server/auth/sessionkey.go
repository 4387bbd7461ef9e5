package auth

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
)

// SessionKeySize is the size of a session's key, in bytes.
const SessionKeySize = sha256.Size

// SessionKey is the key that only the holder of a token and the servers of the game know: the
// holder is told at login, and every server derives it from the token and the signing key that
// the token names (RFC 5869), so nothing is stored. It is good for as long as the token, also
// after the keys were rotated. The token must have been verified, or be one that was just issued.
func (t *Tokens) SessionKey(token string) ([]byte, error) {
	keys := t.keys.Load()
	if keys == nil {
		return nil, errNoKeys()
	}
	key, ok := keys.Lookup(keyOf(token))
	if !ok {
		return nil, refused("is signed with a key that is unknown or withdrawn")
	}

	sum := sha256.Sum256([]byte(token))
	return t.derive(key, "session "+string(sum[:]), SessionKeySize)
}

// keyOf is the id of the key that signed a token.
func keyOf(token string) string {
	encoded, _, _ := strings.Cut(token, ".")
	content, err := strict.DecodeString(encoded)
	if err != nil {
		return ""
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	if json.Unmarshal(content, &header) != nil {
		return ""
	}
	return header.KeyID
}

// derive makes a key of its own for a purpose (RFC 5869): the signing key itself is never used
// for anything but signatures.
func (t *Tokens) derive(key keyset.Key, purpose string, size int) ([]byte, error) {
	derived, err := hkdf.Key(sha256.New, key.Private().Seed(), nil, Issuer+" "+purpose+" "+t.tenant, size)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return derived, nil
}

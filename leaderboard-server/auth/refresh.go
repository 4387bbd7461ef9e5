package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/google/uuid"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// selectorSize and secretSize are the parts of a refresh token, in bytes.
	selectorSize, secretSize = 16, 32
	// nonceSize is what a successor is made of, in bytes, together with the secret.
	nonceSize = 32
)

// RefreshToken continues a login without a password. The selector is that of the login, and in
// nothing else than its tokens: so a token with a selector that is known, and a secret that is
// not the present one, is one that was used before, and none needs to be kept for that. The
// secret has 256 random bits, of which servers have the SHA-256 alone.
//
// The secret of a successor is made of that of the token before and of a nonce, which the
// ledger keeps. So the same token leads to the same successor, for a client that the first
// answer has not reached, and nobody can make it of what the ledger has.
type RefreshToken struct {
	selector [selectorSize]byte
	secret   [secretSize]byte
}

// NewRefreshToken makes the first token of a login.
func NewRefreshToken() RefreshToken {
	var t RefreshToken
	rand.Read(t.selector[:]) // never fails
	rand.Read(t.secret[:])
	return t
}

// ParseRefreshToken reads what String wrote.
func ParseRefreshToken(text string) (token RefreshToken, ok bool) {
	if len(text) != base64.RawURLEncoding.EncodedLen(selectorSize+secretSize) {
		return RefreshToken{}, false
	}
	content, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(content) != selectorSize+secretSize { // line breaks are skipped
		return RefreshToken{}, false
	}

	copy(token.selector[:], content)
	copy(token.secret[:], content[selectorSize:])
	return token, true
}

// String is the token as clients have it.
func (t RefreshToken) String() string {
	return base64.RawURLEncoding.EncodeToString(append(t.selector[:], t.secret[:]...))
}

// Login is the token's login. It says nothing of the selector.
func (t RefreshToken) Login() leaderboard.LoginID {
	sum := sha256.Sum256(t.selector[:])
	id := uuid.UUID(sum[:selectorSize])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8, RFC 9562, section 5.8
	return leaderboard.LoginID(id.String())
}

// Hash is what the ledger keeps of the token.
func (t RefreshToken) Hash() leaderboard.SecretHash { return sha256.Sum256(t.secret[:]) }

// NewNonce makes what leads to a successor.
func NewNonce() []byte {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return nonce
}

// Next is the successor of the token that the nonce leads to.
func (t RefreshToken) Next(nonce []byte) RefreshToken {
	mac := hmac.New(sha256.New, t.secret[:])
	mac.Write(nonce)
	next := RefreshToken{selector: t.selector}
	copy(next.secret[:], mac.Sum(nil))
	return next
}

// NewLoginID names a login that is not kept.
func NewLoginID() leaderboard.LoginID { return leaderboard.LoginID(uuid.NewString()) }

// NewSecret makes a secret of 256 random bits that is sent once, and what is kept of it.
func NewSecret() (secret string, hash leaderboard.SecretHash) {
	var random [secretSize]byte
	rand.Read(random[:])
	secret = base64.RawURLEncoding.EncodeToString(random[:])
	return secret, SecretHash(secret)
}

// SecretHash is what is kept of a random secret: see [NewSecret].
func SecretHash(secret string) leaderboard.SecretHash { return sha256.Sum256([]byte(secret)) }

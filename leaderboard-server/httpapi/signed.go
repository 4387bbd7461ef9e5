package httpapi

import (
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi/signature"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// maxSignatureTolerance is by how much the clocks of a client and a server may differ, and how
// long a signed request may be on its way.
const maxSignatureTolerance = 5 * time.Minute

// signatureTolerance is the same where keys of idempotency are kept for ttl: they have to outlive
// every signature, with clocks that differ, so that whatever comes again is a repetition. A
// signature is good for twice the tolerance, from before its time to after it.
func signatureTolerance(ttl time.Duration) time.Duration {
	return min(maxSignatureTolerance, ttl/4)
}

// signingKey is what a player signs submissions with, for the answer to a login: base64; nil
// where no board of the game wants signatures.
func (a *API) signingKey(catalog *leaderboard.Catalog, token string) (*string, error) {
	if !catalog.RequiresSignatures() {
		return nil, nil
	}
	key, err := a.Tokens.SessionKey(token)
	if err != nil {
		return nil, err
	}
	encoded := base64.StdEncoding.EncodeToString(key)
	return &encoded, nil
}

// checkSignature verifies the signature that the request of a player brings, of a body with this
// content. False: it brings none, or is of a game that wants none, where nothing is looked at.
func (a *API) checkSignature(r *http.Request, catalog *leaderboard.Catalog, content []byte) (signed bool, err error) {
	if !signature.Present(r.Header) || !catalog.RequiresSignatures() { // few requests bring one
		return false, nil
	}

	s, err := signature.Read(r.Header)
	var unreadable *signature.HeaderError
	if errors.As(err, &unreadable) {
		return false, invalidFields([]FieldError{{Field: unreadable.Header, Message: unreadable.Message}})
	}
	if err != nil {
		return false, err
	}

	key, err := a.Tokens.SessionKey(bearer(r.Header.Get("Authorization")))
	if err != nil {
		return false, err
	}
	if !s.Digests(content) {
		return false, newProblem(kindSignatureInvalid, "Content-Digest is not the SHA-256 of the body: sign the bytes that you send")
	}
	if !s.Signs(r, key) {
		return false, newProblem(kindSignatureInvalid, "the signature is not of this request, or not made with the signing_key of this token's login: docs/trust.md of the project says what is signed")
	}
	return true, holdToTime(s, signatureTolerance(a.IdempotencyTTL), time.Now())
}

// holdToTime refuses a signature that is too old, or of a time that is to come.
func holdToTime(s *signature.Signature, tolerance time.Duration, now time.Time) error {
	if now.Sub(s.Created).Abs() <= tolerance && (s.Expires.IsZero() || now.Before(s.Expires)) {
		return nil
	}

	p := newProblem(kindSignatureExpired, "the signature was made, by its parameter created, more than "+tolerance.String()+
		" before or after "+now.UTC().Format(time.RFC3339)+", which is the time here, or its parameter expires has passed: set the clock by server_time, and sign the submission again, with the same Idempotency-Key")
	p.serverTime = now.UTC().Truncate(time.Second)
	return p
}

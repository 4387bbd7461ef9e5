package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// Issuer is who signs tokens ("iss").
	Issuer = "leaderboard-server"

	// ClockTolerance is by how much the clocks of two servers may differ.
	ClockTolerance = 5 * time.Second

	// maxToken bounds a token, in bytes; ours have some 400.
	maxToken = 2048

	// verifiedTokens bounds the tokens that are remembered as verified, some 200
	// bytes each.
	verifiedTokens = 16384
)

// Identity is what a token says about its owner, who is either a player or a service
// account.
type Identity struct {
	// Player is empty in the token of a service account.
	Player   leaderboard.PlayerID
	Username string
	// TokenVersion is the player's when the token was issued; the ledger refuses
	// submissions with another than the current one.
	TokenVersion int32
	// Login is that for which the token was issued; empty: a server issued it that knew of none.
	Login leaderboard.LoginID

	// Account is the name of a service account, Secret the ID of the secret with which it got
	// the token, and Scopes what the token may do; empty in the token of a player.
	// Workload is the subject of the ServiceAccount that got it instead of a secret.
	Account  string
	Secret   string
	Workload string
	Scopes   accounts.Scopes
}

// claims are those of both kinds of tokens. Those of a player have no client.
type claims struct {
	jwt.RegisteredClaims
	Username string `json:"username,omitempty"`
	Version  int32  `json:"ver,omitempty"`
	Login    string `json:"sid,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Scope    string `json:"scope,omitempty"`
	SecretID string `json:"secret_id,omitempty"`
	Workload string `json:"workload,omitempty"`
}

// Tokens issues and verifies the access tokens of one game: JWTs, signed with
// Ed25519. It is safe for concurrent use.
type Tokens struct {
	tenant   string
	ttl      time.Duration
	now      func() time.Time
	keys     atomic.Pointer[keyset.Set]
	accounts atomic.Pointer[accounts.Set]
	cluster  atomic.Pointer[cluster]
	parser   *jwt.Parser
	verified *lru.Cache[[sha256.Size]byte, verifiedToken]

	withdrawals *withdrawals
}

type verifiedToken struct {
	identity  Identity
	expiresAt time.Time
	keyID     string
}

// NewTokens makes tokens for the tenant that are good for ttl. Without keys
// (see [Tokens.SetKeys]) none can be issued or verified.
func NewTokens(tenant string, ttl time.Duration, now func() time.Time) (*Tokens, error) {
	cache, err := lru.New[[sha256.Size]byte, verifiedToken](verifiedTokens)
	if err != nil {
		return nil, fmt.Errorf("make the cache of tokens: %w", err)
	}

	withdrawals, err := newWithdrawals()
	if err != nil {
		return nil, err
	}

	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithIssuer(Issuer), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(ClockTolerance), jwt.WithTimeFunc(now), jwt.WithStrictDecoding())
	t := &Tokens{tenant: tenant, ttl: ttl, now: now, parser: parser, verified: cache, withdrawals: withdrawals}
	t.SetAccounts(nil)
	return t, nil
}

// SetKeys replaces the keys; a token whose key is no longer among them is
// refused from now on.
func (t *Tokens) SetKeys(keys keyset.Set) { t.keys.Store(&keys) }

// TTL is how long a token is good for.
func (t *Tokens) TTL() time.Duration { return t.ttl }

// Issue signs a token for the player's login. Each is another one, also of those at the same time.
func (t *Tokens) Issue(player leaderboard.Player, login leaderboard.LoginID) (string, error) {
	return t.sign(typePlayer, t.ttl, claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: string(player.ID), ID: rand.Text()},
		Username:         player.Username,
		Version:          player.TokenVersion,
		Login:            string(login),
	})
}

// sign adds to the claims what tokens of the type have in common.
func (t *Tokens) sign(typ string, ttl time.Duration, c claims) (string, error) {
	keys := t.keys.Load()
	if keys == nil {
		return "", errNoKeys()
	}

	now := t.now()
	c.Issuer, c.Audience = Issuer, jwt.ClaimStrings{t.audience(typ)}
	c.IssuedAt, c.NotBefore, c.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now), jwt.NewNumericDate(now.Add(ttl))
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)

	key := keys.Signer(now)
	token.Header["kid"], token.Header["typ"] = key.ID(), typ
	signed, err := token.SignedString(key.Private())
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}

	return signed, nil
}

// Verify returns the identity in a token, or CodeUnauthenticated.
func (t *Tokens) Verify(token string) (Identity, error) {
	keys := t.keys.Load()
	if keys == nil {
		return Identity{}, errNoKeys()
	}
	if len(token) > maxToken {
		return Identity{}, refused("is not one of this server")
	}

	sum := sha256.Sum256([]byte(token))
	if v, ok := t.verified.Get(sum); ok {
		if _, listed := keys.Lookup(v.keyID); listed && t.now().Before(v.expiresAt.Add(ClockTolerance)) {
			return t.current(v.identity)
		}
		t.verified.Remove(sum)
	}

	var c claims
	parsed, err := t.parser.ParseWithClaims(token, &c, func(token *jwt.Token) (any, error) {
		id, _ := token.Header["kid"].(string)
		key, ok := keys.Lookup(id)
		if !ok {
			return nil, errUnknownKey
		}
		return key.Public(), nil
	})
	if err != nil {
		return Identity{}, explain(err)
	}
	typ, _ := parsed.Header["typ"].(string)
	identity, err := t.identity(typ, c)
	if err != nil {
		return Identity{}, err
	}

	keyID, _ := parsed.Header["kid"].(string)
	t.verified.Add(sum, verifiedToken{identity: identity, expiresAt: c.ExpiresAt.Time, keyID: keyID})

	return t.current(identity)
}

var errUnknownKey = errors.New("the key is not known")

func errNoKeys() error {
	return leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the server has no signing keys yet: try again in a moment").After(time.Second)
}

func refused(why string) *leaderboard.Error {
	return leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "the access token %s: log in again at /v1/auth/token", why)
}

// explain says in the user's words why a token is refused.
func explain(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenMalformed):
		return refused("is damaged or not one of this server").WithCause(err)
	case errors.Is(err, errUnknownKey):
		return refused("is signed with a key that is unknown or withdrawn").WithCause(err)
	case errors.Is(err, jwt.ErrTokenExpired):
		return refused("has expired").WithCause(err)
	}
	return refused("is not valid").WithCause(err)
}

// Ready fails while there are no keys.
func (t *Tokens) Ready() error {
	if t.keys.Load() == nil {
		return errors.New("the key set has not been read")
	}
	return nil
}

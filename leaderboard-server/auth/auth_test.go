package auth_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

var player = leaderboard.Player{ID: "01890000-0000-7000-8000-000000000001", Username: "Ada", TokenVersion: 3}

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newTokens(t *testing.T, keys keyset.Set) (*auth.Tokens, *clock) {
	c := &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	tokens, err := auth.NewTokens("game", time.Hour, c.Now)
	require.NoError(t, err)
	tokens.SetKeys(keys)
	return tokens, c
}

func newKeys(t *testing.T) keyset.Set {
	keys, err := keyset.New(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	return keys
}

func TestTokenRoundTrip(t *testing.T) {
	tokens, clock := newTokens(t, newKeys(t))
	token, err := tokens.Issue(player, "")
	require.NoError(t, err)

	for range 2 { // the second time from the cache
		identity, err := tokens.Verify(token)
		require.NoError(t, err)
		require.Equal(t, auth.Identity{Player: player.ID, Username: "Ada", TokenVersion: 3}, identity)
	}

	clock.now = clock.now.Add(time.Hour + auth.ClockTolerance)
	_, err = tokens.Verify(token)
	require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err))
	require.ErrorContains(t, err, "expired")
}

func TestRotatedAndWithdrawnKeys(t *testing.T) {
	keys := newKeys(t)
	tokens, clock := newTokens(t, keys)
	old, err := tokens.Issue(player, "")
	require.NoError(t, err)

	rotated, err := keys.Rotate(clock.now, 0, time.Hour)
	require.NoError(t, err)
	tokens.SetKeys(rotated)
	fresh, err := tokens.Issue(player, "")
	require.NoError(t, err)

	for _, token := range []string{old, fresh} {
		_, err := tokens.Verify(token)
		require.NoError(t, err)
	}

	tokens.SetKeys(rotated.Prune(clock.now.Add(2*time.Hour), time.Hour))
	_, err = tokens.Verify(old)
	require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err), "its key is withdrawn, though it was verified before")
	_, err = tokens.Verify(fresh)
	require.NoError(t, err)
}

func TestRefusedTokens(t *testing.T) {
	keys := newKeys(t)
	tokens, clock := newTokens(t, keys)
	good, err := tokens.Issue(player, "")
	require.NoError(t, err)
	parts := strings.Split(good, ".")
	private := keys.Signer(clock.now).Private()
	sign := func(change func(header map[string]any, claims jwt.MapClaims)) string {
		c := jwt.MapClaims{"iss": auth.Issuer, "aud": "game", "sub": string(player.ID), "username": "Ada", "ver": 3,
			"iat": clock.now.Unix(), "nbf": clock.now.Unix(), "exp": clock.now.Add(time.Hour).Unix()}
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
		token.Header["kid"] = keys.Signer(clock.now).ID()
		change(token.Header, c)
		var key any = private

		switch token.Header["alg"] {
		case "none":
			token.Method, key = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
		case "HS256": // the public key as an HMAC secret
			token.Method, key = jwt.SigningMethodHS256, []byte(private.Public().(ed25519.PublicKey))
		}

		signed, err := token.SignedString(key)
		require.NoError(t, err)
		return signed
	}

	_, err = tokens.Verify(sign(func(map[string]any, jwt.MapClaims) {}))
	require.NoError(t, err, "what the cases below change is right before")

	claim := func(name string, value any) string {
		return sign(func(_ map[string]any, c jwt.MapClaims) {
			if value == nil {
				delete(c, name)
				return
			}
			c[name] = value
		})
	}

	header := func(name string, value any) string {
		return sign(func(h map[string]any, _ jwt.MapClaims) { h[name] = value })
	}

	tampered := func() string {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		require.NoError(t, err)
		var c map[string]any
		require.NoError(t, json.Unmarshal(payload, &c))
		c["username"] = "Eve"
		payload, err = json.Marshal(c)
		require.NoError(t, err)

		return parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + parts[2]
	}
	other, _ := newTokens(t, newKeys(t))
	foreign, err := other.Issue(player, "")
	require.NoError(t, err)

	for name, token := range map[string]string{
		"empty": "", "no token": "hello", "no signature": parts[0] + "." + parts[1] + ".", "tampered": tampered(),
		"another server's key": foreign, "too long": good + strings.Repeat("A", 2048), "padded": good + "==",
		"alg none": header("alg", "none"), "alg HS256": header("alg", "HS256"), "unknown kid": header("kid", "nobody"), "no kid": header("kid", nil),
		"another audience": claim("aud", "other"), "no audience": claim("aud", nil), "another issuer": claim("iss", "x"),
		"expired": claim("exp", clock.now.Add(-time.Minute).Unix()), "no expiry": claim("exp", nil),
		"not yet": claim("nbf", clock.now.Add(time.Minute).Unix()), "issued in future": claim("iat", clock.now.Add(time.Minute).Unix()),
		"no subject": claim("sub", nil), "subject no uuid": claim("sub", "1' OR '1'='1"), "upper-case subject": claim("sub", strings.ToUpper("01890000-0000-7000-8000-00000000000a")),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tokens.Verify(token)
			require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err))
		})
	}
}

func TestNoKeysYet(t *testing.T) {
	tokens, err := auth.NewTokens("game", time.Hour, time.Now)
	require.NoError(t, err)
	_, err = tokens.Issue(player, "")
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
	_, err = tokens.Verify("x")
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
}

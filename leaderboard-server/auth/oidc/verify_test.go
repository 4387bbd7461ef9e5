package oidc_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/oidc"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
	"github.com/leaderboard-dev/leaderboard-operator/test/oidcserver"
)

// clock is a time that tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }

func provider(t *testing.T) *oidcserver.Server {
	s, err := oidcserver.Start()
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func verifier(t *testing.T, s *oidcserver.Server) (*oidc.Verifier, *clock) {
	c := &clock{}
	v := oidc.New(oidc.Options{Issuers: config.Issuers{{Name: "store", Issuer: s.URL, Audience: oidcserver.Audience, UsernameClaim: "preferred_username"}},
		Insecure: true, Now: c.Now, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(v.Close)
	return v, c
}

func idToken(t *testing.T, s *oidcserver.Server, audience string) string {
	token, err := s.IDToken(t.Context(), audience)
	require.NoError(t, err)
	return token
}

func TestRealTokens(t *testing.T) {
	s := provider(t)
	v, clock := verifier(t, s)
	token := idToken(t, s, oidcserver.Audience)
	for range 3 {
		claims, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, oidc.Claims{Issuer: s.URL, Subject: oidcserver.User, Username: oidcserver.UserName}, claims)
	}
	require.Equal(t, int64(1), s.Fetches(oidcserver.KeysPath), "the keys are kept")

	_, err := v.Verify(t.Context(), idToken(t, s, "another-game"))
	require.ErrorContains(t, err, "another audience")
	clock.Advance(2 * time.Hour)
	_, err = v.Verify(t.Context(), token)
	require.ErrorContains(t, err, "has expired")

	// Whoever else is called the same, elsewhere: another issuer.
	other := provider(t)
	_, err = v.Verify(t.Context(), idToken(t, other, oidcserver.Audience))
	require.ErrorContains(t, err, "does not know")
}

// static is an issuer whose key the test has.
func static(t *testing.T) (*oidc.Verifier, *rsa.PrivateKey, *clock) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Algorithm: "RS256", Use: "sig"}}})
	require.NoError(t, err)
	c := &clock{}
	v, err := oidc.NewStatic(config.Issuer{Issuer: "https://id.example.com", Audience: "game", UsernameClaim: "name"}, set, c.Now)
	require.NoError(t, err)
	return v, key, c
}

func TestForgedTokens(t *testing.T) {
	v, key, clock := static(t)
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	now := clock.Now()
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)

	sign := func(method jwt.SigningMethod, key any, header, claims map[string]any) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims{"iss": "https://id.example.com", "aud": "game", "sub": "1", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()})
		token.Header["kid"] = "k"
		for name, value := range header {
			token.Header[name] = value
		}
		for name, value := range claims {
			token.Claims.(jwt.MapClaims)[name] = value
			if value == nil {
				delete(token.Claims.(jwt.MapClaims), name)
			}
		}
		signed, err := token.SignedString(key)
		require.NoError(t, err)
		return signed
	}
	claim := func(name string, value any) string {
		return sign(jwt.SigningMethodRS256, key, nil, map[string]any{name: value})
	}
	good := claim("name", "ada")
	claims, err := v.Verify(t.Context(), good)
	require.NoError(t, err, "what the cases below change is right before")
	require.Equal(t, oidc.Claims{Issuer: "https://id.example.com", Subject: "1", Username: "ada"}, claims)
	_, err = v.Verify(t.Context(), sign(jwt.SigningMethodRS256, key, nil, map[string]any{"aud": []string{"x", "game"}, "azp": "game"}))
	require.NoError(t, err)
	parts := strings.Split(good, ".")

	forged := map[string]string{
		"empty": "", "no token": "hello", "dots": "..", "no signature": parts[0] + "." + parts[1] + ".", "cut": good[:len(good)-5],
		"alg none": sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"HS256 with the public key as the secret": sign(jwt.SigningMethodHS256, public, nil, nil),
		"HS256 that says RS256":                   strings.Join([]string{parts[0], parts[1], strings.Split(sign(jwt.SigningMethodHS256, public, nil, nil), ".")[2]}, "."),
		"another algorithm than the key's":        sign(jwt.SigningMethodRS512, key, nil, nil),
		"PS256 with a key for RS256":              sign(jwt.SigningMethodPS256, key, nil, nil),
		"another key under the id":                sign(jwt.SigningMethodRS256, another, nil, nil),
		"another kid":                             sign(jwt.SigningMethodRS256, key, map[string]any{"kid": "x"}, nil),
		"kid that is a path":                      sign(jwt.SigningMethodRS256, key, map[string]any{"kid": "../../k"}, nil),
		"a key in the header":                     sign(jwt.SigningMethodRS256, another, map[string]any{"kid": "x", "jwk": map[string]any{"kty": "RSA"}, "jku": "https://evil.example.com"}, nil),
		"an access token":                         sign(jwt.SigningMethodRS256, key, map[string]any{"typ": "at+jwt"}, nil),
		"another issuer":                          claim("iss", "https://evil.example.com"),
		"the issuer with a slash":                 claim("iss", "https://id.example.com/"),
		"no issuer":                               claim("iss", nil),
		"another audience":                        claim("aud", "another-game"),
		"no audience":                             claim("aud", nil),
		"two audiences, issued to another":        sign(jwt.SigningMethodRS256, key, nil, map[string]any{"aud": []string{"x", "game"}, "azp": "x"}),
		"two audiences, issued to nobody":         claim("aud", []string{"x", "game"}),
		"expired":                                 claim("exp", now.Add(-time.Minute).Unix()),
		"no expiry":                               claim("exp", nil),
		"expiry that is a text":                   claim("exp", "never"),
		"not yet good":                            claim("nbf", now.Add(time.Minute).Unix()),
		"issued in the future":                    claim("iat", now.Add(time.Minute).Unix()),
		"no subject":                              claim("sub", nil),
		"empty subject":                           claim("sub", ""),
		"a long subject":                          claim("sub", strings.Repeat("x", 256)),
		"subject that is a number":                claim("sub", 1),
		"huge":                                    claim("x", strings.Repeat("x", 20_000)),
		"megabytes":                               strings.Repeat("A", 5<<20),
		"many dots":                               strings.Repeat(".", 10_000),
		"two tokens":                              good + "." + good,
		"tampered":                                strings.Join([]string{parts[0], strings.Split(claim("sub", "2"), ".")[1], parts[2]}, "."),
	}
	for name, token := range forged {
		_, err := v.Verify(t.Context(), token)
		require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err), "%s: %v", name, err)
		attack.Refused(t, "an ID token, "+name, err.Error())
	}
	t.Logf("%d forged tokens", len(forged))
}

// Keys that are weak, private, or for something else verify nothing.
func TestUnusableKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, key := range map[string]jose.JSONWebKey{
		"weak": {Key: &weak.PublicKey}, "private": {Key: good}, "symmetric": {Key: []byte(strings.Repeat("x", 32))}, "for encryption": {Key: &good.PublicKey, Use: "enc"},
	} {
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
		require.NoError(t, err)
		_, err = oidc.NewStatic(config.Issuer{Issuer: "https://id.example.com"}, set, time.Now)
		require.Error(t, err, name)
	}
}

// An issuer that is wrong or away costs its own players a moment, and nobody twice.
func TestFaultyIssuers(t *testing.T) {
	slow := func(t *testing.T) oidcserver.Fault {
		return func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-r.Context().Done():
			case <-t.Context().Done():
			}
			return true
		}
	}
	document := func(path, content string) func(*testing.T) oidcserver.Fault {
		return func(*testing.T) oidcserver.Fault {
			return func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != path {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, strings.ReplaceAll(content, "ISSUER", "http://"+r.Host))
				return true
			}
		}
	}
	faults := map[string]func(*testing.T) oidcserver.Fault{
		"slow": slow,
		"answers 500": func(*testing.T) oidcserver.Fault {
			return func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(http.StatusInternalServerError)
				return true
			}
		},
		"redirects": func(*testing.T) oidcserver.Fault {
			return func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
				return true
			}
		},
		"another issuer":      document(oidcserver.ConfigurationPath, `{"issuer": "https://evil.example.com", "jwks_uri": "ISSUER/keys"}`),
		"no JSON":             document(oidcserver.ConfigurationPath, `<html>`),
		"no jwks_uri":         document(oidcserver.ConfigurationPath, `{"issuer": "ISSUER"}`),
		"a file as jwks_uri":  document(oidcserver.ConfigurationPath, `{"issuer": "ISSUER", "jwks_uri": "file:///etc/passwd"}`),
		"a huge document":     document(oidcserver.ConfigurationPath, `{"issuer": "ISSUER", "x": "`+strings.Repeat("x", 10<<20)+`"}`),
		"keys of 10 MB":       document(oidcserver.KeysPath, `{"keys": [], "x": "`+strings.Repeat("x", 10<<20)+`"}`),
		"thousands of keys":   document(oidcserver.KeysPath, `{"keys": [`+strings.TrimSuffix(strings.Repeat(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},`, 3000), ",")+`]}`),
		"no keys":             document(oidcserver.KeysPath, `{"keys": []}`),
		"keys that are none":  document(oidcserver.KeysPath, `{"keys": [{"kty": "x"}]}`),
		"keys that are lists": document(oidcserver.KeysPath, `[1]`),
	}

	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := provider(t)
			v, clock := verifier(t, s)
			token := idToken(t, s, oidcserver.Audience)
			s.SetFault(fault(t))
			_, err := v.Verify(t.Context(), token)
			require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err), "%v", err)

			// Not asked again within the pause.
			fetches := s.Fetches(oidcserver.ConfigurationPath)
			for range 20 {
				_, err := v.Verify(t.Context(), token)
				require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
			}
			require.Equal(t, fetches, s.Fetches(oidcserver.ConfigurationPath))

			s.SetFault(nil)
			clock.Advance(2 * time.Second)
			_, err = v.Verify(t.Context(), token)
			require.NoError(t, err)

			// With keys it goes on, whatever the issuer does, for a day.
			s.SetFault(fault(t))
			clock.Advance(50 * time.Minute)
			_, err = v.Verify(t.Context(), token)
			require.NoError(t, err)
		})
	}
	t.Logf("%d faults", len(faults))
}

func TestRotatedKeys(t *testing.T) {
	s := provider(t)
	v, clock := verifier(t, s)
	first := idToken(t, s, oidcserver.Audience)
	_, err := v.Verify(t.Context(), first)
	require.NoError(t, err)

	require.NoError(t, s.Rotate())
	second := idToken(t, s, oidcserver.Audience)
	_, err = v.Verify(t.Context(), second)
	require.ErrorContains(t, err, "does not have", "it was fetched a moment ago")
	clock.Advance(31 * time.Second)
	_, err = v.Verify(t.Context(), second)
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), first)
	require.ErrorContains(t, err, "does not have", "the issuer has withdrawn it")
}

// Keys that are not known are looked for once in a while, however many tokens name them, and
// however many at once.
func TestUnknownKeysCostLittle(t *testing.T) {
	s := provider(t)
	v, clock := verifier(t, s)
	token := idToken(t, s, oidcserver.Audience)
	_, err := v.Verify(t.Context(), token)
	require.NoError(t, err)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	forge := func(kid string) string {
		forged := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"iss": s.URL, "aud": oidcserver.Audience, "sub": "1", "exp": clock.Now().Add(time.Hour).Unix()})
		forged.Header["kid"] = kid
		signed, err := forged.SignedString(key)
		require.NoError(t, err)
		return signed
	}

	const rounds, each = 5, 100
	for range rounds {
		clock.Advance(31 * time.Second)
		var group sync.WaitGroup
		for i := range each {
			forged := forge(fmt.Sprint(i))
			group.Go(func() {
				_, err := v.Verify(context.WithoutCancel(t.Context()), forged)
				if leaderboard.CodeOf(err) != leaderboard.CodeUnauthenticated {
					t.Errorf("a forged token: %v", err)
				}
			})
		}
		group.Wait()
	}
	require.LessOrEqual(t, s.Fetches(oidcserver.KeysPath), int64(1+rounds))
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
	t.Logf("%d forged key ids, %d fetches", rounds*each, s.Fetches(oidcserver.KeysPath))
}

// Keys that cannot be fetched again are good for a day.
func TestStaleKeys(t *testing.T) {
	s := provider(t)
	v, clock := verifier(t, s)
	_, err := v.Verify(t.Context(), idToken(t, s, oidcserver.Audience))
	require.NoError(t, err)
	token := idToken(t, s, oidcserver.Audience)
	s.SetFault(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	clock.Advance(25 * time.Hour)
	_, err = v.Verify(t.Context(), token)
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
}

// Only https is spoken, unless that is allowed.
func TestInsecureIssuers(t *testing.T) {
	s := provider(t)
	v := oidc.New(oidc.Options{Issuers: config.Issuers{{Name: "store", Issuer: s.URL, Audience: oidcserver.Audience, UsernameClaim: "name"}},
		Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	_, err := v.Verify(t.Context(), idToken(t, s, oidcserver.Audience))
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
	require.Zero(t, s.Fetches(oidcserver.ConfigurationPath))
}

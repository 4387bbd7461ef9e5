package httpapi_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
)

// Tokens that are not good are refused by every call that wants one.
func TestRefusedTokens(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, good := g.player("ada")
	now := time.Now()
	player := leaderboard.Player{ID: leaderboard.PlayerID(id), Username: "ada", TokenVersion: 1}
	issue := func(tenant string, keys keyset.Set, at time.Time) string {
		tokens, err := auth.NewTokens(tenant, time.Hour, func() time.Time { return at })
		require.NoError(t, err)
		tokens.SetKeys(keys)
		token, err := tokens.Issue(player, "")
		require.NoError(t, err)
		return token
	}

	require.Equal(t, 200, g.do(request{method: "POST", path: "/v1/scores/submit", token: issue(g.tenant, g.keys, now), body: submission("", 1)}).status,
		"what the cases below change is right before")
	otherKeys, err := keyset.New(now.Add(-time.Minute))
	require.NoError(t, err)
	none := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": auth.Issuer, "aud": g.tenant, "sub": id, "username": "ada", "ver": 1,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	none.Header["kid"] = g.keys.Signer(now).ID()
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	parts, foreign := strings.Split(good, "."), strings.Split(issue(g.tenant, otherKeys, now.Add(-time.Minute)), ".")
	before := g.written()

	for name, token := range map[string]string{
		"another tenant's":          issue("another", otherKeys, now),
		"another audience, our key": issue("another", g.keys, now),
		"unknown kid":               issue(g.tenant, otherKeys, now),
		"expired":                   issue(g.tenant, g.keys, now.Add(-2*time.Hour)),
		"from the future":           issue(g.tenant, g.keys, now.Add(10*time.Minute)),
		"alg none":                  unsigned,
		"tampered payload":          parts[0] + "." + foreign[1] + "." + parts[2],
		"tampered signature":        parts[0] + "." + parts[1] + "." + foreign[2],
		"no signature":              parts[0] + "." + parts[1] + ".",
		"not a token":               "hello",
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			for _, call := range []string{"submitScore", "myRank", "topPlayers"} {
				answer := g.do(calls(token)[call])
				answer.problem(401, "unauthenticated")
				require.Equal(t, `Bearer realm="leaderboard", error="invalid_token"`, answer.header.Get("WWW-Authenticate"))
				attack.Refused(t, call+" with a token, "+name, "unauthenticated")
			}
			require.Equal(t, 200, g.do(request{method: "GET", path: "/v1/leaderboard/global", token: token}).status, "this call is for everybody")
		})
	}

	g.t = t
	require.Equal(t, before, g.written())

	// Raising the player's version withdraws the tokens for submissions.
	g.sql("UPDATE players SET token_version = 2")
	g.do(calls(good)["submitScore"]).problem(401, "unauthenticated")
}

// After a rotation old tokens are good until their key is withdrawn.
func TestRotation(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, old := g.player("ada")
	rotated, err := g.keys.Rotate(time.Now().Add(-time.Second), 0, time.Hour)
	require.NoError(t, err)
	g.tokens.SetKeys(rotated)
	_, fresh := g.player("grace")
	require.NotEqual(t, strings.Split(old, ".")[0], strings.Split(fresh, ".")[0], "another kid")
	g.submit(old, "", 1)
	g.submit(fresh, "", 2)
	g.tokens.SetKeys(rotated.Prune(time.Now().Add(2*time.Hour), time.Hour))
	g.do(calls(old)["submitScore"]).problem(401, "unauthenticated")
	g.submit(fresh, "", 3)
}

// A stock OAuth 2.0 client logs in, whichever way it sends its credentials.
func TestOAuth2Client(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.player("ada")
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		client := oauth2.Config{ClientID: "a-game", ClientSecret: "x", Endpoint: oauth2.Endpoint{TokenURL: g.server.URL + "/v1/auth/token", AuthStyle: style},
			Scopes: []string{"play"}}
		token, err := client.PasswordCredentialsToken(t.Context(), "ada", password)
		require.NoError(t, err)
		require.Equal(t, "Bearer", token.Type())
		require.InDelta(t, time.Hour.Seconds(), time.Until(token.Expiry).Seconds(), 60)
		require.Equal(t, "ada", token.Extra("username"))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.server.URL+"/v1/leaderboard/my_rank", nil)
		require.NoError(t, err)
		answer, err := client.Client(context.WithoutCancel(t.Context()), token).Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, 404, answer.StatusCode, "logged in, and without a score yet")

		_, err = client.PasswordCredentialsToken(t.Context(), "ada", "wrong horse")
		var refused *oauth2.RetrieveError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "invalid_grant", refused.ErrorCode)
		require.Equal(t, 400, refused.Response.StatusCode)
	}
}

func TestOAuth2Errors(t *testing.T) {
	g := newGame(t, gameOptions{})
	form := func(pairs ...string) string {
		values := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			values.Add(pairs[i], pairs[i+1])
		}
		return values.Encode()
	}

	for _, c := range []struct {
		body   string
		status int
		code   httpapi.OAuthErrorError
	}{
		{form("grant_type", "password", "username", "ada"), 400, httpapi.InvalidRequest},
		{form("grant_type", "password", "password", "x"), 400, httpapi.InvalidRequest},
		{form("username", "ada", "password", "x"), 400, httpapi.InvalidRequest},
		{form("grant_type", "authorization_code", "code", "a"), 400, httpapi.UnsupportedGrantType},
		{form("grant_type", "password", "username", "a", "username", "b", "password", "b"), 400, httpapi.InvalidRequest},
		{"grant_type=password&username=%zz", 400, httpapi.InvalidRequest},
		{"grant_type=password&username=%ff%fe&password=x", 400, httpapi.InvalidRequest},
		{form("grant_type", "password", "username", "nobody", "password", "x"), 400, httpapi.InvalidGrant},
	} {
		var answer httpapi.OAuthError
		r := g.do(request{method: "POST", path: "/v1/auth/token", body: c.body, form: true})
		r.into(c.status, &answer)
		require.Equal(t, c.code, answer.Error, c.body)
		require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	}

	g.do(request{method: "POST", path: "/v1/auth/token", body: strings.Repeat("a", 65<<10), form: true}).problem(413, "body-too-large")

	good := form("grant_type", "password", "username", "ada", "password", "x")
	strict := g.withBroken(func(o *httpapi.Options) {
		o.Auth.LoginRatePerUsername = config.Rate{Events: 1, Per: time.Hour, Burst: 1}
	})

	g.do(strict(request{method: "POST", path: "/v1/auth/token", body: good, form: true}))
	r := g.do(strict(request{method: "POST", path: "/v1/auth/token", body: good, form: true}))
	var limited httpapi.OAuthError
	r.into(429, &limited)
	require.Equal(t, httpapi.TemporarilyUnavailable, limited.Error)
	require.NotEmpty(t, r.header.Get("Retry-After"))
	require.Equal(t, `"login-username";q=1;w=3600`, r.header.Get("RateLimit-Policy"))
	panics := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { return nil } })
	g.do(panics(request{method: "POST", path: "/v1/auth/token", body: good, form: true})).into(503, &limited)
	require.Equal(t, httpapi.TemporarilyUnavailable, limited.Error)
}

// Two instances share the counts; a username is the same however it is spelt.
func TestRateLimitsAcrossInstances(t *testing.T) {
	const burst = 4
	rate := config.Rate{Events: 1, Per: time.Hour, Burst: burst}
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) {
		o.Auth.LoginRatePerUsername, o.Auth.RegisterRatePerUsername = rate, rate
		// The tests are the proxy: X-Forwarded-For says who the client is.
		o.HTTP.TrustedProxies = config.Prefixes{}
		if err := o.HTTP.TrustedProxies.UnmarshalText([]byte("127.0.0.0/8,10.0.0.0/8")); err != nil {
			panic(err)
		}
		o.Auth.RegisterRatePerClient = rate
	}})

	second := g.serve(g.options)
	attempt := func(i int, path, username, client string) response {
		r := request{method: "POST", path: path, body: credentials(username, "wrong horse"), header: map[string]string{"X-Forwarded-For": client}}
		if i%2 == 1 {
			r.server = second
		}
		return g.do(r)
	}

	for i, name := range []string{"ada", "ADA", "Ada", "ａｄａ"} {
		attempt(i, "/v1/auth/token", name, "192.0.2.1").problem(401, "unauthenticated")
	}

	for i := range 2 {
		answer := attempt(i, "/v1/auth/token", "ada", "192.0.2.9") // from another client: this is the total
		answer.problem(429, "rate-limited")
		require.NotEmpty(t, answer.header.Get("Retry-After"))
		attempt(i, "/v1/auth/token", "grace", "192.0.2.1").problem(401, "unauthenticated")
	}

	// By client: an IPv6 subscriber has a whole /64, and what a client writes into
	// the header itself does not count.
	for i, client := range []string{"2001:db8:1:2::1", "2001:db8:1:2::ffff", "6.6.6.6, 2001:db8:1:2::3", "2001:db8:1:2::4, 10.0.0.7"} {
		require.Equal(t, 201, attempt(i, "/v1/auth/register", "name-"+string(rune('a'+i)), client).status)
	}

	attempt(0, "/v1/auth/register", "name-x", "2001:db8:1:2::5").problem(429, "rate-limited")
	attempt(1, "/v1/auth/register", "name-y", "7.7.7.7, 2001:db8:1:2::6").problem(429, "rate-limited")
	require.Equal(t, 201, attempt(0, "/v1/auth/register", "name-z", "2001:db8:1:3::1").status)
}

// A client that guesses a known username's password is stopped, and keeps neither
// the player out nor itself out of other accounts.
func TestOneClientLocksNobodyOut(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) {
		o.Auth.LoginRatePerUsernameAndClient = config.Rate{Events: 1, Per: time.Hour, Burst: 3}
		o.Auth.LoginRatePerUsername = config.Rate{Events: 1, Per: time.Hour, Burst: 7}
		if err := o.HTTP.TrustedProxies.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
			panic(err)
		}
	}})

	logIn := func(username, password, client string) response {
		return g.do(request{method: "POST", path: "/v1/auth/token", body: credentials(username, password), header: map[string]string{"X-Forwarded-For": client}})
	}
	g.player("ada")
	g.player("grace")

	for range 3 {
		logIn("ada", "wrong horse", "192.0.2.1").problem(401, "unauthenticated")
	}

	for i := range 20 { // with the right one as well: a guesser must not learn which it is
		answer := logIn("ADA", []string{"wrong horse", password}[i%2], "192.0.2.1")
		answer.problem(429, "rate-limited")
		require.Equal(t, `"login-username-client";q=3;w=10800`, answer.header.Get("RateLimit-Policy"))
	}

	for range 20 { // what succeeds does not count
		require.Equal(t, 200, logIn("ada", password, "192.0.2.2").status)
		require.Equal(t, 200, logIn("grace", password, "192.0.2.1").status)
	}

	// All clients together have a bound as well; attempts over it do not count
	// against their client.
	for i := range 4 {
		logIn("ada", "wrong horse", []string{"192.0.2.3", "192.0.2.4"}[i%2]).problem(401, "unauthenticated")
	}

	for range 5 {
		answer := logIn("ada", password, "192.0.2.5")
		answer.problem(429, "rate-limited")
		require.Equal(t, `"login-username";q=7;w=25200`, answer.header.Get("RateLimit-Policy"))
	}
}

// Only a wrong password counts: neither a store that fails nor a disabled account.
func TestOnlyWrongPasswordsCount(t *testing.T) {
	rate := config.Rate{Events: 1, Per: time.Hour, Burst: 1}
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) {
		o.Auth.LoginRatePerUsernameAndClient, o.Auth.LoginRatePerUsername = rate, rate
	}})
	g.player("ada")

	g.sql("UPDATE players SET state = 'disabled'")
	for range 3 {
		g.login("ada", password).problem(403, "forbidden")
	}

	g.sql("UPDATE players SET state = 'active'")
	g.sql("ALTER TABLE players RENAME TO away")
	for range 3 {
		require.GreaterOrEqual(t, g.login("ada", password).status, 500)
	}

	g.sql("ALTER TABLE away RENAME TO players")
	require.Equal(t, 200, g.login("ada", password).status)
	g.login("ada", "wrong horse").problem(401, "unauthenticated")
	g.login("ada", password).problem(429, "rate-limited")
}

// A demo or a test that plays from one address is not held up.
func TestTheDefaultRatesLetAPartyIn(t *testing.T) {
	g := newGame(t, gameOptions{})
	for i := range 60 {
		g.player("guest-" + string(rune('a'+i/26)) + string(rune('a'+i%26)))
	}
}

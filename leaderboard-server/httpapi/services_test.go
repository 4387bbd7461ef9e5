package httpapi_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
)

// account gives the game a service account, and returns its secret.
func (g *game) account(name string, scopes ...accounts.Scope) string {
	account, secret := accounts.Account{Name: name, Scopes: scopes}.Issue(time.Now())
	g.accounts = append(slices.Clone(g.accounts), account)
	g.tokens.SetAccounts(g.accounts)
	return secret
}

// clientLogin is a login of a service account.
func clientLogin(id, secret, scope string) request {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	if scope != "" {
		form.Set("scope", scope)
	}
	return request{method: "POST", path: "/v1/auth/token", form: true, body: form.Encode()}
}

// serviceToken logs a service account in.
func (g *game) serviceToken(id, secret, scope string) string {
	var token httpapi.Token
	g.do(clientLogin(id, secret, scope)).into(200, &token)
	return token.AccessToken
}

// submissionOf is the body of a score of a player.
func submissionOf(player, board string, score int64) string {
	body := map[string]any{"score": score, "user_id": player}
	if board != "" {
		body["game_id"] = board
	}
	return encode(body)
}

// What each kind of token may do at each call, and what it is told otherwise.
func TestWhoMayDoWhat(t *testing.T) {
	g := newGame(t, gameOptions{boards: windowsFile})
	id, player := g.player("ada")
	g.submit(player, "", 5)
	tokens := g.kindsOfTokens(id, player)

	others, own := calls("") /* of players that are named */, calls("")
	read := map[string]request{
		"topPlayers":        others["topPlayers"],
		"listEntries":       {method: "POST", path: "/v1/boards/global/entries/list", body: list(id)},
		"history":           {method: "GET", path: "/v1/boards/global/players/" + id + "/history"},
		"history, a cursor": {method: "GET", path: "/v1/boards/global/players/" + id + "/history?page_size=1"},
	}
	me := map[string]request{
		"myRank": own["myRank"], "attributes": own["attributes"], "setAttributes": own["setAttributes"],
		"entriesAround, me": own["entriesAround"], "playerEntries, me": own["playerEntries"],
	}
	public := map[string]request{
		"leaderboard": own["leaderboard"], "boards": own["boards"], "board": own["board"], "boardEntries": own["boardEntries"], "seasons": own["seasons"],
		"entriesAround": {method: "GET", path: "/v1/boards/global/entries/around?player=" + id},
		"playerEntries": {method: "GET", path: "/v1/players/" + id + "/entries"},
	}
	submit := map[string]request{"submitScore": {method: "POST", path: "/v1/scores/submit", body: submissionOf(id, "", 5)}}

	batches := map[string]request{"submitScores": {method: "POST", path: "/v1/scores/batch", body: batch(itemOf(id, "", 5))}, "setOwner": calls("")["setOwner"]}

	require.Equal(t, 1, g.createPlayers(tokens["service: all"], external("steam:76561197960287930", "", 1)).Accepted)
	g.setOwner(tokens["service: all"], "team:7", "{}")
	lookups := map[string]request{"externalPlayer": calls("")["externalPlayer"], "owner": calls("")["owner"]}

	counted := 0
	check := func(calls map[string]request, want map[string]string) {
		for name, r := range calls {
			for kind, token := range tokens {
				counted++
				r.token = token
				answer := g.do(r)
				slug, good := want[kind], false
				if slug == "" {
					slug, good = want["every other"], want["every other"] == ""
				}
				switch {
				case good || slug == "ok":
					if name == "endSeason" { // the one that was announced after the last was ended
						require.Eventually(t, func() bool { answer = g.do(r); return answer.status != 404 }, patience, 20*time.Millisecond)
					}
					require.Equal(t, 200, answer.status, "%s with %s: %s", name, kind, answer.body)
				case slug == "unauthenticated":
					answer.problem(401, slug)
					require.Contains(t, answer.header.Get("WWW-Authenticate"), "Bearer", "%s with %s", name, kind)
					attack.Refused(t, name+" with a token of a "+kind, slug)
				case slug == "wrong-password":
					answer.problem(403, slug, "password")
					attack.Refused(t, name+" with a token of a "+kind, slug)
				default:
					answer.problem(403, slug)
					attack.Refused(t, name+" with a token of a "+kind, slug)
				}
			}
		}
	}

	check(public, nil)
	check(submit, map[string]string{"player": "ok", "service: submit": "ok", "service: all": "ok",
		"service: read": "insufficient-scope", "service: moderate": "insufficient-scope", "service: a scope that was taken away": "insufficient-scope", "every other": "unauthenticated"})
	check(batches, map[string]string{"player": "insufficient-scope", "service: submit": "ok", "service: all": "ok",
		"service: read": "insufficient-scope", "service: moderate": "insufficient-scope", "service: a scope that was taken away": "insufficient-scope", "every other": "unauthenticated"})
	check(lookups, map[string]string{"player": "insufficient-scope", "service: read": "ok", "service: all": "ok",
		"service: submit": "insufficient-scope", "service: moderate": "insufficient-scope", "service: a scope that was taken away": "insufficient-scope", "every other": "unauthenticated"})
	check(read, map[string]string{"player": "ok", "service: read": "ok", "service: all": "ok",
		"service: submit": "insufficient-scope", "service: moderate": "insufficient-scope", "service: a scope that was taken away": "insufficient-scope", "every other": "unauthenticated"})
	check(me, map[string]string{"player": "ok", "service: read": "not-a-player", "service: all": "not-a-player", "service: submit": "not-a-player",
		"service: moderate": "not-a-player", "service: a scope that was taken away": "not-a-player", "every other": "unauthenticated"})
	g.openSeasons()
	moderation := moderationCalls(id, "unban", "unhide", "unvoid")
	refused := map[string]string{"player": "insufficient-scope", "service: submit": "insufficient-scope", "service: read": "insufficient-scope",
		"service: a scope that was taken away": "insufficient-scope", "service: moderate": "ok", "service: all": "ok", "every other": "unauthenticated"}
	check(moderation, refused)
	review, owned := reviewCalls(1), map[string]request{"ownHeldSubmissions": {method: "GET", path: "/v1/players/me/submissions/held"}}
	review["decideSubmission"] = deciding("", g.decided(player, tokens["service: moderate"]), "accept")
	check(review, map[string]string{"player": "insufficient-scope", "service: submit": "ok", "service: moderate": "ok", "service: all": "ok", "service: read": "insufficient-scope",
		"service: a scope that was taken away": "insufficient-scope", "every other": "unauthenticated"})
	check(owned, map[string]string{"player": "ok", "service: read": "not-a-player", "service: all": "not-a-player", "service: submit": "not-a-player",
		"service: moderate": "not-a-player", "service: a scope that was taken away": "not-a-player", "every other": "unauthenticated"})
	erased, _ := g.player("grace")
	erasure, ownErasures := map[string]request{"erasePlayer": erasureOf(erased, "")}, map[string]request{"eraseOwn": ownErasure("", "wrong horse")}
	check(erasure, map[string]string{"player": "insufficient-scope", "service: submit": "insufficient-scope", "service: read": "insufficient-scope",
		"service: moderate": "insufficient-scope", "service: a scope that was taken away": "insufficient-scope", "service: all": "ok", "every other": "unauthenticated"})
	check(ownErasures, map[string]string{"player": "wrong-password", "service: read": "not-a-player", "service: all": "not-a-player", "service: submit": "not-a-player",
		"service: moderate": "not-a-player", "service: a scope that was taken away": "not-a-player", "every other": "unauthenticated"})
	require.Equal(t, (len(erasure)+len(ownErasures)+len(moderation)+len(public)+len(submit)+len(batches)+len(lookups)+len(read)+len(me)+len(review)+len(owned))*len(tokens), counted)
	t.Logf("%d calls with %d kinds of tokens: %d combinations", len(erasure)+len(ownErasures)+len(moderation)+len(public)+len(submit)+len(batches)+len(lookups)+len(read)+len(me)+len(review)+len(owned), len(tokens), counted)
}

// kindsOfTokens are tokens of each kind, good and forged.
func (g *game) kindsOfTokens(id, player string) map[string]string {
	now := time.Now()
	secret := g.account("match-server", accounts.All...)
	tokens := map[string]string{"player": player, "service: all": g.serviceToken("match-server", secret, "")}
	for _, scope := range []string{"submit", "read", "moderate"} {
		tokens["service: "+scope] = g.serviceToken("match-server", secret, scope)
	}

	// Accounts as they were once.
	gone := g.account("gone-server", accounts.All...)
	tokens["service: of an account that was removed"] = g.serviceToken("gone-server", gone, "")
	reduced := g.account("less-server", accounts.Submit, accounts.Read, accounts.Admin)
	tokens["service: a scope that was taken away"] = g.serviceToken("less-server", reduced, "submit read")
	g.accounts[1].Name, g.accounts[2].Scopes = "here-server", accounts.Scopes{accounts.Admin}
	g.tokens.SetAccounts(g.accounts)

	// Tokens of others, and of another time.
	service := func(tenant string, keys keyset.Set, at time.Time) string {
		issuer, err := auth.NewTokens(tenant, time.Hour, func() time.Time { return at })
		require.NoError(g.t, err)
		issuer.SetKeys(keys)
		token, err := issuer.IssueService("match-server", g.accounts[0].Newest(), accounts.All)
		require.NoError(g.t, err)
		return token
	}
	otherKeys, err := keyset.New(now.Add(-time.Minute))
	require.NoError(g.t, err)
	tokens["service: of another game, its key"] = service("another", otherKeys, now)
	tokens["service: of another game, our key"] = service("another", g.keys, now)
	tokens["service: expired"] = service(g.tenant, g.keys, now.Add(-auth.ServiceTokenTTL-time.Minute))
	tokens["service: unknown kid"] = service(g.tenant, otherKeys, now)

	// Claims of one kind that pretend to be of the other, all signed with the right key.
	sign := func(typ any, claims jwt.MapClaims) string {
		all := jwt.MapClaims{"iss": auth.Issuer, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix()}
		for name, value := range claims {
			all[name] = value
		}
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, all)
		key := g.keys.Signer(now)
		token.Header["kid"], token.Header["typ"] = key.ID(), typ
		if typ == nil {
			delete(token.Header, "typ")
		}
		signed, err := token.SignedString(key.Private())
		require.NoError(g.t, err)
		return signed
	}
	ofPlayer := jwt.MapClaims{"aud": g.tenant, "sub": id, "username": "ada", "ver": 1}
	ofService := jwt.MapClaims{"aud": g.tenant + "/services", "sub": "match-server", "client_id": "match-server", "scope": "submit read", "secret_id": g.accounts[0].Newest().ID()}
	with := func(claims jwt.MapClaims, name string, value any) jwt.MapClaims {
		changed := jwt.MapClaims{name: value}
		for n, v := range claims {
			if n != name {
				changed[n] = v
			}
		}
		return changed
	}
	require.Equal(g.t, 200, g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: sign("JWT", ofPlayer)}).status, "what the cases below change is right before")
	require.Equal(g.t, 200, g.do(request{method: "POST", path: "/v1/scores/submit", token: sign("at+jwt", ofService), body: submissionOf(id, "", 5)}).status)

	for name, token := range map[string]string{
		"player's claims, typ of a service":      sign("at+jwt", ofPlayer),
		"player's claims, typ and audience":      sign("at+jwt", with(ofPlayer, "aud", g.tenant+"/services")),
		"player's claims and a scope":            sign("JWT", with(ofPlayer, "scope", "submit")),
		"player's claims and a client":           sign("JWT", with(ofPlayer, "client_id", "match-server")),
		"player's claims and a secret":           sign("JWT", with(ofPlayer, "secret_id", g.accounts[0].Newest().ID())),
		"service's claims, another secret":       sign("at+jwt", with(ofService, "secret_id", "0123456789abcdef")),
		"player's claims, both audiences":        sign("JWT", with(ofPlayer, "aud", []string{g.tenant, g.tenant + "/services"})),
		"service's claims, typ of a player":      sign("JWT", ofService),
		"service's claims, a player's audience":  sign("at+jwt", with(ofService, "aud", g.tenant)),
		"service's claims, typ and audience":     sign("JWT", with(ofService, "aud", g.tenant)),
		"service's claims, a player as subject":  sign("at+jwt", with(ofService, "sub", id)),
		"service's claims, another as subject":   sign("at+jwt", with(ofService, "sub", "here-server")),
		"service's claims, a scope that is none": sign("at+jwt", with(ofService, "scope", "submit everything")),
		"service's claims, a username":           sign("at+jwt", with(ofService, "username", "ada")),
		"service's claims, no typ":               sign(nil, ofService),
		"player's claims, no typ":                sign(nil, ofPlayer),
		"another typ":                            sign("jwt", ofPlayer),
	} {
		tokens["forged: "+name] = token
	}
	return tokens
}

// A stock client of OAuth 2.0 logs a service account in, whichever way it sends its
// credentials.
func TestOAuth2ClientCredentials(t *testing.T) {
	g := newGame(t, gameOptions{})
	secret := g.account("match-server", accounts.Submit, accounts.Read)
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		client := clientcredentials.Config{ClientID: "match-server", ClientSecret: secret, TokenURL: g.server.URL + "/v1/auth/token", AuthStyle: style}
		token, err := client.Token(t.Context())
		require.NoError(t, err)
		require.Equal(t, "Bearer", token.Type())
		require.InDelta(t, auth.ServiceTokenTTL.Seconds(), time.Until(token.Expiry).Seconds(), 60)
		require.Equal(t, "submit read", token.Extra("scope"))

		client.Scopes = []string{"read"}
		token, err = client.Token(t.Context())
		require.NoError(t, err)
		require.Equal(t, "read", token.Extra("scope"))

		client.ClientSecret = "wrong horse"
		_, err = client.Token(t.Context())
		var refused *oauth2.RetrieveError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "invalid_client", refused.ErrorCode)
		require.Equal(t, 401, refused.Response.StatusCode)
		require.Equal(t, `Basic realm="leaderboard", charset="UTF-8"`, refused.Response.Header.Get("WWW-Authenticate"))
	}
}

func TestClientCredentialsErrors(t *testing.T) {
	g := newGame(t, gameOptions{})
	secret := g.account("match-server", accounts.Submit, accounts.Read)
	basic := func(id, secret string) map[string]string {
		return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
	}
	grant := request{method: "POST", path: "/v1/auth/token", form: true, body: "grant_type=client_credentials"}
	with := func(r request, parameters string, header map[string]string) request {
		r.body, r.header = r.body+parameters, header
		return r
	}
	require.Equal(t, 200, g.do(with(grant, "&client_id=match-server&scope=", basic("match-server", secret))).status, "the id may be in both, and what is empty is not there")

	for name, c := range map[string]struct {
		request
		status int
		code   string
	}{
		"no credentials":           {grant, 401, "invalid_client"},
		"no secret":                {with(grant, "&client_id=match-server", nil), 401, "invalid_client"},
		"no id":                    {with(grant, "&client_secret="+secret, nil), 401, "invalid_client"},
		"an unknown account":       {clientLogin("another-server", secret, ""), 401, "invalid_client"},
		"a wrong secret":           {clientLogin("match-server", secret+"x", ""), 401, "invalid_client"},
		"a token for Basic":        {with(grant, "", map[string]string{"Authorization": "Bearer x"}), 401, "invalid_client"},
		"Basic that is no base64":  {with(grant, "", map[string]string{"Authorization": "Basic %"}), 401, "invalid_client"},
		"Basic, badly encoded":     {with(grant, "", basic("match-server", "%zz")), 401, "invalid_client"},
		"the secret in both":       {with(grant, "&client_secret="+secret, basic("match-server", secret)), 400, "invalid_request"},
		"another id in the form":   {with(grant, "&client_id=another-server", basic("match-server", secret)), 400, "invalid_request"},
		"the secret twice":         {with(clientLogin("match-server", secret, ""), "&client_secret=x", nil), 400, "invalid_request"},
		"a scope it does not have": {clientLogin("match-server", secret, "read admin"), 400, "invalid_scope"},
		"a scope that is none":     {clientLogin("match-server", secret, "write"), 400, "invalid_scope"},
		"a wrong secret and scope": {clientLogin("match-server", "x", "write"), 401, "invalid_client"},
	} {
		var answer httpapi.OAuthError
		r := g.do(c.request)
		r.into(c.status, &answer)
		require.Equal(t, c.code, string(answer.Error), "%s: %s", name, r.body)
		require.NotEmpty(t, answer.ErrorDescription)
		require.NotContains(t, string(r.body), secret)
		require.Equal(t, c.status == 401, r.header.Get("WWW-Authenticate") != "", name)
		require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	}
}

// Guessing a secret is bounded as guessing a password is, and keeps no other server out.
func TestWrongSecretsAreBounded(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) {
		o.Auth.LoginRatePerUsernameAndClient = config.Rate{Events: 1, Per: time.Hour, Burst: 3}
		if err := o.HTTP.TrustedProxies.UnmarshalText([]byte("127.0.0.0/8")); err != nil {
			panic(err)
		}
	}})
	secret := g.account("match-server", accounts.Submit)
	from := func(client, secret string) response {
		r := clientLogin("match-server", secret, "")
		r.header = map[string]string{"X-Forwarded-For": client}
		return g.do(r)
	}

	for range 3 {
		require.Equal(t, 401, from("192.0.2.1", "wrong horse").status)
	}
	for _, attempt := range []string{"wrong horse", secret} {
		answer := from("192.0.2.1", attempt)
		require.Equal(t, 429, answer.status)
		require.Equal(t, `"login-account-client";q=3;w=10800`, answer.header.Get("RateLimit-Policy"))
	}
	for range 10 { // what succeeds does not count
		require.Equal(t, 200, from("192.0.2.2", secret).status)
	}
}

// Two secrets are accepted while one takes the place of the other.
func TestSecretsOverlap(t *testing.T) {
	g := newGame(t, gameOptions{})
	old := g.account("match-server", accounts.Submit)
	account, fresh := g.accounts[0].Issue(time.Now())
	g.tokens.SetAccounts(accounts.Set{account})
	for _, secret := range []string{old, fresh} {
		require.Equal(t, 200, g.do(clientLogin("match-server", secret, "")).status)
	}

	g.tokens.SetAccounts(accounts.Set{account.Supersede(time.Now().Add(-time.Second))})
	require.Equal(t, 401, g.do(clientLogin("match-server", old, "")).status)
	require.Equal(t, 200, g.do(clientLogin("match-server", fresh, "")).status)
}

// A server submits for the player that it names.
func TestSubmittingForAPlayer(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, player := g.player("ada")
	other, _ := g.player("grace")
	token := g.serviceToken("match-server", g.account("match-server", accounts.Submit), "")
	submit := func(token, body string, header ...string) response {
		r := request{method: "POST", path: "/v1/scores/submit", token: token, body: body}
		if len(header) > 0 {
			r.header = map[string]string{"Idempotency-Key": header[0]}
		}
		return g.do(r)
	}

	var receipt httpapi.Receipt
	submit(token, submissionOf(strings.ToUpper(id), "race", 7)).into(200, &receipt)
	require.Equal(t, id, receipt.UserID)
	require.Equal(t, "ada", receipt.Username)
	require.Equal(t, int64(7), *receipt.Score)
	var entry httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=race", token: player}).into(200, &entry)
	require.Equal(t, int64(7), entry.Score)

	// A player may name itself, and no other.
	require.Equal(t, 200, submit(player, submissionOf(id, "race", 8)).status)
	submit(player, submissionOf(other, "race", 8)).problem(403, "forbidden", "user_id")

	submit(token, submission("race", 9)).problem(422, "invalid-request", "user_id")
	submit(token, `{"score": 9, "user_id": null}`).problem(422, "invalid-request", "user_id")
	submit(token, `{"score": 9, "user_id": "ada"}`).problem(422, "invalid-request", "user_id")
	submit(token, `{"score": 9, "user_id": 9}`).problem(422, "invalid-request", "user_id")
	submit(token, submissionOf(nobody, "race", 9)).problem(404, "no-player", "user_id")
	submit(token, submissionOf(id, "chess", 9)).problem(404, "no-board", "game_id")
	submit(token, submissionOf(id, "race", 1001)).problem(422, "score-out-of-range", "score")

	// The player's own token is withdrawn; the server's word is enough. A disabled account is
	// disabled for both.
	g.sql("UPDATE players SET token_version = 2 WHERE username = 'ada'")
	submit(player, submission("race", 10)).problem(401, "unauthenticated")
	require.Equal(t, 200, submit(token, submissionOf(id, "race", 10)).status)
	require.Equal(t, 200, submit(token, submissionOf(id, "coins", 10)).status, "to a board whose scoring is ordered")
	g.sql("UPDATE players SET state = 'disabled' WHERE username = 'ada'")
	submit(token, submissionOf(id, "race", 11)).problem(403, "forbidden", "user_id")
	submit(token, submissionOf(id, "coins", 11)).problem(403, "forbidden", "user_id")
}

// Keys of players and of each service account are apart.
func TestIdempotencyKeysOfServices(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, player := g.player("ada")
	other, _ := g.player("grace")
	first := g.serviceToken("first-server", g.account("first-server", accounts.Submit), "")
	second := g.serviceToken("second-server", g.account("second-server", accounts.Submit), "")
	submit := func(token, player string, score int64) response {
		return g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submissionOf(player, "coins", score), header: map[string]string{"Idempotency-Key": "match-1"}})
	}

	for i, c := range []struct{ token, player string }{{player, id}, {first, id}, {second, id}, {first, other}} {
		answer := submit(c.token, c.player, 10+int64(i))
		require.Equal(t, 200, answer.status)
		require.Empty(t, answer.header.Get("Idempotency-Replayed"), "%d: nobody else's key", i)
	}
	for i, c := range []struct{ token, player string }{{player, id}, {first, id}, {second, id}, {first, other}} {
		require.Equal(t, "true", submit(c.token, c.player, 10+int64(i)).header.Get("Idempotency-Replayed"))
	}
	submit(first, id, 99).problem(409, "idempotency-key-reused", "Idempotency-Key")
	var entry httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=coins", token: player}).into(200, &entry)
	require.Equal(t, int64(10+11+12), entry.Score, "each counted once")
}

// What a service account has under way for one player keeps nobody else waiting.
func TestServicesInFlightAreBounded(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.MaxInFlightPerPlayer = 1 }})
	id, player := g.player("ada")
	token := g.serviceToken("match-server", g.account("match-server", accounts.Submit), "")
	finish, _ := g.beginSubmission(g.server, player)
	g.do(calls(player)["submitScore"]).problem(429, "rate-limited")
	require.Equal(t, 200, g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submissionOf(id, "", 5)}).status)
	require.Equal(t, 200, finish())
}

// Reports and histories of service accounts have rates of their own.
func TestRatesOfServices(t *testing.T) {
	rate := config.Rate{Events: 1, Per: time.Hour, Burst: 1}
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.ReportRatePerPlayer, o.HTTP.HistoryRatePerPlayer = rate, rate }})
	id, player := g.player("ada")
	var tokens []string
	for _, name := range []string{"first-server", "second-server"} {
		tokens = append(tokens, g.serviceToken(name, g.account(name, accounts.Read), ""))
	}
	for _, token := range append(tokens, player) {
		for _, r := range []request{calls(token)["topPlayers"], {method: "GET", path: "/v1/boards/global/players/" + id + "/history", token: token}} {
			require.Equal(t, 200, g.do(r).status)
			g.do(r).problem(429, "rate-limited")
		}
	}
}

// A good token of either kind reads pages live.
func TestServicesReadLive(t *testing.T) {
	g := newGame(t, gameOptions{})
	token := g.serviceToken("match-server", g.account("match-server", accounts.Submit), "")
	for token, control := range map[string]string{"": "public, max-age=1", token: "no-store"} {
		require.Equal(t, control, g.do(request{method: "GET", path: "/v1/leaderboard/global", token: token}).header.Get("Cache-Control"), fmt.Sprintf("%q", token))
	}
}

// serversFile has boards to which only servers submit.
const serversFile = `{"boards": [{"name": "ranked", "submitters": "Servers"}, {"name": "casual"}], "global": {"submitters": "Servers"}}`

// Where only servers submit a player's score is refused, and nothing is stored.
func TestBoardsForServersOnly(t *testing.T) {
	g := newGame(t, gameOptions{boards: serversFile})
	id, player := g.player("ada")
	secret := g.account("match-server", accounts.Submit, accounts.Read)
	server := g.serviceToken("match-server", secret, "submit")
	submit := func(token, body string) response {
		return g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: body})
	}

	var boards httpapi.BoardList
	g.do(request{method: "GET", path: "/v1/boards"}).into(200, &boards)
	for i, submitters := range []string{"Servers", "Servers", "Players"} {
		require.Equal(t, submitters, boards.Boards[i].Submitters, boards.Boards[i].GameID)
	}

	before := g.written()
	for _, body := range []string{submission("ranked", 5), submission("", 5), submissionOf(id, "ranked", 5)} {
		problem := submit(player, body).problem(403, "servers-only", "game_id")
		require.Contains(t, problem.Detail, "the token of a service account that has the scope submit")
	}
	submit(g.serviceToken("match-server", secret, "read"), submissionOf(id, "ranked", 5)).problem(403, "insufficient-scope")
	require.Equal(t, before, g.written())

	require.Equal(t, 200, submit(server, submissionOf(id, "ranked", 5)).status)
	require.Equal(t, 200, submit(server, submissionOf(id, "", 6)).status)
	require.Equal(t, 200, submit(server, submissionOf(id, "casual", 4)).status, "servers submit to any board")

	// What a player submits elsewhere counts toward global as that board says.
	g.submit(player, "casual", 7)
	var entry httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: player}).into(200, &entry)
	require.Equal(t, int64(7), entry.Score)
	require.Equal(t, "casual", entry.GameID)
}

// Who may submit can be changed while a game is played. What a player stored before can be
// asked for again.
func TestABoardIsClosedToPlayers(t *testing.T) {
	g := newGame(t, gameOptions{boards: `{"boards": [{"name": "ranked"}]}`})
	_, player := g.player("ada")
	submit := func(key string) response {
		return g.do(request{method: "POST", path: "/v1/scores/submit", token: player, body: submission("ranked", 5), header: map[string]string{"Idempotency-Key": key}})
	}
	reload := func(file string) {
		boards, err := leaderboard.ParseBoards([]byte(file))
		require.NoError(t, err)
		require.NoError(t, g.service.Reload(t.Context(), boards))
	}
	require.Equal(t, 200, submit("first").status)

	reload(`{"boards": [{"name": "ranked", "submitters": "Servers"}]}`)
	submit("second").problem(403, "servers-only", "game_id")
	answer := submit("first")
	require.Equal(t, 200, answer.status)
	require.Equal(t, "true", answer.header.Get("Idempotency-Replayed"))

	reload(`{"boards": [{"name": "ranked", "submitters": "Players"}]}`)
	require.Equal(t, 200, submit("second").status)
}

package httpapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// keptLogin logs ada in and asks for a refresh token.
func (g *game) keptLogin(password string) httpapi.Token {
	var token httpapi.Token
	g.do(request{method: "POST", path: "/v1/auth/token", body: encode(map[string]string{"username": "ada", "password": password, "scope": "offline_access"})}).into(200, &token)
	require.NotNil(g.t, token.RefreshToken)
	return token
}

// refreshing is a refresh as JSON, and refreshForm one as RFC 6749 has it.
func refreshing(token string) request {
	return request{method: "POST", path: "/v1/auth/token", body: encode(map[string]string{"refresh_token": token})}
}

func refreshForm(token string) request {
	return request{method: "POST", path: "/v1/auth/token", form: true, body: url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode()}
}

// refreshed refreshes, and returns the new tokens.
func (g *game) refreshed(token string) httpapi.Token {
	g.t.Helper()
	var next httpapi.Token
	g.do(refreshing(token)).into(200, &next)
	return next
}

// age makes everything that was used be used longer ago than a minute.
func (g *game) age() { g.sql("UPDATE logins SET used_at = used_at - interval '61 seconds'") }

// loggedIn says whether the access token is taken.
func (g *game) loggedIn(token string) bool {
	return g.do(request{method: "GET", path: "/v1/players/me/attributes", token: token}).status == 200
}

func loginOf(t *testing.T, access string) string {
	claims := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(access, claims)
	require.NoError(t, err)
	return claims["sid"].(string)
}

func TestRefresh(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, plain := g.player("ada")
	require.Equal(t, 0, g.count("logins"), "nobody asked for one")
	first := g.keptLogin(password)
	require.Equal(t, "offline_access", *first.Scope)
	require.Equal(t, int64(30*24*3600), *first.RefreshExpiresIn)
	require.NotContains(t, g.dump("logins"), *first.RefreshToken)

	second := g.refreshed(*first.RefreshToken)
	require.NotEqual(t, *first.RefreshToken, *second.RefreshToken)
	require.Equal(t, "ada", second.Username)
	require.Equal(t, loginOf(t, first.AccessToken), loginOf(t, second.AccessToken), "one family")
	require.NotEqual(t, loginOf(t, first.AccessToken), loginOf(t, plain))
	var third httpapi.Token
	g.do(refreshForm(*second.RefreshToken)).into(200, &third)
	require.Equal(t, id, g.submit(third.AccessToken, "", 1).UserID)
	require.Equal(t, 1, g.count("logins"))

	// An account that is disabled, and one whose tokens have expired.
	g.sql("UPDATE players SET state = 'disabled'")
	g.do(refreshing(*third.RefreshToken)).problem(403, "forbidden")
	g.sql("UPDATE players SET state = 'active'")
	g.sql("UPDATE logins SET expires_at = now()")
	g.do(refreshing(*third.RefreshToken)).problem(401, "unauthenticated")
}

// Whoever comes second with a token of which there is a copy ends the login.
func TestReusedRefreshTokens(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.player("ada")
	bystander := g.keptLogin(password)
	counted := 0

	for name, c := range map[string]func(stolen string) (thief, owner string){
		"the thief first, the owner later": func(stolen string) (string, string) {
			thief := g.refreshed(stolen)
			g.age()
			g.do(refreshing(stolen)).problem(401, "unauthenticated")
			return *thief.RefreshToken, stolen
		},
		"the thief first, and twice": func(stolen string) (string, string) {
			thief := g.refreshed(*g.refreshed(stolen).RefreshToken)
			g.do(refreshing(stolen)).problem(401, "unauthenticated")
			return *thief.RefreshToken, stolen
		},
		"the owner first, the thief later": func(stolen string) (string, string) {
			owner := g.refreshed(stolen)
			g.age()
			g.do(refreshForm(stolen))
			return stolen, *owner.RefreshToken
		},
		"the owner first, and twice": func(stolen string) (string, string) {
			owner := g.refreshed(*g.refreshed(stolen).RefreshToken)
			g.do(refreshing(stolen)).problem(401, "unauthenticated")
			return stolen, *owner.RefreshToken
		},
		"both within a minute: the one that goes on first is found out by the other": func(stolen string) (string, string) {
			owner, thief := g.refreshed(stolen), g.refreshed(stolen)
			require.Equal(t, owner.RefreshToken, thief.RefreshToken, "never two that are good")
			ahead := g.refreshed(*thief.RefreshToken)
			g.age()
			g.do(refreshing(*owner.RefreshToken)).problem(401, "unauthenticated")
			return *ahead.RefreshToken, *owner.RefreshToken
		},
	} {
		counted++
		login := g.keptLogin(password)
		thief, owner := c(*login.RefreshToken)
		for _, token := range []string{thief, owner, *login.RefreshToken} {
			g.do(refreshing(token)).problem(401, "unauthenticated")
		}
		require.Equal(t, 1, g.count("logins"), "%s: only the bystander's is left", name)
		attack.Refused(t, "a stolen refresh token: "+name, "both are refused, and the login has ended")
	}
	require.Equal(t, 5, counted)
	g.refreshed(*bystander.RefreshToken)
}

// Guesses and damaged tokens end nothing.
func TestForgedRefreshTokens(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.player("ada")
	good := *g.keptLogin(password).RefreshToken
	other := newGame(t, gameOptions{})
	other.player("ada")
	foreign := *other.keptLogin(password).RefreshToken

	forged := []string{"x", good[1:], good + "A", good[:63] + "\n", strings.ToUpper(good), "A" + good[:63], strings.Repeat("A", 64), foreign,
		foreign[:22] + good[22:], strings.Repeat("x", 60_000), "' OR 1=1 --", good[:60] + "====", good + "\x00"}
	for i, token := range forged {
		g.do(refreshing(token)).problem(401, "unauthenticated")
		answer := g.do(refreshForm(token))
		require.Equal(t, 400, answer.status, "%d", i)
		require.Contains(t, string(answer.body), `"error":"invalid_grant"`)
		attack.Refused(t, fmt.Sprintf("a forged refresh token: %.80q", token), "unauthenticated, invalid_grant")
	}
	g.do(refreshing("")).problem(401, "unauthenticated")
	require.Equal(t, 400, g.do(refreshForm("")).status)
	g.do(request{method: "POST", path: "/v1/auth/token", body: `{"refresh_token": 5}`}).problem(422, "invalid-request", "refresh_token")
	g.do(request{method: "POST", path: "/v1/auth/token", body: encode(map[string]string{"refresh_token": good, "username": "ada"})}).problem(422, "invalid-request", "username")
	t.Logf("%d forged tokens, each as JSON and as a form", len(forged))
	g.refreshed(good)

	strict := g.withBroken(func(o *httpapi.Options) { o.Auth.LoginRatePerClient = config.Rate{Events: 1, Per: time.Hour, Burst: 1} })
	g.do(strict(refreshing("x")))
	g.do(strict(refreshing("x"))).problem(429, "rate-limited")
}

// Many refreshes at once, as of an app that began two of them, or that repeats what was not
// answered, get the same token.
func TestParallelRefreshes(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.player("ada")
	token := *g.keptLogin(password).RefreshToken

	for range 5 {
		const many = 16
		next := make([]string, many)
		var group sync.WaitGroup
		for i := range many {
			group.Go(func() { next[i] = *g.refreshed(token).RefreshToken })
		}
		group.Wait()
		for _, n := range next {
			require.Equal(t, next[0], n)
		}
		token = next[0]
	}
	require.Equal(t, 1, g.count("logins"))
}

// A refresh that fails for the database is safe to repeat.
func TestRefreshWithoutPostgres(t *testing.T) {
	own, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{})
	require.NoError(t, err)
	defer own.Close()
	g := newGame(t, gameOptions{postgres: own})
	g.player("ada")
	token := *g.keptLogin(password).RefreshToken

	own.Kill()
	g.do(refreshing(token)).problem(503, "unavailable")
	require.Equal(t, 503, g.do(refreshForm(token)).status)
	require.NoError(t, own.Start(t.Context()))
	require.Eventually(t, func() bool { return g.do(refreshing(token)).status == 200 }, patience, 10*time.Millisecond)
}

// A player's logins are bounded: that which was refreshed the longest ago goes.
func TestManyLogins(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.player("ada")
	var logins []httpapi.Token
	for range leaderboard.MaxLogins {
		logins = append(logins, g.keptLogin(password))
	}
	logins[0] = g.refreshed(*logins[0].RefreshToken)
	logins = append(logins, g.keptLogin(password))
	require.Equal(t, leaderboard.MaxLogins, g.count("logins"))
	g.do(refreshing(*logins[1].RefreshToken)).problem(401, "unauthenticated")
	g.refreshed(*logins[0].RefreshToken)
	g.refreshed(*logins[2].RefreshToken)
}

func logout(token string, everywhere bool) request {
	return request{method: "POST", path: "/v1/auth/logout", token: token, body: encode(map[string]bool{"everywhere": everywhere})}
}

func TestLogout(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, plain := g.player("ada")
	phone, desk := g.keptLogin(password), g.keptLogin(password)

	require.Equal(t, 204, g.do(logout(phone.AccessToken, false)).status)
	require.False(t, g.loggedIn(phone.AccessToken))
	g.do(calls(phone.AccessToken)["submitScore"]).problem(401, "unauthenticated")
	g.do(refreshing(*phone.RefreshToken)).problem(401, "unauthenticated")
	require.True(t, g.loggedIn(desk.AccessToken))
	g.do(logout(phone.AccessToken, true)).problem(401, "unauthenticated")

	// A login without a refresh token ends, too.
	require.Equal(t, 204, g.do(logout(plain, false)).status)
	require.False(t, g.loggedIn(plain))

	desk = g.refreshed(*desk.RefreshToken)
	tablet := g.keptLogin(password)
	require.Equal(t, 204, g.do(logout(desk.AccessToken, true)).status)
	for _, token := range []httpapi.Token{desk, tablet} {
		require.False(t, g.loggedIn(token.AccessToken))
		g.do(refreshing(*token.RefreshToken)).problem(401, "unauthenticated")
	}
	require.Equal(t, 0, g.count("logins"))
	require.True(t, g.loggedIn(g.keptLogin(password).AccessToken))
}

// Access tokens of servers of the version before belong to no login.
func TestLogoutWithAnOldToken(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, _ := g.player("ada")
	old, err := g.tokens.Issue(leaderboard.Player{ID: leaderboard.PlayerID(id), Username: "ada", TokenVersion: 1}, "")
	require.NoError(t, err)
	g.do(logout(old, false)).problem(401, "unauthenticated")
	require.True(t, g.loggedIn(old))
	require.Equal(t, 204, g.do(logout(old, true)).status)
	require.False(t, g.loggedIn(old))
}

func passwordChange(token, old, next string) request {
	return request{method: "POST", path: "/v1/auth/password", token: token, body: encode(map[string]string{"old_password": old, "new_password": next})}
}

func TestPasswordChange(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.player("ada")
	mine, stolen := g.keptLogin(password), g.keptLogin(password)
	const next = "battery staple"

	g.do(passwordChange(mine.AccessToken, "wrong horse", next)).problem(403, "wrong-password", "old_password")
	g.do(passwordChange(mine.AccessToken, password, "short")).problem(422, "invalid-request", "new_password")
	var token httpapi.Token
	g.do(passwordChange(mine.AccessToken, password, next)).into(200, &token)

	g.do(passwordChange(mine.AccessToken, next, password)).problem(401, "unauthenticated")
	require.True(t, g.loggedIn(token.AccessToken))
	g.submit(token.AccessToken, "", 1)
	g.refreshed(*mine.RefreshToken)
	require.False(t, g.loggedIn(stolen.AccessToken))
	g.do(calls(stolen.AccessToken)["submitScore"]).problem(401, "unauthenticated")
	g.do(refreshing(*stolen.RefreshToken)).problem(401, "unauthenticated")
	g.login("ada", password).problem(401, "unauthenticated")
	g.keptLogin(next)

	// Guesses with a stolen token are as many as without.
	guesses := 0
	for g.do(passwordChange(token.AccessToken, "wrong horse", next)).status == 403 {
		guesses++
	}
	require.LessOrEqual(t, guesses, 10)
	g.do(passwordChange(token.AccessToken, next, password)).problem(429, "rate-limited")
}

func rename(token, username string) request {
	return request{method: "PUT", path: "/v1/players/me/username", token: token, body: encode(map[string]string{"username": username})}
}

func TestRename(t *testing.T) {
	g := newGame(t, gameOptions{reserved: []string{"admin"}})
	g.options.Auth.RegisterRatePerClient, g.options.Auth.RegisterRatePerUsername = config.Rate{}, config.Rate{}
	g.server = g.serve(g.options)
	id, token := g.player("ada")
	g.player("grace")
	moderator := g.serviceToken("mods", g.account("mods", accounts.Moderate), "")
	g.submit(token, "", 7)
	require.Contains(t, string(g.do(request{method: "GET", path: "/v1/leaderboard/global", token: token}).body), `"ada"`)

	for username, slug := range map[string]string{"GRACE": "username-taken", "<b>": "invalid-request", "Adm1n": "invalid-request", "gr\u0430ce": "invalid-request"} {
		status := 422
		if slug == "username-taken" {
			status = 409
		}
		g.do(rename(token, username)).problem(status, slug, "username")
	}
	var account httpapi.Account
	g.do(rename(token, "сор")).into(200, &account)
	require.Equal(t, httpapi.Account{UserID: id, Username: "сор"}, account)
	require.Contains(t, string(g.do(request{method: "GET", path: "/v1/leaderboard/global", token: token}).body), `"сор"`)
	require.Equal(t, "сор", g.submit(token, "", 8).Username, "also with the token from before")
	g.login("сор", password).into(200, &httpapi.Token{})
	g.login("ada", password).problem(401, "unauthenticated")

	// Neither the new name nor the old one is anybody else's, nor what looks like them.
	for _, username := range []string{"ada", "ADA", "cop"} {
		g.do(request{method: "POST", path: "/v1/auth/register", body: credentials(username, password)}).problem(409, "username-taken", "username")
	}

	answer := g.do(rename(token, "ada"))
	answer.problem(429, "rate-limited", "username")
	require.Equal(t, `"rename-player";q=1;w=2592000`, answer.header.Get("RateLimit-Policy"))
	g.do(rename(token, "сор")).into(200, &account) // nothing changes
	g.sql("UPDATE past_names SET until = until - interval '30 days'")
	g.do(rename(token, "Ada")).into(200, &account)
	var names httpapi.Usernames
	g.do(request{method: "GET", path: "/v1/admin/players/" + id + "/usernames", token: moderator}).into(200, &names)
	require.Equal(t, "Ada", names.Username)
	require.Equal(t, []string{"сор", "ada"}, []string{names.Before[0].Username, names.Before[1].Username})
	require.WithinDuration(t, time.Now(), names.Before[0].Until, patience)
	g.do(request{method: "POST", path: "/v1/auth/register", body: credentials("cop", password)}).problem(409, "username-taken", "username")
}

// Of many who want a name at once one gets it.
func TestRenamesRace(t *testing.T) {
	g := newGame(t, gameOptions{})
	var tokens []string
	for i := range 8 {
		_, token := g.player(fmt.Sprintf("racer-%d", i))
		tokens = append(tokens, token)
	}
	var group sync.WaitGroup
	statuses := make([]int, len(tokens)+1)
	for i, token := range tokens {
		group.Go(func() { statuses[i] = g.do(rename(token, "Winner")).status })
	}
	group.Go(func() {
		statuses[len(tokens)] = g.do(request{method: "POST", path: "/v1/auth/register", body: credentials("winner", password)}).status
	})
	group.Wait()

	won := 0
	for _, status := range statuses {
		require.Contains(t, []int{200, 201, 409}, status)
		if status < 300 {
			won++
		}
	}
	require.Equal(t, 1, won)
}

func resetting(token, next string) request {
	return request{method: "POST", path: "/v1/auth/password/reset", body: encode(map[string]string{"reset_token": token, "new_password": next})}
}

func TestPasswordReset(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, _ := g.player("ada")
	login := g.keptLogin(password)
	moderator := g.serviceToken("mods", g.account("mods", accounts.Moderate), "")
	issue := func() string {
		var reset httpapi.PasswordReset
		g.do(request{method: "POST", path: "/v1/admin/players/" + id + "/password_reset", body: `{"reason":"asked for by mail"}`, token: moderator}).into(201, &reset)
		require.Equal(t, int64(3600), reset.ExpiresIn)
		return reset.ResetToken
	}
	const next = "battery staple"

	old, token := issue(), issue()
	require.NotContains(t, g.dump("password_resets"), token)
	for _, bad := range []string{"", "x", old, token[1:], strings.ToLower(token)} {
		g.do(resetting(bad, next)).problem(422, "invalid-request", "reset_token")
	}
	g.do(resetting(token, "short")).problem(422, "invalid-request", "new_password")
	require.True(t, g.loggedIn(login.AccessToken))

	require.Equal(t, 204, g.do(resetting(token, next)).status)
	require.False(t, g.loggedIn(login.AccessToken))
	g.do(refreshing(*login.RefreshToken)).problem(401, "unauthenticated")
	g.login("ada", password).problem(401, "unauthenticated")
	g.login("ada", next).into(200, &httpapi.Token{})
	g.do(resetting(token, password)).problem(422, "invalid-request", "reset_token")

	token = issue()
	g.sql("UPDATE password_resets SET expires_at = now()")
	g.do(resetting(token, next)).problem(422, "invalid-request", "reset_token")
}

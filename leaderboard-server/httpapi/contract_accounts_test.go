package httpapi_test

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// accountCall is a call that changes an account: each needs one of its own.
type accountCall struct {
	request
	// player and service say whose token it takes; neither: none.
	player, service bool
	// limit is the rate that it counts under; empty: none.
	limit string
	// good is the status where nothing is wrong.
	good int
}

// accountCalls has one good request for each call of the contract that changes an account, of
// this player, and for those that moderators make.
func accountCalls(id, resetToken string) map[string]accountCall {
	return map[string]accountCall{
		"logInDevice":        {request: deviceLogin(deviceSecret()), limit: "login-client", good: 201},
		"playerLogins":       {request: request{method: "GET", path: "/v1/players/me/logins"}, player: true, good: 200},
		"linkLogin":          {request: linking("", "device_secret", deviceSecret()), player: true, limit: "register-client", good: 200},
		"logOut":             {request: logout("", false), player: true, good: 204},
		"changePassword":     {request: passwordChange("", password, "battery staple"), player: true, limit: "login-username-client", good: 200},
		"resetPassword":      {request: resetting(resetToken, password), limit: "login-client", good: 204},
		"rename":             {request: rename("", "changed-"+id[24:]), player: true, limit: "register-client", good: 200},
		"usernames":          {request: request{method: "GET", path: "/v1/admin/players/" + id + "/usernames"}, service: true, good: 200},
		"issuePasswordReset": {request: request{method: "POST", path: "/v1/admin/players/" + id + "/password_reset", body: `{"reason":"asked for by mail"}`}, service: true, good: 201},
	}
}

// showAccounts shows what the contract documents of the calls that change accounts.
func (g *game) showAccounts() {
	t := g.t
	id, token := g.player("changer")
	secret := g.account("moderator-server", accounts.Moderate, accounts.Read)
	moderator, reader := g.serviceToken("moderator-server", secret, "moderate"), g.serviceToken("moderator-server", secret, "read")
	with := func(c accountCall, player, service string) request {
		switch {
		case c.player:
			c.token = player
		case c.service:
			c.token = service
		}
		return c.request
	}

	for name, c := range accountCalls(id, "x") {
		if c.body != "" {
			r := with(c, token, moderator)
			r.body = "{"
			g.do(r).problem(400, "malformed-request")
			r.body = `{"unknown": 1}`
			require.Equal(t, 422, g.do(r).status, name)
			r.body = encode(map[string]string{"x": strings.Repeat("x", 64<<10)})
			g.do(r).problem(413, "body-too-large")
			r.header = map[string]string{"Content-Type": "text/plain"}
			g.do(r).problem(415, "unsupported-media-type", "Content-Type")
		} else {
			r := with(c, token, moderator)
			r.path += "?x=1"
			g.do(r).problem(422, "invalid-request", "x")
		}
		if c.service {
			r := with(c, token, moderator)
			r.path = strings.Replace(c.path, id, nobody, 1)
			g.do(r).problem(404, "no-player")
			r.path = strings.Replace(c.path, id, "somebody", 1)
			g.do(r).problem(422, "invalid-request", "player")
		}
		if c.player {
			g.do(with(c, "", "")).problem(401, "unauthenticated")
			g.do(with(c, moderator, "")).problem(403, "not-a-player")
		}
		if c.service {
			g.do(with(c, "", "")).problem(401, "unauthenticated")
			g.do(with(c, "", token)).problem(403, "insufficient-scope")
			g.do(with(c, "", reader)).problem(403, "insufficient-scope")
		}
	}
	g.do(rename(token, "ada")).problem(409, "username-taken", "username")
	g.do(linking(token, "password", password)).problem(409, "login-conflict", "password")
	device := deviceLogin(deviceSecret())
	require.Equal(t, 201, g.do(device).status)
	require.Equal(t, 200, g.do(device).status)
	g.sql("UPDATE players SET state = 'disabled' WHERE username LIKE 'player-%'")
	g.do(device).problem(403, "forbidden")

	for name, c := range accountCalls(id, "x") {
		starting := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { return nil } })
		g.do(starting(with(c, token, moderator))).problem(503, "unavailable")
		panics := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { panic("a defect") } })
		g.do(panics(with(c, token, moderator))).problem(500, "internal-error")

		if c.limit == "" {
			continue
		}
		g.freshRates()
		strict := g.withBroken(func(o *httpapi.Options) {
			rate := config.Rate{Events: 1, Per: time.Hour, Burst: 1}
			o.Auth.LoginRatePerClient, o.Auth.RegisterRatePerClient, o.Auth.LoginRatePerUsernameAndClient = rate, rate, rate
		})
		r := strict(with(c, token, moderator))
		r.body = strings.Replace(r.body, password, "wrong horse", 1)
		require.NotEqual(t, 429, g.do(r).status, name)
		answer := g.do(r)
		answer.problem(429, "rate-limited")
		require.Contains(t, answer.header.Get("RateLimit-Policy"), c.limit, name)
		g.freshRates()
	}

	for _, name := range []string{"logInDevice", "playerLogins", "linkLogin", "logOut", "changePassword", "resetPassword", "rename", "usernames", "issuePasswordReset"} {
		id, token := g.player("changer-" + strings.ToLower(name))
		var reset httpapi.PasswordReset
		g.do(with(accountCalls(id, "")["issuePasswordReset"], "", moderator)).into(201, &reset)
		c := accountCalls(id, reset.ResetToken)[name]
		require.Equal(t, c.good, g.do(with(c, token, moderator)).status, name)
	}
}

// freshRates forgets what has been counted under rates.
func (g *game) freshRates() {
	ctx := g.t.Context()
	keys, err := g.client.Keys(ctx, "lb:"+g.tenant+":rate:*").Result()
	require.NoError(g.t, err)
	for _, key := range keys {
		require.NoError(g.t, g.client.Del(ctx, key).Err())
	}
}

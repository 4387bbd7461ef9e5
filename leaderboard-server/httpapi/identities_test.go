package httpapi_test

import (
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// deviceSecret is one as a device makes it.
func deviceSecret() string { return rand.Text() }

func deviceLogin(secret string) request {
	return request{method: "POST", path: "/v1/auth/device", body: encode(map[string]string{"device_secret": secret, "scope": "offline_access"})}
}

func linking(token, field, value string) request {
	return request{method: "POST", path: "/v1/players/me/logins", token: token, body: encode(map[string]string{field: value})}
}

// guest logs a new device in.
func (g *game) guest() (secret string, token httpapi.Token) {
	secret = deviceSecret()
	g.do(deviceLogin(secret)).into(201, &token)
	return secret, token
}

// A guest plays, and becomes a player with a name and a password, whose scores are there.
func TestGuests(t *testing.T) {
	g := newGame(t, gameOptions{})
	secret, guest := g.guest()
	require.Regexp(t, `^player-[a-z2-7]{16}$`, guest.Username)
	require.NotContains(t, g.dump("player_identities"), secret)
	id := g.submit(guest.AccessToken, "", 7).UserID
	g.refreshed(*guest.RefreshToken)
	var again httpapi.Token
	g.do(deviceLogin(secret)).into(200, &again)
	require.Equal(t, guest.Username, again.Username)

	// It has no password, and none is guessed.
	for _, guess := range []string{"", " ", "correct horse"} {
		g.login(guest.Username, guess).problem(401, "unauthenticated")
	}
	g.do(passwordChange(guest.AccessToken, "", password)).problem(403, "wrong-password", "old_password")

	var account httpapi.Account
	g.do(rename(guest.AccessToken, "ada")).into(200, &account)
	var logins httpapi.PlayerLogins
	g.do(linking(guest.AccessToken, "password", password)).into(200, &logins)
	require.True(t, logins.Password)
	require.Len(t, logins.Identities, 1)
	g.do(linking(guest.AccessToken, "password", "battery staple")).problem(409, "login-conflict", "password")

	var token httpapi.Token
	g.login("ada", password).into(200, &token)
	var entry httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: token.AccessToken}).into(200, &entry)
	require.Equal(t, id, entry.UserID)
	require.Equal(t, int64(7), entry.Score)
	g.do(deviceLogin(secret)).into(200, &again)
	require.Equal(t, "ada", again.Username)
}

// What another account has is not taken from it, and accounts are not merged.
func TestLinking(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.options.Auth.RegisterRatePerClient = config.Rate{}
	g.server = g.serve(g.options)
	_, ada := g.player("ada")
	secret, _ := g.guest()
	own := deviceSecret()
	for range 2 { // the second time nothing changes
		var logins httpapi.PlayerLogins
		g.do(linking(ada, "device_secret", own)).into(200, &logins)
		require.Len(t, logins.Identities, 1)
		require.Equal(t, httpapi.Device, logins.Identities[0].Kind)
		require.WithinDuration(t, time.Now(), logins.Identities[0].LinkedAt, patience)
	}
	var token httpapi.Token
	g.do(deviceLogin(own)).into(200, &token)
	require.Equal(t, "ada", token.Username)

	require.Contains(t, g.do(linking(ada, "device_secret", secret)).problem(409, "login-conflict").Detail, "not merged")
	for range leaderboard.MaxIdentities - 1 {
		require.Equal(t, 200, g.do(linking(ada, "device_secret", deviceSecret())).status)
	}
	require.Contains(t, g.do(linking(ada, "device_secret", deviceSecret())).problem(409, "login-conflict").Detail, "as many as there may be")

	r := linking(ada, "device_secret", own)
	r.body = encode(map[string]string{"device_secret": own, "password": password})
	g.do(r).problem(422, "invalid-request", "password")
	r.body = "{}"
	g.do(r).problem(422, "invalid-request", "password")

	// A reset takes away what somebody may have linked.
	id := g.submit(ada, "", 1).UserID
	moderator := g.serviceToken("mods", g.account("mods", accounts.Moderate), "")
	var reset httpapi.PasswordReset
	g.do(request{method: "POST", path: "/v1/admin/players/" + id + "/password_reset", body: `{"reason":"asked for by mail"}`, token: moderator}).into(201, &reset)
	require.Equal(t, 204, g.do(resetting(reset.ResetToken, password)).status)
	require.Equal(t, 1, g.count("player_identities"), "the guest's")
}

// Secrets that are none are refused before anything is looked up.
func TestDeviceSecrets(t *testing.T) {
	g := newGame(t, gameOptions{})
	bad := []string{"", "x", strings.Repeat("a", 22), strings.Repeat("ab", 30), "123451234512345123451234", deviceSecret()[:21], strings.Repeat("abcdefghi", 20),
		deviceSecret() + "\n", "ünïcödé" + deviceSecret(), deviceSecret() + " "}
	for _, secret := range bad {
		g.do(deviceLogin(secret)).problem(422, "invalid-request", "device_secret")
	}
	g.do(request{method: "POST", path: "/v1/auth/device", body: `{"device_secret": 7}`}).problem(422, "invalid-request", "device_secret")
	require.Equal(t, 0, g.count("players"))
	for _, secret := range []string{"0190c7a0-1234-4567-89ab-cdef01234567", strings.ToLower(deviceSecret()), "q83vEjRWeJCrze8SNFZ4kA=="} {
		require.Equal(t, 201, g.do(deviceLogin(secret)).status)
	}

	strict := g.withBroken(func(o *httpapi.Options) {
		o.Auth.RegisterRatePerClient = config.Rate{Events: 1, Per: time.Hour, Burst: 1}
	})
	g.freshRates()
	first := deviceSecret()
	require.Equal(t, 201, g.do(strict(deviceLogin(first))).status)
	answer := g.do(strict(deviceLogin(deviceSecret())))
	answer.problem(429, "rate-limited")
	require.Contains(t, answer.header.Get("RateLimit-Policy"), "register-client")
	require.Equal(t, 200, g.do(strict(deviceLogin(first))).status, "a player that is there needs no new one")
}

// A device that begins many times at once is one player.
func TestParallelGuests(t *testing.T) {
	g := newGame(t, gameOptions{})
	secret := deviceSecret()
	var group sync.WaitGroup
	statuses := make([]int, 16)
	for i := range statuses {
		group.Go(func() { statuses[i] = g.do(deviceLogin(secret)).status })
	}
	group.Wait()
	created := 0
	for _, status := range statuses {
		require.Contains(t, []int{200, 201}, status)
		if status == 201 {
			created++
		}
	}
	require.Equal(t, 1, created)
	require.Equal(t, 1, g.count("players"))
}

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pollEvery is how often a server is asked whether it knows.
const pollEvery = 50 * time.Millisecond

// call asks a server for something, with an access token, and returns the status and the body.
func (r *running) call(t *testing.T, method, path, token, body string) (int, string) {
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.api.address()+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return answerOf(t, request)
}

// What one server changes of accounts all others know within seconds, and one that is started
// later.
func TestAccountsFollow(t *testing.T) {
	environment := environment(t)
	here := start(t, environment)
	here.waitFor(t, "serving")
	there := start(t, environment)
	there.waitFor(t, "serving")

	for _, name := range []string{"ada", "grace", "edsger"} {
		_, err := here.client.Register(t.Context(), name, "correct horse")
		require.NoError(t, err)
	}
	token := func(name string) string {
		token, err := here.client.Login(t.Context(), name, "correct horse")
		require.NoError(t, err)
		return token
	}
	status := func(r *running, token string) int {
		status, _ := r.call(t, "GET", "/v1/players/me/attributes", token, "")
		return status
	}
	ada, grace, edsger, other := token("ada"), token("grace"), token("edsger"), token("grace")
	for _, token := range []string{ada, grace, edsger, other} {
		require.Equal(t, 200, status(there, token))
	}
	submitted, _ := there.call(t, "POST", "/v1/scores/submit", edsger, `{"score": 5}`)
	require.Equal(t, 200, submitted)
	page := func(r *running) string {
		_, body := r.call(t, "GET", "/v1/leaderboard/global", edsger, "")
		return body
	}
	require.Eventually(t, func() bool { return strings.Contains(page(there), "edsger") }, patience, pollEvery)

	loggedOut, _ := here.call(t, "POST", "/v1/auth/logout", ada, `{}`)
	require.Equal(t, 204, loggedOut)
	loggedOut, _ = here.call(t, "POST", "/v1/auth/logout", grace, `{"everywhere": true}`)
	require.Equal(t, 204, loggedOut)
	renamed, _ := here.call(t, "PUT", "/v1/players/me/username", edsger, `{"username": "dijkstra"}`)
	require.Equal(t, 200, renamed)

	// At once where the ledger says so, or it was asked here.
	refused, _ := there.call(t, "POST", "/v1/scores/submit", other, `{"score": 5}`)
	require.Equal(t, 401, refused)
	for _, token := range []string{ada, grace, other} {
		require.Equal(t, 401, status(here, token))
	}
	require.Contains(t, page(here), "dijkstra")

	later := start(t, environment)
	later.waitFor(t, "serving")
	for _, r := range []*running{there, later} {
		for _, token := range []string{ada, grace, other} {
			require.Eventually(t, func() bool { return status(r, token) == 401 }, patience, pollEvery)
		}
		require.Equal(t, 200, status(r, edsger))
		require.Eventually(t, func() bool { return strings.Contains(page(r), "dijkstra") }, patience, pollEvery)
		_, receipt := r.call(t, "POST", "/v1/scores/submit", edsger, `{"score": 6}`)
		require.Contains(t, receipt, `"username":"dijkstra"`)
	}
}

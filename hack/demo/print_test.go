package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

// hostCall is a call of an address with the game's name as Host header.
var hostCall = regexp.MustCompile(`(?m)^  curl -H 'Host: (.*)' (http://.*)$`)

// The call that is shown for programs that do not resolve the game's name reaches the
// address with that name.
func TestPrintedHostHeader(t *testing.T) {
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer server.Close()

	var out bytes.Buffer
	via := strings.TrimPrefix(server.URL, "http://")
	require.NoError(t, printCalls(&out, "http://space-race.arcade.localhost:8088", via, match.Player{Username: "ada", Password: "secret"}))
	call := hostCall.FindStringSubmatch(out.String())
	require.NotNil(t, call, out.String())

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, call[2], nil)
	require.NoError(t, err)
	request.Host = call[1]
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "space-race.arcade.localhost", got.Host)
	require.Equal(t, "/v1/leaderboard/global?page_size=3", got.RequestURI)
}

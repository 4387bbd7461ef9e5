package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// Large bodies that come slowly take a bounded part of the memory, and those of
// the usual size go on.
func TestSlowBodiesAreBounded(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	options := g.options
	options.HTTP.BodyBudget = 100 << 10
	api, err := httpapi.New(options)
	require.NoError(t, err)
	server := g.serveAPI(api)

	large := fmt.Sprintf(`{"score":1,"game_id":%q}`, strings.Repeat("x", 60<<10))
	begin := func() net.Conn { // sends all but the end of the body
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = fmt.Fprintf(conn, "POST /v1/scores/submit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
			token, len(large), large[:len(large)-2])
		require.NoError(t, err)
		return conn
	}
	status := func(conn net.Conn) int {
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer answer.Body.Close()
		return answer.StatusCode
	}

	first := begin()
	defer first.Close()
	require.Eventually(t, func() bool { return api.BodyBytes() > 55<<10 }, patience, time.Millisecond)
	second := begin()
	defer second.Close()
	require.Equal(t, 503, status(second), "refused before its end has come")

	answer := g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: large, server: server})
	answer.problem(503, "busy")
	require.NotEmpty(t, answer.header.Get("Retry-After"))
	for range 100 {
		require.Equal(t, 200, g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("", 1), server: server}).status)
	}

	_, err = io.WriteString(first, large[len(large)-2:])
	require.NoError(t, err)
	require.Equal(t, 404, status(first), "it was read to its end: there is no such board")
	require.Eventually(t, func() bool { return api.BodyBytes() == 0 }, patience, time.Millisecond)
	require.Equal(t, 404, g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: large, server: server}).status)

	// A client that leaves gives back what it took.
	third := begin()
	require.Eventually(t, func() bool { return api.BodyBytes() > 55<<10 }, patience, time.Millisecond)
	require.NoError(t, third.Close())
	require.Eventually(t, func() bool { return api.BodyBytes() == 0 }, patience, time.Millisecond)
}

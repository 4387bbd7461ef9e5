package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// client is a connection to the API that a test keeps open.
type client struct {
	net.Conn
	t      *testing.T
	reader *bufio.Reader
}

func (r *running) connect(t *testing.T) *client {
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.api.address())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return &client{Conn: conn, t: t, reader: bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

// receive reads an answer.
func (c *client) receive() (status int) {
	c.t.Helper()
	answer, err := http.ReadResponse(c.reader, nil)
	require.NoError(c.t, err)
	defer answer.Body.Close()

	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(c.t, err)
	return answer.StatusCode
}

const getBoards = "GET /v1/boards HTTP/1.1\r\nHost: x\r\n\r\n"

// ask makes a request and reads its answer.
func (c *client) ask() {
	c.t.Helper()
	c.send(getBoards)
	require.Equal(c.t, http.StatusOK, c.receive())
}

const registration = `{"username":"ada","password":"correct horse"}`

// begin makes a request whose handler waits for the body, and returns once it does.
func (c *client) begin() {
	c.t.Helper()
	c.send(fmt.Sprintf("POST /v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(registration)))
	for _, expected := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		line, err := c.reader.ReadString('\n')
		require.NoError(c.t, err)
		require.Equal(c.t, expected, line)
	}
}

// requireClosed waits until the server has closed the connection.
func (c *client) requireClosed() {
	c.t.Helper()
	_, err := c.reader.ReadByte()
	require.ErrorIs(c.t, err, io.EOF)
}

func (r *running) waitForIdle(t *testing.T, idle int) {
	require.Eventually(t, func() bool {
		actual, busy := r.api.connections.count()
		return actual == idle && busy == 0
	}, patience, time.Millisecond, "%d idle connections", idle)
}

// A new connection is served in place of the one that has been idle for longest.
func TestTheLongestIdleMakesRoom(t *testing.T) {
	environment := environment(t)
	environment[config.EnvMaxConnections] = "3"
	r := start(t, environment)
	r.waitFor(t, "serving")

	clients := make([]*client, 3)
	for i := range clients {
		clients[i] = r.connect(t)
		clients[i].ask()
		r.waitForIdle(t, i+1)
	}

	clients[0].ask() // the second has been idle for longest now
	r.waitForIdle(t, 3)
	another := r.connect(t)
	another.ask()
	clients[1].requireClosed()

	for _, c := range []*client{clients[2], another, clients[0]} {
		r.waitForIdle(t, 3)
		c.ask()
	}

	// What has begun to send a request is the last to go.
	r.waitForIdle(t, 3)
	clients[2].send(getBoards[:10])
	require.Eventually(t, func() bool {
		c := r.api.connections
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.idle.Back().Value.(*connection).RemoteAddr().String() == clients[2].LocalAddr().String()
	}, patience, time.Millisecond)
	for range 2 {
		r.connect(t).ask()
		r.waitForIdle(t, 3)
	}

	another.requireClosed()
	clients[0].requireClosed()
	clients[2].send(getBoards[10:])
	require.Equal(t, http.StatusOK, clients[2].receive())

	_, metrics := r.get(t, "/metrics")
	require.Contains(t, metrics, "\nleaderboard_http_max_connections 3\n")
	require.Contains(t, metrics, "\nleaderboard_http_connections_closed_for_room_total 3\n")
	require.Contains(t, metrics, "\nleaderboard_http_connection_waits_total 0\n")
}

// Many more clients than there may be connections come, ask and stay.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	const most = 50
	environment := environment(t)
	environment[config.EnvMaxConnections] = fmt.Sprint(most)
	r := start(t, environment)
	r.waitFor(t, "serving")

	for range 5 * most {
		r.connect(t).ask()
		idle, busy := r.api.connections.count()
		require.LessOrEqual(t, idle+busy, most)
	}

	r.waitForIdle(t, most)
	require.Equal(t, int64(4*most), r.api.connections.closedForRoom.Load())
}

// While all connections are busy none is closed: a new one waits, readiness says so,
// and it is served as soon as one has been answered.
func TestBusyConnectionsStay(t *testing.T) {
	environment := environment(t)
	environment[config.EnvMaxConnections] = "1"
	r := start(t, environment)
	r.waitFor(t, "serving")
	first := r.connect(t)
	first.begin()
	second := r.connect(t)
	second.send(getBoards)

	require.Eventually(t, func() bool {
		readiness := r.readiness(t)
		require.True(t, readiness.Ready, "taking it out would help nobody")
		return len(readiness.Missing) == 1 && readiness.Missing[0].Dependency == "connections"
	}, patience, 20*time.Millisecond) // and not the ranking, which is being built at first
	first.send(registration)
	require.Equal(t, http.StatusCreated, first.receive())
	first.requireClosed()
	require.Equal(t, http.StatusOK, second.receive())
	r.waitFor(t, "serving")

	require.NoError(t, second.Close())
	third := r.connect(t)
	third.ask()
	_, metrics := r.get(t, "/metrics")
	require.Contains(t, metrics, "\nleaderboard_http_connection_waits_total 1\n")
}

// A connection that waits when the server is told to stop is answered.
func TestShutdownAnswersAConnectionThatWaits(t *testing.T) {
	environment := environment(t)
	environment[config.EnvMaxConnections] = "1"
	r := start(t, environment)
	r.waitFor(t, "serving")
	first := r.connect(t)
	first.begin()
	second := r.connect(t)
	second.send(getBoards)
	require.Eventually(t, func() bool { return r.api.connections.check(t.Context()) != nil }, patience, time.Millisecond)

	r.stop()
	require.Equal(t, http.StatusOK, second.receive())
	first.send(registration)
	require.Equal(t, http.StatusCreated, first.receive())
	require.NoError(t, <-r.done)
}

// A connection is kept open between two requests as long as is configured.
func TestIdleTimeout(t *testing.T) {
	environment := environment(t)
	environment[config.EnvIdleTimeout] = "1s"
	r := start(t, environment)
	r.waitFor(t, "serving")
	c := r.connect(t)
	begun := time.Now()
	c.ask()
	c.requireClosed()
	require.GreaterOrEqual(t, time.Since(begun), time.Second)
}

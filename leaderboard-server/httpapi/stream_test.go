package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// line is a line of an answer: a result, or the end.
type line struct {
	httpapi.BatchResult
	End                                  httpapi.BatchEndEnd
	Accepted, Repeated, Refused, Unknown int
}

// openStream is a stream that a test writes and reads in turn.
type openStream struct {
	t       *testing.T
	to      *io.PipeWriter
	answer  chan *http.Response
	scanner *bufio.Scanner
}

// stream begins one; further are parameters.
func (g *game) stream(server *httptest.Server, token, query string) *openStream {
	body, to := io.Pipe()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	g.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/scores/batch"+query, body)
	require.NoError(g.t, err)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Authorization", "Bearer "+token)

	s := &openStream{t: g.t, to: to, answer: make(chan *http.Response, 1)}
	go func() {
		answer, err := server.Client().Do(r)
		if err != nil {
			g.t.Error(err)
			close(s.answer)
			return
		}
		g.t.Cleanup(func() { _ = answer.Body.Close() })
		s.answer <- answer
	}()
	return s
}

func (s *openStream) write(lines ...string) {
	s.t.Helper()
	_, err := io.WriteString(s.to, strings.Join(lines, "\n")+"\n")
	require.NoError(s.t, err)
}

// next reads a line of the answer; false: it is over.
func (s *openStream) next() (l line, ok bool) {
	s.t.Helper()
	if s.scanner == nil {
		answer := <-s.answer
		require.NotNil(s.t, answer)
		require.Equal(s.t, 200, answer.StatusCode)
		require.Equal(s.t, "application/x-ndjson", answer.Header.Get("Content-Type"))
		s.t.Cleanup(func() { _ = answer.Body.Close() })
		s.scanner = bufio.NewScanner(answer.Body)
	}
	if !s.scanner.Scan() {
		return l, false
	}
	require.NoError(s.t, json.Unmarshal(s.scanner.Bytes(), &l), "%s", s.scanner.Bytes())
	return l, true
}

// result reads one that has to be there.
func (s *openStream) result(status httpapi.BatchResultStatus) line {
	s.t.Helper()
	l, ok := s.next()
	require.True(s.t, ok)
	require.Equal(s.t, status, l.Status, "%+v", l)
	return l
}

// ended reads the last line.
func (s *openStream) ended(end httpapi.BatchEndEnd) line {
	s.t.Helper()
	l, ok := s.next()
	require.True(s.t, ok)
	require.Equal(s.t, end, l.End, "%+v", l)
	_, more := s.next()
	require.False(s.t, more)
	return l
}

// Answers come while the request is still being sent, over either version of HTTP.
func TestAStreamIsAnsweredAsItComes(t *testing.T) {
	g := newGame(t, gameOptions{})
	ada, _ := g.player("ada")
	token := g.submitter()
	api, err := httpapi.New(g.options)
	require.NoError(t, err)
	second := httptest.NewUnstartedServer(g.contract.Handler(api, g.report))
	second.EnableHTTP2 = true
	second.StartTLS()
	t.Cleanup(second.Close)

	for version, server := range map[int]*httptest.Server{1: g.server, 2: second} {
		s := g.stream(server, token, "")
		for i := range int64(5) {
			s.write(itemOf(ada, "race", i, fmt.Sprintf(`"idempotency_key":"%d-%d"`, version, i)), "")
			require.Equal(t, i, s.result(httpapi.Accepted).Receipt.ScoreSaved)
		}
		s.write("{", itemOf(nobody, "race", 1), itemOf(ada, "race", 0, fmt.Sprintf(`"idempotency_key":"%d-0"`, version)))
		refused(t, s.result(httpapi.Refused).BatchResult, 400, "malformed-request")
		refused(t, s.result(httpapi.Refused).BatchResult, 404, "no-player", "user_id")
		s.result(httpapi.Repeated)
		_, err := io.WriteString(s.to, itemOf(ada, "race", 9)) // without the end of a line
		require.NoError(t, err)
		require.NoError(t, s.to.Close())
		s.result(httpapi.Accepted)
		end := s.ended(httpapi.Complete)
		require.Equal(t, []int{6, 1, 2, 0}, []int{end.Accepted, end.Repeated, end.Refused, end.Unknown})
	}
	require.Equal(t, 12, g.count("score_events"))
}

// A long load has its answers in order, and takes bounded memory.
func TestALongStream(t *testing.T) {
	g := newGame(t, gameOptions{})
	token := g.submitter()
	api, err := httpapi.New(g.options)
	require.NoError(t, err)
	server := g.serveAPI(api)
	s := g.stream(server, token, "?create_players=true")
	const items = 5000
	go func() {
		for i := range items {
			if _, err := fmt.Fprintln(s.to, external(fmt.Sprintf("id-%d", i%300), "race", int64(i%1000))); err != nil {
				t.Error(err)
				return
			}
		}
		_ = s.to.Close()
	}()

	for i := range items {
		require.Equal(t, int64(i%1000), s.result(httpapi.Accepted).Receipt.ScoreSaved)
		require.LessOrEqual(t, api.BodyBytes(), int64(512<<10))
	}
	require.Equal(t, items, s.ended(httpapi.Complete).Accepted)
	require.Equal(t, 300, g.count("players"))
	require.Eventually(t, func() bool { return api.BodyBytes() == 0 }, patience, time.Millisecond)
}

// What ends a stream early is said in its last line; what came before is answered.
func TestStreamsThatEndEarly(t *testing.T) {
	stopping := make(chan struct{})
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.Stopping = stopping }})
	ada, _ := g.player("ada")
	token := g.submitter()

	s := g.stream(g.server, token, "")
	s.write(itemOf(ada, "race", 1), `{"score":"`+strings.Repeat("x", 70<<10))
	s.result(httpapi.Accepted)
	require.Equal(t, "https://leaderboard.dev/problems/body-too-large", s.ended(httpapi.Failed).Problem.Type)

	options := g.options
	options.HTTP.RequestTimeout = 3 * time.Second
	s = g.stream(g.serve(options), token, "")
	s.write(itemOf(ada, "race", 2))
	s.result(httpapi.Accepted)
	require.Equal(t, "https://leaderboard.dev/problems/malformed-request", s.ended(httpapi.Failed).Problem.Type)

	s = g.stream(g.server, token, "")
	s.write(itemOf(ada, "race", 3))
	s.result(httpapi.Accepted)
	close(stopping)
	s.ended(httpapi.Stopping)
	require.Equal(t, 3, g.count("score_events"))

	g.do(request{method: "POST", path: "/v1/scores/batch?create_players=1", token: token, body: batch(itemOf(ada, "", 1))}).problem(422, "invalid-request", "create_players")
	lines := map[string]string{"Content-Type": "application/x-ndjson"}
	_, player := g.player("grace")
	g.do(request{method: "POST", path: "/v1/scores/batch", token: player, header: lines, body: itemOf(ada, "", 1)}).problem(403, "insufficient-scope")
	busy := g.withBroken(func(o *httpapi.Options) { o.HTTP.BodyBudget = 1 })
	g.do(busy(request{method: "POST", path: "/v1/scores/batch", token: token, header: lines, body: itemOf(ada, "", 1)})).problem(503, "busy")
}

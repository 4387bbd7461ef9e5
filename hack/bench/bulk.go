package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// bulkTarget is the least rate of scores in batches over one connection.
const bulkTarget = 40_000

// measureBulk measures how many scores a second a server of the game submits over one
// connection: by batches, and by one call each.
func measureBulk(ctx context.Context, o options, r *report) error {
	s, err := startedGame(ctx, httpPlayers, boards, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	token, err := s.ServiceToken()
	if err != nil {
		return err
	}

	t := r.table("Batches", fmt.Sprintf("%d players, a service account, one connection. Each load ran for %s, in turn in short rounds. CPU time of one score in microseconds.", httpPlayers, o.duration),
		"load", "scores/s", "CPU generator", "CPU server", "CPU PostgreSQL", "CPU Redis")
	loads := []*bulkLoad{
		{name: "one call each", size: 1, body: s.bulkSingle, path: "/v1/scores/submit"},
		{name: "batches of 100", size: 100, body: s.bulkBatch(100, false), path: "/v1/scores/batch"},
		{name: "batches of 1,000", size: 1000, body: s.bulkBatch(1000, false), path: "/v1/scores/batch"},
		{name: "a stream", body: s.bulkLine, path: "/v1/scores/batch"},
		{name: "batches of 1,000, a key each", size: 1000, body: s.bulkBatch(1000, true), path: "/v1/scores/batch"},
	}
	for _, l := range loads {
		l.client, l.token = newBulkClient(), token
		defer l.client.CloseIdleConnections()
		warm := *l
		if err := s.bulkRound(ctx, &warm, warmUp); err != nil {
			return err
		}
	}
	for range rounds {
		for _, l := range loads {
			if err := s.bulkRound(ctx, l, o.duration/rounds); err != nil {
				return err
			}
		}
	}

	for _, l := range loads {
		cells := []string{l.name, number(l.rate())}
		for _, used := range l.cpu {
			cells = append(cells, number(float64(used)/float64(time.Microsecond)/float64(l.stored)))
		}
		r.line(t, cells...)
	}
	r.atLeast("scores a second in batches of 1,000 over one connection", loads[2].rate(), bulkTarget)
	r.inform("batches of 1,000 / one call each, over one connection", loads[2].rate()/loads[0].rate(), "")
	r.atLeast("scores a second in a stream", loads[3].rate(), bulkTarget)
	return nil
}

// bulkLoad is one way to submit, and what it showed.
type bulkLoad struct {
	name, path string
	size       int // of a request; 0: it is a stream of what body makes
	body       func() []byte
	client     *http.Client
	token      string

	stored  int
	elapsed time.Duration
	cpu     [4]time.Duration // of the generator, the server, PostgreSQL and Redis
}

// newBulkClient keeps one connection, as servers next to each other do: without compression.
func newBulkClient() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}}
}

func (l *bulkLoad) rate() float64 { return float64(l.stored) / l.elapsed.Seconds() }

// bulkRound sends one request after the other for a time.
func (s *game) bulkRound(ctx context.Context, l *bulkLoad, duration time.Duration) error {
	before, err := s.times(s.server)
	if err != nil {
		return err
	}

	started := time.Now()
	for l.size > 0 && time.Since(started) < duration {
		if err := s.bulkSend(ctx, l); err != nil {
			return err
		}
		l.stored += l.size
	}
	if l.size == 0 {
		if err := s.bulkStream(ctx, l, duration); err != nil {
			return err
		}
	}

	l.elapsed += time.Since(started)
	after, err := s.times(s.server)
	if err != nil {
		return err
	}
	for i := range l.cpu {
		l.cpu[i] += after[i] - before[i]
	}
	return nil
}

// bulkSend sends a request, all of whose scores are to be stored.
func (s *game) bulkSend(ctx context.Context, l *bulkLoad) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+l.path, bytes.NewReader(l.body()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+l.token)

	status, body, err := sendBy(l.client, request)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: %d %s", l.name, status, body)
	}
	if l.size == 1 {
		return nil
	}

	// The counts come first: reading the results would be the generator's work, and no measure
	// of the server.
	counts, _, found := bytes.Cut(body, []byte(`,"results"`))
	var answer struct{ Accepted int }
	if !found {
		return errors.New("a batch was answered without counts before its results")
	}
	if err := json.Unmarshal(append(counts, '}'), &answer); err != nil {
		return err
	}
	if answer.Accepted != l.size {
		return fmt.Errorf("%s: %d of %d were accepted: %.1000s", l.name, answer.Accepted, l.size, body)
	}
	return nil
}

// bulkStream sends scores for a time as a stream, and reads what became of them meanwhile.
func (s *game) bulkStream(ctx context.Context, l *bulkLoad, duration time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, duration+patience)
	defer cancel()
	body, to := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+l.path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Authorization", "Bearer "+l.token)

	go func() {
		lines := bufio.NewWriterSize(to, 64<<10)
		for started := time.Now(); time.Since(started) < duration; {
			if _, err := lines.Write(l.body()); err != nil {
				return // the request has ended, and says why
			}
		}
		_ = to.CloseWithError(lines.Flush())
	}()

	status, answer, err := sendBy(l.client, request)
	if err != nil {
		return err
	}
	lines := bytes.Split(bytes.TrimSpace(answer), []byte("\n"))
	var last struct {
		End      string
		Accepted int
	}
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || status != http.StatusOK {
		return fmt.Errorf("%s: %d %.1000s", l.name, status, answer)
	}
	if last.End != "complete" || last.Accepted != len(lines)-1 {
		return fmt.Errorf("%s ended as %+v after %d lines", l.name, last, len(lines))
	}
	l.stored += last.Accepted
	return nil
}

// bulkLine makes a line of a stream.
func (s *game) bulkLine() []byte { return append(s.appendBulkItem(nil, ""), '\n') }

// bulkSingle makes the body of a submission for a player who is online.
func (s *game) bulkSingle() []byte { return s.appendBulkItem(nil, "") }

// appendBulkItem appends a score like those of the other loads: half of them beat every other.
func (s *game) appendBulkItem(to []byte, key string) []byte {
	number := rising.Add(1)
	score := number - 1_000_000_000
	if number%2 == 0 {
		score = 1_000_000_000 + number
	}

	to = strconv.AppendInt(append(to, `{"score":`...), score, 10)
	to = append(append(append(to, `,"user_id":"`...), s.Players[int(number)%len(s.Players)].ID...), '"')
	if key != "" {
		to = strconv.AppendInt(append(append(append(to, `,"idempotency_key":"`...), key...), '-'), number, 10)
		to = append(to, '"')
	}
	return append(to, '}')
}

// bulkBatch makes bodies of batches.
func (s *game) bulkBatch(size int, keyed bool) func() []byte {
	size = min(size, leaderboard.MaxSubmissions)
	key := ""
	if keyed {
		key = "match"
	}
	return func() []byte {
		body := []byte(`{"items":[`)
		for i := range size {
			if i > 0 {
				body = append(body, ',')
			}
			body = s.appendBulkItem(body, key)
		}
		return append(body, `]}`...)
	}
}

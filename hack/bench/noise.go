package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

const (
	// noiseConnections is how many clients submit beside the noise.
	noiseConnections = 64
	// repeaters repeat one key, reporters ask for reports of today.
	repeaters, reporters = 16, 20
	// storedKeys is how many idempotency keys there are already.
	storedKeys = 200_000
	// The least rates of everybody else beside them, to their rate without.
	besideRepeaters, besideReporters = 0.9, 0.8
)

// measureNoise measures what a few clients do to the submissions of all others, where
// the running day has many events.
func measureNoise(ctx context.Context, o options, r *report) error {
	s, err := newGame(ctx, httpPlayers)
	if err != nil {
		return err
	}
	defer s.Close()

	// The last 23 hours and some, whatever the time is.
	since := time.Now().UTC().Truncate(time.Hour).Add(-23 * time.Hour)
	if err := s.fillSince(ctx, since, o.events); err != nil {
		return err
	}
	if err := s.startServer(ctx, o.server); err != nil {
		return err
	}
	if err := s.meet(ctx, s.server); err != nil {
		return err
	}

	first, last := since.Format(time.DateOnly), time.Now().UTC().Format(time.DateOnly)
	noises := []struct {
		name    string
		callers int
		target  float64
		request func(ctx context.Context, i int) (*http.Request, error)
	}{
		{"nobody", 0, 0, nil},
		{fmt.Sprintf("%d clients that repeat one key", repeaters), repeaters, besideRepeaters, func(ctx context.Context, _ int) (*http.Request, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+submitCall.path, bytes.NewReader([]byte(`{"score":1}`)))
			if err != nil {
				return nil, err
			}
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Idempotency-Key", "one")
			request.Header.Set("Authorization", "Bearer "+s.Players[0].Token)
			return request, nil
		}},
		{fmt.Sprintf("%d callers of a report of the last day", reporters), reporters, besideReporters, func(ctx context.Context, i int) (*http.Request, error) {
			// Questions of their own, so that no answer is shared.
			url := fmt.Sprintf("%s/v1/reports/top_players?start_date=%s&end_date=%s&limit=%d", s.server.URL, first, last, 1+i)
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return nil, err
			}
			request.Header.Set("Authorization", "Bearer "+s.Players[i].Token)
			return request, nil
		}},
	}

	t := r.table("Submissions beside others", fmt.Sprintf("%d players; %d events of the last day, and %d keys. %d connections submit; each load ran for %s, in turn in short rounds.",
		httpPlayers, o.events, storedKeys, noiseConnections, o.duration), "beside", "submissions/s", "p99, ms", "failed", "answers to the others/s")
	sums := make([]*tally, len(noises))
	answers := make([]atomic.Int64, len(noises))
	l := load{call: submitCall, connections: noiseConnections, duration: o.duration}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: noiseConnections, MaxConnsPerHost: noiseConnections}}
	defer client.CloseIdleConnections()
	for i := range sums {
		sums[i] = &tally{program: s.server, client: client}
	}

	if err := s.round(ctx, &tally{program: s.server, client: client}, l, warmUp); err != nil {
		return err
	}
	for range rounds {
		for i, noise := range noises {
			stop := makeNoise(ctx, noise.callers, &answers[i], noise.request)
			err := s.round(ctx, sums[i], l, o.duration/rounds)
			stop()
			if err != nil {
				return err
			}
		}
	}

	var alone float64
	for i, noise := range noises {
		f := sums[i].figures()
		r.line(t, noise.name, number(f.Rate), milliseconds(f.P99), fmt.Sprint(f.Failed), number(float64(answers[i].Load())/o.duration.Seconds()))
		if alone == 0 {
			alone = f.Rate
			continue
		}
		r.atLeast("submit rate beside "+noise.name+" / alone", f.Rate/alone, "", noise.target)
	}
	return nil
}

// makeNoise has callers ask as fast as they are answered, until stop is called.
func makeNoise(ctx context.Context, callers int, answers *atomic.Int64, request func(ctx context.Context, i int) (*http.Request, error)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			for ctx.Err() == nil {
				r, err := request(ctx, i)
				if err != nil {
					return
				}
				if _, _, err := send(r, ""); err == nil { // 429 and 503 are answers, too
					answers.Add(1)
				}
			}
		})
	}
	return func() { cancel(); group.Wait() }
}

// fillSince stores events since then and idempotency keys, and rolls the events up as a
// server does that has been running.
func (s *game) fillSince(ctx context.Context, since time.Time, events int) error {
	ledger, err := postgres.Open(ctx, postgres.Options{URL: s.Postgres.URL(s.Database)})
	if err != nil {
		return err
	}
	defer ledger.Close()

	configured, err := leaderboard.ParseBoards([]byte(boards))
	if err != nil {
		return err
	}
	catalog, err := ledger.SyncBoards(ctx, configured)
	if err != nil {
		return err
	}

	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	if err := insertToday(ctx, conn, catalog, since, events); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `INSERT INTO idempotency_keys (player, key, fingerprint, event, expires_at)
		SELECT 1 + i % $1, gen_random_uuid(), gen_random_uuid(), i, now() + interval '1 day' FROM generate_series(1, $2) i`, httpPlayers, storedKeys)
	if err != nil {
		return fmt.Errorf("store idempotency keys: %w", err)
	}

	if err := ledger.RollUpRecent(ctx); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE")
	return err
}

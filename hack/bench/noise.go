package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// noiseConnections is how many clients submit beside the noise.
	noiseConnections = 64
	// repeaters repeat one key, reporters ask for reports of today, listers for lists.
	repeaters, reporters, listers = 16, 20, 16
	// storedKeys is how many idempotency keys there are already.
	storedKeys = 200_000
	// The least rates of everybody else beside them, to their rate without.
	besideRepeaters, besideReporters = 0.9, 0.8
)

// measureNoise measures what a few clients do to the submissions of all others, where
// the day that began at midnight has many events.
func (s *game) measureNoise(ctx context.Context, o options, r *report, midnight time.Time) error {
	if err := s.storeKeys(ctx); err != nil {
		return err
	}
	if err := s.startServer(ctx, o.server); err != nil {
		return err
	}
	if err := s.meet(ctx, s.server); err != nil {
		return err
	}

	today, zone := dayFrom(midnight)
	noises := []*noise{
		{name: "nobody"},
		// What as many more clients cost that do nothing special: the cores are shared with them, too.
		{name: fmt.Sprintf("%d more clients without a key", repeaters), callers: repeaters, request: func(ctx context.Context, i int) (*http.Request, error) {
			return s.submission(ctx, i, "")
		}},
		{name: fmt.Sprintf("%d clients that repeat one key", repeaters), callers: repeaters, target: besideRepeaters, request: func(ctx context.Context, _ int) (*http.Request, error) {
			return s.submission(ctx, 0, "one")
		}},
		{name: fmt.Sprintf("%d callers of a list of %d players", listers, leaderboard.MaxListed), callers: listers, request: func(ctx context.Context, i int) (*http.Request, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+"/v1/boards/global/entries/list", bytes.NewReader(s.list(leaderboard.MaxListed)))
			if err != nil {
				return nil, err
			}
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer "+s.Players[i].Token)
			return request, nil
		}},
		{name: fmt.Sprintf("%d callers of a report of today", reporters), callers: reporters, target: besideReporters, request: func(ctx context.Context, i int) (*http.Request, error) {
			// Each is a player of its own with a question of its own, so that no answer is shared.
			address := fmt.Sprintf("%s/v1/reports/top_players?start_date=%s&end_date=%[2]s&time_zone=%s&limit=%d", s.server.URL, today, url.QueryEscape(zone), 1+i)
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
			if err != nil {
				return nil, err
			}
			request.Header.Set("Authorization", "Bearer "+s.Players[i].Token)
			return request, nil
		}},
	}

	t := r.table("Submissions beside others", fmt.Sprintf("%d players; %d events of the running day, and %d keys. %d connections submit; each load ran for %s, in turn in short rounds.",
		yearPlayers, o.events, storedKeys, noiseConnections, o.duration), "beside", "submissions/s", "p99, ms", "failed", "answers to the others/s", "refusals/s")
	sums := make([]*tally, len(noises))
	l := load{call: submitCall, connections: noiseConnections, duration: o.duration}
	client := newClient(noiseConnections)
	defer client.CloseIdleConnections()
	for i := range sums {
		sums[i] = &tally{program: s.server, client: client}
	}

	if err := s.round(ctx, &tally{program: s.server, client: client}, l, warmUp); err != nil {
		return err
	}
	for range rounds {
		for i, n := range noises {
			stop := n.start(ctx)
			err := s.round(ctx, sums[i], l, o.duration/rounds)
			if err := errors.Join(err, stop()); err != nil {
				return err
			}
		}
	}

	var alone float64
	for i, n := range noises {
		f := sums[i].figures()
		r.line(t, n.name, number(f.Rate), milliseconds(f.P99), fmt.Sprint(f.Failed),
			number(float64(n.answered.Load())/sums[i].elapsed.Seconds()), number(float64(n.refused.Load())/sums[i].elapsed.Seconds()))
		if n.callers == 0 {
			alone = f.Rate
			continue
		}

		name := "submit rate beside " + n.name + " / alone"
		if n.target == 0 {
			r.inform(name, f.Rate/alone, "")
		} else {
			r.atLeast(name, f.Rate/alone, n.target)
		}
	}
	return nil
}

// submission makes the i-th player's, with a key unless it is empty.
func (s *game) submission(ctx context.Context, i int, key string) (*http.Request, error) {
	body := submitCall.body()
	if key != "" {
		body = []byte(`{"score":1}`) // a repetition is the same request
	}

	request, err := http.NewRequestWithContext(ctx, submitCall.method, s.server.URL+submitCall.path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+s.Players[i].Token)
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}

	return request, nil
}

// dayFrom returns the day that begins at a full hour, and the time zone in which it does.
func dayFrom(midnight time.Time) (day, zone string) {
	east := -midnight.UTC().Hour()
	if east < -12 {
		east += 24
	}

	day = midnight.UTC().Add(time.Duration(east) * time.Hour).Format(time.DateOnly)
	return day, fmt.Sprintf("Etc/GMT%+d", -east) // named by how far it is to the west
}

// noise is what callers do beside a load, and how they were answered.
type noise struct {
	name    string
	callers int
	target  float64 // 0: none
	request func(ctx context.Context, i int) (*http.Request, error)

	answered, refused atomic.Int64
}

// start has the callers ask as fast as they are answered, until stop is called. Being
// refused because there are too many of them is an answer, too.
func (n *noise) start(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	client := newClient(n.callers)

	for i := range n.callers {
		group.Go(func() error {
			for ctx.Err() == nil {
				request, err := n.request(ctx, i)
				if err != nil {
					return err
				}

				status, body, err := sendBy(client, request)
				switch {
				case ctx.Err() != nil: // stopped
				case err != nil:
					return err
				case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
					n.refused.Add(1)
				case status/100 == 2:
					n.answered.Add(1)
				default:
					return fmt.Errorf("%s: answered with %d %s", n.name, status, body)
				}
			}
			return nil
		})
	}

	return func() error {
		cancel()
		err := group.Wait()
		client.CloseIdleConnections()
		return err
	}
}

// storeKeys stores idempotency keys.
func (s *game) storeKeys(ctx context.Context) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	_, err = conn.Exec(ctx, `INSERT INTO idempotency_keys (player, key, fingerprint, event, expires_at)
		SELECT 1 + i % $1, gen_random_uuid(), gen_random_uuid(), i, now() + interval '1 day' FROM generate_series(1, $2) i`, yearPlayers, storedKeys)
	if err != nil {
		return fmt.Errorf("store idempotency keys: %w", err)
	}

	_, err = conn.Exec(ctx, "VACUUM ANALYZE idempotency_keys")
	return err
}

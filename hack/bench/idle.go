package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

const (
	// idleWarmUp is how long a game has had nothing to do before it counts, and
	// idleFor how long it is watched.
	idleWarmUp, idleFor = time.Minute, time.Minute
	// probePeriod is how often a kubelet asks whether a server is ready.
	probePeriod = 5 * time.Second
)

// measureIdle measures what a game of two replicas costs that nobody plays: of the
// stores what they use beyond what they do without a game.
func measureIdle(ctx context.Context, o options, r *report) error {
	s, err := newGame(ctx, 1000)
	if err != nil {
		return err
	}
	defer s.Close()

	alone, err := s.watchIdle(ctx, nil)
	if err != nil {
		return err
	}

	var servers []*site.Program
	for i := range 2 {
		// With the memory limit that the operator gives a server.
		p, err := s.Start(fmt.Sprintf("server-%d", i), o.server, func(string) []string { return []string{"serve"} }, map[string]string{"GOMEMLIMIT": "230MiB"})
		if err != nil {
			return err
		}
		if err := await(ctx, p); err != nil {
			return err
		}
		servers = append(servers, p)
	}
	http.DefaultClient.CloseIdleConnections()

	if err := probe(ctx, servers, idleWarmUp); err != nil {
		return err
	}
	share, err := s.watchIdle(ctx, servers)
	if err != nil {
		return err
	}

	var memory int64
	for _, p := range servers {
		bytes, err := residentBytes(p.PID())
		if err != nil {
			return err
		}
		memory += bytes
	}

	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	var sessions int
	err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&sessions)
	if err != nil {
		return fmt.Errorf("count the connections: %w", err)
	}

	t := r.table("An idle game of two replicas", fmt.Sprintf("Watched for %s after %s without a request but probes every %s; the stores without a game for %[1]s before.",
		idleFor, idleWarmUp, probePeriod), "", "servers, % of a core", "PostgreSQL, % of a core", "Redis, % of a core", "servers, MiB", "PostgreSQL connections")
	r.line(t, "no game", "", number(alone[1]), number(alone[2]), "", "")
	r.line(t, "an idle game", number(share[0]), number(share[1]), number(share[2]), number(float64(memory)/mebibyte), fmt.Sprint(sessions))
	r.atMost("idle game: PostgreSQL and Redis", share[1]+share[2]-alone[1]-alone[2], "% of a core", 0.1)
	r.atMost("idle game: PostgreSQL connections", float64(sessions), "", 3)
	r.atMost("idle game: its two servers", share[0], "% of a core", 0.3)
	r.atMost("idle game: its two servers' memory", float64(memory)/mebibyte, "MiB", 40)
	return nil
}

// watchIdle is what the servers, PostgreSQL and Redis use for idleFor, in % of a core.
func (s *game) watchIdle(ctx context.Context, servers []*site.Program) (share [3]float64, err error) {
	before, err := s.idleTimes(servers)
	if err != nil {
		return share, err
	}
	if err := probe(ctx, servers, idleFor); err != nil {
		return share, err
	}
	after, err := s.idleTimes(servers)
	if err != nil {
		return share, err
	}

	for i := range share {
		share[i] = 100 * float64(after[i]-before[i]) / float64(idleFor)
	}
	return share, nil
}

// probe asks the servers whether they are ready, for a time.
func probe(ctx context.Context, servers []*site.Program, d time.Duration) error {
	ticker := time.NewTicker(probePeriod)
	defer ticker.Stop()
	for range d / probePeriod {
		for _, p := range servers {
			if status, body, err := get(ctx, p.Ops+"/readyz", ""); err != nil || status != http.StatusOK {
				return fmt.Errorf("readiness was answered with %d %s: %w", status, body, err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// idleTimes are the CPU times so far of the servers, PostgreSQL and Redis.
func (s *game) idleTimes(servers []*site.Program) (times [3]time.Duration, err error) {
	for _, p := range servers {
		t, err := processTime(p.PID())
		if err != nil {
			return times, err
		}
		times[0] += t
	}
	if times[1], err = processTime(s.Postgres.PID()); err != nil {
		return times, err
	}
	times[2], err = processTime(s.Redis.PID())
	return times, err
}

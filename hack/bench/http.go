package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

// players of the HTTP part.
const httpPlayers = 100_000

// connectionCounts are how many clients there are at once.
var connectionCounts = []int{64, 256}

// httpTargets are the least ratios to the bare handler.
var httpTargets = map[string]map[int]float64{
	submitCall.name:    {64: 0.60, 256: 0.75},
	firstPageCall.name: {64: 0.90, 256: 0.90},
	ownRankCall.name:   {64: 0.70, 256: 0.70},
}

// measureHTTP compares the server with its own bare handler and with the stores'
// own benchmarks.
func measureHTTP(ctx context.Context, o options, r *report) error {
	s, err := newGame(ctx, httpPlayers)
	if err != nil {
		return err
	}
	defer s.Close()

	if err := s.startBare(ctx); err != nil {
		return err
	}
	if err := s.startServer(ctx, o.server); err != nil {
		return err
	}

	for _, p := range []*site.Program{s.bare, s.server} {
		if err := s.meet(ctx, p); err != nil {
			return err
		}
	}

	t := r.table("Requests", fmt.Sprintf("%d players. Each load ran for %s, the bare handler and the server in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.", httpPlayers, o.duration),
		figuresColumns...)
	var peak float64
	for _, connections := range connectionCounts {
		for _, c := range []call{submitCall, submitRaceCall, firstPageCall, deepPageCall, ownRankCall} {
			if !strings.HasPrefix(c.name, o.calls) {
				continue
			}

			bare, real, err := s.compareWithBare(ctx, r, t, load{call: c, connections: connections, duration: o.duration})
			if err != nil {
				return err
			}

			name, ratio := fmt.Sprintf("%s / bare handler, %d connections", c.name, connections), real.Rate/bare.Rate
			if target, ok := httpTargets[c.name][connections]; ok {
				r.atLeast(name, ratio, target)
			} else {
				r.inform(name, ratio, "")
			}

			if c.name == submitCall.name {
				peak = real.Rate
			}
		}
	}

	if o.calls != "" {
		return nil
	}

	// Passwords are hashed a few at a time: more connections only wait longer.
	bare, real, err := s.compareWithBare(ctx, r, t, load{call: loginCall, connections: 8, duration: o.duration})
	if err != nil {
		return err
	}

	r.inform("login / bare handler (both hash), 8 connections", real.Rate/bare.Rate, "")
	if err := s.compareStores(ctx, o, r, t); err != nil {
		return err
	}

	return s.halfOfPeak(ctx, o, r, t, int(peak/2))
}

// compareWithBare runs a load on the bare handler and on the server.
func (s *game) compareWithBare(ctx context.Context, r *report, t *table, l load) (bare, real figures, err error) {
	f, err := s.compare(ctx, l, s.bare, s.server)
	if err != nil {
		return bare, real, err
	}
	r.figures(t, l.name, l.connections, "bare handler", f[0])
	r.figures(t, l.name, l.connections, "server", f[1])
	return f[0], f[1], nil
}

// figuresColumns are those of a table whose lines [report.figures] writes.
var figuresColumns = []string{"load", "connections", "program", "requests/s", "p50", "p99", "p99.9", "failed",
	"CPU generator", "CPU server", "CPU PostgreSQL", "CPU Redis"}

func (r *report) figures(t *table, name string, connections int, program string, f figures) {
	us := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return number(float64(d) / float64(time.Microsecond))
	}
	r.line(t, name, fmt.Sprint(connections), program, number(f.Rate), milliseconds(f.P50), milliseconds(f.P99), milliseconds(f.P999), fmt.Sprint(f.Failed),
		us(f.Generator), us(f.Server), us(f.Postgres), us(f.Redis))
}

// compareStores runs what the stores themselves come with, for orientation.
func (s *game) compareStores(ctx context.Context, o options, r *report, t *table) error {
	for _, connections := range connectionCounts {
		var inserted inserts
		if err := s.pgbench(ctx, connections, 0, o.duration, &inserted); err != nil {
			return err
		}

		r.figures(t, "INSERT of one row", connections, "pgbench", inserted.figures())
		f, err := s.redisBenchmark(ctx, connections, "ZADD", "bench", "__rand_int__", "member:__rand_int__")
		if err != nil {
			return err
		}

		r.figures(t, "ZADD", connections, "redis-benchmark", f)
		if f, err = s.redisBenchmark(ctx, connections, "ZREVRANK", "bench", "member:__rand_int__"); err != nil {
			return err
		}

		r.figures(t, "ZREVRANK", connections, "redis-benchmark", f)
	}
	return nil
}

// halfOfPeak compares latencies in the open loop: requests come at a fixed rate,
// half of what the server can do.
func (s *game) halfOfPeak(ctx context.Context, o options, r *report, t *table, rate int) error {
	duration := max(2*o.duration, rounds*time.Second) // a percentile takes longer than a rate
	var inserted inserts
	insert := func(part time.Duration) error { return s.pgbench(ctx, 64, rate, part, &inserted) }

	// What of the latency is HTTP's and the generator's, on the same cores, the bare
	// handler tells.
	f, err := s.compareWith(ctx, load{call: submitCall, connections: 256, rate: rate, duration: duration}, insert, s.bare, s.server)
	if err != nil {
		return err
	}

	bare, real := f[0], f[1]
	pgbench := inserted.figures()
	r.figures(t, fmt.Sprintf("%s at %d/s", submitCall.name, rate), 256, "server", real)
	r.figures(t, fmt.Sprintf("%s at %d/s", submitCall.name, rate), 256, "bare handler", bare)
	r.figures(t, fmt.Sprintf("INSERT of one row at %d/s", rate), 64, "pgbench", pgbench)
	r.atMost("durable submit p99 / pgbench insert p99, at half of peak", float64(real.P99)/float64(pgbench.P99), "", 3)
	r.inform("bare handler p99 / pgbench insert p99, at half of peak", float64(bare.P99)/float64(pgbench.P99), "")

	return nil
}

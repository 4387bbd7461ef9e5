package main

import (
	"context"
	"fmt"
	"strings"
	"time"
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
	t := r.table("Requests", fmt.Sprintf("%d players. Each load ran twice for %s, the bare handler and the server in turn. Latencies in ms; CPU time of one request in microseconds.", httpPlayers, o.duration),
		"load", "connections", "program", "requests/s", "p50", "p99", "p99.9", "failed", "CPU generator", "CPU server", "CPU PostgreSQL", "CPU Redis")
	var peak float64
	for _, connections := range connectionCounts {
		for _, c := range []call{submitCall, submitRaceCall, firstPageCall, deepPageCall, ownRankCall} {
			if !strings.HasPrefix(c.name, o.calls) {
				continue
			}
			bare, real, err := s.compare(ctx, r, t, load{call: c, connections: connections, duration: o.duration})
			if err != nil {
				return err
			}
			name, ratio := fmt.Sprintf("%s / bare handler, %d connections", c.name, connections), real.Rate/bare.Rate
			if target, ok := httpTargets[c.name][connections]; ok {
				r.atLeast(name, ratio, "", target)
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
	bare, real, err := s.compare(ctx, r, t, load{call: loginCall, connections: 8, duration: o.duration})
	if err != nil {
		return err
	}
	r.inform("login / bare handler (both hash), 8 connections", real.Rate/bare.Rate, "")
	if err := s.compareStores(ctx, o, r, t); err != nil {
		return err
	}
	return s.halfOfPeak(ctx, o, r, t, int(peak/2))
}

// compare runs a load on the bare handler and on the server, twice in turn, so
// that a machine that slows down meets both.
func (s *game) compare(ctx context.Context, r *report, t *table, l load) (bare, real figures, err error) {
	for range 2 {
		b, err := s.run(ctx, s.bare, l)
		if err != nil {
			return bare, real, err
		}
		f, err := s.run(ctx, s.server, l)
		if err != nil {
			return bare, real, err
		}
		bare, real = bare.and(b), real.and(f)
	}
	r.figures(t, l.name, l.connections, "bare handler", bare)
	r.figures(t, l.name, l.connections, "server", real)
	return bare, real, nil
}

// and puts two runs of equal length together; of percentiles the worse.
func (f figures) and(g figures) figures {
	if f.Requests == 0 {
		return g
	}
	mean := func(a, b time.Duration) time.Duration { return (a + b) / 2 }
	return figures{Requests: f.Requests + g.Requests, Rate: (f.Rate + g.Rate) / 2, Failed: f.Failed + g.Failed,
		P50: max(f.P50, g.P50), P99: max(f.P99, g.P99), P999: max(f.P999, g.P999),
		Generator: mean(f.Generator, g.Generator), Server: mean(f.Server, g.Server), Postgres: mean(f.Postgres, g.Postgres), Redis: mean(f.Redis, g.Redis)}
}

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
		f, err := s.pgbench(ctx, connections, 0, o.duration)
		if err != nil {
			return err
		}
		r.figures(t, "INSERT of one row", connections, "pgbench", f)
		if f, err = s.redisBenchmark(ctx, connections, "ZADD", "bench", "__rand_int__", "member:__rand_int__"); err != nil {
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
	duration := 3 * o.duration
	real, err := s.run(ctx, s.server, load{call: submitCall, connections: 256, rate: rate, duration: duration})
	if err != nil {
		return err
	}
	// What of the latency is HTTP's and the generator's, on the same cores.
	bare, err := s.run(ctx, s.bare, load{call: submitCall, connections: 256, rate: rate, duration: duration})
	if err != nil {
		return err
	}
	insert, err := s.pgbench(ctx, 64, rate, duration)
	if err != nil {
		return err
	}
	r.figures(t, fmt.Sprintf("%s at %d/s", submitCall.name, rate), 256, "server", real)
	r.figures(t, fmt.Sprintf("%s at %d/s", submitCall.name, rate), 256, "bare handler", bare)
	r.figures(t, fmt.Sprintf("INSERT of one row at %d/s", rate), 64, "pgbench", insert)
	r.atMost("durable submit p99 / pgbench insert p99, at half of peak", float64(real.P99)/float64(insert.P99), "", 3)
	r.inform("bare handler p99 / pgbench insert p99, at half of peak", float64(bare.P99)/float64(insert.P99), "")
	return nil
}

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	// growthRate is low enough that nothing waits in a queue: latencies then show
	// the work itself.
	growthRate = 500
	million    = 1_000_000
	mebibyte   = 1 << 20
)

// grown is what a game of one size costs.
type grown struct {
	players       int
	submit, rank  figures
	redisPerEntry float64
	eventBytes    float64
	standingBytes float64
	memory        int64
	rebuild       time.Duration
	// answered counts the requests that were answered with 2xx while Redis was
	// being filled.
	answered int
}

// measureGrowth shows how costs grow with the number of players.
func measureGrowth(ctx context.Context, o options, r *report) error {
	t := r.table("Growth", fmt.Sprintf("Latencies in ms at %d requests a second, which is far from a queue. While the ranking is rebuilt, submissions and reads of other boards are answered; reads of the board itself are refused with Retry-After until it is whole.", growthRate),
		"players", "submit p50", "submit p99", "own rank p50", "own rank p99", "Redis B/entry", "PostgreSQL B/event", "PostgreSQL B/standing", "server MiB", "rebuild s", "answered while rebuilding")
	var all []grown
	for _, players := range o.sizes {
		g, err := grow(ctx, o, players)
		if err != nil {
			return fmt.Errorf("%d players: %w", players, err)
		}

		all = append(all, g)
		r.line(t, fmt.Sprint(players), milliseconds(g.submit.P50), milliseconds(g.submit.P99), milliseconds(g.rank.P50), milliseconds(g.rank.P99), number(g.redisPerEntry),
			number(g.eventBytes), number(g.standingBytes), number(float64(g.memory)/mebibyte), number(g.rebuild.Seconds()), fmt.Sprint(g.answered))
		if players == million {
			r.atMost("Redis bytes per entry, 1 million players", g.redisPerEntry, "B", 125)
			r.atMost("server memory, 1 million players", float64(g.memory)/mebibyte, "MiB", 64)
			r.atMost("rebuild of 1 million entries", g.rebuild.Seconds(), "s", 10)
		}
	}

	if len(all) > 1 {
		first, last := all[0], all[len(all)-1]
		name := fmt.Sprintf("own rank p50, %d / %d players", last.players, first.players)
		r.atMost(name, float64(last.rank.P50)/float64(first.rank.P50), "", 1.5)
	}

	return nil
}

func grow(ctx context.Context, o options, players int) (g grown, err error) {
	g.players = players
	s, err := newGame(ctx, players)
	if err != nil {
		return g, err
	}
	defer s.Close()

	empty, err := s.redisBytes(ctx)
	if err != nil {
		return g, err
	}
	if err := s.startServer(ctx, o.server); err != nil {
		return g, err
	}
	if err := s.await(ctx, players); err != nil {
		return g, err
	}

	full, err := s.redisBytes(ctx)
	if err != nil {
		return g, err
	}

	g.redisPerEntry = float64(full-empty) / float64(players)
	if err := s.meet(ctx, s.server); err != nil {
		return g, err
	}

	for _, one := range []struct {
		call
		figures *figures
	}{{ownRankCall, &g.rank}, {submitCall, &g.submit}} {
		f, err := s.compare(ctx, load{call: one.call, connections: 64, rate: growthRate, duration: o.duration}, s.server)
		if err != nil {
			return g, err
		}
		*one.figures = f[0]
	}

	if g.eventBytes, g.standingBytes, err = s.postgresBytes(ctx); err != nil {
		return g, err
	}
	if err := s.rebuild(ctx, &g); err != nil {
		return g, err
	}

	g.memory, err = residentBytes(s.server.PID())
	return g, err
}

// await waits until the ranking of global has all players.
func (s *game) await(ctx context.Context, players int) error {
	ctx, cancel := context.WithTimeout(ctx, rebuildPatience)
	defer cancel()

	for totalEntries(ctx, s.server) != int64(players) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the ranking did not get %d entries: %w\n%s", players, ctx.Err(), s.server.Tail())
		case <-time.After(10 * time.Millisecond):
		}
	}

	return nil
}

func (s *game) redisBytes(ctx context.Context) (bytes int64, err error) {
	client := s.Redis.Client()
	defer client.Close()

	info, err := client.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}

	_, err = fmt.Sscan(info["Memory"]["used_memory"], &bytes)
	return bytes, err
}

// postgresBytes are the sizes on disk of one event, without the block range index,
// which is next to nothing beside events in any number, and of one standing with its
// indexes.
func (s *game) postgresBytes(ctx context.Context) (event, standing float64, err error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	err = conn.QueryRow(ctx, `SELECT
		(SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree('score_events') WHERE isleaf)::float8 / greatest(1, (SELECT count(*) FROM score_events)),
		pg_total_relation_size('standings')::float8 / (SELECT count(*) FROM standings)`).Scan(&event, &standing)
	return event, standing, err
}

// rebuild empties Redis and waits until the ranking is whole again. Meanwhile a
// player submits, and reads the board race, one call after the other.
func (s *game) rebuild(ctx context.Context, g *grown) error {
	client := s.Redis.Client()
	defer client.Close()

	if err := client.FlushAll(ctx).Err(); err != nil {
		return err
	}

	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, rebuildPatience)
	defer cancel()

	for totalEntries(ctx, s.server) != int64(g.players) {
		// The board race is as empty as before and is back with the first tick.
		status, _, err := get(ctx, s.server.URL+"/v1/leaderboard/global?game_id=race", "")
		if err != nil {
			return err
		}

		if status == http.StatusOK {
			g.answered++
		}

		f, err := s.submitOnce(ctx)
		if err != nil {
			return err
		}

		if f {
			g.answered++
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("the ranking was not rebuilt: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}

	g.rebuild = time.Since(started)
	return nil
}

// submitOnce submits a score of a player who is online.
func (s *game) submitOnce(ctx context.Context) (acknowledged bool, err error) {
	status, err := post(ctx, s.server.URL+submitCall.path, s.Players[rand.IntN(len(s.Players))].Token, submitCall.body())
	return status == http.StatusOK, err
}

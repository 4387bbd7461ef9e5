package faults

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// count compares the ledger's events with what was submitted: every acknowledged
// submission is there once, every other one at most once, and nothing else is.
func (c *crowd) count(ctx context.Context, conn *pgx.Conn) (lost, doubled, foreign int, err error) {
	type key struct{ player, score int64 }
	stored := make(map[key]int)
	rows, err := conn.Query(ctx, "SELECT player, score FROM score_events")
	if err != nil {
		return 0, 0, 0, err
	}
	for rows.Next() {
		var k key
		if err := rows.Scan(&k.player, &k.score); err != nil {
			return 0, 0, 0, err
		}
		stored[k]++
	}
	if err := rows.Err(); err != nil {
		return 0, 0, 0, err
	}
	for _, s := range c.submissions {
		k := key{s.player, s.score}
		switch n := stored[k]; {
		case n == 0 && s.acknowledged:
			lost++
		case n > 1:
			doubled++
		}
		delete(stored, k)
	}
	return lost, doubled, len(stored), nil
}

// sameStandings verifies that the standings are the fold of the events.
func (w *world) sameStandings(ctx context.Context) error {
	ledger, err := postgres.Open(ctx, postgres.Options{URL: w.Postgres.URL(w.Database)})
	if err != nil {
		return err
	}
	defer ledger.Close()
	mismatches, err := ledger.Verify(ctx, 5)
	if err == nil && len(mismatches) > 0 {
		err = fmt.Errorf("standings are not the fold of their events: %v", mismatches)
	}
	return err
}

// boardSQL is a board in rank order, by nothing but the standings.
const boardSQL = `
	SELECT row_number() OVER (ORDER BY CASE b.board_order WHEN 'Descending' THEN -s.score ELSE s.score END, s.event), p.id::text, p.username, s.score, o.name
	FROM standings s JOIN boards b ON b.number = s.board JOIN players p ON p.number = s.player JOIN boards o ON o.number = s.origin
	WHERE b.name = $1 AND NOT s.removed ORDER BY 1`

// sameRanking waits until every replica's pages of a board are the standings, and
// returns the last difference once ctx ends.
func (w *world) sameRanking(ctx context.Context, conn *pgx.Conn, board string) error {
	rows, err := conn.Query(ctx, boardSQL, board)
	if err != nil {
		return err
	}
	want, err := pgx.CollectRows(rows, pgx.RowToStructByPos[gameclientEntry])
	if err != nil {
		return err
	}
	for _, r := range w.replicas {
		for {
			difference := r.compare(ctx, board, want)
			if difference == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s, board %s: %w", r.name, board, difference)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// gameclientEntry has the fields of [gameclient.Entry] in boardSQL's order.
type gameclientEntry gameclient.Entry

func (r *replica) compare(ctx context.Context, board string, want []gameclientEntry) error {
	const size = 100
	for first := 0; first <= len(want); first += size {
		page, err := r.client.Page(ctx, board, first/size+1, size)
		if err != nil {
			return err
		}
		part := want[first:min(first+size, len(want))]
		if page.TotalEntries != int64(len(want)) || len(page.Leaderboard) != len(part) {
			return fmt.Errorf("it has %d entries (%d on page %d) instead of %d", page.TotalEntries, len(page.Leaderboard), first/size+1, len(want))
		}
		for i, e := range page.Leaderboard {
			if e != gameclient.Entry(part[i]) {
				return fmt.Errorf("it has %+v instead of %+v", e, part[i])
			}
		}
	}
	return nil
}

// footprint is what a replica holds on to.
type footprint struct{ goroutines, postgres, redis int }

var metricLine = regexp.MustCompile(`(?m)^(go_goroutines|leaderboard_postgres_connections|leaderboard_redis_connections) (\d+)$`)

func (r *replica) footprint(ctx context.Context) (f footprint, err error) {
	body, err := r.ops(ctx, "/metrics")
	if err != nil {
		return f, err
	}
	for _, match := range metricLine.FindAllSubmatch(body, -1) {
		n, err := strconv.Atoi(string(match[2]))
		if err != nil {
			return f, err
		}
		switch string(match[1]) {
		case "go_goroutines":
			f.goroutines = n
		case "leaderboard_postgres_connections":
			f.postgres = n
		default:
			f.redis = n
		}
	}
	return f, nil
}

// sameFootprint waits until each replica holds on to no more than a bound: what its
// pools may keep, and a goroutine for each of a few idle connections.
func (w *world) sameFootprint(ctx context.Context) error {
	most := footprint{goroutines: 80, postgres: 8, redis: 30}
	for _, r := range w.replicas {
		r.client.Close()
		for {
			f, err := r.footprint(ctx)
			if err == nil && f.goroutines <= most.goroutines && f.postgres <= most.postgres && f.redis <= most.redis && f.goroutines > 0 {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s holds on to %+v, more than %+v (%w)", r.name, f, most, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

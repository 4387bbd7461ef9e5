package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

// verify has everybody pause and checks everything.
func (w *world) verify(ctx context.Context, c *crowd, tally *tally) error {
	c.turn.Lock()
	defer c.turn.Unlock()

	if err := w.await(ctx); err != nil {
		return err
	}

	conn, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	tally.checks++
	events, err := c.count(ctx, conn)
	if err != nil {
		return err
	}

	tally.lost, tally.doubled = events.lost, events.doubled
	if events != (counts{}) {
		err = fmt.Errorf("the ledger is not what was submitted: %+v", events)
	}

	c.mu.Lock()
	if len(c.violations) > 0 {
		err = errors.Join(err, fmt.Errorf("%d violations, the first of which are:\n%s", len(c.violations), strings.Join(c.violations[:min(10, len(c.violations))], "\n")))
	}

	c.mu.Unlock()
	// First, as the standings of both folds are the fold of the events.
	err = errors.Join(err, settle(ctx, func(ctx context.Context) error { return w.hasShifted(ctx, conn) }), w.sameStandings(ctx))
	for _, board := range append([]string{reviewed, limited}, boardNames...) {
		err = errors.Join(err, settle(ctx, func(ctx context.Context) error { return w.compare(ctx, conn, board) }))
	}
	err = errors.Join(err, settle(ctx, func(ctx context.Context) error { return w.compareHistories(ctx, conn) }))
	err = errors.Join(err, settle(ctx, func(ctx context.Context) error { return w.compareSegments(ctx, conn) }))
	err = errors.Join(err, settle(ctx, func(ctx context.Context) error { return w.compareMetadata(ctx, conn) }), w.checkLimits(ctx, conn))
	for _, board := range seasonBoards {
		err = errors.Join(err, settle(ctx, func(ctx context.Context) error { return w.compareSeasons(ctx, conn, board) }))
	}

	if failed := settle(ctx, func(ctx context.Context) error { return w.checkFootprint(ctx, conn) }); failed != nil {
		err = errors.Join(err, failed, w.keepGoroutines())
	}

	return errors.Join(err, w.quietLogs())
}

// counts is what is wrong with the ledger.
type counts struct {
	// lost submissions were acknowledged and are not there; doubled ones are there
	// twice; unrefused ones are there although they were refused; foreign events are
	// of nobody; misdescribed ones have other metadata than what came with them.
	lost, doubled, unrefused, foreign, misdescribed int
}

// count compares the ledger's events with what was submitted: every acknowledged
// submission is there once, every other one at most once, and nothing else is.
func (c *crowd) count(ctx context.Context, conn *pgx.Conn) (found counts, err error) {
	type key struct{ player, identity int64 }
	stored, metadata := make(map[key]int), make(map[key]string)
	rows, err := conn.Query(ctx, `SELECT e.player, coalesce(e.columns[2], e.score), coalesce(m.metadata, '')
		FROM score_events e LEFT JOIN event_metadata m ON m.event = e.id`)
	if err != nil {
		return found, err
	}

	for rows.Next() {
		var k key
		var described string
		if err := rows.Scan(&k.player, &k.identity, &described); err != nil {
			return found, err
		}
		stored[k]++
		metadata[k] = described
	}

	if err := rows.Err(); err != nil {
		return found, err
	}

	for _, s := range c.submissions {
		k := key{s.player, s.identity()}
		switch n := stored[k]; {
		case n == 0 && s.acknowledged:
			found.lost++
		case n > 1:
			found.doubled++
		case n > 0 && s.refused && !s.keyed:
			found.unrefused++
		case n > 0 && metadata[k] != string(s.metadata()):
			found.misdescribed++
		}
		delete(stored, k)
	}

	found.foreign = len(stored)
	return found, nil
}

// sameStandings verifies that the standings are the fold of the events.
func (w *world) sameStandings(ctx context.Context) error {
	ledger, err := postgres.Open(ctx, postgres.Options{URL: w.Postgres.URL(w.Database)})
	if err != nil {
		return err
	}
	defer ledger.Close()

	if _, err := ledger.LoadCatalog(ctx); err != nil {
		return err
	}
	// A leader at work may be ahead: then once more.
	for err := errors.New("not yet"); err != nil; {
		if err = catchup.SaveStandings(ctx, ledger); ctx.Err() != nil {
			return err
		}
	}

	mismatches, err := ledger.Verify(ctx, 5)
	if err == nil && len(mismatches) > 0 {
		err = fmt.Errorf("standings are not the fold of their events: %v", mismatches)
	}

	return err
}

// boardSQL is a board in rank order, by nothing but the standings.
const boardSQL = `
	SELECT CASE b.ranks WHEN 'Dense' THEN dense_rank() OVER (ORDER BY f.best, s.columns) ELSE row_number() OVER (ORDER BY f.best, s.columns, s.event) END,
		p.id::text, p.username, s.score, o.name
	` + standingsSQL + ` JOIN players p ON p.number = s.player JOIN boards o ON o.number = s.origin
	` + inRankOrder

// standingsSQL are the standings s of the board that inRankOrder names and sorts by.
const (
	standingsSQL = `FROM boards b JOIN seasons n ON n.board = b.number JOIN standings s ON s.board = b.number AND s.season = n.number
		CROSS JOIN LATERAL (SELECT CASE b.board_order WHEN 'Descending' THEN -s.score ELSE s.score END AS best) f`
	inRankOrder = "WHERE b.name = $1 AND NOT s.removed ORDER BY f.best, s.columns, s.event"
)

// settle repeats a check until it passes: what was given up may still be on its way.
// It returns what was wrong last once that took too long.
func settle(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()

	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // not what its end made of the check
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// compare checks that every replica's pages of a board, and what it tells each
// player, are the standings.
func (w *world) compare(ctx context.Context, conn *pgx.Conn, board string) error {
	rows, err := conn.Query(ctx, boardSQL, board)
	if err != nil {
		return err
	}

	want, err := pgx.CollectRows(rows, pgx.RowToStructByPos[boardEntry])
	if err != nil {
		return err
	}

	for _, r := range w.replicas {
		if err := r.comparePages(ctx, board, want); err != nil {
			return fmt.Errorf("board %s of %s: %w", board, r.name, err)
		}
		if err := r.compareRanks(ctx, board, want, w.Players); err != nil {
			return fmt.Errorf("board %s of %s: %w", board, r.name, err)
		}
	}

	return nil
}

// boardEntry has the fields of [gameclient.Entry] in boardSQL's order.
type boardEntry gameclient.Entry

func (r *replica) comparePages(ctx context.Context, board string, want []boardEntry) error {
	const size = 70 // no divisor of anything
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

// compareRanks asks for the rank of every player who is on the board.
func (r *replica) compareRanks(ctx context.Context, board string, want []boardEntry, players []site.Player) error {
	tokens := make(map[string]string, len(players))
	for _, p := range players {
		tokens[p.ID] = p.Token
	}

	var group errgroup.Group
	group.SetLimit(8)
	for _, e := range want {
		group.Go(func() error {
			got, err := r.client.Rank(ctx, tokens[e.UserID], board)
			if err == nil && got != gameclient.Entry(e) {
				err = fmt.Errorf("my_rank is %+v instead of %+v", got, e)
			}
			return err
		})
	}

	return group.Wait()
}

package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// checkpointChunk is how many standings one statement writes: some 50 ms.
	checkpointChunk = 5_000
	// checkpointStatements bounds one of them, far above what it takes, in ms.
	checkpointStatements = "60000"
)

// saveSQL joins standings of scorings that are not ordered to those that are there.
// What does not get better is found before it would be locked. Events up to counts_after are
// in what is there, as far as they count: see the recount.
const saveSQL = `
	INSERT INTO standings AS s (board, season, player, score, columns, event, last_event, origin, fold, reached_at, xid)
	SELECT i.board, i.season, i.player, i.score, i.columns::bigint[], i.event, i.event, i.origin, b.fold, i.reached_at, '0'
	FROM unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::timestamptz[], $8::text[]) AS i (board, season, player, score, event, origin, reached_at, columns)
	JOIN boards b ON b.number = i.board AND b.fold IN (0, 1, 2)
	LEFT JOIN standings o ON o.board = i.board AND o.season = i.season AND o.player = i.player
	WHERE o.player IS NULL OR i.event > o.counts_after AND (o.removed OR CASE b.fold WHEN 0 THEN i.event < o.event WHEN 2 THEN (i.score, coalesce(i.columns::bigint[], '{}'), i.event) < (o.score, coalesce(o.columns, '{}'), o.event)
		ELSE (-i.score, coalesce(i.columns::bigint[], '{}'), i.event) < (-o.score, coalesce(o.columns, '{}'), o.event) END)
	ORDER BY i.board, i.season, i.player
	ON CONFLICT (board, season, player) DO UPDATE SET score = excluded.score, columns = excluded.columns, event = excluded.event, last_event = excluded.last_event,
		origin = excluded.origin, previous_score = s.score, entered = false, version = s.version + 1, reached_at = excluded.reached_at, removed = false, xid = '0'
	WHERE excluded.event > s.counts_after AND (s.removed OR CASE s.fold WHEN 0 THEN excluded.event < s.event WHEN 2 THEN (excluded.score, coalesce(excluded.columns, '{}'), excluded.event) < (s.score, coalesce(s.columns, '{}'), s.event)
		ELSE (-excluded.score, coalesce(excluded.columns, '{}'), excluded.event) < (-s.score, coalesce(s.columns, '{}'), s.event) END)`

// Checkpoint says how far the standings are, and where the log begins. One of another
// history, see log_history() in the migrations, was restored from a dump.
func (l *Ledger) Checkpoint(ctx context.Context) (leaderboard.Checkpoint, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	var c leaderboard.Checkpoint
	if err := l.pool.QueryRow(ctx, "SELECT checkpoint, log_start FROM ledger_state").Scan(&c.Xid, &c.LogStart); err != nil {
		return c, unavailable("read the checkpoint of the standings", err)
	}

	return c, nil
}

// SaveStandings joins the fold of the events from <= xid < until to the standings
// and moves the checkpoint from from to until, in one transaction. It fails with
// nothing done where the checkpoint is elsewhere: somebody else has moved it; and where a
// player's standings were made again since the moderation recounted: what was folded has events
// that count no more, and maybe others joined to them.
// Standings of ordered scorings are left out: they are there already. It sorts
// standings.
func (l *Ledger) SaveStandings(ctx context.Context, from, until uint64, recounted int64, standings []leaderboard.Standing) error {
	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', $1, true)", checkpointStatements); err != nil {
			return err
		}

		tag, err := tx.Exec(ctx, "UPDATE ledger_state SET checkpoint = $2 WHERE checkpoint = $1 AND "+lastRecountSQL+" = $3", int64(from), int64(until), recounted)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errors.New("the checkpoint has been moved by somebody else, or a player was moderated")
		}

		// In the order of the key, as all who write standings.
		slices.SortFunc(standings, func(a, b leaderboard.Standing) int {
			return cmp.Or(cmp.Compare(a.Board, b.Board), cmp.Compare(a.Season, b.Season), cmp.Compare(a.Player, b.Player))
		})
		for start := 0; start < len(standings); start += checkpointChunk {
			if err := l.saveChunk(ctx, tx, standings[start:min(start+checkpointChunk, len(standings))]); err != nil {
				return err
			}
		}

		return nil
	})
	if err != nil {
		return fmt.Errorf("save the standings: %w", err)
	}

	return nil
}

func (l *Ledger) saveChunk(ctx context.Context, tx pgx.Tx, chunk []leaderboard.Standing) error {
	n := len(chunk)
	columns := rankedColumnsOf(l.Catalog(), chunk)
	boards, seasons, origins := make([]int32, n), make([]int32, n), make([]int32, n)
	players, scores, events := make([]int64, n), make([]int64, n), make([]int64, n)
	times := make([]*time.Time, n)
	for i, s := range chunk {
		boards[i], seasons[i], players[i] = s.Board, s.Season, s.Player
		scores[i], events[i], origins[i], times[i] = s.Score, s.Event, s.Origin, reachedAt(s)
	}

	_, err := tx.Exec(ctx, saveSQL, boards, seasons, players, scores, events, origins, times, columns)
	return err
}

// reachedAt is when the standing's score was reached; nil: it is not known.
func reachedAt(s leaderboard.Standing) *time.Time {
	if s.ReachedAt == 0 {
		return nil
	}
	at := time.UnixMicro(s.ReachedAt)
	return &at
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Snapshot returns the ledger's present point in history.
func (l *Ledger) Snapshot(ctx context.Context) (leaderboard.Snapshot, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	var s leaderboard.Snapshot
	err := l.pool.QueryRow(ctx, `SELECT ledger_identity(), pg_snapshot_xmin(pg_current_snapshot()), pg_snapshot_xmax(pg_current_snapshot())`).
		Scan(&s.Identity, &s.Xmin, &s.Xmax)
	if err != nil {
		return s, unavailable("read the ledger's snapshot", err)
	}

	return s, nil
}

// Read streams the standings that transactions from <= xid < until wrote last,
// in chunks of at most size, each valid until fn returns. until is the Xmin of an
// earlier Snapshot: what was written again since is then left out and will be
// read with a later range; or the greatest number, for all that is committed. board 0 means all boards. Memory is bounded by the
// chunk. The caller's context bounds the time.
func (l *Ledger) Read(ctx context.Context, board int32, from, until uint64, size int, fn func([]leaderboard.ChangedStanding) error) error {
	err := pgx.BeginTxFunc(ctx, l.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		// A whole board takes longer than the role's limit for requests.
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}

		sql := `SELECT board, season, player, score, event, origin, version, removed, xid::text::bigint FROM standings WHERE xid >= $1::text::xid8 AND xid < $2::text::xid8`
		// Planned each time: a whole board and the last moment want different plans.
		args := []any{pgx.QueryExecModeCacheDescribe, strconv.FormatUint(from, 10), strconv.FormatUint(until, 10)}
		if board != 0 {
			sql, args = sql+" AND board = $3", append(args, board)
		}

		if from == 0 {
			// A whole ranking is written twice as fast in rank order: Redis then works
			// at one end of its sorted set, in its processor's cache.
			if _, err := tx.Exec(ctx, "SET LOCAL work_mem = '64MB'"); err != nil {
				return err
			}
			sql += " ORDER BY score, event"
		}

		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()

		chunk := make([]leaderboard.ChangedStanding, 0, size)
		for rows.Next() {
			var s leaderboard.ChangedStanding
			if err := rows.Scan(&s.Board, &s.Season, &s.Player, &s.Score, &s.Event, &s.Origin, &s.Version, &s.Removed, &s.Xid); err != nil {
				return err
			}
			if chunk = append(chunk, s); len(chunk) == size {
				if err := fn(chunk); err != nil {
					return err
				}
				chunk = chunk[:0]
			}
		}

		if err := rows.Err(); err != nil || len(chunk) == 0 {
			return err
		}

		return fn(chunk)
	})
	if err != nil {
		return fmt.Errorf("read the standings: %w", err)
	}

	return nil
}

// RemoveEntry takes a player off a board: events up to now no longer count there,
// and a later submission starts afresh. Events stay in the ledger. The returned
// standing is what the ranking needs. CodeNotFound: the player has no entry.
func (l *Ledger) RemoveEntry(ctx context.Context, board leaderboard.LiveBoard, player int64) (leaderboard.Stored, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	var stored leaderboard.Stored
	s := leaderboard.Standing{Board: board.Number, Season: board.Season, Player: player, Removed: true}
	// The barrier is taken while the row is locked: a batch whose events are
	// numbered below it and that comes later to this row starts over.
	err := l.pool.QueryRow(ctx, `
		WITH locked AS MATERIALIZED (
			SELECT board, season, player FROM standings
			WHERE board = $1 AND season = $2 AND player = $3 AND NOT removed FOR UPDATE
		), barrier AS MATERIALIZED (
			SELECT locked.*, nextval('event_ids') AS event FROM locked
		)
		UPDATE standings s SET removed = true, counts_after = b.event, version = version + 1, xid = pg_current_xact_id()
		FROM barrier b WHERE (s.board, s.season, s.player) = (b.board, b.season, b.player)
		RETURNING s.score, s.event, s.origin, s.version, ledger_identity(), s.xid::text::bigint`,
		board.Number, board.Season, player).Scan(&s.Score, &s.Event, &s.Origin, &s.Version, &stored.Identity, &stored.Xid)

	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return stored, leaderboard.Errorf(leaderboard.CodeNotFound, "", "the player has no entry on board %s", board.Name)
	case err != nil:
		return stored, unavailable("remove an entry", err)
	}

	stored.Changed = []leaderboard.Standing{s}
	return stored, nil
}

// Mismatch is a standing that is not the fold of its events.
type Mismatch struct {
	leaderboard.EntryKey
	// Stored and Folded are "score@event", empty where there is none.
	Stored, Folded string
}

// verifySQL folds all events anew, in their order, and compares.
const verifySQL = `
	WITH counted AS (
		SELECT e.board, e.season, e.player, e.score, e.id, b.fold
		FROM score_events e JOIN boards b ON b.number = e.board
		UNION ALL
		SELECT 1, e.global_season, e.player, e.score, e.id, 1 FROM score_events e WHERE e.global_season IS NOT NULL AND e.board <> 1
	), kept AS (
		SELECT c.* FROM counted c LEFT JOIN standings s USING (board, season, player) WHERE c.id > coalesce(s.counts_after, 0)
	), folded AS (
		SELECT board, season, player, CASE min(fold)
			WHEN 1 THEN (array_agg(score || '@' || id ORDER BY score DESC, id))[1]
			WHEN 2 THEN (array_agg(score || '@' || id ORDER BY score, id))[1]
			WHEN 3 THEN (array_agg(score || '@' || id ORDER BY id DESC))[1]
			ELSE sum(score) || '@' || max(id) END AS standing
		FROM kept GROUP BY board, season, player
	)
	SELECT board, season, player, coalesce(s.score || '@' || s.event, ''), coalesce(f.standing, '')
	FROM folded f FULL JOIN (SELECT * FROM standings WHERE NOT removed) s USING (board, season, player)
	WHERE f.standing IS DISTINCT FROM s.score || '@' || s.event
	ORDER BY board, season, player LIMIT $1`

// Verify recomputes every standing from the events and returns up to limit
// standings that differ; none, if the ledger is sound. It reads everything: for
// tests and for operations at quiet hours, and only while no partition of events
// has been dropped.
func (l *Ledger) Verify(ctx context.Context, limit int) ([]Mismatch, error) {
	rows, err := l.pool.Query(ctx, verifySQL, limit)
	if err != nil {
		return nil, fmt.Errorf("verify the standings: %w", err)
	}

	mismatches, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Mismatch, err error) {
		err = row.Scan(&m.Board, &m.Season, &m.Player, &m.Stored, &m.Folded)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("verify the standings: %w", err)
	}

	return mismatches, nil
}

package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// erasedChunk is how many rows of a player who was erased one statement deletes, some 50 ms at
// most.
const erasedChunk = 5_000

// LastErasure is the number of the last erasure that is not finished; 0: all are.
func (l *Ledger) LastErasure(ctx context.Context) (last int64, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = l.pool.QueryRow(ctx, "SELECT coalesce(max(number), 0) FROM erasures WHERE finished_at IS NULL").Scan(&last)
	if err != nil {
		return 0, unavailable("look for players whose erasure is not finished", err)
	}
	return last, nil
}

// erasure is one that is not finished.
type erasure struct {
	ledger     *Ledger
	number     int64
	player     int64
	id         leaderboard.PlayerID
	registered time.Time
}

// FinishErasures deletes what is left of players who were erased, up to the erasure with a
// number: their idempotency keys, the metadata of their events, and what was written of them
// while they were erased. The caller knows that all
// transactions have ended that may not have known of these erasures. Any number of servers may
// do it at once, and it may be done again.
func (l *Ledger) FinishErasures(ctx context.Context, upTo int64) (finished int, err error) {
	erasures, err := l.unfinished(ctx, upTo)
	if err != nil {
		return 0, fmt.Errorf("finish erasures: %w", err)
	}
	for _, e := range erasures {
		if err := e.finish(ctx); err != nil {
			return finished, fmt.Errorf("finish erasure %d: %w", e.number, err)
		}
		finished++
	}
	return finished, nil
}

func (l *Ledger) unfinished(ctx context.Context, upTo int64) ([]erasure, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	rows, err := l.aside.Query(ctx, `SELECT e.number, e.player, a.player::text, e.registered FROM erasures e JOIN audit a ON a.number = e.record
		WHERE e.finished_at IS NULL AND e.number <= $1 ORDER BY e.number`, upTo)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (erasure, error) {
		e := erasure{ledger: l}
		err := row.Scan(&e.number, &e.player, &e.id, &e.registered)
		return e, err
	})
}

func (e erasure) finish(ctx context.Context) error {
	if err := e.deleteOwned(ctx); err != nil {
		return err
	}
	if err := e.clearMessages(ctx); err != nil {
		return fmt.Errorf("take the player out of messages to webhooks: %w", err)
	}
	if err := e.deleteKeys(ctx); err != nil {
		return err
	}

	// It only reads, next to the statements that delete: a transaction that writes would hold
	// back the watermarks of all games on the server.
	err := read(ctx, e.ledger.aside, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		var described bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM event_metadata)").Scan(&described); err != nil || !described {
			return err
		}
		for _, board := range e.ledger.Catalog().All() {
			if err := e.deleteDescribed(ctx, tx, board, progress); err != nil {
				return err
			}
		}
		return e.deleteDropped(ctx, tx, progress)
	})
	if err != nil {
		return err
	}

	ctx, cancel := e.ledger.deadline(ctx)
	defer cancel()
	_, err = e.ledger.pool.Exec(ctx, "UPDATE erasures SET finished_at = clock_timestamp(), registered = NULL WHERE number = $1", e.number)
	return err
}

// deleteOwned deletes once more what was written while the player was erased.
func (e erasure) deleteOwned(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()
	return deleteOwned(ctx, e.ledger.pool, e.player, e.id)
}

// clearMessages takes the player out of messages to webhooks, as [leaderboard.WebhookResult] is
// encoded. Those that are under way have it.
func (e erasure) clearMessages(ctx context.Context) error {
	_, err := e.exec(ctx, `
		UPDATE webhook_messages SET payload = regexp_replace(payload, '"user_id":"' || $1::text || '","username":"(\\.|[^"\\])*"(,"owner_(id|name)":"(\\.|[^"\\])*")*', '"user_id":null,"username":null', 'g')
		WHERE strpos(payload, $1::text) > 0`, string(e.id))
	return err
}

func (e erasure) deleteKeys(ctx context.Context) error {
	for {
		deleted, err := e.exec(ctx, `
			DELETE FROM idempotency_keys WHERE player = $1
				AND key = ANY (ARRAY(SELECT key FROM idempotency_keys WHERE player = $1 ORDER BY key LIMIT $2))`, e.player, erasedChunk)
		if err != nil || deleted < erasedChunk {
			return err
		}
	}
}

// exec runs one statement, bounded.
func (e erasure) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	tag, err := e.ledger.pool.Exec(ctx, sql, args...)
	return tag.RowsAffected(), err
}

// deleteDescribed deletes the metadata of events that were submitted to the board and are in the
// log.
func (e erasure) deleteDescribed(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, progress func()) error {
	r := &historyReader{tx: tx, query: leaderboard.HistoryQuery{Board: board, Player: e.player, From: e.registered.Add(-clockMargin)}, slice: historySlice}
	return r.eachSpan(ctx, func(s span) error {
		for from := s.from; from.Before(s.to); {
			to, begun := earliest(from.Add(r.slice), s.to), time.Now()
			rows, err := tx.Query(ctx, "SELECT id FROM score_events WHERE at >= $1 AND at < $2 AND player = $3 AND board = $4", from, to, e.player, board.Number)
			if err != nil {
				return err
			}
			events, err := pgx.CollectRows(rows, pgx.RowTo[int64])
			if err != nil {
				return err
			}
			r.adapt(time.Since(begun))
			from = to
			progress()
			if err := e.deleteMetadata(ctx, events, progress); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e erasure) deleteMetadata(ctx context.Context, events []int64, progress func()) error {
	for chunk := range slices.Chunk(events, erasedChunk) {
		if _, err := e.exec(ctx, "DELETE FROM event_metadata WHERE event = ANY ($1)", chunk); err != nil {
			return err
		}
		progress()
	}
	return nil
}

// deleteDropped deletes the metadata of events that retention has dropped, and of which the player
// has standings or results. That of others is nobody's: see collectMetadata.
func (e erasure) deleteDropped(ctx context.Context, tx pgx.Tx, progress func()) error {
	var cut bool
	if err := tx.QueryRow(ctx, "SELECT coalesce($1 < "+logBeginsSQL+", false)", e.registered).Scan(&cut); err != nil || !cut {
		return err
	}

	for _, sql := range []string{ownStandingsSQL, ownResultsSQL} {
		rows, err := tx.Query(ctx, sql, e.player)
		if err != nil {
			return err
		}
		events, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		progress()
		if err := e.deleteMetadata(ctx, events, progress); err != nil {
			return err
		}
	}
	return nil
}

// seasonsOfSQL lists the boards and seasons, segments included, that a table has rows of, by an
// index that begins with both: one look each.
const seasonsOfSQL = `
	WITH RECURSIVE pairs AS (
		(SELECT board, season FROM %[1]s ORDER BY board, season LIMIT 1)
		UNION ALL
		SELECT n.board, n.season FROM pairs CROSS JOIN LATERAL (
			SELECT board, season FROM %[1]s t WHERE (t.board, t.season) > (pairs.board, pairs.season) ORDER BY board, season LIMIT 1) n
	)`

// The events of all standings, and of all results, of the player $1.
var (
	ownStandingsSQL = fmt.Sprintf(seasonsOfSQL, "standings") + `
		SELECT s.event FROM pairs JOIN standings s USING (board, season) WHERE s.player = $1`
	ownResultsSQL = fmt.Sprintf(seasonsOfSQL, "result_players") + `
		SELECT r.events[(place - r.first_rank + 1)::int]
		FROM pairs
		CROSS JOIN LATERAL (
			SELECT players, ranks FROM result_players p
			WHERE p.board = pairs.board AND p.season = pairs.season AND p.first_player <= $1::bigint ORDER BY p.first_player DESC LIMIT 1
		) part
		CROSS JOIN LATERAL (SELECT part.ranks[array_position(part.players, $1::bigint)] AS place) found
		JOIN LATERAL (
			SELECT first_rank, events FROM result_ranks r
			WHERE r.board = pairs.board AND r.season = pairs.season AND r.first_rank <= place ORDER BY r.first_rank DESC LIMIT 1
		) r ON true
		WHERE place IS NOT NULL`
)

package postgres

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// keepDropped joins what is known of events that retention has dropped to the player's standings
// of all time: of scorings that are not ordered, the one that is stored. Where they depend on
// others of those, nobody can tell what they are: CodeLogCut.
func (r *recount) keepDropped(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, folded foldedPlayer, rules playerRules) error {
	removesAll := r.Action == leaderboard.Remove && board.Number == r.board.Number
	switch {
	case !r.cutBefore() || removesAll:
		return nil
	case r.Action == leaderboard.Restore, board.Scoring.Ordered() && r.touches(board):
		return r.logCut(board)
	}

	stored, err := storedOf(ctx, tx, board, r.player.Number)
	if err != nil {
		return err
	}
	for _, s := range stored {
		e := playersEvent{board: s.Origin}
		e.id = s.Event
		if !rules.count(&e, board.Number) {
			return r.logCut(board) // the next best one may have been dropped
		}
		// What is there is the best of all that counted before, and it still counts.
		if had, ok := folded.standings[s.EntryKey]; ok {
			s = board.Fold().Join(had, s)
		}
		folded.touched[s.EntryKey], folded.standings[s.EntryKey] = true, s
	}
	return nil
}

// touches says whether the events that cease to count, or count again, are on the board.
func (r *recount) touches(board leaderboard.LiveBoard) bool {
	return slices.ContainsFunc(r.events, func(e playersEvent) bool {
		return e.countedOn(board.Number) && (r.Event == 0 && e.countedOn(r.board.Number) || e.id == r.Event)
	})
}

// storedOf are the player's standings of a season of the board and of its segments.
func storedOf(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, player int64) ([]leaderboard.Standing, error) {
	seasons := "= $2"
	if board.Segmented {
		seasons = "IN (SELECT $2 UNION ALL SELECT segment_season($2, number) FROM attribute_values)"
	}
	rows, err := tx.Query(ctx, "SELECT "+standingSQL+" FROM standings WHERE board = $1 AND season "+seasons+" AND player = $3 AND NOT removed", board.Number, board.Season, player)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s leaderboard.Standing, err error) {
		scanned := standingRow{fold: board.Fold()}
		err = row.Scan(scanned.fields(&s)...)
		scanned.complete(&s)
		return s, err
	})
}

// standingWriter writes what a player has by now, of all events up to the last one.
type standingWriter struct {
	player, last int64
}

// rows are the touched rankings in the order of their numbers, with what the player has there;
// those in which there is nothing are not ranked.
func (f foldedPlayer) rows() (standings []leaderboard.Standing, none []bool) {
	keys := slices.SortedFunc(maps.Keys(f.touched), func(a, b leaderboard.EntryKey) int { return cmp.Compare(a.Season, b.Season) })
	for _, key := range keys {
		s, ok := f.standings[key]
		if !ok {
			s = leaderboard.Standing{EntryKey: key, Origin: key.Board}
		}
		standings, none = append(standings, s), append(none, !ok)
	}
	return standings, none
}

// writeStandings writes the standings of a ranking of the board and of its segments. Where there
// are none a row stays that keeps what is on its way from coming back, unless the scoring is
// ordered: those are made with the event, or not at all.
func (w *standingWriter) writeStandings(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, folded foldedPlayer) error {
	standings, none := folded.rows()
	if len(standings) == 0 {
		return nil
	}

	n := len(standings)
	seasons, scores, events, last, origins, times := make([]int32, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int32, n), make([]*time.Time, n)
	for i, s := range standings {
		seasons[i], scores[i], events[i], last[i], origins[i], times[i] = s.Season, s.Score, s.Event, s.Last, s.Origin, reachedAt(s)
	}
	if board.Scoring.Ordered() {
		_, err := tx.Exec(ctx, `
			DELETE FROM standings s USING unnest($3::int[], $4::boolean[]) AS i (season, none)
			WHERE i.none AND s.board = $1 AND s.season = i.season AND s.player = $2`, board.Number, w.player, seasons, none)
		if err != nil {
			return fmt.Errorf("delete the player's standings on board %s: %w", board.Name, err)
		}
	}

	_, err := tx.Exec(ctx, `
		INSERT INTO standings AS s (board, season, player, score, event, last_event, origin, reached_at, columns, removed, counts_after, fold, xid)
		SELECT $1, i.season, $2, i.score, i.event, i.last, i.origin, i.reached_at, i.columns::bigint[], i.none, $3, b.fold, '0'
		FROM unnest($4::int[], $5::bigint[], $6::bigint[], $7::bigint[], $8::int[], $9::timestamptz[], $10::text[], $11::boolean[])
			AS i (season, score, event, last, origin, reached_at, columns, none)
		JOIN boards b ON b.number = $1 AND NOT (b.fold >= 3 AND i.none)
		ORDER BY i.season
		ON CONFLICT (board, season, player) DO UPDATE SET score = excluded.score, event = excluded.event, last_event = excluded.last_event, origin = excluded.origin,
			reached_at = excluded.reached_at, columns = excluded.columns, removed = excluded.removed, counts_after = excluded.counts_after,
			previous_score = s.score, entered = false, version = s.version + 1, xid = '0'`,
		board.Number, w.player, w.last, seasons, scores, events, last, origins, times, rankedColumns(board.Board, standings), none)
	if err != nil {
		return fmt.Errorf("write the player's standings on board %s: %w", board.Name, err)
	}
	return nil
}

// writeResults writes what the player has in the results of a season that is over, and of its
// segments.
func (w *standingWriter) writeResults(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, folded foldedPlayer) error {
	standings, none := folded.rows()
	columns := rankedColumns(board.Board, standings)
	for i, s := range standings {
		var score, event *int64
		var origin *int32
		var literal any
		if !none[i] {
			score, event, origin = &s.Score, &s.Event, &s.Origin
			if columns != nil {
				literal = columns[i]
			}
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO result_changes (board, season, player, score, event, origin, reached_at, columns) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::bigint[])
			ON CONFLICT (board, season, player) DO UPDATE SET score = excluded.score, event = excluded.event, origin = excluded.origin,
				reached_at = excluded.reached_at, columns = excluded.columns`,
			board.Number, s.Season, w.player, score, event, origin, reachedAt(s), literal)
		if err != nil {
			return fmt.Errorf("write what the player has in season %d of board %s: %w", s.Season, board.Name, err)
		}
	}
	return nil
}

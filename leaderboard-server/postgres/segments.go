package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// segmentsOf is the condition that a number is that of a segment of the season $2.
const segmentsOf = "BETWEEN segment_season($2, 1023) AND segment_season($2, 1)"

// segmented says whether a submission to the board may count in segments.
func segmented(catalog *leaderboard.Catalog, board leaderboard.LiveBoard) bool {
	return len(board.Segments) > 0 || board.CountsTowardGlobal && len(catalog.Global().Segments) > 0
}

// syncSegments brings the segments of a board in line.
func syncSegments(ctx context.Context, tx pgx.Tx, board int32, b leaderboard.Board) error {
	for i, attribute := range b.Segments {
		_, err := tx.Exec(ctx, `
			INSERT INTO board_segments AS s (board, attribute, place, counts_from)
			SELECT $1, $2, $3, coalesce((SELECT this.applied_at + $4::interval FROM schema_migrations first, schema_migrations this
				WHERE first.version = 1 AND this.name = 'segments' AND this.applied_at > first.applied_at + $4::interval), '-infinity')
			ON CONFLICT (board, attribute) DO UPDATE SET place = excluded.place, active = true,
				returned = s.returned + CASE WHEN s.active THEN 0 ELSE 1 END`, board, attribute, i, upgradeTime)
		if err != nil {
			return fmt.Errorf("store segment %s of board %s: %w", attribute, b.Name, err)
		}
	}

	segments := append([]string{}, b.Segments...) // null is equal to nothing
	if _, err := tx.Exec(ctx, "UPDATE board_segments SET active = false WHERE board = $1 AND active AND attribute <> ALL ($2)", board, segments); err != nil {
		return fmt.Errorf("deactivate segments of board %s: %w", b.Name, err)
	}
	return nil
}

// readSegments adds what boards are split by.
func readSegments(ctx context.Context, tx pgx.Tx, boards map[int32]*leaderboard.LiveBoard) error {
	rows, err := tx.Query(ctx, "SELECT board, attribute, active, returned FROM board_segments ORDER BY board, place")
	if err != nil {
		return fmt.Errorf("query the segments: %w", err)
	}

	var board, returned int32
	var attribute string
	var active bool
	_, err = pgx.ForEachRow(rows, []any{&board, &attribute, &active, &returned}, func() error {
		b := boards[board]
		b.Segmented = true
		b.Returned += returned
		if active {
			b.Segments = append(b.Segments, attribute)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the segments: %w", err)
	}
	return nil
}

// segmentsSQL reads the standings of all segments of the board's season, one segment after the
// other, as standingsSQL reads those of the season.
func segmentsSQL(board leaderboard.LiveBoard, whose int) (sql string, args []any) {
	best, first, columns := rankOrder(board)
	i := slices.IndexFunc(board.Seasons, func(s leaderboard.Season) bool { return s.Number == board.Season })
	if i < 0 || board.Scoring.Ordered() {
		return "SELECT " + standingSQL + " FROM standings WHERE board = $1 AND season " + segmentsOf + " AND NOT removed" + whoseSQL("standings", whose) + " ORDER BY season, " + best + "event", []any{board.Number, board.Season}
	}
	return `SELECT $1::int, segment_season($2, value), player, score, id, id, board, at, columns FROM (
			SELECT DISTINCT ON (value, player) value, player, score, id, board, at, columns
			FROM (SELECT abs(v) AS value, player, score, id, board, at, ` + columns + ` AS columns
				FROM score_events CROSS JOIN unnest(segments) v
				WHERE at >= $3 AND at < $4 AND segments IS NOT NULL AND (board = $1 AND v > 0 OR $1 = 1 AND board <> 1 AND v < 0)
					AND ` + countsSQL("score_events", "$1") + whoseSQL("score_events", whose) + `) events
			ORDER BY value, player, ` + first + `id) folded
		ORDER BY value, ` + best + "id", []any{board.Number, board.Season, board.Seasons[i].Opens, board.Seasons[i].Closes}
}

// readRankings streams the standings of the board's season, and those of each of its segments.
func readRankings(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, whose, size int, fn func([]leaderboard.Standing) error) error {
	if err := readStandings(ctx, tx, board, whose, size, fn); err != nil || !board.Segmented {
		return err
	}
	sql, args := segmentsSQL(board, whose)
	return streamStandings(ctx, tx, board, sql, args, size, fn)
}

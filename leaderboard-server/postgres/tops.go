package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// rollupDepth is how many of a day's best players its rollup names. A report
// cannot list more. A larger number needs rollups made anew.
const rollupDepth = leaderboard.MaxReportLimit

// The statements that roll up have in common: $1 and $2 the first instants of the
// period and of the next one, $3 whether it is a long one. $4 is rollupDepth.

// foldTopsSQL folds a period's events by board and player. The arrays put the better
// score first and then the earlier event.
const foldTopsSQL = `
	WITH folded AS MATERIALIZED (
		SELECT e.board, e.player, count(*) AS submissions,
			max(ARRAY[CASE b.board_order WHEN 'Ascending' THEN -e.score ELSE e.score END, -e.id, e.score, e.board]) AS best,
			count(e.global_season) AS global_submissions,
			max(ARRAY[e.score, -e.id, e.score, e.board]) FILTER (WHERE e.global_season IS NOT NULL) AS global_best
		FROM score_events e JOIN boards b ON b.number = e.board
		WHERE e.at >= $1::timestamptz AND e.at < $2::timestamptz
		GROUP BY e.board, e.player
	), rolled AS MATERIALIZED (
		SELECT board, player, best, submissions FROM folded WHERE board <> 1
		UNION ALL
		SELECT 1, player, max(global_best), sum(global_submissions) FROM folded WHERE global_submissions > 0 GROUP BY player
	), best AS (SELECT board, player, best FROM rolled), counted AS (SELECT board, player, submissions FROM rolled), ` + packTopsSQL

// mergeTopsSQL merges the rollups of the short periods in a long one. $5 the board.
const mergeTopsSQL = `
	WITH best AS (
		SELECT t.board, u.player, max(ARRAY[CASE b.board_order WHEN 'Ascending' THEN -u.score ELSE u.score END, -u.event, u.score, u.origin]) AS best
		FROM {tops} t JOIN boards b ON b.number = t.board,
			unnest(t.players, t.scores, t.events, t.origins) AS u (player, score, event, origin)
		WHERE NOT t.{long} AND t.start >= {start} AND t.start < {past} AND t.board = $5
		GROUP BY t.board, u.player
	), counted AS (
		SELECT c.board, u.player, sum(u.submissions) AS submissions
		FROM {counts} c, unnest(c.players, c.counts) AS u (player, submissions)
		WHERE NOT c.{long} AND c.start >= {start} AND c.start < {past} AND c.board = $5
		GROUP BY c.board, u.player
	), ` + packTopsSQL

// packTopsSQL stores what the expressions best and counted hold. 64 and 100 players
// make rows of 2,000 and 1,300 bytes: as large as PostgreSQL keeps in one piece,
// and good to fill a page.
const packTopsSQL = `tops AS (
		INSERT INTO {tops} ({long}, start, board, place, players, scores, events, origins)
		SELECT $3::boolean, {start}, board, min(place), array_agg(player ORDER BY place), array_agg(best[3] ORDER BY place),
			array_agg(-best[2] ORDER BY place), array_agg(best[4]::int ORDER BY place)
		FROM (SELECT board, player, best, row_number() OVER (PARTITION BY board ORDER BY best DESC) - 1 AS place FROM best) t
		WHERE place < $4::bigint
		GROUP BY board, place / 64
	)
	INSERT INTO {counts} ({long}, start, board, first_player, players, counts)
	SELECT $3::boolean, {start}, board, min(player), array_agg(player ORDER BY player), array_agg(submissions::int ORDER BY player)
	FROM (SELECT board, player, submissions, (row_number() OVER (PARTITION BY board ORDER BY player) - 1) / 100 AS part FROM counted) t
	GROUP BY board, part`

func foldTops(ctx context.Context, tx pgx.Tx, t tier, from, to time.Time) error {
	_, err := tx.Exec(ctx, t.sql(foldTopsSQL), from, to, false, rollupDepth)
	return err
}

// mergeTops merges board by board, so that one statement stays small.
func mergeTops(ctx context.Context, tx pgx.Tx, t tier, from, to time.Time) error {
	rows, err := tx.Query(ctx, t.sql("SELECT DISTINCT board FROM {tops} WHERE NOT {long} AND start >= {start} AND start < {past}"), from, to)
	if err != nil {
		return fmt.Errorf("list the boards: %w", err)
	}

	boards, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return fmt.Errorf("list the boards: %w", err)
	}

	for _, board := range boards {
		if _, err := tx.Exec(ctx, t.sql(mergeTopsSQL), from, to, true, rollupDepth, board); err != nil {
			return fmt.Errorf("board %d: %w", board, err)
		}
	}

	return nil
}

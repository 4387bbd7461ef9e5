package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// topPlayersSQL reports the best players by the best event in a range of time.
// $1 board (1, global: every event that counted toward it), $2 and $3 the range,
// $4 the limit, $5 -1 for an ascending board, else 1. The array puts the better
// score first and then the earlier event.
const topPlayersSQL = `
	SELECT row_number() OVER (ORDER BY t.best DESC), p.id::text, p.username, b.name, t.best[3], t.submissions
	FROM (
		SELECT player, max(ARRAY[$5 * score, -id, score, board]) AS best, count(*) AS submissions
		FROM score_events
		WHERE at >= $2 AND at < $3 AND CASE WHEN $1 = 1 THEN global_season IS NOT NULL ELSE board = $1 END
		GROUP BY player
		ORDER BY best DESC
		LIMIT $4
	) t
	JOIN players p ON p.number = t.player
	JOIN boards b ON b.number = t.best[4]
	ORDER BY t.best DESC`

// TopPlayers implements [leaderboard.Reports] straight over the events.
func (l *Ledger) TopPlayers(ctx context.Context, board leaderboard.LiveBoard, from, to time.Time, limit int) ([]leaderboard.ReportRow, error) {
	ctx, cancel := context.WithTimeout(ctx, l.options.ReportTimeout)
	defer cancel()
	sign := int64(1)
	if board.Order == leaderboard.Ascending {
		sign = -1
	}
	rows, err := l.pool.Query(ctx, topPlayersSQL, int64(board.Number), from, to, limit, sign)
	if err == nil {
		var report []leaderboard.ReportRow
		report, err = pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.ReportRow])
		if err == nil {
			return report, nil
		}
	}
	if sqlState(err) == "57014" || ctx.Err() != nil {
		return nil, leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the report took too long: ask for fewer days").
			WithCause(fmt.Errorf("report the top players: %w", err))
	}
	return nil, unavailable("report the top players", err)
}

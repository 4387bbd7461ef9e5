package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// topPlayersSQL reports the best players by the best event in a range of time.
// $1 board (1, global: every event that counted toward it), $2 the limit, $3 -1 for
// an ascending board, else 1; and the parts of the range: $4 months, $5 days, $10 hours
// and $11 quarter hours that are rolled up, $6 to $7 and $8 to $9 instants whose events
// are read. The arrays put the better score first and then the earlier event.
//
// Of each rollup its best $2 players are enough. Events have one order, best first.
// Say that a player is among the best $2 of the range by an event of some month, but
// not among the best $2 of the month. Then that many others have a better event in
// that month, so also in the range, where the player is then not among the best $2.
const topPlayersSQL = `
	WITH edges AS MATERIALIZED (
		SELECT player, max(ARRAY[$3 * score, -id, score, board]) AS best, count(*) AS submissions
		FROM (
			SELECT * FROM score_events WHERE at >= $6 AND at < $7
			UNION ALL
			SELECT * FROM score_events WHERE at >= $8 AND at < $9{periods}
		) e
		WHERE CASE WHEN $1 = 1 THEN global_season IS NOT NULL ELSE board = $1 END{event counts}
		GROUP BY player
	), rollups AS (
		SELECT true AS monthly, unnest($4::date[]) AS start
		UNION ALL
		SELECT false, unnest($5::date[])
	), recent AS (
		SELECT true AS hourly, unnest($10::timestamptz[]) AS start
		UNION ALL
		SELECT false, unnest($11::timestamptz[])
	), top AS MATERIALIZED (
		SELECT player, max(best) AS best
		FROM (
			SELECT player, best FROM edges
			UNION ALL
			SELECT u.player, ARRAY[$3 * u.score, -u.event, u.score, u.origin]
			FROM rollups JOIN report_tops t USING (monthly, start),
				unnest(t.players, t.scores, t.events, t.origins) AS u (player, score, event, origin)
			WHERE t.board = $1 AND t.place < {depth}{kept}
			UNION ALL
			SELECT u.player, ARRAY[$3 * u.score, -u.event, u.score, u.origin]
			FROM recent JOIN report_recent_tops t USING (hourly, start),
				unnest(t.players, t.scores, t.events, t.origins) AS u (player, score, event, origin)
			WHERE t.board = $1 AND t.place < {depth}{kept recent}
		) t
		GROUP BY player
		ORDER BY best DESC
		LIMIT $2
	)
	SELECT row_number() OVER (ORDER BY t.best DESC), p.id::text, p.username, ` + ownerSQL + `, b.name, t.best[3],
		coalesce(e.submissions, 0) + (
			SELECT coalesce(sum(c.counts[array_position(c.players, t.player)]), 0)
			FROM rollups r, LATERAL (
				SELECT players, counts FROM report_counts
				WHERE monthly = r.monthly AND start = r.start AND board = $1 AND first_player <= t.player{kept of}
				ORDER BY first_player DESC LIMIT 1
			) c
		) + (
			SELECT coalesce(sum(c.counts[array_position(c.players, t.player)]), 0)
			FROM recent r, LATERAL (
				SELECT players, counts FROM report_recent_counts
				WHERE hourly = r.hourly AND start = r.start AND board = $1 AND first_player <= t.player{kept recent of}
				ORDER BY first_player DESC LIMIT 1
			) c
		)
	FROM top t
	LEFT JOIN edges e ON e.player = t.player
	JOIN players p ON p.number = t.player ` + joinOwnerSQL + `
	JOIN boards b ON b.number = t.best[4]
	ORDER BY t.best DESC`

// TopPlayers implements [leaderboard.Reports]: what is rolled up of the range from
// the rollups, the rest from its events. Callers must not change the rows, which
// they may share.
func (l *Ledger) TopPlayers(ctx context.Context, board leaderboard.LiveBoard, from, to time.Time, limit int) ([]leaderboard.ReportRow, error) {
	key := reportKey{board: board.Number, from: from.UnixMicro(), to: to.UnixMicro(), limit: limit}
	return l.recentReports.get(ctx, key, func(ctx context.Context) ([]leaderboard.ReportRow, error) {
		ctx, cancel := context.WithTimeout(ctx, l.options.ReportTimeout)
		defer cancel()

		leave, err := l.reports.Enter(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()

		report, err := l.topPlayers(ctx, board, from, to, limit)
		switch {
		case err == nil:
			return report, nil
		case leaderboard.CodeOf(err) == leaderboard.CodeOutOfRange:
			return nil, err
		case sqlState(err) == stateQueryCanceled || ctx.Err() != nil:
			return nil, leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the report took too long: ask for fewer days").
				WithCause(fmt.Errorf("report the top players: %w", err))
		}

		return nil, unavailable("report the top players", err)
	})
}

// reportSettings keep a report to the one process that its connection stands for:
// parallel workers would be further ones. Compiling takes longer than a report.
const reportSettings = "set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true)"

func (l *Ledger) topPlayers(ctx context.Context, board leaderboard.LiveBoard, from, to time.Time, limit int) (report []leaderboard.ReportRow, err error) {
	content, read := tops, bestPlayers
	if board.Scoring != leaderboard.Best {
		content, read = folds, foldedPlayers
	}

	// In one snapshot: what the progress names must be there.
	err = pgx.BeginTxFunc(ctx, l.aside, oneSnapshot, func(tx pgx.Tx) error {
		done, err := content.beginReport(ctx, tx)
		if err != nil {
			return err
		}

		of, err := reportOf(ctx, tx, board, done.split(from, to), limit)
		if err != nil {
			return err
		}
		report, err = read(ctx, tx, board, of, limit)
		return err
	})
	return report, err
}

// beginReport returns how far the rollups are made, and makes the settings.
func (k kind) beginReport(ctx context.Context, tx pgx.Tx) (done progress, err error) {
	sql := fmt.Sprintf("SELECT d.since, days_until, months_until, r.since, hours_until, quarters_until, %s FROM %s d, %s r",
		reportSettings, daysAndMonths(k).sql("{progress}"), quartersAndHours(k).sql("{progress}"))
	err = tx.QueryRow(ctx, sql).Scan(&done.since, &done.daysUntil, &done.monthsUntil, &done.recentSince, &done.hoursUntil, &done.quartersUntil, nil, nil)
	return done, err
}

// bestPlayers reports by the best event of each player.
func bestPlayers(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, r moderatedReport, limit int) ([]leaderboard.ReportRow, error) {
	rows, err := tx.Query(ctx, r.sql.Replace(topPlayersSQL), r.arguments(board, limit)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.ReportRow])
}

// arguments are those of the statements of reports.
func (s split) arguments(board leaderboard.LiveBoard, limit int) []any {
	sign := int64(1)
	if board.Order == leaderboard.Ascending {
		sign = -1
	}
	return []any{int64(board.Number), limit, sign, s.months, s.days, s.before.from, s.before.to, s.after.from, s.after.to, s.hours, s.quarters}
}

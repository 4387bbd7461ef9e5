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
// an ascending board, else 1; and the parts of the range: $4 months and $5 days that
// are rolled up, $6 to $7 and $8 to $9 instants whose events are read. The arrays
// put the better score first and then the earlier event.
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
			SELECT * FROM score_events WHERE at >= $8 AND at < $9
		) e
		WHERE CASE WHEN $1 = 1 THEN global_season IS NOT NULL ELSE board = $1 END
		GROUP BY player
	), rollups AS (
		SELECT true AS monthly, unnest($4::date[]) AS start
		UNION ALL
		SELECT false, unnest($5::date[])
	), top AS MATERIALIZED (
		SELECT player, max(best) AS best
		FROM (
			SELECT player, best FROM edges
			UNION ALL
			SELECT u.player, ARRAY[$3 * u.score, -u.event, u.score, u.origin]
			FROM rollups JOIN report_tops t USING (monthly, start),
				unnest(t.players, t.scores, t.events, t.origins) AS u (player, score, event, origin)
			WHERE t.board = $1 AND t.place < $2
		) t
		GROUP BY player
		ORDER BY best DESC
		LIMIT $2
	)
	SELECT row_number() OVER (ORDER BY t.best DESC), p.id::text, p.username, b.name, t.best[3],
		coalesce(e.submissions, 0) + (
			SELECT coalesce(sum(c.counts[array_position(c.players, t.player)]), 0)
			FROM rollups r, LATERAL (
				SELECT players, counts FROM report_counts
				WHERE monthly = r.monthly AND start = r.start AND board = $1 AND first_player <= t.player
				ORDER BY first_player DESC LIMIT 1
			) c
		)
	FROM top t
	LEFT JOIN edges e ON e.player = t.player
	JOIN players p ON p.number = t.player
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

		leave, err := l.reports.enter(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()

		report, err := l.topPlayers(ctx, board, from, to, limit)
		switch {
		case err == nil:
			return report, nil
		case sqlState(err) == "57014" || ctx.Err() != nil:
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
	sign := int64(1)
	if board.Order == leaderboard.Ascending {
		sign = -1
	}

	// In one snapshot: what the progress names must be there.
	err = pgx.BeginTxFunc(ctx, l.aside, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var done progress
		if err := tx.QueryRow(ctx, "SELECT since, days_until, months_until, "+reportSettings+" FROM report_progress").
			Scan(&done.since, &done.daysUntil, &done.monthsUntil, nil, nil); err != nil {
			return err
		}

		s := done.split(from, to)
		rows, err := tx.Query(ctx, topPlayersSQL, int64(board.Number), limit, sign, s.months, s.days, s.before.from, s.before.to, s.after.from, s.after.to)
		if err != nil {
			return err
		}

		report, err = pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.ReportRow])
		return err
	})
	return report, err
}

// progress says what is rolled up: the days from since to before daysUntil, and the
// whole months among them that start before monthsUntil. All are midnights of UTC.
type progress struct{ since, daysUntil, monthsUntil time.Time }

// split is a range of time in parts that neither overlap nor leave a gap.
type split struct {
	// months and days are rolled up; each is named by its first instant.
	months, days []time.Time
	// before and after are what is to be read from events; they may be empty.
	before, after interval
}

// interval is from <= t < to.
type interval struct{ from, to time.Time }

func (p progress) split(from, to time.Time) split {
	day := ceiling(latest(from, p.since), startOfDay, 0, 1)
	end := startOfDay(earliest(to, p.daysUntil))
	if !day.Before(end) {
		return split{before: interval{from, to}, after: interval{to, to}}
	}

	s := split{before: interval{from, day}, after: interval{end, to}}
	month := ceiling(day, startOfMonth, 1, 0)
	monthsEnd := startOfMonth(earliest(end, p.monthsUntil))

	for day.Before(end) {
		if !day.Before(month) && day.Before(monthsEnd) {
			s.months = append(s.months, day)
			day = day.AddDate(0, 1, 0)
		} else {
			s.days = append(s.days, day)
			day = day.AddDate(0, 0, 1)
		}
	}

	return s
}

func startOfDay(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func startOfMonth(t time.Time) time.Time {
	y, m, _ := t.UTC().Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
}

// ceiling is the first start of a period that is not before t.
func ceiling(t time.Time, start func(time.Time) time.Time, months, days int) time.Time {
	s := start(t)
	if s.Before(t) {
		s = s.AddDate(0, months, days)
	}
	return s
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

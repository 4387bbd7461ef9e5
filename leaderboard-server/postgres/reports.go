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
			SELECT * FROM score_events WHERE at >= $8 AND at < $9
		) e
		WHERE CASE WHEN $1 = 1 THEN global_season IS NOT NULL ELSE board = $1 END
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
			WHERE t.board = $1 AND t.place < $2
			UNION ALL
			SELECT u.player, ARRAY[$3 * u.score, -u.event, u.score, u.origin]
			FROM recent JOIN report_recent_tops t USING (hourly, start),
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
		) + (
			SELECT coalesce(sum(c.counts[array_position(c.players, t.player)]), 0)
			FROM recent r, LATERAL (
				SELECT players, counts FROM report_recent_counts
				WHERE hourly = r.hourly AND start = r.start AND board = $1 AND first_player <= t.player
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

		leave, err := l.reports.Enter(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()

		report, err := l.topPlayers(ctx, board, from, to, limit)
		switch {
		case err == nil:
			return report, nil
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
	sign := int64(1)
	if board.Order == leaderboard.Ascending {
		sign = -1
	}

	// In one snapshot: what the progress names must be there.
	err = pgx.BeginTxFunc(ctx, l.aside, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var done progress
		if err := tx.QueryRow(ctx, "SELECT d.since, days_until, months_until, r.since, hours_until, quarters_until, "+reportSettings+" FROM report_progress d, report_recent_progress r").
			Scan(&done.since, &done.daysUntil, &done.monthsUntil, &done.recentSince, &done.hoursUntil, &done.quartersUntil, nil, nil); err != nil {
			return err
		}

		s := done.split(from, to)
		rows, err := tx.Query(ctx, topPlayersSQL, int64(board.Number), limit, sign,
			s.months, s.days, s.before.from, s.before.to, s.after.from, s.after.to, s.hours, s.quarters)
		if err != nil {
			return err
		}

		report, err = pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.ReportRow])
		return err
	})
	return report, err
}

// progress says what is rolled up: the days from since to before daysUntil, and the
// whole months among them that start before monthsUntil; the quarter hours from
// recentSince to before quartersUntil, and the whole hours among them that start
// before hoursUntil. All but hoursUntil and quartersUntil are midnights of UTC.
type progress struct {
	since, daysUntil, monthsUntil          time.Time
	recentSince, hoursUntil, quartersUntil time.Time
}

// split is a range of time in parts that neither overlap nor leave a gap.
type split struct {
	// months, days, hours and quarters are rolled up; each is named by its first
	// instant.
	months, days, hours, quarters []time.Time
	// before and after are what is to be read from events; they may be empty.
	before, after interval
}

// interval is from <= t < to.
type interval struct{ from, to time.Time }

func (p progress) split(from, to time.Time) split {
	from, to = from.UTC(), to.UTC()
	p.recentSince, p.hoursUntil, p.quartersUntil = p.recentSince.UTC(), p.hoursUntil.UTC(), p.quartersUntil.UTC()
	if p.recentSince.After(p.daysUntil) || p.quartersUntil.Before(p.daysUntil) {
		// There would be a gap between the days and the quarter hours.
		p.recentSince, p.hoursUntil, p.quartersUntil = p.daysUntil, p.daysUntil, p.daysUntil
	}

	at, end := latest(from, p.since), earliest(to, p.quartersUntil)
	if at.Before(p.recentSince) {
		at = ceiling(at, startOfDay, 0, 1)
	} else if s := at.Truncate(quarter); s.Before(at) {
		at = s.Add(quarter)
	}
	if end.Before(p.recentSince) {
		end = startOfDay(end)
	} else {
		end = end.Truncate(quarter)
	}

	if !at.Before(end) {
		return split{before: interval{from, to}, after: interval{to, to}}
	}

	s := split{before: interval{from, at}, after: interval{end, to}}
	for at.Before(end) {
		at = s.take(p, at, end)
	}

	return s
}

// take adds the longest period that begins at this instant, and returns its end.
func (s *split) take(p progress, at, end time.Time) time.Time {
	month, day, hour := at.AddDate(0, 1, 0), at.AddDate(0, 0, 1), at.Add(time.Hour)
	switch {
	case at.Equal(startOfMonth(at)) && at.Before(p.monthsUntil) && !month.After(end):
		s.months = append(s.months, at)
		return month
	case at.Equal(startOfDay(at)) && !day.After(earliest(end, p.daysUntil)):
		s.days = append(s.days, at)
		return day
	case at.Equal(at.Truncate(time.Hour)) && !hour.After(earliest(end, p.hoursUntil)):
		s.hours = append(s.hours, at)
		return hour
	}

	s.quarters = append(s.quarters, at)
	return at.Add(quarter)
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

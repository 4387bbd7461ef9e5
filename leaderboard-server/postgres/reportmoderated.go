package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Rollups have every event, whether it counts or not, and every player, so that what is moderated
// can be taken back. A report of a board on which something was moderated passes over
//
//   - players who are left out of the board's rankings;
//   - what a player submitted before being taken off the board, in the rollups of periods from
//     before that;
//   - the rollups of periods in which an event is that does not count any more, or in which a
//     player was taken off the board: it reads the events of those.
//
// Of global, the rollups of a player do not tell what came from a board that the player was taken
// off: a report of days before that reads events alone.
type reportModeration struct {
	// at are when events came that do not count, and when players were taken off the board.
	at []time.Time
	// until is when a player was last taken off another board, of global; zero: none was.
	until time.Time
	// players bounds how many are passed over.
	players int
}

// readReportModeration reads what was moderated on the board; false: nothing.
func readReportModeration(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, from, to time.Time) (m reportModeration, moderated bool, err error) {
	var until *time.Time
	err = tx.QueryRow(ctx, `
		SELECT ARRAY(SELECT at FROM voids WHERE (board = $1 OR $1 = 1) AND at >= $2 AND at < $3
				UNION SELECT at FROM removals WHERE board = $1 AND at >= $2 AND at < $3),
			(SELECT max(at) FROM removals WHERE $1 = 1 AND board <> 1),
			(SELECT count(*) FROM (SELECT player FROM exclusions WHERE board IN (0, $1) UNION SELECT player FROM removals WHERE board = $1) p),
			EXISTS (SELECT FROM moderations)`, board.Number, from, to).Scan(&m.at, &until, &m.players, &moderated)
	if until != nil {
		m.until = *until
	}
	return m, moderated, err
}

// split leaves out of the rolled up periods those in which something was moderated, and returns
// them: their events are read.
func (m reportModeration) split(s split) (rest split, events []interval) {
	if s.before.from.Before(m.until) {
		return s.ofEvents(), nil
	}

	touched := func(start, end time.Time) bool {
		return slices.ContainsFunc(m.at, func(at time.Time) bool { return !at.Before(start) && at.Before(end) })
	}
	rest = split{before: s.before, after: s.after}
	days := slices.Clone(s.days)
	for _, month := range s.months {
		end := month.AddDate(0, 1, 0)
		if !touched(month, end) {
			rest.months = append(rest.months, month)
			continue
		}
		for day := month; day.Before(end); day = day.AddDate(0, 0, 1) {
			days = append(days, day)
		}
	}

	keep := func(starts []time.Time, length time.Duration) (kept []time.Time) {
		for _, start := range starts {
			if end := start.Add(length); touched(start, end) {
				events = append(events, interval{start, end})
			} else {
				kept = append(kept, start)
			}
		}
		return kept
	}
	rest.days, rest.hours, rest.quarters = keep(days, 24*time.Hour), keep(s.hours, time.Hour), keep(s.quarters, quarter)
	return rest, events
}

// The statements of reports where nothing was moderated, and where something was: $12 are how many
// places of each rollup are read, which is nothing to those that are read as a whole, and $13 and $14 the bounds of the periods whose events are.
var (
	reportOfAll = strings.NewReplacer("{periods}", "", "{event counts}", "", "{depth}", "$2", "{kept}", "", "{kept recent}", "",
		"{kept of}", "", "{kept recent of}", "", "{kept fold}", "", "{kept recent fold}", "")
	reportOfCounted = strings.NewReplacer(
		"{periods}", `
			UNION ALL
			SELECT e.* FROM unnest($13::timestamptz[], $14::timestamptz[]) AS period (begins, ends)
			CROSS JOIN LATERAL (SELECT * FROM score_events WHERE at >= begins AND at < ends OFFSET 0) e`,
		"{event counts}", " AND NOT "+excludedSQL("e.player")+" AND "+countsSQL("e", "$1"),
		"{depth}", "$12",
		"{kept}", keptSQL("u.player", "start::timestamp AT TIME ZONE 'UTC'"), "{kept recent}", keptSQL("u.player", "start"),
		"{kept of}", sinceRemovedSQL("t.player", "r.start::timestamp AT TIME ZONE 'UTC'"), "{kept recent of}", sinceRemovedSQL("t.player", "r.start"),
		"{kept fold}", " AND $12::int > 0"+keptSQL("player", "start::timestamp AT TIME ZONE 'UTC'"), "{kept recent fold}", keptSQL("player", "start"))
)

// keptSQL is the condition that a player's part of the rollup which begins at start is in the
// report.
func keptSQL(player, start string) string {
	return " AND NOT " + excludedSQL(player) + sinceRemovedSQL(player, start)
}

func sinceRemovedSQL(player, start string) string {
	return fmt.Sprintf(" AND NOT EXISTS (SELECT FROM removals m WHERE m.player = %s AND m.board = $1 AND m.at > %s)", player, start)
}

// moderatedReport is what a report has to read where something was moderated.
type moderatedReport struct {
	split
	events []interval
	depth  int
	sql    *strings.Replacer
}

// reportOf says what a report of a range has to read.
func reportOf(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, s split, limit int) (moderatedReport, error) {
	r := moderatedReport{split: s, depth: limit, sql: reportOfAll}
	m, moderated, err := readReportModeration(ctx, tx, board, s.before.from, s.after.to)
	if err != nil || !moderated {
		return r, err
	}

	r.sql = reportOfCounted
	r.split, r.events = m.split(s)
	// As without moderation, of each rollup so many are enough as are wanted and passed over.
	if r.depth = limit + m.players; r.depth > rollupDepth && board.Scoring == leaderboard.Best {
		r.depth = rollupDepth
		short, err := r.tooShallow(ctx, tx, board, limit)
		if err != nil {
			return r, err
		}
		if short {
			r.split, r.events = s.ofEvents(), nil
		}
	}
	return r, nil
}

// tooShallow says whether a rollup may lack players who would be in the report, as too many of
// those that it names are passed over.
func (r moderatedReport) tooShallow(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, limit int) (short bool, err error) {
	err = tx.QueryRow(ctx, reportOfCounted.Replace(`
		SELECT EXISTS (
			SELECT FROM (SELECT true AS monthly, unnest($2::date[]) AS start UNION ALL SELECT false, unnest($3::date[])) p
			JOIN report_tops t USING (monthly, start), unnest(t.players) AS u (player)
			WHERE t.board = $1 GROUP BY monthly, start HAVING count(*) >= $7 AND count(*) FILTER (WHERE true{kept}) < $6
			UNION ALL
			SELECT FROM (SELECT true AS hourly, unnest($4::timestamptz[]) AS start UNION ALL SELECT false, unnest($5::timestamptz[])) p
			JOIN report_recent_tops t USING (hourly, start), unnest(t.players) AS u (player)
			WHERE t.board = $1 GROUP BY hourly, start HAVING count(*) >= $7 AND count(*) FILTER (WHERE true{kept recent}) < $6)`),
		board.Number, r.months, r.days, r.hours, r.quarters, limit, rollupDepth).Scan(&short)
	return short, err
}

// arguments are those of the statements of reports.
func (r moderatedReport) arguments(board leaderboard.LiveBoard, limit int) []any {
	args := r.split.arguments(board, limit)
	if r.sql == reportOfAll {
		return args
	}

	begins, ends := make([]time.Time, len(r.events)), make([]time.Time, len(r.events))
	for i, period := range r.events {
		begins[i], ends[i] = period.from, period.to
	}
	return append(args, r.depth, begins, ends)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

const (
	yearDays    = 365
	yearPlayers = 100_000
	// reportTarget is the most that a report over a year may take.
	reportTarget = 100 * time.Millisecond
	// reportRepeats is how often a report is read; the median counts.
	reportRepeats = 9
)

// measureYear compares reports over 365 days with the query over the events that
// they stand for. Players come at random, so that a player's day is mostly a single
// event: the least that rollups can save.
func measureYear(ctx context.Context, o options, r *report) error {
	s, err := newGame(ctx, yearPlayers)
	if err != nil {
		return err
	}
	defer s.Close()

	ledger, catalog, conn, closeAll, err := s.openLedger(ctx, postgres.Options{ReportTimeout: rebuildPatience})
	if err != nil {
		return err
	}
	defer closeAll()

	first := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -yearDays)
	if err := insertYear(ctx, conn, catalog, first, o.events); err != nil {
		return err
	}

	started := time.Now()
	if err := ledger.Maintain(ctx); err != nil {
		return err
	}

	rollup := time.Since(started)
	if _, err := conn.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}

	eventBytes, rollupBytes, err := yearBytes(ctx, conn, o.events)
	if err != nil {
		return err
	}

	t := r.table("Reports over a year", fmt.Sprintf("%d events of %d players over %d days, read from rollups and straight from the events, with equal results; times in ms. An event takes %s B, its rollups %s B more; rolling up took %.1f s a day.",
		o.events, yearPlayers, yearDays, number(eventBytes), number(rollupBytes), rollup.Seconds()/yearDays), "board", "rows", "report", "plain query", "plain / report")
	for _, name := range []string{"race", leaderboard.GlobalBoard} {
		for _, limit := range []int{leaderboard.DefaultReportLimit, leaderboard.MaxReportLimit} {
			board, err := catalog.Lookup(name)
			if err != nil {
				return err
			}

			took, plain, err := compareReports(ctx, ledger, conn, board, first.AddDate(0, 0, 1), limit)
			if err != nil {
				return err
			}

			r.line(t, name, fmt.Sprint(limit), milliseconds(took), milliseconds(plain), number(float64(plain)/float64(took)))
			if limit == leaderboard.DefaultReportLimit && name == leaderboard.GlobalBoard {
				r.atMost(fmt.Sprintf("report of %d rows over %d days and %d events", limit, yearDays, o.events), float64(took)/float64(time.Millisecond), "ms", float64(reportTarget/time.Millisecond))
				r.inform("the same from the events", float64(plain)/float64(time.Millisecond), "ms")
			}
		}
	}

	return measureFolds(ctx, o, r, ledger, conn, catalog, first)
}

// measureFolds measures reports over the same events as if the board had another scoring:
// every player of every period counts then.
func measureFolds(ctx context.Context, o options, r *report, ledger *postgres.Ledger, conn *pgx.Conn, catalog *leaderboard.Catalog, first time.Time) error {
	board, err := catalog.Lookup("race")
	if err != nil {
		return err
	}

	t := r.table("Reports over a year of sums and the like", fmt.Sprintf("The same %d events, as if the board had another scoring; reports of %d rows, in ms.", o.events, leaderboard.DefaultReportLimit),
		"scoring", "report", "rolling up, us an event", "rollups, B an event")
	for _, scoring := range []leaderboard.Scoring{leaderboard.First, leaderboard.Latest, leaderboard.Sum, leaderboard.Count} {
		board.Scoring = scoring
		for _, sql := range []string{
			fmt.Sprintf("UPDATE boards SET scoring = '%s' WHERE number = %d", scoring, board.Number),
			"TRUNCATE report_folds",
			"UPDATE report_fold_progress f SET since = p.since, days_until = p.since, months_until = date_trunc('month', p.since + interval '1 month') FROM report_progress p",
		} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("change the scoring: %w", err)
			}
		}

		started := time.Now()
		if err := ledger.Maintain(ctx); err != nil {
			return err
		}
		rollup := time.Since(started)

		var bytes float64
		if _, err := conn.Exec(ctx, "VACUUM ANALYZE report_folds"); err != nil {
			return fmt.Errorf("vacuum the rollups: %w", err)
		}
		if err := conn.QueryRow(ctx, "SELECT pg_total_relation_size('report_folds')::float8").Scan(&bytes); err != nil {
			return fmt.Errorf("measure the rollups: %w", err)
		}

		took, _, err := timeReports(ctx, ledger, board, first.AddDate(0, 0, 1), leaderboard.DefaultReportLimit)
		if err != nil {
			return err
		}
		r.line(t, string(scoring), milliseconds(took), number(float64(rollup.Microseconds())/float64(o.events)), number(bytes/float64(o.events)))
	}

	return nil
}

// timeReports returns the median time of a report over a year, and the report.
func timeReports(ctx context.Context, ledger *postgres.Ledger, board leaderboard.LiveBoard, from time.Time, limit int) (took time.Duration, got []leaderboard.ReportRow, err error) {
	var times []time.Duration
	for range reportRepeats {
		started := time.Now()
		if got, err = ledger.TopPlayers(ctx, board, from, from.AddDate(0, 0, yearDays), limit); err != nil {
			return 0, nil, err
		}
		times = append(times, time.Since(started))
	}

	slices.Sort(times)
	return times[len(times)/2], got, nil
}

// compareReports returns the median time of a report and the time of the plain query.
func compareReports(ctx context.Context, ledger *postgres.Ledger, conn *pgx.Conn, board leaderboard.LiveBoard, from time.Time, limit int) (took, plain time.Duration, err error) {
	took, got, err := timeReports(ctx, ledger, board, from, limit)
	if err != nil {
		return 0, 0, err
	}

	started := time.Now()
	want, err := plainTopPlayers(ctx, conn, board, from, from.AddDate(0, 0, yearDays), limit)
	plain = time.Since(started)
	if err == nil && (len(got) != limit || !slices.Equal(got, want)) {
		err = errors.New("the report differs from the plain query")
	}

	return took, plain, err
}

// plainTopPlayers is a report by the best scores straight over the events: what a faster one
// must equal.
func plainTopPlayers(ctx context.Context, conn *pgx.Conn, board leaderboard.LiveBoard, from, to time.Time, limit int) ([]leaderboard.ReportRow, error) {
	sign := int64(1)
	if board.Order == leaderboard.Ascending {
		sign = -1
	}

	rows, err := conn.Query(ctx, `
		SELECT row_number() OVER (ORDER BY t.best DESC), p.id::text, p.username, '', '', b.name, t.best[3], t.submissions
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
		ORDER BY t.best DESC`, int64(board.Number), from, to, limit, sign)
	if err != nil {
		return nil, err
	}

	return pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.ReportRow])
}

// insertYear stores events in the order of time up to now, in a partition a month.
func insertYear(ctx context.Context, conn *pgx.Conn, catalog *leaderboard.Catalog, first time.Time, events int) error {
	statements := []string{
		fmt.Sprintf("UPDATE report_progress SET since = '%[1]s', days_until = '%[1]s', months_until = date_trunc('month', date '%[1]s' + interval '1 month')", first.Format(time.DateOnly)),
	}
	thisMonth := time.Now().UTC()
	for month := first.AddDate(0, 0, 1-first.Day()); month.Year() != thisMonth.Year() || month.Month() != thisMonth.Month(); month = month.AddDate(0, 1, 0) {
		statements = append(statements, fmt.Sprintf("CREATE TABLE score_events_%s PARTITION OF score_events FOR VALUES FROM ('%s+00') TO ('%s+00')",
			month.Format("200601"), month.Format(time.DateOnly), month.AddDate(0, 1, 0).Format(time.DateOnly)))
	}

	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the partitions of a year: %w", err)
		}
	}

	return insertEvents(ctx, conn, catalog, first, events)
}

// insertEvents stores events of race in the order of time from then up to now, and puts
// the checkpoint of the standings behind them: catch-up has folded them long ago.
func insertEvents(ctx context.Context, conn *pgx.Conn, catalog *leaderboard.Catalog, from time.Time, events int) error {
	board, err := catalog.Lookup("race")
	if err != nil {
		return err
	}

	for _, sql := range []string{
		"SET synchronous_commit = off",
		// Without looking for the board of each: that takes most of the time.
		"SET session_replication_role = replica",
		fmt.Sprintf(`INSERT INTO score_events (id, at, player, score, board, global_season, xid)
			SELECT i, timestamptz '%s' + (now() - timestamptz '%[1]s') * (i::float8 / %d), 1 + floor(random() * %d), floor(random() * 1e9), %d, 1, (SELECT log_xid())
			FROM generate_series(1, %[2]d) i`, from.Format(time.RFC3339), events, yearPlayers, board.Number),
		"RESET session_replication_role",
		fmt.Sprintf("SELECT setval('event_ids', %d)", events),
		"UPDATE ledger_state SET checkpoint = log_xid()",
		"VACUUM ANALYZE",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("store %d events: %w", events, err)
		}
	}

	return nil
}

// yearBytes is what an event and its rollups take on disk.
func yearBytes(ctx context.Context, conn *pgx.Conn, events int) (event, rollup float64, err error) {
	err = conn.QueryRow(ctx, `SELECT
		(SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('score_events'))::float8 / $1::int,
		(SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relname ~ '^report_(tops|counts)' AND relkind = 'r')::float8 / $1::int`, events).Scan(&event, &rollup)
	return event, rollup, err
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

// todayTarget is the most that a report of the running day may take.
const todayTarget = 200 * time.Millisecond

// measureToday measures reports of the running day, and submissions beside them and
// beside others, where the day has many events: they take minutes to roll up, once. The
// day is of a time zone in which it has just under an hour left, so that the figures do
// not depend on when they are taken.
func measureToday(ctx context.Context, o options, r *report) error {
	s, err := newGame(ctx, yearPlayers)
	if err != nil {
		return err
	}
	defer s.Close()

	midnight := time.Now().UTC().Truncate(time.Hour).Add(-23 * time.Hour)
	if err := s.reportsOfToday(ctx, o, r, midnight); err != nil {
		return err
	}
	return s.measureNoise(ctx, o, r, midnight)
}

// reportsOfToday stores the day's events, rolls them up as a server does that has been
// running, and compares reports with the query over the events.
func (s *game) reportsOfToday(ctx context.Context, o options, r *report, midnight time.Time) error {
	ledger, catalog, conn, closeAll, err := s.openLedger(ctx, postgres.Options{ReportTimeout: rebuildPatience})
	if err != nil {
		return err
	}
	defer closeAll()

	if err := insertEvents(ctx, conn, catalog, midnight, o.events); err != nil {
		return err
	}

	started := time.Now()
	if err := ledger.RollUpRecent(ctx); err != nil {
		return err
	}

	rollup := time.Since(started)
	if _, err := conn.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}

	t := r.table("Reports of the running day", fmt.Sprintf("%d events of %d players in the 23 hours and some of a day, read from rollups and straight from the events, with equal results; times in ms. Rolling up took %.1f s.",
		o.events, yearPlayers, rollup.Seconds()), "board", "rows", "report", "plain query", "plain / report")
	for _, name := range []string{"race", leaderboard.GlobalBoard} {
		for _, limit := range []int{leaderboard.DefaultReportLimit, leaderboard.MaxReportLimit} {
			board, err := catalog.Lookup(name)
			if err != nil {
				return err
			}

			took, plain, err := compareReports(ctx, ledger, conn, board, midnight, limit)
			if err != nil {
				return err
			}

			r.line(t, name, fmt.Sprint(limit), milliseconds(took), milliseconds(plain), number(float64(plain)/float64(took)))
			if limit == leaderboard.DefaultReportLimit && name == leaderboard.GlobalBoard {
				r.atMost(fmt.Sprintf("report of today, %d rows, %d events", limit, o.events), float64(took)/float64(time.Millisecond), "ms", float64(todayTarget/time.Millisecond))
			}
		}
	}

	return nil
}

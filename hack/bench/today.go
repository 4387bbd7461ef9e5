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

// measureToday compares reports of the running day with the query over its events.
// The day is of a time zone in which it has just under an hour left, so that the
// figures do not depend on when they are taken.
func measureToday(ctx context.Context, o options, r *report) error {
	s, err := newGame(ctx, yearPlayers)
	if err != nil {
		return err
	}
	defer s.Close()

	ledger, err := postgres.Open(ctx, postgres.Options{URL: s.Postgres.URL(s.Database), ReportTimeout: rebuildPatience})
	if err != nil {
		return err
	}
	defer ledger.Close()

	configured, err := leaderboard.ParseBoards([]byte(boards))
	if err != nil {
		return err
	}

	catalog, err := ledger.SyncBoards(ctx, configured)
	if err != nil {
		return err
	}

	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	midnight := time.Now().UTC().Truncate(time.Hour).Add(-23 * time.Hour)
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

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

const (
	historyDays   = 30
	historyEvents = 3_000_000
	// historyReads is how many players' histories are read; the median counts.
	historyReads = 100
	// historyTarget is the most that a page of a history may take, reachedTarget what the
	// times of a page may.
	historyTarget = 50 * time.Millisecond
	reachedTarget = 3 * time.Millisecond
)

// measureHistory reads players' histories, and the times at which scores were reached, from
// a log of a month. Players come at random: no two events of one are near each other.
func measureHistory(ctx context.Context, _ options, r *report) error {
	s, err := newGame(ctx, yearPlayers)
	if err != nil {
		return err
	}
	defer s.Close()

	ledger, catalog, conn, closeAll, err := s.openLedger(ctx, postgres.Options{})
	if err != nil {
		return err
	}
	defer closeAll()

	board, err := catalog.Lookup("race")
	if err != nil {
		return err
	}
	if err := fillHistory(ctx, conn, ledger, catalog, board); err != nil {
		return err
	}

	t := r.table("A player's history, and when scores were reached", fmt.Sprintf("%d events of %d players over %d days; one call after the other. Times in ms.", historyEvents, yearPlayers, historyDays),
		"what", "p50", "p99")
	line := func(name string, read func(player int64) error) (p50 float64, err error) {
		var times []time.Duration
		for range historyReads {
			player := 1 + rand.Int64N(yearPlayers)
			started := time.Now()
			if err := read(player); err != nil {
				return 0, err
			}
			times = append(times, time.Since(started))
		}
		slices.Sort(times)
		r.line(t, name, milliseconds(times[len(times)/2]), milliseconds(times[len(times)*99/100]))
		return float64(times[len(times)/2]) / float64(time.Millisecond), nil
	}

	read := func(player int64, limit int, before *leaderboard.HistoryPlace) (leaderboard.HistoryPart, error) {
		return ledger.History(ctx, leaderboard.HistoryQuery{Board: board, Player: player, Limit: limit, Before: before})
	}
	newest, err := line("the newest 10 submissions", func(player int64) error { _, err := read(player, 10, nil); return err })
	if err != nil {
		return err
	}
	from := &leaderboard.HistoryPlace{At: time.Now().AddDate(0, 0, -historyDays/2)}
	if _, err := line("10 submissions from a fortnight ago", func(player int64) error { _, err := read(player, 10, from); return err }); err != nil {
		return err
	}
	if _, err := line("all, some 30", func(player int64) error { _, err := read(player, 1000, nil); return err }); err != nil {
		return err
	}

	entries, err := bestOf(ctx, conn, board)
	if err != nil {
		return err
	}
	var reached float64
	for _, size := range []int{10, 100} {
		p50, err := line(fmt.Sprintf("when %d scores were reached, of all time", size), func(int64) error {
			_, err := ledger.ReachedAt(ctx, timesOf(entries, size, leaderboard.Season{}))
			return err
		})
		if err != nil {
			return err
		}
		reached = max(reached, p50)
	}
	for _, days := range []int{1, 7} {
		season := leaderboard.Season{Number: 2, Opens: time.Now().AddDate(0, 0, -days), Closes: time.Now().AddDate(0, 0, 1)}
		if _, err := line(fmt.Sprintf("when 10 scores were reached, in a window of %d days", days), func(int64) error {
			_, err := ledger.ReachedAt(ctx, timesOf(entries, 10, season))
			if leaderboard.CodeOf(err) == leaderboard.CodeUnavailable {
				return nil // it takes too long, and the page goes out without the times
			}
			return err
		}); err != nil {
			return err
		}
	}

	r.atMost("the newest 10 submissions of a player, p50", newest, "ms", float64(historyTarget/time.Millisecond))
	r.atMost("when 100 scores were reached, p50", reached, "ms", float64(reachedTarget/time.Millisecond))
	return nil
}

// fillHistory stores the events, their rollups and the standings.
func fillHistory(ctx context.Context, conn *pgx.Conn, ledger *postgres.Ledger, catalog *leaderboard.Catalog, board leaderboard.LiveBoard) error {
	first := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -historyDays)
	if err := insertYear(ctx, conn, catalog, first, historyEvents); err != nil {
		return err
	}

	recent := first.AddDate(0, 0, historyDays-8).Format(time.DateOnly)
	for _, sql := range []string{
		fmt.Sprintf("UPDATE report_recent_progress SET since = '%[1]s+00', hours_until = '%[1]s+00', quarters_until = '%[1]s+00'", recent),
		fmt.Sprintf(`INSERT INTO standings (board, season, player, score, event, last_event, origin, fold, reached_at, xid)
			SELECT DISTINCT ON (player) board, 1, player, score, id, id, board, 1, at, '0' FROM score_events WHERE board = %d ORDER BY player, score DESC, id`, board.Number),
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("store the standings of a history: %w", err)
		}
	}
	if err := ledger.Maintain(ctx); err != nil {
		return err
	}
	if err := ledger.RollUpRecent(ctx); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "VACUUM ANALYZE")
	return err
}

// bestOf are some entries of the board.
func bestOf(ctx context.Context, conn *pgx.Conn, board leaderboard.LiveBoard) ([]leaderboard.ReachedQuery, error) {
	rows, err := conn.Query(ctx, "SELECT player, event FROM standings WHERE board = $1 AND season = 1 ORDER BY score DESC LIMIT 10000", board.Number)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (q leaderboard.ReachedQuery, err error) {
		q.Board, q.Rank = board, 1
		return q, row.Scan(&q.Player, &q.Event)
	})
}

// timesOf asks for some entries at random. Those of a window are of events that are nobody's
// best of all time, so that the log is read.
func timesOf(entries []leaderboard.ReachedQuery, n int, season leaderboard.Season) []leaderboard.ReachedQuery {
	queries := make([]leaderboard.ReachedQuery, n)
	for i := range queries {
		queries[i] = entries[rand.IntN(len(entries))]
		if season.Number != 0 {
			queries[i].Season = season
			queries[i].Board = queries[i].Board.In(season.Number)
			queries[i].Event = historyEvents - rand.Int64N(historyEvents/historyDays/2)
		}
	}
	return queries
}

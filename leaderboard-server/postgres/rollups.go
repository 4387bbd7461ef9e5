package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// rollupDepth is how many of a day's best players its rollup names. A report
	// cannot list more. A larger number needs rollups made anew.
	rollupDepth = leaderboard.MaxReportLimit
	// closingDelay is how long after its end a day is closed: more than clocks are
	// ever set back, or differ between a primary and the standby that takes over.
	closingDelay = 10 * time.Minute
	// rollupTimeout bounds one day or month. An event costs up to 11 us (measured by
	// make bench), so it is enough for 50 million a day.
	rollupTimeout = 10 * time.Minute
	// closingPoll is how often transactions that a day waits for are looked for.
	closingPoll = 50 * time.Millisecond
)

// tier is a pair of tables with rollups of two lengths: of short periods from
// events, and of long ones from the short ones.
type tier struct {
	tops, counts string
	// long is the column that says which length a rollup is of.
	long string
	// start is how the tables write the instant $1 at which a period begins.
	start string
}

var (
	daysAndMonths    = tier{"report_tops", "report_counts", "monthly", "(%s::timestamptz AT TIME ZONE 'UTC')::date"}
	quartersAndHours = tier{"report_recent_tops", "report_recent_counts", "hourly", "%s::timestamptz"}
)

// sql fills in the tier's names.
func (t tier) sql(text string) string {
	return strings.NewReplacer("{tops}", t.tops, "{counts}", t.counts, "{long}", t.long,
		"{start}", fmt.Sprintf(t.start, "$1"), "{past}", fmt.Sprintf(t.start, "$2")).Replace(text)
}

// The statements that roll up have in common: $1 and $2 the first instants of the
// period and of the next one, $3 whether it is a long one, $4 rollupDepth.

// foldSQL folds a period's events by board and player. The arrays put the better
// score first and then the earlier event.
const foldSQL = `
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
	), best AS (SELECT board, player, best FROM rolled), counted AS (SELECT board, player, submissions FROM rolled), ` + packSQL

// mergeSQL merges the rollups of the short periods in a long one. $5 the board.
const mergeSQL = `
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
	), ` + packSQL

// packSQL stores what the expressions best and counted hold. 64 and 100 players
// make rows of 2,000 and 1,300 bytes: as large as PostgreSQL keeps in one piece,
// and good to fill a page.
const packSQL = `tops AS (
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

// fold rolls a short period up from its events.
func (t tier) fold(ctx context.Context, tx pgx.Tx, from, to time.Time) error {
	if err := t.discard(ctx, tx, false, from); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, t.sql(foldSQL), from, to, false, rollupDepth); err != nil {
		return fmt.Errorf("roll up the events from %s: %w", from.Format(time.RFC3339), err)
	}
	return nil
}

// merge rolls a long period up from the short ones in it, board by board, so that
// one statement stays small.
func (t tier) merge(ctx context.Context, tx pgx.Tx, from, to time.Time) error {
	if err := t.discard(ctx, tx, true, from); err != nil {
		return err
	}

	rows, err := tx.Query(ctx, t.sql("SELECT DISTINCT board FROM {tops} WHERE NOT {long} AND start >= {start} AND start < {past}"), from, to)
	if err != nil {
		return fmt.Errorf("list the boards from %s: %w", from.Format(time.RFC3339), err)
	}

	boards, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return fmt.Errorf("list the boards from %s: %w", from.Format(time.RFC3339), err)
	}

	for _, board := range boards {
		if _, err := tx.Exec(ctx, t.sql(mergeSQL), from, to, true, rollupDepth, board); err != nil {
			return fmt.Errorf("merge the rollups from %s of board %d: %w", from.Format(time.RFC3339), board, err)
		}
	}

	return nil
}

// discard deletes a rollup that was made before progress was set back.
func (t tier) discard(ctx context.Context, tx pgx.Tx, long bool, from time.Time) error {
	for _, table := range []string{"{tops}", "{counts}"} {
		if _, err := tx.Exec(ctx, t.sql("DELETE FROM "+table+" WHERE start = {start} AND {long} = $2"), from, long); err != nil {
			return fmt.Errorf("delete the old rollup from %s: %w", from.Format(time.RFC3339), err)
		}
	}
	return nil
}

// rollUp makes the rollups of all closed days and whole months that are not made
// yet, each in a transaction of its own: it goes on where it was interrupted,
// shares the work with other replicas, and holds nothing that submissions wait for.
func (l *Ledger) rollUp(ctx context.Context) error {
	open, due, err := l.openDay(ctx)
	if err != nil {
		return err
	}

	if due {
		if err := l.awaitTransactions(ctx); err != nil {
			return fmt.Errorf("close the days before %s: %w", open.Format(time.DateOnly), err)
		}
	}

	return l.rollUpSteps(ctx, func(ctx context.Context, tx pgx.Tx) error { return rollUpDay(ctx, tx, open) }, rollUpMonth)
}

// rollUpSteps repeats each step until there is nothing for it to do.
func (l *Ledger) rollUpSteps(ctx context.Context, steps ...func(context.Context, pgx.Tx) error) error {
	for _, step := range steps {
		for {
			err := l.rollUpStep(ctx, step)
			if errors.Is(err, pgx.ErrNoRows) { // nothing is due, or another replica is at it
				break
			}
			if err != nil {
				return err
			}
		}
	}

	return nil
}

// openDay returns the first day that is not over for closingDelay yet, and
// whether there are days before it to be rolled up.
func (l *Ledger) openDay(ctx context.Context) (open time.Time, due bool, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = l.aside.QueryRow(ctx, `
		SELECT open, open > days_until
		FROM report_progress, LATERAL (SELECT (now() AT TIME ZONE 'UTC' - $1::interval)::date) t (open)`, closingDelay).Scan(&open, &due)
	if err != nil {
		return open, false, fmt.Errorf("look how far reports are rolled up: %w", err)
	}

	return open, due, nil
}

// runningSQL lists the transactions that might insert events. The time of an event
// is when its transaction started; a transaction is in this list from then on, while
// it has an xid only once it writes, so that snapshots do not tell.
const runningSQL = `
	SELECT l.virtualxid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()
		AND a.datname = current_database() AND has_table_privilege(a.usesysid, 'score_events', 'INSERT')
	UNION ALL
	SELECT gid FROM pg_prepared_xacts WHERE database = current_database()`

func (l *Ledger) running(ctx context.Context) ([]string, error) {
	rows, err := l.aside.Query(ctx, runningSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// awaitTransactions returns once every transaction has ended that runs now. After
// it a day that was over before is closed: what was inserted is visible, and
// nothing can be inserted any more.
func (l *Ledger) awaitTransactions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	ticker := time.NewTicker(closingPoll)
	defer ticker.Stop()

	var waiting map[string]bool
	for {
		running, err := l.running(ctx)
		if err != nil {
			return fmt.Errorf("look for running transactions (%d that might add scores ran before): %w", len(waiting), err)
		}

		still := make(map[string]bool)
		for _, id := range running {
			if waiting == nil || waiting[id] {
				still[id] = true
			}
		}

		if waiting = still; len(waiting) == 0 {
			return nil
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("%d transactions that might add scores to them still run: %w", len(waiting), ctx.Err())
		case <-ticker.C:
		}
	}
}

// rollUpStep runs one step in a transaction of its own.
func (l *Ledger) rollUpStep(ctx context.Context, step func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, rollupTimeout)
	defer cancel()

	return pgx.BeginFunc(ctx, l.aside, func(tx pgx.Tx) error {
		// The role's time limit is meant for requests. Sorts of a month are large.
		_, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', $1, true), set_config('work_mem', '64MB', true)",
			fmt.Sprint(rollupTimeout.Milliseconds()))
		if err != nil {
			return fmt.Errorf("set the time limit: %w", err)
		}
		return step(ctx, tx)
	})
}

// rollUpDay rolls up the next day before open. ErrNoRows: there is none.
func rollUpDay(ctx context.Context, tx pgx.Tx, open time.Time) error {
	var day time.Time
	err := tx.QueryRow(ctx, "SELECT days_until FROM report_progress WHERE days_until < $1 FOR UPDATE SKIP LOCKED", open).Scan(&day)
	if err != nil {
		return fmt.Errorf("take a day to roll up: %w", err)
	}

	next := day.AddDate(0, 0, 1)
	if err := daysAndMonths.fold(ctx, tx, day, next); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE report_progress SET days_until = $1", next); err != nil {
		return fmt.Errorf("record that %s is rolled up: %w", day.Format(time.DateOnly), err)
	}

	return nil
}

// rollUpMonth rolls up the next month all of whose days are. ErrNoRows: there is
// none.
func rollUpMonth(ctx context.Context, tx pgx.Tx) error {
	var month time.Time
	err := tx.QueryRow(ctx, "SELECT months_until FROM report_progress WHERE months_until + interval '1 month' <= days_until FOR UPDATE SKIP LOCKED").Scan(&month)
	if err != nil {
		return fmt.Errorf("take a month to roll up: %w", err)
	}

	next := month.AddDate(0, 1, 0)
	if err := daysAndMonths.merge(ctx, tx, month, next); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "UPDATE report_progress SET months_until = $1", next); err != nil {
		return fmt.Errorf("record that %s is rolled up: %w", month.Format("2006-01"), err)
	}

	return nil
}

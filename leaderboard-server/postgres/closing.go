package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// closingDelay is how long after its end a day is closed: more than clocks are
	// ever set back, or differ between a primary and the standby that takes over.
	closingDelay = 10 * time.Minute
	// closingPoll is how often transactions that a day waits for are looked for.
	closingPoll = 50 * time.Millisecond
)

// openDay returns the first day that is not over for closingDelay yet, and
// whether there are days before it to be rolled up.
func (l *Ledger) openDay(ctx context.Context) (open time.Time, due bool, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = l.aside.QueryRow(ctx, `
		SELECT open, open > least(d.days_until, f.days_until)
		FROM report_progress d, report_fold_progress f, LATERAL (SELECT (now() AT TIME ZONE 'UTC' - $1::interval)::date) t (open)`, closingDelay).Scan(&open, &due)
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

package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// quarter is the shortest period that is rolled up: the days of every time zone
	// begin and end with one.
	quarter = 15 * time.Minute
	// quarterDelay is how long after its end a quarter hour is closed. Clocks that NTP
	// keeps differ by less; one that was set back further is noticed, see closeQuarters.
	quarterDelay = 2 * time.Minute
	// recentDays is for how many days before today quarter hours and hours are kept:
	// a report of a week, of any time zone, then reads few events.
	recentDays = 8
)

// RollUpRecent rolls up the quarter hours and hours that are over, so that a report of
// the running day reads the events of some minutes only. It is to be called some
// minutes after each quarter hour, see [UntilRollUp], by any number of replicas.
func (l *Ledger) RollUpRecent(ctx context.Context) error {
	open, due, err := l.closeQuarters(ctx)
	if err != nil || !due {
		return err
	}
	if err := l.awaitTransactions(ctx); err != nil {
		return fmt.Errorf("close the quarter hours before %s: %w", open.Format(time.RFC3339), err)
	}

	for _, kind := range kinds {
		quarters := quartersAndHours(kind)
		err := l.rollUpSteps(ctx, func(ctx context.Context, tx pgx.Tx) error { return quarters.rollUpQuarter(ctx, tx, open) }, quarters.rollUpHour)
		if err != nil {
			return err
		}
	}
	return nil
}

// UntilRollUp is how long it is from now until RollUpRecent has something to do.
func UntilRollUp(now time.Time) time.Duration {
	last := now.Add(-quarterDelay).Truncate(quarter)
	return last.Add(quarter + quarterDelay).Sub(now)
}

// closeQuarters returns the first quarter hour that is not over for quarterDelay yet,
// and whether there are some before it to be rolled up. It forgets those that are older
// than recentDays. After the clock was set back, as by a failover to a server whose
// clock was behind, it forgets those that are not over any more: events of them still
// come.
func (l *Ledger) closeQuarters(ctx context.Context) (open time.Time, due bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	err = pgx.BeginFunc(ctx, l.aside, func(tx pgx.Tx) error {
		for _, kind := range kinds {
			kindDue, err := quartersAndHours(kind).closeQuarters(ctx, tx, &open)
			if err != nil {
				return err
			}
			due = due || kindDue
		}
		return nil
	})
	if err != nil {
		return open, false, fmt.Errorf("look how far recent events are rolled up: %w", err)
	}

	return open.UTC(), due, nil
}

// closeQuarters is that of [Ledger] for one kind.
func (t tier) closeQuarters(ctx context.Context, tx pgx.Tx, open *time.Time) (due bool, err error) {
	var oldest time.Time
	err = tx.QueryRow(ctx, t.sql(`
		WITH clock AS (
			SELECT open, date_trunc('day', open AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - make_interval(hours => 24 * $2) AS oldest
			FROM date_bin('15 minutes', now() - $1::interval, timestamptz '2000-01-01 00:00+00') AS open
		), bounded AS (
			UPDATE {progress} SET since = greatest(oldest, least(since, date_trunc('day', open AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')),
				hours_until = greatest(oldest, least(hours_until, date_bin('1 hour', open, timestamptz '2000-01-01 00:00+00'))),
				quarters_until = greatest(oldest, least(quarters_until, open))
			FROM clock WHERE since < oldest OR quarters_until > open
		)
		SELECT open, oldest, quarters_until < open FROM clock, {progress}`), quarterDelay, recentDays).Scan(open, &oldest, &due)
	if err != nil {
		return false, err
	}

	for _, table := range t.tables {
		if _, err := tx.Exec(ctx, t.sql("DELETE FROM {"+table+"} WHERE {long} IN (false, true) AND start < $1"), oldest); err != nil {
			return false, err
		}
	}
	return due, nil
}

// rollUpQuarter rolls up the next quarter hour before open. ErrNoRows: there is none.
func (t tier) rollUpQuarter(ctx context.Context, tx pgx.Tx, open time.Time) error {
	var start time.Time
	err := tx.QueryRow(ctx, t.sql("SELECT quarters_until FROM {progress} WHERE quarters_until < $1 FOR UPDATE SKIP LOCKED"), open).Scan(&start)
	if err != nil {
		return fmt.Errorf("take a quarter hour to roll up: %w", err)
	}

	next := start.Add(quarter)
	if err := t.roll(ctx, tx, false, start, next); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, t.sql("UPDATE {progress} SET quarters_until = $1"), next); err != nil {
		return fmt.Errorf("record that %s is rolled up: %w", start.Format(time.RFC3339), err)
	}

	return nil
}

// rollUpHour rolls up the next hour all of whose quarters are. ErrNoRows: there is none.
func (t tier) rollUpHour(ctx context.Context, tx pgx.Tx) error {
	var start time.Time
	err := tx.QueryRow(ctx, t.sql("SELECT hours_until FROM {progress} WHERE hours_until + interval '1 hour' <= quarters_until FOR UPDATE SKIP LOCKED")).Scan(&start)
	if err != nil {
		return fmt.Errorf("take an hour to roll up: %w", err)
	}

	next := start.Add(time.Hour)
	if err := t.roll(ctx, tx, true, start, next); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, t.sql("UPDATE {progress} SET hours_until = $1"), next); err != nil {
		return fmt.Errorf("record that the hour from %s is rolled up: %w", start.Format(time.RFC3339), err)
	}

	return nil
}

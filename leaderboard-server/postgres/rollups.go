package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// rollupTimeout bounds one day or month. An event costs up to 11 us (measured by
// make bench), so it is enough for 50 million a day.
const rollupTimeout = 10 * time.Minute

// tier is where rollups of one kind are kept that have two lengths: short periods, which
// are made of events, and long ones, which are made of the short ones.
type tier struct {
	// prefix is what the names of its tables begin with, long the column that says which
	// length a rollup is of, and start is how they write the instant $1 at which a period
	// begins.
	prefix, long, start string
	kind
}

// kind is what a rollup holds.
type kind struct {
	// tables has the names of the tables, progress that of the one that says how far the
	// rollups are made.
	tables   []string
	progress string
	// fold rolls a short period up, from <= t < to, and merge a long one.
	fold, merge func(ctx context.Context, tx pgx.Tx, t tier, from, to time.Time) error
}

var (
	// tops has the best players of every board, and how often each player submitted. It
	// answers for Best.
	tops = kind{[]string{"tops", "counts"}, "progress", foldTops, mergeTops}
	// folds has what each player submitted to the boards of the other scorings.
	folds = kind{[]string{"folds"}, "fold_progress", foldFolds, mergeFolds}

	kinds = []kind{tops, folds}
)

func daysAndMonths(k kind) tier {
	return tier{"report_", "monthly", "(%s::timestamptz AT TIME ZONE 'UTC')::date", k}
}

func quartersAndHours(k kind) tier {
	return tier{"report_recent_", "hourly", "%s::timestamptz", k}
}

// sql fills in the tier's names.
func (t tier) sql(text string) string {
	return strings.NewReplacer("{tops}", t.prefix+"tops", "{counts}", t.prefix+"counts", "{folds}", t.prefix+"folds", "{progress}", t.prefix+t.progress,
		"{long}", t.long, "{start}", fmt.Sprintf(t.start, "$1"), "{past}", fmt.Sprintf(t.start, "$2")).Replace(text)
}

// roll makes the rollup of a period, short or long, in place of one that was made before
// progress was set back.
func (t tier) roll(ctx context.Context, tx pgx.Tx, long bool, from, to time.Time) error {
	for _, table := range t.tables {
		if _, err := tx.Exec(ctx, t.sql("DELETE FROM {"+table+"} WHERE start = {start} AND {long} = $2"), from, long); err != nil {
			return fmt.Errorf("delete the old rollup from %s: %w", from.Format(time.RFC3339), err)
		}
	}

	roll := t.fold
	if long {
		roll = t.merge
	}
	if err := roll(ctx, tx, t, from, to); err != nil {
		return fmt.Errorf("roll up the %s from %s: %w", t.tables[0], from.Format(time.RFC3339), err)
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

	for _, kind := range kinds {
		days := daysAndMonths(kind)
		err := l.rollUpSteps(ctx, func(ctx context.Context, tx pgx.Tx) error { return days.rollUpDay(ctx, tx, open) }, days.rollUpMonth)
		if err != nil {
			return err
		}
	}
	return nil
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
func (t tier) rollUpDay(ctx context.Context, tx pgx.Tx, open time.Time) error {
	var day time.Time
	err := tx.QueryRow(ctx, t.sql("SELECT days_until FROM {progress} WHERE days_until < $1 FOR UPDATE SKIP LOCKED"), open).Scan(&day)
	if err != nil {
		return fmt.Errorf("take a day to roll up: %w", err)
	}

	next := day.AddDate(0, 0, 1)
	if err := t.roll(ctx, tx, false, day, next); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, t.sql("UPDATE {progress} SET days_until = $1"), next); err != nil {
		return fmt.Errorf("record that %s is rolled up: %w", day.Format(time.DateOnly), err)
	}

	return nil
}

// rollUpMonth rolls up the next month all of whose days are. ErrNoRows: there is
// none.
func (t tier) rollUpMonth(ctx context.Context, tx pgx.Tx) error {
	var month time.Time
	err := tx.QueryRow(ctx, t.sql("SELECT months_until FROM {progress} WHERE months_until + interval '1 month' <= days_until FOR UPDATE SKIP LOCKED")).Scan(&month)
	if err != nil {
		return fmt.Errorf("take a month to roll up: %w", err)
	}

	next := month.AddDate(0, 1, 0)
	if err := t.roll(ctx, tx, true, month, next); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, t.sql("UPDATE {progress} SET months_until = $1"), next); err != nil {
		return fmt.Errorf("record that %s is rolled up: %w", month.Format("2006-01"), err)
	}

	return nil
}

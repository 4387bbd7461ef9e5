package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of maintenance.
const (
	// monthsAhead is for how many months from now there are partitions: a server
	// that maintains nothing for a year still finds one.
	monthsAhead = 12
	// keyChunk is how many expired idempotency keys are deleted in one statement.
	keyChunk = 5_000
	// maintenanceTimeout bounds one step of maintenance.
	maintenanceTimeout = time.Minute
)

// Maintain makes partitions ahead, drops events past their retention, rolls closed
// days up for reports and deletes expired idempotency keys. It is to be called every
// hour or so, by any number of replicas. Where one of these fails it goes on with the
// next.
func (l *Ledger) Maintain(ctx context.Context) error {
	return errors.Join(l.maintainPartitions(ctx), l.rollUp(ctx), l.expireKeys(ctx))
}

func (l *Ledger) maintainPartitions(ctx context.Context) error {
	var keep *string
	if l.options.EventRetention > 0 {
		s := fmt.Sprintf("%d seconds", int64(l.options.EventRetention.Seconds()))
		keep = &s
	}

	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	if _, err := l.aside.Exec(ctx, "SELECT maintain_partitions($1, $2::text::interval)", monthsAhead, keep); err != nil {
		return fmt.Errorf("maintain the partitions of events: %w", err)
	}

	return nil
}

func (l *Ledger) expireKeys(ctx context.Context) error {
	for {
		deleted, err := l.expireSomeKeys(ctx)
		if err != nil || deleted < keyChunk {
			return err
		}
	}
}

func (l *Ledger) expireSomeKeys(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	tag, err := l.aside.Exec(ctx, `
		DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM idempotency_keys WHERE expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED))`, keyChunk)
	if err != nil {
		return 0, fmt.Errorf("delete expired idempotency keys: %w", err)
	}

	return tag.RowsAffected(), nil
}

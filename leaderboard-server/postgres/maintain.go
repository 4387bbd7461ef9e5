package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Bounds of maintenance.
const (
	// monthsAhead is for how many months from now there are partitions: a server
	// that maintains nothing for a year still finds one.
	monthsAhead = 12
	// expireChunk is how many expired rows are deleted in one statement.
	expireChunk = 5_000
	// maintenanceTimeout bounds one step of maintenance.
	maintenanceTimeout = time.Minute
)

// Maintain makes partitions ahead, rolls closed days up for reports, deletes expired
// idempotency keys, logins and counts of submissions, drops events past their retention, metadata that nothing is of
// any more and old messages of webhooks, and gives usernames their skeletons. It is to be
// called every hour or so, by any number of replicas. Where one of these fails it goes on with
// the next.
func (l *Ledger) Maintain(ctx context.Context) error {
	return errors.Join(l.makePartitions(ctx), l.rollUp(ctx), l.expire(ctx), l.applyRetention(ctx), l.collectMetadata(ctx), l.collectMessages(ctx), l.fillSkeletons(ctx))
}

func (l *Ledger) makePartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	if _, err := l.aside.Exec(ctx, "SELECT maintain_partitions($1, NULL)", monthsAhead); err != nil {
		return fmt.Errorf("make the partitions of events: %w", err)
	}

	return nil
}

// applyRetention drops the partitions that are past their retention and of no season that
// is not closed yet. Each waits for what reads the events: where that takes long, it is for
// the next time.
func (l *Ledger) applyRetention(ctx context.Context) error {
	if l.options.EventRetention <= 0 {
		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	// A refold reads all events of its board.
	var refolding bool
	if err := l.aside.QueryRow(ctx, "SELECT EXISTS (SELECT FROM refolds WHERE season IS NOT NULL)").Scan(&refolding); err != nil || refolding {
		return err
	}

	keep := fmt.Sprintf("%d seconds", int64(l.options.EventRetention.Seconds()))
	for {
		var state string
		var pause time.Duration
		// The results of a season are made of its events.
		err := l.aside.QueryRow(ctx, `SELECT state, pause
			FROM apply_retention(greatest($1::text::interval, (SELECT now() - min(opens_at) FROM window_seasons WHERE closed_at IS NULL)))`, keep).Scan(&state, &pause)
		if err != nil {
			return fmt.Errorf("drop the events past their retention: %w", err)
		}
		if state == "done" {
			return nil
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("drop the events past their retention: another transaction reads events or rolls them up: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

// expired are the rows that are no longer of any use, by table.
var expired = []struct{ what, table, condition, order string }{
	{"idempotency keys", "idempotency_keys", "expires_at < now()", "expires_at"},
	{"logins", "logins", "expires_at < now()", "expires_at"},
	{"resets of passwords", "password_resets", "expires_at < now()", "expires_at"},
	// A key must not lead to one that is gone: it would say that it counts.
	{"submissions that were decided on", "held_submissions", fmt.Sprintf(`decided_at < now() - interval '%d seconds'
		AND NOT EXISTS (SELECT FROM idempotency_keys k WHERE k.player = held_submissions.player AND k.key = held_submissions.key AND k.event = held_submissions.id)`,
		int64(leaderboard.KeepDecided.Seconds())), "decided_at"},
	// No access token is good for longer than a day, and clocks differ.
	{"changes of accounts", "account_changes", "at < now() - interval '25 hours'", "at"},
	// No cooldown is longer than a week.
	{"counts of submissions", "submission_counts", `last_at < now() - interval '8 days' AND NOT EXISTS (
		SELECT FROM boards b CROSS JOIN jsonb_each(attempts) a
		LEFT JOIN window_seasons s ON s.board = b.number AND s.name = a.key AND s.ordinal = (a.value ->> 0)::int
		WHERE b.number = submission_counts.board AND b.limits IS NOT NULL AND (a.key = 'all' OR s.closes_at > now()))`, "board, player"},
}

// expire deletes the rows that have expired.
func (l *Ledger) expire(ctx context.Context) error {
	var errs []error
	for _, e := range expired {
		statement := fmt.Sprintf(`
			DELETE FROM %[1]s WHERE ctid = ANY (ARRAY(
				SELECT ctid FROM %[1]s WHERE %[2]s ORDER BY %[3]s LIMIT $1 FOR UPDATE SKIP LOCKED))`, e.table, e.condition, e.order)
		for more := true; more; {
			deleted, err := l.expireSome(ctx, statement)
			if err != nil {
				errs = append(errs, fmt.Errorf("delete expired %s: %w", e.what, err))
			}
			more = err == nil && deleted == expireChunk
		}
	}
	return errors.Join(errs...)
}

func (l *Ledger) expireSome(ctx context.Context, statement string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	tag, err := l.aside.Exec(ctx, statement, expireChunk)
	return tag.RowsAffected(), err
}

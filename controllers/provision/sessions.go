package provision

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// TransactionBounds are how long transactions of games' logins may stay open. One that
// has written holds up the log of every game on the server, and one that reads keeps
// dead rows everywhere. The servers of games write for milliseconds, maintain for a
// minute at most, and read the longest while they rebuild a ranking.
type TransactionBounds struct {
	Writing, Reading time.Duration
}

// DefaultTransactionBounds hold for every class.
var DefaultTransactionBounds = TransactionBounds{Writing: 2 * time.Minute, Reading: 15 * time.Minute}

// transaction is one that a login has open.
type transaction struct {
	pid int32
	// number is the virtual transaction's, which no other one of the server has.
	number string
	role   string
	writes bool
}

// WatchTransactions ends the sessions of games' logins whose transactions are open for
// longer than the bounds, until ctx ends. It looks every interval, which is how much
// longer they may last. ended is told the login and for how long.
//
// PostgreSQL tells nobody but a login itself since when its transaction is open, so the
// time is from the first look that found it.
func (p *Postgres) WatchTransactions(ctx context.Context, interval time.Duration, bounds TransactionBounds, ended func(role string, after time.Duration)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()

	seen := map[transaction]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}

		open, err := p.openTransactions(ctx)
		if err != nil {
			continue // the checks of the class say that PostgreSQL is away
		}

		now := time.Now()
		since := make(map[transaction]time.Time, len(open))
		for _, t := range open {
			first, known := seen[t]
			if !known {
				first = now
			}
			since[t] = first

			age, most := now.Sub(first), bounds.Reading
			if t.writes {
				most = bounds.Writing
			}
			if age >= most && p.endTransaction(ctx, t) == nil {
				ended(t.role, age)
			}
		}
		seen = since
	}
}

// openTransactions lists those of games' logins in this database.
func (p *Postgres) openTransactions(ctx context.Context) ([]transaction, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	rows, err := p.pool.Query(ctx, `SELECT a.pid, l.virtualtransaction, r.rolname::text, bool_or(l.locktype = 'transactionid')
		FROM pg_locks l JOIN pg_stat_activity a USING (pid) JOIN pg_roles r ON r.oid = a.usesysid
		WHERE l.granted AND l.mode = 'ExclusiveLock' AND l.locktype IN ('virtualxid', 'transactionid')
			AND a.datname = current_database() AND starts_with(r.rolname::text, $1)
		GROUP BY 1, 2, 3`, tenant.SchemaPrefix)
	if err != nil {
		return nil, postgresError(err, "list the open transactions")
	}

	open, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t transaction, err error) {
		err = row.Scan(&t.pid, &t.number, &t.role, &t.writes)
		return t, err
	})
	return open, postgresError(err, "list the open transactions")
}

// endTransaction ends the session of a transaction, unless that has ended.
func (p *Postgres) endTransaction(ctx context.Context, t transaction) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	return p.endSessions(ctx, t.role, "pid = $2 AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = $2 AND l.virtualtransaction = $3)", t.pid, t.number)
}

// errUndo ends a transaction in which the administrator was a member of a login.
var errUndo = errors.New("undo")

// endSessions ends sessions of a role, those that the condition holds for: true for all.
// It takes membership in the role, which is taken back with the transaction.
func (p *Postgres) endSessions(ctx context.Context, role, condition string, args ...any) error {
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "GRANT "+quote(role)+" TO CURRENT_USER"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND "+condition, append([]any{role}, args...)...); err != nil {
			return err
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		return nil
	}
	return fmt.Errorf("end sessions of %s: %w", role, err)
}

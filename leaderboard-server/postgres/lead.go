package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// silentProbes is after how many probes without a word PostgreSQL ends the
	// leader's session, and with it the lead: a leader that was cut off without its
	// connection being closed must not keep the others from leading.
	silentProbes = 20
	// leastSilence keeps a pause of the process from costing the lead.
	leastSilence = 2 * time.Second
)

// closeTimeout bounds the goodbye to the database of a connection that is given up.
const closeTimeout = 2 * time.Second

// Lead waits until this is the one process that keeps the ledger's rankings up,
// looking every probe on a connection of its own. The lead lasts until release is
// called or that connection is lost, which ends the returned context within probe.
func (l *Ledger) Lead(ctx context.Context, probe time.Duration) (leading context.Context, release func(), err error) {
	attempt, cancel := l.deadline(ctx)
	conn, err := pgx.ConnectConfig(attempt, l.direct.Copy())
	cancel()
	if err != nil {
		return nil, nil, fmt.Errorf("connect to lead: %w", err)
	}

	if err = l.endWhenSilent(ctx, conn, max(silentProbes*probe, leastSilence)); err == nil {
		err = l.await(ctx, conn, probe)
	}

	if err == nil {
		err = l.adopt(ctx, conn)
	}

	if err != nil {
		closeConn(conn)
		return nil, nil, fmt.Errorf("wait to lead: %w", err)
	}

	leading, end := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		defer closeConn(conn)
		end(l.watch(leading, conn, probe))
	})

	return leading, func() { end(context.Canceled); watcher.Wait() }, nil
}

// endWhenSilent makes PostgreSQL end the session once nothing was heard of it for
// that long.
func (l *Ledger) endWhenSilent(ctx context.Context, conn *pgx.Conn, silence time.Duration) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()
	_, err := conn.Exec(ctx, "SELECT set_config('idle_session_timeout', $1, false)", strconv.FormatInt(silence.Milliseconds(), 10))
	return err
}

// await returns once the connection holds the lock. It asks now and then, as
// waiting inside PostgreSQL would hold back its vacuum.
func (l *Ledger) await(ctx context.Context, conn *pgx.Conn, probe time.Duration) error {
	ticker := time.NewTicker(probe)
	defer ticker.Stop()

	for {
		attempt, cancel := l.deadline(ctx)
		var ok bool
		// Another schema has another oid, so its leader has another lock.
		err := conn.QueryRow(attempt, "SELECT pg_try_advisory_lock(hashtextextended('lead ' || 'standings'::regclass::oid, 0))").Scan(&ok)
		cancel()
		if err != nil || ok {
			return err
		}

		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// watch returns once the connection fails or ctx ends.
func (l *Ledger) watch(ctx context.Context, conn *pgx.Conn, probe time.Duration) error {
	ticker := time.NewTicker(probe)
	defer ticker.Stop()

	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}

		attempt, cancel := l.deadline(ctx)
		err := conn.Ping(attempt)
		cancel()
		if err != nil {
			return fmt.Errorf("the lead was lost: %w", err)
		}
	}
}

// closeConn ends a connection, and with it its locks.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = conn.Close(ctx) // the server notices by itself
}

// adoptChunk is how many standings get a new xid in one transaction.
const adoptChunk = 10_000

// adopt makes a ledger that was restored from a dump its own: the transactions
// in standings.xid are those of another cluster or table, so the rows are given
// new ones, from which catch-up goes on. It is resumed if it is interrupted.
func (l *Ledger) adopt(ctx context.Context, conn *pgx.Conn) error {
	const here = "(SELECT system_identifier || '-' || 'standings'::regclass::oid FROM pg_control_system())"
	var origin, current string
	err := conn.QueryRow(ctx, "SELECT origin, "+here+" FROM ledger_state").Scan(&origin, &current)
	if err != nil || origin == current {
		return err
	}
	if err := l.rewriteTransactions(ctx, conn); err != nil {
		return fmt.Errorf("adopt a restored ledger: %w", err)
	}

	_, err = conn.Exec(ctx, "UPDATE ledger_state SET origin = $1", current)
	return err
}

// rewriteTransactions gives every standing a new xid, in order of the key.
func (l *Ledger) rewriteTransactions(ctx context.Context, conn *pgx.Conn) error {
	board, season, player := int32(-1), int32(0), int64(0)
	for {
		attempt, cancel := l.deadline(ctx)
		err := conn.QueryRow(attempt, `
			WITH chunk AS (
				SELECT board, season, player FROM standings WHERE (board, season, player) > ($1, $2, $3)
				ORDER BY board, season, player LIMIT $4 FOR UPDATE
			), done AS (
				UPDATE standings s SET xid = pg_current_xact_id() FROM chunk c WHERE (s.board, s.season, s.player) = (c.board, c.season, c.player)
			)
			SELECT board, season, player FROM chunk ORDER BY board DESC, season DESC, player DESC LIMIT 1`,
			board, season, player, adoptChunk).Scan(&board, &season, &player)

		cancel()
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

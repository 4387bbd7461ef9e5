package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// silentProbes is after how many probes without a word PostgreSQL ends the
	// leader's session, and with it the lead: a leader that was cut off without its
	// connection being closed must not keep the others from leading.
	silentProbes = 3
	// leastSilence keeps a pause of the process from costing the lead.
	leastSilence = 2 * time.Second
)

// closeTimeout bounds the goodbye to the database of a connection that is given up.
const closeTimeout = 2 * time.Second

// The lead, as PostgreSQL and the process that has it see it:
//
//	          TryLead locks                 Release, or the connection is lost:
//	free ────────────────────────► held ──────────────────────────────────────────► free
//	                               │  ▲     (or its login is replaced)
//	                               │  │     here as soon as a probe fails, in
//	          nothing for a probe  │  │     PostgreSQL after the silence of
//	                               └──┘     silentProbes
//	                               Ping

// TryLead returns the lead, or nil if another process has it, and the number of the
// last event. The lead lasts until it is released or its connection is lost, which is
// looked for every probe.
//
// Who only asks holds no connection: it takes one of the pool, and keeps it when it
// leads. Past a pooler that is one to PostgreSQL itself.
func (l *Ledger) TryLead(ctx context.Context, probe time.Duration) (lead *leaderboard.Leadership, lastEvent int64, err error) {
	login := l.login.Load()
	conn, lastEvent, err := l.tryLock(ctx)
	if conn == nil || err != nil {
		return nil, lastEvent, err
	}

	notifications, err := l.prepareToLead(ctx, conn, max(silentProbes*probe, leastSilence))
	if err != nil {
		closeConn(conn)
		return nil, lastEvent, fmt.Errorf("prepare to lead: %w", err)
	}

	leading, end := context.WithCancelCause(ctx)
	woken := make(chan struct{}, 1)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		defer closeConn(conn)
		end(l.watch(leading, conn, probe, notifications, woken, login))
	})

	release := func() { end(context.Canceled); watcher.Wait() }
	return &leaderboard.Leadership{Context: leading, Woken: woken, Release: release}, lastEvent, nil
}

// WakeLeader asks the leader, wherever it is, for a look at the rankings now.
func (l *Ledger) WakeLeader(ctx context.Context) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	_, err := l.pool.Exec(ctx, "SELECT pg_notify("+channelSQL+", '')")
	if err != nil {
		return fmt.Errorf("wake the leader: %w", err)
	}

	return nil
}

// channelSQL names this schema's channel, which no other schema has, and keySQL, of the
// row of lead_key, the key of its lock.
const (
	channelSQL = "'leaderboard_' || 'standings'::regclass::oid"
	keySQL     = "hashtextextended('fold ' || 'standings'::regclass::oid || ' ' || key, 0)"
)

const lockSQL = "SELECT pg_try_advisory_lock(" + keySQL + "), key::text, CASE WHEN is_called THEN last_value ELSE 0 END, version FROM lead_key, event_ids, boards_version"

// heldSQL says whether a session whose login may use this schema holds the advisory lock
// with the key that is formatted into it. Others see no more of it than its login.
const heldSQL = `EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND (l.classid::bigint << 32 | l.objid::bigint) = %s
		AND has_schema_privilege(a.usesysid, (SELECT relnamespace FROM pg_class WHERE oid = 'standings'::regclass), 'USAGE'))`

// OldVersionLeads says whether a server of the versions before 4 leads: one of them
// always does, while there are any.
func (l *Ledger) OldVersionLeads(ctx context.Context) (leads bool, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	held := fmt.Sprintf(heldSQL, "hashtextextended('lead ' || 'standings'::regclass::oid, 0)")
	if err := l.pool.QueryRow(ctx, "SELECT "+held).Scan(&leads); err != nil {
		return false, unavailable("look for servers of the version before", err)
	}

	return leads, nil
}

// strangerInterval is how often a process that does not get the lead looks who has it:
// pg_locks is a costly view.
const strangerInterval = 10 * time.Second

// outwit changes the key of the lock unless a session of the game holds it: any login of
// the database can take an advisory lock whose key it has seen. Two processes may lead
// for a moment then, which does no harm.
func (l *Ledger) outwit(ctx context.Context, key string) error {
	last := l.strangerLook.Load()
	now := time.Now()
	if last != nil && now.Sub(*last) < strangerInterval || !l.strangerLook.CompareAndSwap(last, &now) {
		return nil
	}

	_, err := l.pool.Exec(ctx, "UPDATE lead_key SET key = gen_random_uuid() WHERE key = $1 AND NOT "+fmt.Sprintf(heldSQL, keySQL), key)
	return err
}

// tryLock returns the connection that holds the lock; nil: another process has it.
func (l *Ledger) tryLock(ctx context.Context) (held *pgx.Conn, lastEvent int64, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	conn, err := l.direct.Acquire(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("connect to lead: %w", err)
	}

	var ok bool
	var key string
	var version int64
	err = conn.QueryRow(ctx, lockSQL).Scan(&ok, &key, &lastEvent, &version)
	if err != nil || !ok {
		conn.Release()
	}
	if err != nil {
		return nil, 0, err
	}
	if catalog := l.Catalog(); catalog != nil && catalog.Version() != version {
		l.noteOutdated() // who takes no submissions finds out here
	}
	if !ok {
		return nil, lastEvent, l.outwit(ctx, key)
	}

	return conn.Hijack(), lastEvent, nil
}

// prepareToLead makes PostgreSQL end the session once nothing was heard of it for
// silence, and listens.
func (l *Ledger) prepareToLead(ctx context.Context, conn *pgx.Conn, silence time.Duration) (channel string, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = conn.QueryRow(ctx, "SELECT set_config('idle_session_timeout', $1, false), "+channelSQL, strconv.FormatInt(silence.Milliseconds(), 10)).
		Scan(nil, &channel)
	if err != nil {
		return "", err
	}

	_, err = conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize())
	return channel, err
}

// watch passes notifications on until the connection fails, its login is replaced or ctx
// ends.
func (l *Ledger) watch(ctx context.Context, conn *pgx.Conn, probe time.Duration, channel string, woken chan<- struct{}, login *login) error {
	for {
		waiting, stop := context.WithTimeout(ctx, probe)
		notification, err := conn.WaitForNotification(waiting)
		stop()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && notification.Channel == channel:
			select {
			case woken <- struct{}{}:
			default: // a look is due already
			}
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("the lead was lost: %w", err)
		}

		if l.login.Load() != login {
			return errLoginReplaced
		}

		attempt, cancel := l.deadline(ctx)
		err = conn.Ping(attempt)
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

package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/gate"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Options configure a [Ledger].
type Options struct {
	// URL is where the schema's database is, as the server's role. Required.
	URL string
	// DirectURL is URL past any connection pooler in transaction mode, for the
	// advisory lock of TryLead. Default: URL.
	DirectURL string
	// MaxConnections bounds the connections, that of the lead apart. A quarter of them,
	// at most 2, is for reports and maintenance alone, and those hold none while
	// nothing is asked of them. Default: 10.
	MaxConnections int32
	// Timeout bounds one query that the caller's context bounds no tighter,
	// reports excepted. Default: 5 s.
	Timeout time.Duration
	// ReportTimeout bounds one report. Default: 30 s.
	ReportTimeout time.Duration
	// ReportTTL is for how long a report answers the same question again. 0: every
	// report is read when it is asked for.
	ReportTTL time.Duration
	// NamesTimeout bounds one lookup of the names on a page, which goes out without
	// them rather than late. Default: 3 s.
	NamesTimeout time.Duration
	// LockTimeout is how long a batch waits for one standing or idempotency key
	// that another transaction holds. Default: 1 s.
	LockTimeout time.Duration
	// IdempotencyTTL is how long idempotency keys are kept. Default: 24 h.
	IdempotencyTTL time.Duration
	// EventRetention is how long score events are kept at least; they are dropped
	// by the month. 0: for ever.
	EventRetention time.Duration
	// Skeleton returns what a username looks like, for players that were registered without
	// it. Nil: Maintain gives them none.
	Skeleton func(username string) string
	// Sealer seals the audit. Nil: nothing can be moderated.
	Sealer leaderboard.Sealer
}

func (o Options) withDefaults() Options {
	if o.DirectURL == "" {
		o.DirectURL = o.URL
	}

	if o.MaxConnections == 0 {
		o.MaxConnections = 10
	}

	for _, d := range []struct {
		value        *time.Duration
		defaultValue time.Duration
	}{
		{&o.Timeout, 5 * time.Second}, {&o.ReportTimeout, 30 * time.Second}, {&o.NamesTimeout, 3 * time.Second},
		{&o.LockTimeout, time.Second}, {&o.IdempotencyTTL, 24 * time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.defaultValue
		}
	}

	return o
}

// Ledger is a tenant's ledger. It is safe for concurrent use.
type Ledger struct {
	// pool is for submissions and what is as short. aside is for reports,
	// maintenance and rebuilds, which may take long: they must leave pool alone.
	pool, aside *pool
	// direct is pool, or past a pooler a pool of connections to PostgreSQL itself.
	direct *pool
	// lookups bounds what reads and makes players with connections of pool.
	lookups atomic.Pointer[gate.Gate]
	// reports bounds the reports that are being read, with connections of aside: all but
	// one, which is left to maintenance and rebuilds where there are two.
	reports *gate.Gate
	// scans bounds the pages that wait among the reports.
	scans         *gate.Gate
	recentReports *reportCache
	overlays      *resultOverlays
	options       Options
	writable      writable
	catalogs      catalogs
	login         atomic.Pointer[login]
	strangerLook  atomic.Pointer[time.Time] // when it was last looked who has the lead
	outdated      chan struct{}
	outbox        outbox
	reviews       reviews
	// directory is told the ledger's identity whenever it was read.
	directory atomic.Pointer[Directory]
	// forgotten is the number of the last moderation up to which the directory has forgotten
	// players who were erased.
	forgotten atomic.Int64
}

const (
	// mostAside is the most connections for reports and maintenance, of which reports use
	// mostReports.
	mostAside, mostReports = 2, 1
	// asideIdleTime is how long such a connection is kept without work.
	asideIdleTime = 10 * time.Second
	// poolIdleTime is how long another one is: a game that nobody plays is to hold one.
	poolIdleTime = 20 * time.Second
	// idleCheck is between two looks for such connections. After a look the pool uses
	// each of them once before it uses one twice: were it shorter than the times above,
	// none would ever have been idle for long enough.
	idleCheck = 30 * time.Second
	// lookupShare: one of so many connections of the pool may be looking players up.
	lookupShare = 3
	// directConnections is how many connections there may be past a pooler, the one
	// that holds the lead apart.
	directConnections = 2
)

// Open makes the pools of connections. It does not connect yet: see [Ledger.Ping].
func Open(ctx context.Context, options Options) (ledger *Ledger, err error) {
	options = options.withDefaults()
	recentReports, err := newReportCache(options.ReportTTL, options.ReportTimeout)
	if err != nil {
		return nil, err
	}

	overlays, err := newResultOverlays()
	if err != nil {
		return nil, err
	}

	forPool, forAside := divide(options.MaxConnections)
	l := &Ledger{options: options, recentReports: recentReports, overlays: overlays, outdated: make(chan struct{}, 1), outbox: outbox{enqueued: make(chan struct{}, 1)},
		reports: gate.New(mostReports, reportQueue, "the server has too many reports to make, try again"),
		scans:   gate.New(1, scanQueue, "the server has too many times to look up, try again"),
	}
	l.lookups.Store(newLookupGate(forPool))
	defer func() {
		if err != nil {
			l.Close()
		}
	}()

	if l.pool, err = l.newPool(ctx, options.URL, forPool, poolIdleTime); err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	if l.aside, err = l.newPool(ctx, options.URL, forAside, asideIdleTime); err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err)
	}
	if l.direct = l.pool; options.DirectURL != options.URL {
		if l.direct, err = l.newPool(ctx, options.DirectURL, directConnections, poolIdleTime); err != nil {
			return nil, fmt.Errorf("read the direct database URL: %w", err)
		}
	}
	l.writable.reset = func() { l.pool.Reset(); l.aside.Reset() }

	return l, nil
}

func (l *Ledger) newPool(ctx context.Context, url string, connections int32, idleTime time.Duration) (*pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, redact(err)
	}

	config.MaxConns = connections
	config.MaxConnIdleTime = idleTime
	config.MaxConnLifetime = time.Hour
	config.MaxConnLifetimeJitter = 10 * time.Minute
	config.HealthCheckPeriod = idleCheck
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = l.options.Timeout
	}
	if config.ConnConfig.ValidateConnect == nil {
		// An old primary that is a standby now would take no score.
		config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}

	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		l.login.Load().use(c)
		return renewCertificates(url, c)
	}

	return newPool(ctx, config)
}

// divide says how many of a number of connections are in the pool that submissions use, and how
// many for reports and maintenance: 1 or more of each.
func divide(connections int32) (forPool, forAside int32) {
	forAside = min(max(connections/4, 1), mostAside)
	return max(connections-forAside, 1), forAside
}

func newLookupGate(connections int32) *gate.Gate {
	return gate.New(int(max(connections/lookupShare, 1)), lookupQueue, "the server has too many players to look up, try again")
}

// SetMaxConnections changes [Options.MaxConnections] while the ledger is used.
func (l *Ledger) SetMaxConnections(ctx context.Context, connections int32) error {
	forPool, forAside := divide(connections)
	if err := l.pool.setMax(ctx, forPool); err != nil {
		return err
	}
	if err := l.aside.setMax(ctx, forAside); err != nil {
		return err
	}

	l.lookups.Store(newLookupGate(forPool))
	return nil
}

// redact drops what pgx quotes of a URL, which may hold a password.
func redact(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		if cause := parse.Unwrap(); cause != nil {
			return errors.New("it is not a valid PostgreSQL URL")
		}
	}
	return err
}

// Close ends all connections and waits for them.
func (l *Ledger) Close() {
	for _, pool := range []*pool{l.aside, l.direct, l.pool} {
		if pool != nil {
			pool.Close() // a second time does nothing
		}
	}
}

// Ping says whether the database answers and takes writes.
func (l *Ledger) Ping(ctx context.Context) error {
	if err := l.writable.refused(); err != nil {
		return err
	}

	ctx, cancel := l.deadline(ctx)
	defer cancel()

	var readOnly bool
	err := l.pool.QueryRow(ctx, "SELECT current_setting('transaction_read_only')::boolean").Scan(&readOnly)
	if err == nil && readOnly {
		l.writable.reset()
		err = errReadOnly
	}

	return err
}

// Outdated has a value after a batch found that the boards or seasons are others than those
// of Catalog.
func (l *Ledger) Outdated() <-chan struct{} { return l.outdated }

func (l *Ledger) noteOutdated() {
	select {
	case l.outdated <- struct{}{}:
	default: // it is known already
	}
}

// observeIdentity is told what the ledger was when something of it was read.
func (l *Ledger) observeIdentity(identity string) {
	if d := l.directory.Load(); d != nil {
		d.ObserveIdentity(identity)
	}
}

// Stat returns the counters of the pool that submissions use, for metrics.
func (l *Ledger) Stat() *pgxpool.Stat { return l.pool.Stat() }

// StatAside returns those of the pool for reports and maintenance.
func (l *Ledger) StatAside() *pgxpool.Stat { return l.aside.Stat() }

func (l *Ledger) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, l.options.Timeout)
}

// unavailable wraps a failure of the database for the caller.
func unavailable(doing string, err error) error {
	return leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the scores cannot be reached now, try again").
		After(time.Second).WithCause(fmt.Errorf("%s: %w", doing, err))
}

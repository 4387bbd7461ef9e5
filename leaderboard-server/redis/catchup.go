package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// chunkSize is how many standings one script applies: about 2 ms of Redis'
	// time, which other clients wait for.
	chunkSize = 500
	// flushInterval is how long a shard's watermark may lag behind while nothing of
	// it changes: writing every shard's at every tick would be most of the work.
	flushInterval = 10 * time.Second
	// maxRebuilds bounds how many boards are rebuilt at the same time.
	maxRebuilds = 2
	// readTimeout bounds one pass over the ledger.
	readTimeout = 30 * time.Minute
	// awayTicks is after how many ticks in a row that reached nothing of Redis a
	// leader gives the lead up: another replica may reach it.
	awayTicks = 3
)

// Standings is the ledger as catch-up reads it.
type Standings interface {
	// Lead waits until this process is the one that catches up. It is until release
	// is called or the returned context ends.
	Lead(ctx context.Context, probe time.Duration) (leading context.Context, release func(), err error)
	Snapshot(ctx context.Context) (leaderboard.Snapshot, error)
	LoadCatalog(ctx context.Context) (*leaderboard.Catalog, error)
	// Read streams the standings last written by from <= xid < until; board 0: all.
	Read(ctx context.Context, board int32, from, until uint64, size int, fn func([]leaderboard.ChangedStanding) error) error
}

// CatchUp keeps a ranking equal to the ledger whatever happens to Redis, to the
// servers or to the order in which transactions end. Every replica runs one; one
// of them leads.
//
// A shard's watermark is a transaction number below which everything is applied:
// the xmin of a snapshot of the ledger, below which every transaction has ended,
// so that none that commits late is missed. It lives in Redis beside the data, so
// a Redis that lost data has lost or put back its watermark with them.
type CatchUp struct {
	ranking  *Ranking
	ledger   Standings
	interval time.Duration
	log      *slog.Logger
	wake     chan struct{}

	mu     sync.Mutex
	status Status
}

// Status is what catch-up knows of itself, for metrics.
type Status struct {
	// Leading says that this process does the work. The other fields mean nothing
	// while it is false.
	Leading bool
	// Behind is for how long the watermark has been behind the ledger: below two
	// intervals when all is well; more while Redis is away or a transaction runs long
	// anywhere in the PostgreSQL cluster.
	Behind time.Duration
	// BehindTransactions is by how many transactions.
	BehindTransactions uint64
	// Rebuilding is how many shards are being rebuilt or are waiting for it.
	Rebuilding int
	// Applied counts standings that were applied, Rebuilds the shards that were
	// rebuilt from nothing, and Errors failed ticks, since the process started.
	Applied, Rebuilds, Errors uint64
}

// NewCatchUp makes a catch-up that works every interval (0: 500 ms). Run starts it.
func NewCatchUp(ranking *Ranking, ledger Standings, interval time.Duration, log *slog.Logger) *CatchUp {
	if interval == 0 {
		interval = 500 * time.Millisecond
	}
	return &CatchUp{ranking: ranking, ledger: ledger, interval: interval, log: log, wake: make(chan struct{}, 1)}
}

// Status returns the present status.
func (c *CatchUp) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

func (c *CatchUp) update(change func(*Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.status)
}

// Wake asks for a tick now, for example after a batch could not be applied.
func (c *CatchUp) Wake() {
	select {
	case c.wake <- struct{}{}:
	default: // one is asked for already
	}
}

// Run works until ctx ends.
func (c *CatchUp) Run(ctx context.Context) {
	for {
		leading, release, err := c.ledger.Lead(ctx, c.interval)
		if err == nil {
			c.lead(leading)
			release()
			c.update(func(s *Status) { s.Leading = false })
		} else if ctx.Err() == nil {
			c.log.WarnContext(ctx, "catch-up cannot reach the ledger", "error", err)
		}
		// Others ask for the lead every interval: who left it is not the next.
		if !wait(ctx, c.interval+c.interval/2, nil) {
			return
		}
	}
}

// wait returns after d, or earlier if it is woken (nil: never); false: ctx has ended.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-wake:
	}

	return true
}

// lead ticks until ctx ends or Redis cannot be reached, and then waits for its
// rebuilds.
func (c *CatchUp) lead(ctx context.Context) {
	l := &leader{CatchUp: c, shards: make(map[shardID]*progress), slots: make(chan struct{}, maxRebuilds)}
	defer l.rebuilds.Wait()

	c.update(func(s *Status) { s.Leading = true })
	failing := false
	for {
		err := l.tick(ctx)
		if ctx.Err() != nil {
			return
		}

		if err != nil {
			c.update(func(s *Status) { s.Errors++ })
			if !failing { // once, not twice a second
				c.log.WarnContext(ctx, "catch-up is held up", "error", err)
			}
		} else if failing {
			c.log.InfoContext(ctx, "catch-up goes on")
		}

		failing = err != nil
		if l.away >= awayTicks {
			c.log.WarnContext(ctx, "catch-up leaves the lead to others, as Redis cannot be reached")
			return
		}
		if !wait(ctx, c.interval, c.wake) {
			return
		}
	}
}

// progress is what the leader knows of one shard.
type progress struct {
	// stored is the watermark in Redis, as this leader wrote it last.
	stored string
	// upTo: everything below is applied. Higher than stored while nothing changed.
	upTo uint64
	// flushed is when stored was written.
	flushed time.Time
	// rebuilding is true while a goroutine of its own works on the shard.
	rebuilding bool
	graves     []grave
}

// grave holds tombstones that can be forgotten once the stored watermark has
// reached after: whoever wrote an earlier version of the entries is below it.
type grave struct {
	after  uint64
	buried []tombstone
}

// leader is the state of one time of leading. Its ticks are sequential; mu guards
// what rebuilds share with them.
type leader struct {
	*CatchUp
	slots    chan struct{}
	rebuilds sync.WaitGroup

	shardsMu sync.Mutex
	shards   map[shardID]*progress

	samples []sample
	// away counts the last ticks that reached nothing of Redis.
	away int
}

// sample is what the ledger's newest transaction was at a time.
type sample struct {
	at   time.Time
	xmax uint64
}

// tick brings every healthy shard up to now, and starts what the others need. A
// shard that fails does not hold up the others.
func (l *leader) tick(ctx context.Context) error {
	snapshot, err := l.ledger.Snapshot(ctx)
	if err != nil {
		return err
	}

	catalog, err := l.ledger.LoadCatalog(ctx)
	if err != nil {
		return err
	}

	var all []shard
	for _, board := range catalog.All() {
		if board.Active && board.Season != 0 {
			all = append(all, shardsOf(board)...)
		}
	}

	states := l.ranking.states(ctx, all)
	if len(all) == 0 || slices.ContainsFunc(states, func(s shardState) bool { return s.err == nil }) {
		l.away = 0
	} else {
		l.away++
	}

	healthy, repairs, err := l.examine(all, states, snapshot)
	for board, list := range repairs {
		l.rebuilds.Go(func() { l.rebuild(ctx, board, list) })
	}

	err = errors.Join(err, l.advance(ctx, healthy, snapshot))
	l.report(all, snapshot)
	return err
}

// examine sorts the shards into those that go on and those that need a repair, by
// board.
func (l *leader) examine(all []shard, states []shardState, snapshot leaderboard.Snapshot) (healthy map[shardID]*work, repairs map[int32][]repair, err error) {
	healthy, repairs = make(map[shardID]*work), make(map[int32][]repair)
	l.shardsMu.Lock()
	defer l.shardsMu.Unlock()

	for i, s := range all {
		p := l.shards[s.shardID]
		if p == nil {
			p = &progress{}
			l.shards[s.shardID] = p
		}
		if states[i].err != nil {
			err = states[i].err // of the same cause as the others, most likely
		} else if r := diagnose(s, states[i], p, snapshot); p.rebuilding {
			continue
		} else if r != nil {
			p.rebuilding = true
			repairs[s.board] = append(repairs[s.board], *r)
		} else {
			healthy[s.shardID] = &work{shard: s, progress: p}
		}
	}

	return healthy, repairs, err
}

// repair is a shard that is not where the leader left it.
type repair struct {
	shard
	*progress
	// ledger is the identity that the repair was decided by, watermark what Redis
	// had then.
	ledger, watermark string
	from              uint64
	discard           bool
}

// diagnose decides what a shard needs; nil: nothing but to go on.
func diagnose(s shard, is shardState, p *progress, snapshot leaderboard.Snapshot) *repair {
	same := is.identity == s.identity(snapshot.Identity)
	if same && is.watermark != "" && is.watermark == p.stored && p.upTo <= snapshot.Xmin {
		return nil
	}

	r := &repair{shard: s, progress: p, ledger: snapshot.Identity, watermark: is.watermark}
	watermark, err := strconv.ParseUint(is.watermark, 10, 64)
	switch {
	case !same:
		r.discard = is.identity != "" // of another ledger, or of another number of shards
	case is.watermark == "":
		// Redis was emptied: what batches have applied since is right, and stays.
	case err != nil || watermark > snapshot.Xmin || is.watermark == p.stored:
		r.discard = true // PostgreSQL is behind what it said before: it was put back
	default:
		r.from = watermark
	}

	return r
}

// work is a healthy shard during one tick.
type work struct {
	shard
	*progress
	session *session
	chunk   []leaderboard.ChangedStanding
	err     error // the shard is left to the next tick
}

// abandon waits for what failed sessions have on their way.
func abandon(works map[shardID]*work) {
	for _, w := range works {
		if w.session != nil {
			_ = w.session.wait() // the session has failed already
		}
	}
}

// add queues a standing, and applies the chunk when it is full.
func (l *leader) add(ctx context.Context, w *work, s leaderboard.ChangedStanding, snapshot leaderboard.Snapshot) {
	if w == nil || w.err != nil || s.Xid < w.upTo {
		return
	}
	if w.chunk = append(w.chunk, s); len(w.chunk) == chunkSize {
		w.err = l.send(ctx, w, snapshot)
	}
}

// advance applies what happened since the last tick, in one pass over the ledger.
func (l *leader) advance(ctx context.Context, healthy map[shardID]*work, snapshot leaderboard.Snapshot) error {
	if len(healthy) == 0 {
		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	defer abandon(healthy)

	from := snapshot.Xmin
	spread := make(map[int32]int)
	for _, w := range healthy {
		from = min(from, w.upTo)
		spread[w.board] = w.of
	}

	if from < snapshot.Xmin {
		err := l.read(ctx, 0, from, snapshot.Xmin, func(standings []leaderboard.ChangedStanding) error {
			for _, s := range standings {
				if of := spread[s.Board]; of != 0 {
					l.add(ctx, healthy[shardID{s.Board, s.Season, shardIndex(s.Player, of)}], s, snapshot)
				}
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}

	var failed error
	for _, w := range healthy {
		if w.err == nil {
			w.err = l.complete(ctx, w, snapshot)
		}
		if w.err != nil {
			failed = fmt.Errorf("board %s: %w", w.name, w.err)
		}
	}

	return failed
}

// read streams the ledger's standings to fn while the next chunks are on their way:
// PostgreSQL and Redis work at the same time.
func (l *leader) read(ctx context.Context, board int32, from, until uint64, fn func([]leaderboard.ChangedStanding) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	chunks, ended := make(chan []leaderboard.ChangedStanding, 2), make(chan error, 1)
	go func() {
		defer close(chunks)
		ended <- l.ledger.Read(ctx, board, from, until, chunkSize, func(standings []leaderboard.ChangedStanding) error {
			select {
			case chunks <- slices.Clone(standings):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()

	var failed error
	for chunk := range chunks { // to its end, which the reader waits for
		if failed == nil {
			if failed = fn(chunk); failed != nil {
				cancel(failed)
			}
		}
	}

	if failed != nil {
		return failed
	}

	return <-ended
}

// send applies the shard's chunk, in a session that it begins if there is none.
func (l *leader) send(ctx context.Context, w *work, snapshot leaderboard.Snapshot) (err error) {
	if w.session == nil {
		if w.session, err = l.ranking.begin(ctx, w.shard, snapshot.Identity, w.stored, false); err != nil {
			return err
		}
	}

	if err := w.session.apply(ctx, w.chunk); err != nil {
		return err
	}

	w.chunk = w.chunk[:0]
	l.count(w.session)
	return nil
}

// count adds what a session has applied since the last time to the status.
func (l *leader) count(n *session) {
	applied := uint64(n.standings)
	n.standings = 0
	l.update(func(s *Status) { s.Applied += applied })
}

// complete applies the rest, moves the watermark if something changed or if it
// has not moved for long, and forgets what can be forgotten.
func (l *leader) complete(ctx context.Context, w *work, snapshot leaderboard.Snapshot) error {
	if len(w.chunk) > 0 {
		if err := l.send(ctx, w, snapshot); err != nil {
			return err
		}
	}

	now, stored := time.Now(), formatXid(snapshot.Xmin)
	due := (now.Sub(w.flushed) > flushInterval || len(w.graves) > 0) && w.stored != stored
	if w.session == nil && due {
		var err error
		if w.session, err = l.ranking.begin(ctx, w.shard, snapshot.Identity, w.stored, false); err != nil {
			return err
		}
	}

	if w.session != nil {
		if err := w.session.finish(ctx, stored); err != nil {
			return err
		}
		l.settle(w.progress, w.session, snapshot)
	}

	w.upTo = snapshot.Xmin
	return l.bury(ctx, w)
}

// settle records a finished session.
func (l *leader) settle(p *progress, n *session, snapshot leaderboard.Snapshot) {
	l.count(n)
	l.shardsMu.Lock()
	defer l.shardsMu.Unlock()
	p.stored, p.upTo, p.flushed = formatXid(snapshot.Xmin), snapshot.Xmin, time.Now()
	if len(n.buried) > 0 {
		p.graves = append(p.graves, grave{snapshot.Xmax, n.buried})
	}
}

// bury forgets the tombstones that nothing can overtake any more.
func (l *leader) bury(ctx context.Context, w *work) error {
	for len(w.graves) > 0 && formatXid(w.graves[0].after) <= w.stored {
		if err := l.ranking.forget(ctx, w.shard, w.graves[0].buried); err != nil {
			return err
		}
		w.graves = w.graves[1:]
	}
	return nil
}

// report updates the status after a tick.
func (l *leader) report(all []shard, snapshot leaderboard.Snapshot) {
	now := time.Now()
	low, rebuilding := snapshot.Xmin, 0
	l.shardsMu.Lock()

	for _, s := range all {
		p := l.shards[s.shardID]
		if p.rebuilding {
			rebuilding++
		}
		low = min(low, p.upTo)
	}

	l.shardsMu.Unlock()
	const maxSamples = 4096 // half an hour at the default interval; then the oldest stay
	if len(l.samples) < maxSamples {
		l.samples = append(l.samples, sample{now, snapshot.Xmax})
	}

	for len(l.samples) > 0 && l.samples[0].xmax <= low {
		l.samples = l.samples[1:]
	}

	var behind time.Duration
	if len(l.samples) > 0 {
		behind = now.Sub(l.samples[0].at)
	}

	l.update(func(s *Status) { s.Behind, s.BehindTransactions, s.Rebuilding = behind, snapshot.Xmax-low, rebuilding })
}

// rebuild brings shards of one board from where they are up to now, beside the
// ticks: from nothing, or from an older watermark. What fails is tried again by a
// later tick.
func (l *leader) rebuild(ctx context.Context, board int32, repairs []repair) {
	defer func() {
		l.shardsMu.Lock()
		defer l.shardsMu.Unlock()
		for _, r := range repairs {
			r.rebuilding = false
		}
	}()

	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return
	}

	started, before := time.Now(), l.Status().Applied
	err := l.stream(ctx, board, repairs)
	switch {
	case err == nil:
		l.log.InfoContext(ctx, "a ranking has caught up", "board", repairs[0].name, "shards", len(repairs), "from", repairs[0].from,
			"standings", l.Status().Applied-before, "took", time.Since(started))
		l.Wake()
	case ctx.Err() == nil && !errors.Is(err, errInterrupted):
		l.log.WarnContext(ctx, "a ranking could not be caught up, trying again", "board", repairs[0].name, "error", err)
	}
}

func (l *leader) stream(ctx context.Context, board int32, repairs []repair) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()

	snapshot, err := l.ledger.Snapshot(ctx)
	if err != nil {
		return err
	}

	from := snapshot.Xmin
	working := make(map[shardID]*work, len(repairs))
	defer abandon(working)

	for _, r := range repairs {
		if r.ledger != snapshot.Identity || r.from > snapshot.Xmin {
			return errInterrupted // the ledger was replaced just now: diagnose anew
		}

		n, err := l.ranking.begin(ctx, r.shard, snapshot.Identity, r.watermark, r.discard)
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}

		n.repairs = true
		from = min(from, r.from)
		working[r.shardID] = &work{shard: r.shard, progress: &progress{upTo: r.from}, session: n}
	}

	// All that is committed, not only what is below the watermark: of an entry that
	// was written since there is no earlier state to read, and whoever wrote it may
	// have applied it before Redis lost it.
	err = l.read(ctx, board, from, math.MaxUint64, func(standings []leaderboard.ChangedStanding) error {
		for _, s := range standings {
			if s.Removed && s.Xid >= snapshot.Xmax {
				continue // its tombstone would be forgotten too soon: a tick will read it
			}
			w := working[shardID{board, s.Season, shardIndex(s.Player, repairs[0].of)}]
			if l.add(ctx, w, s, snapshot); w != nil && w.err != nil {
				return w.err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}

	for _, r := range repairs {
		w := working[r.shardID]
		if len(w.chunk) > 0 {
			if err := l.send(ctx, w, snapshot); err != nil {
				return err
			}
		}

		if err := w.session.finish(ctx, formatXid(snapshot.Xmin)); err != nil {
			return err
		}

		l.settle(r.progress, w.session, snapshot)
		if r.from == 0 {
			l.update(func(s *Status) { s.Rebuilds++ })
		}
	}

	return nil
}

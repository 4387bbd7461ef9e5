package catchup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// chunkSize is how many standings one function applies: about 2 ms of Redis' time,
	// which other clients wait for.
	chunkSize = 500
	// flushInterval is how long a shard's watermark may lag while only other shards
	// change: writing every shard's at every tick would be most of the work.
	flushInterval = 2 * time.Second
	// maxRepairs bounds how many boards are repaired at the same time.
	maxRepairs = 2
	// maxLooks is how often a tick looks for a moment between two changes of the boards.
	maxLooks = 5
	// settleTime is after which time without a new event number the log is not read
	// any more, once every transaction of that time has ended: more than a batch may
	// take.
	settleTime = 10 * time.Second
)

// progress is what the leader knows of one shard.
type progress struct {
	// stored is the watermark in Redis, as this leader wrote it last.
	stored string
	// upTo: every event below is applied. Higher than stored while nothing changed.
	upTo uint64
	// flushed is when stored was written.
	flushed time.Time
	// repairing is true while a goroutine of its own works on the shard, and repaired is when
	// the last one ended: what the shard said of itself before says nothing any more.
	repairing bool
	repaired  time.Time
}

// term holds the state of one leadership term. Its ticks are sequential; mu guards
// what repairs share with them.
type term struct {
	*CatchUp
	slots   chan struct{}
	repairs sync.WaitGroup

	mu     sync.Mutex
	shards map[leaderboard.ShardID]*progress

	catalog  *leaderboard.Catalog
	quiet    quiet
	fold     fold
	garbage  garbage
	seasons  seasons
	refolds  refolds
	erasures erasures
	// away counts the last ticks that reached nothing of Redis.
	away int
	// durable is the highest transaction, plus one, of an event that this term has
	// read: see the package's documentation.
	durable uint64
}

func newTerm(c *CatchUp) *term {
	return &term{CatchUp: c, shards: make(map[leaderboard.ShardID]*progress), slots: make(chan struct{}, maxRepairs)}
}

// quiet finds out whether there can be something new in the log.
type quiet struct {
	last  int64
	since time.Time
	// xmax is of a snapshot after settleTime; 0: not yet.
	xmax uint64
	// settled is up to which transaction there is nothing but what was read; 0: not
	// known yet.
	settled uint64
}

// observe says whether the log has to be read from a transaction on.
func (q *quiet) observe(s leaderboard.Snapshot, from uint64, now time.Time) (read bool) {
	switch {
	case s.LastEvent != q.last || q.since.IsZero():
		*q = quiet{last: s.LastEvent, since: now}
	case q.settled != 0:
		return from < q.settled // a shard that could not be reached when it was read
	case q.xmax == 0 && now.Sub(q.since) >= settleTime:
		q.xmax = s.Xmax
	}
	return true
}

// read remembers that the log was read up to xmin.
func (q *quiet) read(xmin uint64) {
	if q.settled == 0 && q.xmax != 0 && xmin >= q.xmax {
		q.settled = xmin
	}
}

// tick brings every whole shard and the standings up to now, and starts what the
// others need. A shard that fails does not hold up the others. busy says that events
// came in.
func (t *term) tick(ctx context.Context) (busy bool, err error) {
	snapshot, err := t.look(ctx)
	if err != nil {
		return false, err
	}

	shards, asked := activeShards(t.catalog, snapshot.Now), time.Now()
	states := t.ranking.States(ctx, shards)
	if len(shards) == 0 || slices.ContainsFunc(states, func(s leaderboard.ShardState) bool { return s.Err == nil }) {
		t.away = 0
	} else {
		t.away++
	}

	whole, repairs, err := t.examine(shards, states, asked, snapshot)
	for season, list := range repairs {
		t.repairs.Go(func() { t.repair(ctx, season, list) })
	}

	if moderateErr := t.moderate(ctx, shards, states, whole, snapshot.Identity); moderateErr != nil {
		err = errors.Join(err, moderateErr)
	}
	read, advanceErr := t.advance(ctx, whole, snapshot)
	saveErr := t.save(ctx)
	t.closeSeasons(ctx, snapshot)
	t.refold(ctx)
	eraseErr := t.erase(ctx, snapshot)
	if err = errors.Join(err, advanceErr, saveErr, eraseErr, t.report(ctx, shards, snapshot)); err == nil {
		err = t.collect(ctx, snapshot.Identity)
	}
	return read || len(repairs) > 0 || t.erasures.pending(), err
}

// look returns a snapshot of the ledger whose boards are those of the catalog. With a catalog
// that is newer, a ranking that a board was just switched to would be ahead of the snapshot,
// as if PostgreSQL had been put back.
func (t *term) look(ctx context.Context) (leaderboard.Snapshot, error) {
	for range maxLooks {
		snapshot, err := t.ledger.Snapshot(ctx)
		if err != nil {
			return snapshot, err
		}
		if err := t.begin(ctx, snapshot); err != nil {
			return snapshot, err
		}
		if t.catalog.Version() == snapshot.Version {
			return snapshot, nil
		}
	}
	return leaderboard.Snapshot{}, errors.New("the boards are being changed all the time")
}

// begin reads what a term starts from, and the catalog when it has changed.
func (t *term) begin(ctx context.Context, snapshot leaderboard.Snapshot) error {
	// Events are put to seasons by the catalog: it has to be as new as they are.
	if closed := t.seasons.closed.Swap(false); closed || t.catalog == nil || t.catalog.Version() != snapshot.Version {
		catalog, err := t.ledger.LoadCatalog(ctx)
		if err != nil {
			t.catalog = nil
			return err
		}
		t.catalog = catalog
	}
	if t.catalog.AnnouncementDue(snapshot.Now) {
		catalog, err := t.ledger.AnnounceSeasons(ctx)
		if err != nil {
			return err
		}
		t.catalog = catalog
	}

	if t.fold.begun && t.fold.recounted == t.catalog.Recounted() {
		return nil
	}
	return t.beginFold(ctx, snapshot)
}

// examine sorts the shards into those that go on and those that need a repair, by
// season. asked is when they were asked for their states. One that was repaired since is left
// to the next tick: it would be thrown away and made once more.
func (t *term) examine(shards []leaderboard.Shard, states []leaderboard.ShardState, asked time.Time, snapshot leaderboard.Snapshot) (whole map[leaderboard.ShardID]*work, repairs map[leaderboard.SeasonID][]repair, err error) {
	whole, repairs = make(map[leaderboard.ShardID]*work), make(map[leaderboard.SeasonID][]repair)
	t.mu.Lock()
	defer t.mu.Unlock()

	if len(t.shards) > len(shards) {
		keepShards(t.shards, shards)
	}
	for i, s := range shards {
		p := t.shards[s.ShardID]
		if p == nil {
			p = &progress{}
			t.shards[s.ShardID] = p
		}

		if p.repaired.After(asked) {
			continue
		}
		if states[i].Err != nil {
			err = states[i].Err // of the same cause as the others, most likely
		} else if r := diagnose(s, states[i], p, snapshot); p.repairing {
			continue
		} else if r != nil {
			p.repairing = true
			season := s.SeasonID()
			repairs[season] = append(repairs[season], *r)
		} else {
			w := &work{shard: s, progress: p, known: below(states[i].Applied, snapshot.Xmin), byBatch: make(map[uint64]bool)}
			for _, xid := range w.known {
				w.byBatch[xid] = true
			}
			whole[s.ShardID] = w
		}
	}

	return whole, repairs, err
}

// below are the first of the transactions, up to one that is not below xmin.
func below(xids []uint64, xmin uint64) []uint64 {
	for i, xid := range xids {
		if xid >= xmin {
			return xids[:i]
		}
	}
	return xids
}

// report updates the status and the lag after a tick.
func (t *term) report(ctx context.Context, shards []leaderboard.Shard, snapshot leaderboard.Snapshot) error {
	repairing := 0
	t.mu.Lock()
	for _, s := range shards {
		p := t.shards[s.ShardID]
		if p.repairing {
			repairing++
		}
		if p.stored != "" { // else what an earlier term knew is better
			t.lag.note(s.ShardID, p.upTo)
		}
	}
	t.mu.Unlock()

	t.lag.forget(shards)
	t.update(func(s *Status) { s.Rebuilding = repairing })
	if t.quiet.settled != 0 && len(shards) > 0 && repairing == 0 && t.lag.behind(time.Now()) == 0 {
		return nil // nothing has come since the last measurement
	}

	low := t.lag.lowest(shards, t.fold.checkpoint, snapshot.Xmin)
	if err := t.measure(ctx, low); err != nil {
		return fmt.Errorf("measure the lag: %w", err)
	}
	return nil
}

// formatXid writes a transaction number so that text compares as the number.
func formatXid(xid uint64) string { return fmt.Sprintf("%020d", xid) }

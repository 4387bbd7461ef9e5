package catchup

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// lag measures from the log how far the rankings are behind it. What is known of a
// shard stays known while Redis is away and when the lead changes.
type lag struct {
	mu sync.Mutex
	// applied is below which transaction everything is in a shard, as was seen last.
	applied  map[leaderboard.ShardID]uint64
	measured time.Time
	// since is when the oldest event was appended that may not be applied, which a
	// transaction from low on did; zero: there is none.
	since time.Time
	low   uint64
}

// behind is how old the oldest event is that may not be applied.
func (l *lag) behind(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.since.IsZero() {
		return 0
	}
	return now.Sub(l.since)
}

// due says whether the last measurement is older than interval.
func (l *lag) due(now time.Time, interval time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.measured) >= interval
}

// skip records that there was nothing to measure.
func (l *lag) skip(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.measured = now
}

// note remembers what is applied to a shard.
func (l *lag) note(shard leaderboard.ShardID, upTo uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applied[shard] = upTo
}

// forget drops what is known of shards that are not among these.
func (l *lag) forget(shards []leaderboard.Shard) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if len(l.applied) > len(shards) {
		keepShards(l.applied, shards)
	}
}

// keepShards drops the shards that are not among these.
func keepShards[T any](m map[leaderboard.ShardID]T, shards []leaderboard.Shard) {
	wanted := make(map[leaderboard.ShardID]bool, len(shards))
	for _, s := range shards {
		wanted[s.ShardID] = true
	}
	maps.DeleteFunc(m, func(id leaderboard.ShardID, _ T) bool { return !wanted[id] })
}

// lowest is below which transaction everything is in all of the shards; start where
// nothing is known of one.
func (l *lag) lowest(shards []leaderboard.Shard, start, xmin uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()

	low := xmin
	for _, s := range shards {
		upTo, known := l.applied[s.ShardID]
		if !known || upTo < leaderboard.HistoryStart(xmin) {
			upTo = start
		}
		low = min(low, upTo)
	}
	return low
}

// measure looks for the oldest event from low on, unless it is the one of the last
// time.
func (c *CatchUp) measure(ctx context.Context, low uint64) error {
	l := &c.lag
	now := time.Now()

	l.mu.Lock()
	l.measured = now
	same := l.low == low && !l.since.IsZero()
	l.mu.Unlock()
	if same {
		return nil
	}

	age, ok, err := c.ledger.OldestEvent(ctx, low)
	if err != nil {
		return err
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	l.low, l.since = low, time.Time{}
	if ok {
		l.since = now.Add(-age)
	}
	return nil
}

// measureFromOutside measures the lag where another process leads. What cannot be
// reached leaves it as it was.
func (c *CatchUp) measureFromOutside(ctx context.Context) {
	now := time.Now()
	snapshot, err := c.ledger.Snapshot(ctx)
	if err != nil {
		return
	}
	if !c.outside.observe(snapshot, snapshot.Xmin, now) && c.lag.behind(now) == 0 {
		c.lag.skip(now)
		return // nothing has come since the last measurement
	}

	catalog, err := c.ledger.LoadCatalog(ctx)
	if err != nil {
		return
	}

	shards := activeShards(catalog, snapshot.Now)
	for i, state := range c.ranking.States(ctx, shards) {
		watermark, err := strconv.ParseUint(state.Watermark, 10, 64)
		if state.Err == nil && state.Whole && err == nil && state.Identity == shards[i].Identity(snapshot.Identity) {
			c.lag.note(shards[i].ShardID, watermark)
		}
	}

	checkpoint, err := c.ledger.Checkpoint(ctx)
	if err != nil {
		return
	}
	if err := c.measure(ctx, c.lag.lowest(shards, checkpoint.Xid, snapshot.Xmin)); err != nil {
		c.log.DebugContext(ctx, "the lag could not be measured", "error", err)
		return
	}
	c.outside.read(snapshot.Xmin)
}

// activeShards are the shards of all rankings that are served, or soon will be: of boards
// and windows that are configured, and of seasons that are not over at this time by the
// ledger's clock.
func activeShards(catalog *leaderboard.Catalog, now time.Time) []leaderboard.Shard {
	var all []leaderboard.Shard
	for _, board := range catalog.All() {
		if !board.Active {
			continue
		}
		if board.Season != 0 && !board.WindowsOnly {
			all = append(all, board.AllShards()...)
		}
		for _, s := range board.Seasons {
			if board.Serves(s, now) {
				all = append(all, board.In(s.Number).AllShards()...)
			}
		}
	}
	return all
}

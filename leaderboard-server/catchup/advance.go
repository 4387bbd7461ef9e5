package catchup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// firstRange is how many transactions are read at a time: a batch has some 500
	// events at most, so a range is folded in memory. Where there is nothing for long,
	// as other tenants' transactions are counted, too, ranges double.
	firstRange, largestRange = 4096, 1 << 30
	// readTimeout bounds one tick's pass over the log, and one repair.
	readTimeout = 30 * time.Minute
)

// work is a shard during one tick or repair.
type work struct {
	shard leaderboard.Shard
	*progress
	// begin starts the session when it is needed first.
	begin   func(ctx context.Context) (leaderboard.RankingSession, error)
	session leaderboard.RankingSession
	chunk   chunk
	// known are transactions that batches have applied, all below the snapshot's xmin,
	// and byBatch has them as a set: their events are left out, and the session's end
	// makes sure that they are still there.
	known   []uint64
	byBatch map[uint64]bool
	err     error // the shard is left to the next tick
}

// chunk is standings that are sent together, each entry once.
type chunk struct {
	standings []leaderboard.Standing
	places    map[leaderboard.EntryKey]int
}

// add joins a standing to the chunk's.
func (c *chunk) add(s leaderboard.Standing, shard *leaderboard.Shard) {
	if c.places == nil {
		c.places = make(map[leaderboard.EntryKey]int, chunkSize)
	}
	if i, ok := c.places[s.EntryKey]; ok {
		c.standings[i] = shard.Join(c.standings[i], s)
		return
	}
	c.places[s.EntryKey] = len(c.standings)
	c.standings = append(c.standings, s)
}

// abandon waits for what failed sessions have on their way.
func abandon(works iter.Seq[*work]) {
	for w := range works {
		if w.session != nil {
			_ = w.session.Wait() // the session has failed already
		}
	}
}

// add queues a standing, and sends the chunk when it is full.
func (t *term) add(ctx context.Context, w *work, s leaderboard.Standing) {
	if w == nil || w.err != nil {
		return
	}
	if w.chunk.add(s, &w.shard); len(w.chunk.standings) == chunkSize {
		w.err = t.send(ctx, w)
	}
}

// send applies the shard's chunk, in a session that it begins if there is none.
func (t *term) send(ctx context.Context, w *work) (err error) {
	if len(w.chunk.standings) == 0 {
		return nil
	}
	if w.session == nil {
		if w.session, err = w.begin(ctx); err != nil {
			return err
		}
	}
	if err := w.session.Apply(ctx, w.chunk.standings); err != nil {
		return err
	}

	applied := uint64(len(w.chunk.standings))
	t.update(func(s *Status) { s.Applied += applied })
	w.chunk.standings = w.chunk.standings[:0]
	clear(w.chunk.places)
	return nil
}

// advance applies what happened since the last tick, in one pass over the log. read
// says that there was something.
func (t *term) advance(ctx context.Context, whole map[leaderboard.ShardID]*work, snapshot leaderboard.Snapshot) (read bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	defer abandon(maps.Values(whole))

	from := t.fold.upTo
	for _, w := range whole {
		from = min(from, w.upTo)
		w.begin = func(ctx context.Context) (leaderboard.RankingSession, error) {
			return t.ranking.Begin(ctx, w.shard, leaderboard.SessionStart{Ledger: snapshot.Identity, Watermark: w.stored})
		}
	}

	if t.quiet.observe(snapshot, from, time.Now()) {
		for size := uint64(firstRange); from < snapshot.Xmin; {
			until := min(from+size, snapshot.Xmin)
			events, err := t.advanceRange(ctx, whole, from, until)
			read = read || events > 0
			if err != nil {
				return read, err
			}
			if from = until; events == 0 {
				size = min(2*size, largestRange)
			} else {
				size = firstRange
			}
		}
		t.quiet.read(snapshot.Xmin)
	}
	t.fold.upTo = max(t.fold.upTo, snapshot.Xmin)

	return read, t.completeAll(ctx, whole, snapshot)
}

// advanceRange reads one range of the log into the shards and the standings.
func (t *term) advanceRange(ctx context.Context, whole map[leaderboard.ShardID]*work, from, until uint64) (events int, err error) {
	unknown := false
	err = t.read(ctx, from, until, func(chunk []leaderboard.Event) error {
		events += len(chunk)
		for _, e := range chunk {
			if _, ok := t.catalog.Numbered(e.Board); !ok {
				unknown = true
			}
			t.durable = max(t.durable, e.Xid+1)
			t.fold.add(t.catalog, e)
			t.catalog.Route(e, func(board leaderboard.LiveBoard, s leaderboard.Standing) {
				w := whole[board.ShardFor(s.EntryKey).ShardID]
				if w != nil && e.Xid >= w.upTo && !w.byBatch[e.Xid] && !leaderboard.ExcludedFrom(e.Excluded, board.Number) {
					t.add(ctx, w, s)
				}
			})
		}
		return ctx.Err()
	})
	if err != nil {
		return events, err
	}
	if unknown {
		t.catalog = nil // and nothing of this range is claimed
		return events, errors.New("the log has a board that was added just now")
	}

	t.fold.upTo = max(t.fold.upTo, until)
	return events, t.saveIfFull(ctx)
}

// read streams the log to fn while the next chunks are on their way: PostgreSQL and
// Redis work at the same time.
func (t *term) read(ctx context.Context, from, until uint64, fn func([]leaderboard.Event) error) error {
	return ahead(ctx, func(ctx context.Context, put func([]leaderboard.Event) error) error {
		return t.ledger.ReadLog(ctx, from, until, chunkSize, put)
	}, fn)
}

// ahead runs produce beside fn, which gets copies of what is put, a few chunks behind.
func ahead[T any](ctx context.Context, produce func(ctx context.Context, put func([]T) error) error, fn func([]T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	chunks, ended := make(chan []T, 2), make(chan error, 1)
	go func() {
		defer close(chunks)
		ended <- produce(ctx, func(chunk []T) error {
			select {
			case chunks <- slices.Clone(chunk):
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

// completeAll ends the tick of every shard.
func (t *term) completeAll(ctx context.Context, whole map[leaderboard.ShardID]*work, snapshot leaderboard.Snapshot) error {
	var failed error
	for _, w := range whole {
		if w.err == nil {
			w.err = t.complete(ctx, w, snapshot)
		}
		if w.err != nil {
			failed = fmt.Errorf("board %s: %w", w.shard.Name, w.err)
		}
	}
	return failed
}

// complete applies the rest, and moves the watermark if something changed, by a batch
// or here, or if it has not moved for long.
func (t *term) complete(ctx context.Context, w *work, snapshot leaderboard.Snapshot) (err error) {
	if err := t.send(ctx, w); err != nil {
		return err
	}

	watermark := formatXid(min(t.durable, snapshot.Xmin))
	due := time.Since(w.flushed) > flushInterval && watermark > w.stored
	if w.session == nil && (due || len(w.known) > 0) {
		if w.session, err = w.begin(ctx); err != nil {
			return err
		}
	}
	if w.session != nil {
		watermark = max(watermark, w.stored)
		if err := w.session.Finish(ctx, watermark, w.known); err != nil {
			return err
		}
		t.settle(w.progress, watermark, snapshot.Xmin)
	}

	t.mu.Lock()
	w.upTo = snapshot.Xmin
	t.mu.Unlock()
	return nil
}

// settle records a finished session.
func (t *term) settle(p *progress, watermark string, upTo uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.stored, p.upTo, p.flushed = watermark, upTo, time.Now()
}

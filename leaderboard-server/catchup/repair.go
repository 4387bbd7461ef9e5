package catchup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// repair brings shards of one season of a board from where they are up to now, beside the
// ticks: from the standings, or from an older watermark. What fails is tried again by a
// later tick.
func (t *term) repair(ctx context.Context, season leaderboard.SeasonID, repairs []repair) {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, r := range repairs {
			r.repairing, r.repaired = false, time.Now()
		}
	}()

	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return
	}

	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()

	started := time.Now()
	applied, err := t.stream(ctx, season, repairs)
	name := repairs[0].shard.Name
	switch {
	case err == nil:
		t.log.InfoContext(ctx, "a ranking has caught up", "board", name, "shards", len(repairs), "standings", applied, "took", time.Since(started))
		t.Wake()
	case ctx.Err() == nil && !errors.Is(err, leaderboard.ErrShardMoved):
		t.log.WarnContext(ctx, "a ranking could not be caught up, trying again", "board", name, "error", err)
	}
}

// stream repairs shards of one season of a board: those that have a watermark from the log, the
// others from the standings and the log behind them.
func (t *term) stream(ctx context.Context, season leaderboard.SeasonID, repairs []repair) (applied int, err error) {
	snapshot, err := t.ledger.Snapshot(ctx)
	if err != nil {
		return 0, err
	}

	checkpoint, err := t.ledger.Checkpoint(ctx)
	if err != nil {
		return 0, err
	}

	catalog, err := t.ledger.LoadCatalog(ctx)
	if err != nil {
		return 0, err
	}

	board, ok := catalog.Numbered(season.Board)
	board = board.In(season.Season)
	if !ok || board.Shards != repairs[0].shard.Of {
		return 0, leaderboard.ErrShardMoved // it was changed just now: diagnose again
	}

	j := &job{term: t, catalog: catalog, board: board, parts: make(map[leaderboard.ShardID]*jobPart, len(repairs)), xmin: snapshot.Xmin}
	defer j.abandon()

	if err := j.begin(ctx, repairs, snapshot, checkpoint); err != nil {
		return 0, err
	}
	if err := j.readAll(ctx); err != nil {
		return j.applied, err
	}
	return j.applied, j.finish(ctx)
}

// job is one repair on its way.
type job struct {
	*term
	catalog *leaderboard.Catalog
	board   leaderboard.LiveBoard
	parts   map[leaderboard.ShardID]*jobPart
	// durable is as the term's, and xmin of the snapshot that is read.
	durable, xmin uint64
	applied       int
}

// jobPart is one shard of a job.
type jobPart struct {
	*work
	repair repair
	// scratch says that the shard is made of the standings; else from its watermark.
	scratch bool
}

func (j *job) abandon() {
	for _, p := range j.parts {
		_ = p.session.Wait() // what failed has failed already
	}
}

// begin starts the sessions.
func (j *job) begin(ctx context.Context, repairs []repair, snapshot leaderboard.Snapshot, checkpoint leaderboard.Checkpoint) error {
	for _, r := range repairs {
		if r.ledger != snapshot.Identity || r.from > snapshot.Xmin {
			return leaderboard.ErrShardMoved // the ledger was replaced just now: diagnose again
		}

		session, err := j.ranking.Begin(ctx, r.shard, leaderboard.SessionStart{Ledger: snapshot.Identity, Watermark: r.watermark, Discard: r.discard, Repair: true})
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}

		// Retention may have dropped what the watermark would be read from.
		w := &work{shard: r.shard, progress: &progress{upTo: r.from}, session: session}
		j.parts[r.shard.ShardID] = &jobPart{work: w, repair: r, scratch: r.from < max(checkpoint.LogStart, 1)}
	}
	return nil
}

// readAll reads what the shards lack, while the last chunks are applied.
func (j *job) readAll(ctx context.Context) error {
	from := j.xmin
	for _, p := range j.parts {
		if p.scratch {
			return j.fromStandings(ctx)
		}
		from = min(from, p.upTo)
	}

	j.durable = from
	return j.read(ctx, from, leaderboard.HistoryEnd(j.xmin), func(chunk []leaderboard.Event) error { return j.addEvents(ctx, chunk) })
}

// piece is what is read of a board: standings or events.
type piece struct {
	standings []leaderboard.Standing
	events    []leaderboard.Event
}

func (j *job) fromStandings(ctx context.Context) error {
	begin := func(checkpoint, xmin uint64) {
		j.durable, j.xmin = checkpoint, xmin
		for _, p := range j.parts {
			p.scratch = p.scratch || p.upTo < checkpoint // the events are read from there only
		}
	}

	return ahead(ctx, func(ctx context.Context, put func([]piece) error) error {
		return j.ledger.ReadBoard(ctx, j.board, chunkSize, begin,
			func(chunk []leaderboard.Standing) error { return put([]piece{{standings: slices.Clone(chunk)}}) },
			func(chunk []leaderboard.Event) error { return put([]piece{{events: slices.Clone(chunk)}}) })
	}, func(pieces []piece) error {
		for _, piece := range pieces {
			for _, s := range piece.standings {
				if p := j.parts[j.board.ShardFor(s.EntryKey).ShardID]; p != nil && p.scratch {
					if err := j.join(ctx, p, s); err != nil {
						return err
					}
				}
			}
			if err := j.addEvents(ctx, piece.events); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// addEvents joins all that is committed, not only what is below xmin: whoever appended
// it may have applied it before Redis lost it.
func (j *job) addEvents(ctx context.Context, events []leaderboard.Event) (failed error) {
	for _, e := range events {
		if e.Xid < j.xmin {
			j.durable = max(j.durable, e.Xid+1)
		}

		j.catalog.Route(e, func(board leaderboard.LiveBoard, s leaderboard.Standing) {
			if p := j.parts[board.ShardFor(s.EntryKey).ShardID]; p != nil && failed == nil && !leaderboard.ExcludedFrom(e.Excluded, board.Number) {
				failed = j.join(ctx, p, s)
			}
		})
		if failed != nil {
			return failed
		}
	}
	return ctx.Err()
}

func (j *job) join(ctx context.Context, p *jobPart, s leaderboard.Standing) error {
	j.applied++
	j.add(ctx, p.work, s)
	return p.err
}

// finish ends the sessions and hands the shards back to the ticks.
func (j *job) finish(ctx context.Context) error {
	for _, p := range j.parts {
		if err := j.send(ctx, p.work); err != nil {
			return err
		}
		if p.scratch {
			if err := p.session.Wait(); err != nil {
				return err
			}
			if err := j.guard(ctx, j.catalog, j.board, p.repair.ledger, []leaderboard.Shard{p.shard}); err != nil {
				return err
			}
		}

		upTo := max(p.repair.from, min(j.durable, j.xmin))
		watermark := formatXid(upTo)
		if err := p.session.Finish(ctx, watermark, nil); err != nil {
			return err
		}

		if j.settle(p.repair.progress, watermark, upTo); p.scratch {
			j.update(func(s *Status) { s.Rebuilds++ })
		}
	}
	return nil
}

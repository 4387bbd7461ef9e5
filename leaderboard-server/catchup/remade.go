package catchup

import (
	"context"
	"fmt"
	"maps"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// remade are the rankings of a refold: they have what their standings have.
type remade struct {
	leaderboard.RefoldWork
	// made are the numbers of the rankings that there are in Redis. Seasons that will open
	// later have none yet.
	made map[int32]bool
	// ledger is the ledger's identity, and watermark that of the shards.
	ledger, watermark string
}

// shards are those of the rankings that were made and are still to be had.
func (m *remade) shards() []leaderboard.Shard {
	var shards []leaderboard.Shard
	if m.made[m.Board.Season] {
		shards = m.Board.AllShards()
	}
	for _, s := range m.Seasons() {
		if m.made[s.Made] {
			shards = append(shards, m.Board.In(s.Made).AllShards()...)
		}
	}
	return shards
}

// makeRankings makes the rankings of the standings, unless that was done.
func (t *term) makeRankings(ctx context.Context, work leaderboard.RefoldWork) (*remade, error) {
	m := &remade{RefoldWork: work, made: make(map[int32]bool), watermark: formatXid(work.Xid)}
	return m, t.makeMissing(ctx, m)
}

// makeMissing makes the rankings of seasons that will be served soon by now.
func (t *term) makeMissing(ctx context.Context, m *remade) error {
	snapshot, err := t.ledger.Snapshot(ctx)
	if err != nil {
		return err
	}

	m.ledger = snapshot.Identity
	for _, ranking := range m.Rankings(snapshot.Now) {
		if m.made[ranking.Season] {
			continue
		}
		if err := t.makeRanking(ctx, m, ranking); err != nil {
			return err
		}
		m.made[ranking.Season] = true
	}
	return nil
}

// makeRanking makes one ranking of the standings, unless that was done.
func (t *term) makeRanking(ctx context.Context, m *remade, ranking leaderboard.LiveBoard) error {
	shards := ranking.AllShards()
	states := t.ranking.States(ctx, shards)
	if m.whole(shards, states) == nil {
		return nil
	}

	works, err := t.beginAll(ctx, shards, func(i int) leaderboard.SessionStart {
		is := states[i]
		return leaderboard.SessionStart{Ledger: m.ledger, Watermark: is.Watermark, Discard: is.Identity != "" || !is.Whole, Repair: true}
	})
	if err != nil {
		return err
	}
	defer abandon(maps.Values(works))

	err = ahead(ctx, func(ctx context.Context, put func([]leaderboard.Standing) error) error {
		return t.ledger.ReadRefold(ctx, m.RefoldWork, ranking.Season, chunkSize, put)
	}, func(chunk []leaderboard.Standing) error { return t.spread(ctx, m, works, chunk) })
	if err != nil {
		return err
	}
	if err := t.flushAll(ctx, works); err != nil {
		return err
	}
	if err := t.guard(ctx, t.ledger.Catalog(), ranking, m.ledger, shards); err != nil {
		return err
	}
	return t.finishAll(ctx, works, m.watermark)
}

// shardWorks are sessions on shards.
type shardWorks map[leaderboard.ShardID]*work

// beginAll begins a session on each shard.
func (t *term) beginAll(ctx context.Context, shards []leaderboard.Shard, start func(i int) leaderboard.SessionStart) (shardWorks, error) {
	works := make(shardWorks, len(shards))
	for i, shard := range shards {
		session, err := t.ranking.Begin(ctx, shard, start(i))
		if err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
		works[shard.ShardID] = &work{shard: shard, session: session}
	}
	return works, nil
}

// whole says whether the shards are where the refold has left them; nil: they are.
func (m *remade) whole(shards []leaderboard.Shard, states []leaderboard.ShardState) error {
	for i, is := range states {
		if is.Err != nil {
			return is.Err
		}
		if is.Identity != shards[i].Identity(m.ledger) || !is.Whole || is.Watermark != m.watermark {
			return leaderboard.ErrShardMoved
		}
	}
	return nil
}

// spread hands standings to the shards that they belong to. Those of rankings that are not
// made yet are in their standings by then.
func (t *term) spread(ctx context.Context, m *remade, works shardWorks, standings []leaderboard.Standing) error {
	for _, s := range standings {
		w := works[m.Board.ShardFor(s.EntryKey).ShardID]
		if t.add(ctx, w, s); w != nil && w.err != nil {
			return w.err
		}
	}
	return ctx.Err()
}

func (t *term) finishAll(ctx context.Context, works shardWorks, watermark string) error {
	for _, w := range works {
		if err := t.send(ctx, w); err != nil {
			return err
		}
		if err := w.session.Finish(ctx, watermark, nil); err != nil {
			return err
		}
	}
	return nil
}

// join joins the standings that changed to the rankings, without moving the watermark.
func (t *term) join(ctx context.Context, m *remade, changed []leaderboard.Standing) (shardWorks, error) {
	shards := m.shards()
	if err := m.whole(shards, t.ranking.States(ctx, shards)); err != nil {
		return nil, err
	}

	works, err := t.beginAll(ctx, shards, func(int) leaderboard.SessionStart {
		return leaderboard.SessionStart{Ledger: m.ledger, Watermark: m.watermark}
	})
	if err != nil {
		return nil, err
	}
	defer abandon(maps.Values(works))

	if err := t.spread(ctx, m, works, changed); err != nil {
		return nil, err
	}
	if err := t.flushAll(ctx, works); err != nil {
		return nil, err
	}
	return works, nil
}

// flushAll sends the chunks that were begun, and waits for them.
func (t *term) flushAll(ctx context.Context, works shardWorks) error {
	for _, w := range works {
		if err := t.send(ctx, w); err != nil {
			return err
		}
		if err := w.session.Wait(); err != nil {
			return err
		}
	}
	return nil
}

package catchup

import (
	"context"
	"fmt"
	"slices"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// remade is the ranking of a refold: it has what its standings have.
type remade struct {
	leaderboard.RefoldWork
	// ledger is the ledger's identity, and watermark that of the shards.
	ledger, watermark string
}

// makeRanking makes the ranking of the standings, unless that was done.
func (t *term) makeRanking(ctx context.Context, work leaderboard.RefoldWork) (*remade, error) {
	snapshot, err := t.ledger.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	m := &remade{RefoldWork: work, ledger: snapshot.Identity, watermark: formatXid(work.Xid)}
	shards := work.Board.AllShards()
	states := t.ranking.States(ctx, shards)
	if m.whole(shards, states) == nil {
		return m, nil
	}

	works, err := t.beginAll(ctx, shards, func(i int) leaderboard.SessionStart {
		is := states[i]
		return leaderboard.SessionStart{Ledger: m.ledger, Watermark: is.Watermark, Discard: is.Identity != "" || !is.Whole, Repair: true}
	})
	if err != nil {
		return nil, err
	}
	defer abandon(slices.Values(works))

	err = ahead(ctx, func(ctx context.Context, put func([]leaderboard.Standing) error) error {
		return t.ledger.ReadRefold(ctx, work, chunkSize, put)
	}, func(chunk []leaderboard.Standing) error { return t.spread(ctx, works, chunk) })
	if err != nil {
		return nil, err
	}
	return m, t.finishAll(ctx, works, m.watermark)
}

// beginAll begins a session on each shard.
func (t *term) beginAll(ctx context.Context, shards []leaderboard.Shard, start func(i int) leaderboard.SessionStart) ([]*work, error) {
	works := make([]*work, len(shards))
	for i, shard := range shards {
		session, err := t.ranking.Begin(ctx, shard, start(i))
		if err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
		works[i] = &work{shard: shard, session: session}
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

// spread hands standings to the shards that they belong to.
func (t *term) spread(ctx context.Context, works []*work, standings []leaderboard.Standing) error {
	for _, s := range standings {
		w := works[leaderboard.ShardIndex(s.Player, len(works))]
		if t.add(ctx, w, s); w.err != nil {
			return w.err
		}
	}
	return ctx.Err()
}

func (t *term) finishAll(ctx context.Context, works []*work, watermark string) error {
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

// join joins the standings that changed to the ranking, without moving the watermark.
func (t *term) join(ctx context.Context, m *remade, changed []leaderboard.Standing) ([]*work, error) {
	shards := m.Board.AllShards()
	if err := m.whole(shards, t.ranking.States(ctx, shards)); err != nil {
		return nil, err
	}

	works, err := t.beginAll(ctx, shards, func(int) leaderboard.SessionStart {
		return leaderboard.SessionStart{Ledger: m.ledger, Watermark: m.watermark}
	})
	if err != nil {
		return nil, err
	}
	defer abandon(slices.Values(works))

	if err := t.spread(ctx, works, changed); err != nil {
		return nil, err
	}
	for _, w := range works {
		if err := t.send(ctx, w); err != nil {
			return nil, err
		}
		if err := w.session.Wait(); err != nil {
			return nil, err
		}
	}
	return works, nil
}

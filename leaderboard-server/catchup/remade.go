package catchup

import (
	"context"
	"fmt"

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

	sessions := make([]*remadeShard, len(shards))
	for i, shard := range shards {
		is := states[i]
		if is.Err != nil {
			return nil, is.Err
		}
		session, err := t.ranking.Begin(ctx, shard, leaderboard.SessionStart{Ledger: m.ledger, Watermark: is.Watermark, Discard: is.Identity != "" || !is.Whole, Repair: true})
		if err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
		sessions[i] = &remadeShard{session: session}
	}
	defer waitFor(sessions)

	err = ahead(ctx, func(ctx context.Context, put func([]leaderboard.Standing) error) error {
		return t.ledger.ReadRefold(ctx, work, chunkSize, put)
	}, func(chunk []leaderboard.Standing) error { return t.spread(ctx, sessions, chunk) })
	if err != nil {
		return nil, err
	}
	return m, t.finishAll(ctx, sessions, m.watermark)
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

// remadeShard is a shard of a ranking that is made, and what is on its way to it.
type remadeShard struct {
	session leaderboard.RankingSession
	chunk   []leaderboard.Standing
}

// spread hands standings, each of another entry, to the shards that they belong to.
func (t *term) spread(ctx context.Context, shards []*remadeShard, standings []leaderboard.Standing) error {
	for _, s := range standings {
		w := shards[leaderboard.ShardIndex(s.Player, len(shards))]
		if w.chunk = append(w.chunk, s); len(w.chunk) == chunkSize {
			if err := t.sendChunk(ctx, w); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (t *term) sendChunk(ctx context.Context, w *remadeShard) error {
	if len(w.chunk) == 0 {
		return nil
	}
	if err := w.session.Apply(ctx, w.chunk); err != nil {
		return err
	}
	applied := uint64(len(w.chunk))
	t.update(func(s *Status) { s.Applied += applied })
	w.chunk = w.chunk[:0]
	return nil
}

func waitFor(shards []*remadeShard) {
	for _, w := range shards {
		if w != nil {
			_ = w.session.Wait() // what failed has failed already
		}
	}
}

func (t *term) finishAll(ctx context.Context, shards []*remadeShard, watermark string) error {
	for _, w := range shards {
		if err := t.sendChunk(ctx, w); err != nil {
			return err
		}
		if err := w.session.Finish(ctx, watermark, nil); err != nil {
			return err
		}
	}
	return nil
}

// join joins the standings that changed to the ranking, without moving the watermark.
func (t *term) join(ctx context.Context, m *remade, changed []leaderboard.Standing) ([]*remadeShard, error) {
	shards := m.Board.AllShards()
	if err := m.whole(shards, t.ranking.States(ctx, shards)); err != nil {
		return nil, err
	}

	sessions := make([]*remadeShard, len(shards))
	for i, shard := range shards {
		session, err := t.ranking.Begin(ctx, shard, leaderboard.SessionStart{Ledger: m.ledger, Watermark: m.watermark})
		if err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
		sessions[i] = &remadeShard{session: session}
	}
	defer waitFor(sessions)

	if err := t.spread(ctx, sessions, changed); err != nil {
		return nil, err
	}
	for _, w := range sessions {
		if err := t.sendChunk(ctx, w); err != nil {
			return nil, err
		}
		if err := w.session.Wait(); err != nil {
			return nil, err
		}
	}
	return sessions, nil
}

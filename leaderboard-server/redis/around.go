package redis

import (
	"context"
	"fmt"
	"slices"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// aroundAttempts is how often a player is looked for among the neighbours on a board of
// several shards, where entries may move between the reading of a rank and of a page.
const aroundAttempts = 3

// AroundPlayer implements [leaderboard.Ranking]. On a board of one shard all is of one
// moment.
func (r *Ranking) AroundPlayer(ctx context.Context, board leaderboard.LiveBoard, player, before, after int64) (leaderboard.Neighbours, error) {
	if board.Shards == 1 {
		s := shard{board.Shard(board.Season, 0)}
		bucket, field := s.place(player)
		c := r.newCall(functions.Around, s, before, after, s.joinFlag(), field, encodePlayer(player))
		c.keys = append(c.keys, s.bucketKey(r.prefix, bucket))
		n, err := r.around(ctx, c, before)
		if err == nil && n.Rank == 0 {
			err = noEntry(board)
		}
		return n, err
	}

	var n leaderboard.Neighbours
	for range aroundAttempts {
		entry, err := r.Rank(ctx, board, player)
		if err != nil {
			return n, err
		}
		if n, err = leaderboard.AroundRank(ctx, r, board, entry.Rank, before, after+1); err != nil {
			return n, err
		}
		if i := slices.IndexFunc(n.Entries, func(e leaderboard.RankingEntry) bool { return e.Player == player }); i >= 0 {
			n.Rank = n.Entries[i].Rank
			return n, nil
		}
	}

	return n, unavailable("is changing too fast", fmt.Errorf("a player of board %s moved in all of %d attempts", board.Name, aroundAttempts))
}

// AroundScore implements [leaderboard.Ranking].
func (r *Ranking) AroundScore(ctx context.Context, board leaderboard.LiveBoard, score, before, after int64) (leaderboard.Neighbours, error) {
	if board.Shards == 1 {
		s := shard{board.Shard(board.Season, 0)}
		p := s.position(leaderboard.ScoreBound{Score: score, Included: true})
		return r.around(ctx, r.newCall(functions.Around, s, before, after, p.order, p.tie), before)
	}

	return leaderboard.AroundPlace(ctx, r, board, score, before, after)
}

// around reads what the function around answers.
func (r *Ranking) around(ctx context.Context, c *call, before int64) (leaderboard.Neighbours, error) {
	if err := r.runOne(ctx, c); err != nil {
		return leaderboard.Neighbours{}, unavailable("cannot be reached", fmt.Errorf("read neighbours: %w", err))
	}

	values, err := r.trusted(c, 3)
	if err != nil {
		return leaderboard.Neighbours{}, err
	}
	positions, err := c.shard.decodeAll(values[2])
	if err != nil {
		return leaderboard.Neighbours{}, err
	}

	var n leaderboard.Neighbours
	n.Total, _ = values[0].(int64)
	index, _ := values[1].(int64)
	n.Rank = index + 1

	n.Entries = make([]leaderboard.RankingEntry, len(positions))
	for i, p := range positions {
		n.Entries[i] = p.RankingEntry
		n.Entries[i].Rank = max(index-before, 0) + int64(i) + 1
	}
	return n, nil
}

// tieAfterAll is after the tie of every entry.
const tieAfterAll = 1 << (8 * tieBytes)

// position is where a bound is among the entries.
func (s shard) position(bound leaderboard.ScoreBound) *position {
	p := &position{order: s.oriented(bound.Score)}
	if bound.Included {
		p.tie = tieAfterAll
	}
	return p
}

// CountBetter implements [leaderboard.Ranking].
func (r *Ranking) CountBetter(ctx context.Context, board leaderboard.LiveBoard, bounds []leaderboard.ScoreBound) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	positions := make([]*position, len(bounds))
	for i, bound := range bounds {
		positions[i] = shard{board.Shard(board.Season, 0)}.position(bound)
	}
	counts, err := r.countBefore(ctx, board.Season, board, positions, func(int, *position) bool { return true })
	if err != nil {
		return nil, err
	}

	sums := make([]int64, len(bounds))
	for i, byShard := range counts {
		for _, n := range byShard {
			sums[i] += n
		}
	}
	return sums, nil
}

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
		bucket, field := s.place(r.prefix, player)
		c := r.newCall(functions.Around, s, before, after, s.CountColumns(), s.ranksFlag(), s.joinFlag(), field, s.encodePlayer(player))
		c.keys = append(c.keys, bucket)
		n, place, err := r.around(ctx, c, before)
		if err == nil && place == 0 {
			err = noEntry(board)
		}
		for _, e := range n.Entries {
			if e.Player == player {
				n.Rank = e.Rank
			}
		}
		return n, err
	}

	var n leaderboard.Neighbours
	for range aroundAttempts {
		entry, err := r.Rank(ctx, board, player)
		if err != nil {
			return n, err
		}
		if n, err = leaderboard.AroundEntry(ctx, r, board, entry.RankingEntry, before, after); err != nil {
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
		n, place, err := r.around(ctx, r.newCall(functions.Around, s, before+1, after, s.CountColumns(), s.ranksFlag(), p.order, p.key), before+1)
		return board.AroundNew(n, score, place, before), err
	}

	return leaderboard.AroundPlace(ctx, r, board, score, before, after)
}

// around reads what the function around answers: the entries, and the place that they are
// around, 0 if there is none.
func (r *Ranking) around(ctx context.Context, c *call, before int64) (n leaderboard.Neighbours, place int64, err error) {
	if err := r.runOne(ctx, c); err != nil {
		return n, 0, unavailable("cannot be reached", fmt.Errorf("read neighbours: %w", err))
	}

	values, err := r.trusted(c, 5)
	if err != nil {
		return n, 0, err
	}
	positions, err := c.shard.decodeAll(values[2])
	if err != nil {
		return n, 0, err
	}

	n.Total, _ = values[0].(int64)
	index, _ := values[1].(int64)
	n.Entries = c.shard.counted(positions, max(index-before, 0), values[3:])
	return n, index + 1, nil
}

// position is where a bound is among the entries.
func (s shard) position(bound leaderboard.ScoreBound) *position {
	p := &position{order: s.oriented(bound.Score)}
	if bound.Included {
		p.order++ // scores are integers
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
	counts, _, err := r.countBefore(ctx, board.Season, board, positions, func(int, *position) bool { return true })
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

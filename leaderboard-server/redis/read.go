package redis

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// perEntry is how many values the functions answer of an entry: see ranked.
const perEntry = 5

// ranked reads index, score, member, and what is better, as the functions answer them. The
// rank is within the shard, from 1.
func (s shard) ranked(values []any) (p position, ok bool, err error) {
	index, isIndex := values[0].(int64)
	score, isScore := values[1].(string)
	member, isMember := values[2].(string)
	if !isIndex || index < 0 || !isScore || !isMember {
		return p, false, nil // no entry, or a shard that is being thrown away
	}
	if p, err = s.decode(member, score); err != nil {
		return p, false, err
	}

	p.Place = index + 1
	p.Better, _ = values[3].(int64)
	p.distinct, _ = values[4].(int64)
	p.count(s.Ranks)
	return p, true, nil
}

// counted are the entries of a range that begins after so many of its board; better are the
// two values that a function answers of the first of them.
func (s shard) counted(positions []position, offset int64, better []any) []leaderboard.RankingEntry {
	entries := make([]leaderboard.RankingEntry, len(positions))
	for i := range positions {
		p := &positions[i]
		p.Place = offset + int64(i) + 1
		if i == 0 {
			p.Better, _ = better[0].(int64)
			p.distinct, _ = better[1].(int64)
			p.count(s.Ranks)
		}
		entries[i] = p.RankingEntry
	}
	s.Ranks.CountOn(entries)
	return entries
}

// addOtherShards turns ranks within shards into ranks of the whole board.
func (r *Ranking) addOtherShards(ctx context.Context, season int32, board leaderboard.LiveBoard, positions []*position) error {
	if board.Shards == 1 || len(positions) == 0 {
		return nil
	}

	asked := positions
	if board.Ranks != leaderboard.Ordinal {
		asked = slices.Clone(positions)
		for _, p := range positions {
			asked = append(asked, p.group())
		}
	}
	counts, totals, err := r.countBefore(ctx, season, board, asked, func(shard int, p *position) bool {
		return shard != leaderboard.ShardIndex(p.Player, board.Shards)
	})
	if err != nil {
		return err
	}

	for i, p := range positions {
		for shard, c := range counts[i] {
			p.Place += c
			if shard != leaderboard.ShardIndex(p.Player, board.Shards) {
				p.Total += totals[shard]
			}
		}
		if len(asked) > len(positions) {
			for _, c := range counts[len(positions)+i] {
				p.Better += c
			}
		}
		p.count(board.Ranks)
	}

	return nil
}

// countBefore counts, for each position and each shard that wanted picks, the
// shard's entries that rank before the position, and all entries of such a shard.
func (r *Ranking) countBefore(ctx context.Context, season int32, board leaderboard.LiveBoard, positions []*position, wanted func(shard int, p *position) bool) (counts [][]int64, totals []int64, err error) {
	calls := make([]*call, 0, board.Shards)
	asked := make([][]int, 0, board.Shards) // per call, the positions
	for index := range board.Shards {
		s := shard{board.Shard(season, index)}
		c := r.newCall(functions.Count, s)
		var of []int

		for i, p := range positions {
			if wanted(index, p) {
				c.args = append(c.args, p.order, p.key)
				of = append(of, i)
			}
		}

		if len(of) > 0 {
			calls, asked = append(calls, c), append(asked, of)
		}
	}

	if err := r.pipeline(ctx, calls); err != nil {
		return nil, nil, unavailable("cannot be reached", fmt.Errorf("count entries: %w", err))
	}

	counts, totals = make([][]int64, len(positions)), make([]int64, board.Shards)
	for i := range counts {
		counts[i] = make([]int64, board.Shards)
	}

	for j, c := range calls {
		values, err := r.trusted(c, 1+len(asked[j]))
		if err != nil {
			return nil, nil, err
		}
		totals[c.shard.Index], _ = values[0].(int64)
		for k, i := range asked[j] {
			counts[i][c.shard.Index], _ = values[1+k].(int64)
		}
	}

	return counts, totals, nil
}

// Page implements [leaderboard.Ranking].
func (r *Ranking) Page(ctx context.Context, board leaderboard.LiveBoard, offset, limit int64) ([]leaderboard.RankingEntry, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	starts := make([]int64, board.Shards)
	if board.Shards == 1 {
		starts[0] = offset
	} else if offset > 0 {
		var err error
		if starts, err = r.locate(ctx, board, offset); err != nil {
			return nil, 0, err
		}
	}

	merged, total, better, err := r.ranges(ctx, board, starts, limit)
	if err != nil {
		return nil, 0, err
	}

	if board.Shards > 1 {
		sort.Slice(merged, func(i, j int) bool { return merged[i].before(&merged[j]) })
		if len(merged) > 0 && board.Ranks != leaderboard.Ordinal {
			if better, err = r.countGroup(ctx, board, &merged[0]); err != nil {
				return nil, 0, err
			}
		}
	}

	if int64(len(merged)) > limit {
		merged = merged[:limit]
	}
	return shard{board.Shard(board.Season, 0)}.counted(merged, offset, better), total, nil
}

// countGroup counts the entries with a better score or columns.
func (r *Ranking) countGroup(ctx context.Context, board leaderboard.LiveBoard, p *position) (better []any, err error) {
	counts, _, err := r.countBefore(ctx, board.Season, board, []*position{p.group()}, func(int, *position) bool { return true })
	if err != nil {
		return nil, err
	}

	var sum int64
	for _, n := range counts[0] {
		sum += n
	}
	return []any{sum, int64(0)}, nil
}

// ranges reads limit entries of each shard from its start, and the number of
// entries of all shards. better is what the last shard says of its first entry.
func (r *Ranking) ranges(ctx context.Context, board leaderboard.LiveBoard, starts []int64, limit int64) (merged []position, total int64, better []any, err error) {
	calls := make([]*call, board.Shards)
	for i, s := range shardsOf(board) {
		first, last := starts[i], starts[i]+limit-1
		if last < first { // -1 would be the last of all
			first, last = 1, 0
		}
		calls[i] = r.newCall(functions.Page, s, first, last, s.CountColumns(), s.ranksFlag())
	}

	if err := r.pipeline(ctx, calls); err != nil {
		return nil, 0, nil, unavailable("cannot be reached", fmt.Errorf("read a page: %w", err))
	}

	for _, c := range calls {
		values, err := r.trusted(c, 4)
		if err != nil {
			return nil, 0, nil, err
		}

		count, _ := values[0].(int64)
		total += count
		positions, err := c.shard.decodeAll(values[1])
		if err != nil {
			return nil, 0, nil, err
		}
		merged, better = append(merged, positions...), values[2:]
	}

	return merged, total, better, nil
}

// maxRounds bounds the search for a deep page: with interpolation it takes about
// ten rounds, with halving alone as many as the logarithm of the entries.
const maxRounds = 200

// locate finds where in each shard the board's entry number offset (from 0)
// would be: the starts of all shards add up to offset, and everything before them
// ranks before everything after.
func (r *Ranking) locate(ctx context.Context, board leaderboard.LiveBoard, offset int64) ([]int64, error) {
	low, high := make([]int64, board.Shards), make([]int64, board.Shards)
	calls := make([]*call, board.Shards)
	for i, s := range shardsOf(board) {
		calls[i] = r.newCall(functions.Page, s, 1, 0, s.CountColumns(), "o") // nothing but the count
	}

	if err := r.pipeline(ctx, calls); err != nil {
		return nil, unavailable("cannot be reached", fmt.Errorf("count entries: %w", err))
	}

	var total int64
	for i, c := range calls {
		values, err := r.trusted(c, 1)
		if err != nil {
			return nil, err
		}

		count, _ := values[0].(int64)
		high[i] = min(count, offset)
		total += count
	}

	if offset >= total { // past the end: every shard's end, and none beyond it
		for i := range high {
			high[i] = offset
		}
		return high, nil
	}

	for round := range maxRounds {
		pivotShard, pivotIndex := pickPivot(low, high, offset, round%2 == 1)
		if pivotShard < 0 {
			return low, nil
		}

		before, err := r.beforeEntry(ctx, board, pivotShard, pivotIndex)
		if err != nil {
			return nil, err
		}

		narrow(low, high, before, pivotShard, offset)
	}

	return nil, unavailable("is changing too fast", fmt.Errorf("a page of board %s at %d was not found in %d rounds", board.Name, offset, maxRounds))
}

// pickPivot chooses an entry of the shard with the widest range: where the offset
// would be if all ranges were alike, or the middle. Shard -1: all are narrowed down.
func pickPivot(low, high []int64, offset int64, middle bool) (shard int, index int64) {
	shard = -1
	var widest, width, below int64
	for i := range low {
		w := high[i] - low[i]
		below += low[i]
		width += w
		if w > widest {
			shard, widest = i, w
		}
	}

	if shard < 0 {
		return -1, 0
	}
	if middle {
		return shard, low[shard] + widest/2
	}

	share := float64(offset-below) / float64(width)
	index = low[shard] + int64(share*float64(widest))
	return shard, min(max(index, low[shard]), high[shard]-1)
}

// narrow uses what is known about one pivot, given how many entries of each shard
// rank before it. Entries may move while the search goes on: bounds never cross.
func narrow(low, high, before []int64, pivotShard int, offset int64) {
	var sum int64
	for _, n := range before {
		sum += n
	}

	for i, n := range before {
		switch {
		case sum == offset:
			n = min(max(n, low[i]), high[i])
			low[i], high[i] = n, n
		case sum < offset: // the pivot itself is before the offset, too
			if i == pivotShard {
				n++
			}
			low[i] = min(max(low[i], n), high[i])
		default:
			high[i] = max(min(high[i], n), low[i])
		}
	}
}

// beforeEntry counts in every shard the entries before entry index of one shard.
func (r *Ranking) beforeEntry(ctx context.Context, board leaderboard.LiveBoard, shardIndex int, index int64) ([]int64, error) {
	s := shard{board.Shard(board.Season, shardIndex)}
	c := r.newCall(functions.Page, s, index, index, s.CountColumns(), "o")
	if err := r.pipeline(ctx, []*call{c}); err != nil {
		return nil, unavailable("cannot be reached", fmt.Errorf("read an entry: %w", err))
	}

	values, err := r.trusted(c, 2)
	if err != nil {
		return nil, err
	}

	entries, err := s.decodeAll(values[1])
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, unavailable("is changing too fast", fmt.Errorf("shard %d of board %s shrank during a search", shardIndex, board.Name))
	}

	counts, _, err := r.countBefore(ctx, board.Season, board, []*position{&entries[0]}, func(i int, _ *position) bool { return i != shardIndex })
	if err != nil {
		return nil, err
	}

	counts[0][shardIndex] = index
	return counts[0], nil
}

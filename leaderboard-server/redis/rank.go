package redis

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

const (
	// maxRankBatch is how many ranks share a round trip: at the some 10 us of Redis'
	// time that one takes (docs/benchmarks.md), others wait little more than 1 ms.
	maxRankBatch = 128
	// maxRanksWaiting bounds the queue; callers are bounded by the server's limits
	// before that.
	maxRanksWaiting = 16384
)

// rankRequest is one caller of Rank.
type rankRequest struct {
	board  leaderboard.LiveBoard
	player int64
	entry  leaderboard.OwnEntry
	err    error
	// turn is told once: true, the request is answered; false, its caller is to
	// carry the next round.
	turn chan bool
}

// rankQueue lets concurrent callers of Rank share round trips without a goroutine
// of its own and without waiting for company: a caller who finds none under way
// carries the next one, for all who wait. (A second one at the same time makes
// both smaller: it costs a tenth more CPU time and answers nobody sooner.) A
// request is in waiting, or with the carrier.
type rankQueue struct {
	mu       sync.Mutex
	waiting  []*rankRequest
	underWay bool
}

// Rank implements [leaderboard.Ranking].
func (r *Ranking) Rank(ctx context.Context, board leaderboard.LiveBoard, player int64) (leaderboard.OwnEntry, error) {
	request := &rankRequest{board: board, player: player}
	q := &r.ranks
	q.mu.Lock()

	switch {
	case !q.underWay:
		q.underWay = true
		q.mu.Unlock()
		return r.carry(ctx, request)
	case len(q.waiting) >= maxRanksWaiting:
		q.mu.Unlock()
		return leaderboard.OwnEntry{}, unavailable("is too busy", fmt.Errorf("%d ranks are waiting", maxRanksWaiting))
	}

	request.turn = make(chan bool, 1)
	q.waiting = append(q.waiting, request)
	q.mu.Unlock()

	select {
	case answered := <-request.turn:
		if !answered {
			return r.carry(ctx, request)
		}
		return request.entry, request.err
	case <-ctx.Done():
		q.leave(request)
		return leaderboard.OwnEntry{}, unavailable("cannot be reached", ctx.Err())
	}
}

// leave takes a caller who waits no longer out of the queue. If it was told to
// carry a round in the meantime, another one must.
func (q *rankQueue) leave(request *rankRequest) {
	q.mu.Lock()
	defer q.mu.Unlock()

	if i := slices.Index(q.waiting, request); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		return
	}

	select {
	case answered := <-request.turn:
		if !answered {
			q.pass()
		}
	default: // a carrier has it, and will answer nobody
	}
}

// pass lets the first who waits carry the next round, if anybody does. The queue
// is locked.
func (q *rankQueue) pass() {
	if len(q.waiting) == 0 {
		q.underWay = false
		return
	}
	q.waiting[0].turn <- false
	q.waiting = slices.Delete(q.waiting, 0, 1)
}

// carry reads the caller's own rank and those of all who wait.
func (r *Ranking) carry(ctx context.Context, own *rankRequest) (leaderboard.OwnEntry, error) {
	q := &r.ranks
	q.mu.Lock()
	n := min(len(q.waiting), maxRankBatch-1)
	batch := append(append(make([]*rankRequest, 0, 1+n), own), q.waiting[:n]...)
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.mu.Unlock()

	// Not by the caller's time: others depend on it.
	r.readRanksInTime(context.WithoutCancel(ctx), batch)

	q.mu.Lock()
	q.pass()
	q.mu.Unlock()

	for _, request := range batch[1:] {
		request.turn <- true
	}

	return own.entry, own.err
}

const (
	// ranksAtOnce is how many ranks of a list share a round trip: some 0.5 ms of Redis'
	// time, after which others have their turn.
	ranksAtOnce = 64
	// maxListsWaiting bounds the lists that wait for those of others: each takes a few
	// milliseconds.
	maxListsWaiting = 256
)

// Ranks implements [leaderboard.Ranking]. Lists have their turns one after the other, so
// that however many there are, most of Redis' time is for everybody else.
func (r *Ranking) Ranks(ctx context.Context, queries []leaderboard.EntryQuery) ([]leaderboard.OwnEntry, error) {
	leave, err := r.lists.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()

	entries := make([]leaderboard.OwnEntry, 0, len(queries))
	for chunk := range slices.Chunk(queries, ranksAtOnce) {
		requests := make([]*rankRequest, len(chunk))
		for i, q := range chunk {
			requests[i] = &rankRequest{board: q.Board, player: q.Player}
		}
		r.readRanksInTime(ctx, requests)

		for _, request := range requests {
			if request.err != nil && leaderboard.CodeOf(request.err) != leaderboard.CodeNoEntry {
				return nil, request.err
			}
			entries = append(entries, request.entry)
		}
	}
	return entries, nil
}

func noEntry(board leaderboard.LiveBoard) error {
	return leaderboard.Errorf(leaderboard.CodeNoEntry, "", "the player has no score on board %s yet", board.Name)
}

// readRanksInTime is readRanks within the ranking's timeout.
func (r *Ranking) readRanksInTime(ctx context.Context, batch []*rankRequest) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	r.readRanks(ctx, batch)
}

// readRanks fills in the requests' entries or errors: one round trip, and another
// one for boards of several shards.
func (r *Ranking) readRanks(ctx context.Context, batch []*rankRequest) {
	type shardCall struct {
		*call
		requests []*rankRequest
	}
	type part struct {
		leaderboard.ShardID
		segment int32
	}
	byShard := make(map[part]*shardCall)
	calls := make([]*call, 0, len(batch))

	for _, request := range batch {
		s := shard{request.board.Shard(request.board.Season, leaderboard.ShardIndex(request.player, request.board.Shards))}
		c := byShard[part{s.ShardID, s.Segment}]
		if c == nil {
			c = &shardCall{call: r.newCall(functions.Rank, s, s.joinFlag(), s.CountColumns(), s.ranksFlag())}
			byShard[part{s.ShardID, s.Segment}] = c
			calls = append(calls, c.call)
		}

		bucket, field := s.place(r.prefix, request.player)
		c.keys = append(c.keys, bucket)
		c.args = append(c.args, field, s.encodePlayer(request.player))
		c.requests = append(c.requests, request)
	}

	_ = r.pipeline(ctx, calls) // every call has its own error
	spread := make(map[leaderboard.SeasonID][]*rankRequest)
	positions := make(map[leaderboard.SeasonID][]*position)

	for _, c := range byShard {
		for i, p := range r.readShard(c.call, c.requests) {
			if p == nil {
				continue
			}
			request := c.requests[i]
			if request.entry = p.OwnEntry; c.shard.Of > 1 {
				season := c.shard.RankingID()
				spread[season] = append(spread[season], request)
				positions[season] = append(positions[season], p)
			}
		}
	}

	for season, requests := range spread {
		err := r.addOtherShards(ctx, season.Season, requests[0].board, positions[season])
		for i, request := range requests {
			request.entry, request.err = positions[season][i].OwnEntry, err
		}
	}
}

// readShard returns the positions that one shard answered, nil where a request has
// got its error.
func (r *Ranking) readShard(c *call, requests []*rankRequest) []*position {
	values, err := c.values(headSize + 1 + perEntry*len(requests))
	if err != nil {
		err = unavailable("cannot be reached", fmt.Errorf("read ranks: %w", err))
	} else {
		err = r.trust(c, values)
	}

	positions := make([]*position, len(requests))
	for i, request := range requests {
		if request.err = err; err != nil {
			continue
		}
		p, ok, err := c.shard.ranked(values[headSize+1+perEntry*i:])
		switch {
		case err != nil:
			request.err = err
		case !ok:
			request.err = noEntry(request.board)
		default:
			p.Total, _ = values[headSize].(int64)
			positions[i] = &p
		}
	}

	return positions
}

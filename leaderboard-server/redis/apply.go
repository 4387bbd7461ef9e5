package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// applyArgs is how many arguments the function apply has before the standings, and
// perStanding how many for each; an answer has perAnswer values.
const applyArgs, perStanding, perAnswer = 9, 5, 6

// What the function apply does with a standing.
const (
	taskJoin   = "j"
	taskAsk    = "a" // join and answer
	taskRepeat = "r" // answer only
)

// Pauses of a shard that could not be reached; they double. Receipts of its board
// are then delayed at once, and hold up nobody else's; catch-up applies what was left
// out.
const firstPause, longestPause = 250 * time.Millisecond, 4 * time.Second

// pauses remembers the shards that could not be reached.
type pauses struct {
	mu      sync.Mutex
	byShard map[leaderboard.ShardID]pause
}

type pause struct {
	until time.Time
	d     time.Duration
}

// on says whether the shard is left alone now.
func (p *pauses) on(id leaderboard.ShardID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return now.Before(p.byShard[id].until)
}

// note takes whether the shard was reached.
func (p *pauses) note(id leaderboard.ShardID, reached bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if reached {
		delete(p.byShard, id)
		return
	}
	if p.byShard == nil {
		p.byShard = make(map[leaderboard.ShardID]pause)
	}
	d := min(max(2*p.byShard[id].d, firstPause), longestPause)
	p.byShard[id] = pause{now.Add(d), d}
}

// forget drops the shards that are not listed.
func (p *pauses) forget(listed func(leaderboard.ShardID) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.byShard, func(id leaderboard.ShardID, _ pause) bool { return !listed(id) })
}

// Apply joins the changes of a committed batch to the ranking and returns, in their
// order, what was asked: with Rank 0 where it cannot be told. An error means that some
// shard was not brought up to date; applying again does no harm.
func (r *Ranking) Apply(ctx context.Context, projection leaderboard.Projection) ([]leaderboard.Applied, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	catalog := r.boards.Catalog()
	if catalog == nil {
		return nil, errors.New("the boards are not known yet")
	}

	results := make([]leaderboard.Applied, len(projection.Changes))
	var failed error
	var calls []*call
	var applies []*applyCall
	for _, a := range r.applyCalls(catalog, projection) {
		if r.pauses.on(a.shard.ShardID, time.Now()) {
			failed = fmt.Errorf("shard %d of board %s could not be reached a moment ago", a.shard.Index, a.shard.Name)
			continue
		}
		xid := ""
		if a.joins > 0 && projection.Xid != 0 {
			xid = encodeTransaction(projection.Xid)
		}
		a.finish(a.shard.Identity(projection.Identity), "", "", xid)
		calls, applies = append(calls, a.call), append(applies, a)
	}

	_ = r.pipeline(ctx, calls) // every call has its own error
	for _, a := range applies {
		err := a.result.Err()
		r.pauses.note(a.shard.ShardID, err == nil, time.Now())
		if err != nil {
			failed = fmt.Errorf("apply standings to board %s: %w", a.shard.Name, err)
		}
	}

	return results, errors.Join(r.collect(ctx, catalog, applies, results), failed)
}

// asked is an answer and where it belongs.
type asked struct {
	*position
	result *leaderboard.Applied
}

// collect reads what the calls answered.
func (r *Ranking) collect(ctx context.Context, catalog *leaderboard.Catalog, applies []*applyCall, results []leaderboard.Applied) error {
	spread := make(map[leaderboard.SeasonID][]asked)
	var stale error

	for _, a := range applies {
		values, err := a.values(0)
		if err != nil {
			continue // told already
		}
		if len(values) != headSize+perAnswer*len(a.asks) {
			stale = fmt.Errorf("shard %d of board %s is not whole, or of another ledger", a.shard.Index, a.shard.Name)
			continue
		}

		trusted := r.trust(a.call, values) == nil // else the standings are in, but ranks are not to be told yet
		for k, i := range a.asks {
			answer := values[headSize+perAnswer*k:]
			improved, _ := answer[perAnswer-1].(int64)
			p, ok, err := a.shard.ranked(answer)
			if err != nil {
				return err
			}
			if !ok || !trusted {
				continue
			}

			result := &results[i]
			result.Improved = improved == 1
			if a.shard.Of == 1 {
				result.RankingEntry = p.RankingEntry // counted already
				continue
			}

			key := a.shard.RankingID()
			spread[key] = append(spread[key], asked{&p, result})
		}
	}

	for key, list := range spread {
		board, _ := catalog.Numbered(key.Board)
		positions := make([]*position, len(list))
		for i, a := range list {
			positions[i] = a.position
		}
		if r.addOtherShards(ctx, key.Season, board, positions) != nil {
			continue // the standings are in: only the ranks are not known
		}
		for _, a := range list {
			a.result.RankingEntry = a.RankingEntry
		}
	}

	return stale
}

// applyCall is one call of the function apply.
type applyCall struct {
	*call
	asks    []int // which of the projection's changes are answered, in the function's order
	joins   int   // how many standings are joined
	highest int64 // bucket
	// segments are those that standings are of, as what their keys end with.
	segments []string
}

func (r *Ranking) newApplyCall(s shard, standings int) *applyCall {
	a := &applyCall{call: r.newCall(functions.Apply, s).withApplied(r), highest: -1}
	a.keys = append(make([]string, 0, len(a.keys)+standings), a.keys...)
	a.args = make([]any, applyArgs, applyArgs+perStanding*standings)
	return a
}

// add appends a standing.
func (r *Ranking) add(a *applyCall, standing *leaderboard.Standing, task string) {
	of := a.shard
	if _, of.Segment = leaderboard.SplitSeason(standing.Season); of.Segment != 0 {
		if suffix := segmentSuffix(of.Segment); !slices.Contains(a.segments, suffix) {
			a.segments = append(a.segments, suffix)
		}
	}
	bucket, field := of.place(r.prefix, standing.Player)
	e := of.encode(standing)
	a.highest = max(a.highest, of.bucketOf(standing.Player))
	if task != taskRepeat {
		a.joins++
	}
	a.keys = append(a.keys, bucket)
	a.args = append(a.args, field, e.member, e.score, e.last, task)
}

func (a *applyCall) finish(identity, session, chunk, xid string) {
	copy(a.args, []any{identity, session, chunk, strconv.FormatInt(a.highest, 10), a.shard.joinFlag(), xid, a.shard.CountColumns(), a.shard.ranksFlag(), strings.Join(a.segments, " ")})
}

// applyCalls makes the calls of one projection, one per shard. Standings of boards
// that this process does not know are left to catch-up.
func (r *Ranking) applyCalls(catalog *leaderboard.Catalog, p leaderboard.Projection) []*applyCall {
	byShard := make(map[leaderboard.ShardID]*applyCall)
	var calls []*applyCall
	for i := range p.Changes {
		change := &p.Changes[i]
		board, ok := catalog.Numbered(change.Board)
		if !ok {
			continue
		}

		s := shard{board.ShardFor(change.EntryKey)}
		s.Segment = 0 // one call has all that the transaction means for the shard
		a := byShard[s.ShardID]
		if a == nil {
			a = r.newApplyCall(s, len(p.Changes))
			byShard[s.ShardID], calls = a, append(calls, a)
		}

		task := taskJoin
		switch {
		case change.Repeated:
			task = taskRepeat
		case change.Ask:
			task = taskAsk
		}
		if r.add(a, &change.Standing, task); task != taskJoin {
			a.asks = append(a.asks, i)
		}
	}
	return calls
}

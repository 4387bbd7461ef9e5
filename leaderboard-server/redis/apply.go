package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// applyArgs is how many arguments the apply script has before the standings, and
// perStanding how many for each.
const applyArgs, perStanding = 6, 5

// Apply puts the standings of a committed transaction into the ranking and returns
// the entries that the projection asks for, in the same order. An entry whose rank
// cannot be told has Rank 0. An error means that nothing is known of any of them;
// applying again does no harm.
func (r *Ranking) Apply(ctx context.Context, projection leaderboard.Projection) ([]leaderboard.RankingEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	catalog := r.boards.Catalog()
	if catalog == nil {
		return nil, errors.New("the boards are not known yet")
	}

	applies := r.applyCalls(catalog, projection)
	calls := make([]*call, 0, len(applies))
	for _, a := range applies {
		a.finish(a.shard.identity(projection.Identity), formatXid(projection.Xid), "", "")
		calls = append(calls, a.call)
	}

	if err := r.pipeline(ctx, calls); err != nil {
		return nil, fmt.Errorf("apply standings: %w", err)
	}

	results := make([]leaderboard.RankingEntry, len(projection.Ask))
	return results, r.collect(ctx, catalog, applies, projection.Ask, results)
}

// collect reads the ranks that the calls told.
func (r *Ranking) collect(ctx context.Context, catalog *leaderboard.Catalog, applies map[shardID]*applyCall, asks []leaderboard.Ask, results []leaderboard.RankingEntry) error {
	type asked struct {
		*position
		result *leaderboard.RankingEntry
	}
	type boardSeason struct{ board, season int32 }
	spread := make(map[boardSeason][]asked)

	for _, a := range applies {
		values, err := a.values(0)
		if err != nil {
			return err
		}
		if len(values) != 2+3*len(a.asks) {
			continue // stale: this process, or what is there, is of another time of the ledger
		}
		if r.trust(a.call, a.args[0], values[0], values[1]) != nil {
			continue // the standings are in, but ranks are not to be told yet
		}

		board, _ := catalog.Numbered(a.shard.board)
		for k, ask := range a.asks {
			p, ok, err := a.shard.ranked(values[2+3*k:])
			if err != nil {
				return err
			}
			if !ok || !asks[ask].ReflectedBy(board.Board, p.Score, p.tie) {
				continue
			}

			result := &results[ask]
			if a.shard.of == 1 {
				*result = p.RankingEntry
				continue
			}

			key := boardSeason{a.shard.board, a.shard.season}
			spread[key] = append(spread[key], asked{&p, result})
		}
	}

	for key, list := range spread {
		board, _ := catalog.Numbered(key.board)
		positions := make([]*position, len(list))
		for i, a := range list {
			positions[i] = a.position
		}

		if r.addOtherShards(ctx, key.season, board, positions) != nil {
			continue // the standings are in: only the ranks are not known
		}

		for _, a := range list {
			*a.result = a.RankingEntry
		}
	}

	return nil
}

// applyCall is one call of the apply script.
type applyCall struct {
	*call
	asks    []int // which of the projection's asks are told, in the script's order
	highest int64 // bucket
}

func (r *Ranking) newApplyCall(s shard, standings int) *applyCall {
	a := &applyCall{call: &call{script: applyScript, source: applySource, shard: s}, highest: -1}
	a.keys = append(make([]string, 0, 2+standings), s.entriesKey(r.prefix), s.stateKey(r.prefix))
	a.args = make([]any, applyArgs, applyArgs+perStanding*standings)
	return a
}

// add appends a standing; version 0 asks for a rank only.
func (r *Ranking) add(a *applyCall, standing *leaderboard.Standing) encoded {
	bucket, field := a.shard.place(standing.Player)
	e := a.shard.encode(standing)
	a.highest = max(a.highest, bucket)
	a.keys = append(a.keys, a.shard.bucketKey(r.prefix, bucket))
	a.args = append(a.args, field, e.member, e.score, e.value, standing.Version)
	return e
}

func (a *applyCall) finish(identity, xid, session, chunk string) {
	copy(a.args, []any{identity, xid, session, chunk, strconv.FormatInt(a.highest, 10), strconv.Itoa(len(a.asks))})
}

// applyCalls makes the calls of one projection, one per shard. Standings of
// boards that this process does not know are left to catch-up.
func (r *Ranking) applyCalls(catalog *leaderboard.Catalog, p leaderboard.Projection) map[shardID]*applyCall {
	calls := make(map[shardID]*applyCall)
	at := func(key leaderboard.EntryKey) *applyCall {
		board, ok := catalog.Numbered(key.Board)
		if !ok {
			return nil
		}

		s := shardOf(board, key.Season, shardIndex(key.Player, board.Shards))
		a := calls[s.shardID]
		if a == nil {
			a = r.newApplyCall(s, len(p.Standings))
			calls[s.shardID] = a
		}

		return a
	}

	changed := make(map[leaderboard.EntryKey]*leaderboard.Standing, len(p.Standings))
	for i := range p.Standings {
		changed[p.Standings[i].Key()] = &p.Standings[i]
	}

	// The entries that are asked for come first, each once per time it is asked.
	for i, ask := range p.Ask {
		key := ask.EntryKey
		standing := changed[key]
		if standing == nil {
			standing = &leaderboard.Standing{Board: key.Board, Season: key.Season, Player: key.Player, Origin: key.Board}
		}
		if a := at(key); a != nil {
			r.add(a, standing)
			a.asks = append(a.asks, i)
		}
	}

	for _, ask := range p.Ask {
		delete(changed, ask.EntryKey)
	}

	for i := range p.Standings {
		standing := &p.Standings[i]
		if changed[standing.Key()] == nil {
			continue
		}
		if a := at(standing.Key()); a != nil {
			r.add(a, standing)
		}
	}

	return calls
}

package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

const (
	// maxSnapshots is how many snapshots a shard has at most at a time.
	maxSnapshots = 4
	// maxChanges is how many changed entries a snapshot keeps, per shard: some 160
	// bytes each. A board that changes more during a walk ends it.
	maxChanges = 250_000
	// snapshotChunk is how many entries of each source a function reads, about 1 ms of
	// Redis' time.
	snapshotChunk = 500
	// maxWalkRounds is how many round trips fill one part. Where nearly everybody
	// has changed since, the part is then shorter than asked for.
	maxWalkRounds = 8
	// nameLength is of a snapshot's name: 65 bits of chance.
	nameLength = 13
	// beforeAll is the order of no entry.
	beforeAll = -leaderboard.MaxScore - 1
)

// BeginWalk implements [leaderboard.Ranking]. The first shard decides whether
// there is a snapshot to share; the others follow, within milliseconds.
func (r *Ranking) BeginWalk(ctx context.Context, board leaderboard.LiveBoard) (leaderboard.Walk, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	walk := leaderboard.Walk{Board: board.Number, Season: board.Season, Order: beforeAll}
	stamps := make([]string, 0, board.Shards)
	shards := shardsOf(board)

	for _, round := range [][]shard{shards[:1], shards[1:]} {
		calls := make([]*call, len(round))
		for i, s := range round {
			calls[i] = r.newCall(functions.Snapshot, s, rand.Text()[:nameLength], walk.Snapshot, r.snapshotLifetime.Milliseconds(), r.snapshotSharing.Milliseconds(), maxSnapshots, r.maxChanges, time.Now().UnixMilli())
		}
		if err := r.pipeline(ctx, calls); err != nil {
			return walk, unavailable("cannot be reached", fmt.Errorf("make a snapshot: %w", err))
		}
		for _, c := range calls {
			stamp, err := r.joined(c, &walk)
			if err != nil {
				return walk, err
			}
			stamps = append(stamps, stamp)
		}
	}

	walk.Stamp = stampOf(stamps)
	return walk, nil
}

// joined reads which snapshot of a shard the walk is through.
func (r *Ranking) joined(c *call, walk *leaderboard.Walk) (stamp string, err error) {
	values, err := r.trusted(c, 0)
	if err != nil {
		return "", err
	}
	if len(values) < 4 {
		return "", fmt.Errorf("a snapshot was answered with %d values", len(values))
	}

	name, _ := values[0].(string)
	stamp, _ = values[1].(string)
	left, _ := values[2].(int64)
	made, _ := values[3].(string)
	asOf, err := strconv.ParseInt(made, 10, 64)
	if err != nil {
		return "", fmt.Errorf("snapshot %q of board %s was made at %q: %w", name, c.shard.Name, made, err)
	}

	expires := time.Now().Add(time.Duration(left) * time.Millisecond).Truncate(time.Millisecond)
	if walk.Snapshot == "" {
		walk.Snapshot, walk.AsOf, walk.Expires = name, time.UnixMilli(asOf), expires
	}

	if expires.Before(walk.Expires) {
		walk.Expires = expires
	}

	return stamp, nil
}

// stampOf sums up the stamps of all shards: one that lost its snapshot and has got
// it again, from another moment, makes another sum.
func stampOf(stamps []string) uint64 {
	h := sha256.New()
	for _, s := range stamps {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// Walk implements [leaderboard.Ranking]. It does not ask for a watermark: what a
// snapshot keeps is complete however far the ranking has caught up since, and goes
// when the ranking is thrown away or repaired.
func (r *Ranking) Walk(ctx context.Context, board leaderboard.LiveBoard, walk leaderboard.Walk, limit int64) (leaderboard.WalkPart, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	part := leaderboard.WalkPart{Entries: make([]leaderboard.RankingEntry, 0, limit)}
	for range maxWalkRounds {
		missing := limit - int64(len(part.Entries))
		// Shards have about equally many of the next entries, give or take some.
		wanted := missing
		if of := int64(board.Shards); of > 1 {
			wanted = missing/of + missing/of/4 + 16
		}

		view, err := r.readSnapshot(ctx, board, walk, min(wanted, snapshotChunk))
		if err != nil {
			return part, err
		}

		entries, end := view.merge(missing, &walk, board.Ranks)
		part.Entries, part.Total = append(part.Entries, entries...), view.total
		if end || walk.Passed >= part.Total {
			return part, nil
		}
		if int64(len(part.Entries)) == limit {
			break
		}
	}

	part.Next = &walk
	return part, nil
}

// view is what several sources told of a snapshot: all shards, and of each the
// snapshots and the entries as they are.
type view struct {
	total   int64
	entries []position
	// limited says that some source has more, and bound up to where all sources
	// have told everything.
	limited bool
	bound   position
}

// readSnapshot reads what comes after the walk's position in one round trip.
func (r *Ranking) readSnapshot(ctx context.Context, board leaderboard.LiveBoard, walk leaderboard.Walk, wanted int64) (*view, error) {
	calls := make([]*call, board.Shards)
	for i, s := range shardsOf(board) {
		calls[i] = r.newCall(functions.Walk, s, walk.Snapshot, walk.Order, walk.Key, wanted, s.CountColumns())
	}

	if err := r.pipeline(ctx, calls); err != nil {
		return nil, unavailable("cannot be reached", fmt.Errorf("read a snapshot: %w", err))
	}

	v := &view{}
	stamps := make([]string, len(calls))
	for i, c := range calls {
		values, err := c.values(0)
		if err != nil {
			return nil, err
		}
		if len(values) == 0 {
			return nil, leaderboard.WalkEnded().WithCause(fmt.Errorf("shard %d of board %s has no snapshot %q", c.shard.Index, board.Name, walk.Snapshot))
		}
		if stamps[i], err = v.add(c.shard, values); err != nil {
			return nil, err
		}
	}

	if stampOf(stamps) != walk.Stamp {
		return nil, leaderboard.WalkEnded().WithCause(errors.New("a shard lost the snapshot and got it again"))
	}

	return v, nil
}

// add reads one shard's answer.
func (v *view) add(s shard, values []any) (stamp string, err error) {
	if len(values) < 5 || len(values)%3 != 2 {
		return "", fmt.Errorf("a snapshot was answered with %d values", len(values))
	}

	stamp, _ = values[0].(string)
	size, _ := values[1].(string)
	total, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return "", fmt.Errorf("a snapshot of board %s has the size %q: %w", s.Name, size, err)
	}

	v.total += total
	for values = values[2:]; len(values) > 0; values = values[3:] {
		list, _ := values[0].([]any)
		for i := 0; i+1 < len(list); i += 2 {
			member, _ := list[i].(string)
			score, _ := list[i+1].(string)
			p, err := s.decode(member, score)
			if err != nil {
				return "", err
			}
			v.entries = append(v.entries, p)
		}

		last, _ := values[1].(string)
		if last == "" {
			continue
		}

		score, _ := values[2].(string)
		bound, err := s.decode(last, score)
		if err != nil {
			return "", err
		}

		if !v.limited || bound.before(&v.bound) {
			v.limited, v.bound = true, bound
		}
	}

	return stamp, nil
}

// merge returns the next entries, at most limit, and moves the walk past them.
func (v *view) merge(limit int64, walk *leaderboard.Walk, ranks leaderboard.Ranks) (entries []leaderboard.RankingEntry, end bool) {
	sort.Slice(v.entries, func(i, j int) bool { return v.entries[i].before(&v.entries[j]) })
	for i := range v.entries {
		p := &v.entries[i]
		if v.limited && v.bound.before(p) {
			break
		}
		if int64(len(entries)) == limit {
			return entries, false
		}

		walk.Pass(&p.RankingEntry, ranks)
		walk.Order, walk.Key = p.order, p.key
		entries = append(entries, p.RankingEntry)
	}

	if v.limited {
		walk.Order, walk.Key = v.bound.order, v.bound.key
	}

	return entries, !v.limited
}

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

	walk := leaderboard.Walk{Board: board.Number, Season: board.Season, WalkPlace: leaderboard.WalkPlace{Order: beforeAll}}
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
	if walk.Back {
		return r.walkBack(ctx, board, walk, limit)
	}

	begun := walk
	read, total, end, err := r.nextEntries(ctx, board, &walk, limit)
	if err != nil {
		return leaderboard.WalkPart{}, err
	}

	part := leaderboard.WalkPart{Entries: make([]leaderboard.RankingEntry, len(read)), Total: total}
	for i := range read {
		walk.Pass(&read[i].RankingEntry, board.Ranks)
		part.Entries[i] = read[i].RankingEntry
	}
	if part.Between(begun, walk); end {
		part.Next = nil
	}
	return part, nil
}

// nextEntries are the next entries in the walk's direction, at most limit, and moves the
// walk's place past them.
func (r *Ranking) nextEntries(ctx context.Context, board leaderboard.LiveBoard, walk *leaderboard.Walk, limit int64) (read []position, total int64, end bool, err error) {
	read = make([]position, 0, limit)
	for range maxWalkRounds {
		missing := limit - int64(len(read))
		// Shards have about equally many of the next entries, give or take some.
		wanted := missing
		if of := int64(board.Shards); of > 1 {
			wanted = missing/of + missing/of/4 + 16
		}

		view, err := r.readSnapshot(ctx, board, *walk, min(wanted, snapshotChunk))
		if err != nil {
			return nil, 0, false, err
		}

		var more []position
		more, end = view.merge(missing, &walk.WalkPlace)
		read, total = append(read, more...), view.total
		if end || int64(len(read)) == limit {
			break
		}
	}

	return read, total, end, nil
}

// view is what several sources told of a snapshot: all shards, and of each the
// snapshots and the entries as they are.
type view struct {
	// back says that the next entry is the one that ranks last.
	back    bool
	total   int64
	entries []position
	// limited says that some source has more, and bound up to where all sources
	// have told everything.
	limited bool
	bound   position
}

// readSnapshot reads what comes after the walk's place in its direction, in one round trip.
func (r *Ranking) readSnapshot(ctx context.Context, board leaderboard.LiveBoard, walk leaderboard.Walk, wanted int64) (*view, error) {
	calls := make([]*call, board.Shards)
	for i, s := range shardsOf(board) {
		calls[i] = r.newCall(functions.Walk, s, walk.Snapshot, walk.Order, walk.Key, wanted, s.CountColumns(), walk.Before, walk.Back)
	}

	if err := r.pipeline(ctx, calls); err != nil {
		return nil, unavailable("cannot be reached", fmt.Errorf("read a snapshot: %w", err))
	}

	v := &view{back: walk.Back}
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

		if !v.limited || v.sooner(&bound, &v.bound) {
			v.limited, v.bound = true, bound
		}
	}

	return stamp, nil
}

// sooner says whether the walk comes by p before it comes by q.
func (v *view) sooner(p, q *position) bool {
	if v.back {
		p, q = q, p
	}
	return p.before(q)
}

// merge returns the next entries, at most limit, and moves the place past them.
func (v *view) merge(limit int64, place *leaderboard.WalkPlace) (entries []position, end bool) {
	sort.Slice(v.entries, func(i, j int) bool { return v.sooner(&v.entries[i], &v.entries[j]) })
	entries = v.entries
	if v.limited {
		entries = entries[:sort.Search(len(entries), func(i int) bool { return v.sooner(&v.bound, &entries[i]) })]
	}

	switch {
	case int64(len(entries)) > limit:
		entries, end = entries[:limit], false
		*place = entries[limit-1].next(v.back)
	case v.limited:
		*place = v.bound.next(v.back)
	default:
		end = true
		if n := len(entries); n > 0 {
			*place = entries[n-1].next(v.back)
		}
	}
	return entries, end
}

// next is the place after an entry, in the direction of a walk.
func (p *position) next(back bool) leaderboard.WalkPlace {
	return leaderboard.WalkPlace{Order: p.order, Key: p.key, Before: back}
}

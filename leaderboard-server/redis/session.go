package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// wipeChunk is how many keys one function deletes: it blocks Redis for less than a
// millisecond.
const wipeChunk = 500

// segmentLooks is at how many looks at the states of shards their segments are counted once.
const segmentLooks = 8

// session is one run of catch-up on one shard: a gapless sequence of chunks that
// ends with a new watermark. Redis takes the chunks of the latest session only, and
// a Redis that is restored in between does not know the session or lacks chunks:
// so a watermark is never set over a gap.
type session struct {
	ranking  *Ranking
	shard    shard
	identity string
	token    string
	// repairs says that the shard was not where its leader left it: what was made of
	// it until the session's end is not to be trusted for longer.
	repairs bool
	// inFlight is told once the chunk on its way has been applied; nil while there is
	// none.
	inFlight <-chan error
	// chunks is how many have been applied.
	chunks int
}

// Begin implements catch-up's ranking.
func (r *Ranking) Begin(ctx context.Context, of leaderboard.Shard, start leaderboard.SessionStart) (leaderboard.RankingSession, error) {
	s := shard{of}
	n := &session{ranking: r, shard: s, identity: s.Identity(start.Ledger), token: rand.Text(), repairs: start.Repair}

	begin := r.newCall(functions.Begin, s, n.identity, n.token, start.Watermark, start.Discard, start.Repair)
	for _, segment := range r.segmentsOf(s) {
		begin.args = append(begin.args, segmentSuffix(segment))
	}
	values, err := n.run(ctx, begin.withApplied(r))
	if err != nil {
		return nil, err
	}

	switch values[0] {
	case "ready":
		return n, nil
	case "moved":
		return nil, leaderboard.ErrShardMoved
	}

	if len(values) < 4 {
		return nil, fmt.Errorf("the begin of a session was answered with %v", values)
	}

	highest, _ := values[1].(string)
	old, _ := values[2].(string)
	if err := n.wipe(ctx, s, highest, values[3] == int64(1), n.identity); err != nil {
		return nil, err
	}

	return n, r.wipeDropped(ctx, s, old)
}

// segmentsOf are the numbers of the values of which the shard may have segments.
func (r *Ranking) segmentsOf(s shard) []int32 {
	catalog := r.boards.Catalog()
	if catalog == nil {
		return nil
	}
	if board, ok := catalog.Numbered(s.Board); !ok || !board.Segmented {
		return nil
	}
	return catalog.ValueNumbers()
}

// ForgetSegments implements catch-up's ranking: it deletes what there is of segments of a
// shard.
func (r *Ranking) ForgetSegments(ctx context.Context, of leaderboard.Shard, ledger string, values []int32) error {
	c := r.newCall(functions.Forget, shard{of}, of.Identity(ledger))
	for _, value := range values {
		c.args = append(c.args, segmentSuffix(value))
	}
	return r.runOne(ctx, c)
}

// wipeDropped removes the shards that a board had before and has no more, when the
// first shard's data turn out to be from then.
func (r *Ranking) wipeDropped(ctx context.Context, s shard, old string) error {
	if s.Index != 0 {
		return nil
	}

	before, err := strconv.Atoi(old[strings.LastIndexByte(old, '/')+1:])
	if err != nil {
		return fmt.Errorf("board %s: the stored identity %q has no valid shard count: %w", s.Name, old, err)
	}

	for index := s.Of; index < min(before, leaderboard.MaxShards); index++ {
		dropped := s.Shard
		dropped.Index = index
		if err := r.Forget(ctx, dropped); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements catch-up's ranking: it deletes all that there is of a shard, if
// anything.
func (r *Ranking) Forget(ctx context.Context, of leaderboard.Shard) error {
	is := r.States(ctx, []leaderboard.Shard{of})[0]
	if is.Err != nil || is.Identity == "" && is.Whole {
		return is.Err
	}

	s := shard{of}
	if is.Identity != "" {
		if err := r.wipeDropped(ctx, s, is.Identity); err != nil {
			return err
		}
	}
	n := &session{ranking: r, shard: s, identity: "none", token: rand.Text()}
	values, err := n.run(ctx, r.newCall(functions.Begin, s, n.identity, n.token, is.Watermark, true, true).withApplied(r))
	if err != nil {
		return err
	}

	highest, segmented := "-1", false
	if len(values) == 4 {
		highest, _ = values[1].(string)
		segmented = values[3] == int64(1)
	}
	return n.wipe(ctx, s, highest, segmented, "-")
}

// ForgetOldFormat deletes what servers of the version before kept of a shard, whose
// keys had no format.
func (r *Ranking) ForgetOldFormat(ctx context.Context, of leaderboard.Shard) error {
	key := func(suffix string) string {
		return fmt.Sprintf("%s{%s:%d:%d}:%s", r.prefix, of.Name, of.Season, of.Index, suffix)
	}
	highest, err := r.client.HGet(ctx, key("m"), "b").Int64()
	if errors.Is(err, goredis.Nil) {
		return r.client.Unlink(ctx, key("e"), key("m")).Err()
	}
	if err != nil {
		return err
	}

	keys := []string{key("e")}
	for bucket := int64(0); bucket <= highest; bucket++ {
		if keys = append(keys, key("p:"+strconv.FormatInt(bucket, 10))); len(keys) >= wipeChunk {
			if err := r.client.Unlink(ctx, keys...).Err(); err != nil {
				return err
			}
			keys = keys[:0]
		}
	}
	return r.client.Unlink(ctx, append(keys, key("m"))...).Err() // the state last: it knows the buckets
}

// wipe deletes the buckets up to the highest, those of segments if there are any, and the entries, and then gives the
// shard its identity.
func (n *session) wipe(ctx context.Context, s shard, highest string, segmented bool, identity string) error {
	last, err := strconv.ParseInt(highest, 10, 64)
	if err != nil {
		return fmt.Errorf("shard %d of board %s has the highest bucket %q", s.Index, s.Name, highest)
	}

	for bucket := int64(0); bucket <= last; {
		c := n.ranking.newCall(functions.Wipe, s, n.token, "")
		for ; bucket <= last && len(c.keys) <= wipeChunk; bucket++ {
			c.keys = append(c.keys, s.bucketKey(n.ranking.prefix, bucket))
			const each = bucketSize / segmentBucket
			for i := int64(0); segmented && i < each; i++ {
				c.keys = append(c.keys, s.segmentBucketKey(n.ranking.prefix, each*bucket+i))
			}
		}
		if err := n.check(ctx, c); err != nil {
			return err
		}
	}

	return n.check(ctx, n.ranking.newCall(functions.Wipe, s, n.token, identity))
}

// Apply implements [leaderboard.RankingSession]: while Redis works, the caller prepares
// more. One chunk is on its way at most.
func (n *session) Apply(ctx context.Context, standings []leaderboard.Standing) error {
	a := n.ranking.newApplyCall(n.shard, len(standings))
	for i := range standings {
		n.ranking.add(a, &standings[i], taskJoin)
	}
	if err := n.Wait(); err != nil {
		return err
	}

	a.finish(n.identity, n.token, strconv.Itoa(n.chunks), "")
	applied := make(chan error, 1)
	n.inFlight = applied
	go func() {
		values, err := n.run(ctx, a.call)
		if err == nil && len(values) == 0 {
			n.ranking.suspicious.Store(true)
			err = leaderboard.ErrShardMoved
		}
		applied <- err
	}()

	return nil
}

// Wait implements [leaderboard.RankingSession].
func (n *session) Wait() error {
	if n.inFlight == nil {
		return nil
	}

	err := <-n.inFlight
	if n.inFlight = nil; err == nil {
		n.chunks++
	}
	return err
}

// Finish implements [leaderboard.RankingSession].
func (n *session) Finish(ctx context.Context, watermark string, known []uint64) error {
	if err := n.Wait(); err != nil {
		return err
	}

	last := ""
	if len(known) > 0 {
		last = encodeTransaction(known[len(known)-1])
	}
	c := n.ranking.newCall(functions.Finish, n.shard, n.token, strconv.Itoa(n.chunks), watermark, n.repairs, len(known), last)
	return n.check(ctx, c.withApplied(n.ranking))
}

// check runs a function that answers 1, or 0 if the session has ended.
func (n *session) check(ctx context.Context, c *call) error {
	if err := n.ranking.runOne(ctx, c); err != nil {
		return err
	}

	ok, err := c.result.Int64()
	if err != nil {
		return err
	}
	if ok != 1 {
		return leaderboard.ErrShardMoved
	}

	return nil
}

func (n *session) run(ctx context.Context, c *call) ([]any, error) {
	if err := n.ranking.runOne(ctx, c); err != nil {
		return nil, err
	}
	return c.result.Slice()
}

// States implements catch-up's ranking, in one round trip per node.
func (r *Ranking) States(ctx context.Context, shards []leaderboard.Shard) []leaderboard.ShardState {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	// Counting the entries of all segments takes 10 us of Redis' time for each: it is done now
	// and then, and at once where this process found something missing.
	all := r.looks.Add(1)%segmentLooks == 0
	all = r.suspicious.Swap(false) || all
	calls := make([]*call, len(shards))
	for i, s := range shards {
		segmented := all && len(r.segmentsOf(shard{s})) > 0
		calls[i] = r.newCall(functions.State, shard{s}, segmented).withApplied(r)
	}
	_ = r.pipeline(ctx, calls) // every call has its own error

	states := make([]leaderboard.ShardState, len(shards))
	for i, c := range calls {
		values, err := c.values(5)
		if err != nil {
			states[i].Err = fmt.Errorf("read the state of board %s: %w", shards[i].Name, err)
			continue
		}

		states[i].Identity, _ = values[0].(string)
		states[i].Watermark, _ = values[1].(string)
		whole, _ := values[2].(int64)
		states[i].Whole = whole == 1
		applied, _ := values[3].(string)
		moderated, _ := values[4].(string)
		states[i].Moderated, _ = strconv.ParseInt(moderated, 10, 64) // none: 0
		if states[i].Applied, err = decodeTransactions(applied); err != nil {
			states[i].Err = fmt.Errorf("read the state of board %s: %w", shards[i].Name, err)
		}
	}

	return states
}

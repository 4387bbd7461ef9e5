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
)

// wipeChunk is how many keys one script deletes: it blocks Redis for less than a
// millisecond.
const wipeChunk = 500

// errInterrupted says that a session of catch-up was ended by another one, or
// that Redis lost a part of it. Nothing was claimed; the shard is to be looked at
// anew.
var errInterrupted = errors.New("the session on a shard was interrupted")

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
	// underWay is nil while no chunk is.
	underWay *chunk
	// chunks, standings and buried are what has been applied.
	chunks    int
	standings int
	buried    []tombstone
}

// chunk is a part of a session on its way to Redis.
type chunk struct {
	standings int
	buried    []tombstone
	applied   <-chan error // told once
}

// tombstone is a removed entry as it was written, to be forgotten later.
type tombstone struct{ key, field, value string }

// begin starts a session on a shard whose watermark is from ("": none). discard
// throws away what is there.
func (r *Ranking) begin(ctx context.Context, s shard, ledger, from string, discard bool) (*session, error) {
	n := &session{ranking: r, shard: s, identity: s.identity(ledger), token: rand.Text()}
	flag := "0"
	if discard {
		flag = "1"
	}

	values, err := n.run(ctx, &call{script: beginScript, source: beginSource, keys: []string{s.stateKey(r.prefix)}, args: []any{n.identity, n.token, from, flag}})
	if err != nil {
		return nil, err
	}

	switch values[0] {
	case "ready":
		return n, nil
	case "moved":
		return nil, errInterrupted
	}

	if len(values) < 3 {
		return nil, fmt.Errorf("the begin of a session was answered with %v", values)
	}

	highest, _ := values[1].(string)
	old, _ := values[2].(string)
	if err := n.wipe(ctx, s, highest, n.identity); err != nil {
		return nil, err
	}

	return n, r.wipeDropped(ctx, s, old)
}

// wipeDropped removes the shards that a board had before and has no more, when the
// first shard's data turn out to be from then.
func (r *Ranking) wipeDropped(ctx context.Context, s shard, old string) error {
	if s.index != 0 {
		return nil
	}

	before, err := strconv.Atoi(old[strings.LastIndexByte(old, '/')+1:])
	if err != nil {
		return fmt.Errorf("board %s was of the identity %q, which tells no number of shards: %w", s.name, old, err)
	}

	for index := s.of; index < min(before, leaderboard.MaxShards); index++ {
		dropped := s
		dropped.index = index
		is := r.states(ctx, []shard{dropped})[0]
		if is.err != nil {
			return is.err
		}

		n := &session{ranking: r, shard: dropped, identity: "none", token: rand.Text()}
		values, err := n.run(ctx, &call{script: beginScript, source: beginSource, keys: []string{dropped.stateKey(r.prefix)}, args: []any{n.identity, n.token, is.watermark, "1"}})
		if err != nil {
			return err
		}

		highest := "-1"
		if len(values) == 3 {
			highest, _ = values[1].(string)
		}

		if err := n.wipe(ctx, dropped, highest, "-"); err != nil {
			return err
		}
	}

	return nil
}

// wipe deletes the buckets up to the highest and the entries, and then gives the
// shard its identity.
func (n *session) wipe(ctx context.Context, s shard, highest, identity string) error {
	last, err := strconv.ParseInt(highest, 10, 64)
	if err != nil {
		return fmt.Errorf("shard %d of board %s has the highest bucket %q", s.index, s.name, highest)
	}

	prefix := n.ranking.prefix
	for bucket := int64(0); bucket <= last; {
		keys := []string{s.stateKey(prefix)}
		for ; bucket <= last && len(keys) <= wipeChunk; bucket++ {
			keys = append(keys, s.bucketKey(prefix, bucket))
		}
		if err := n.check(ctx, &call{script: wipeScript, source: wipeSource, keys: keys, args: []any{n.token, ""}}); err != nil {
			return err
		}
	}

	keys := []string{s.stateKey(prefix), s.entriesKey(prefix)}
	return n.check(ctx, &call{script: wipeScript, source: wipeSource, keys: keys, args: []any{n.token, identity}})
}

// apply waits until the last chunk has been applied, and starts to apply the next
// one: while Redis works, the caller prepares more. One chunk is on its way at
// most. [session.wait] ends it.
func (n *session) apply(ctx context.Context, standings []leaderboard.ChangedStanding) error {
	a := n.ranking.newApplyCall(n.shard, len(standings))
	var buried []tombstone
	for i := range standings {
		e := n.ranking.add(a, &standings[i].Standing)
		if standings[i].Removed {
			bucket, field := n.shard.place(standings[i].Player)
			buried = append(buried, tombstone{n.shard.bucketKey(n.ranking.prefix, bucket), field, string(e.value)})
		}
	}

	if err := n.wait(); err != nil {
		return err
	}

	a.finish(n.identity, "", n.token, strconv.Itoa(n.chunks))
	applied := make(chan error, 1)
	n.underWay = &chunk{standings: len(standings), buried: buried, applied: applied}
	go func() {
		values, err := n.run(ctx, a.call)
		if err == nil && len(values) == 0 {
			err = errInterrupted
		}
		applied <- err
	}()

	return nil
}

// wait returns once no chunk is on its way, with the error of the last one.
func (n *session) wait() error {
	c := n.underWay
	if c == nil {
		return nil
	}

	n.underWay = nil
	if err := <-c.applied; err != nil {
		return err
	}

	n.chunks++
	n.standings += c.standings
	n.buried = append(n.buried, c.buried...)

	return nil
}

// finish waits for the last chunk and sets the watermark: every transaction below
// it is applied.
func (n *session) finish(ctx context.Context, watermark string) error {
	if err := n.wait(); err != nil {
		return err
	}
	return n.check(ctx, &call{script: finishScript, source: finishSource, keys: []string{n.shard.stateKey(n.ranking.prefix)},
		args: []any{n.token, strconv.Itoa(n.chunks), watermark, n.repairs}})
}

// check runs a script that answers 1, or 0 if the session has ended.
func (n *session) check(ctx context.Context, c *call) error {
	if err := n.ranking.runOne(ctx, c); err != nil {
		return err
	}

	ok, err := c.result.Int64()
	if err != nil {
		return err
	}
	if ok != 1 {
		return errInterrupted
	}

	return nil
}

func (n *session) run(ctx context.Context, c *call) ([]any, error) {
	if err := n.ranking.runOne(ctx, c); err != nil {
		return nil, err
	}
	return c.result.Slice()
}

// runOne runs one script within the ranking's timeout.
func (r *Ranking) runOne(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.pipeline(ctx, []*call{c})
}

// forget deletes tombstones for good.
func (r *Ranking) forget(ctx context.Context, s shard, buried []tombstone) error {
	for len(buried) > 0 {
		n := min(len(buried), wipeChunk)
		c := &call{script: forgetScript, source: forgetSource, shard: s}
		for _, t := range buried[:n] {
			c.keys, c.args = append(c.keys, t.key), append(c.args, t.field, t.value)
		}

		if err := r.runOne(ctx, c); err != nil {
			return fmt.Errorf("forget removed entries: %w", err)
		}

		buried = buried[n:]
	}
	return nil
}

// shardState is what a shard says of itself.
type shardState struct {
	identity string
	// watermark is "" where there is none.
	watermark string
	// err says that the shard cannot be reached.
	err error
}

// states reads the state of shards in one round trip per node.
func (r *Ranking) states(ctx context.Context, shards []shard) []shardState {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	pipe := r.client.Pipeline()
	results := make([]*goredis.SliceCmd, len(shards))
	for i, s := range shards {
		results[i] = pipe.HMGet(ctx, s.stateKey(r.prefix), "id", "w")
	}

	_, _ = pipe.Exec(ctx) // every result has its own error
	states := make([]shardState, len(shards))
	for i, result := range results {
		values, err := result.Result()
		if err != nil || len(values) != 2 {
			states[i].err = fmt.Errorf("read the watermark of board %s: %w", shards[i].name, err)
			continue
		}
		states[i].identity, _ = values[0].(string)
		states[i].watermark, _ = values[1].(string)
	}

	return states
}

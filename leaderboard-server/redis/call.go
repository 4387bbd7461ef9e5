package redis

import (
	"context"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// call is one function on one shard.
type call struct {
	function *functions.Function

	shard  shard
	keys   []string
	args   []any
	result *goredis.Cmd
	// seen is the mark of the shard when the call was sent.
	seen mark
}

// newCall makes a call whose keys begin with the shard's entries and state.
func (r *Ranking) newCall(function *functions.Function, s shard, args ...any) *call {
	return &call{function: function, shard: s, keys: []string{s.entriesKey(r.prefix), s.stateKey(r.prefix)}, args: args}
}

// withApplied adds the key of the applied transactions.
func (c *call) withApplied(r *Ranking) *call {
	c.keys = append(c.keys, c.shard.appliedKey(r.prefix))
	return c
}

func (c *call) queue(ctx context.Context, pipe goredis.Pipeliner) {
	if c.function.ReadOnly {
		c.result = pipe.FCallRO(ctx, c.function.Name, c.keys, c.args...)
	} else {
		c.result = pipe.FCall(ctx, c.function.Name, c.keys, c.args...)
	}
}

// values is the function's answer, at least n values long.
func (c *call) values(n int) ([]any, error) {
	values, err := c.result.Slice()
	if err != nil {
		return nil, err
	}
	if len(values) < n {
		return nil, fmt.Errorf("a function answered %d values instead of %d", len(values), n)
	}
	return values, nil
}

// trusted is the answer past its head, at least n values long, of a shard that may be
// shown.
func (r *Ranking) trusted(c *call, n int) ([]any, error) {
	values, err := c.values(headSize + n)
	if err != nil {
		return nil, err
	}
	if err := r.trust(c, values); err != nil {
		return nil, err
	}
	return values[headSize:], nil
}

// pipeline runs the calls in one round trip per node.
func (r *Ranking) pipeline(ctx context.Context, calls []*call) error {
	if len(calls) == 0 {
		return nil
	}
	err := r.send(ctx, calls)
	if err == nil {
		return nil
	}

	// Functions can be repeated, so whatever else failed is left to the callers.
	var missing []*call
	for _, c := range calls {
		if functions.IsMissing(c.result.Err()) {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return err
	}
	if err := r.functions.Load(ctx); err != nil {
		return err
	}
	if err := r.send(ctx, missing); err != nil {
		return err
	}

	for _, c := range calls {
		if err := c.result.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Ranking) send(ctx context.Context, calls []*call) error {
	_, err := r.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for _, c := range calls {
			if seen, ok := r.seen.Load(c.shard.ShardID); ok {
				c.seen = seen.(mark)
			}
			c.queue(ctx, pipe)
		}
		return nil
	})
	return err
}

// runOne runs one function within the ranking's timeout.
func (r *Ranking) runOne(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.pipeline(ctx, []*call{c})
}

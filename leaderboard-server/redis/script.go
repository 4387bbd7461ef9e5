package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // how Redis names scripts
	"embed"
	"encoding/hex"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

//go:embed scripts/*.lua
var scriptFiles embed.FS

// The scripts. Each begins with common.lua.
var (
	applyScript    = newScript("apply", false)
	rankScript     = newScript("rank", true)
	pageScript     = newScript("page", true)
	countScript    = newScript("count", true)
	stateScript    = newScript("state", true)
	beginScript    = newScript("begin", false)
	wipeScript     = newScript("wipe", false)
	finishScript   = newScript("finish", false)
	snapshotScript = newScript("snapshot", false)
	walkScript     = newScript("walk", true)
)

// script is a Lua script as Redis knows it.
type script struct {
	source, hash string
	readOnly     bool
}

func newScript(name string, readOnly bool) *script {
	source := ""
	for _, part := range []string{"common", name} {
		file, err := scriptFiles.ReadFile("scripts/" + part + ".lua")
		if err != nil {
			panic(err) // an embedded file is missing: no test has passed
		}
		source += string(file)
	}

	sum := sha1.Sum([]byte(source)) //nolint:gosec // as above
	return &script{source: source, hash: hex.EncodeToString(sum[:]), readOnly: readOnly}
}

// call is one script on one shard.
type call struct {
	*script
	shard  shard
	keys   []string
	args   []any
	result *goredis.Cmd
	// seen is the mark of the shard when the call was sent.
	seen mark
}

// newCall makes a call whose keys begin with the shard's entries and state.
func (r *Ranking) newCall(script *script, s shard, args ...any) *call {
	return &call{script: script, shard: s, keys: []string{s.entriesKey(r.prefix), s.stateKey(r.prefix)}, args: args}
}

// withApplied adds the key of the applied transactions.
func (c *call) withApplied(r *Ranking) *call {
	c.keys = append(c.keys, c.shard.appliedKey(r.prefix))
	return c
}

func (c *call) queue(ctx context.Context, pipe goredis.Pipeliner, whole bool) {
	switch {
	case whole && c.readOnly:
		c.result = pipe.EvalRO(ctx, c.source, c.keys, c.args...)
	case whole:
		c.result = pipe.Eval(ctx, c.source, c.keys, c.args...)
	case c.readOnly:
		c.result = pipe.EvalShaRO(ctx, c.hash, c.keys, c.args...)
	default:
		c.result = pipe.EvalSha(ctx, c.hash, c.keys, c.args...)
	}
}

// values is the script's answer, at least n values long.
func (c *call) values(n int) ([]any, error) {
	values, err := c.result.Slice()
	if err != nil {
		return nil, err
	}
	if len(values) < n {
		return nil, fmt.Errorf("a script answered %d values instead of %d", len(values), n)
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
	err := r.send(ctx, calls, false)
	if err == nil {
		return nil
	}

	// A node that does not know a script is sent its source. Scripts can be
	// repeated, so whatever else failed is left to the callers.
	var missing []*call
	for _, c := range calls {
		if goredis.HasErrorPrefix(c.result.Err(), "NOSCRIPT") {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return err
	}
	if err := r.send(ctx, missing, true); err != nil {
		return err
	}

	for _, c := range calls {
		if err := c.result.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Ranking) send(ctx context.Context, calls []*call, whole bool) error {
	_, err := r.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for _, c := range calls {
			if seen, ok := r.seen.Load(c.shard.ShardID); ok {
				c.seen = seen.(mark)
			}
			c.queue(ctx, pipe, whole)
		}
		return nil
	})
	return err
}

// runOne runs one script within the ranking's timeout.
func (r *Ranking) runOne(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.pipeline(ctx, []*call{c})
}

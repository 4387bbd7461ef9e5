package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// replacedAtOnce is how many players one function replaces in a shard: each segment that it has
// takes some 5 us.
const replacedAtOnce = 50

// Replace implements catch-up's ranking.
func (r *Ranking) Replace(ctx context.Context, follows []leaderboard.Following, players func(leaderboard.Shard) []leaderboard.Replacement) error {
	var calls []*call
	for _, f := range follows {
		of := shard{f.Shard}
		replaced := players(f.Shard)
		for first := true; first || len(replaced) > 0; first = false {
			n := min(len(replaced), replacedAtOnce)
			c := r.newCall(functions.Moderate, of, of.Identity(f.Ledger), f.After, f.Token, "", of.joinFlag(), of.CountColumns(), of.ranksFlag())
			for i := range replaced[:n] {
				r.addReplacement(c, &replaced[i])
			}
			calls, replaced = append(calls, c), replaced[n:]
		}
	}
	return r.moderate(ctx, calls)
}

// addReplacement appends a player to a call of the function moderate.
func (r *Ranking) addReplacement(c *call, p *leaderboard.Replacement) {
	of := c.shard
	bucket, field := of.place(r.prefix, p.Player)
	local := p.Player / int64(of.Of)
	c.keys = append(c.keys, bucket, of.segmentBucketKey(r.prefix, local/segmentBucket))

	floor := ""
	if p.Through > 0 {
		floor = string(of.appendEvent(nil, p.Through))
	}
	c.args = append(c.args, of.encodePlayer(p.Player), of.bucketOf(p.Player), field, strconv.FormatInt(local%segmentBucket, 10), floor, len(p.Standings))
	for i := range p.Standings {
		_, segment := leaderboard.SplitSeason(p.Standings[i].Season)
		e := of.encode(&p.Standings[i])
		c.args = append(c.args, segmentSuffix(segment), e.member, e.score, e.last)
	}
}

// Followed implements catch-up's ranking.
func (r *Ranking) Followed(ctx context.Context, follows []leaderboard.Following, last int64) error {
	calls := make([]*call, len(follows))
	for i, f := range follows {
		of := shard{f.Shard}
		calls[i] = r.newCall(functions.Moderate, of, of.Identity(f.Ledger), f.After, f.Token, last)
	}
	return r.moderate(ctx, calls)
}

// moderate runs calls of the function moderate. [leaderboard.ErrShardMoved]: a shard is not
// where the caller takes it to be.
func (r *Ranking) moderate(ctx context.Context, calls []*call) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	if err := r.pipeline(ctx, calls); err != nil {
		return fmt.Errorf("have rankings follow moderations: %w", err)
	}
	for _, c := range calls {
		if did, err := c.result.Int64(); err != nil || did != 1 {
			return leaderboard.ErrShardMoved
		}
	}
	return nil
}

// Package ratelimit bounds how often something may happen, across all servers
// of a game: the counts are in Redis, under the game's key prefix. While Redis is
// away every server counts for itself, more strictly.
package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

const (
	// redisTimeout bounds one question to Redis.
	redisTimeout = 500 * time.Millisecond
	// redisPause is for how long Redis is left alone after it failed.
	redisPause = time.Second
	// localShare: a server alone allows this part of a rate, so that several
	// servers together do not allow much more than the rate.
	localShare = 4
	// localBuckets bounds what a server remembers by itself, some 150 bytes each.
	localBuckets = 65536
)

// Limiter counts. It is safe for concurrent use.
type Limiter struct {
	redis  redis.UniversalClient
	prefix string
	now    func() time.Time
	log    *slog.Logger
	// functions are loaded by this process if nobody else did.
	functions *functions.Loader

	pausedUntil atomic.Int64 // Unix nanoseconds
	mu          sync.Mutex   // makes reading and writing a local bucket one step
	local       *lru.Cache[string, time.Time]
}

// New counts in Redis under keys that begin with prefix.
func New(client redis.UniversalClient, prefix string, log *slog.Logger) (*Limiter, error) {
	local, err := lru.New[string, time.Time](localBuckets)
	if err != nil {
		return nil, fmt.Errorf("make the local buckets: %w", err)
	}
	return &Limiter{redis: client, prefix: prefix + "rate:", now: time.Now, log: log, functions: functions.NewLoader(client), local: local}, nil
}

// Allow counts one event under what it is and who does it, and returns 0, or
// how long to wait if the event is over the rate.
func (l *Limiter) Allow(ctx context.Context, what, who string, rate config.Rate) time.Duration {
	if rate.Off() {
		return 0
	}

	bucket, now := bucketOf(what, who), l.now()
	wait, err := l.ask(ctx, functions.TakeRate, bucket, now, rate.Interval().Microseconds(), rate.Burst)
	if err == nil {
		return wait
	}

	return l.allowLocally(bucket, rate, now)
}

// Return gives back an event that Allow counted, as it turned out not to be of the
// kind that the rate bounds.
func (l *Limiter) Return(ctx context.Context, what, who string, rate config.Rate) {
	if rate.Off() {
		return
	}

	bucket, now := bucketOf(what, who), l.now()
	if _, err := l.ask(ctx, functions.ReturnRate, bucket, now, rate.Interval().Microseconds()); err != nil {
		l.returnLocally(bucket, rate, now)
	}
}

// bucketOf is where events are counted. Who may be of any length and content, and
// is nobody's business, so it is hashed.
func bucketOf(what, who string) string {
	sum := sha256.Sum256([]byte(who))
	return what + ":" + hex.EncodeToString(sum[:16])
}

// errPaused says that Redis failed a moment ago and is left alone.
var errPaused = errors.New("redis is left alone after a failure")

// ask runs a function on a bucket.
func (l *Limiter) ask(ctx context.Context, function *functions.Function, bucket string, now time.Time, args ...any) (time.Duration, error) {
	if now.UnixNano() < l.pausedUntil.Load() {
		return 0, errPaused
	}

	bounded, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()

	call := func() (int64, error) {
		return l.redis.FCall(bounded, function.Name, []string{l.prefix + bucket}, append([]any{now.UnixMicro()}, args...)...).Int64()
	}
	wait, err := call()
	if functions.IsMissing(err) {
		if err = l.functions.Load(bounded); err == nil {
			wait, err = call()
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			l.pausedUntil.Store(now.Add(redisPause).UnixNano())
			l.log.Warn("rate limits are counted in this process, Redis did not answer", "error", err)
		}
		return 0, fmt.Errorf("ask Redis for a rate: %w", err)
	}

	return time.Duration(wait) * time.Microsecond, nil
}

// localRate is the part of a rate that a server alone allows.
func localRate(rate config.Rate) (interval, burst time.Duration) {
	interval = rate.Interval() * localShare
	return interval, time.Duration(max(1, rate.Burst/localShare)) * interval
}

// allowLocally is the function gcra in Go.
func (l *Limiter) allowLocally(bucket string, rate config.Rate, now time.Time) time.Duration {
	interval, burst := localRate(rate)
	l.mu.Lock()
	defer l.mu.Unlock()

	arrival, ok := l.local.Get(bucket)
	if !ok || arrival.Before(now) {
		arrival = now
	}

	arrival = arrival.Add(interval)
	if wait := arrival.Sub(now) - burst; wait > 0 {
		return wait
	}

	l.local.Add(bucket, arrival)
	return 0
}

// returnLocally is the function gcra_return in Go.
func (l *Limiter) returnLocally(bucket string, rate config.Rate, now time.Time) {
	interval, _ := localRate(rate)
	l.mu.Lock()
	defer l.mu.Unlock()

	arrival, ok := l.local.Get(bucket)
	switch arrival = arrival.Add(-interval); {
	case !ok:
	case arrival.After(now):
		l.local.Add(bucket, arrival)
	default:
		l.local.Remove(bucket)
	}
}

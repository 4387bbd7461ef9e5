// Package ratelimit bounds how often something may happen, across all servers
// of a game: the counts are in Redis, beneath the game's key prefix. While Redis
// is away every server counts for itself, more strictly.
package ratelimit

import (
	"context"
	"crypto/sha256"
	_ "embed" // the script
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
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

//go:embed gcra.lua
var gcra string

// Limiter counts. It is safe for concurrent use.
type Limiter struct {
	redis  redis.Scripter
	prefix string
	now    func() time.Time
	log    *slog.Logger
	script *redis.Script

	pausedUntil atomic.Int64 // Unix nanoseconds
	mu          sync.Mutex   // makes reading and writing a local bucket one step
	local       *lru.Cache[string, time.Time]
}

// New counts in Redis under keys that begin with prefix.
func New(client redis.Scripter, prefix string, log *slog.Logger) (*Limiter, error) {
	local, err := lru.New[string, time.Time](localBuckets)
	if err != nil {
		return nil, fmt.Errorf("make the local buckets: %w", err)
	}
	return &Limiter{redis: client, prefix: prefix + "rate:", now: time.Now, log: log, script: redis.NewScript(gcra), local: local}, nil
}

// Allow counts one event under what it is and who does it, and returns 0, or
// how long to wait if the event is over the rate.
func (l *Limiter) Allow(ctx context.Context, what, who string, rate config.Rate) time.Duration {
	if rate.Off() {
		return 0
	}

	// Hashed: who may be of any length and content, and a name that is nobody's
	// business.
	sum := sha256.Sum256([]byte(who))
	bucket := what + ":" + hex.EncodeToString(sum[:16])
	now := l.now()
	if now.UnixNano() >= l.pausedUntil.Load() {
		wait, err := l.ask(ctx, bucket, rate, now)
		if err == nil {
			return wait
		}
		if ctx.Err() == nil {
			l.pausedUntil.Store(now.Add(redisPause).UnixNano())
			l.log.Warn("rate limits are counted in this process, Redis did not answer", "error", err)
		}
	}

	return l.allowLocally(bucket, rate, now)
}

func (l *Limiter) ask(ctx context.Context, bucket string, rate config.Rate, now time.Time) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTimeout)
	defer cancel()

	wait, err := l.script.Run(ctx, l.redis, []string{l.prefix + bucket},
		now.UnixMicro(), rate.Interval().Microseconds(), rate.Burst).Int64()
	if err != nil {
		return 0, fmt.Errorf("ask Redis for a rate: %w", err)
	}

	return time.Duration(wait) * time.Microsecond, nil
}

// allowLocally is gcra.lua in Go.
func (l *Limiter) allowLocally(bucket string, rate config.Rate, now time.Time) time.Duration {
	interval := rate.Interval() * localShare
	burst := time.Duration(max(1, rate.Burst/localShare)) * interval
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

package ratelimit_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi/ratelimit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

var server *stores.Redis

func TestMain(m *testing.M) { os.Exit(stores.Main(m, nil, &server)) }

func newLimiter(t *testing.T, client redis.UniversalClient, prefix string) *ratelimit.Limiter {
	limiter, err := ratelimit.New(client, prefix, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return limiter
}

var slow = config.Rate{Events: 1, Per: time.Hour, Burst: 5}

// Two servers together allow the burst and no more.
func TestTheRateIsSharedAcrossServers(t *testing.T) {
	client := server.Client()
	defer client.Close()

	one, two := newLimiter(t, client, "lb:shared:"), newLimiter(t, client, "lb:shared:")
	for i := range 5 {
		require.Zero(t, []*ratelimit.Limiter{one, two}[i%2].Allow(t.Context(), "login", "ada", slow))
	}

	for _, limiter := range []*ratelimit.Limiter{one, two} {
		wait := limiter.Allow(t.Context(), "login", "ada", slow)
		require.Greater(t, wait, 59*time.Minute)
		require.LessOrEqual(t, wait, time.Hour)
		require.Zero(t, limiter.Allow(t.Context(), "login", "somebody else", slow))
		require.Zero(t, limiter.Allow(t.Context(), "register", "ada", slow))
	}

	keys, err := client.Keys(t.Context(), "lb:shared:*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		require.Regexp(t, `^lb:shared:rate:(login|register):[0-9a-f]{32}$`, key)
		ttl, err := client.PTTL(t.Context(), key).Result()
		require.NoError(t, err)
		require.Positive(t, ttl, "buckets expire")
	}
}

func TestTheRateComesBack(t *testing.T) {
	client := server.Client()
	defer client.Close()

	limiter := newLimiter(t, client, "lb:refill:")
	fast := config.Rate{Events: 1, Per: 2 * time.Second, Burst: 1} // the next call comes sooner, on any machine
	require.Zero(t, limiter.Allow(t.Context(), "login", "ada", fast))
	require.Positive(t, limiter.Allow(t.Context(), "login", "ada", fast))
	require.Eventually(t, func() bool { return limiter.Allow(t.Context(), "login", "ada", fast) == 0 }, time.Minute, 5*time.Millisecond)
	require.Zero(t, limiter.Allow(t.Context(), "login", "ada", config.Rate{}), "off")
}

// An event that is given back leaves room for another, on every server, and no
// more than that.
func TestReturnedEventsDoNotCount(t *testing.T) {
	client := server.Client()
	defer client.Close()

	away := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer away.Close()

	for name, limiters := range map[string][]*ratelimit.Limiter{
		"in Redis":  {newLimiter(t, client, "lb:returned:"), newLimiter(t, client, "lb:returned:")},
		"in memory": {newLimiter(t, away, "lb:returned:")},
	} {
		t.Run(name, func(t *testing.T) {
			one, two := limiters[0], limiters[len(limiters)-1]
			rate := config.Rate{Events: 1, Per: time.Hour, Burst: 8} // 2 for a server alone
			burst := map[bool]int{true: 8, false: 2}[len(limiters) == 2]
			for range 3 * burst {
				require.Zero(t, one.Allow(t.Context(), "login", "ada", rate))
				two.Return(t.Context(), "login", "ada", rate)
			}

			two.Return(t.Context(), "login", "ada", rate)
			two.Return(t.Context(), "login", "nobody", rate)
			for range burst {
				require.Zero(t, one.Allow(t.Context(), "login", "ada", rate))
			}

			require.Positive(t, two.Allow(t.Context(), "login", "ada", rate), "what was never taken is not given back")
			one.Return(t.Context(), "login", "ada", rate)
			require.Zero(t, two.Allow(t.Context(), "login", "ada", rate))
			require.Positive(t, one.Allow(t.Context(), "login", "ada", rate))
		})
	}
}

// Within the rights that a tenant has, and no more.
func TestTheTenantsRightsSuffice(t *testing.T) {
	admin := server.Client()
	defer admin.Close()

	require.NoError(t, functions.Ensure(t.Context(), admin))
	rules := []any{"ACL", "SETUSER", "tenant", "reset", "on", ">pw", "~lb:own:*", "resetchannels", "-@all", "+hello", "+ping"}
	for _, right := range functions.Rights {
		rules = append(rules, right)
	}
	require.NoError(t, admin.Do(t.Context(), rules...).Err())
	client := redis.NewClient(&redis.Options{Addr: server.Address(), Username: "tenant", Password: "pw"})
	defer client.Close()

	limiter := newLimiter(t, client, "lb:own:")
	for range 5 {
		require.Zero(t, limiter.Allow(t.Context(), "login", "ada", slow))
	}

	require.Positive(t, limiter.Allow(t.Context(), "login", "ada", slow))
	limiter.Return(t.Context(), "login", "ada", slow)
	require.Zero(t, limiter.Allow(t.Context(), "login", "ada", slow))
	require.Zero(t, limiter.Allow(t.Context(), "login", "grace", slow))
	limiter.Return(t.Context(), "login", "grace", slow)
	n, err := admin.Keys(t.Context(), "lb:own:rate:login:*").Result()
	require.NoError(t, err)
	require.NotEmpty(t, n, "it was Redis that counted")
}

// Without Redis a server counts for itself, with a part of the rate.
func TestWithoutRedis(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	defer client.Close()

	limiter := newLimiter(t, client, "lb:away:")
	rate := config.Rate{Events: 1, Per: time.Hour, Burst: 8}
	require.Zero(t, limiter.Allow(context.Background(), "login", "ada", rate))
	require.Zero(t, limiter.Allow(context.Background(), "login", "ada", rate))
	require.Positive(t, limiter.Allow(context.Background(), "login", "ada", rate))
	require.Zero(t, limiter.Allow(context.Background(), "login", "eve", rate))
}

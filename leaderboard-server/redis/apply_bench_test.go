package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// What Redis spends on a standing of a batch, a third of which improve an entry: with
// an answer, as of the board that was submitted to, and without, as of global.
func BenchmarkApply(b *testing.B) {
	r, _ := benchBoard(b, testBoard(1))
	event := int64(benchPlayers)
	for _, size := range []int{1, 64, 256} {
		for name, ask := range map[string]bool{"answer": true, "join": false} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, size), func(b *testing.B) {
				before := redisTime(b, r)
				for b.Loop() {
					p := leaderboard.Projection{Identity: "ledger", Changes: make([]leaderboard.Change, size)}
					for i := range p.Changes {
						event++
						score := rand.Int64N(1_000_000) - 1_000_000
						if event%3 == 0 {
							score = event
						}
						p.Changes[i] = leaderboard.Change{Standing: entry(1+rand.Int64N(benchPlayers), score, event, 1), Ask: ask}
					}
					if _, err := r.Apply(b.Context(), p); err != nil {
						b.Fatal(err)
					}
				}

				used := redisTime(b, r) - before
				b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/float64(size), "redis-ns/standing")
			})
		}
	}
}

// redisTime is the CPU time that Redis' main thread has used.
func redisTime(b *testing.B, r *Ranking) time.Duration {
	b.Helper()
	info, err := r.client.Info(context.Background(), "cpu").Result()
	require.NoError(b, err)
	var total time.Duration
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys_main_thread" || name == "used_cpu_user_main_thread" {
			seconds, err := strconv.ParseFloat(value, 64)
			require.NoError(b, err)
			total += time.Duration(seconds * float64(time.Second))
		}
	}
	return total
}

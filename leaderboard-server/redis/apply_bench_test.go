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
// an answer, as of the board that was submitted to, without, as of global, and with an
// answer on a board of two columns.
func BenchmarkApply(b *testing.B) {
	columns := testBoard(1)
	columns.Columns = []leaderboard.Column{{Name: "deaths", Order: leaderboard.Ascending}, {Name: "time", Order: leaderboard.Descending}}
	for _, kind := range []struct {
		name  string
		board leaderboard.LiveBoard
		ask   bool
	}{{"answer", testBoard(1), true}, {"join", testBoard(1), false}, {"columns", columns, true}} {
		r, _ := benchBoard(b, kind.board)
		event := int64(benchPlayers)
		for _, size := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("%s/batch=%d", kind.name, size), func(b *testing.B) {
				before := redisTime(b, r)
				for b.Loop() {
					p := leaderboard.Projection{Identity: "ledger", Changes: make([]leaderboard.Change, size)}
					for i := range p.Changes {
						event++
						score := rand.Int64N(1_000_000) - 1_000_000
						if event%3 == 0 {
							score = event
						}
						standing := entry(1+rand.Int64N(benchPlayers), score, event, 1)
						for c := range kind.board.Columns {
							standing.Columns[c] = rand.Int64N(60_000)
						}
						p.Changes[i] = leaderboard.Change{Standing: standing, Ask: kind.ask}
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

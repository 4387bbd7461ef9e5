package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// benchTenant has a PostgreSQL that waits for the disk.
func benchTenant(b *testing.B) *Tenant {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	durable, err := stores.StartPostgres(ctx, stores.PostgresOptions{Durable: true})
	require.NoError(b, err)
	b.Cleanup(durable.Close)
	return NewTenant(b, durable, rdb, 1)
}

func randomSubmissions(players []leaderboard.PlayerName, n int) []leaderboard.Submission {
	batch := make([]leaderboard.Submission, n)
	for i := range batch {
		batch[i] = ledgertest.Submission(players[rand.IntN(len(players))], "speed", rand.Int64N(1_000_000))
	}
	return batch
}

// One connection, one statement after the other: what the ledger can carry.
func BenchmarkStoreLoop(b *testing.B) {
	tenant := benchTenant(b)
	players := tenant.Players(b, 100_000)
	for _, size := range []int{1, 16, 64, 256, 512, 1024} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			batch := randomSubmissions(players, size)
			for n := 0; n < b.N; n += size {
				for i := range batch {
					batch[i].Player, batch[i].Score = players[rand.IntN(len(players))].ID, rand.Int64N(1_000_000)
				}
				_, err := tenant.Ledger.Store(context.Background(), batch)
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submissions/s")
		})
	}
}

// The service's path without HTTP: queue, batch, ledger, ranking, receipt.
func BenchmarkCommit(b *testing.B) {
	tenant := benchTenant(b)
	players := tenant.Players(b, 100_000)
	replica := tenant.Start(b)
	for _, clients := range []int{1, 64, 256, 1024} {
		for _, keyed := range []bool{false, true} {
			b.Run(fmt.Sprintf("clients=%d/keys=%v", clients, keyed), func(b *testing.B) {
				var next atomic.Int64
				var delayed atomic.Int64
				var group sync.WaitGroup
				for range clients {
					group.Go(func() {
						for {
							n := next.Add(1)
							if n > int64(b.N) {
								return
							}
							s := ledgertest.Submission(players[rand.IntN(len(players))], "speed", rand.Int64N(1_000_000))
							if keyed {
								s.IdempotencyKey = fmt.Sprint(b.Name(), b.N, n)
							}
							receipt, err := replica.Committer.Commit(context.Background(), s)
							if err != nil {
								b.Error(err)
								return
							}
							if receipt.Ranking != leaderboard.RankingLive {
								delayed.Add(1)
							}
						}
					})
				}
				group.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submissions/s")
				b.ReportMetric(float64(delayed.Load()), "delayed")
			})
		}
	}
}

// A million entries: what they cost, how long a rebuild takes, what reads cost.
func BenchmarkMillion(b *testing.B) {
	tenant := benchTenant(b)
	conn := tenant.Connect(b)
	const n = 1_000_000
	for _, sql := range []string{
		"SET synchronous_commit = off",
		fmt.Sprintf("INSERT INTO players (id, username, username_key, password_hash) SELECT gen_random_uuid(), 'p' || i, 'p' || i, '' FROM generate_series(1, %d) i", n),
		"INSERT INTO standings (board, season, player, score, event, previous_score, origin, fold) SELECT 2, 1, number, (random() * 1e6)::int, nextval('event_ids'), 0, 2, 1 FROM players",
		"ANALYZE",
	} {
		_, err := conn.Exec(b.Context(), sql)
		require.NoError(b, err)
	}
	admin := rdb.Client()
	b.Cleanup(func() { _ = admin.Close() })
	empty := memory(b, admin)
	started := time.Now()
	replica := tenant.Start(b)
	board := tenant.Board(b, "speed")
	require.Eventually(b, func() bool {
		_, total, err := replica.Ranking.Page(context.Background(), board, 0, 1)
		return err == nil && total == n
	}, 2*time.Minute, 10*time.Millisecond)
	rebuild := time.Since(started)
	perEntry := float64(memory(b, admin)-empty) / n
	b.Run("entries", func(b *testing.B) {
		b.ReportMetric(rebuild.Seconds(), "rebuild-s")
		b.ReportMetric(perEntry, "bytes/entry")
	})
	b.Run("rank", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := replica.Ranking.Rank(context.Background(), board, 1+rand.Int64N(n)); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
	})
	b.Run("page", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, _, err := replica.Ranking.Page(context.Background(), board, rand.Int64N(n), 10); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
	})
}

func memory(b *testing.B, admin *goredis.Client) int64 {
	b.Helper()
	info, err := admin.InfoMap(b.Context(), "memory").Result()
	require.NoError(b, err)
	var used int64
	_, err = fmt.Sscan(info["Memory"]["used_memory"], &used)
	require.NoError(b, err)
	return used
}

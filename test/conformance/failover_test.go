package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// sharedCluster is the cluster of all tests that leave one behind as they found it.
var sharedCluster struct {
	once    sync.Once
	cluster *stores.RedisCluster
	err     error
}

// startCluster returns a Redis Cluster of three masters with a replica each.
func startCluster(t *testing.T) *stores.RedisCluster {
	t.Helper()
	shared := &sharedCluster
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	shared.once.Do(func() {
		shared.cluster, shared.err = stores.StartRedisCluster(ctx, stores.RedisClusterOptions{Replicas: 1})
	})
	require.NoError(t, shared.err)
	require.NoError(t, shared.cluster.WaitUntilWhole(ctx))

	return shared.cluster
}

// load is submissions that go on until it is stopped.
type load struct {
	stop    context.CancelFunc
	writers sync.WaitGroup

	mu     sync.Mutex
	stored []stored
	more   chan struct{} // closed and replaced with every submission
	err    error
}

// startLoad submits through the replicas, one writer per player: a player's
// submissions come one after the other.
func startLoad(t *testing.T, tenant *Tenant, replicas []*Replica, players []leaderboard.PlayerName) *load {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ctx, stop := context.WithCancel(context.Background())
	l := &load{stop: stop, more: make(chan struct{})}
	boards := tenant.Catalog.All()

	for i, player := range players {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		l.writers.Go(func() {
			for ctx.Err() == nil {
				board, score := boards[random.IntN(len(boards))], random.Int64N(21)-10
				l.submit(replicas[i%len(replicas)], player, board, score, randomColumns(random, board))
			}
		})
	}

	t.Cleanup(func() {
		stop()
		l.writers.Wait()
	})
	return l
}

// submit submits once. The deadline is the API's: whoever waits longer is not
// acknowledged.
func (l *load) submit(r *Replica, player leaderboard.PlayerName, board leaderboard.LiveBoard, score int64, columns leaderboard.Columns) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	submission := ledgertest.Submission(player, board.Name, score)
	submission.Columns = columns
	receipt, err := r.Committer.Commit(ctx, submission)
	l.mu.Lock()
	defer l.mu.Unlock()

	if err != nil {
		l.err = fmt.Errorf("submit to %s: %w", board.Name, err)
		l.stop()
	} else {
		l.stored = append(l.stored, stored{board, player.Number, score, columns, "", receipt})
	}

	close(l.more)
	l.more = make(chan struct{})
}

// await waits until n more submissions of the wanted kind have been acknowledged.
func (l *load) await(t *testing.T, n int, wanted func(leaderboard.Receipt) bool) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	l.mu.Lock()
	from := len(l.stored)

	for {
		for _, s := range l.stored[from:] {
			if wanted(s.receipt) {
				n--
			}
		}

		from = len(l.stored)
		more, err := l.more, l.err
		l.mu.Unlock()
		require.NoError(t, err)
		if n <= 0 {
			return
		}

		select {
		case <-more:
		case <-deadline:
			t.Fatalf("%d submissions are missing", n)
		}

		l.mu.Lock()
	}
}

func live(r leaderboard.Receipt) bool    { return r.Ranking == leaderboard.RankingLive }
func anyhow(leaderboard.Receipt) bool    { return true }
func delayed(r leaderboard.Receipt) bool { return r.Ranking == leaderboard.RankingDelayed }

// requireNothingLost stops the load and holds ledger and ranking to the model of
// what was acknowledged.
func (l *load) requireNothingLost(t *testing.T, tenant *Tenant, replicas []*Replica, players []leaderboard.PlayerName) {
	t.Helper()
	l.stop()
	l.writers.Wait()
	require.NoError(t, l.err)
	slow := 0
	model := NewModel(tenant.Catalog)
	sortByEvent(l.stored)

	for _, s := range l.stored {
		model.Submit(s.board, s.player, s.score, s.columns, s.receipt.Event)
		if delayed(s.receipt) {
			slow++
		}
	}

	t.Logf("%d submissions acknowledged, %d of them with a delayed rank", len(l.stored), slow)
	for _, r := range replicas {
		tenant.RequireEqual(t, r.Ranking, model, players)
	}

	mismatches, err := tenant.Ledger.Verify(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, mismatches)
}

// A slot with a board's shard is moved to another master under load.
func TestASlotMovesUnderLoad(t *testing.T) {
	cluster := startCluster(t)
	for _, shards := range []int{1, 3} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			tenant := NewTenantOn(t, pg, Clustered(cluster), shards)
			replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
			players := tenant.Players(t, 40)
			load := startLoad(t, tenant, replicas, players)
			load.await(t, 200, live)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()

			key := tenant.Prefix + "{speed:1:0}:m"
			from, err := cluster.Master(ctx, key)
			require.NoError(t, err)
			to := anotherMaster(ctx, t, cluster, from)
			require.NoError(t, cluster.MoveSlot(ctx, key, to, func() { load.await(t, 50, anyhow) }))
			load.await(t, 500, live)
			load.requireNothingLost(t, tenant, replicas, players)
		})
	}
}

func anotherMaster(ctx context.Context, t *testing.T, cluster *stores.RedisCluster, than *stores.Redis) *stores.Redis {
	t.Helper()
	for _, node := range cluster.Nodes {
		admin := node.Client()
		defer admin.Close()
		role, err := admin.Do(ctx, "ROLE").Slice()
		require.NoError(t, err)
		if node != than && role[0] == "master" {
			return node
		}
	}

	t.Fatal("there is one master only")
	return nil
}

// A master is killed under load: its replica takes over, without the last writes.
func TestAMasterOfAClusterIsLostUnderLoad(t *testing.T) {
	cluster := startCluster(t)
	tenant := NewTenantOn(t, pg, Clustered(cluster), 3)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	failOver(ctx, t, tenant, func(ctx context.Context) (*stores.Redis, error) {
		return cluster.Master(ctx, tenant.Prefix+"{speed:1:0}:m")
	})
	require.NoError(t, cluster.WaitUntilWhole(ctx))
}

// The same with Sentinels.
func TestAMasterWithSentinelsIsLostUnderLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	watched, err := stores.StartSentinel(ctx, stores.SentinelOptions{})
	require.NoError(t, err)
	t.Cleanup(watched.Close)
	failOver(ctx, t, NewTenantOn(t, pg, Watched(watched), 3), watched.Master)
	require.NoError(t, watched.WaitUntilWhole(ctx))
}

// failOver kills the master under load, after it has taken writes that no replica
// got, and waits until another one serves; the first one comes back as its replica.
func failOver(ctx context.Context, t *testing.T, tenant *Tenant, master func(context.Context) (*stores.Redis, error)) {
	t.Helper()
	replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
	players := tenant.Players(t, 40)
	load := startLoad(t, tenant, replicas, players)
	load.await(t, 500, live)
	first, err := master(ctx)
	require.NoError(t, err)
	cutReplication(ctx, t, tenant.Redis.Nodes, first)
	load.await(t, 500, live)
	killed := time.Now()
	kill(t, first)
	load.await(t, 1, delayed)
	eventually(t, "another master", func() bool {
		now, err := master(ctx)
		return err == nil && now != first
	})

	promoted := time.Since(killed)
	load.await(t, 500, live)
	t.Logf("another master was known after %v, rankings were live again after %v", promoted, time.Since(killed))

	for _, node := range tenant.Redis.Nodes {
		if node != first {
			setMasterAuth(ctx, t, node, node.AdminPassword())
		}
	}

	require.NoError(t, first.Start(ctx))
	load.await(t, 100, live)
	load.requireNothingLost(t, tenant, replicas, players)
}

// kill kills a node; a test that fails before it has started it again leaves it
// running to the others.
func kill(t *testing.T, node *stores.Redis) {
	node.Kill()
	t.Cleanup(func() {
		admin := node.Client()
		defer admin.Close()
		if admin.Ping(context.Background()).Err() != nil {
			_ = node.Start(context.Background()) // the test has failed already
		}
	})
}

// cutReplication lets no replica follow its master, which goes on alone.
func cutReplication(ctx context.Context, t *testing.T, nodes []*stores.Redis, master *stores.Redis) {
	t.Helper()
	for _, node := range nodes {
		setMasterAuth(ctx, t, node, "wrong")
	}

	admin := master.Client()
	defer admin.Close()

	eventually(t, "no replica follows", func() bool {
		_ = admin.Do(ctx, "CLIENT", "KILL", "TYPE", "replica") // INFO tells how many are left
		info, err := admin.InfoMap(ctx, "replication").Result()
		return err == nil && info["Replication"]["connected_slaves"] == "0"
	})
}

func setMasterAuth(ctx context.Context, t *testing.T, node *stores.Redis, password string) {
	t.Helper()
	admin := node.Client()
	defer admin.Close()
	require.NoError(t, admin.ConfigSet(ctx, "masterauth", password).Err())
}

// A master is restarted under load, before its replica notices: both are empty.
func TestAMasterOfAClusterComesBackEmpty(t *testing.T) {
	cluster := startCluster(t)
	tenant := NewTenantOn(t, pg, Clustered(cluster), 3)
	replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
	players := tenant.Players(t, 40)
	load := startLoad(t, tenant, replicas, players)
	load.await(t, 500, live)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	master, err := cluster.Master(ctx, tenant.Prefix+"{speed:1:0}:m")
	require.NoError(t, err)
	kill(t, master)
	require.NoError(t, master.Start(ctx))
	load.await(t, 500, live)
	load.requireNothingLost(t, tenant, replicas, players)
	require.NoError(t, cluster.WaitUntilWhole(ctx))
}

package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

var (
	pg  *stores.Postgres
	rdb *stores.Redis
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	var err error
	if rdb, err = stores.StartRedis(ctx, stores.RedisOptions{ACLFile: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer rdb.Close()
	defer func() {
		if sharedCluster.cluster != nil {
			sharedCluster.cluster.Close()
		}
	}()

	return stores.Main(m, &pg, nil)
}

// stored is an acknowledged submission.
type stored struct {
	board         leaderboard.LiveBoard
	player, score int64
	columns       leaderboard.Columns
	metadata      string
	receipt       leaderboard.Receipt
}

// round submits concurrently through both replicas and returns what was stored, in
// the order of the events.
func round(t *testing.T, tenant *Tenant, replicas []*Replica, players []leaderboard.PlayerName, seed, n uint64) []stored {
	t.Helper()
	boards := tenant.Catalog.All()
	results := make([]stored, n)
	var group sync.WaitGroup

	for i := range results {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		player, board := players[random.IntN(len(players))], boards[random.IntN(len(boards))]

		score := random.Int64N(21) - 10 // few values: many ties
		columns := randomColumns(random, board)
		metadata := ""
		if random.IntN(2) == 0 {
			metadata = fmt.Sprintf(`{"player":%d,"seed":%d,"i":%d}`, player.Number, seed, i)
		}
		group.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			submission := ledgertest.Submission(player, board.Name, score)
			submission.Columns, submission.Metadata = columns, metadata
			receipt, err := replicas[i%len(replicas)].Committer.Commit(ctx, submission)
			if err != nil {
				t.Error(err)
			}
			results[i] = stored{board, player.Number, score, columns, metadata, receipt}
		})
	}

	group.Wait()
	sortByEvent(results)
	return results
}

func sortByEvent(all []stored) {
	sort.Slice(all, func(i, j int) bool { return all[i].receipt.Event < all[j].receipt.Event })
}

// The same random submissions and faults, on every layout and on the model.
func TestEveryLayoutIsTheModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, shards := range []int{1, 3, 16} {
		steps := 8
		if shards == 16 {
			steps = 4 // each takes three times as long
		}
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) { layout(t, newSegmented(t, Standalone(rdb), shards), seed, steps) })
	}

	for _, shards := range []int{1, 3} {
		t.Run(fmt.Sprintf("cluster/shards=%d", shards), func(t *testing.T) {
			layout(t, newSegmented(t, Clustered(startCluster(t)), shards), seed, 8)
		})
	}
}

func layout(t *testing.T, tenant *Tenant, seed uint64, steps int) {
	t.Helper()
	replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
	players := tenant.Players(t, 150)
	model := NewModel(tenant.Catalog)
	tenant.RequireEqual(t, replicas[0].Ranking, model, players[:1])
	random := rand.New(rand.NewPCG(seed, 0))

	for step := range steps {
		tenant.changeAttributes(t, model, players, random)
		fault := random.IntN(6)
		switch fault {
		case 0: // Redis loses everything
			require.NoError(t, tenant.forgetAll(t))
		case 1: // a server is killed between commit and application
			replicas[0].Drop.Store(true)
		case 2: // Redis loses the entries of some shards
			tenant.evictSome(t, random)
		case 3: // a season ends while scores come in, and on some boards it was to
			tenant.endSeason(t, []string{"speed", "mood", "coins", "debut", "tuple", "rating", "podium", leaderboard.GlobalBoard}[random.IntN(8)])
		}

		moderator := tenant.moderate(t, model, replicas, players, seed+uint64(step))
		for _, s := range round(t, tenant, replicas, players, seed+uint64(step), 300) {
			model.Submit(s.board, s.player, s.score, s.columns, s.receipt.Event)
			model.Describe(s.receipt.Event, s.metadata)
		}
		moderator.stop(t)

		replicas[0].Drop.Store(false)
		tenant.RequireEqual(t, replicas[step%2].Ranking, model, players)
		moderator.pardon(t)
		tenant.requireReports(t, model, players)
		tenant.requireMetadata(t, model)
		t.Logf("step %d, fault %d: equal", step, fault)
	}

	eventually(t, "the standings are saved", func() bool { return catchup.SaveStandings(context.Background(), tenant.Ledger) == nil })
	mismatches, err := tenant.Ledger.Verify(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, mismatches)
}

// evictSome deletes what a Redis might evict that is told to: the entries of a board, or of a
// segment, or its state.
func (t *Tenant) evictSome(tb testing.TB, random *rand.Rand) {
	tb.Helper()
	for range 3 {
		board := t.Catalog.All()[random.IntN(len(t.Catalog.All()))]
		parts, format := []string{"e", "m"}, "2"
		if board.Ranks == leaderboard.Dense {
			parts = append(parts, "d")
		}
		if len(board.Columns) > 0 {
			format = "3"
		}
		if len(board.Segments) > 0 {
			parts = append(parts, fmt.Sprintf("e/%d", 1+random.IntN(3)))
		}
		key := fmt.Sprintf("%s{%s:1:%d}:%s%s", t.Prefix, board.Name, random.IntN(board.Shards), format, parts[random.IntN(len(parts))])
		require.NoError(tb, t.Client.Del(tb.Context(), key).Err())
	}
}

// forgetAll deletes the tenant's keys, as a Redis does that restarts empty: on each
// node at once.
func (t *Tenant) forgetAll(tb testing.TB) error {
	for _, node := range t.Redis.Nodes {
		admin := node.Client()
		defer admin.Close()

		role, err := admin.Do(tb.Context(), "ROLE").Slice()
		switch {
		case err != nil:
			return err
		case role[0] != "master": // replicas follow
		case t.Redis.Mode == provision.Cluster: // where one DEL is of one slot
			err = admin.FlushAll(tb.Context()).Err()
		default:
			var keys []string
			if keys, err = admin.Keys(tb.Context(), t.Prefix+"*").Result(); err == nil && len(keys) > 0 {
				err = admin.Del(tb.Context(), keys...).Err()
			}
		}

		if err != nil {
			return err
		}
	}
	return nil
}

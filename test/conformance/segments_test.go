package conformance

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// newSegmented makes a tenant whose boards are split by what players have. The seasons of their
// windows are open already, so that all events count in them.
func newSegmented(t *testing.T, rdb Deployment, shards int) *Tenant {
	t.Helper()
	tenant := NewTenantOf(t, ledgertest.New(t, pg, ledgertest.SegmentedBoards(t, shards), postgres.Options{}), rdb)
	_, err := tenant.Connect(t).Exec(t.Context(), "UPDATE window_seasons SET opens_at = now() - interval '1 hour' WHERE ordinal = 1")
	require.NoError(t, err)
	tenant.Catalog, err = tenant.Ledger.LoadCatalog(t.Context())
	require.NoError(t, err)
	return tenant
}

// setAttributes changes what a player has, in the model, too.
func (t *Tenant) setAttributes(tb testing.TB, model *Model, player leaderboard.PlayerName, values map[string]string) {
	tb.Helper()
	require.NoError(tb, t.Ledger.SetAttributes(tb.Context(), player.ID, 1, values))
	stored, err := t.Ledger.Attributes(tb.Context(), player.ID)
	require.NoError(tb, err)
	require.Len(tb, stored, len(values))

	numbers := make(map[string]int32, len(stored))
	for _, v := range stored {
		require.Equal(tb, values[v.Attribute], v.Value)
		numbers[v.Attribute] = v.Number
	}
	if model.Attributes == nil {
		model.Attributes = make(map[int64]map[string]int32)
	}
	model.Attributes = maps.Clone(model.Attributes)
	model.Attributes[player.Number] = numbers
}

// changeAttributes gives some of the players other values, or none.
func (t *Tenant) changeAttributes(tb testing.TB, model *Model, players []leaderboard.PlayerName, random *rand.Rand) {
	tb.Helper()
	for _, p := range players {
		if random.IntN(3) > 0 {
			continue
		}
		values := make(map[string]string)
		if country := []string{"", "DE", "FR", "JP"}[random.IntN(4)]; country != "" {
			values["country"] = country
		}
		if platform := []string{"", "pc", "console-1"}[random.IntN(3)]; platform != "" {
			values["platform"] = platform
		}
		t.setAttributes(tb, model, p, values)
	}
}

// submitRound submits and brings the model up to date.
func (t *Tenant) submitRound(tb *testing.T, model *Model, replicas []*Replica, players []leaderboard.PlayerName, seed uint64) {
	tb.Helper()
	for _, s := range round(tb, t, replicas, players, seed, 200) {
		model.Submit(s.board, s.player, s.score, s.columns, s.receipt.Event)
	}
}

// sync brings the boards in line, everywhere.
func (t *Tenant) sync(tb *testing.T, model *Model, replicas []*Replica, boards leaderboard.Boards) {
	tb.Helper()
	catalog, err := t.Ledger.SyncBoards(tb.Context(), boards)
	require.NoError(tb, err)
	for _, r := range replicas {
		_, err := r.Ledger.LoadCatalog(tb.Context())
		require.NoError(tb, err)
	}
	t.Catalog, model.catalog = catalog, catalog
}

// A segment begins empty when it is added to a board. Removed, no event counts in it any more,
// and its ranking goes; brought back, it goes on where it was.
func TestSegmentsAreAddedRemovedAndBroughtBack(t *testing.T) {
	for _, shards := range []int{1, 3} {
		tenant := newSegmented(t, Standalone(rdb), shards)
		replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
		players := tenant.Players(t, 40)
		model := NewModel(tenant.Catalog)
		random := rand.New(rand.NewPCG(uint64(shards), 0))
		with := ledgertest.SegmentedBoards(t, shards)
		without, err := ledgertest.Boards(t, shards).WithAttributes(with.Attributes()...)
		require.NoError(t, err)
		identity := func() int32 { return tenant.Board(t, "speed").Returned }

		tenant.sync(t, model, replicas, without) // before the first event
		tenant.changeAttributes(t, model, players, random)
		tenant.submitRound(t, model, replicas, players, 1)
		tenant.sync(t, model, replicas, with)
		returned := identity()
		tenant.RequireEqual(t, replicas[0].Ranking, model, players)
		for _, value := range tenant.Catalog.Served(tenant.Board(t, "speed")) {
			require.Empty(t, model.Entries(tenant.Board(t, "speed").InSegment(value)))
		}

		tenant.changeAttributes(t, model, players, random)
		tenant.submitRound(t, model, replicas, players, 2)
		tenant.RequireEqual(t, replicas[1].Ranking, model, players)

		tenant.sync(t, model, replicas, without)
		tenant.submitRound(t, model, replicas, players, 3)
		tenant.RequireEqual(t, replicas[0].Ranking, model, players)
		speed := tenant.Board(t, "speed")
		unserved := tenant.Catalog.Unserved(speed)
		require.NotEmpty(t, unserved)
		snapshot, err := tenant.Ledger.Snapshot(t.Context())
		require.NoError(t, err)
		forget := func() {
			for _, shard := range speed.AllShards() {
				require.NoError(t, replicas[0].Ranking.ForgetSegments(t.Context(), shard, snapshot.Identity, unserved))
			}
		}
		forget()
		for _, value := range unserved {
			entries, total, err := replicas[0].Ranking.Page(t.Context(), speed.InSegment(value), 0, 10)
			require.NoError(t, err)
			require.Zero(t, total)
			require.Empty(t, entries)
		}

		tenant.sync(t, model, replicas, with)
		require.Equal(t, returned+1, identity(), "what rankings have of it is made again")
		tenant.RequireEqual(t, replicas[0].Ranking, model, players)
		forget() // as one does who led before, and does not know yet
		tenant.submitRound(t, model, replicas, players, 4)
		tenant.RequireEqual(t, replicas[0].Ranking, model, players)
		require.NoError(t, tenant.forgetAll(t))
		tenant.RequireEqual(t, replicas[1].Ranking, model, players)

		eventually(t, "the standings are saved", func() bool { return catchup.SaveStandings(context.Background(), tenant.Ledger) == nil })
		mismatches, err := tenant.Ledger.Verify(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, mismatches)
	}
}

// Players change what they have while they submit: each event counts where it says, in every
// ranking, and that is what the player had before or after.
func TestAttributesChangeWhileScoresComeIn(t *testing.T) {
	tenant := newSegmented(t, Standalone(rdb), 3)
	replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
	players := tenant.Players(t, 20)
	model := NewModel(tenant.Catalog)
	tenant.changeAttributes(t, model, players, rand.New(rand.NewPCG(1, 0)))
	tenant.RequireEqual(t, replicas[0].Ranking, model, players[:1])

	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			player := players[i%len(players)]
			country := []string{"DE", "FR", "JP"}[i/len(players)%3]
			if err := tenant.Ledger.SetAttributes(context.Background(), player.ID, 1, map[string]string{"country": country}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	all := round(t, tenant, replicas, players, 7, 1500)
	close(stop)
	changing.Wait()

	counted := tenant.segmentsOf(t)
	attributes := tenant.attributesOfValues(t)
	for _, s := range all {
		model.Attributes = map[int64]map[string]int32{s.player: {}}
		for _, v := range counted[s.receipt.Event] {
			model.Attributes[s.player][attributes[max(v, -v)]] = max(v, -v)
		}
		model.Submit(s.board, s.player, s.score, s.columns, s.receipt.Event)
	}
	tenant.RequireEqual(t, replicas[1].Ranking, model, players)
	require.NoError(t, tenant.forgetAll(t))
	tenant.RequireEqual(t, replicas[0].Ranking, model, players)
}

// segmentsOf are those in which events count, by their numbers.
func (t *Tenant) segmentsOf(tb testing.TB) map[int64][]int32 {
	tb.Helper()
	rows, err := t.Connect(tb).Query(tb.Context(), "SELECT id, segments FROM score_events WHERE segments IS NOT NULL")
	require.NoError(tb, err)
	found := make(map[int64][]int32)
	var id int64
	var segments []int32
	_, err = pgx.ForEachRow(rows, []any{&id, &segments}, func() error {
		found[id] = slices.Clone(segments)
		return nil
	})
	require.NoError(tb, err)
	return found
}

// attributesOfValues are the attributes of values, by number.
func (t *Tenant) attributesOfValues(tb testing.TB) map[int32]string {
	tb.Helper()
	rows, err := t.Connect(tb).Query(tb.Context(), "SELECT number, attribute FROM attribute_values")
	require.NoError(tb, err)
	found := make(map[int32]string)
	var number int32
	var attribute string
	_, err = pgx.ForEachRow(rows, []any{&number, &attribute}, func() error {
		found[number] = attribute
		return nil
	})
	require.NoError(tb, err)
	return found
}

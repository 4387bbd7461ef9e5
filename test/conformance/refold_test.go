package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// folds are those that boards of these tests have.
var folds = []leaderboard.Rules{
	{Order: leaderboard.Descending, Scoring: leaderboard.Best}, {Order: leaderboard.Ascending, Scoring: leaderboard.Best},
	{Order: leaderboard.Descending, Scoring: leaderboard.First}, {Order: leaderboard.Ascending, Scoring: leaderboard.Latest},
	{Order: leaderboard.Descending, Scoring: leaderboard.Sum}, {Order: leaderboard.Ascending, Scoring: leaderboard.Sum},
	{Order: leaderboard.Descending, Scoring: leaderboard.Count},
}

// withColumnsUntil is how many of the folds boards with columns may have, the first ones.
const withColumnsUntil = 4

// foldedBoard is a board without windows, which tests may add.
func foldedBoard(name string, rules leaderboard.Rules, shards int) leaderboard.Board {
	return leaderboard.Board{Name: name, MinScore: -leaderboard.MaxScore, MaxScore: leaderboard.MaxScore, Shards: shards, Ranks: leaderboard.Ordinal}.WithRules(rules)
}

// hadRules remembers the rules that boards were configured with.
func (t *Tenant) hadRules(boards leaderboard.Boards) {
	if t.oldRules == nil {
		t.oldRules = make(map[string][]leaderboard.Rules)
	}
	for _, b := range boards.All() {
		t.oldRules[b.Name] = append(t.oldRules[b.Name], b.Rules())
	}
}

// switches are a board for each change of one fold to another, before and after.
func switches(tb testing.TB, shards int, windows ...leaderboard.Window) (before, after leaderboard.Boards) {
	tb.Helper()
	var lists [2][]leaderboard.Board
	for i, from := range folds {
		for j, to := range folds {
			if i != j {
				name := fmt.Sprintf("from-%d-to-%d", i, j)
				for k, fold := range []leaderboard.Rules{from, to} {
					board := foldedBoard(name, fold, shards)
					board.Windows, board.Segments = windows, [][]string{{}, {"country"}, {"platform", "country"}}[(i+2*j)%3]
					board.WindowsOnly = len(windows) > 0 && (i+j)%3 == 0
					if max(i, j) < withColumnsUntil {
						board.Columns = []leaderboard.Column{{Name: "deaths", Order: leaderboard.Ascending, Min: -leaderboard.MaxScore, Max: leaderboard.MaxScore}}
						board.Ranks = leaderboard.Competition
					}
					lists[k] = append(lists[k], board)
				}
			}
		}
	}

	return splittable(tb, lists[0]...), splittable(tb, lists[1]...)
}

// splittable are boards that may be split by what players have.
func splittable(tb testing.TB, list ...leaderboard.Board) leaderboard.Boards {
	tb.Helper()
	boards, err := leaderboard.NewBoards(list...)
	require.NoError(tb, err)
	boards, err = boards.WithAttributes(ledgertest.Attributes...)
	require.NoError(tb, err)
	return boards
}

// sample is every nth of the boards, from the first on.
func sample(tb testing.TB, boards leaderboard.Boards, first, n int) leaderboard.Boards {
	tb.Helper()
	var list []leaderboard.Board
	for i := 1 + first; i < len(boards.All()); i += n {
		list = append(list, boards.All()[i])
	}
	return splittable(tb, list...)
}

// crowd submits through replicas until it is stopped, and reads what it submitted to.
type crowd struct {
	tenant   *Tenant
	replicas []*Replica
	players  []leaderboard.PlayerName
	boards   []string

	stop  context.CancelFunc
	going sync.WaitGroup
	mu    sync.Mutex
	// all is what was acknowledged, and repeats what was sent again with its key.
	all     []stored
	repeats atomic.Int64
	// forgiving: rankings may have been lost, and are not to be had at every moment.
	forgiving atomic.Bool
}

// await waits until so many more submissions were acknowledged.
func (c *crowd) await(tb testing.TB, n int) {
	tb.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.all)
	}
	until := count() + n
	require.Eventually(tb, func() bool { return count() >= until }, time.Minute, time.Millisecond)
}

func startCrowd(tb testing.TB, tenant *Tenant, replicas []*Replica, players []leaderboard.PlayerName, boards leaderboard.Boards) *crowd {
	tb.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &crowd{tenant: tenant, replicas: replicas, players: players, stop: stop}
	for _, b := range boards.All()[1:] {
		c.boards = append(c.boards, b.Name)
	}
	name := rand.Uint64() // its keys are no other crowd's
	for i := range 8 {
		random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(i)))
		c.going.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				c.submit(tb, random, fmt.Sprintf("%x-%d-%d", name, i, n))
			}
		})
	}
	c.going.Go(func() { c.move(ctx, tb) })
	for _, r := range replicas {
		c.going.Go(func() {
			random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
			for ctx.Err() == nil {
				c.read(tb, r, random)
			}
		})
	}
	tb.Cleanup(func() { c.end() })
	return c
}

func (c *crowd) end() []stored {
	c.stop()
	c.going.Wait()
	sortByEvent(c.all)
	return c.all
}

// move changes what players have, one after the other, until it is stopped.
func (c *crowd) move(ctx context.Context, tb testing.TB) {
	for i := 0; ctx.Err() == nil; i++ {
		values := map[string]string{"country": []string{"DE", "FR", "JP"}[i%3], "platform": []string{"pc", "console-1"}[i%2]}
		if i%5 == 0 {
			delete(values, "country")
		}
		err := c.replicas[i%len(c.replicas)].Ledger.SetAttributes(ctx, c.players[i*7%len(c.players)].ID, 1, values)
		if err != nil && ctx.Err() == nil {
			tb.Error(err)
			return
		}
	}
}

// handIn commits the submission, as a client does: once more while it is told that there was
// no time for it, which on a slow machine happens.
func handIn(ctx context.Context, r *Replica, submission leaderboard.Submission) (leaderboard.Receipt, error) {
	for {
		receipt, err := r.Committer.Commit(ctx, submission)
		if leaderboard.CodeOf(err) != leaderboard.CodeUnavailable || ctx.Err() != nil {
			return receipt, err
		}
	}
}

func (c *crowd) submit(tb testing.TB, random *rand.Rand, key string) {
	r, player, name := c.replicas[random.IntN(len(c.replicas))], c.players[random.IntN(len(c.players))], c.boards[random.IntN(len(c.boards))]
	board, err := r.Ledger.Catalog().Lookup(name)
	if err != nil {
		tb.Error(err)
		return
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	submission := leaderboard.Submission{Player: player.ID, TokenVersion: 1, Board: name, Ordered: board.Scoring.Ordered(), Score: random.Int64N(21) - 10, Columns: randomColumns(random, board), IdempotencyKey: key}
	receipt, err := handIn(ctx, r, submission)
	if err != nil {
		tb.Errorf("board %s: %v", name, err)
		return
	}
	c.mu.Lock()
	c.all = append(c.all, stored{board, player.Number, submission.Score, submission.Columns, submission.Metadata, receipt})
	c.mu.Unlock()

	if random.IntN(10) == 0 {
		again, err := handIn(ctx, c.replicas[random.IntN(len(c.replicas))], submission)
		if err != nil || !again.Replayed || again.Event != receipt.Event {
			tb.Errorf("board %s: a repetition of event %d was answered %+v, %v", name, receipt.Event, again, err)
		}
		c.repeats.Add(1)
	}
}

// read looks at a board by what the replica knows of it: it is served, in the order that it
// says.
func (c *crowd) read(tb testing.TB, r *Replica, random *rand.Rand) {
	catalog := r.Ledger.Catalog()
	board, err := catalog.Lookup(c.boards[random.IntN(len(c.boards))])
	if err != nil {
		tb.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	season := leaderboard.Season{Closes: catalog.Now().Add(time.Hour)}
	if board.WindowsOnly || len(board.Windows) > 0 && random.IntN(2) == 0 {
		var open bool
		if season, open = board.SeasonAt("", catalog.Now()); !open {
			return
		}
		board = board.In(season.Number)
	}
	entries, _, err := r.Ranking.Page(ctx, board, 0, 50)
	if err != nil && !c.forgiving.Load() && catalog.Now().Before(season.Closes) {
		tb.Errorf("board %s (season %d): %v", board.Name, board.Season, err)
	}
	if !slices.IsSortedFunc(entries, func(a, b leaderboard.RankingEntry) int {
		switch {
		case board.Order.Better(a.Score, b.Score):
			return -1
		case a.Score == b.Score:
			return 0
		}
		return 1
	}) {
		tb.Errorf("board %s (season %d) is not in %s order: %v", board.Name, board.Season, board.Order, entries)
	}
}

// requireFolded waits until the boards are folded as they are configured.
func requireFolded(tb testing.TB, ledger *postgres.Ledger, boards leaderboard.Boards) *leaderboard.Catalog {
	tb.Helper()
	var catalog *leaderboard.Catalog
	require.Eventually(tb, func() bool {
		var err error
		catalog, err = ledger.LoadCatalog(context.Background())
		if err != nil {
			return false
		}
		for _, b := range boards.All() {
			live, err := catalog.Lookup(b.Name)
			if err != nil || live.Refold != nil {
				return false
			}
			if asked, missing := live.Asked(b); missing != "" || asked.Fold() != live.Fold() {
				return false
			}
		}
		return true
	}, 5*time.Minute, 20*time.Millisecond)
	return catalog
}

// requireModel waits until every replica has what the events make.
func (t *Tenant) requireModel(tb testing.TB, catalog *leaderboard.Catalog, replicas []*Replica, all []stored, players []leaderboard.PlayerName) {
	tb.Helper()
	model, counted, attributes := NewModel(catalog), t.segmentsOf(tb), t.attributesOfValues(tb)
	for _, s := range all {
		board, err := catalog.Lookup(s.board.Name)
		require.NoError(tb, err)
		model.Attributes = map[int64]map[string]int32{s.player: {}}
		for _, v := range counted[s.receipt.Event] {
			model.Attributes[s.player][attributes[v]] = v
		}
		model.Submit(board, s.player, s.score, s.columns, s.receipt.Event)
	}
	for _, r := range replicas {
		_, err := r.Ledger.LoadCatalog(tb.Context())
		require.NoError(tb, err)
		t.RequireEqual(tb, r.Ranking, model, players)
	}

	err := errors.New("not saved yet")
	for range 100 { // the leader may be ahead of it
		if err = catchup.SaveStandings(tb.Context(), t.Ledger); err == nil {
			break
		}
	}
	require.NoError(tb, err)
	mismatches, err := t.Ledger.Verify(tb.Context(), 10)
	require.NoError(tb, err)
	require.Empty(tb, mismatches)
}

// Every change of order or scoring ends with what the whole log makes, however much comes in
// meanwhile, and until then the board is what it was.
func TestRefoldEveryWay(t *testing.T) {
	for _, shards := range []int{1, 3} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			before, after := switches(t, shards)
			tenant := NewTenantOf(t, ledgertest.New(t, pg, before, postgres.Options{}), Standalone(rdb))
			replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
			players := tenant.Players(t, 40)
			tenant.RequireEqual(t, replicas[0].Ranking, NewModel(tenant.Catalog), nil)
			crowd := startCrowd(t, tenant, replicas, players, before)

			_, err := replicas[0].Ledger.SyncBoards(t.Context(), after)
			require.NoError(t, err)
			catalog := requireFolded(t, tenant.Ledger, after)
			all := crowd.end()
			t.Logf("%d submissions, %d repetitions", len(all), crowd.repeats.Load())
			tenant.requireModel(t, catalog, replicas, all, players)
		})
	}
}

// Changes of order or scoring of boards with windows, others in each run, while seasons end
// before, during and after them: a season is closed once, with the fold that its board is served with when it ends,
// and what is open has what counts in it by the new fold.
func TestRefoldWindowsEveryWay(t *testing.T) {
	for _, shards := range []int{1, 3} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			windows := []leaderboard.Window{ledgertest.Window("daily", "daily"), ledgertest.Window("weekly", "weekly")}
			before, after := switches(t, shards, windows...)
			every := map[int]int{1: 3, 3: 7}[shards]
			first := rand.IntN(every)
			t.Logf("every %d ways from %d on", every, first)
			before, after = sample(t, before, first, every), sample(t, after, first, every)
			tenant := NewTenantOf(t, ledgertest.New(t, pg, before, postgres.Options{}), Standalone(rdb))
			replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
			players := tenant.Players(t, 40)
			for _, b := range before.All()[1:] { // once it has begun
				tenant.endSeason(t, b.Name)
			}
			tenant.RequireEqual(t, replicas[0].Ranking, NewModel(tenant.Catalog), nil)
			crowd := startCrowd(t, tenant, replicas, players, before)
			for _, b := range before.All()[1:] {
				tenant.closed(t, tenant.Board(t, b.Name), 1)
			}
			crowd.await(t, 20*len(crowd.boards))

			_, err := replicas[0].Ledger.SyncBoards(t.Context(), after)
			require.NoError(t, err)
			for i, b := range before.All()[1:] { // some before they are switched, some afterwards
				if i%2 == 0 {
					tenant.endSeason(t, b.Name)
				}
			}
			catalog := requireFolded(t, tenant.Ledger, after)
			for i, b := range before.All()[1:] {
				if i%4 == 1 {
					tenant.endSeason(t, b.Name)
				}
			}
			crowd.await(t, 500)
			all := crowd.end()

			tenant.hadRules(before)
			var oldWay, newWay int
			for i, b := range after.All()[1:] {
				live, err := catalog.Lookup(b.Name)
				require.NoError(t, err)
				last := int32(1)
				if i%2 == 0 || i%4 == 1 {
					last = 2
				}
				for ordinal := int32(1); ordinal <= last; ordinal++ {
					if season := tenant.closed(t, live, ordinal); season.Order != "" {
						require.Equal(t, before.All()[i+1].Order, season.Order)
						oldWay++
					} else {
						newWay++
					}
				}
			}
			t.Logf("%d submissions; %d seasons were closed before their boards were switched, %d after", len(all), oldWay, newWay)
			require.Positive(t, oldWay)
			require.Positive(t, newWay)
			tenant.requireModel(t, catalog, replicas, all, players)
		})
	}
}

// threeColumns are the columns that boards have whose columns are changed.
var threeColumns = []leaderboard.Column{
	{Name: "deaths", Order: leaderboard.Ascending, Min: -leaderboard.MaxScore, Max: leaderboard.MaxScore},
	{Name: "time", Order: leaderboard.Descending, Min: -leaderboard.MaxScore, Max: leaderboard.MaxScore},
	{Name: "style", Order: leaderboard.Ascending, Min: -leaderboard.MaxScore, Max: leaderboard.MaxScore},
}

// fewer are some of the columns, in any order, and with any orders.
func fewer(random *rand.Rand, columns []leaderboard.Column) []leaderboard.Column {
	var some []leaderboard.Column
	for _, i := range random.Perm(len(columns)) {
		c := columns[i]
		c.Order = []leaderboard.Order{leaderboard.Ascending, leaderboard.Descending}[random.IntN(2)]
		if random.IntN(8) > 0 {
			some = append(some, c)
		}
	}
	return some
}

// columnChanges are boards with three columns, and others that they get, by the names of those:
// an upper case letter is the first of one that is turned.
func columnChanges(tb testing.TB, shards int) (steps [3]leaderboard.Boards) {
	tb.Helper()
	const best, first, latest, sum, count = 0, 2, 3, 4, 6
	var lists [3][]leaderboard.Board
	for i, change := range []struct {
		from    int
		to      [2]int
		columns [2]string
	}{
		{best, [2]int{best, best}, [2]string{"sd", "d"}}, {best, [2]int{best, best}, [2]string{"t", "T"}}, {best, [2]int{best, sum}, [2]string{"", ""}},
		{best, [2]int{best, first}, [2]string{"DTs", "sT"}}, {best, [2]int{latest, best}, [2]string{"td", "dt"}}, {best, [2]int{sum, count}, [2]string{"", ""}},
		{latest, [2]int{best, latest}, [2]string{"st", "ts"}}, {latest, [2]int{latest, latest}, [2]string{"Td", "D"}}, {first, [2]int{latest, sum}, [2]string{"S", ""}},
	} {
		for step := range lists {
			rules := folds[change.from]
			rules.Columns = threeColumns
			if step > 0 {
				rules = folds[change.to[step-1]]
				for _, letter := range change.columns[step-1] {
					c := threeColumns[strings.IndexRune("dts", unicode.ToLower(letter))]
					if unicode.IsUpper(letter) {
						c.Order = map[leaderboard.Order]leaderboard.Order{leaderboard.Ascending: leaderboard.Descending, leaderboard.Descending: leaderboard.Ascending}[c.Order]
					}
					rules.Columns = append(rules.Columns, c)
				}
			}
			board := foldedBoard(fmt.Sprint("board-", i), rules, shards)
			board.Ranks = []leaderboard.Ranks{leaderboard.Ordinal, leaderboard.Competition}[i%2]
			if i%3 == 0 {
				board.Windows, board.WindowsOnly = []leaderboard.Window{ledgertest.Window("daily", "daily")}, i == 3
			}
			if i%4 == 0 {
				board.Segments = []string{"country"}
			}
			lists[step] = append(lists[step], board)
		}
	}
	for step, list := range lists {
		steps[step] = splittable(tb, list...)
	}
	return steps
}

// Columns are left out, moved and turned, alone and with another order or scoring, one change
// after the other: at each step a board is what the log makes of what was submitted by then,
// and closed seasons have the columns that there were.
func TestRefoldColumnsEveryWay(t *testing.T) {
	for _, shards := range []int{1, 3} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			steps := columnChanges(t, shards)
			tenant := NewTenantOf(t, ledgertest.New(t, pg, steps[0], postgres.Options{}), Standalone(rdb))
			replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
			players := tenant.Players(t, 40)
			tenant.RequireEqual(t, replicas[0].Ranking, NewModel(tenant.Catalog), nil)

			var all []stored
			for step, boards := range steps {
				crowd := startCrowd(t, tenant, replicas, players, steps[max(step-1, 0)])
				crowd.await(t, 300)
				tenant.hadRules(steps[max(step-1, 0)])
				for _, b := range boards.All()[1:] {
					if len(b.Windows) > 0 {
						tenant.endSeason(t, b.Name)
					}
				}
				_, err := replicas[step%2].Ledger.SyncBoards(t.Context(), boards)
				require.NoError(t, err)
				catalog := requireFolded(t, tenant.Ledger, boards)
				crowd.await(t, 300)
				all = append(all, crowd.end()...)
				for _, b := range boards.All()[1:] {
					if len(b.Windows) > 0 {
						tenant.closed(t, tenant.Board(t, b.Name), int32(step)+1)
					}
				}
				tenant.requireModel(t, catalog, replicas, all, players)
				t.Logf("step %d: equal, with %d submissions", step, len(all))
			}
		})
	}
}

// Changes of changes, a leader that ends anywhere, a Redis that loses everything, seasons that
// end: at the end each board is what the log makes by the last configuration, and each closed
// season what it makes by one of those that there were.
func TestRefoldThroughFaults(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const windowed = 3 // how many of the boards have a window
	columns := map[int][]leaderboard.Column{1: threeColumns, 2: threeColumns, 5: threeColumns}
	configured := func() leaderboard.Boards {
		var list []leaderboard.Board
		for i := range 6 {
			columns[i] = fewer(random, columns[i])
			rules := folds[random.IntN(len(folds))]
			if len(columns[i]) > 0 {
				rules = folds[random.IntN(withColumnsUntil)]
			}
			rules.Columns = columns[i]
			board := foldedBoard(fmt.Sprint("board-", i), rules, 2)
			if i < windowed {
				board.Windows, board.WindowsOnly = []leaderboard.Window{ledgertest.Window("daily", "daily")}, i == 0
			}
			if i%2 == 0 { // they come and go, too
				board.Segments = [][]string{{"country"}, {"country", "platform"}, {"platform"}, {}}[random.IntN(4)]
			}
			list = append(list, board)
		}
		return splittable(t, list...)
	}

	boards := configured()
	tenant := NewTenantOf(t, ledgertest.New(t, pg, boards, postgres.Options{}), Standalone(rdb))
	replicas := []*Replica{tenant.Start(t), tenant.Start(t), tenant.Start(t)}
	players := tenant.Players(t, 60)
	tenant.RequireEqual(t, replicas[0].Ranking, NewModel(tenant.Catalog), nil)
	crowd := startCrowd(t, tenant, replicas, players, boards)
	conn := tenant.Connect(t)

	for range 30 {
		tenant.hadRules(boards)
		switch random.IntN(5) {
		case 4:
			tenant.endSeason(t, fmt.Sprint("board-", random.IntN(windowed)))
		case 0:
			crowd.forgiving.Store(true)
			require.NoError(t, tenant.forgetAll(t))
		case 1:
			_, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks
				WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
			require.NoError(t, err)
		default:
			crowd.forgiving.Store(true) // where segments come back, rankings are made again
			boards = configured()
			_, err := replicas[random.IntN(len(replicas))].Ledger.SyncBoards(t.Context(), boards)
			require.NoError(t, err)
		}
		crowd.await(t, random.IntN(300))
	}

	catalog := requireFolded(t, tenant.Ledger, boards)
	tenant.requireModel(t, catalog, replicas, crowd.end(), players)
}

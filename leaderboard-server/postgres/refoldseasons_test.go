package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

var ascendingSum = leaderboard.Rules{Order: leaderboard.Ascending, Scoring: leaderboard.Sum}

// windowsFixture is a ledger with the board arena of the window daily, whose first season has
// been open for an hour and ends in another, and the connection of its owner. The next one is
// half a year.
func windowsFixture(t *testing.T) (f *ledgertest.Fixture, arena leaderboard.Board, exec func(sql string, args ...any)) {
	t.Helper()
	f, arena = refoldFixture(t, postgres.Options{})
	arena.Windows = []leaderboard.Window{ledgertest.Window("daily", fmt.Sprintf("0 0 1 %d *", time.Now().AddDate(0, 6, 0).Month()))}
	configure(t, f.Ledger, arena)

	conn := f.Connect(t)
	exec = func(sql string, args ...any) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	exec(`UPDATE window_seasons SET opens_at = now() - interval '1 hour', closes_at = now() + interval '1 hour'
		WHERE name = 'daily' AND ordinal = 1 AND board = (SELECT number FROM boards WHERE name = 'arena')`)
	_, err := f.Ledger.AnnounceSeasons(t.Context())
	require.NoError(t, err)
	return f, arena, exec
}

// event inserts a score of long ago.
func event(player leaderboard.PlayerName, score int64, ago string) (sql string) {
	return fmt.Sprintf(`INSERT INTO score_events (id, at, player, score, board) SELECT nextval('event_ids'), now() - interval '%s', %d, %d, number FROM boards WHERE name = 'arena'`, ago, player.Number, score)
}

// seasonOf is a season of the board's window daily.
func seasonOf(t *testing.T, f *ledgertest.Fixture, ordinal int32) leaderboard.Season {
	t.Helper()
	s, ok, err := f.Ledger.Results().Season(t.Context(), f.Board(t, "arena"), "daily", ordinal)
	require.NoError(t, err)
	require.True(t, ok)
	return s
}

// Seasons that are open get what counts in them under numbers of their own, one that ends
// before the switch is closed by the fold that there was, one that is announced meanwhile is
// taken in, and all are switched at once.
func TestARefoldWithWindowsStepByStep(t *testing.T) {
	f, arena, exec := windowsFixture(t)
	player := f.Players(t, 1)[0]
	submit := func(score int64) leaderboard.Outcome {
		o := store(t, f.Ledger, ledgertest.Submission(player, "arena", score)).Outcomes[0]
		require.NoError(t, o.Err)
		return o
	}
	exec(event(player, 100, "2 hours")) // counts in no season
	submit(4)
	submit(3)
	first, second := seasonOf(t, f, 1), seasonOf(t, f, 2)

	board := configure(t, f.Ledger, arena.WithRules(ascendingSum))
	work, err := f.Ledger.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	require.Len(t, work.Seasons(), 2, "that one, and the next")
	require.Equal(t, []int32{first.Number, second.Number}, []int32{work.Seasons()[0].Number, work.Seasons()[1].Number})
	require.Greater(t, work.Seasons()[0].Made, second.Number)
	work, err = f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
	require.NoError(t, err)
	made := func(i int) leaderboard.LiveBoard { return work.Board.In(work.Seasons()[i].Made) }
	require.Equal(t, int64(4+3), standingsOf(t, f.Ledger, made(0))[player.Number].Score)
	require.Equal(t, int64(4+3+100), standingsOf(t, f.Ledger, work.Board)[player.Number].Score)
	requireSound(t, f.Ledger)

	// The season ends. The board is not switched until it is closed, with the best score.
	submit(2)
	exec("UPDATE window_seasons SET closes_at = now() WHERE number = $1", first.Number)
	exec("UPDATE window_seasons SET opens_at = now() WHERE number = $1", second.Number)
	work, _, _, err = f.Ledger.AdvanceRefold(t.Context(), work)
	require.NoError(t, err)
	_, _, err = f.Ledger.SwitchRefold(t.Context(), work, join)
	require.ErrorIs(t, err, leaderboard.ErrSeasonEnds)
	catalog, err := f.Ledger.AnnounceSeasons(t.Context())
	require.NoError(t, err)
	board, err = catalog.Lookup("arena")
	require.NoError(t, err)
	third := seasonOf(t, f, 3)
	entries, err := f.Ledger.CloseSeason(t.Context(), board.In(first.Number))
	require.NoError(t, err)
	require.Equal(t, int64(1), entries)
	submit(1)

	_, switched := ledgertest.SwitchRefold(t, f.Ledger, work, join)
	require.False(t, switched, "there are other seasons by now")
	retired := work.Seasons()[0].Made
	work, changed, caughtUp, err := f.Ledger.AdvanceRefold(t.Context(), work)
	require.NoError(t, err)
	require.True(t, caughtUp)
	require.Equal(t, []int32{second.Number, third.Number}, []int32{work.Seasons()[0].Number, work.Seasons()[1].Number})
	require.NotEqual(t, third.Number, work.Seasons()[1].Made)
	require.Len(t, changed, 2)
	require.Equal(t, int64(1), standingsOf(t, f.Ledger, made(0))[player.Number].Score)

	// What is announced just before the switch does not take a number that a refold has.
	submit(5)
	after, switched := ledgertest.SwitchRefold(t, f.Ledger, work, func(_ context.Context, changed []leaderboard.Standing) error {
		require.Len(t, changed, 2)
		return nil
	})
	require.True(t, switched)
	o := submit(6)
	require.Equal(t, int64(4+3+2+1+5+6+100), o.Standing.Score)
	require.Len(t, o.Windows, 1)
	require.Equal(t, int64(1+5+6), o.Windows[0].Score)
	require.Equal(t, after.Seasons()[0].Made, o.Windows[0].Season)

	board = configure(t, f.Ledger, arena.WithRules(ascendingSum))
	require.Nil(t, board.Refold)
	require.Equal(t, int64(12), standingsOf(t, f.Ledger, board.In(o.Windows[0].Season))[player.Number].Score)
	var seasons []int32
	for _, r := range board.Retired {
		seasons = append(seasons, r.Season)
	}
	require.ElementsMatch(t, []int32{1, second.Number, third.Number, retired}, seasons)
	requireSound(t, f.Ledger)

	closed := seasonOf(t, f, 1)
	require.Equal(t, []any{first.Number, leaderboard.Descending}, []any{closed.Number, closed.Order})
	entry, err := f.Ledger.Results().Rank(t.Context(), board.InClosed(closed), player.Number)
	require.NoError(t, err)
	require.Equal(t, int64(4), entry.Score)

	// The next one that is announced has a number of its own.
	exec("UPDATE window_seasons SET opens_at = now() - interval '1 minute' WHERE number = $1", after.Seasons()[1].Made)
	_, err = f.Ledger.AnnounceSeasons(t.Context())
	require.NoError(t, err)
	require.Greater(t, seasonOf(t, f, 4).Number, after.Seasons()[1].Made)
}

// Back to a scoring that has no standings in windows, nothing of the work is left.
func TestARefoldWithWindowsLeavesNothing(t *testing.T) {
	f, arena, _ := windowsFixture(t)
	player := f.Players(t, 1)[0]
	for _, score := range []int64{4, 7, 3} {
		require.NoError(t, store(t, f.Ledger, ledgertest.Submission(player, "arena", score)).Outcomes[0].Err)
	}
	ledgertest.SaveStandings(t, f.Ledger)

	for _, rules := range []leaderboard.Rules{ascendingSum, {Order: leaderboard.Ascending, Scoring: leaderboard.Best}, {Order: leaderboard.Descending, Scoring: leaderboard.Latest}, arena.Rules()} {
		work, err := f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, arena.WithRules(rules)))
		require.NoError(t, err)
		finishRefold(t, f.Ledger, work)
		requireSound(t, f.Ledger)
		require.NoError(t, f.Ledger.SweepRefold(t.Context(), work))
		requireSound(t, f.Ledger)

		board := configure(t, f.Ledger, arena.WithRules(rules))
		for _, r := range board.Retired {
			require.NoError(t, f.Ledger.SweepRetired(t.Context(), board.In(r.Season)))
		}
		want := map[leaderboard.Fold]int64{ascendingSum.Fold(): 14, arena.Fold(): 7}
		if score, ok := want[rules.Fold()]; ok {
			require.Equal(t, score, standingsOf(t, f.Ledger, board.In(seasonOf(t, f, 1).Number))[player.Number].Score)
		}
	}

	var seasons []int32
	require.NoError(t, f.Connect(t).QueryRow(t.Context(), "SELECT array_agg(DISTINCT season) FROM standings").Scan(&seasons))
	require.Equal(t, []int32{leaderboard.RefoldSeason(4)}, seasons)
}

// Whoever gives a refold up, a server of the version before, too, leaves nothing of its
// seasons, and the numbers are not given again.
func TestARefoldWithWindowsIsGivenUp(t *testing.T) {
	f, arena, exec := windowsFixture(t)
	player := f.Players(t, 1)[0]
	require.NoError(t, store(t, f.Ledger, ledgertest.Submission(player, "arena", 4)).Outcomes[0].Err)
	begin := func() leaderboard.RefoldWork {
		work, err := f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, arena.WithRules(ascendingSum)))
		require.NoError(t, err)
		return work
	}

	given := map[int32]bool{seasonOf(t, f, 1).Number: true, seasonOf(t, f, 2).Number: true}
	for _, giveUp := range []func(){
		func() { configure(t, f.Ledger, arena) },
		func() {
			exec(`WITH dropped AS (DELETE FROM refolds RETURNING board, season, board_order, scoring)
				INSERT INTO retired_rankings (board, season, board_order, scoring) SELECT board, season, board_order, scoring FROM dropped`)
		},
		func() {
			board := configure(t, f.Ledger, arena.WithRules(ascendingSum))
			require.NoError(t, f.Ledger.RefuseRefold(t.Context(), board, &leaderboard.RefoldRefusedError{Reason: "no"}))
		},
	} {
		work := begin()
		require.Len(t, work.Seasons(), 2)
		work, err := f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
		require.NoError(t, err)
		giveUp()
		_, _, _, err = f.Ledger.AdvanceRefold(t.Context(), work)
		require.ErrorIs(t, err, leaderboard.ErrRefoldMoved)

		catalog, err := f.Ledger.LoadCatalog(t.Context())
		require.NoError(t, err)
		board, err := catalog.Lookup("arena")
		require.NoError(t, err)
		for _, s := range work.Seasons() {
			require.False(t, given[s.Made], "the number %d was given", s.Made)
			given[s.Made] = true
			require.True(t, board.HasRanking(s.Made), "it is to be deleted")
			require.Equal(t, ascendingSum.Fold(), board.In(s.Made).Fold())
			require.NoError(t, f.Ledger.SweepRetired(t.Context(), board.In(s.Made)))
		}
		requireSound(t, f.Ledger)
	}
	finishRefold(t, f.Ledger, begin())
}

// Other rankings to be served than those that were made: they are made first.
func TestARefoldMakesWhatIsServed(t *testing.T) {
	for name, change := range map[string]func(*leaderboard.Board){
		"a window more":                func(b *leaderboard.Board) { b.Windows = append(b.Windows, ledgertest.Window("weekly", "weekly")) },
		"no ranking of all time":       func(b *leaderboard.Board) { b.WindowsOnly = true },
		"another number of shards":     func(b *leaderboard.Board) { b.Shards = 3 },
		"other ranks":                  func(b *leaderboard.Board) { b.Ranks = leaderboard.Dense },
		"a window less, while it runs": func(b *leaderboard.Board) { b.Windows = nil },
	} {
		t.Run(name, func(t *testing.T) {
			f, arena, _ := windowsFixture(t)
			asked := arena.WithRules(ascendingSum)
			work, err := f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, asked))
			require.NoError(t, err)
			work, err = f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
			require.NoError(t, err)
			change(&asked)
			board := configure(t, f.Ledger, asked)
			_, _, err = f.Ledger.SwitchRefold(t.Context(), work, join)
			require.ErrorIs(t, err, leaderboard.ErrRefoldMoved)

			resumed, err := f.Ledger.PrepareRefold(t.Context(), board)
			require.NoError(t, err)
			require.Equal(t, work.Board.Season, resumed.Board.Season, "it goes on where it was")
			finishRefold(t, f.Ledger, resumed)
		})
	}
}

// Seasons end earlier or later than they were to during a refold.
func TestARefoldGoesByTheEndsOfSeasons(t *testing.T) {
	f, arena, _ := windowsFixture(t)
	conn := f.Connect(t)
	player := f.Players(t, 1)[0]
	submit := func(score int64) {
		require.NoError(t, store(t, f.Ledger, ledgertest.Submission(player, "arena", score)).Outcomes[0].Err)
	}
	submit(1)
	work, err := f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, arena.WithRules(ascendingSum)))
	require.NoError(t, err)
	work, err = f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
	require.NoError(t, err)

	var ends time.Time
	end := func(at string) {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT end_season('arena', 'daily', NULL, "+at+")").Scan(&ends))
	}
	end("now() + interval '90 minutes'")
	require.True(t, ends.After(work.Seasons()[0].Closes))
	submit(2)
	end("'-infinity'")
	for {
		var now time.Time
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now))
		if now.After(ends) {
			break
		}
		submit(10)
	}
	submit(1000)

	work, _, _, err = f.Ledger.AdvanceRefold(t.Context(), work)
	require.NoError(t, err)
	require.Equal(t, ends.UTC(), work.Seasons()[0].Closes)
	sums := make([]int64, 2)
	var want int64
	for i, s := range work.Seasons() {
		sums[i] = standingsOf(t, f.Ledger, work.Board.In(s.Made))[player.Number].Score
	}
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT sum(score)::bigint FROM score_events WHERE at < $1", ends).Scan(&want))
	require.Equal(t, []int64{want, standingsOf(t, f.Ledger, work.Board)[player.Number].Score - want}, sums)
	require.Positive(t, sums[1])
}

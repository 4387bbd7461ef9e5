package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// refoldFixture is a ledger with the board arena, of the highest score.
func refoldFixture(tb testing.TB, options postgres.Options) (*ledgertest.Fixture, leaderboard.Board) {
	tb.Helper()
	arena := leaderboard.Board{Name: "arena", Order: leaderboard.Descending, Scoring: leaderboard.Best, MinScore: -leaderboard.MaxScore, MaxScore: leaderboard.MaxScore, Shards: 1, Ranks: leaderboard.Ordinal}
	boards, err := leaderboard.NewBoards(arena)
	require.NoError(tb, err)
	return ledgertest.New(tb, server, boards, options), arena
}

// configure stores the configuration of the board.
func configure(tb testing.TB, ledger *postgres.Ledger, board leaderboard.Board) leaderboard.LiveBoard {
	tb.Helper()
	boards, err := leaderboard.NewBoards(board)
	require.NoError(tb, err)
	boards, err = boards.WithAttributes(ledgertest.Attributes...)
	require.NoError(tb, err)
	catalog, err := ledger.SyncBoards(tb.Context(), boards)
	require.NoError(tb, err)
	live, err := catalog.Lookup(board.Name)
	require.NoError(tb, err)
	return live
}

func join(context.Context, []leaderboard.Standing) error { return nil }

// standingsOf are the standings of one ranking, by player: of the board's season, or of a segment
// of it.
func standingsOf(tb testing.TB, ledger *postgres.Ledger, board leaderboard.LiveBoard, segment ...int32) map[int64]leaderboard.Standing {
	tb.Helper()
	all, season := make(map[int64]leaderboard.Standing), board.Season
	for _, value := range segment {
		season = leaderboard.SegmentSeason(board.Season, value)
	}
	require.NoError(tb, ledger.ReadBoard(tb.Context(), board, 100, func(uint64, uint64) {}, func(chunk []leaderboard.Standing) error {
		for _, s := range chunk {
			if s.Season == season {
				all[s.Player] = s
			}
		}
		return nil
	}, func([]leaderboard.Event) error { return nil }))
	return all
}

// finishRefold takes the steps that are left.
func finishRefold(tb testing.TB, ledger *postgres.Ledger, work leaderboard.RefoldWork) {
	tb.Helper()
	work, err := ledger.FoldRefold(tb.Context(), work, func(int64) {})
	require.NoError(tb, err)
	work, _, caughtUp, err := ledger.AdvanceRefold(tb.Context(), work)
	require.NoError(tb, err)
	require.True(tb, caughtUp)
	_, switched := ledgertest.SwitchRefold(tb, ledger, work, join)
	require.True(tb, switched)
}

// What is submitted at any moment of a refold is in it once, and whoever leads goes on where
// it was left.
func TestARefoldStepByStep(t *testing.T) {
	f, arena := refoldFixture(t, postgres.Options{})
	player := f.Players(t, 1)[0]
	submit := func(ledger *postgres.Ledger, score int64) leaderboard.Outcome {
		o := store(t, ledger, ledgertest.Submission(player, "arena", score)).Outcomes[0]
		require.NoError(t, o.Err)
		return o
	}
	stale := f.Open(t, postgres.Options{}) // a replica that hears of nothing
	submit(f.Ledger, 10)
	submit(f.Ledger, 4)

	board := configure(t, f.Ledger, arena.WithRules(leaderboard.Rules{Order: leaderboard.Ascending, Scoring: leaderboard.Sum}))
	require.Equal(t, arena.Fold(), board.Fold(), "until it is done the board is what it was")
	require.Equal(t, leaderboard.Fold{Order: leaderboard.Ascending, Scoring: leaderboard.Sum}, board.Refold.Fold())
	submit(f.Ledger, 1)
	work, err := f.Ledger.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	require.Equal(t, []int64{3, 0}, []int64{work.Events, work.Done})
	submit(f.Ledger, 2)
	folded, err := f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
	require.NoError(t, err)
	require.Equal(t, int64(3), folded.Done)

	// Another one goes on.
	other := f.Open(t, postgres.Options{})
	resumed, err := other.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	require.Equal(t, folded, resumed)
	require.True(t, resumed.Folded())
	advanced, changed, caughtUp, err := other.AdvanceRefold(t.Context(), resumed)
	require.NoError(t, err)
	require.True(t, caughtUp)
	require.Len(t, changed, 1)
	require.Equal(t, int64(10+4+1+2), changed[0].Score)
	_, _, _, err = f.Ledger.AdvanceRefold(t.Context(), folded)
	require.ErrorIs(t, err, leaderboard.ErrRefoldMoved, "who was overtaken does not fold twice")

	// What could not be joined to the ranking is not switched to.
	submit(f.Ledger, 3)
	lost := errors.New("Redis is away")
	_, switched, err := other.SwitchRefold(t.Context(), advanced, func(context.Context, []leaderboard.Standing) error { return lost })
	require.ErrorIs(t, err, lost)
	require.False(t, switched)
	require.Nil(t, submit(f.Ledger, 4).Standing, "it is still the highest score")
	_, switched = ledgertest.SwitchRefold(t, other, advanced, join)
	require.True(t, switched)

	// The one that has heard of nothing appends to what there is.
	o := submit(stale, 5)
	require.Equal(t, int64(10+4+1+2+3+4+5), o.Standing.Score)
	require.Equal(t, leaderboard.RefoldSeason(1), o.Entry.Season)
	board = configure(t, f.Ledger, arena.WithRules(leaderboard.Rules{Order: leaderboard.Ascending, Scoring: leaderboard.Sum}))
	require.Nil(t, board.Refold)
	require.Equal(t, int64(29), standingsOf(t, f.Ledger, board)[player.Number].Score)
	require.Equal(t, arena.Fold(), board.Retired[0].Fold())
	requireSound(t, f.Ledger)

	// And back.
	board = configure(t, f.Ledger, arena)
	submit(stale, 7)
	work, err = f.Ledger.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	finishRefold(t, f.Ledger, work)
	o = submit(stale, 3)
	require.Nil(t, o.Standing)
	require.Equal(t, leaderboard.RefoldSeason(2), o.Entry.Season)
	requireSound(t, f.Ledger)
	board = configure(t, f.Ledger, arena)
	require.Equal(t, int64(10), standingsOf(t, f.Ledger, board)[player.Number].Score)
	require.Len(t, board.Retired, 2)
	requireSwept(t, f, board, 1)
}

// requireSwept requires that standings of so many rankings are left of the board once those that
// are retired have been swept.
func requireSwept(t *testing.T, f *ledgertest.Fixture, board leaderboard.LiveBoard, rankings int) {
	t.Helper()
	for _, r := range board.Retired {
		require.NoError(t, f.Ledger.SweepRetired(t.Context(), board.In(r.Season)))
	}
	var left int
	require.NoError(t, f.Connect(t).QueryRow(t.Context(), "SELECT count(DISTINCT season) FROM standings WHERE board = $1", board.Number).Scan(&left))
	require.Equal(t, rankings, left)
}

// A change of mind gives up what was made, and begins with another number.
func TestARefoldIsGivenUp(t *testing.T) {
	f, arena := refoldFixture(t, postgres.Options{})
	player := f.Players(t, 1)[0]
	store(t, f.Ledger, ledgertest.Submission(player, "arena", 2))
	count := arena.WithRules(leaderboard.Rules{Order: leaderboard.Descending, Scoring: leaderboard.Count})

	board := configure(t, f.Ledger, count)
	work, err := f.Ledger.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	same := configure(t, f.Ledger, count)
	require.Equal(t, work.Board.Season, same.Refold.Season, "to say the same again changes nothing")

	for _, change := range []leaderboard.Board{arena, arena.WithRules(leaderboard.Rules{Order: leaderboard.Descending, Scoring: leaderboard.Latest})} {
		configure(t, f.Ledger, change)
		_, err = f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
		require.ErrorIs(t, err, leaderboard.ErrRefoldMoved)
		_, _, err = f.Ledger.SwitchRefold(t.Context(), work, join)
		require.ErrorIs(t, err, leaderboard.ErrRefoldMoved)
		_, err = f.Ledger.PrepareRefold(t.Context(), board)
		require.ErrorIs(t, err, leaderboard.ErrRefoldMoved)
	}
	board = configure(t, f.Ledger, arena)
	require.Nil(t, board.Refold)
	require.Equal(t, []int32{leaderboard.RefoldSeason(1)}, []int32{board.Retired[0].Season})

	asked := configure(t, f.Ledger, count)
	again, err := f.Ledger.PrepareRefold(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, leaderboard.RefoldSeason(2), again.Board.Season)

	// A board that is removed is not made.
	gone, err := leaderboard.NewBoards()
	require.NoError(t, err)
	_, err = f.Ledger.SyncBoards(t.Context(), gone)
	require.NoError(t, err)
	_, err = f.Ledger.PrepareRefold(t.Context(), asked)
	require.ErrorIs(t, err, leaderboard.ErrRefoldMoved)
}

// Where the new ranking could not be exact, the board stays what it was, and it is said why.
func TestARefoldIsRefused(t *testing.T) {
	sum := leaderboard.Rules{Order: leaderboard.Descending, Scoring: leaderboard.Sum}
	for name, test := range map[string]struct {
		before   string
		windows  []leaderboard.Window
		segments []string
		scores   []int64
		after    string
		message  string
	}{
		"retention has dropped some": {before: "UPDATE boards SET log_cut = true WHERE name = 'arena'", message: "retention has dropped scores of it"},
		"just upgraded, with windows": {windows: []leaderboard.Window{ledgertest.Window("daily", "daily")},
			before: "UPDATE schema_migrations SET applied_at = applied_at - interval '1 day' WHERE name <> 'refold_windows'",
			after:  "UPDATE schema_migrations SET applied_at = applied_at - interval '15 minutes'", message: "gets order Descending and scoring Sum in 15 minutes"},
		"just upgraded, with segments": {segments: []string{"country"},
			before: "UPDATE schema_migrations SET applied_at = applied_at - interval '1 day' WHERE name <> 'refold_columns'",
			after:  "UPDATE schema_migrations SET applied_at = applied_at - interval '15 minutes'", message: "gets order Descending and scoring Sum in 15 minutes"},
		"just upgraded": {before: "UPDATE schema_migrations SET applied_at = applied_at - interval '1 day' WHERE name <> 'refolds'",
			after: "UPDATE schema_migrations SET applied_at = applied_at - interval '15 minutes'", message: "gets order Descending and scoring Sum in 15 minutes"},
		"too large a sum": {scores: []int64{leaderboard.MaxScore, leaderboard.MaxScore}, message: "add up to more than +-9007199254740991"},
	} {
		t.Run(name, func(t *testing.T) {
			f, arena := refoldFixture(t, postgres.Options{})
			conn := f.Connect(t)
			player := f.Players(t, 1)[0]
			for _, score := range test.scores {
				store(t, f.Ledger, ledgertest.Submission(player, "arena", score))
			}
			if test.before != "" {
				_, err := conn.Exec(t.Context(), test.before)
				require.NoError(t, err)
			}
			arena.Windows, arena.Segments = test.windows, test.segments
			configure(t, f.Ledger, arena)

			board := configure(t, f.Ledger, arena.WithRules(sum))
			work, err := f.Ledger.PrepareRefold(t.Context(), board)
			if err == nil {
				_, err = f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
			}
			require.NoError(t, f.Ledger.RefuseRefold(t.Context(), board, err))
			require.ErrorContains(t, err, test.message)
			board = configure(t, f.Ledger, arena.WithRules(sum))
			require.Contains(t, board.Refold.Refused, test.message)
			require.Zero(t, board.Refold.Season)
			require.Equal(t, arena.Fold(), board.Fold())
			store(t, f.Ledger, ledgertest.Submission(player, "arena", 1))

			if test.after != "" {
				_, err = conn.Exec(t.Context(), test.after)
				require.NoError(t, err)
				work, err := f.Ledger.PrepareRefold(t.Context(), board)
				require.NoError(t, err, "it begins by itself")
				finishRefold(t, f.Ledger, work)
				return
			}
			_, err = f.Ledger.PrepareRefold(t.Context(), board)
			require.ErrorContains(t, err, test.message, "it still is")
			require.Nil(t, configure(t, f.Ledger, arena).Refold, "it is not asked for any more")
		})
	}
}

// Retention notes of which boards it drops scores.
func TestRetentionNotesWhatItDrops(t *testing.T) {
	f, arena := refoldFixture(t, postgres.Options{EventRetention: 24 * time.Hour})
	player := f.Players(t, 1)[0]
	other := arena
	other.Name = "other"
	boards, err := leaderboard.NewBoards(arena, other)
	require.NoError(t, err)
	_, err = f.Ledger.SyncBoards(t.Context(), boards)
	require.NoError(t, err)
	store(t, f.Ledger, ledgertest.Submission(player, "arena", 1), ledgertest.Submission(player, "other", 1))
	ledgertest.SaveStandings(t, f.Ledger)

	conn := f.Connect(t)
	for _, sql := range []string{
		"SET ROLE " + f.Owner,
		"CREATE TABLE score_events_202001 PARTITION OF score_events FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')",
		"UPDATE score_events SET at = '2020-01-15+00', xid = NULL WHERE board = (SELECT number FROM boards WHERE name = 'arena')",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, f.Ledger.Maintain(t.Context()))
	cut := func(name string) (cut bool) {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT log_cut FROM boards WHERE name = $1", name).Scan(&cut))
		return cut
	}
	require.Equal(t, []bool{true, false, true}, []bool{cut("arena"), cut("other"), cut(leaderboard.GlobalBoard)})
}

// Closed seasons of windows that were removed keep their results, by the order that there was.
func TestARefoldLeavesClosedSeasons(t *testing.T) {
	f, arena := refoldFixture(t, postgres.Options{})
	conn := f.Connect(t)
	for _, sql := range []string{
		"INSERT INTO windows (board, name, place, schedule, time_zone, keep, active) SELECT number, 'daily', 0, 'daily', 'UTC', 5, false FROM boards WHERE name = 'arena'",
		`INSERT INTO window_seasons (board, number, name, ordinal, opens_at, closes_at, closed_at, entries, swept)
			SELECT number, 2, 'daily', 1, now() - interval '2 days', now() - interval '1 day', now() - interval '1 day', 2, true FROM boards WHERE name = 'arena'`,
		"INSERT INTO result_ranks (board, season, first_rank, players, scores, events, first_order) SELECT number, 2, 1, '{1,2}', '{9,5}', '{1,2}', -9 FROM boards WHERE name = 'arena'",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}

	ascending := arena.WithRules(leaderboard.Rules{Order: leaderboard.Ascending, Scoring: leaderboard.Best})
	work, err := f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, ascending))
	require.NoError(t, err)
	finishRefold(t, f.Ledger, work)

	board := configure(t, f.Ledger, ascending)
	require.Equal(t, leaderboard.Ascending, board.Order)
	season, ok, err := f.Ledger.Results().Season(t.Context(), board, "daily", 1)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, leaderboard.Descending, season.Order)
	counts, err := f.Ledger.Results().CountBetter(t.Context(), board.InClosed(season), []leaderboard.ScoreBound{{Score: 7}})
	require.NoError(t, err)
	require.Equal(t, []int64{1}, counts, "9 is before 7")
}

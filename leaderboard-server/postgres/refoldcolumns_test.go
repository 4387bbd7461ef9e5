package postgres_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

func column(name string, order leaderboard.Order) leaderboard.Column {
	return leaderboard.Column{Name: name, Order: order, Min: -100, Max: 100}
}

// columnsFixture is a ledger with the board arena, of which deaths, time and style decide
// between equal scores.
func columnsFixture(tb testing.TB) (*ledgertest.Fixture, leaderboard.Board) {
	tb.Helper()
	f, arena := refoldFixture(tb, postgres.Options{})
	arena.Name = "match"
	arena.Columns = []leaderboard.Column{column("deaths", leaderboard.Ascending), column("time", leaderboard.Ascending), column("style", leaderboard.Descending)}
	configure(tb, f.Ledger, arena)
	return f, arena
}

// submitColumns submits to the board as the ledger knows it.
func submitColumns(tb testing.TB, ledger *postgres.Ledger, player leaderboard.PlayerName, score int64, values map[string]int64) leaderboard.Outcome {
	tb.Helper()
	board, err := ledger.Catalog().Lookup("match")
	require.NoError(tb, err)
	submission := ledgertest.Submission(player, "match", score)
	submission.Columns, err = board.ReadColumns(values)
	require.NoError(tb, err)
	o := store(tb, ledger, submission).Outcomes[0]
	require.NoError(tb, o.Err)
	return o
}

// rankedIn are the players of the board's season in rank order, with what they have, by name.
func rankedIn(tb testing.TB, ledger *postgres.Ledger, board leaderboard.LiveBoard) (players []int64, columns []map[string]int64) {
	tb.Helper()
	require.NoError(tb, ledger.ReadBoard(tb.Context(), board, 100, func(uint64, uint64) {}, func(chunk []leaderboard.Standing) error {
		for _, s := range chunk {
			players, columns = append(players, s.Player), append(columns, board.Named(s.Columns))
		}
		return nil
	}, func([]leaderboard.Event) error { return nil }))
	return players, columns
}

// A board is refolded to fewer columns, in another order, with other orders, and to none. What
// was and is submitted by servers that know the columns of before counts as well.
func TestColumnsAreRefolded(t *testing.T) {
	f, match := columnsFixture(t)
	stale := f.Open(t, postgres.Options{})
	players := f.Players(t, 3)
	submit := func(ledger *postgres.Ledger, i int, deaths, time, style int64) leaderboard.Outcome {
		return submitColumns(t, ledger, players[i], 5, map[string]int64{"deaths": deaths, "time": time, "style": style})
	}
	submit(f.Ledger, 0, 1, 10, 1)
	submit(f.Ledger, 1, 2, 20, 2)

	match.Columns = []leaderboard.Column{column("style", leaderboard.Descending), column("deaths", leaderboard.Descending)}
	board := configure(t, f.Ledger, match)
	require.Len(t, board.Columns, 3, "until it is done the board is what it was")
	work, err := f.Ledger.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	submit(f.Ledger, 2, 3, 30, 2)
	work, err = f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
	require.NoError(t, err)
	ranked, has := rankedIn(t, f.Ledger, work.Board)
	require.Equal(t, []int64{players[1].Number, players[0].Number}, ranked)
	require.Equal(t, []map[string]int64{{"style": 2, "deaths": 2}, {"style": 1, "deaths": 1}}, has)
	finishRefold(t, f.Ledger, work)

	// The ones of before have no room for what they do not know, nor need they.
	o := submit(stale, 0, 9, 1, 2)
	require.Equal(t, work.Board.Season, o.Entry.Season)
	board = configure(t, f.Ledger, match)
	require.Nil(t, board.Refold)
	require.Equal(t, []string{"time"}, board.LeftOut)
	submit(f.Ledger, 1, 4, 0, 2) // its client sends what was left out
	submitColumns(t, f.Ledger, players[1], 5, map[string]int64{"deaths": 8, "style": 2})
	ledgertest.SaveStandings(t, f.Ledger)
	ranked, has = rankedIn(t, f.Ledger, board)
	require.Equal(t, []int64{players[0].Number, players[1].Number, players[2].Number}, ranked)
	require.Equal(t, []map[string]int64{{"style": 2, "deaths": 9}, {"style": 2, "deaths": 8}, {"style": 2, "deaths": 3}}, has)
	requireSound(t, f.Ledger)

	// The latest, whose standings are made as it is submitted.
	match.Scoring, match.Columns = leaderboard.Latest, []leaderboard.Column{column("deaths", leaderboard.Ascending)}
	work, err = f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, match))
	require.NoError(t, err)
	finishRefold(t, f.Ledger, work)
	o = submit(stale, 2, 7, 7, 7)
	require.Equal(t, int64(7), o.Standing.Columns[0])
	board = configure(t, f.Ledger, match)
	o = submitColumns(t, f.Ledger, players[1], 5, map[string]int64{"deaths": 1})
	require.Equal(t, map[string]int64{"deaths": 1}, board.Named(o.Standing.Columns))
	ranked, _ = rankedIn(t, f.Ledger, board)
	require.Equal(t, []int64{players[1].Number, players[2].Number, players[0].Number}, ranked)
	requireSound(t, f.Ledger)

	// None, and then what boards with columns cannot have.
	match.Scoring, match.Columns = leaderboard.Sum, nil
	work, err = f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, match))
	require.NoError(t, err)
	finishRefold(t, f.Ledger, work)
	submit(stale, 2, 7, 7, 7)
	board = configure(t, f.Ledger, match)
	require.ElementsMatch(t, []string{"time", "style", "deaths"}, board.LeftOut)
	require.Equal(t, int64(15), standingsOf(t, f.Ledger, board)[players[2].Number].Score)
	requireSound(t, f.Ledger)
	for _, r := range board.Retired {
		require.NotEmpty(t, board.In(r.Season).Columns, "it is deleted as what it was")
		require.NoError(t, f.Ledger.SweepRetired(t.Context(), board.In(r.Season)))
	}
}

// A column that past scores have no values of is refused, and it is said which; bounds may
// change, also while a refold is under way.
func TestNewColumnsAreRefused(t *testing.T) {
	f, match := columnsFixture(t)
	player := f.Players(t, 1)[0]
	all := match.Columns
	ask := func(columns ...leaderboard.Column) leaderboard.LiveBoard {
		match.Columns = columns
		return configure(t, f.Ledger, match)
	}
	refused := func(message string, columns ...leaderboard.Column) {
		t.Helper()
		board := ask(columns...)
		require.Contains(t, board.Refold.Refused, message)
		require.True(t, board.Refold.Missing)
		require.Equal(t, board.Refold.AskedAt, ask(columns...).Refold.AskedAt)
		_, err := f.Ledger.PrepareRefold(t.Context(), board)
		require.ErrorAs(t, err, new(*leaderboard.RefoldRefusedError))
		require.NoError(t, f.Ledger.RefuseRefold(t.Context(), board, err))
	}
	refused("cannot get the column falls, of which its past scores have no values", column("falls", leaderboard.Ascending))
	refused("cannot get the column leaps, of which", append(slices.Clone(all), column("leaps", leaderboard.Ascending))...)
	require.Nil(t, ask(all...).Refold, "it is not asked for any more")

	wider := all[0]
	wider.Max = 900
	asked := ask(all[0])
	again := ask(wider)
	require.Equal(t, asked.Refold.AskedAt, again.Refold.AskedAt, "another bound does not begin it again")
	require.Equal(t, int64(900), again.Columns[0].Max)
	work, err := f.Ledger.PrepareRefold(t.Context(), again)
	require.NoError(t, err)
	finishRefold(t, f.Ledger, work)
	board := ask(wider)
	require.Nil(t, board.Refold)
	require.Equal(t, []leaderboard.Column{wider}, board.Columns)
	refused("cannot get the column time, which was left out: scores that have come in since", wider, all[1])

	_, err = board.ReadColumns(map[string]int64{"deaths": 1, "leaps": 1})
	require.ErrorContains(t, err, "no column")
	submitColumns(t, f.Ledger, player, 1, map[string]int64{"deaths": 901 - 1, "time": 1})
}

// Servers of the version before know one place of a column only. They take such a refold for
// refused, and once it is done they are.
func TestServersOfTheVersionBeforeLeaveColumnsAlone(t *testing.T) {
	f, match := columnsFixture(t)
	conn := f.Connect(t)
	exec := func(sql string) {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	admits := func() (version int) {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT admits FROM schema_migrations WHERE name = 'refold_columns'").Scan(&version))
		return version
	}
	before := admits()
	match.Columns = match.Columns[:1]
	board := configure(t, f.Ledger, match)
	exec("UPDATE schema_migrations SET applied_at = applied_at - interval '1 day' WHERE name <> 'refold_columns'")
	_, err := f.Ledger.PrepareRefold(t.Context(), board)
	require.ErrorContains(t, err, "with the columns deaths (Ascending) in 15 minutes")
	require.NoError(t, f.Ledger.RefuseRefold(t.Context(), board, err))
	exec("UPDATE schema_migrations SET applied_at = applied_at - interval '1 day'")

	board = configure(t, f.Ledger, match)
	work, err := f.Ledger.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	var final, ofColumns bool
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT final, of_columns FROM refolds").Scan(&final, &ofColumns))
	require.Equal(t, []bool{true, true}, []bool{final, ofColumns})

	// As one of them does that leads.
	exec(`WITH given_up AS (
			INSERT INTO retired_rankings (board, season, board_order, scoring) SELECT board, season, board_order, scoring FROM refolds WHERE season IS NOT NULL
		)
		UPDATE refolds SET refused = '', final = true, season = NULL, cut = NULL, cut_xid = NULL`)
	_, err = f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
	if err == nil {
		_, _, _, err = f.Ledger.AdvanceRefold(t.Context(), work)
	}
	require.ErrorIs(t, err, leaderboard.ErrRefoldMoved)
	work, err = f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, match))
	require.NoError(t, err, "it begins again")
	require.Equal(t, leaderboard.RefoldSeason(2), work.Board.Season)
	require.Equal(t, before, admits())
	finishRefold(t, f.Ledger, work)
	require.Less(t, before, admits())
	require.NoError(t, f.Ledger.CheckVersion(t.Context()), "this one is not")
}

// Results of closed seasons have the columns that there were.
func TestClosedSeasonsKeepTheirColumns(t *testing.T) {
	f, match := columnsFixture(t)
	conn := f.Connect(t)
	for _, sql := range []string{
		"INSERT INTO windows (board, name, place, schedule, time_zone, keep, active) SELECT number, 'daily', 0, 'daily', 'UTC', 5, false FROM boards WHERE name = 'match'",
		`INSERT INTO window_seasons (board, number, name, ordinal, opens_at, closes_at, closed_at, entries, swept)
			SELECT number, 2, 'daily', 1, now() - interval '2 days', now() - interval '1 day', now() - interval '1 day', 2, true FROM boards WHERE name = 'match'`,
		`INSERT INTO result_ranks (board, season, first_rank, players, scores, events, first_order, columns)
			SELECT number, 2, 1, '{1,2}', '{9,9}', '{1,2}', -9, '{1,10,-3, 2,20,-4}' FROM boards WHERE name = 'match'`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}

	columns := match.Columns
	for _, left := range [][]leaderboard.Column{{columns[2], columns[0]}, {columns[0]}, nil} {
		match.Columns = left
		work, err := f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, match))
		require.NoError(t, err)
		finishRefold(t, f.Ledger, work)

		board := configure(t, f.Ledger, match)
		require.Len(t, board.Columns, len(left))
		season, ok, err := f.Ledger.Results().Season(t.Context(), board, "daily", 1)
		require.NoError(t, err)
		require.True(t, ok)
		closed := board.InClosed(season)
		entries, _, err := f.Ledger.Results().Page(t.Context(), closed, 0, 10)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"deaths": 1, "time": 10, "style": 3}, closed.Named(entries[0].Columns))
		require.Equal(t, map[string]int64{"deaths": 2, "time": 20, "style": 4}, closed.Named(entries[1].Columns))
	}
}

package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// endedSeasons replaces the seasons of the window daily of a board by n that are over, an
// hour each, and one that is open. It returns the board as the ledger has it then.
func endedSeasons(t *testing.T, f *ledgertest.Fixture, name string, n int) leaderboard.LiveBoard {
	t.Helper()
	conn := f.Connect(t)
	number := f.Board(t, name).Number
	_, err := conn.Exec(t.Context(), "DELETE FROM window_seasons WHERE board = $1 AND name = 'daily'", number)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `INSERT INTO window_seasons (board, number, name, ordinal, opens_at, closes_at)
		SELECT $1, 100 + i, 'daily', i, date_trunc('hour', now()) - ($2 + 1 - i) * interval '1 hour', date_trunc('hour', now()) - ($2 - i) * interval '1 hour'
		FROM generate_series(1, $2 + 1) i`, number, n)
	require.NoError(t, err)

	catalog, err := f.Ledger.LoadCatalog(t.Context())
	require.NoError(t, err)
	board, err := catalog.Lookup(name)
	require.NoError(t, err)
	return board
}

// Results of many rows are the board in every way to ask, whoever closes the season, and
// also after somebody who was ended half way.
func TestResultsOfManyRows(t *testing.T) {
	f := ledgertest.New(t, server, ledgertest.Boards(t, 1), postgres.Options{})
	const players = 3_210 // three rows and a part
	f.Players(t, players)
	conn := f.Connect(t)

	for _, name := range []string{"speed", "race", "podium", leaderboard.GlobalBoard} {
		board := endedSeasons(t, f, name, 1)
		origin := board.Number
		if name == leaderboard.GlobalBoard {
			origin = f.Board(t, "speed").Number
		}
		// Few scores, so that ties reach over the ends of rows.
		_, err := conn.Exec(t.Context(), `INSERT INTO score_events (id, at, player, score, board, global_season, columns)
			SELECT nextval('event_ids'), s.opens_at + p.number * interval '1 millisecond', p.number, (p.number * 7919) % 11, $2, CASE WHEN $3 THEN 1 END, CASE WHEN $4 THEN ARRAY[p.number % 3] END
			FROM players p, window_seasons s WHERE s.board = $1 AND s.number = 101`, board.Number, origin, name == leaderboard.GlobalBoard, name == "podium")
		require.NoError(t, err)
		season := board.In(101)
		entries, err := f.Ledger.CloseSeason(t.Context(), season)
		require.NoError(t, err)
		require.Equal(t, int64(players), entries)

		_, err = conn.Exec(t.Context(), "UPDATE window_seasons SET closed_at = NULL WHERE board = $1 AND number = 101", board.Number)
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "DELETE FROM result_ranks WHERE board = $1 AND first_rank > 1000", board.Number)
		require.NoError(t, err)
		entries, err = f.Ledger.CloseSeason(t.Context(), season)
		require.NoError(t, err)
		require.Equal(t, int64(players), entries)

		results := f.Ledger.Results()
		var all []leaderboard.RankingEntry
		for offset := int64(0); offset < players; offset += 700 {
			part, total, err := results.Page(t.Context(), season, offset, 700)
			require.NoError(t, err)
			require.Equal(t, int64(players), total)
			all = append(all, part...)
		}
		require.Len(t, all, players)
		var opens time.Time
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT opens_at FROM window_seasons WHERE board = $1 AND number = 101", board.Number).Scan(&opens))
		var better, distinct int64
		for i, e := range all {
			require.Equal(t, (e.Player*7919)%11, e.Score)
			if name == "podium" {
				require.Equal(t, e.Player%3, e.Columns[0])
			}
			if i > 0 {
				before, is := all[i-1], board.Fold()
				order := is.Compare(leaderboard.Standing{Score: before.Score, Columns: before.Columns}, leaderboard.Standing{Score: e.Score, Columns: e.Columns})
				require.True(t, order < 0 || order == 0 && before.Player < e.Player, "place %d of %s", i+1, name)
				if order < 0 {
					better, distinct = int64(i), distinct+1
				}
			}
			ranks := map[leaderboard.Ranks]int64{leaderboard.Ordinal: int64(i + 1), leaderboard.Competition: better + 1, leaderboard.Dense: distinct + 1}
			require.Equal(t, []int64{int64(i + 1), ranks[board.Ranks]}, []int64{e.Place, e.Rank}, "place %d of %s", i+1, name)
			if i%97 == 0 {
				got, err := results.Rank(t.Context(), season, e.Player)
				require.NoError(t, err)
				if board.Ranks == leaderboard.Ordinal {
					better = int64(i)
				}
				require.Equal(t, leaderboard.OwnEntry{RankingEntry: e, Better: better, Total: players}, got)

				closed := leaderboard.Season{Number: 101, ClosedAt: time.Now()}
				reached, err := f.Ledger.ReachedAt(t.Context(), []leaderboard.ReachedQuery{{Board: season, Season: closed, RankingEntry: e}})
				require.NoError(t, err)
				require.Equal(t, time.Duration(e.Player)*time.Millisecond, reached[0].Sub(opens), "place %d of %s", i+1, name)
			}
			if name == leaderboard.GlobalBoard {
				require.NotEqual(t, board.Number, e.Origin)
			} else {
				require.Equal(t, board.Number, e.Origin)
			}
		}
		for score := int64(-1); score <= 11; score++ {
			var better, atLeast int64
			for _, e := range all {
				if board.Order.Better(e.Score, score) {
					better++
				}
				if !board.Order.Better(score, e.Score) {
					atLeast++
				}
			}
			counts, err := results.CountBetter(t.Context(), season, []leaderboard.ScoreBound{{Score: score}, {Score: score, Included: true}})
			require.NoError(t, err)
			require.Equal(t, []int64{better, atLeast}, counts, "%s, score %d", name, score)
		}
		around, err := results.AroundPlayer(t.Context(), season, all[1000].Player, 3, 3)
		require.NoError(t, err)
		require.Equal(t, all[997:1004], around.Entries)
	}
}

// Only as many results stay as the window keeps, of an ordered board without its
// standings, and a season that is gone is known to have been there.
func TestResultsAreKeptAndDropped(t *testing.T) {
	f := ledgertest.New(t, server, ledgertest.Boards(t, 1), postgres.Options{})
	player := f.Players(t, 1)[0]
	conn := f.Connect(t)
	_, err := conn.Exec(t.Context(), "UPDATE windows SET keep = 2")
	require.NoError(t, err)
	coins := endedSeasons(t, f, "coins", 5)
	for number := int32(101); number <= 105; number++ {
		_, err := conn.Exec(t.Context(), `INSERT INTO standings (board, season, player, score, event, origin, fold) VALUES ($1, $2, $3, 5, nextval('event_ids'), $1, 4)`,
			coins.Number, number, player.Number)
		require.NoError(t, err)
		entries, err := f.Ledger.CloseSeason(t.Context(), coins.In(number))
		require.NoError(t, err)
		require.Equal(t, int64(1), entries)
	}

	seasons := func() (list []string) {
		all, err := f.Ledger.Results().Seasons(t.Context(), coins, "daily", 0, 100)
		require.NoError(t, err)
		for _, s := range all {
			list = append(list, fmt.Sprint(s.Ordinal, s.Closed()))
		}
		return list
	}
	require.NoError(t, f.Ledger.DropResults(t.Context()))
	require.Equal(t, []string{"6 false", "5 true", "4 true", "3 true", "2 true", "1 true"}, seasons(), "rankings may have something left of each")
	for number := int32(101); number <= 105; number++ {
		require.NoError(t, f.Ledger.SweepSeason(t.Context(), coins.In(number)))
	}
	require.NoError(t, f.Ledger.DropResults(t.Context()))
	require.Equal(t, []string{"6 false", "5 true", "4 true"}, seasons())

	for table, want := range map[string]int{"result_ranks": 2, "result_players": 2, "standings": 0} {
		var rows int
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table+" WHERE board = $1 AND season > 100", coins.Number).Scan(&rows))
		require.Equal(t, want, rows, table)
	}
	gone, ok, err := f.Ledger.Results().Season(t.Context(), coins, "daily", 3)
	require.NoError(t, err)
	require.Equal(t, []bool{true, true}, []bool{gone.Dropped, ok}, "it was there")
	none, ok, err := f.Ledger.Results().Season(t.Context(), coins, "daily", 7)
	require.NoError(t, err)
	require.Equal(t, []bool{false, false}, []bool{none.Dropped, ok})
}

// What an event counts in is told by its time, also at the very end of a season.
func TestASeasonHasTheEventsOfItsTime(t *testing.T) {
	f := ledgertest.New(t, server, ledgertest.Boards(t, 1), postgres.Options{})
	players := f.Players(t, 4)
	speed := endedSeasons(t, f, "speed", 1)
	season, ok := speed.SeasonAt("daily", time.Now())
	require.True(t, ok)
	ended := speed.Seasons[0]
	require.Equal(t, ended.Closes, season.Opens)

	conn := f.Connect(t)
	for i, at := range []time.Time{ended.Opens.Add(-time.Microsecond), ended.Opens, ended.Closes.Add(-time.Microsecond), ended.Closes} {
		_, err := conn.Exec(t.Context(), "INSERT INTO score_events (id, at, player, score, board) VALUES (nextval('event_ids'), $1, $2, 5, $3)", at, players[i].Number, speed.Number)
		require.NoError(t, err)
	}
	_, err := f.Ledger.CloseSeason(t.Context(), speed.In(ended.Number))
	require.NoError(t, err)
	entries, _, err := f.Ledger.Results().Page(t.Context(), speed.In(ended.Number), 0, 10)
	require.NoError(t, err)
	require.Equal(t, []int64{players[1].Number, players[2].Number}, []int64{entries[0].Player, entries[1].Player})
	require.Len(t, entries, 2)
}

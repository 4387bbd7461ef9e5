package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// history reads a part of a history.
func (g *game) history(token, board, player, query string) (part httpapi.History) {
	g.t.Helper()
	g.do(request{method: "GET", path: fmt.Sprintf("/v1/boards/%s/players/%s/history?%s", board, player, query), token: token}).into(200, &part)
	require.Equal(g.t, board, part.Board)
	require.NotNil(g.t, part.Submissions)
	return part
}

func submitted(part httpapi.History) (scores []int64) {
	for _, s := range part.Submissions {
		scores = append(scores, s.Score)
	}
	return scores
}

func TestHistory(t *testing.T) {
	g := newGame(t, gameOptions{})
	ada, token := g.player("ada")
	_, other := g.player("grace")
	for _, score := range []int64{5, 9, 5, 7, 1} {
		g.submit(token, "race", score)
		g.submit(other, "race", 100)
		g.submit(token, "golf", score) // does not count toward global
	}
	g.submit(token, "", 3)

	// Part by part, by oneself and by others.
	for who, reader := range map[string]string{"me": token, ada: other} {
		first := g.history(reader, "race", who, "page_size=2")
		second := g.history(reader, "race", who, "page_size=2&cursor="+*first.NextCursor)
		third := g.history(reader, "race", who, "page_size=2&cursor="+*second.NextCursor)
		require.Equal(t, [][]int64{{1, 7}, {5, 9}, {5}}, [][]int64{submitted(first), submitted(second), submitted(third)})
		require.Nil(t, third.NextCursor)
		require.Equal(t, []any{ada, "ada", "all"}, []any{first.UserID, first.Username, first.Window})
		require.Nil(t, first.Season)

		// A part is the same when it is asked for again, whatever came since.
		g.submit(token, "race", 2)
		require.Equal(t, second, g.history(reader, "race", who, "page_size=2&cursor="+*first.NextCursor))
		g.sql("DELETE FROM score_events WHERE score = 2")
	}

	all := g.history(token, "race", "me", "")
	require.Len(t, all.Submissions, 5)
	for i, s := range all.Submissions {
		require.Equal(t, "race", s.GameID)
		require.WithinDuration(t, time.Now(), s.SubmittedAt, patience)
		require.True(t, s.SubmittedAt.After(all.Since))
		if i > 0 {
			require.Less(t, s.Event, all.Submissions[i-1].Event)
			require.False(t, s.SubmittedAt.After(all.Submissions[i-1].SubmittedAt))
		}
	}

	global := g.history(token, "global", "me", "")
	require.Equal(t, []int64{3, 1, 7, 5, 9, 5}, submitted(global))
	require.Equal(t, []string{"global", "race"}, []string{global.Submissions[0].GameID, global.Submissions[1].GameID})
	require.Empty(t, g.history(other, "golf", "me", "").Submissions, "no submission is no problem")
}

// What was submitted has the columns of its board, as they were submitted.
func TestHistoryOfColumns(t *testing.T) {
	g := newGame(t, gameOptions{boards: ranksFile})
	_, token := g.player("ada")
	g.play(token, 20, `{"deaths": 3, "time": 61250}`, nil)
	g.play(token, 5, `{"deaths": 0, "time": 9}`, nil)

	past := g.history(token, "match", "me", "").Submissions
	require.Len(t, past, 2)
	require.Equal(t, httpapi.Columns{"deaths": 0, "time": 9}, *past[0].Columns)
	require.Equal(t, httpapi.Columns{"deaths": 3, "time": 61250}, *past[1].Columns)
}

func TestHistoryCursorsAreOfOneHistory(t *testing.T) {
	g := newGame(t, gameOptions{boards: windowsFile})
	g.openSeasons()
	ada, token := g.player("ada")
	_, other := g.player("grace")
	for _, player := range []string{token, other} {
		for score := range int64(3) {
			g.submit(player, "laps", score)
			g.submit(player, "race", score)
		}
	}

	cursor := "page_size=1&cursor=" + *g.history(token, "laps", ada, "page_size=1").NextCursor
	require.Equal(t, []int64{1}, submitted(g.history(other, "laps", ada, cursor)))
	daily := "page_size=1&cursor=" + *g.history(token, "laps", ada, "page_size=1&window=daily").NextCursor
	require.Equal(t, []int64{1}, submitted(g.history(other, "laps", ada, "window=daily&"+daily)))
	walk := g.walk("laps", "", 1).NextCursor
	require.NotNil(t, walk)

	for _, path := range []string{
		"race/players/me/history?" + cursor, "laps/players/me/history?window=daily&" + cursor,
		"laps/players/me/history?" + daily, "laps/players/me/history?window=cup&" + daily,
		"laps/players/me/history?cursor=" + *walk, "laps/players/me/history?cursor=x", "laps/players/me/history?" + cursor + "x",
	} {
		g.do(request{method: "GET", path: "/v1/boards/" + path, token: token}).problem(422, "invalid-request", "cursor")
	}
	g.do(request{method: "GET", path: "/v1/boards/laps/players/me/history?" + cursor, token: other}).problem(422, "invalid-request", "cursor")
	g.do(request{method: "GET", path: "/v1/boards/laps/entries?" + cursor}).problem(422, "invalid-request", "cursor")
	g.do(request{method: "GET", path: "/v1/boards/laps/players/ada/history", token: token}).problem(422, "invalid-request", "player")
	for _, query := range []string{"page_size=0", "page_size=101", "season=1", "window=all&season=1"} {
		field := map[bool]string{true: "page_size", false: "season"}[query[0] == 'p']
		g.do(request{method: "GET", path: "/v1/boards/laps/players/me/history?" + query, token: token}).problem(422, "invalid-request", field)
	}

	// When the season has ended, its history begins again.
	g.endSeason("laps")
	require.Eventually(t, func() bool {
		g.submit(token, "laps", 50)
		return submitted(g.history(token, "laps", "me", "window=daily"))[0] == 50
	}, patience, 10*time.Millisecond)
	g.do(request{method: "GET", path: "/v1/boards/laps/players/" + ada + "/history?window=daily&" + daily, token: token}).problem(410, "walk-ended", "cursor")

	var closed httpapi.History
	require.Eventually(t, func() bool {
		answer := g.do(request{method: "GET", path: "/v1/boards/laps/players/me/history?window=daily&season=1", token: token})
		if answer.status != 200 {
			return false
		}
		answer.into(200, &closed)
		return true
	}, patience, 10*time.Millisecond)
	require.Equal(t, []int64{2, 1, 0}, submitted(closed)[len(closed.Submissions)-3:])
	require.Equal(t, []any{"daily", int32(1)}, []any{closed.Window, *closed.Season})
	require.Equal(t, []int64{1}, submitted(g.history(token, "laps", ada, "season=1&window=daily&"+daily)), "of the closed season, it goes on")
}

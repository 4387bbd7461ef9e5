package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// timeOf reads a reached_at.
func timeOf(t *testing.T, raw json.RawMessage) (at time.Time) {
	t.Helper()
	require.NoError(t, json.Unmarshal(raw, &at), "%s", raw)
	return at
}

// Every call that shows entries says when their scores were reached, if it is asked to.
func TestReachedAt(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, token := g.player("ada")
	for _, score := range []int64{5, 9, 9, 1} {
		g.submit(token, "race", score)
	}
	want := g.history(token, "race", "me", "").Submissions[2].SubmittedAt // the first of the two nines

	read := func(method, path, body string) (entries []json.RawMessage) {
		answer := g.do(request{method: method, path: path, token: token, body: body})
		require.NotContains(t, string(answer.body), "reached_at", path)
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		var list struct {
			httpapi.Entry
			Leaderboard, Entries []httpapi.PageEntry
		}
		g.do(request{method: method, path: path + separator + "include=reached_at", token: token, body: body}).into(200, &list)
		for _, e := range append(list.Leaderboard, list.Entries...) {
			entries = append(entries, e.ReachedAt)
		}
		if list.ReachedAt != nil {
			entries = append(entries, list.ReachedAt)
		}
		return entries
	}
	for method, paths := range map[string][]string{
		"GET": {"/v1/leaderboard/global?game_id=race", "/v1/leaderboard/global", "/v1/leaderboard/my_rank?game_id=race", "/v1/boards/race/entries?page=1",
			"/v1/boards/race/entries", "/v1/boards/race/entries/around?player=me", "/v1/players/me/entries?boards=race,global"},
		"POST": {"/v1/boards/race/entries/list"},
	} {
		for _, path := range paths {
			entries := read(method, path, map[string]string{"POST": list(id)}[method])
			require.NotEmpty(t, entries, path)
			for _, e := range entries {
				require.Equal(t, want, timeOf(t, e), path)
			}
		}
	}

	// A page that is shared is shared with those who ask for the same.
	for _, query := range []string{"", "&include=reached_at", ""} {
		answer := g.do(request{method: "GET", path: "/v1/leaderboard/global?game_id=race" + query})
		require.Equal(t, query != "", strings.Contains(string(answer.body), "reached_at"))
	}

	for _, include := range []string{"columns", "reached_at,x", "reached_at,reached_at", "", ","} {
		for _, path := range []string{"/v1/leaderboard/global", "/v1/boards/race/entries", "/v1/players/me/entries"} {
			g.do(request{method: "GET", path: path + "?include=" + include, token: token}).problem(422, "invalid-request", "include")
		}
	}
}

// Of a closed season the times are kept with its results.
func TestReachedAtInAClosedSeason(t *testing.T) {
	g := newGame(t, gameOptions{boards: windowsFile})
	g.openSeasons()
	g.scored("laps", 50, 60)
	read := func(query string) (times []json.RawMessage) {
		var page httpapi.BoardEntries
		g.get("/v1/boards/laps/entries?page=1&include=reached_at&"+query, &page)
		for _, e := range page.Entries {
			times = append(times, e.ReachedAt)
		}
		return times
	}
	open := read("window=daily")
	require.Len(t, open, 2)
	require.True(t, timeOf(t, open[0]).Before(timeOf(t, open[1])))

	g.endSeason("laps")
	path := "window=daily&season=1"
	require.Eventually(t, func() bool {
		return g.do(request{method: "GET", path: "/v1/boards/laps/entries?page=1&" + path}).status == 200
	}, patience, 10*time.Millisecond)
	g.sql("DELETE FROM score_events")
	closed := read(path)
	require.Equal(t, open, closed)

	g.sql("UPDATE result_ranks SET reached_at = NULL") // as of before there were times
	closed = read(path)
	require.Equal(t, []json.RawMessage{json.RawMessage("null"), json.RawMessage("null")}, closed)
	g.sql("ALTER TABLE result_ranks RENAME COLUMN reached_at TO away")
	closed = read(path)
	require.Equal(t, fmt.Sprint([]json.RawMessage{json.RawMessage("null"), json.RawMessage("null")}), fmt.Sprint(closed), "the page is served all the same")
}

package httpapi_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// windowsFile has boards with windows, beside those of boardsFile.
const windowsFile = `{"attributes": [{"name": "country", "values": ["DE", "FR", "JP"]}], "boards": [
	{"name": "race", "minScore": 0, "maxScore": 1000, "metadata": {}},
	{"name": "laps", "order": "Ascending", "segments": ["country"], "windows": [
		{"name": "daily", "schedule": "daily", "timeZone": "Europe/Berlin"},
		{"name": "cup", "start": "2026-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z"}]},
	{"name": "sprint", "allTime": false, "windows": [{"name": "hourly", "schedule": "0 * * * *", "keep": 3}]}]}`

// endSeason ends the open season of the board's window daily, and waits until its results are
// there.
func (g *game) endSeason(board string) {
	g.t.Helper()
	conn, err := pgx.Connect(g.t.Context(), postgresServer.URL(g.database))
	require.NoError(g.t, err)
	defer conn.Close(context.Background())

	var closing int
	require.Eventually(g.t, func() bool {
		var ends *time.Time
		require.NoError(g.t, conn.QueryRow(context.Background(), "SELECT end_season($1, 'daily', NULL, '-infinity')", board).Scan(&ends))
		return ends != nil
	}, patience, 20*time.Millisecond)
	require.Eventually(g.t, func() bool {
		err := conn.QueryRow(context.Background(), `SELECT count(*) FROM window_seasons s JOIN boards b ON b.number = s.board
			WHERE b.name = $1 AND s.name = 'daily' AND s.closes_at < '2090-01-01' AND s.closes_at < now() + interval '3 seconds' AND s.closed_at IS NULL`, board).Scan(&closing)
		return err == nil && closing == 0
	}, patience, 20*time.Millisecond)
}

// openSeasons lets every first season begin now, and waits for their rankings.
func (g *game) openSeasons() {
	g.t.Helper()
	g.sql("UPDATE window_seasons SET opens_at = now() - interval '1 second' WHERE ordinal = 1")
	require.Eventually(g.t, func() bool {
		catalog := g.service.Catalog()
		for _, b := range catalog.All() {
			for _, w := range b.Windows {
				path := fmt.Sprintf("/v1/boards/%s/entries?page=1&window=%s", b.Name, w.Name)
				if g.do(request{method: "GET", path: path}).status != 200 {
					return false
				}
			}
		}
		return true
	}, patience, 10*time.Millisecond)
}

// dropSeasons has the first season of a window be over, and its results dropped.
func (g *game) dropSeasons(board, window string) {
	g.t.Helper()
	g.sql(`WITH of AS (SELECT number FROM boards WHERE name = $1)
		INSERT INTO window_seasons (board, number, name, ordinal, opens_at, closes_at)
		SELECT of.number, 900, $2, 900, '2090-01-01', '2091-01-01' FROM of`, board, window)
	g.sql("DELETE FROM window_seasons WHERE ordinal < 900 AND name = $2 AND board = (SELECT number FROM boards WHERE name = $1)", board, window)
}

func (g *game) get(path string, into any) response {
	g.t.Helper()
	answer := g.do(request{method: "GET", path: path})
	answer.into(200, into)
	return answer
}

// What a client sees of a window before, at and after the end of its season.
func TestASeasonOfAWindow(t *testing.T) {
	g := newGame(t, gameOptions{boards: windowsFile})
	g.openSeasons()
	ids, tokens := g.scored("laps", 50, 60, 70)

	var board httpapi.Board
	g.get("/v1/boards/laps", &board)
	require.True(t, board.AllTime)
	require.Equal(t, []string{"daily", "cup"}, []string{board.Windows[0].Window, board.Windows[1].Window})
	daily := board.Windows[0]
	require.Equal(t, "daily", *daily.Schedule)
	require.Equal(t, "Europe/Berlin", daily.TimeZone)
	require.Equal(t, int32(1), daily.Season.Season)
	require.Equal(t, "open", daily.Season.State)
	require.Nil(t, daily.LastClosed)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	require.Equal(t, "00:00:00", daily.Season.ClosesAt.In(berlin).Format(time.TimeOnly))
	require.Nil(t, board.Windows[1].Schedule)

	var page httpapi.BoardEntries
	for _, window := range []string{"daily", "cup"} {
		g.get("/v1/boards/laps/entries?page=1&window="+window, &page)
		require.Equal(t, [][2]int64{{1, 50}, {2, 60}, {3, 70}}, scoresOf(page.Entries), window)
		require.Equal(t, []any{window, int32(1)}, []any{page.Window, *page.Season})
	}
	g.get("/v1/boards/laps/entries?page=1&window=all", &page)
	require.Equal(t, "all", page.Window)
	require.Equal(t, int64(3), page.TotalEntries)
	running := *g.walkIn("laps", "window=daily", 2).NextCursor

	g.endSeason("laps")
	g.submit(tokens[70], "laps", 40) // of the next season
	g.get("/v1/boards/laps/entries?page=1&window=daily", &page)
	require.Equal(t, [][2]int64{{1, 40}}, scoresOf(page.Entries))
	require.Equal(t, int32(2), *page.Season)
	g.get("/v1/boards/laps/entries?page=1", &page)
	require.Equal(t, [][2]int64{{1, 40}, {2, 50}, {3, 60}}, scoresOf(page.Entries))

	// The results.
	const closed = "window=daily&season=1"
	answer := g.get("/v1/boards/laps/entries?page=1&"+closed, &page)
	require.Equal(t, [][2]int64{{1, 50}, {2, 60}, {3, 70}}, scoresOf(page.Entries))
	require.Equal(t, "public, max-age=1", answer.header.Get("Cache-Control"))
	again := g.do(request{method: "GET", path: "/v1/boards/laps/entries?page=1&" + closed, header: map[string]string{"If-None-Match": answer.header.Get("ETag")}})
	require.Equal(t, 304, again.status)
	for query, want := range map[string][][2]int64{
		"page=2&page_size=2":          {{3, 70}},
		"page=9":                      nil,
		"from_rank=2":                 {{2, 60}, {3, 70}},
		"min_score=55&max_score=65":   {{2, 60}},
		"max_score=60":                {{1, 50}, {2, 60}},
		"min_score=71":                nil,
		"min_score=-9007199254740991": {{1, 50}, {2, 60}, {3, 70}},
	} {
		g.get("/v1/boards/laps/entries?"+query+"&"+closed, &page)
		require.Equal(t, want, scoresOf(page.Entries), query)
	}

	var around httpapi.EntriesAround
	g.get("/v1/boards/laps/entries/around?before=1&after=0&player="+ids[60]+"&"+closed, &around)
	require.Equal(t, [][2]int64{{1, 50}, {2, 60}}, scoresOf(around.Entries))
	require.Equal(t, []any{int64(2), int64(3)}, []any{around.Rank, around.TotalEntries})
	g.get("/v1/boards/laps/entries/around?before=1&after=1&score=60&"+closed, &around)
	require.Equal(t, [][2]int64{{2, 60}, {3, 70}}, scoresOf(around.Entries))
	require.Equal(t, int64(3), around.Rank)

	fresh, _ := g.player("fresh")
	var listed httpapi.EntryList
	g.do(request{method: "POST", path: "/v1/boards/laps/entries/list?" + closed, token: tokens[50], body: list(fresh, ids[70], ids[50])}).into(200, &listed)
	require.Equal(t, []int64{1, 3}, []int64{listed.Entries[0].Rank, listed.Entries[1].Rank})
	require.Equal(t, fresh, listed.WithoutEntry[0].UserID)
	g.do(request{method: "GET", path: "/v1/boards/laps/entries/around?player=" + fresh + "&" + closed}).problem(404, "no-entry")

	part := g.walkIn("laps", closed, 2)
	require.Nil(t, part.ExpiresAt)
	require.Equal(t, [][2]int64{{1, 50}, {2, 60}}, scoresOf(part.Entries))
	rest := g.walkIn("laps", closed+"&cursor="+*part.NextCursor, 2)
	require.Equal(t, [][2]int64{{3, 70}}, scoresOf(rest.Entries))
	require.Nil(t, rest.NextCursor)
	require.Nil(t, rest.ExpiresAt)
	require.Nil(t, part.PreviousCursor)
	first := g.walkIn("laps", closed+"&cursor="+*rest.PreviousCursor, 2)
	require.Equal(t, part.Entries, first.Entries)
	require.Nil(t, first.PreviousCursor)
	require.Equal(t, rest.Entries, g.walkIn("laps", closed+"&cursor="+*first.NextCursor, 9).Entries)

	var seasons httpapi.SeasonList
	g.get("/v1/boards/laps/seasons?window=daily", &seasons)
	var states []string
	for _, s := range seasons.Seasons {
		states = append(states, fmt.Sprint(s.Season, s.State))
	}
	require.Equal(t, []string{"3announced", "2open", "1closed"}, states)
	require.Equal(t, int64(3), *seasons.Seasons[2].TotalEntries)
	require.Equal(t, seasons.Seasons[1].OpensAt, seasons.Seasons[2].ClosesAt)
	g.get("/v1/boards/laps/seasons?before=2&limit=1", &seasons)
	require.Equal(t, int32(1), seasons.Seasons[0].Season)
	g.get("/v1/boards/laps", &board)
	require.Equal(t, int32(1), board.Windows[0].LastClosed.Season)

	// What there is not.
	for _, query := range []string{"window=daily", closed} {
		g.do(request{method: "GET", path: "/v1/boards/laps/entries?cursor=" + running + "&" + query}).problem(410, "walk-ended", "cursor")
	}
	for _, query := range []string{"", "&window=cup"} {
		g.do(request{method: "GET", path: "/v1/boards/laps/entries?cursor=" + running + query}).problem(422, "invalid-request", "cursor")
	}
	for _, query := range []string{"", "&window=cup"} {
		g.do(request{method: "GET", path: "/v1/boards/laps/entries?cursor=" + *part.NextCursor + query}).problem(422, "invalid-request", "cursor")
	}
	for query, problem := range map[string]struct {
		status      int
		slug, field string
	}{
		"window=weekly":          {404, "no-window", "window"},
		"window=weekly&season=1": {404, "no-window", "window"},
		"window=daily&season=2":  {404, "no-season", "season"},
		"window=daily&season=99": {404, "no-season", "season"},
		"season=1":               {422, "invalid-request", "season"},
		"window=all&season=1":    {422, "invalid-request", "season"},
	} {
		for _, path := range []string{"entries?page=1&", "entries?", "entries/around?score=1&"} {
			g.do(request{method: "GET", path: "/v1/boards/laps/" + path + query}).problem(problem.status, problem.slug, problem.field)
		}
	}
	for _, season := range []string{"0", "-1", "1.5", "2147483648", "x"} {
		g.do(request{method: "GET", path: "/v1/boards/laps/entries?window=daily&season=" + season}).problem(422, "invalid-request", "season")
	}
	g.do(request{method: "GET", path: "/v1/boards/race/seasons"}).problem(404, "no-window", "window")
	g.do(request{method: "GET", path: "/v1/boards/race/seasons?window=all"}).problem(404, "no-window", "window")
	g.do(request{method: "GET", path: "/v1/boards/laps/seasons?window=weekly"}).problem(404, "no-window", "window")
	g.do(request{method: "GET", path: "/v1/boards/laps/seasons?limit=101"}).problem(422, "invalid-request", "limit")
}

// walkIn reads a part of a walk.
func (g *game) walkIn(board, query string, size int) (part httpapi.BoardEntries) {
	g.t.Helper()
	g.get(fmt.Sprintf("/v1/boards/%s/entries?page_size=%d&%s", board, size, query), &part)
	return part
}

// A board without a ranking of all time is what its window is, in the old calls, too, and
// takes nothing between seasons.
func TestABoardOfWindowsOnly(t *testing.T) {
	g := newGame(t, gameOptions{boards: windowsFile})
	id, token := g.player("ada")
	g.sql("UPDATE window_seasons SET opens_at = '2090-01-01', closes_at = '2091-01-01'")
	require.Eventually(t, func() bool { return g.do(request{method: "GET", path: "/v1/boards/sprint/entries"}).status == 404 }, patience, 10*time.Millisecond)
	early := g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("sprint", 5)})
	early.problem(404, "no-season", "game_id")
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=sprint", token: token}).problem(404, "no-season", "window")

	g.openSeasons()
	// The bounds of seasons have just changed: until this server has read them, ranks of
	// what is submitted are told later.
	require.Eventually(t, func() bool {
		receipt := g.submit(token, "sprint", 5)
		return receipt.Rank != nil && *receipt.Rank == 1
	}, patience, 10*time.Millisecond)
	var own httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=sprint", token: token}).into(200, &own)
	require.Equal(t, []any{"hourly", int32(1), int64(1), int64(5)}, []any{*own.Window, *own.Season, own.Rank, own.Score})
	var page httpapi.Leaderboard
	g.get("/v1/leaderboard/global?game_id=sprint", &page)
	require.Equal(t, id, *page.Leaderboard[0].UserID)
	g.do(request{method: "GET", path: "/v1/boards/sprint/entries?window=all"}).problem(404, "no-window", "window")

	var entries httpapi.PlayerEntries
	g.get("/v1/players/"+id+"/entries", &entries)
	require.Equal(t, []string{"global", "sprint"}, []string{entries.Entries[0].Board, entries.Entries[1].Board})
	require.Nil(t, entries.Entries[0].Window)
	require.Equal(t, "hourly", *entries.Entries[1].Window)
	g.get("/v1/players/"+id+"/entries?window=hourly", &entries)
	require.Len(t, entries.Entries, 1)
	g.do(request{method: "GET", path: "/v1/players/" + id + "/entries?window=hourly&boards=race"}).problem(404, "no-window", "window")
}

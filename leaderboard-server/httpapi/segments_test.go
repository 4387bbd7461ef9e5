package httpapi_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// segmentsFile has boards that are split by what players have.
const segmentsFile = `{
	"attributes": [{"name": "country", "values": ["DE", "FR", "JP"]}, {"name": "platform", "pattern": "pc|console-[0-9]"}],
	"boards": [
		{"name": "arena", "segments": ["country", "platform"], "windows": [{"name": "daily", "schedule": "daily"}]},
		{"name": "coins", "scoring": "Sum", "segments": ["country"], "countsTowardGlobal": false},
		{"name": "race"}],
	"global": {"segments": ["country"]}}`

// playerOf registers a player with attributes, and logs in.
func (g *game) playerOf(username string, attributes map[string]string) (id, token string) {
	g.t.Helper()
	var account httpapi.Account
	body := encode(map[string]any{"username": username, "password": password, "attributes": attributes})
	g.do(request{method: "POST", path: "/v1/auth/register", body: body}).into(201, &account)
	var answer httpapi.Token
	g.do(request{method: "POST", path: "/v1/auth/token", body: credentials(username, password)}).into(200, &answer)
	return account.UserID, answer.AccessToken
}

func attributesBody(attributes map[string]string) string {
	return encode(map[string]any{"attributes": attributes})
}

// change gives a player other attributes.
func (g *game) change(token string, attributes map[string]string) {
	g.t.Helper()
	var now httpapi.PlayerAttributes
	g.do(request{method: "PUT", path: "/v1/players/me/attributes", token: token, body: attributesBody(attributes)}).into(200, &now)
	require.Equal(g.t, attributes, now.Attributes)
}

// A submission counts in the segment of the value that the player had when it was made;
// changing the attribute moves nothing that was submitted before.
func TestASubmissionCountsInTheSegmentOfThatTime(t *testing.T) {
	g := newGame(t, gameOptions{boards: segmentsFile})
	_, ada := g.playerOf("ada", map[string]string{"country": "DE", "platform": "pc"})
	_, bob := g.playerOf("bob", map[string]string{"country": "FR"})
	_, eve := g.player("eve") // has no attributes
	for token, score := range map[string]int64{ada: 50, bob: 70, eve: 90} {
		g.submit(token, "arena", score)
		g.submit(token, "coins", score)
	}

	top := func(board, segment string) [][2]int64 {
		t.Helper()
		var page httpapi.BoardEntries
		g.get("/v1/boards/"+board+"/entries?page=1&segment="+segment, &page)
		require.Equal(t, segment, *page.Segment)
		require.Equal(t, int64(len(page.Entries)), page.TotalEntries)
		return scoresOf(page.Entries)
	}
	for _, board := range []string{"arena", "coins", "global"} {
		require.Equal(t, [][2]int64{{1, 50}}, top(board, "country:DE"), board)
		require.Equal(t, [][2]int64{{1, 70}}, top(board, "country:FR"), board)
		require.Empty(t, top(board, "country:JP"), "nobody has it")
	}
	require.Equal(t, [][2]int64{{1, 50}}, top("arena", "platform:pc"))
	require.Empty(t, top("arena", "platform:console-1"))

	g.change(ada, map[string]string{"country": "FR"})
	require.Equal(t, [][2]int64{{1, 50}}, top("arena", "country:DE"), "it stays")
	require.Equal(t, [][2]int64{{1, 70}}, top("arena", "country:FR"))
	g.submit(ada, "arena", 40)
	g.submit(ada, "coins", 30)
	require.Equal(t, [][2]int64{{1, 50}}, top("arena", "country:DE"))
	require.Equal(t, [][2]int64{{1, 70}, {2, 40}}, top("arena", "country:FR"))
	require.Equal(t, [][2]int64{{1, 50}}, top("coins", "country:DE"))
	require.Equal(t, [][2]int64{{1, 70}, {2, 30}}, top("coins", "country:FR"), "a sum of what was submitted there")
	require.Equal(t, [][2]int64{{1, 50}}, top("arena", "platform:pc"), "she has no platform now")
	require.Equal(t, [][2]int64{{1, 70}, {2, 40}}, top("global", "country:FR"))

	var now httpapi.PlayerAttributes
	g.do(request{method: "GET", path: "/v1/players/me/attributes", token: ada}).into(200, &now)
	require.Equal(t, map[string]string{"country": "FR"}, now.Attributes)
}

// All ways to ask for a part of a board take a segment.
func TestEveryQueryTakesASegment(t *testing.T) {
	g := newGame(t, gameOptions{boards: segmentsFile})
	g.openSeasons()
	ids, tokens := make([]string, 6), make([]string, 6)
	for i := range ids {
		country := []string{"DE", "FR"}[i%2]
		ids[i], tokens[i] = g.playerOf("player"+strconv.Itoa(i), map[string]string{"country": country, "platform": "pc"})
		g.submit(tokens[i], "arena", int64(10*i))
	}
	const german = "segment=country:DE" // 40, 20 and 0

	for _, window := range []string{"", "&window=daily"} {
		for query, want := range map[string][][2]int64{
			"page=1":                      {{1, 40}, {2, 20}, {3, 0}},
			"page=2&page_size=2":          {{3, 0}},
			"from_rank=2":                 {{2, 20}, {3, 0}},
			"min_score=10&max_score=30":   {{2, 20}},
			"":                            {{1, 40}, {2, 20}, {3, 0}},
			"min_score=41":                nil,
			"min_score=0&page_size=1":     {{1, 40}},
			"max_score=0&page_size=1":     {{3, 0}},
			"from_rank=3&page_size=1":     {{3, 0}},
			"from_rank=3&page_size=1&_=1": {{3, 0}},
		} {
			var page httpapi.BoardEntries
			g.get("/v1/boards/arena/entries?"+query+"&"+german+window, &page)
			require.Equal(t, want, scoresOf(page.Entries), query+window)
		}

		var around httpapi.EntriesAround
		g.get("/v1/boards/arena/entries/around?before=1&after=1&player="+ids[2]+"&"+german+window, &around)
		require.Equal(t, [][2]int64{{1, 40}, {2, 20}, {3, 0}}, scoresOf(around.Entries))
		require.Equal(t, []any{int64(2), int64(3), "country:DE"}, []any{around.Rank, around.TotalEntries, *around.Segment})
		g.get("/v1/boards/arena/entries/around?before=1&after=0&score=30&"+german+window, &around)
		require.Equal(t, int64(2), around.Rank)
		g.do(request{method: "GET", path: "/v1/boards/arena/entries/around?player=" + ids[1] + "&" + german + window}).problem(404, "no-entry")

		var listed httpapi.EntryList
		g.do(request{method: "POST", path: "/v1/boards/arena/entries/list?" + german + window, token: tokens[0], body: list(ids...)}).into(200, &listed)
		require.Len(t, listed.Entries, 3)
		require.Len(t, listed.WithoutEntry, 3)
		require.Equal(t, "country:DE", *listed.Segment)

		// With a token, one's own.
		var own httpapi.BoardEntries
		answer := g.do(request{method: "GET", path: "/v1/boards/arena/entries?page=1&segment=country" + window, token: tokens[1]})
		answer.into(200, &own)
		require.Equal(t, "country:FR", *own.Segment)
		require.Equal(t, [][2]int64{{1, 50}, {2, 30}, {3, 10}}, scoresOf(own.Entries))
		require.Equal(t, "no-store", answer.header.Get("Cache-Control"))
		g.get("/v1/players/"+ids[3]+"/entries?boards=arena&"+"segment=country:FR"+window, &httpapi.PlayerEntries{})
	}

	// Own ranks, within and among all.
	var entries httpapi.PlayerEntries
	g.do(request{method: "GET", path: "/v1/players/me/entries?include=segments,reached_at", token: tokens[2]}).into(200, &entries)
	require.Equal(t, []string{"global", "arena"}, []string{entries.Entries[0].Board, entries.Entries[1].Board})
	arena := entries.Entries[1]
	require.Equal(t, []any{int64(4), int64(6)}, []any{arena.Rank, arena.TotalEntries})
	require.Equal(t, []httpapi.SegmentRank{{Attribute: "country", Value: "DE", Rank: 2, TotalEntries: 3}, {Attribute: "platform", Value: "pc", Rank: 4, TotalEntries: 6}}, *arena.Segments)
	require.Equal(t, []httpapi.SegmentRank{{Attribute: "country", Value: "DE", Rank: 2, TotalEntries: 3}}, *entries.Entries[0].Segments)
	require.NotEqual(t, "null", string(arena.ReachedAt))
	var mine httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=arena&include=segments", token: tokens[2]}).into(200, &mine)
	require.Equal(t, *arena.Segments, *mine.Segments)
	g.do(request{method: "GET", path: "/v1/players/me/entries?segment=country", token: tokens[2]}).into(200, &entries)
	require.Len(t, entries.Entries, 2, "race is not split")
	require.Equal(t, []any{int64(2), int64(3), "country:DE"}, []any{entries.Entries[1].Rank, entries.Entries[1].TotalEntries, *entries.Entries[1].Segment})

	// What a player submitted there.
	g.change(tokens[2], map[string]string{"country": "FR"})
	g.submit(tokens[2], "arena", 21)
	for segment, want := range map[string][]int64{"": {21, 20}, "&segment=country:DE": {20}, "&segment=country:FR": {21}, "&segment=country": {21}, "&segment=country:JP": {}} {
		for _, of := range []string{"arena", "global"} {
			var past httpapi.History
			g.do(request{method: "GET", path: "/v1/boards/" + of + "/players/me/history?page_size=5" + segment, token: tokens[2]}).into(200, &past)
			scores := []int64{}
			for _, s := range past.Submissions {
				scores = append(scores, s.Score)
			}
			require.Equal(t, want, scores, of+segment)
		}
	}
}

// Cursors are of their segment, as pages in caches are.
func TestCursorsAreOfTheirSegment(t *testing.T) {
	g := newGame(t, gameOptions{boards: segmentsFile})
	var token string
	for i := range 4 {
		_, token = g.playerOf("player"+strconv.Itoa(i), map[string]string{"country": "DE", "platform": "pc"})
		g.submit(token, "arena", int64(i))
		g.submit(token, "arena", int64(i))
	}

	part := g.walkIn("arena", "segment=country:DE", 3)
	for query, problem := range map[string]int{"segment=country:DE": 200, "segment=platform:pc": 422, "segment=country:FR": 422, "": 422} {
		answer := g.do(request{method: "GET", path: "/v1/boards/arena/entries?page_size=3&cursor=" + *part.NextCursor + "&" + query})
		require.Equal(t, problem, answer.status, query)
		if problem == 422 {
			answer.problem(422, "invalid-request", "cursor")
		}
	}
	whole := g.walkIn("arena", "", 3)
	g.do(request{method: "GET", path: "/v1/boards/arena/entries?segment=country:DE&cursor=" + *whole.NextCursor}).problem(422, "invalid-request", "cursor")

	var past httpapi.History
	g.do(request{method: "GET", path: "/v1/boards/arena/players/me/history?page_size=1&segment=country:DE", token: token}).into(200, &past)
	for query, status := range map[string]int{"&segment=country:DE": 200, "&segment=platform:pc": 422, "": 422} {
		require.Equal(t, status, g.do(request{method: "GET", path: "/v1/boards/arena/players/me/history?page_size=1&cursor=" + *past.NextCursor + query, token: token}).status, query)
	}

	tags := make(map[string]bool)
	for _, query := range []string{"", "&segment=country:DE", "&segment=platform:pc"} { // the same entries
		answer := g.do(request{method: "GET", path: "/v1/boards/arena/entries?page=1" + query})
		require.Equal(t, 200, answer.status)
		tags[answer.header.Get("ETag")] = true
	}
	require.Len(t, tags, 3)
}

// A closed season has results in its segments, whatever players are later.
func TestAClosedSeasonKeepsItsSegments(t *testing.T) {
	g := newGame(t, gameOptions{boards: segmentsFile})
	g.openSeasons()
	id, token := g.playerOf("ada", map[string]string{"country": "DE"})
	_, other := g.playerOf("bob", map[string]string{"country": "DE"})
	g.submit(token, "arena", 5)
	g.submit(other, "arena", 7)
	running := g.walkIn("arena", "window=daily&segment=country:DE", 1)
	g.endSeason("arena")
	g.change(token, map[string]string{"country": "FR"})

	const closed = "window=daily&season=1&segment=country:DE"
	var page httpapi.BoardEntries
	answer := g.get("/v1/boards/arena/entries?page=1&"+closed, &page)
	require.Equal(t, [][2]int64{{1, 7}, {2, 5}}, scoresOf(page.Entries))
	require.Equal(t, int64(2), page.TotalEntries)
	require.Equal(t, "public, max-age=1", answer.header.Get("Cache-Control"))
	g.get("/v1/boards/arena/entries?page=1&include=reached_at&"+closed, &page)
	require.NotEqual(t, "null", string(page.Entries[0].ReachedAt))

	var around httpapi.EntriesAround
	g.get("/v1/boards/arena/entries/around?player="+id+"&"+closed, &around)
	require.Equal(t, []int64{2, 2}, []int64{around.Rank, around.TotalEntries})
	part := g.walkIn("arena", closed, 1)
	rest := g.walkIn("arena", closed+"&cursor="+*part.NextCursor, 1)
	require.Equal(t, [][2]int64{{2, 5}}, scoresOf(rest.Entries))
	g.do(request{method: "GET", path: "/v1/boards/arena/entries?cursor=" + *running.NextCursor + "&window=daily&segment=country:DE"}).problem(410, "walk-ended", "cursor")
	g.get("/v1/boards/arena/entries?page=1&window=daily&season=1&segment=country:FR", &page)
	require.Empty(t, page.Entries)
	require.Zero(t, page.TotalEntries)
	g.get("/v1/boards/arena/entries?page=1&window=daily&segment=country:DE", &page)
	require.Empty(t, page.Entries, "the next season begins empty")
}

// What is wrong is refused with what there is.
func TestSegmentsAndAttributesThatThereAreNot(t *testing.T) {
	g := newGame(t, gameOptions{boards: segmentsFile})
	_, token := g.player("ada")

	const entries = "/v1/boards/arena/entries?page=1&segment="
	p := g.do(request{method: "GET", path: entries + "region:EU"}).problem(404, "no-segment", "segment")
	require.Contains(t, p.Detail, "it has country, platform")
	p = g.do(request{method: "GET", path: entries + "country:XX"}).problem(404, "no-segment", "segment")
	require.Contains(t, p.Detail, "it has DE, FR, JP")
	p = g.do(request{method: "GET", path: entries + "platform:amiga"}).problem(404, "no-segment", "segment")
	require.Contains(t, p.Detail, "pc|console-[0-9]")
	g.do(request{method: "GET", path: entries + "country"}).problem(401, "unauthenticated")
	g.do(request{method: "GET", path: entries + "country", token: token}).problem(404, "no-value", "segment")
	for _, malformed := range []string{"country:", ":DE", "%00"} {
		answer := g.do(request{method: "GET", path: entries + malformed})
		require.Contains(t, []int{401, 422}, answer.status, malformed)
	}
	g.do(request{method: "GET", path: "/v1/boards/race/entries?segment=country:DE"}).problem(404, "no-segment", "segment")
	g.do(request{method: "GET", path: "/v1/players/me/entries?boards=arena,race&segment=country:DE", token: token}).problem(404, "no-segment", "segment")
	g.do(request{method: "GET", path: "/v1/players/me/entries?segment=region:EU", token: token}).problem(404, "no-segment", "segment")

	for body, field := range map[string]string{
		`{"attributes": {"region": "EU"}}`:                "attributes.region",
		`{"attributes": {"country": "XX"}}`:               "attributes.country",
		`{"attributes": {"country": "de"}}`:               "attributes.country",
		`{"attributes": {"platform": "console-1 "}}`:      "attributes.platform",
		`{"attributes": {"platform": "console-11"}}`:      "attributes.platform",
		`{"attributes": {"country": 49}}`:                 "attributes.country",
		`{"attributes": ["DE"]}`:                          "attributes",
		`{"attributes": null}`:                            "attributes",
		`{"attributes": {"country":"DE","country":"FR"}}`: "attributes",
		`{"country": "DE", "attributes": {}}`:             "country",
	} {
		g.do(request{method: "PUT", path: "/v1/players/me/attributes", token: token, body: body}).problem(422, "invalid-request", field)
	}
	p = g.do(request{method: "PUT", path: "/v1/players/me/attributes", token: token, body: `{"attributes": {"region": "EU"}}`}).problem(422, "invalid-request", "attributes.region")
	require.Contains(t, p.Detail, "this game has country, platform")
	g.do(request{method: "POST", path: "/v1/auth/register", body: `{"username": "bob", "password": "` + password + `", "attributes": {"country": "XX"}}`}).problem(422, "invalid-request", "attributes.country")
	g.playerOf("bob", map[string]string{"country": "DE"}) // the name was not taken
	g.change(token, map[string]string{"country": "JP"})
	g.change(token, map[string]string{})

	var board httpapi.Board
	g.get("/v1/boards/arena", &board)
	require.Equal(t, []httpapi.Segment{{Attribute: "country", Values: &[]string{"DE", "FR", "JP"}}, {Attribute: "platform", Pattern: board.Segments[1].Pattern}}, board.Segments)
	require.Equal(t, "pc|console-[0-9]", *board.Segments[1].Pattern)
	g.get("/v1/boards/race", &board)
	require.Empty(t, board.Segments)

	answer := g.do(request{method: "DELETE", path: "/v1/players/me/attributes"})
	answer.problem(405, "method-not-allowed")
	require.Equal(t, "GET, HEAD, PUT", answer.header.Get("Allow"))
}

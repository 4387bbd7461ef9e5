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

// metadataFile has boards of every scoring that take metadata, and some that take none.
const metadataFile = `{"global": {}, "boards": [
	{"name": "race", "metadata": {"maxBytes": 100, "schema": {"required": ["car"], "additionalProperties": false, "properties": {
		"car": {"type": "string"}, "wheels": {"type": "array", "items": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 10}}}}}}}},
	{"name": "best", "metadata": {}, "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "first", "scoring": "First", "metadata": {}},
	{"name": "latest", "scoring": "Latest", "metadata": {}, "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "sum", "scoring": "Sum", "metadata": {}},
	{"name": "count", "scoring": "Count", "metadata": {}},
	{"name": "golf", "order": "Ascending"}]}`

// describe submits a score with metadata.
func (g *game) describe(token, board string, score int64, metadata string, header map[string]string) response {
	return g.do(request{method: "POST", path: "/v1/scores/submit", token: token, header: header,
		body: fmt.Sprintf(`{"game_id": %q, "score": %d, "metadata": %s}`, board, score, metadata)})
}

// metadataIn reads the metadata of the entries of an answer, and "absent" where there is none.
func metadataIn(t *testing.T, answer response) (list []string) {
	t.Helper()
	var body struct {
		Metadata                          json.RawMessage
		Leaderboard, Entries, Submissions []struct{ Metadata json.RawMessage }
	}
	answer.into(200, &body)
	for _, e := range append(append(body.Leaderboard, body.Entries...), body.Submissions...) {
		list = append(list, string(e.Metadata))
	}
	if body.Metadata != nil {
		list = append(list, string(body.Metadata))
	}
	return list
}

// Every call that shows entries shows the metadata of their submissions, if it is asked to:
// what was sent, without whitespace.
func TestMetadata(t *testing.T) {
	g := newGame(t, gameOptions{boards: metadataFile})
	id, token := g.player("ada")
	sent := "{ \"car\" : \"<gt> & \\u00e9\\/\u2028\",\n \"wheels\": [ {\"size\": 1.50e1}, {} ] }"
	want := "{\"car\":\"<gt> & \\u00e9\\/\u2028\",\"wheels\":[{\"size\":1.50e1},{}]}"
	require.Equal(t, 200, g.describe(token, "race", 9, sent, nil).status)
	require.Equal(t, 200, g.describe(token, "race", 5, `{"car":"other"}`, nil).status)

	for method, paths := range map[string][]string{
		"GET": {"/v1/leaderboard/global?game_id=race", "/v1/leaderboard/global", "/v1/leaderboard/my_rank?game_id=race", "/v1/boards/race/entries?page=1",
			"/v1/boards/race/entries", "/v1/boards/race/entries/around?player=me", "/v1/players/me/entries?boards=race,global"},
		"POST": {"/v1/boards/race/entries/list"},
	} {
		for _, path := range paths {
			r := request{method: method, path: path, token: token, body: map[string]string{"POST": list(id)}[method]}
			require.NotContains(t, string(g.do(r).body), "metadata", path)
			separator := "?"
			if strings.Contains(path, "?") {
				separator = "&"
			}
			for _, include := range []string{"metadata", "metadata,reached_at"} {
				r.path = path + separator + "include=" + include
				answer := g.do(r)
				require.NotEmpty(t, metadataIn(t, answer), path)
				for _, metadata := range metadataIn(t, answer) {
					require.Equal(t, want, metadata, path)
				}
				require.Equal(t, strings.Contains(include, "reached_at"), strings.Contains(string(answer.body), "reached_at"))
			}
		}
	}
	require.Equal(t, []string{`{"car":"other"}`, want}, metadataIn(t, g.do(request{method: "GET", path: "/v1/boards/race/players/me/history?include=metadata", token: token})))
	require.NotContains(t, string(g.do(request{method: "GET", path: "/v1/boards/race/players/me/history", token: token}).body), "metadata")
	g.do(request{method: "GET", path: "/v1/boards/race/players/me/history?include=reached_at", token: token}).problem(422, "invalid-request", "include")

	// A page that is shared is shared with those who ask for the same.
	for _, query := range []string{"", "&include=metadata", "&include=reached_at", ""} {
		answer := g.do(request{method: "GET", path: "/v1/leaderboard/global?game_id=race" + query})
		require.Equal(t, query == "&include=metadata", strings.Contains(string(answer.body), "metadata"))
	}

	// Where there is none it is null, as on a board that takes none.
	g.submit(token, "golf", 1)
	require.Equal(t, []string{"null"}, metadataIn(t, g.do(request{method: "GET", path: "/v1/boards/golf/entries?include=metadata"})))
	var board httpapi.Board
	g.do(request{method: "GET", path: "/v1/boards/race"}).into(200, &board)
	require.Equal(t, 100, board.MaxMetadataBytes)
	g.do(request{method: "GET", path: "/v1/boards/golf"}).into(200, &board)
	require.Zero(t, board.MaxMetadataBytes)

	// The page is served all the same where the ledger cannot say.
	g.sql("ALTER TABLE event_metadata RENAME TO away")
	require.Equal(t, []string{"null"}, metadataIn(t, g.do(request{method: "GET", path: "/v1/boards/race/entries?page=1&include=metadata", token: token})))
}

// The metadata of an entry is that of the submission that it goes by.
func TestMetadataIsOfTheSubmissionThatTheEntryGoesBy(t *testing.T) {
	g := newGame(t, gameOptions{boards: metadataFile})
	_, token := g.player("ada")
	for _, c := range []struct {
		board  string
		scores []int64
		of     int // which of the submissions
	}{
		{"best", []int64{5, 9, 9, 1}, 1}, {"first", []int64{5, 9}, 0}, {"latest", []int64{9, 5, 5}, 1}, {"sum", []int64{5, 3, 0}, 1}, {"count", []int64{5, 5, 5}, 2},
	} {
		for i, score := range c.scores {
			require.Equal(t, 200, g.describe(token, c.board, score, fmt.Sprintf(`{"n":%d}`, i), nil).status)
		}
		got := metadataIn(t, g.do(request{method: "GET", path: "/v1/boards/" + c.board + "/entries?include=metadata", token: token}))
		require.Equal(t, []string{fmt.Sprintf(`{"n":%d}`, c.of)}, got, c.board)
	}

	// One without metadata takes that of before with it.
	g.submit(token, "best", 10)
	require.Equal(t, []string{"null"}, metadataIn(t, g.do(request{method: "GET", path: "/v1/boards/best/entries?include=metadata", token: token})))
}

func TestBadMetadata(t *testing.T) {
	g := newGame(t, gameOptions{boards: metadataFile})
	_, token := g.player("ada")
	before := g.written()

	for _, c := range []struct{ board, metadata, field, message string }{
		{"best", `[]`, "metadata", "metadata must be a JSON object"},
		{"best", `"x"`, "metadata", "metadata must be a JSON object"},
		{"best", `{"a":"` + strings.Repeat("x", 2048) + `"}`, "metadata", "metadata has 2056 bytes without whitespace: at most 2048 are taken"},
		{"race", `{"car":"` + strings.Repeat("x", 100) + `"}`, "metadata", "metadata has 110 bytes without whitespace: board race takes at most 100"},
		{"best", strings.Repeat(`{"a":`, 8) + `{}` + strings.Repeat("}", 8), "metadata.a.a.a.a.a.a.a.a", "is nested too deep: at most 8"},
		{"best", strings.Repeat(`{"a":`, 9000) + `{}` + strings.Repeat("}", 9000), "metadata", "bytes without whitespace"},
		{"best", `{"a":1,"b":[{"c":1,"c":1}]}`, "metadata.b[0].c", "metadata.b[0].c is there twice: write each name of an object once"},
		{"best", `{"a":1,"\u0061":1}`, "metadata.a", "is there twice"},
		{"best", `{"a":"\ud800"}`, "metadata.a", "not valid Unicode"},
		{"best", `{"a":1e400}`, "metadata.a", "an exponent beyond 308"},
		{"race", `{"wheels":[]}`, "metadata", "metadata is not as the board's schema wants: missing property 'car'"},
		{"race", `{"car":7}`, "metadata.car", "metadata.car is not as the board's schema wants: got number, want string"},
		{"race", `{"car":"gt","wheels":[{"size":10},{"size":9}]}`, "metadata.wheels[1].size", "minimum: got 9, want 10"},
		{"race", `{"car":"gt","color":"red"}`, "metadata", "additional properties 'color' not allowed"},
		{"golf", `{}`, "metadata", "board golf takes no metadata: leave it out"},
		{"global", `{}`, "metadata", "board global takes no metadata: leave it out"},
	} {
		p := g.describe(token, c.board, 1, c.metadata, nil).problem(422, "invalid-request", c.field)
		require.Contains(t, p.Detail, c.message, c.metadata)
	}
	g.describe(token, "best", 1, "{\"a\":\"\xff\"}", nil).problem(400, "malformed-request")
	g.describe(token, "best", 1, `{"a":}`, nil).problem(400, "malformed-request")
	// What is wrong besides is told, too.
	g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: `{"game_id": 1, "score": 1.5, "metadata": []}`}).problem(422, "invalid-request", "game_id", "metadata", "score")
	require.Equal(t, before, g.written())
	require.Zero(t, g.count("event_metadata"))

	for _, none := range []string{"null", " null "} {
		require.Equal(t, 200, g.describe(token, "golf", 1, none, nil).status)
	}
	require.Zero(t, g.count("event_metadata"))
}

// A key stands for the metadata, too.
func TestRepeatedMetadata(t *testing.T) {
	g := newGame(t, gameOptions{boards: metadataFile})
	_, token := g.player("ada")
	key := map[string]string{"Idempotency-Key": "one"}

	var receipt httpapi.Receipt
	g.describe(token, "best", 5, `{"a":1,"b":2}`, key).into(200, &receipt)
	g.describe(token, "best", 5, ` { "a" : 1 , "b" : 2 } `, key).into(200, &receipt)
	require.True(t, receipt.Replayed)
	for _, other := range []string{`{"a":1.0,"b":2}`, `{"b":2,"a":1}`, `{}`, `null`} {
		g.describe(token, "best", 5, other, key).problem(409, "idempotency-key-reused", "Idempotency-Key")
	}
	require.Equal(t, 1, g.count("event_metadata"))

	// What a board has taken is a repetition of it also after a change of the board.
	g.sql("UPDATE boards SET max_metadata = 1")
	require.Eventually(t, func() bool { return g.describe(token, "best", 5, `{"a":2}`, nil).status == 422 }, patience, 10*time.Millisecond)
	g.describe(token, "best", 5, `{"a":1,"b":2}`, key).into(200, &receipt)
	require.True(t, receipt.Replayed)
}

// Of a closed season the metadata is that of its results.
func TestMetadataOfAClosedSeason(t *testing.T) {
	g := newGame(t, gameOptions{boards: metadataFile})
	g.openSeasons()
	_, token := g.player("ada")
	for _, board := range []string{"best", "latest"} {
		require.Equal(t, 200, g.describe(token, board, 5, `{"of":"the season"}`, nil).status)
		read := func(query string) []string {
			return metadataIn(t, g.do(request{method: "GET", path: "/v1/boards/" + board + "/entries?include=metadata&" + query}))
		}
		require.Equal(t, []string{`{"of":"the season"}`}, read("window=daily&page=1"))

		g.endSeason(board)
		require.Equal(t, 200, g.describe(token, board, 9, `{"of":"the next one"}`, nil).status)
		require.Eventually(t, func() bool {
			return g.do(request{method: "GET", path: "/v1/boards/" + board + "/entries?page=1&window=daily&season=1"}).status == 200
		}, patience, 10*time.Millisecond)
		require.Equal(t, []string{`{"of":"the season"}`}, read("window=daily&season=1&page=1"))
		require.Equal(t, []string{`{"of":"the next one"}`}, read("window=daily&page=1"))
		require.Equal(t, []string{`{"of":"the next one"}`}, read("page=1"))
	}
}

// Long answers take a bounded part of the memory, however slowly they are read.
func TestLongAnswersAreBounded(t *testing.T) {
	g := newGame(t, gameOptions{boards: metadataFile})
	_, token := g.player("ada")
	for i := range 60 {
		require.Equal(t, 200, g.describe(token, "best", int64(i), `{"a":"`+strings.Repeat("x", 2000)+`"}`, nil).status)
	}

	options := g.options
	options.HTTP.BodyBudget = 100 << 10
	api, err := httpapi.New(options)
	require.NoError(t, err)
	server := g.serveAPI(api)
	read := func(query string) response {
		return g.do(request{method: "GET", path: "/v1/boards/best/players/me/history?page_size=" + query, token: token, server: server})
	}
	require.NotEmpty(t, read("60&include=metadata").problem(503, "busy").Detail)
	require.Equal(t, 200, read("30&include=metadata").status)
	require.Equal(t, 200, read("60").status)
	require.Eventually(t, func() bool { return api.BodyBytes() == 0 }, patience, time.Millisecond)
}

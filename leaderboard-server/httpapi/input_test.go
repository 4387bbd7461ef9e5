package httpapi_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// written counts what the ledger holds.
func (g *game) written() string {
	var counts strings.Builder
	for _, table := range []string{"players", "score_events", "standings", "idempotency_keys"} {
		fmt.Fprintf(&counts, "%s %d, ", table, g.count(table))
	}
	return counts.String()
}

// Whatever is wrong with a body is said by name, and nothing is written.
func TestBadBodies(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	g.player("Zoë")
	before := g.written()
	account := credentials
	const register, login, submit = "/v1/auth/register", "/v1/auth/token", "/v1/scores/submit"

	for _, c := range []struct {
		name, path, body string
		status           int
		slug             string
		fields           []string
	}{
		{"no JSON", submit, "hello", 400, "malformed-request", nil},
		{"empty object cut", submit, `{"score":`, 400, "malformed-request", nil},
		{"an array", submit, `[1]`, 400, "malformed-request", nil},
		{"a number", submit, `1`, 400, "malformed-request", nil},
		{"null", submit, `null`, 400, "malformed-request", nil},
		{"trailing data", submit, `{"score":1}{}`, 400, "malformed-request", nil},
		{"trailing comma", submit, `{"score":1,}`, 400, "malformed-request", nil},
		{"single quotes", submit, `{'score':1}`, 400, "malformed-request", nil},
		{"comment", submit, `{"score":1/**/}`, 400, "malformed-request", nil},
		{"duplicate field", submit, `{"score":1,"score":2}`, 400, "malformed-request", []string{"score"}},
		{"duplicate by escape", submit, `{"score":1,"\u0073core":2}`, 400, "malformed-request", []string{"score"}},
		{"invalid UTF-8", submit, "{\"score\":1,\"game_id\":\"\xff\xfe\"}", 400, "malformed-request", nil},
		{"two byte order marks", submit, "\ufeff\ufeff{\"score\":1}", 400, "malformed-request", nil},
		{"NaN", submit, `{"score":NaN}`, 400, "malformed-request", nil},
		{"infinity", submit, `{"score":Infinity}`, 400, "malformed-request", nil},
		{"leading zero", submit, `{"score":01}`, 400, "malformed-request", nil},
		{"plus sign", submit, `{"score":+1}`, 400, "malformed-request", nil},
		{"control character", submit, "{\"score\":1,\"game_id\":\"a\nb\"}", 400, "malformed-request", nil},
		{"deep", submit, strings.Repeat(`{"a":`, 12000), 400, "malformed-request", nil},

		{"no score", submit, `{}`, 422, "invalid-request", []string{"score"}},
		{"null score", submit, `{"score":null}`, 422, "invalid-request", []string{"score"}},
		{"text score", submit, `{"score":"1"}`, 422, "invalid-request", []string{"score"}},
		{"boolean score", submit, `{"score":true}`, 422, "invalid-request", []string{"score"}},
		{"list score", submit, `{"score":[1]}`, 422, "invalid-request", []string{"score"}},
		{"object score", submit, `{"score":{}}`, 422, "invalid-request", []string{"score"}},
		{"fraction", submit, `{"score":1.5}`, 422, "invalid-request", []string{"score"}},
		{"fraction by its exponent", submit, `{"score":15e-1}`, 422, "invalid-request", []string{"score"}},
		{"above 2^53-1 by its exponent", submit, `{"score":1e16}`, 422, "invalid-request", []string{"score"}},
		{"above 2^53-1", submit, `{"score":9007199254740992}`, 422, "invalid-request", []string{"score"}},
		{"below -(2^53-1)", submit, `{"score":-9007199254740992}`, 422, "invalid-request", []string{"score"}},
		{"beyond int64", submit, `{"score":99999999999999999999}`, 422, "invalid-request", []string{"score"}},
		{"game_id number", submit, `{"score":1,"game_id":7}`, 422, "invalid-request", []string{"game_id"}},
		{"game_id empty", submit, `{"score":1,"game_id":""}`, 422, "invalid-request", []string{"game_id"}},
		{"unknown game_id", submit, `{"score":1,"game_id":"chess"}`, 404, "no-board", []string{"game_id"}},
		{"game_id by another case", submit, `{"score":1,"game_id":"RACE"}`, 404, "no-board", []string{"game_id"}},
		{"unknown field", submit, `{"score":1,"player":"eve"}`, 422, "invalid-request", []string{"player"}},
		{"field by another case", submit, `{"Score":1}`, 422, "invalid-request", []string{"Score", "score"}},
		{"several at once", submit, `{"score":"x","game_id":1,"z":2}`, 422, "invalid-request", []string{"game_id", "score", "z"}},
		{"below the board's bound", submit, `{"score":-1,"game_id":"race"}`, 422, "score-out-of-range", []string{"score"}},
		{"above the board's bound", submit, `{"score":1001,"game_id":"race"}`, 422, "score-out-of-range", []string{"score"}},

		{"username missing", register, `{"password":"correct horse"}`, 422, "invalid-request", []string{"username"}},
		{"both missing", register, `{}`, 422, "invalid-request", []string{"password", "username"}},
		{"username null", register, `{"username":null,"password":"correct horse"}`, 422, "invalid-request", []string{"username"}},
		{"username short", register, account("ab", password), 422, "invalid-request", []string{"username"}},
		{"username long", register, account(strings.Repeat("a", 33), password), 422, "invalid-request", []string{"username"}},
		{"username very long", register, account(strings.Repeat("a", 5000), password), 422, "invalid-request", []string{"username"}},
		{"username empty", register, account("", password), 422, "invalid-request", []string{"username"}},
		{"username NUL", register, account("ad\x00a", password), 422, "invalid-request", []string{"username"}},
		{"username newline", register, account("ad\na", password), 422, "invalid-request", []string{"username"}},
		{"username bell", register, account("ad\aa", password), 422, "invalid-request", []string{"username"}},
		{"username space", register, account("ada lovelace", password), 422, "invalid-request", []string{"username"}},
		{"username emoji", register, account("ada🎲", password), 422, "invalid-request", []string{"username"}},
		{"username bidi", register, account("ada\u202eb", password), 422, "invalid-request", []string{"username"}},
		{"username zero width", register, account("ad\u200ba", password), 422, "invalid-request", []string{"username"}},
		{"username punctuation", register, account("ada<b>", password), 422, "invalid-request", []string{"username"}},
		{"username lone surrogate", register, `{"username":"ada\ud800","password":"correct horse"}`, 422, "invalid-request", []string{"username"}},
		{"collides by case", register, account("ADA", password), 409, "username-taken", []string{"username"}},
		{"collides by width", register, account("ａｄａ", password), 409, "username-taken", []string{"username"}},
		{"collides by normalisation", register, account("zoe\u0308", password), 409, "username-taken", []string{"username"}},
		{"password missing", register, `{"username":"bob"}`, 422, "invalid-request", []string{"password"}},
		{"password short", register, account("bob", "1234567"), 422, "invalid-request", []string{"password"}},
		{"password 73 bytes", register, account("bob", strings.Repeat("x", 73)), 422, "invalid-request", []string{"password"}},
		{"password 74 bytes in 37 characters", register, account("bob", strings.Repeat("ä", 37)), 422, "invalid-request", []string{"password"}},
		{"password number", register, `{"username":"bob","password":12345678}`, 422, "invalid-request", []string{"password"}},
		{"password lone surrogate", register, `{"username":"bob","password":"12345678\udc00"}`, 422, "invalid-request", []string{"password"}},
		{"unknown field email", register, `{"username":"bob","password":"correct horse","email":"b@x"}`, 422, "invalid-request", []string{"email"}},
		{"duplicate username", register, `{"username":"bob","username":"eve","password":"correct horse"}`, 400, "malformed-request", []string{"username"}},

		{"login without password", login, `{"username":"ada"}`, 422, "invalid-request", []string{"password"}},
		{"login unknown field", login, `{"username":"ada","password":"x","otp":"1"}`, 422, "invalid-request", []string{"otp"}},
		{"login control characters", login, account("ad\x00a", password), 401, "unauthenticated", nil},
		{"login long password", login, account("ada", password+strings.Repeat("x", 100)), 401, "unauthenticated", nil},
		{"login empty", login, account("", ""), 401, "unauthenticated", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.t = t
			r := request{method: "POST", path: c.path, body: c.body}
			if c.path == submit {
				r.token = token
			}
			g.do(r).problem(c.status, c.slug, c.fields...)
		})
	}

	g.t = t
	require.Equal(t, before, g.written())
}

func TestBadHeaders(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	before := g.written()

	for _, c := range []struct {
		name, header, value string
		status              int
		slug                string
		fields              []string
	}{
		{"no type", "Content-Type", "", 415, "unsupported-media-type", []string{"Content-Type"}},
		{"text", "Content-Type", "text/plain", 415, "unsupported-media-type", []string{"Content-Type"}},
		{"form", "Content-Type", "application/x-www-form-urlencoded", 415, "unsupported-media-type", []string{"Content-Type"}},
		{"broken type", "Content-Type", "application/json;;", 415, "unsupported-media-type", []string{"Content-Type"}},
		{"latin1", "Content-Type", "application/json; charset=latin1", 415, "unsupported-media-type", nil},
		{"compressed", "Content-Encoding", "gzip", 415, "unsupported-media-type", nil},
		{"basic", "Authorization", "Basic YTpi", 401, "unauthenticated", nil},
		{"no token", "Authorization", "Bearer ", 401, "unauthenticated", nil},
		{"no scheme", "Authorization", token, 401, "unauthenticated", nil},
		{"key empty", "Idempotency-Key", `""`, 422, "invalid-request", []string{"Idempotency-Key"}},
		{"key open", "Idempotency-Key", `"abc`, 422, "invalid-request", []string{"Idempotency-Key"}},
		{"key goes on", "Idempotency-Key", `"abc"d`, 422, "invalid-request", []string{"Idempotency-Key"}},
		{"key escape", "Idempotency-Key", `"a\nb"`, 422, "invalid-request", []string{"Idempotency-Key"}},
		{"key long", "Idempotency-Key", strings.Repeat("k", 256), 422, "invalid-request", []string{"Idempotency-Key"}},
		{"key not ASCII", "Idempotency-Key", "schlüssel", 422, "invalid-request", []string{"Idempotency-Key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.t = t
			g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("", 1),
				header: map[string]string{c.header: c.value}}).problem(c.status, c.slug, c.fields...)
		})
	}

	g.t = t
	require.Equal(t, before, g.written())
	// What is unusual and fine.
	require.Equal(t, 200, g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: " {\"score\" : -0 }\n",
		header: map[string]string{"Content-Type": `application/json; charset="UTF-8"`}}).status)
}

func TestBadQueries(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	const days = "/v1/reports/top_players?start_date=2026-01-01&end_date=2026-01-31"

	for _, c := range []struct {
		path   string
		status int
		fields []string
	}{
		{"/v1/leaderboard/global?page=0", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=-1", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=1.5", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=one", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=%2B1", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=1&page=2", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=9223372036854775808", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=99999999999999999999", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=-99999999999999999999", 422, []string{"page"}},
		{"/v1/leaderboard/global?page=1_000", 422, []string{"page"}},
		{"/v1/leaderboard/global?page_size=0", 422, []string{"page_size"}},
		{"/v1/leaderboard/global?page_size=-5", 422, []string{"page_size"}},
		{"/v1/leaderboard/global?page_size=101", 422, []string{"page_size"}},
		{"/v1/leaderboard/global?page_size=99999999999999999999", 422, []string{"page_size"}},
		{"/v1/leaderboard/global?page=0&page_size=0&limit=1", 422, []string{"limit", "page", "page_size"}},
		{"/v1/leaderboard/global?pagesize=5", 422, []string{"pagesize"}},
		{"/v1/leaderboard/global?page=%zz", 422, []string{"query"}},
		{"/v1/leaderboard/global?a;b", 422, []string{"query"}},
		{"/v1/leaderboard/global?game_id=%ff", 422, []string{"game_id"}},
		{"/v1/leaderboard/global?game_id=chess", 404, []string{"game_id"}},
		{"/v1/leaderboard/my_rank?page=1", 422, []string{"page"}},
		{"/v1/leaderboard/my_rank?game_id=nothing%20here", 404, []string{"game_id"}},
		{"/v1/reports/top_players", 422, []string{"end_date", "start_date"}},
		{"/v1/reports/top_players?start_date=2026-01-01", 422, []string{"end_date"}},
		{"/v1/reports/top_players?start_date=2026-02-30&end_date=2026-03-01", 422, []string{"start_date"}},
		{"/v1/reports/top_players?start_date=2025-02-29&end_date=2026-03-01", 422, []string{"start_date"}},
		{"/v1/reports/top_players?start_date=01.02.2026&end_date=2026-13-01", 422, []string{"end_date", "start_date"}},
		{"/v1/reports/top_players?start_date=2026-1-1&end_date=2026-01-02", 422, []string{"start_date"}},
		{"/v1/reports/top_players?start_date=2026-01-01T00:00:00Z&end_date=2026-01-02", 422, []string{"start_date"}},
		{"/v1/reports/top_players?start_date=0000-01-01&end_date=2026-01-02", 422, []string{"start_date"}},
		{"/v1/reports/top_players?start_date=2026-01-02&end_date=2026-01-01", 422, []string{"end_date"}},
		{"/v1/reports/top_players?start_date=2000-01-01&end_date=2026-01-01", 422, []string{"end_date"}},
		{days + "&limit=0", 422, []string{"limit"}},
		{days + "&limit=1001", 422, []string{"limit"}},
		{days + "&limit=ten", 422, []string{"limit"}},
		{days + "&limit=99999999999999999999", 422, []string{"limit"}},
		{"/v1/boards/race/entries?page_size=99999999999999999999", 422, []string{"page_size"}},
		{days + "&time_zone=Mars/Olympus", 422, []string{"time_zone"}},
		{days + "&time_zone=Local", 422, []string{"time_zone"}},
		{days + "&time_zone=../../../etc/passwd", 422, []string{"time_zone"}},
		{days + "&game_id=chess", 404, []string{"game_id"}},
		{days + "&order=asc", 422, []string{"order"}},
		{"/v1/boards?x=1", 422, []string{"x"}},
	} {
		t.Run(c.path, func(t *testing.T) {
			g.t = t
			slug := map[int]string{422: "invalid-request", 404: "no-board"}[c.status]
			g.do(request{method: "GET", path: c.path, token: token}).problem(c.status, slug, c.fields...)
		})
	}

	g.t = t
	before := g.written()
	for _, path := range []string{"/v1/scores/submit?score=1", "/v1/auth/register?username=x", "/v1/auth/token?password=x"} {
		name, _, _ := strings.Cut(path[strings.Index(path, "?")+1:], "=")
		g.do(request{method: "POST", path: path, token: token, body: submission("", 1)}).problem(422, "invalid-request", name)
	}

	require.Equal(t, before, g.written())
}

// Errors are bounded, however much is wrong.
func TestManyErrors(t *testing.T) {
	g := newGame(t, gameOptions{})
	fields := map[string]int{}
	for i := range 2000 {
		fields[fmt.Sprint(strings.Repeat("x", 15), i)] = i
	}

	answer := g.do(request{method: "POST", path: "/v1/auth/register", body: encode(fields)})
	require.Equal(t, 422, answer.status)
	require.Less(t, len(answer.body), 8<<10)
	answer = g.do(request{method: "POST", path: "/v1/auth/register", body: `{"` + strings.Repeat("x", 60000) + `":1}`})
	require.Equal(t, 422, answer.status)
	require.Less(t, len(answer.body), 2<<10)
}

func TestScoresAtTheirBounds(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	for _, score := range []int64{-(1<<53 - 1), 0, 1<<53 - 1} {
		receipt := g.submit(token, "", score)
		require.Equal(t, score, receipt.ScoreSaved)
		require.Equal(t, score, *receipt.Score)
	}

	g.submit(token, "coins", 1<<53-1)
	g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("coins", 1)}).
		problem(422, "score-out-of-range", "score")
}

func TestPages(t *testing.T) {
	g := newGame(t, gameOptions{})
	const players = 7
	for i := range players {
		_, token := g.player(fmt.Sprint("player-", i))
		g.submit(token, "", 100) // all equal: who came first ranks first
	}

	page := func(query string) httpapi.Leaderboard {
		var page httpapi.Leaderboard
		require.Eventually(t, func() bool { // a shared page may be some milliseconds old
			g.do(request{method: "GET", path: "/v1/leaderboard/global" + query}).into(200, &page)
			return page.TotalEntries == players
		}, patience, time.Millisecond)
		return page
	}
	all := page("")
	require.Len(t, all.Leaderboard, players)
	require.Equal(t, int64(1), all.Page)
	require.Equal(t, int64(10), all.PageSize)

	for i, entry := range all.Leaderboard {
		require.Equal(t, int64(i+1), entry.Rank)
		require.Equal(t, fmt.Sprint("player-", i), *entry.Username)
		require.Equal(t, "global", entry.GameID)
	}

	require.Equal(t, all.Leaderboard[:3], page("?page_size=3").Leaderboard)
	require.Equal(t, all.Leaderboard[3:6], page("?page=2&page_size=3").Leaderboard)
	require.Equal(t, all.Leaderboard[6:], page("?page=3&page_size=3").Leaderboard)
	require.Len(t, page("?page_size=100").Leaderboard, players)
	require.Empty(t, page("?page=4&page_size=3").Leaderboard)
	require.Empty(t, page("?page=2&page_size=7").Leaderboard)
	past := page(fmt.Sprintf("?page=%d&page_size=100", int64(math.MaxInt64)))
	require.NotNil(t, past.Leaderboard, "an empty list, not null")
	require.Empty(t, past.Leaderboard)
	require.Equal(t, int64(0), func() int64 {
		var empty httpapi.Leaderboard
		g.do(request{method: "GET", path: "/v1/leaderboard/global?game_id=golf"}).into(200, &empty)
		return empty.TotalEntries
	}())
}

// What stands in a path is decoded once.
func TestPathParametersAreDecodedOnce(t *testing.T) {
	g := newGame(t, gameOptions{})
	for _, path := range []string{"race", "rac%65", "%72%61%63%65"} {
		var part httpapi.BoardEntries
		g.do(request{method: "GET", path: "/v1/boards/" + path + "/entries"}).into(200, &part)
		require.Equal(t, "race", part.GameID)
	}

	for path, board := range map[string]string{"100%25": "100%", "rac%2565": "rac%65", "a%2Fb": "a/b", "a%2525%2Fb": "a%25/b", "%00": "\x00"} {
		problem := g.do(request{method: "GET", path: "/v1/boards/" + path + "/entries"}).problem(404, "no-board", "board")
		require.Contains(t, problem.Detail, fmt.Sprintf("%q", board), path)
	}

	g.do(request{method: "GET", path: "/v1/boards/%ff/entries"}).problem(422, "invalid-request", "board")
	answer := g.do(request{method: "DELETE", path: "/v1/boards/100%25/entries"})
	answer.problem(405, "method-not-allowed")
	require.Equal(t, "GET, HEAD", answer.header.Get("Allow"))
	require.Equal(t, 200, g.do(request{method: "HEAD", path: "/v1/boards/rac%65/entries"}).status)
}

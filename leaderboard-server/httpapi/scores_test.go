package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func TestReceipts(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, ada := g.player("ada")
	_, grace := g.player("grace")
	receipt := g.submit(ada, "race", 500)
	one, five, yes := int64(1), int64(500), true
	require.Equal(t, httpapi.Receipt{UserID: id, Username: "ada", GameID: "race", ScoreSaved: 500, Score: &five, Improved: &yes, Rank: &one, Ranking: httpapi.Live}, receipt)
	require.Equal(t, int64(2), *g.submit(grace, "race", 500).Rank, "equal: who came first ranks first")
	worse := g.submit(ada, "race", 400)
	require.Equal(t, []int64{400, 500, 1}, []int64{worse.ScoreSaved, *worse.Score, *worse.Rank})
	require.False(t, *worse.Improved)
	require.Equal(t, int64(7), *g.submit(ada, "coins", 7).Score)
	require.Equal(t, int64(12), *g.submit(ada, "coins", 5).Score)
	require.Equal(t, int64(-3), *g.submit(ada, "golf", -3).Score)

	var entry httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: ada}).into(200, &entry)
	require.Equal(t, httpapi.Entry{Board: "global", Rank: 1, UserID: id, Username: "ada", Score: 500, GameID: "race", TotalEntries: 2, Percentile: 100}, entry, "global says where the score was made")
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=coins", token: ada}).into(200, &entry)
	require.Equal(t, httpapi.Entry{Board: "coins", Rank: 1, UserID: id, Username: "ada", Score: 12, GameID: "coins", TotalEntries: 1, Percentile: 100}, entry)
}

func TestIdempotencyKeys(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, ada := g.player("ada")
	_, grace := g.player("grace")
	send := func(token, key, body string) response {
		return g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: body, header: map[string]string{"Idempotency-Key": key}})
	}

	var first, again httpapi.Receipt
	answer := send(ada, `"a \"quoted\" key"`, submission("coins", 5))
	answer.into(200, &first)
	require.Empty(t, answer.header.Get("Idempotency-Replayed"))
	answer = send(ada, `"a \"quoted\" key"`, submission("coins", 5))
	answer.into(200, &again)
	require.Equal(t, "true", answer.header.Get("Idempotency-Replayed"))
	require.True(t, *first.Improved)
	require.Nil(t, again.Improved, "what it improved was told the first time")
	first.Improved, first.Replayed = nil, true
	require.Equal(t, first, again)
	require.Equal(t, int64(5), *again.Score, "added once")

	require.Empty(t, send(ada, "bare", submission("coins", 1)).header.Get("Idempotency-Replayed"))
	require.Equal(t, "true", send(ada, `"bare"`, submission("coins", 1)).header.Get("Idempotency-Replayed"), "both spellings are one key")
	require.Empty(t, send(grace, "bare", submission("coins", 1)).header.Get("Idempotency-Replayed"), "keys belong to a player")
	send(ada, "bare", submission("race", 1)).problem(409, "idempotency-key-reused", "Idempotency-Key")
}

// The same submission from many connections at once counts once.
func TestConcurrentRepetitions(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	var group sync.WaitGroup
	answers := make([]response, 20)

	for i := range answers {
		group.Go(func() {
			answers[i] = g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("coins", 3),
				header: map[string]string{"Idempotency-Key": "k"}})
		})
	}

	group.Wait()
	fresh := 0
	for _, a := range answers {
		require.Equal(t, 200, a.status, "%s", a.body)
		if a.header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}

	require.Equal(t, 1, fresh)
	require.Equal(t, 1, g.count("score_events"))
}

// Without a token pages may be old by the configured time; with one they show
// what the player has just submitted.
func TestPageSnapshots(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.PageSnapshotTTL = time.Hour }})
	_, token := g.player("ada")
	page := func(token string) (page httpapi.Leaderboard) {
		g.do(request{method: "GET", path: "/v1/leaderboard/global", token: token}).into(200, &page)
		return page
	}

	require.Empty(t, page("").Leaderboard)
	g.submit(token, "", 5)
	require.Empty(t, page("").Leaderboard, "shared for an hour")
	require.Empty(t, page("not a good token").Leaderboard)
	require.Len(t, page(token).Leaderboard, 1)
	live := g.withBroken(func(o *httpapi.Options) { o.HTTP.PageSnapshotTTL = 0 })
	var now httpapi.Leaderboard
	g.do(live(request{method: "GET", path: "/v1/leaderboard/global"})).into(200, &now)
	require.Len(t, now.Leaderboard, 1)
}

func TestPageSizeIsConfigurable(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.MaxPageSize = 5 }})
	var page httpapi.Leaderboard
	g.do(request{method: "GET", path: "/v1/leaderboard/global"}).into(200, &page)
	require.Equal(t, int64(5), page.PageSize)
	g.do(request{method: "GET", path: "/v1/leaderboard/global?page_size=6"}).problem(422, "invalid-request", "page_size")
}

func TestBoards(t *testing.T) {
	g := newGame(t, gameOptions{})
	var list httpapi.BoardList
	g.do(request{method: "GET", path: "/v1/boards"}).into(200, &list)
	names := make([]string, len(list.Boards))

	for i, b := range list.Boards {
		names[i] = b.GameID
	}

	require.ElementsMatch(t, []string{"global", "race", "golf", "coins"}, names)
	require.Equal(t, "global", names[0])
}

// What a game may choose of global: whether it takes submissions of its own, and which.
func TestGlobalIsConfigured(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	configure := func(global string) {
		boards, err := leaderboard.ParseBoards([]byte(strings.TrimSuffix(boardsFile, "}") + `, "global": ` + global + "}"))
		require.NoError(t, err)
		require.NoError(t, g.service.Reload(t.Context(), boards))
	}
	direct := request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("", 500), header: map[string]string{"Idempotency-Key": `"a"`}}
	require.Equal(t, 200, g.do(direct).status)

	configure(`{"direct": false}`)
	var board httpapi.Board
	g.do(request{method: "GET", path: "/v1/boards/global"}).into(200, &board)
	require.False(t, board.Direct)
	again := g.do(direct)
	require.Equal(t, 200, again.status, "a repetition of one that was taken")
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	for _, name := range []string{"", "global"} {
		g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission(name, 1)}).problem(422, "invalid-request", "game_id")
	}
	direct.header["Idempotency-Key"] = `"b"`
	g.do(direct).problem(422, "invalid-request", "game_id")
	g.submit(token, "race", 900)
	var entry httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: token}).into(200, &entry)
	require.Equal(t, int64(900), entry.Score, "what other boards bring")

	configure(`{"minScore": 0, "maxScore": 10}`)
	g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("", 11)}).problem(422, "score-out-of-range", "score")
	g.submit(token, "", 10)
	g.submit(token, "race", 950)
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: token}).into(200, &entry)
	require.Equal(t, int64(950), entry.Score, "within the bounds of its own board")
}

func TestARepetitionSaysSo(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	r := request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("race", 5), header: map[string]string{"Idempotency-Key": `"a"`}}
	var first, again httpapi.Receipt
	g.do(r).into(200, &first)
	require.False(t, first.Replayed)

	g.submit(token, "race", 8)
	g.do(r).into(200, &again)
	require.True(t, again.Replayed)
	require.Equal(t, int64(5), again.ScoreSaved, "of then")
	require.Equal(t, int64(8), *again.Score, "of now")
}

// A day counts from its first instant to its last, in the zone that was asked for.
func TestReportsAtTheEdgesOfDays(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, ada := g.player("ada")
	_, grace := g.player("grace")
	g.submit(ada, "race", 10)
	g.submit(ada, "race", 30)
	g.submit(grace, "race", 30)

	g.submit(ada, "coins", 900) // does not count toward global
	at := func(score int64, instant string) {
		g.sql("UPDATE score_events SET at = $1::timestamptz WHERE score = $2 AND player = (SELECT number FROM players WHERE username = 'ada')", instant, score)
	}
	g.sql("UPDATE score_events SET at = '2026-03-10T12:00:00Z' WHERE player = (SELECT number FROM players WHERE username = 'grace')")
	report := func(query string) (rows []httpapi.ReportRow) {
		g.do(request{method: "GET", path: "/v1/reports/top_players?" + query, token: ada}).into(200, &rows)
		return rows
	}

	at(10, "2026-03-10T00:00:00Z")
	at(30, "2026-03-10T23:59:59.999999Z")
	rows := report("start_date=2026-03-10&end_date=2026-03-10")
	require.Len(t, rows, 2)
	require.Equal(t, httpapi.ReportRow{Board: "global", Scoring: "Best", Rank: 1, UserID: id, Username: "ada", GameID: "race", Score: 30, TotalScoresSubmitted: 2,
		DateRangeStart: "2026-03-10", DateRangeEnd: "2026-03-10"}, rows[0], "equal scores: the event that came first")
	require.Equal(t, "grace", rows[1].Username)
	require.Len(t, report("start_date=2026-03-10&end_date=2026-03-10&limit=1"), 1)
	require.Len(t, report("start_date=2026-03-10&end_date=2026-03-10&game_id=race"), 2)
	empty := report("start_date=2026-03-09&end_date=2026-03-09")
	require.NotNil(t, empty, "an empty list, not null")
	require.Empty(t, empty)
	require.Empty(t, report("start_date=2026-03-11&end_date=2026-03-11"))

	// In Berlin (one hour ahead) the last instant belongs to the next day.
	berlin := func(day string) []httpapi.ReportRow {
		return report(url.Values{"start_date": {day}, "end_date": {day}, "time_zone": {"Europe/Berlin"}}.Encode())
	}
	require.Len(t, berlin("2026-03-11"), 1)
	require.Equal(t, int64(30), berlin("2026-03-11")[0].Score)
	require.Equal(t, "grace", berlin("2026-03-10")[0].Username)

	// A leap day, and the longest range.
	require.Empty(t, report("start_date=2024-02-29&end_date=2024-02-29"))
	require.Len(t, report("start_date=2016-12-01&end_date=2026-11-30"), 2)
}

// What many players submit at once ranks the same on pages and in my_rank.
func TestManyPlayersRankAsOne(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) {
		o.Auth.LoginRatePerClient, o.Auth.RegisterRatePerClient = config.Rate{}, config.Rate{}
		o.HTTP.PageSnapshotTTL = 0
	}})
	const players = 20
	tokens := make([]string, players)

	for i := range players {
		_, tokens[i] = g.player(fmt.Sprint("racer-", i))
	}

	var group sync.WaitGroup
	for i, token := range tokens {
		group.Go(func() {
			for round := range 5 {
				g.submit(token, "race", int64((i*7+round*13)%10))
			}
		})
	}

	group.Wait()
	var page httpapi.Leaderboard
	g.do(request{method: "GET", path: "/v1/leaderboard/global?game_id=race&page_size=100"}).into(200, &page)
	require.Len(t, page.Leaderboard, players)
	byName := map[string]httpapi.PageEntry{}

	for i, e := range page.Leaderboard {
		require.Equal(t, int64(i+1), e.Rank)
		byName[*e.Username] = e
	}

	for i, token := range tokens {
		var entry httpapi.Entry
		g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=race", token: token}).into(200, &entry)
		mine := httpapi.PageEntry{Rank: entry.Rank, UserID: &entry.UserID, Username: &entry.Username, Score: entry.Score, GameID: entry.GameID}
		require.Equal(t, byName[fmt.Sprint("racer-", i)], mine, "a page's rank is my_rank")
	}
}

// beginSubmission begins a submission whose handler waits for the body, and returns
// once it does. finish sends the body and returns the answer's status.
func (g *game) beginSubmission(server *httptest.Server, token string) (finish func() int, leave func()) {
	return g.begin(server, token, "/v1/scores/submit", submission("", 1))
}

// begin sends a request whose body is still to come.
func (g *game) begin(server *httptest.Server, token, path, body string) (finish func() int, leave func()) {
	conn, err := (&net.Dialer{}).DialContext(g.t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(g.t, err)
	g.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(g.t, conn.SetDeadline(time.Now().Add(patience)))

	_, err = fmt.Fprintf(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		token, len(body))
	require.NoError(g.t, err)
	reader := bufio.NewReader(conn)
	for _, expected := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		line, err := reader.ReadString('\n')
		require.NoError(g.t, err)
		require.Equal(g.t, expected, line)
	}

	finish = func() int {
		_, err := io.WriteString(conn, body)
		require.NoError(g.t, err)
		answer, err := http.ReadResponse(reader, nil)
		require.NoError(g.t, err)
		defer answer.Body.Close()
		return answer.StatusCode
	}
	return finish, func() { _, _ = io.WriteString(conn, body); _ = conn.Close() }
}

// One account has a bound of submissions under way; others do not feel it.
func TestSubmissionsInFlightAreBounded(t *testing.T) {
	const most = 3
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.MaxInFlightPerPlayer = most }})
	_, ada := g.player("ada")
	_, grace := g.player("grace")
	finish := make([]func() int, most)
	for i := range finish {
		finish[i], _ = g.beginSubmission(g.server, ada)
	}

	for range 3 {
		answer := g.do(request{method: "POST", path: "/v1/scores/submit", token: ada, body: submission("", 1)})
		answer.problem(429, "rate-limited")
		require.Equal(t, "1", answer.header.Get("Retry-After"))
		g.submit(grace, "", 1)
	}

	require.Equal(t, 200, finish[0]())
	require.Eventually(t, func() bool {
		return g.do(request{method: "POST", path: "/v1/scores/submit", token: ada, body: submission("", 1)}).status == 200
	}, patience, time.Millisecond)
	for _, f := range finish[1:] {
		require.Equal(t, 200, f())
	}
}

// A client that leaves before its answer has its submission under way until it is
// stored.
func TestLeavingDoesNotEndASubmission(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.MaxInFlightPerPlayer = 1 }})
	_, ada := g.player("ada")
	conn, err := pgx.Connect(t.Context(), postgresServer.URL(g.database))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))

	lock, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "LOCK TABLE score_events IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	_, leave := g.beginSubmission(g.server, ada)
	leave()
	waits := func() (n int) {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return waits() > 0 }, patience, time.Millisecond, "it is being stored")
	g.do(request{method: "POST", path: "/v1/scores/submit", token: ada, body: submission("", 1)}).problem(429, "rate-limited")

	require.NoError(t, lock.Rollback(t.Context()))
	require.Eventually(t, func() bool {
		return g.do(request{method: "POST", path: "/v1/scores/submit", token: ada, body: submission("", 1)}).status == 200
	}, patience, time.Millisecond)
}

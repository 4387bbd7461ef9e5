package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

// because is the body of what a moderator does.
func because(reason string) string { return encode(map[string]string{"reason": reason}) }

// moderator is a token that may moderate.
func (g *game) moderator() string {
	return g.serviceToken("moderators", g.account("moderators", accounts.Moderate), "")
}

// moderate does what the path under /v1/admin says.
func (g *game) moderate(token, path string) (record httpapi.AuditRecord) {
	g.t.Helper()
	g.do(request{method: "POST", path: "/v1/admin/" + path, token: token, body: because("cheating")}).into(200, &record)
	return record
}

// shows waits until a page has these players with these scores.
func (g *game) shows(path string, want ...string) {
	g.t.Helper()
	var got []string
	require.Eventually(g.t, func() bool {
		var page httpapi.BoardEntries
		answer := g.do(request{method: "GET", path: path})
		if answer.status != 200 {
			return false
		}
		answer.into(200, &page)
		got = nil
		for i, e := range page.Entries {
			require.Equal(g.t, int64(i)+1, e.Rank, "ranks are without a gap")
			if e.Username == nil {
				return false // it could not be looked up in time
			}
			got = append(got, fmt.Sprint(*e.Username, " ", e.Score))
		}
		return slices.Equal(want, got) && page.TotalEntries == int64(len(want))
	}, patience, 10*time.Millisecond, "%s: %v instead of %v", path, &got, want)
}

func TestModerationOfPlayers(t *testing.T) {
	g := newGame(t, gameOptions{})
	token := g.moderator()
	ada, adas := g.player("ada")
	_, graces := g.player("grace")
	g.submit(adas, "race", 900)
	g.submit(adas, "coins", 5)
	g.submit(graces, "race", 500)
	g.submit(graces, "coins", 7)
	const race, global, coins = "/v1/boards/race/entries?page=1", "/v1/boards/global/entries?page=1", "/v1/boards/coins/entries?page=1"
	g.shows(race, "ada 900", "grace 500")

	record := g.moderate(token, "players/"+ada+"/ban")
	require.True(t, record.Changed)
	for path, want := range map[string]string{race: "grace 500", global: "grace 500", coins: "grace 7"} {
		g.shows(path, want)
	}
	g.do(request{method: "POST", path: "/v1/scores/submit", token: adas, body: submission("race", 950)}).problem(403, "forbidden")
	g.do(request{method: "POST", path: "/v1/auth/token", body: credentials("ada", password)}).problem(403, "forbidden")
	require.Eventually(t, func() bool {
		return g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: adas}).status == 401
	}, patience, 10*time.Millisecond, "the player's tokens are refused")
	require.False(t, g.moderate(token, "players/"+ada+"/ban").Changed, "it is so already")

	require.True(t, g.moderate(token, "players/"+ada+"/unban").Changed)
	g.shows(race, "ada 900", "grace 500")
	g.shows(global, "ada 900", "grace 500")
	g.shows(coins, "grace 7", "ada 5")
	g.submit(adas, "coins", 5)
	g.shows(coins, "ada 10", "grace 7")

	// Who is banned so that nobody but the player sees it goes on.
	g.moderate(token, "players/"+ada+"/shadow_ban")
	g.shows(race, "grace 500")
	g.submit(adas, "race", 990)
	g.submit(adas, "coins", 5)
	g.shows(coins, "grace 7")
	g.moderate(token, "players/"+ada+"/shadow_unban")
	g.shows(race, "ada 990", "grace 500")
	g.shows(coins, "ada 15", "grace 7")
}

func TestModerationOfEntries(t *testing.T) {
	g := newGame(t, gameOptions{})
	token := g.moderator()
	ada, adas := g.player("ada")
	_, graces := g.player("grace")
	for _, score := range []int64{100, 900, 300} {
		g.submit(adas, "race", score)
		g.submit(adas, "coins", score)
	}
	g.submit(graces, "race", 500)
	g.submit(graces, "coins", 500)
	const race, global, coins = "/v1/boards/race/entries?page=1", "/v1/boards/global/entries?page=1", "/v1/boards/coins/entries?page=1"
	numbers := func(board string) map[int64]int64 {
		var history httpapi.History
		g.do(request{method: "GET", path: "/v1/boards/" + board + "/players/me/history", token: adas}).into(200, &history)
		numbers := make(map[int64]int64)
		for _, s := range history.Submissions {
			numbers[s.Score] = s.Event
		}
		return numbers
	}

	// One score.
	event := func(board string, score int64) string {
		return fmt.Sprintf("boards/%s/players/%s/events/%d/", board, ada, numbers(board)[score])
	}
	best, added := event("race", 900), event("coins", 900)
	require.True(t, g.moderate(token, best+"void").Changed)
	require.False(t, g.moderate(token, best+"void").Changed)
	g.shows(race, "grace 500", "ada 300")
	g.shows(global, "grace 500", "ada 300")
	g.moderate(token, added+"void")
	g.shows(coins, "grace 500", "ada 400")
	g.submit(adas, "coins", 50)
	g.shows(coins, "grace 500", "ada 450")
	g.moderate(token, best+"unvoid")
	g.moderate(token, added+"unvoid")
	g.shows(race, "ada 900", "grace 500")
	g.shows(global, "ada 900", "grace 500")
	g.shows(coins, "ada 1350", "grace 500")

	// The whole entry, of what there is up to now.
	entry := func(board string) string { return fmt.Sprintf("boards/%s/players/%s/", board, ada) }
	g.moderate(token, entry("race")+"remove")
	g.moderate(token, entry("coins")+"remove")
	g.shows(race, "grace 500")
	g.shows(global, "grace 500")
	g.shows(coins, "grace 500")
	g.submit(adas, "race", 200)
	g.submit(adas, "coins", 20)
	g.shows(race, "grace 500", "ada 200")
	g.shows(global, "grace 500", "ada 200")
	g.shows(coins, "grace 500", "ada 20")
	g.moderate(token, entry("race")+"restore")
	g.moderate(token, entry("coins")+"restore")
	g.shows(race, "ada 900", "grace 500")
	g.shows(global, "ada 900", "grace 500")
	g.shows(coins, "ada 1370", "grace 500")

	// Hidden, whatever is submitted.
	g.moderate(token, entry("race")+"hide")
	g.submit(adas, "race", 950)
	g.shows(race, "grace 500")
	g.shows(global, "ada 950", "grace 500")
	g.moderate(token, entry("race")+"unhide")
	g.shows(race, "ada 950", "grace 500")
}

// Webhooks are told of a ban and of a shadow ban, once, and of what takes them back not at all; an
// erased player's name goes out of messages that wait.
func TestWebhooksAreToldOfBans(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.service.Moderator.(*postgres.Ledger).SetSubscriptions([]leaderboard.Subscription{
		{Webhook: "support", Events: []leaderboard.EventType{leaderboard.EventPlayerBanned}},
		{Webhook: "prizes", Events: []leaderboard.EventType{leaderboard.EventSeasonClosed}}})
	token := g.moderator()
	ada, _ := g.player("ada")
	bob, _ := g.player("bob")
	for _, action := range []string{"ban", "ban", "unban", "shadow_ban", "shadow_ban", "shadow_unban"} {
		g.moderate(token, "players/"+ada+"/"+action)
	}
	g.moderate(token, "boards/race/players/"+bob+"/hide")
	g.moderate(token, "players/"+bob+"/ban")

	told := func() (messages []string) {
		conn := g.connect()
		rows, err := conn.Query(t.Context(), "SELECT webhook || ' ' || (payload::jsonb ->> 'type') || ' ' || (payload::jsonb ->> 'data') FROM webhook_messages ORDER BY number")
		require.NoError(t, err)
		messages, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return messages
	}
	message := func(id, username, action string, record int) string {
		return fmt.Sprintf(`support PlayerBanned {"actor": "moderators", "action": "%s", "reason": "cheating", "record": %d, "user_id": %s, "username": %s}`, action, record, id, username)
	}
	quoted := func(text string) string { return `"` + text + `"` }
	require.Equal(t, []string{message(quoted(ada), `"ada"`, "ban", 1), message(quoted(ada), `"ada"`, "shadow-ban", 4), message(quoted(bob), `"bob"`, "ban", 8)}, told())

	g.do(request{method: "DELETE", path: "/v1/admin/players/" + bob, token: g.admin(), body: because("asked for it")})
	require.Eventually(t, func() bool { return told()[2] == message("null", "null", "ban", 8) }, patience, 10*time.Millisecond)
}

func TestAudit(t *testing.T) {
	g := newGame(t, gameOptions{boards: windowsFile})
	token := g.moderator()
	ada, _ := g.player("ada")
	bob, _ := g.player("bob")
	for _, path := range []string{"players/" + ada + "/ban", "players/" + bob + "/ban", "players/" + ada + "/unban", "boards/laps/players/" + ada + "/hide"} {
		g.moderate(token, path)
	}

	var page httpapi.Audit
	read := func(query string) []string {
		page = httpapi.Audit{}
		g.do(request{method: "GET", path: "/v1/admin/audit" + query, token: token}).into(200, &page)
		var actions []string
		for _, r := range page.Records {
			require.Equal(t, "moderators", r.Actor)
			require.Equal(t, "cheating", r.Reason)
			actions = append(actions, fmt.Sprint(r.Number, " ", r.Action))
		}
		return actions
	}
	require.Equal(t, []string{"4 hide", "3 unban", "2 ban", "1 ban"}, read(""))
	require.Equal(t, []string{"4 hide", "3 unban"}, read("?page_size=2"))
	require.Equal(t, []string{"2 ban", "1 ban"}, read("?page_size=2&cursor="+*page.NextCursor))
	require.Nil(t, page.NextCursor)
	require.Equal(t, []string{"2 ban"}, read("?user_id="+bob))
}

// moderationCalls has one request for each call of moderation, about a player, with an action
// each.
func moderationCalls(player, ofPlayer, ofEntry, ofEvent string) map[string]request {
	post := func(path string) request {
		return request{method: "POST", path: "/v1/admin/" + path, body: because("cheating")}
	}
	return map[string]request{
		"moderatePlayer": post("players/" + player + "/" + ofPlayer),
		"moderateEntry":  post("boards/race/players/" + player + "/" + ofEntry),
		"moderateEvent":  post("boards/race/players/" + player + "/events/1/" + ofEvent),
		"endSeason":      post("boards/laps/windows/daily/end"),
		"audit":          {method: "GET", path: "/v1/admin/audit?page_size=1"},
	}
}

// showModeration shows all that the contract documents of the calls of moderation.
func (g *game) showModeration(id, player string) {
	t, token := g.t, g.moderator()
	each := func(change func(name string, r *request), check func(name string, answer response)) {
		for name, r := range moderationCalls(id, "unban", "unhide", "unvoid") {
			r.token, r.path = token, strings.Replace(r.path, "daily", "cup", 1) // whose season is open all the time
			change(name, &r)
			check(name, g.do(r))
		}
	}
	as := func(status int, slug string) func(string, response) {
		return func(name string, answer response) {
			require.Equal(t, status, answer.status, "%s: %s", name, answer.body)
			if slug != "" {
				require.Contains(t, string(answer.body), "/problems/"+slug, name)
			}
		}
	}
	withBody := func(body string) func(string, *request) {
		return func(_ string, r *request) {
			if r.method == "POST" {
				r.body = body
			}
		}
	}
	posts := func(check func(string, response)) func(string, response) {
		return func(name string, answer response) {
			if name != "audit" {
				check(name, answer)
			}
		}
	}

	each(func(string, *request) {}, as(200, ""))
	require.Equal(t, 200, g.do(request{method: "GET", path: "/v1/admin/audit?page_size=1&cursor=2&user_id=" + id, token: token}).status)
	each(func(_ string, r *request) { r.token = "" }, as(401, "unauthenticated"))
	each(func(_ string, r *request) { r.token = player }, as(403, "insufficient-scope"))
	each(withBody("{"), posts(as(400, "malformed-request")))
	each(withBody("{}"), posts(as(422, "invalid-request")))
	each(withBody(because("")), posts(as(422, "invalid-request")))
	each(withBody(because(string(make([]byte, 64<<10)))), posts(as(413, "body-too-large")))
	each(func(_ string, r *request) { r.header = map[string]string{"Content-Type": "text/plain"} }, posts(as(415, "unsupported-media-type")))
	g.do(request{method: "GET", path: "/v1/admin/audit?page_size=201", token: token}).problem(422, "invalid-request", "page_size")

	starting := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { return nil } })
	each(func(_ string, r *request) { *r = starting(*r) }, as(503, "unavailable"))
	panics := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { panic("a defect") } })
	each(func(_ string, r *request) { *r = panics(*r) }, as(500, "internal-error"))

	for path, slug := range map[string]string{
		"players/" + nobody + "/ban": "no-player", "players/" + id + "/praise": "not-found", "boards/race/players/" + nobody + "/hide": "no-player",
		"boards/chess/players/" + id + "/hide": "no-board", "boards/race/players/" + id + "/events/281474976710655/void": "no-event",
		"boards/laps/windows/weekly/end": "no-window",
	} {
		as(404, slug)(path, g.do(request{method: "POST", path: "/v1/admin/" + path, token: token, body: because("cheating")}))
	}
	g.showLogCut(id, player, token)
}

// showLogCut moderates a player of whose submissions some are no longer kept.
func (g *game) showLogCut(id, player, token string) {
	g.submit(player, "race", 7)
	conn, err := pgx.Connect(g.t.Context(), g.postgres.URL(g.database))
	require.NoError(g.t, err)
	defer conn.Close(g.t.Context())
	var event int64
	require.NoError(g.t, conn.QueryRow(g.t.Context(), "SELECT max(e.id) FROM score_events e JOIN players p ON p.number = e.player WHERE p.id = $1", id).Scan(&event))

	g.sql("UPDATE players SET created_at = '2020-01-01' WHERE id = $1", id)
	g.sql(`INSERT INTO standings (board, season, player, score, event, last_event, origin, fold)
		SELECT b.number, 1, p.number, 7, $2, $2, b.number, b.fold FROM boards b, players p WHERE b.name = 'race' AND p.id = $1
		ON CONFLICT (board, season, player) DO UPDATE SET score = 7, event = $2`, id, event)
	g.sql("INSERT INTO removals (player, board, through, at) SELECT p.number, b.number, 1, now() FROM boards b, players p WHERE b.name = 'race' AND p.id = $1 ON CONFLICT DO NOTHING", id)

	before := g.count("moderations")
	for _, path := range []string{fmt.Sprintf("events/%d/void", event), "restore"} {
		answer := g.do(request{method: "POST", path: "/v1/admin/boards/race/players/" + id + "/" + path, token: token, body: because("cheating")})
		answer.problem(409, "log-cut")
	}
	require.Equal(g.t, before, g.count("moderations"), "nothing was changed")
	require.Zero(g.t, g.count("voids"))
}

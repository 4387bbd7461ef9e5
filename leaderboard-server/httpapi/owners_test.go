package httpapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
)

// ownersFile has boards whose entries belong to clans and cars, next to one of players.
const ownersFile = `{"attributes": [{"name": "region", "values": ["EU", "NA"]}], "boards": [
	{"name": "clans", "owners": "External", "segments": ["region"], "columns": [{"name": "kills"}], "metadata": {}, "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "cars", "owners": "External", "scoring": "Sum"},
	{"name": "race"}]}`

// owned is an item that names an owner by the game's id; further are fields of it, as JSON.
func owned(id, board string, score int64, further ...string) string {
	return strings.Replace(itemOf(id, board, score, further...), `"user_id"`, `"owner_id"`, 1)
}

// kills is a column of clans, as a field of an item.
func kills(n int) string { return fmt.Sprintf(`"columns":{"kills":%d}`, n) }

// ownerPath is the path of an owner.
func ownerPath(id string) string { return "/v1/owners/" + url.PathEscape(id) }

// setOwner makes an owner, or changes it.
func (g *game) setOwner(token, id, body string) (owner httpapi.Owner) {
	g.t.Helper()
	g.do(request{method: "PUT", path: ownerPath(id), token: token, body: body}).into(200, &owner)
	return owner
}

// ownersOf are the ranks, ids and names of the owners of entries.
func ownersOf(entries []httpapi.PageEntry) (list []string) {
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%d %s (%s)", e.Rank, e.OwnerID, e.OwnerName))
	}
	return list
}

// Scores make owners, and name them; each is one, whatever there is among players.
func TestOwnersAreMadeByScores(t *testing.T) {
	g := newGame(t, gameOptions{boards: ownersFile})
	token := g.submitter()
	require.Equal(t, 1, g.createPlayers(token, external("7", "race", 5)).Accepted, "a player by the same id")

	answer := g.submitAll(token, owned("7", "clans", 10, kills(1)), owned("a/b?c=%20", "clans", 20, kills(2), `"owner_name":"<b>Ünder & Över</b>"`),
		owned("7", "clans", 30, kills(3), `"owner_name":"First"`), owned("7", "cars", 5, `"owner_name":"Second"`), owned("x y", "cars", 1), owned("7", "race", 1), owned("new", "race", 1))
	require.Equal(t, 4, answer.Accepted, "%v", answer.Results)
	refused(t, answer.Results[4], 422, "invalid-request", "owner_id")
	refused(t, answer.Results[5], 422, "invalid-request", "owner_id")
	refused(t, answer.Results[6], 422, "invalid-request", "owner_id")
	require.Equal(t, 2, g.count("owners"), "what a board does not take makes none")
	require.Equal(t, 3, g.count("players"))
	seven := answer.Results[0].Receipt
	require.Regexp(t, `^owner-[a-z2-7]{16}$`, seven.Username)
	require.Equal(t, []any{"7", "Second", seven.UserID}, []any{seven.OwnerID, seven.OwnerName, answer.Results[3].Receipt.UserID})

	var page httpapi.BoardEntries
	g.get("/v1/boards/clans/entries?page=1&include=metadata", &page)
	require.Equal(t, []string{"1 7 (Second)", "2 a/b?c=%20 (<b>Ünder & Över</b>)"}, ownersOf(page.Entries))
	require.Equal(t, []any{seven.UserID, seven.Username, httpapi.Columns{"kills": 3}}, []any{*page.Entries[0].UserID, *page.Entries[0].Username, *page.Entries[0].Columns})
	var players httpapi.BoardEntries
	g.get("/v1/boards/race/entries?page=1", &players)
	require.Equal(t, []string{"1  ()"}, ownersOf(players.Entries), "a player has neither")
	var global httpapi.Leaderboard
	g.get("/v1/leaderboard/global", &global)
	require.Equal(t, int64(1), global.TotalEntries, "owners are not on global")

	// Single calls make and name them, too; without a name they keep it.
	var receipt httpapi.Receipt
	single := func(body string) response {
		return g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: body, header: map[string]string{"Idempotency-Key": `"once"`}})
	}
	single(owned("8", "cars", 1)).into(200, &receipt)
	require.Equal(t, []any{"8", "8"}, []any{receipt.OwnerID, receipt.OwnerName}, "its id is shown")
	single(owned("8", "cars", 1)).into(200, &receipt)
	require.True(t, receipt.Replayed)
	g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: owned("8", "cars", 2, `"owner_name":"Acht"`)}).into(200, &receipt)
	require.Equal(t, []any{"Acht", int64(3)}, []any{receipt.OwnerName, *receipt.Score})
	g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: owned("8", "cars", 2)}).into(200, &receipt)
	require.Equal(t, "Acht", receipt.OwnerName)

	// A call names them as well.
	require.Equal(t, httpapi.Owner{OwnerID: "7", OwnerName: "Third", UserID: seven.UserID, Attributes: map[string]string{"region": "EU"}}, g.setOwner(token, "7", `{"owner_name":"Third","attributes":{"region":"EU"}}`))
	require.Equal(t, "Third", g.setOwner(token, "7", `{}`).OwnerName)
	require.Equal(t, map[string]string{}, g.setOwner(token, "7", `{"attributes":{}}`).Attributes)
	var owner httpapi.Owner
	g.do(request{method: "GET", path: ownerPath("a/b?c=%20"), token: token}).into(200, &owner)
	require.Equal(t, "<b>Ünder & Över</b>", owner.OwnerName)

	for body, field := range map[string]string{
		`{"owner_name":""}`: "owner_name", `{"owner_name":" \u00a0"}`: "owner_name", `{"owner_name":"a\nb"}`: "owner_name", `{"owner_name":"a\u202eb"}`: "owner_name",
		`{"owner_name":"` + strings.Repeat("ü", 65) + `"}`: "owner_name", `{"attributes":{"region":"XX"}}`: "attributes.region",
	} {
		g.do(request{method: "PUT", path: ownerPath("7"), token: token, body: body}).problem(422, "invalid-request", field)
	}
	require.Len(t, []rune(g.setOwner(token, "7", `{"owner_name":"`+strings.Repeat("ü", 64)+`"}`).OwnerName), 64)

	var board httpapi.Board
	g.get("/v1/boards/clans", &board)
	require.Equal(t, []any{"External", "Servers", false}, []any{board.Owners, board.Submitters, board.CountsTowardGlobal})
	g.get("/v1/boards/race", &board)
	require.Equal(t, "Players", board.Owners)
}

// All that is asked of players' entries is asked of those of owners: of all time, in windows, in
// seasons that are closed, and in segments.
func TestEveryQueryTakesOwners(t *testing.T) {
	g := newGame(t, gameOptions{boards: ownersFile})
	token := g.submitter()
	for id, region := range map[string]string{"a/1": "EU", "b": "NA", "c": "EU", "d": "EU"} {
		g.setOwner(token, id, encode(map[string]any{"owner_name": "Clan " + id, "attributes": map[string]string{"region": region}}))
	}
	g.openSeasons()
	require.Equal(t, 5, g.submitAll(token, owned("a/1", "clans", 40, kills(1), `"metadata":{"map":"dust"}`), owned("b", "clans", 30, kills(1)), owned("c", "clans", 30, kills(9)), owned("a/1", "clans", 5, kills(1)), owned("a/1", "cars", 1)).Accepted)

	const a, c = "owner:a%2F1", "owner:c"
	all, european := []string{"1 a/1 (Clan a/1)", "2 c (Clan c)", "3 b (Clan b)"}, []string{"1 a/1 (Clan a/1)", "2 c (Clan c)"}
	check := func(of string, want []string) {
		t.Helper()
		for query, part := range map[string][]string{
			"page=1": want, "": want, "from_rank=2": want[1:], "min_score=30&max_score=35": want[1:], "page=2&page_size=1": want[1:2],
		} {
			var page httpapi.BoardEntries
			g.get("/v1/boards/clans/entries?"+query+of, &page)
			require.Equal(t, part, ownersOf(page.Entries), query+of)
		}

		var around httpapi.EntriesAround
		g.get("/v1/boards/clans/entries/around?before=1&after=0&player="+c+of, &around)
		require.Equal(t, want[:2], ownersOf(around.Entries), of)
		g.get("/v1/boards/clans/entries/around?before=1&after=0&score=35"+of, &around)
		require.Equal(t, want[:1], ownersOf(around.Entries), of)
		g.do(request{method: "GET", path: "/v1/boards/clans/entries/around?player=owner:d" + of}).problem(404, "no-entry")

		var listed httpapi.EntryList
		g.do(request{method: "POST", path: "/v1/boards/clans/entries/list?include=metadata" + of, token: token, body: list("owner:d", c, "owner:a/1")}).into(200, &listed)
		require.Equal(t, []any{"a/1", "Clan a/1", int64(1), "c", "Clan c"}, []any{listed.Entries[0].OwnerID, listed.Entries[0].OwnerName, listed.Entries[0].Rank, listed.Entries[1].OwnerID, listed.Entries[1].OwnerName})
		require.JSONEq(t, `{"map":"dust"}`, string(listed.Entries[0].Metadata))
		require.Equal(t, []any{"d", "Clan d"}, []any{listed.WithoutEntry[0].OwnerID, listed.WithoutEntry[0].OwnerName})

		history := g.history(token, "clans", a, "include=metadata"+of)
		require.Equal(t, []int64{5, 40}, submitted(history))
		require.Equal(t, []any{"a/1", "Clan a/1"}, []any{history.OwnerID, history.OwnerName})
	}
	check("", all)
	check("&window=daily", all)
	check("&segment=region:EU", european)
	check("&window=daily&segment=region:EU", european)
	g.endSeason("clans")
	require.Equal(t, 1, g.submitAll(token, owned("b", "clans", 90, kills(1))).Accepted)
	check("&window=daily&season=1", all)
	check("&window=daily&season=1&segment=region:EU", european)

	// One owner's entries, by either of its ids.
	var entries httpapi.PlayerEntries
	g.get("/v1/players/"+a+"/entries?include=segments,reached_at", &entries)
	require.Equal(t, []any{"a/1", "Clan a/1", 2}, []any{entries.OwnerID, entries.OwnerName, len(entries.Entries)})
	require.Equal(t, []any{"clans", int64(2), "a/1"}, []any{entries.Entries[0].Board, entries.Entries[0].Rank, entries.Entries[0].OwnerID})
	require.Equal(t, []httpapi.SegmentRank{{Attribute: "region", Value: "EU", Rank: 1, TotalEntries: 2}}, *entries.Entries[0].Segments)
	var byID httpapi.PlayerEntries
	g.get("/v1/players/"+entries.UserID+"/entries?include=segments,reached_at", &byID)
	require.Equal(t, entries, byID)

	today := time.Now().UTC().Format(time.DateOnly)
	for board, want := range map[string][]any{"clans": {int64(1), "b", "Clan b", int64(90)}, "cars": {int64(1), "a/1", "Clan a/1", int64(1)}} {
		var report []httpapi.ReportRow
		g.do(request{method: "GET", path: "/v1/reports/top_players?start_date=" + today + "&end_date=" + today + "&game_id=" + board, token: token}).into(200, &report)
		require.Equal(t, want, []any{report[0].Rank, report[0].OwnerID, report[0].OwnerName, report[0].Score}, board)
	}
}

// Owners and players are apart, whatever their ids and names: nobody acts as the other kind.
func TestOwnersArePlayersToNobody(t *testing.T) {
	g := newGame(t, gameOptions{boards: ownersFile})
	token, moderator := g.submitter(), g.moderator()
	ada, adas := g.player("ada")
	require.Equal(t, 1, g.createPlayers(token, external("7", "race", 5)).Accepted)
	clan := g.submitAll(token, owned("7", "clans", 10, kills(1), `"owner_name":"ada"`)).Results[0].Receipt
	require.Equal(t, 1, g.submitAll(token, owned("ada", "cars", 10, `"owner_name":"Grace Hopper"`)).Accepted)
	none := owned("unknown", "race", 1)

	submit := func(token, body string) request {
		return request{method: "POST", path: "/v1/scores/submit", token: token, body: body}
	}
	get := func(token, path string) request { return request{method: "GET", path: path, token: token} }
	for attempt, c := range map[string]struct {
		request
		status int
		slug   string
		fields []string
	}{
		"a score of an owner, with a player's token":           {submit(adas, owned("7", "clans", 99, kills(1))), 403, "forbidden", []string{"owner_id"}},
		"a score on a board of owners, with a player's token":  {submit(adas, `{"score":99,"game_id":"clans","columns":{"kills":1}}`), 403, "servers-only", []string{"game_id"}},
		"a player's score on a board of owners":                {submit(token, itemOf(ada, "clans", 99, kills(1))), 422, "invalid-request", []string{"user_id"}},
		"a player's score on a board of owners, by its own id": {submit(token, external("7", "cars", 99)), 422, "invalid-request", []string{"external_id"}},
		"an owner's score on a board of players":               {submit(token, owned("7", "race", 99)), 422, "invalid-request", []string{"owner_id"}},
		"an owner's score on global":                           {submit(token, owned("7", "", 99)), 422, "invalid-request", []string{"owner_id"}},
		"an owner as a player, on a board of players":          {submit(token, itemOf(clan.UserID, "race", 99)), 422, "invalid-request", []string{"user_id"}},
		"an owner as a player, on a board of owners":           {submit(token, itemOf(clan.UserID, "clans", 99, kills(1))), 422, "invalid-request", []string{"user_id"}},
		"a new owner on a board of players":                    {submit(token, none), 422, "invalid-request", []string{"owner_id"}},
		"a player and an owner at once":                        {submit(token, itemOf(ada, "clans", 99, kills(1), `"owner_id":"7"`)), 422, "invalid-request", []string{"owner_id"}},
		"two kinds of ids of the game at once":                 {submit(token, external("7", "clans", 99)[:1]+`"owner_id":"7",`+external("7", "clans", 99)[1:]), 422, "invalid-request", []string{"owner_id"}},
		"a name of an owner that is not named":                 {submit(token, itemOf(ada, "race", 99, `"owner_name":"x"`)), 422, "invalid-request", []string{"owner_name"}},
		"a name without an owner, with a player's token":       {submit(adas, `{"score":99,"owner_name":"x"}`), 422, "invalid-request", []string{"owner_name"}},
		"naming an owner, with a player's token":               {request{method: "PUT", path: ownerPath("7"), token: adas, body: `{"owner_name":"x"}`}, 403, "insufficient-scope", nil},
		"naming an owner, with a token that only reads":        {request{method: "PUT", path: ownerPath("7"), token: g.serviceToken("reader", g.account("reader", accounts.Read), ""), body: `{"owner_name":"x"}`}, 403, "insufficient-scope", nil},
		"finding an owner, with a player's token":              {get(adas, ownerPath("7")), 403, "insufficient-scope", nil},
		"finding a player by external id, as an owner":         {get(token, "/v1/players/by-external-id/ada"), 404, "no-player", []string{"external_id"}},
		"finding an owner that there is not":                   {get(token, ownerPath("unknown")), 404, "no-player", []string{"owner_id"}},
		"the entries of an owner that there is not":            {get("", "/v1/players/owner:unknown/entries"), 404, "no-player", []string{"player"}},
		"the entries of an owner without an id":                {get("", "/v1/players/owner:/entries"), 422, "invalid-request", []string{"player"}},
		"a list with an owner that there is not":               {request{method: "POST", path: "/v1/boards/clans/entries/list", token: token, body: list("owner:7", "owner:unknown")}, 422, "invalid-request", []string{"players[1]"}},
		"a list with an owner twice":                           {request{method: "POST", path: "/v1/boards/clans/entries/list", token: token, body: list("owner:7", clan.UserID)}, 422, "invalid-request", []string{"players[1]"}},
		"a list with an id that is none":                       {request{method: "POST", path: "/v1/boards/clans/entries/list", token: token, body: list("owner:x y")}, 422, "invalid-request", []string{"players[0]"}},
		"the usernames that an owner had":                      {get(moderator, "/v1/admin/players/"+clan.UserID+"/usernames"), 404, "no-player", nil},
		"a password for an owner":                              {request{method: "POST", path: "/v1/admin/players/" + clan.UserID + "/password_reset", token: moderator, body: because("x")}, 404, "no-player", nil},
	} {
		g.do(c.request).problem(c.status, c.slug, c.fields...)
		attack.Refused(t, attempt, c.slug)
	}
	for _, name := range []string{clan.Username, "owner " + clan.UserID, "ada", "7", "Grace Hopper"} {
		for _, password := range []string{"", "correct horse!"} {
			require.Equal(t, 401, g.do(request{method: "POST", path: "/v1/auth/token", body: credentials(name, password)}).status, name)
		}
		attack.Refused(t, "a login as the owner "+name, "unauthenticated")
	}

	// In a batch, too, each by itself.
	batch := g.submitAll(token, itemOf(ada, "clans", 99, kills(1)), itemOf(clan.UserID, "race", 99), none, owned("7", "clans", 11, kills(1)))
	for i, field := range []string{"user_id", "user_id", "owner_id"} {
		refused(t, batch.Results[i], 422, "invalid-request", field)
		attack.Refused(t, "the same in a batch: "+field, "invalid-request")
	}
	require.Equal(t, 1, batch.Accepted)

	// Neither takes names from the other.
	for _, name := range []string{clan.Username, "grace"} {
		require.Equal(t, 201, g.do(request{method: "POST", path: "/v1/auth/register", body: credentials(name, password)}).status, name)
	}
	var page httpapi.BoardEntries
	g.get("/v1/boards/clans/entries?page=1", &page)
	require.Equal(t, []string{"1 7 (ada)"}, ownersOf(page.Entries))
	require.Equal(t, int64(11), page.Entries[0].Score)
}

// Owners are moderated as players are, by the id that entries have, and erased.
func TestOwnersAreModeratedAndErased(t *testing.T) {
	g := newGame(t, gameOptions{boards: ownersFile})
	token, moderator := g.submitter(), g.moderator()
	const id, name, written = "needle-7", "Haystack Seven", "sewing"
	answer := g.submitAll(token, owned(id, "clans", 50, kills(1), `"owner_name":"`+name+`","metadata":{"at":"`+written+`"},"idempotency_key":"k"`), owned("8", "clans", 40, kills(1)), owned(id, "cars", 5))
	require.Equal(t, 3, answer.Accepted, "%v %v", answer.Results[0].Problem, answer.Results[2].Problem)
	g.setOwner(token, id, `{"attributes":{"region":"EU"}}`)
	user, other := answer.Results[0].Receipt.UserID, answer.Results[1].Receipt.Username
	own := answer.Results[0].Receipt.Username
	const clans, cars = "/v1/boards/clans/entries?page=1", "/v1/boards/cars/entries?page=1"
	g.service.Moderator.(*postgres.Ledger).SetSubscriptions([]leaderboard.Subscription{{Webhook: "support", Events: []leaderboard.EventType{leaderboard.EventPlayerBanned}}})

	for _, c := range []struct{ do, undo string }{
		{"players/" + user + "/ban", "unban"}, {"players/" + user + "/shadow_ban", "shadow_unban"},
		{"boards/clans/players/" + user + "/hide", "unhide"}, {"boards/clans/players/" + user + "/remove", "restore"},
	} {
		require.True(t, g.moderate(moderator, c.do).Changed, c.do)
		g.shows(clans, other+" 40")
		if c.undo == "unban" {
			refused(t, g.submitAll(token, owned(id, "cars", 5)).Results[0], 403, "forbidden", "owner_id")
		}
		require.True(t, g.moderate(moderator, c.do[:strings.LastIndex(c.do, "/")+1]+c.undo).Changed, c.undo)
		g.shows(clans, own+" 50", other+" 40")
	}

	require.Contains(t, g.dump("webhook_messages"), id)
	require.NotEmpty(t, g.traces(id, name, written))
	require.Equal(t, 200, g.do(erasureOf(user, g.admin())).status)
	g.finished()
	g.shows(clans, other+" 40")
	g.shows(cars)
	g.do(request{method: "GET", path: ownerPath(id), token: token}).problem(404, "no-player", "owner_id")
	require.Empty(t, g.traces(id, name, written))

	// The id is free: what has it from now on is another owner.
	again := g.submitAll(token, owned(id, "cars", 2)).Results[0].Receipt
	require.NotEqual(t, user, again.UserID)
	require.Equal(t, int64(2), *again.Score)
}

// However many servers make or name an owner at once, there is one, and it has one of the names.
func TestSavingOwnersAtOnce(t *testing.T) {
	g := newGame(t, gameOptions{boards: ownersFile})
	token := g.submitter()
	const callers, each = 6, 40
	servers := []request{{}, {server: g.replica(ownersFile)}}
	var group sync.WaitGroup
	users := make([]map[string]string, callers)
	for i := range callers {
		users[i] = map[string]string{}
		group.Go(func() {
			items := make([]string, each)
			for j := range items {
				items[(j*7+i*13)%each] = owned(fmt.Sprintf("id-%d", j), "cars", 1, fmt.Sprintf(`"owner_name":"of %d"`, i))
			}
			var answer httpapi.BatchResults
			g.do(request{method: "POST", path: "/v1/scores/batch", token: token, body: batch(items...), server: servers[i%2].server}).into(200, &answer)
			for _, result := range answer.Results {
				if result.Receipt == nil {
					g.report(fmt.Errorf("refused: %v", result.Problem))
					return
				}
				users[i][result.Receipt.OwnerID] = result.Receipt.UserID
			}
		})
	}
	group.Wait()

	require.Equal(t, each, g.count("owners"))
	require.Equal(t, each, g.count("players"))
	require.Equal(t, callers*each, g.count("score_events"))
	for i := range callers {
		require.Equal(t, users[0], users[i])
	}
	for line := range strings.Lines(g.dump("owners")) {
		require.Regexp(t, `,"of [0-5]"\)$`, strings.TrimSpace(line))
	}
}

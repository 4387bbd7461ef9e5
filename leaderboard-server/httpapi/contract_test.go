package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// calls has one good request for each call of the contract.
func calls(token string) map[string]request {
	today := time.Now().UTC().Format(time.DateOnly)
	return map[string]request{
		"register":       {method: "POST", path: "/v1/auth/register", body: credentials("newcomer", password)},
		"token":          {method: "POST", path: "/v1/auth/token", body: credentials("ada", password)},
		"submitScore":    {method: "POST", path: "/v1/scores/submit", token: token, body: submission("", 5)},
		"submitScores":   {method: "POST", path: "/v1/scores/batch", token: token, body: batch(itemOf(nobody, "", 5))},
		"externalPlayer": {method: "GET", path: "/v1/players/by-external-id/steam:76561197960287930", token: token},
		"owner":          {method: "GET", path: "/v1/owners/team:7", token: token},
		"setOwner":       {method: "PUT", path: "/v1/owners/team:7", token: token, body: `{"owner_name": "Team 7", "attributes": {}}`},
		"leaderboard":    {method: "GET", path: "/v1/leaderboard/global"},
		"myRank":         {method: "GET", path: "/v1/leaderboard/my_rank", token: token},
		"topPlayers":     {method: "GET", path: "/v1/reports/top_players?start_date=" + today + "&end_date=" + today, token: token},
		"boards":         {method: "GET", path: "/v1/boards"},
		"board":          {method: "GET", path: "/v1/boards/global"},
		"boardEntries":   {method: "GET", path: "/v1/boards/global/entries"},
		"seasons":        {method: "GET", path: "/v1/boards/laps/seasons"},

		"entriesAround": {method: "GET", path: "/v1/boards/global/entries/around?player=me", token: token},
		"listEntries":   {method: "POST", path: "/v1/boards/global/entries/list", token: token, body: list(nobody)},
		"playerEntries": {method: "GET", path: "/v1/players/me/entries", token: token},
		"history":       {method: "GET", path: "/v1/boards/global/players/me/history", token: token},
		"attributes":    {method: "GET", path: "/v1/players/me/attributes", token: token},
		"setAttributes": {method: "PUT", path: "/v1/players/me/attributes", token: token, body: `{"attributes": {}}`},
		"export":        {method: "GET", path: "/v1/players/me/export", token: token},
	}
}

// ofServers are the calls that take no player's token.
var ofServers = []string{"submitScores", "externalPlayer", "owner", "setOwner"}

// nobody is the id of no player.
const nobody = "01890000-0000-7000-8000-000000000000"

// list is the body of a call that names players.
func list(ids ...string) string { return encode(map[string][]string{"players": ids}) }

// login is a login by the form of OAuth 2.0.
func login(username, password string) request {
	return request{method: "POST", path: "/v1/auth/token", form: true,
		body: "grant_type=password&username=" + url.QueryEscape(username) + "&password=" + url.QueryEscape(password)}
}

// withBroken serves the game once more with a changed option.
func (g *game) withBroken(change func(*httpapi.Options)) func(request) request {
	options := g.options
	change(&options)
	server := g.serve(options)
	return func(r request) request {
		r.server = server
		return r
	}
}

// Whatever the contract documents of every call is shown: each status with its media
// types and headers, and each parameter and body.
func TestContract(t *testing.T) {
	limited := `{"name": "daily-run", "limits": {"perMinute": 5, "cooldownSeconds": 1, "attempts": [{"window": "all", "max": 1}]}}, `
	g := newGame(t, gameOptions{boards: strings.Replace(windowsFile, `"boards": [`, `"boards": [`+limited, 1)})
	id, token := g.player("ada")
	secret := g.account("contract-server", accounts.Submit, accounts.Read)
	service := g.serviceToken("contract-server", secret, "")
	require.Equal(t, 1, g.createPlayers(service, external("steam:76561197960287930", "", 1)).Accepted)
	g.setOwner(service, "team:7", "{}")
	big := encode(map[string]string{"username": "ada", "password": strings.Repeat("x", 64<<10)})

	t.Run("2xx", func(t *testing.T) {
		g.t = t
		require.Equal(t, id, g.submit(token, "", 5).UserID)
		for name, r := range calls(token) {
			if name == "listEntries" {
				r.body = list(id)
			}
			if slices.Contains(ofServers, name) {
				r.token = service
			}
			require.Less(t, g.do(r).status, 300, name)
		}
		require.Equal(t, 200, g.do(login("ada", password)).status)
		require.Equal(t, 200, g.do(clientLogin("contract-server", secret, "submit")).status)

		for _, path := range []string{"/", "/openapi.yaml", "/openapi.json"} {
			require.Equal(t, 200, g.do(request{method: "GET", path: path}).status)
		}
	})

	t.Run("parameters", func(t *testing.T) {
		g.t = t
		_, german := g.playerOf("grete", map[string]string{"country": "DE"})
		g.submit(german, "laps", 61)
		for _, path := range []string{"entries?segment=country:DE&window=all", "entries/around?segment=country&player=me", "players/me/history?segment=country"} {
			require.Equal(t, 200, g.do(request{method: "GET", path: "/v1/boards/laps/" + path, token: german}).status, path)
		}
		for _, path := range []string{"/v1/players/me/entries?segment=country&include=segments", "/v1/leaderboard/my_rank?game_id=laps&include=segments"} {
			require.Equal(t, 200, g.do(request{method: "GET", path: path, token: german}).status, path)
		}
		require.Equal(t, 200, g.do(request{method: "POST", path: "/v1/boards/laps/entries/list?segment=country", token: german, body: list(id)}).status)
		g.change(german, map[string]string{"country": "FR"})
		g.openSeasons()
		g.submit(token, "laps", 60)
		g.endSeason("laps")
		for _, path := range []string{
			"/v1/leaderboard/global?game_id=laps&page=1&page_size=5",
			"/v1/leaderboard/my_rank?game_id=laps",
			calls(token)["topPlayers"].path + "&limit=5&game_id=laps&time_zone=Europe/Berlin",
			"/v1/boards/laps/seasons?window=daily&before=2&limit=1",
			"/v1/boards/laps/entries?window=daily&season=1&from_rank=1&page_size=5",
			"/v1/boards/laps/entries?min_score=1&max_score=90&page=1",
			"/v1/boards/laps/entries/around?window=daily&season=1&score=5&before=1&after=1",
			"/v1/players/me/entries?boards=laps&window=cup&include=reached_at",
			"/v1/leaderboard/global?include=reached_at",
			"/v1/leaderboard/my_rank?include=reached_at",
			"/v1/boards/laps/entries?include=reached_at",
			"/v1/boards/laps/entries/around?player=me&include=reached_at",
			"/v1/boards/laps/players/me/history?window=daily&season=1&page_size=1&include=metadata",
			"/v1/leaderboard/global?include=metadata,reached_at",
		} {
			require.Equal(t, 200, g.do(request{method: "GET", path: path, token: token}).status, path)
		}
		require.Equal(t, 200, g.describe(token, "race", 5, `{"car":"gt"}`, nil).status)
		r := calls(token)["listEntries"]
		r.path, r.body = "/v1/boards/laps/entries/list?window=daily&season=1&include=reached_at", list(id)
		require.Equal(t, 200, g.do(r).status)

		g.submit(token, "laps", 59)
		var part httpapi.History
		g.do(request{method: "GET", path: "/v1/boards/laps/players/me/history?page_size=1", token: token}).into(200, &part)
		require.Equal(t, 200, g.do(request{method: "GET", path: "/v1/boards/laps/players/me/history?page_size=1&cursor=" + *part.NextCursor, token: token}).status)
	})

	t.Run("streams", func(t *testing.T) {
		g.t = t
		r := calls(service)["submitScores"]
		r.path += "?create_players=false"
		require.Equal(t, 200, g.do(r).status)
		r.header, r.body = map[string]string{"Content-Type": "application/x-ndjson"}, itemOf(id, "", 5)
		require.Equal(t, 200, g.do(r).status)
	})

	t.Run("304", func(t *testing.T) {
		g.t = t
		for _, path := range []string{"/v1/leaderboard/global", "/v1/boards", "/v1/boards/global", "/v1/boards/global/entries?page=1", "/v1/boards/laps/seasons", "/openapi.yaml", "/openapi.json"} {
			tag := g.do(request{method: "GET", path: path}).header.Get("ETag")
			answer := g.do(request{method: "GET", path: path, header: map[string]string{"If-None-Match": `"x", ` + tag}})
			require.Equal(t, 304, answer.status, path)
			require.Empty(t, answer.body)
		}
	})

	t.Run("front", func(t *testing.T) {
		g.t = t
		for _, method := range []string{"GET", "HEAD"} { // as balancers ask: without a token, and of what Accept they like
			require.Equal(t, 200, g.do(request{method: method, path: "/", header: map[string]string{"Accept": "text/html"}}).status)
		}
		starting := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { return nil } })
		g.do(starting(request{method: "GET", path: "/"})).problem(503, "unavailable")
		stopping := make(chan struct{})
		close(stopping)
		ending := g.withBroken(func(o *httpapi.Options) { o.Stopping = stopping })
		g.do(ending(request{method: "GET", path: "/"})).problem(503, "unavailable")
	})

	t.Run("400", func(t *testing.T) {
		g.t = t
		for _, call := range []string{"register", "token", "submitScore", "submitScores", "listEntries", "setAttributes", "setOwner"} {
			r := calls(token)[call]
			if slices.Contains(ofServers, call) {
				r.token = service
			}
			r.body = "{"
			g.do(r).problem(400, "malformed-request")
		}
	})

	t.Run("401", func(t *testing.T) {
		g.t = t
		for _, call := range []string{"submitScore", "myRank", "topPlayers", "entriesAround", "listEntries", "playerEntries", "history", "boardEntries", "attributes", "setAttributes", "export", "submitScores", "externalPlayer", "owner", "setOwner"} {
			r := calls("")[call]
			if call == "boardEntries" { // only a player has an own segment
				r.path = "/v1/boards/laps/entries?segment=country"
			}
			answer := g.do(r)
			answer.problem(401, "unauthenticated")
			require.Equal(t, `Bearer realm="leaderboard"`, answer.header.Get("WWW-Authenticate"), "no token, no error in it")
		}

		for _, who := range []string{"ada", "nobody"} {
			r := request{method: "POST", path: "/v1/auth/token", body: credentials(who, "wrong horse")}
			require.Equal(t, "the username or the password is wrong", g.do(r).problem(401, "unauthenticated").Detail)
		}
		require.Equal(t, 401, g.do(clientLogin("contract-server", "wrong horse", "")).status)
	})

	t.Run("403", func(t *testing.T) {
		g.t = t
		_, token := g.player("mallory")
		g.sql("UPDATE players SET state = 'disabled' WHERE username = 'mallory'")
		g.do(calls(token)["submitScore"]).problem(403, "forbidden")
		g.do(calls(token)["setAttributes"]).problem(403, "forbidden")
		g.do(request{method: "POST", path: "/v1/auth/token", body: credentials("mallory", password)}).problem(403, "forbidden")

		reader, submitter := g.serviceToken("contract-server", secret, "read"), g.serviceToken("contract-server", secret, "submit")
		g.do(calls(reader)["submitScore"]).problem(403, "insufficient-scope")
		g.do(calls(reader)["submitScores"]).problem(403, "insufficient-scope")
		for _, call := range ofServers {
			g.do(calls(token)[call]).problem(403, "insufficient-scope")
		}
		g.do(calls(reader)["setOwner"]).problem(403, "insufficient-scope")
		for _, call := range []string{"externalPlayer", "owner"} {
			g.do(calls(submitter)[call]).problem(403, "insufficient-scope")
		}
		for _, call := range []string{"topPlayers", "listEntries", "history"} {
			g.do(calls(submitter)[call]).problem(403, "insufficient-scope")
		}
		for _, call := range []string{"myRank", "entriesAround", "playerEntries", "attributes", "setAttributes", "history", "export"} {
			g.do(calls(reader)[call]).problem(403, "not-a-player")
		}
		g.do(request{method: "GET", path: "/v1/boards/laps/entries?segment=country", token: reader}).problem(403, "not-a-player")
	})

	t.Run("404", func(t *testing.T) {
		g.t = t
		g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("chess", 5)}).problem(404, "no-board", "game_id")
		for _, call := range []string{"leaderboard", "myRank", "topPlayers"} {
			r := calls(token)[call]
			separator := "?"
			if strings.Contains(r.path, "?") {
				separator = "&"
			}
			r.path += separator + "game_id=chess"
			g.do(r).problem(404, "no-board", "game_id")
		}

		for _, path := range []string{"/v1/boards/chess", "/v1/boards/chess/seasons", "/v1/boards/chess/entries", "/v1/boards/chess/entries?page=1", "/v1/boards/chess/entries/around?score=1"} {
			g.do(request{method: "GET", path: path}).problem(404, "no-board", "board")
		}
		g.do(request{method: "POST", path: "/v1/boards/chess/entries/list", token: token, body: list(id)}).problem(404, "no-board", "board")
		g.do(request{method: "GET", path: "/v1/players/me/entries?boards=race,chess", token: token}).problem(404, "no-board", "boards")
		for _, path := range []string{"/v1/players/" + nobody + "/entries", "/v1/boards/global/entries/around?player=" + nobody} {
			g.do(request{method: "GET", path: path}).problem(404, "no-player")
		}
		g.do(request{method: "GET", path: "/v1/players/by-external-id/nobody", token: service}).problem(404, "no-player", "external_id")
		g.do(request{method: "GET", path: "/v1/owners/nobody", token: service}).problem(404, "no-player", "owner_id")
		for path, slug := range map[string]string{"/v1/boards/chess/players/me/history": "no-board", "/v1/boards/laps/players/me/history?window=weekly": "no-window"} {
			field, _ := strings.CutPrefix(slug, "no-")
			g.do(request{method: "GET", path: path, token: token}).problem(404, slug, field)
		}
		g.do(request{method: "GET", path: "/v1/boards/global/players/" + nobody + "/history", token: token}).problem(404, "no-player")
		_, fresh := g.player("without-scores")
		g.do(calls(fresh)["myRank"]).problem(404, "no-entry")
		g.do(calls(fresh)["entriesAround"]).problem(404, "no-entry")
	})

	t.Run("409", func(t *testing.T) {
		g.t = t
		r := calls(token)["register"]
		r.body = credentials("ADA", password)
		g.do(r).problem(409, "username-taken", "username")
		key := map[string]string{"Idempotency-Key": `"once"`}
		for _, replayed := range []string{"", "true"} {
			answer := g.do(request{method: "POST", path: "/v1/scores/submit", token: token, header: key, body: submission("", 6)})
			require.Equal(t, 200, answer.status)
			require.Equal(t, replayed, answer.header.Get("Idempotency-Replayed"))
		}
		g.do(request{method: "POST", path: "/v1/scores/submit", token: token, header: key, body: submission("", 7)}).
			problem(409, "idempotency-key-reused", "Idempotency-Key")

		// As many values as there may be, of which JP is none.
		g.sql("INSERT INTO attribute_values (number, attribute, value) SELECT n, 'country', 'X' || n FROM generate_series(3, 1000) n")
		r = calls(token)["setAttributes"]
		r.body = attributesBody(map[string]string{"country": "JP"})
		g.do(r).problem(409, "too-many-values", "attributes")
		r = calls(service)["setOwner"]
		r.body = attributesBody(map[string]string{"country": "JP"})
		g.do(r).problem(409, "too-many-values", "attributes")
		r = calls(token)["register"]
		r.body = encode(map[string]any{"username": "late", "password": password, "attributes": map[string]string{"country": "JP"}})
		g.do(r).problem(409, "too-many-values", "attributes")
		g.playerOf("late", map[string]string{"country": "FR"}) // nothing of it was stored
	})

	t.Run("410", func(t *testing.T) {
		g.t = t
		_, second := g.player("second")
		g.submit(second, "", 1)
		cursor := g.walk("global", "", 1).NextCursor
		require.NotNil(t, cursor)
		require.Len(t, g.walk("global", *cursor, 1).Entries, 1)
		g.endSnapshots()
		g.do(request{method: "GET", path: "/v1/boards/global/entries?cursor=" + *cursor}).problem(410, "walk-ended", "cursor")

		g.dropSeasons("laps", "daily")
		for _, call := range []string{"boardEntries", "entriesAround", "listEntries", "history"} {
			r := calls(token)[call]
			path, query, _ := strings.Cut(strings.Replace(r.path, "global", "laps", 1), "?")
			r.path = path + "?window=daily&season=1&" + query
			g.do(r).problem(410, "season-dropped", "season")
		}
	})

	t.Run("413 and 415", func(t *testing.T) {
		g.t = t
		for _, call := range []string{"register", "token", "submitScore", "listEntries", "setAttributes", "setOwner"} {
			r := calls(token)[call]
			if slices.Contains(ofServers, call) {
				r.token = service
			}
			fine := r.body
			r.body = big
			g.do(r).problem(413, "body-too-large")
			r.body, r.header = fine, map[string]string{"Content-Type": "text/plain"}
			g.do(r).problem(415, "unsupported-media-type", "Content-Type")
		}

		r := g.withBroken(func(o *httpapi.Options) { o.HTTP.BodyBudget = 8 << 20 })(calls(service)["submitScores"])
		r.body = batch(fmt.Sprintf(`{"score":1,"user_id":%q}`, strings.Repeat("x", 4<<20)))
		g.do(r).problem(413, "body-too-large")
		r.header = map[string]string{"Content-Type": "text/plain"}
		g.do(r).problem(415, "unsupported-media-type", "Content-Type")
	})

	t.Run("422", func(t *testing.T) {
		g.t = t
		for _, call := range []string{"register", "token", "submitScore", "listEntries", "setAttributes"} {
			r := calls(token)[call]
			r.body = "{}"
			require.Equal(t, 422, g.do(r).status)
		}
		g.do(request{method: "POST", path: "/v1/scores/batch", token: service, body: "{}"}).problem(422, "invalid-request", "items")
		g.do(request{method: "PUT", path: "/v1/owners/team:7", token: service, body: `{"name":"x"}`}).problem(422, "invalid-request", "name")

		for _, call := range []string{"leaderboard", "myRank", "topPlayers", "boards", "board", "seasons", "boardEntries", "entriesAround", "playerEntries", "history", "attributes", "export", "externalPlayer", "owner"} {
			r := calls(token)[call]
			if slices.Contains(ofServers, call) {
				r.token = service
			}
			r.path, _, _ = strings.Cut(r.path, "?")
			r.path += "?game_id="
			require.Equal(t, 422, g.do(r).status, call)
		}

		g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("race", 1001)}).problem(422, "score-out-of-range", "score")
	})

	// Before the strict rates below, which use up what the client may log in for an hour.
	t.Run("accounts", func(t *testing.T) {
		g.t = t
		g.showAccounts()
	})
	t.Run("erasure", func(t *testing.T) {
		g.t = t
		g.showErasure(big)
	})

	t.Run("errors of forms", func(t *testing.T) {
		g.t = t
		refused := func(status int, r request) {
			var answer httpapi.OAuthError
			g.do(r).into(status, &answer)
		}

		strict := g.withBroken(func(o *httpapi.Options) {
			o.Auth.LoginRatePerUsername = config.Rate{Events: 1, Per: time.Hour, Burst: 1}
		})
		// Of an account that has not logged in yet, nothing counts under another rate.
		require.Equal(t, 201, g.do(request{method: "POST", path: "/v1/auth/register", body: credentials("strict", password)}).status)
		require.Equal(t, 200, g.do(strict(login("strict", password))).status)
		refused(400, login("strict", "wrong horse"))
		refused(429, strict(login("strict", password)))
		refused(503, g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { return nil } })(login("ada", password)))

		g.sql("UPDATE players SET password_hash = 'no hash' WHERE username = 'second'")
		refused(500, login("second", password))
	})

	t.Run("429", func(t *testing.T) {
		g.t = t
		strict := g.withBroken(func(o *httpapi.Options) {
			rate := config.Rate{Events: 1, Per: time.Hour, Burst: 1}
			o.Auth.LoginRatePerClient, o.Auth.RegisterRatePerUsername, o.HTTP.ReportRatePerPlayer, o.HTTP.HistoryRatePerPlayer = rate, rate, rate, rate
			o.HTTP.AttributeRatePerPlayer, o.HTTP.ExportRatePerPlayer = rate, rate
		})

		limits := map[string]string{"register": "register-username", "token": "login-client", "topPlayers": "report-player", "history": "history-player", "setAttributes": "attributes-player",
			"export": "export-player"}
		for range 2 {
			for call := range limits {
				g.do(strict(calls(token)[call]))
			}
		}

		for call, limit := range limits {
			answer := g.do(strict(calls(token)[call]))
			answer.problem(429, "rate-limited")
			require.NotEmpty(t, answer.header.Get("Retry-After"))
			require.Equal(t, fmt.Sprintf(`"%s";q=1;w=3600`, limit), answer.header.Get("RateLimit-Policy"))
			require.Equal(t, fmt.Sprintf(`"%s";r=0;t=%s`, limit, answer.header.Get("Retry-After")), answer.header.Get("RateLimit"))
		}
	})

	t.Run("429 of submissions", func(t *testing.T) {
		g.t = t
		one := g.withBroken(func(o *httpapi.Options) { o.HTTP.MaxInFlightPerPlayer = 1 })
		r := one(calls(token)["submitScore"])
		finish, _ := g.beginSubmission(r.server, token)
		g.do(r).problem(429, "rate-limited")
		require.Equal(t, 200, finish())
	})

	t.Run("429 of limits", func(t *testing.T) {
		g.t = t
		r := request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("daily-run", 1)}
		taken := g.do(r)
		require.Equal(t, 200, taken.status)
		require.Equal(t, `"per-minute";q=5;w=60, "cooldown";q=1;w=1, "attempts-all";q=1`, taken.header.Get("RateLimit-Policy"))
		answer := g.do(r)
		answer.problem(429, "limit-exceeded")
		require.Empty(t, answer.header.Get("Retry-After"))
		require.Contains(t, answer.header.Get("RateLimit"), `"attempts-all";r=0`)
	})

	t.Run("429 of batches", func(t *testing.T) {
		g.t = t
		one := g.withBroken(func(o *httpapi.Options) { o.HTTP.MaxBatchesPerAccount = 1 })
		r := one(calls(service)["submitScores"])
		finish, _ := g.begin(r.server, service, r.path, r.body)
		g.do(r).problem(429, "rate-limited")
		require.Equal(t, 200, finish())
	})

	t.Run("429 of lists", func(t *testing.T) {
		g.t = t
		one := g.withBroken(func(o *httpapi.Options) { o.HTTP.MaxListsPerClient = 1 })
		r := one(calls(token)["playerEntries"])
		finish, _ := g.begin(r.server, token, "/v1/boards/global/entries/list", list(id))
		for _, call := range []string{"listEntries", "playerEntries"} {
			again := calls(token)[call]
			again.server = r.server
			g.do(again).problem(429, "rate-limited")
		}
		require.Equal(t, 200, finish())
	})

	t.Run("500", func(t *testing.T) {
		g.t = t
		panics := g.withBroken(func(o *httpapi.Options) {
			o.Service = func() *leaderboard.Service { panic("a defect with secrets in it") }
		})

		for _, r := range calls(token) {
			answer := g.do(panics(r))
			answer.problem(500, "internal-error")
			require.NotContains(t, string(answer.body), "secrets")
		}
	})

	t.Run("503", func(t *testing.T) {
		g.t = t
		starting := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { return nil } })
		for _, r := range calls(token) {
			answer := g.do(starting(r))
			answer.problem(503, "unavailable")
			require.NotEmpty(t, answer.header.Get("Retry-After"))
		}
	})
	t.Run("moderation", func(t *testing.T) {
		g.t = t
		g.freshRates()
		g.showModeration(id, token)
	})
	t.Run("review", func(t *testing.T) {
		g.t = t
		g.showReview(token)
	})
	g.t = t
	g.showSignatures()
	require.Empty(t, g.contract.Unseen(), "documented, and not shown here")
}

// A score is safe without Redis; reads say that they cannot answer.
func TestWithoutRedis(t *testing.T) {
	own, err := stores.StartRedis(t.Context(), stores.RedisOptions{})
	require.NoError(t, err)
	defer own.Close()

	g := newGame(t, gameOptions{redis: own})
	_, token := g.player("ada")
	require.Equal(t, httpapi.Live, g.submit(token, "race", 5).Ranking)
	own.Kill()

	receipt := g.submit(token, "race", 9)
	require.Equal(t, httpapi.Delayed, receipt.Ranking)
	require.Nil(t, receipt.Rank)
	require.Nil(t, receipt.Score)
	require.Equal(t, int64(9), receipt.ScoreSaved)

	for _, call := range []string{"leaderboard", "myRank", "boardEntries", "entriesAround", "playerEntries"} {
		answer := g.do(calls(token)[call])
		answer.problem(503, "ranking-unavailable")
		require.NotEmpty(t, answer.header.Get("Retry-After"))
	}

	require.Equal(t, 200, g.do(calls(token)["topPlayers"]).status, "reports come from the ledger")
	require.Equal(t, 200, g.do(calls(token)["history"]).status, "so do histories")
	require.Equal(t, 200, g.do(calls(token)["token"]).status, "logins go on, with a limit of this process")

	require.NoError(t, own.Start(t.Context()))
	var entry httpapi.Entry
	require.Eventually(t, func() bool {
		answer := g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=race", token: token})
		if answer.status != 200 {
			return false
		}
		answer.into(200, &entry)
		return true
	}, patience, 20*time.Millisecond)

	require.Equal(t, int64(9), entry.Score)
}

// Boards and ranks go on without Postgres; what writes says that it cannot.
func TestWithoutPostgres(t *testing.T) {
	server, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{})
	require.NoError(t, err)
	defer server.Close()

	shared := postgresServer
	postgresServer = server
	defer func() { postgresServer = shared }()

	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	g.submit(token, "", 5)
	require.Equal(t, 200, g.do(calls(token)["myRank"]).status)
	require.Equal(t, 200, g.do(calls(token)["leaderboard"]).status)
	_, grace := g.player("grace") // no page has shown her yet
	g.submit(grace, "", 4)
	server.Kill()

	for _, call := range []string{"register", "token", "submitScore", "topPlayers", "history"} {
		g.do(calls(token)[call]).problem(503, "unavailable")
	}

	for _, call := range []string{"myRank", "leaderboard", "boards", "board", "boardEntries", "entriesAround", "playerEntries"} {
		answer := g.do(calls(token)[call])
		require.Equal(t, 200, answer.status, "%s: %s", call, answer.body)
	}

	// A page has no times, and is there all the same.
	var part httpapi.BoardEntries
	g.do(request{method: "GET", path: "/v1/boards/global/entries?page=1&include=reached_at"}).into(200, &part)
	require.Equal(t, json.RawMessage("null"), part.Entries[0].ReachedAt)

	// A page has the names that the server knows, and the others once it can ask.
	var page httpapi.Leaderboard
	live := request{method: "GET", path: "/v1/leaderboard/global", token: token}
	g.do(live).into(200, &page)
	require.Len(t, page.Leaderboard, 2)
	require.Equal(t, "ada", *page.Leaderboard[0].Username)
	require.Equal(t, httpapi.PageEntry{Rank: 2, Score: 4, GameID: "global"}, page.Leaderboard[1])

	require.NoError(t, server.Start(t.Context()))
	require.Eventually(t, func() bool {
		g.do(live).into(200, &page)
		return page.Leaderboard[1].Username != nil
	}, patience, 20*time.Millisecond)
	require.Equal(t, "grace", *page.Leaderboard[1].Username)
}

func TestPathsAndMethods(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.do(request{method: "GET", path: "/v1/nothing"}).problem(404, "not-found")
	g.do(request{method: "GET", path: "/favicon.ico"}).problem(404, "not-found")
	answer := g.do(request{method: "DELETE", path: "/v1/leaderboard/global"})
	answer.problem(405, "method-not-allowed")
	require.Equal(t, "GET, HEAD", answer.header.Get("Allow"))
	answer = g.do(request{method: "GET", path: "/v1/auth/token"})
	answer.problem(405, "method-not-allowed")
	require.Equal(t, "POST", answer.header.Get("Allow"))
	head := g.do(request{method: "HEAD", path: "/v1/boards"})
	require.Equal(t, 200, head.status)
	require.Empty(t, head.body)

	for _, header := range []string{"X-Content-Type-Options", "Content-Security-Policy", "Cache-Control"} {
		require.NotEmpty(t, answer.header.Get(header))
	}

	id := g.do(request{method: "GET", path: "/v1/boards", header: map[string]string{"X-Request-Id": "trace-1.2_3"}}).header.Get("X-Request-Id")
	require.Equal(t, "trace-1.2_3", id)
	id = g.do(request{method: "GET", path: "/v1/boards", header: map[string]string{"X-Request-Id": `"><script>`}}).header.Get("X-Request-Id")
	require.NotContains(t, id, "script")
}

func TestCORS(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.CORSAllowedOrigins = []string{"https://play.example.com"} }})
	preflight := g.do(request{method: "OPTIONS", path: "/v1/scores/submit", header: map[string]string{
		"Origin": "https://play.example.com", "Access-Control-Request-Method": "POST",
		"Access-Control-Request-Headers": "authorization,idempotency-key, traceparent,baggage, x-unreal-agent, b\tad"}})
	require.Equal(t, 204, preflight.status)
	require.Equal(t, []string{"Origin", "Access-Control-Request-Headers"}, preflight.header.Values("Vary"))
	require.Equal(t, "https://play.example.com", preflight.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "authorization, idempotency-key, traceparent, baggage, x-unreal-agent", preflight.header.Get("Access-Control-Allow-Headers"))
	require.Empty(t, preflight.header.Get("Access-Control-Allow-Credentials"))

	for origin, allowed := range map[string]string{"https://play.example.com": "https://play.example.com", "https://evil.example.com": ""} {
		answer := g.do(request{method: "GET", path: "/v1/boards", header: map[string]string{"Origin": origin}})
		require.Equal(t, 200, answer.status)
		require.Equal(t, allowed, answer.header.Get("Access-Control-Allow-Origin"))
	}

	g.do(request{method: "OPTIONS", path: "/v1/scores/submit", header: map[string]string{
		"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"}}).problem(405, "method-not-allowed")
}

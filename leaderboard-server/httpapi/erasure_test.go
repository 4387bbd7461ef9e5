package httpapi_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/commit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis"
)

// admin is a token with which players are erased.
func (g *game) admin() string {
	return g.serviceToken("admins", g.account("admins", accounts.Admin), "")
}

// erasureOf asks for the erasure of a player by an admin.
func erasureOf(id, token string) request {
	return request{method: "DELETE", path: "/v1/admin/players/" + id, token: token, body: because("asked for by mail")}
}

// ownErasure asks for that of the player of the token.
func ownErasure(token, password string) request {
	return request{method: "DELETE", path: "/v1/players/me", token: token, body: encode(map[string]string{"password": password})}
}

// finished waits until nothing is left of players who were erased.
func (g *game) finished() {
	g.t.Helper()
	conn := g.connect()
	require.Eventually(g.t, func() bool {
		var left int
		require.NoError(g.t, conn.QueryRow(g.t.Context(), "SELECT count(*) FROM erasures WHERE finished_at IS NULL").Scan(&left))
		return left == 0
	}, patience, 20*time.Millisecond)
}

func (g *game) connect() *pgx.Conn {
	g.t.Helper()
	conn, err := pgx.Connect(g.t.Context(), g.postgres.URL(g.database))
	require.NoError(g.t, err)
	g.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// erasureFile has boards of every kind: with windows, segments, walks, sums and metadata.
const erasureFile = `{"global": {}, "attributes": [{"name": "country", "values": ["DE", "FR"]}], "boards": [
	{"name": "race", "metadata": {}, "segments": ["country"], "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "coins", "scoring": "Sum", "metadata": {}, "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "podium", "ranks": "Dense", "countsTowardGlobal": false},
	{"name": "tuple", "columns": [{"name": "level"}, {"name": "time", "order": "Ascending"}]}]}`

// A player does all that there is, and is erased: then nothing in PostgreSQL and Redis has its
// name, its id or what it wrote, but the audit the id. Others keep what they have and move up.
func TestErasureLeavesNothing(t *testing.T) {
	g := newGame(t, gameOptions{boards: erasureFile})
	g.openSeasons()
	moderator, admin := g.moderator(), g.admin()
	const name, written = "Zaphod-42", "two-heads-three-arms"
	id, token := g.playerOf("Zaphod-41", map[string]string{"country": "DE"})
	token = g.everyLogin(id, token, moderator, name)
	_, graces := g.playerOf("grace", map[string]string{"country": "DE"})
	g.playEverywhere(token, written)
	g.playEverywhere(graces, "of-grace")

	// A season that was closed with both, and one with what came since; a walk that is under way.
	g.endSeason("race")
	g.endSeason("coins")
	g.playEverywhere(token, written)
	require.NotNil(t, g.walk("race", "", 1).NextCursor)
	var history httpapi.History
	g.do(request{method: "GET", path: "/v1/boards/race/players/me/history", token: token}).into(200, &history)
	require.NotEmpty(t, history.Submissions)
	for _, path := range []string{"players/" + id + "/ban", "players/" + id + "/unban", "boards/race/players/" + id + "/hide",
		fmt.Sprintf("boards/race/players/%s/events/%d/void", id, history.Submissions[0].Event), "boards/podium/players/" + id + "/remove"} {
		g.moderate(moderator, path)
	}
	g.moderate(moderator, "boards/race/players/"+id+"/unhide")
	before := g.traces(id, name, written)
	for _, table := range []string{"players", "audit", "name_skeletons", "event_metadata", "external_ids", "account_changes", "webhook_messages"} {
		require.Contains(t, strings.Join(before, "\n"), table, "what is looked for is found where it is")
	}

	var record httpapi.AuditRecord
	g.do(erasureOf(id, admin)).into(200, &record)
	require.Equal(t, "erase", record.Action)
	require.Equal(t, "admins", record.Actor)
	var again httpapi.AuditRecord
	g.do(erasureOf(id, admin)).into(200, &again)
	require.Equal(t, record, again, "once is enough, and is recorded once")

	const daily = "&window=daily"
	for path, want := range map[string][]string{
		"/v1/boards/race/entries?page=1": {"grace 90"}, "/v1/boards/race/entries?page=1" + daily + "&season=1": {"grace 90"}, "/v1/boards/race/entries?page=1" + daily: nil,
		"/v1/boards/race/entries?page=1&segment=country:DE": {"grace 90"}, "/v1/boards/global/entries?page=1": {"grace 90"},
		"/v1/boards/coins/entries?page=1": {"grace 90"}, "/v1/boards/coins/entries?page=1" + daily + "&season=1": {"grace 90"}, "/v1/boards/podium/entries?page=1": {"grace 90"},
	} {
		g.shows(path, want...)
	}
	g.do(request{method: "GET", path: "/v1/players/" + id + "/entries"}).problem(404, "no-player")
	g.do(request{method: "GET", path: "/v1/boards/race/entries/around?player=" + id}).problem(404, "no-player")
	g.do(request{method: "POST", path: "/v1/admin/players/" + id + "/unban", token: moderator, body: because("x")}).problem(404, "no-player")
	g.do(request{method: "POST", path: "/v1/auth/token", body: credentials(name, password)}).problem(401, "unauthenticated")
	require.NotContains(t, string(g.do(request{method: "POST", path: "/v1/boards/race/entries/list", token: graces, body: list(id)}).body), name)
	today := time.Now().UTC().Format(time.DateOnly)
	for _, board := range []string{"race", "coins", "podium", "tuple", "global"} {
		path := fmt.Sprintf("/v1/reports/top_players?game_id=%s&start_date=%s&end_date=%s", board, today, today)
		require.Eventually(t, func() bool {
			answer := g.do(request{method: "GET", path: path, token: graces})
			return answer.status == 200 && strings.Contains(string(answer.body), "grace") && !strings.Contains(string(answer.body), id)
		}, patience, 100*time.Millisecond, path)
	}

	g.finished()
	require.Equal(t, []string{"audit: id"}, g.traces(id, name, written))
	require.Empty(t, g.traces(id, "Zaphod-41", written)[1:])
	for _, table := range []string{"logins", "past_names", "password_resets", "player_identities", "player_attributes"} {
		require.Equal(t, map[string]int{"player_attributes": 1}[table], g.count(table), table)
	}
	require.NotEmpty(t, g.traces("of nobody", "grace", "of-grace"), "others keep what they have")

	// The name is free, and who takes it is somebody else.
	other, token := g.player(name)
	require.NotEqual(t, id, other)
	g.submit(token, "race", 95)
	g.shows("/v1/boards/race/entries?page=1", name+" 95", "grace 90")
}

// everyLogin gives a player whatever accounts may have besides a name and a password, and another
// name. The token is one of now.
func (g *game) everyLogin(id, token, moderator, name string) string {
	g.t.Helper()
	require.Equal(g.t, 200, g.do(request{method: "PUT", path: "/v1/players/me/username", token: token, body: encode(map[string]string{"username": name})}).status)
	var kept httpapi.Token
	body := encode(map[string]string{"username": name, "password": password, "scope": "offline_access"})
	g.do(request{method: "POST", path: "/v1/auth/token", body: body}).into(200, &kept)
	require.NotNil(g.t, kept.RefreshToken)
	reset := request{method: "POST", path: "/v1/admin/players/" + id + "/password_reset", body: `{"reason":"asked for by mail"}`, token: moderator}
	require.Equal(g.t, 201, g.do(reset).status)

	g.sql("INSERT INTO external_ids (external_id, player) VALUES ('steam:76561197960287930', $1)", id)
	g.sql("INSERT INTO player_identities (issuer, subject, player) SELECT '', sha256('device'), number FROM players WHERE id = $1", id)
	g.sql("INSERT INTO held_submissions (id, player, board, score, metadata, reason) SELECT nextval('event_ids'), number, 2, 5, $2, 'always' FROM players WHERE id = $1", id, encode(name))
	entries := []leaderboard.WebhookResult{{Rank: 1, UserID: leaderboard.PlayerID(id), Username: name, Score: 9}, {Rank: 2, UserID: nobody, Username: `gr"ace`, Score: 8}}
	g.sql("INSERT INTO webhook_messages (webhook, board, event, payload) VALUES ('results', 2, 'SeasonClosed', $1)", encode(leaderboard.SeasonClosed{Board: "race", Top: entries}))
	g.sql("INSERT INTO webhook_messages (webhook, board, event, payload) VALUES ('results', 2, 'EntryUnderReview', $1)", encode(leaderboard.EntryUnderReview{Board: "race", UserID: leaderboard.PlayerID(id), Username: name}))
	return kept.AccessToken
}

// playEverywhere submits to every board, with metadata and keys where they are taken, and asks
// for what servers keep in memory.
func (g *game) playEverywhere(token, written string) {
	g.t.Helper()
	for i, board := range []string{"race", "race", "coins", "podium", ""} {
		body := map[string]any{"score": 90, "game_id": board}
		if board == "race" || board == "coins" {
			body["metadata"] = map[string]any{"text": written, "i": i}
		}
		if board == "" {
			delete(body, "game_id")
		}
		header := map[string]string{"Idempotency-Key": uuid.NewString()}
		answer := g.do(request{method: "POST", path: "/v1/scores/submit", token: token, header: header, body: encode(body)})
		require.Equal(g.t, 200, answer.status, "%s", answer.body)
	}
	body := encode(map[string]any{"game_id": "tuple", "score": 90, "columns": map[string]int{"level": 3, "time": 40}})
	answer := g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: body})
	require.Equal(g.t, 200, answer.status, "%s", answer.body)

	today := time.Now().UTC().Format(time.DateOnly)
	for _, path := range []string{"/v1/leaderboard/my_rank?game_id=race", "/v1/boards/race/entries?page=1", "/v1/players/me/entries",
		"/v1/reports/top_players?game_id=race&start_date=" + today + "&end_date=" + today, "/v1/boards/race/players/me/history"} {
		require.Equal(g.t, 200, g.do(request{method: "GET", path: path, token: token}).status, path)
	}
}

// traces are the places in the game's schema, and under its prefix in Redis, that have the id of a
// player, as text or as the bytes of the UUID, the name, in any case, or a text.
func (g *game) traces(id, name, written string) (found []string) {
	g.t.Helper()
	needles := map[string][]string{"name": {strings.ToLower(name)}, "written": {strings.ToLower(written)}}
	if parsed, err := uuid.Parse(id); err == nil {
		raw := hex.EncodeToString(parsed[:])
		needles["id"] = []string{id, raw, string(parsed[:])}
	}
	look := func(where, text string) {
		lower := strings.ToLower(text)
		for _, what := range []string{"id", "name", "written"} {
			for _, needle := range needles[what] {
				place := where + ": " + what
				if (strings.Contains(lower, needle) || strings.Contains(text, needle)) && (len(found) == 0 || found[len(found)-1] != place) {
					found = append(found, place)
				}
			}
		}
	}
	g.eachRow(look)
	g.eachKey(look)
	return found
}

// eachRow goes through all columns of all tables. Bytes are in hexadecimal digits there.
func (g *game) eachRow(look func(where, text string)) {
	g.t.Helper()
	conn := g.connect()
	rows, err := conn.Query(g.t.Context(), "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1")
	require.NoError(g.t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(g.t, err)
	require.Greater(g.t, len(tables), 30)
	for _, table := range tables {
		rows, err := conn.Query(g.t.Context(), "SELECT t::text FROM "+pgx.Identifier{table}.Sanitize()+" t")
		require.NoError(g.t, err)
		var text string
		_, err = pgx.ForEachRow(rows, []any{&text}, func() error { look(table, text); return nil })
		require.NoError(g.t, err)
	}
}

// eachKey goes through the keys of the game and all that is in them, whatever their type.
func (g *game) eachKey(look func(where, text string)) {
	g.t.Helper()
	ctx := g.t.Context()
	client := goredis.NewClient(&goredis.Options{Addr: redisServer.Address()})
	defer client.Close()
	keys, err := client.Keys(ctx, "lb:"+g.tenant+":*").Result()
	require.NoError(g.t, err)
	require.NotEmpty(g.t, keys)
	for _, key := range keys {
		look(key, key)
		kind, err := client.Type(ctx, key).Result()
		require.NoError(g.t, err)
		var values []string
		switch kind {
		case "string":
			var value string
			value, err = client.Get(ctx, key).Result()
			values = []string{value}
		case "hash":
			var fields map[string]string
			fields, err = client.HGetAll(ctx, key).Result()
			for field, value := range fields {
				values = append(values, field, value)
			}
		case "zset":
			values, err = client.ZRange(ctx, key, 0, -1).Result()
		case "set":
			values, err = client.SMembers(ctx, key).Result()
		case "list":
			values, err = client.LRange(ctx, key, 0, -1).Result()
		case "none": // it has expired
		default:
			require.Fail(g.t, "nothing looks into keys of the type "+kind)
		}
		if !errors.Is(err, goredis.Nil) {
			require.NoError(g.t, err)
		}
		for _, value := range values {
			look(key, value)
		}
	}
}

// A player erases itself: with its password, once, and a repetition is answered the same.
func TestOwnErasure(t *testing.T) {
	g := newGame(t, gameOptions{})
	id, token := g.player("ada")
	_, banned := g.player("mallory")
	g.submit(token, "race", 5)

	g.do(ownErasure("", password)).problem(401, "unauthenticated")
	g.do(ownErasure(token, "wrong horse")).problem(403, "wrong-password", "password")
	g.do(request{method: "DELETE", path: "/v1/players/me", token: token, body: "{}"}).problem(403, "wrong-password", "password")
	g.do(ownErasure(g.admin(), password)).problem(403, "not-a-player")
	g.sql("UPDATE players SET state = 'disabled' WHERE username = 'mallory'")
	g.do(ownErasure(banned, password)).problem(403, "forbidden")
	g.sql("UPDATE players SET token_version = 7, state = 'active' WHERE username = 'mallory'")
	g.do(ownErasure(banned, password)).problem(401, "unauthenticated")

	for range 2 {
		require.Equal(t, 204, g.do(ownErasure(token, password)).status)
	}
	g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("race", 9)}).problem(401, "unauthenticated")
	require.Eventually(t, func() bool {
		return g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: token}).status == 401
	}, patience, 10*time.Millisecond, "the player's tokens are refused")
	require.Equal(t, 204, g.do(ownErasure(token, password)).status)
	g.shows("/v1/boards/race/entries?page=1")

	var page httpapi.Audit
	g.do(request{method: "GET", path: "/v1/admin/audit?user_id=" + id, token: g.moderator()}).into(200, &page)
	require.Len(t, page.Records, 1)
	require.Equal(t, "player", page.Records[0].Actor)
}

// replica is another server of the game, whose boards these are, with a memory of its own.
func (g *game) replica(file string) *httptest.Server {
	g.t.Helper()
	ctx, log := g.t.Context(), slog.New(slog.DiscardHandler)
	ledger, err := postgres.Open(ctx, postgres.Options{URL: g.postgres.URL(g.database), Sealer: g.tokens.Sealer("audit"), Skeleton: names.Skeleton})
	require.NoError(g.t, err)
	g.t.Cleanup(ledger.Close)
	client := goredis.NewClient(&goredis.Options{Addr: redisServer.Address(), MaxRetries: -1, DialerRetries: 1})
	g.t.Cleanup(func() { _ = client.Close() })
	ranking, err := redis.New(redis.Options{Client: client, Prefix: "lb:" + g.tenant + ":", Boards: ledger})
	require.NoError(g.t, err)
	committer, err := commit.New(commit.Options{Ledger: ledger, Ranking: ranking, QueueSize: 4096, MaxBatch: 256, InFlight: 2})
	require.NoError(g.t, err)
	g.t.Cleanup(committer.Close)
	directory, err := postgres.NewDirectory(ledger, 1000)
	require.NoError(g.t, err)

	of := g.service.Dependencies
	of.Players, of.Logins, of.Identities, of.Attributes, of.Directory, of.Owners, of.Committer, of.Ranking, of.Reports, of.Histories = ledger, ledger, ledger, ledger, directory, directory, committer, ranking, ledger, ledger
	of.Times, of.Metadata, of.Boards, of.Results, of.Moderator, of.Reviews, of.Eraser = ledger, ledger, ledger, ledger.Results(), ledger, ledger, ledger
	bans := postgres.NewBans(ledger, time.Hour)
	of.Shadows = bans
	boards, err := leaderboard.ParseBoards([]byte(file))
	require.NoError(g.t, err)
	service, err := leaderboard.NewService(ctx, of, boards)
	require.NoError(g.t, err)

	catchUp := catchup.New(ranking, ledger, 50*time.Millisecond, log)
	working, stop := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { catchUp.Run(working) })
	following.Go(func() { catchup.FollowSeasons(working, ledger, func() {}, log) })
	g.t.Cleanup(func() { stop(); following.Wait() })

	options := g.options
	options.Service, options.Banned = func() *leaderboard.Service { return service }, bans.Banned
	return g.serve(options)
}

// While a player is erased it submits all the time, to two servers, and one transaction of its
// takes until everything else was done: neither brings it back.
func TestErasureOfAPlayerWhoSubmits(t *testing.T) {
	g := newGame(t, gameOptions{boards: erasureFile})
	second := g.replica(erasureFile)
	const name, written = "Zaphod", "two-heads-three-arms"
	id, token := g.player(name)
	_, graces := g.player("grace")
	g.submit(graces, "race", 1)
	g.submit(token, "race", 2)
	const race = "/v1/boards/race/entries?page=1"
	require.Contains(t, string(g.do(request{method: "GET", path: race, server: second, token: graces}).body), name)

	// What the statement that appends does, of a player whom it has found.
	slow := g.connect()
	tx, err := slow.Begin(t.Context())
	require.NoError(t, err)
	for _, sql := range []string{
		"INSERT INTO score_events (id, player, score, board, xid) SELECT nextval('event_ids'), number, 99, 2, log_history() | pg_current_xact_id()::text::bigint FROM players WHERE id = $1",
		"INSERT INTO event_metadata (event, metadata) SELECT last_value, '{\"text\":\"" + written + "\"}' FROM event_ids WHERE $1::uuid IS NOT NULL",
		"INSERT INTO idempotency_keys (player, key, fingerprint, event, expires_at) SELECT number, $1, $1, 1, now() + interval '1 day' FROM players WHERE id = $1",
	} {
		_, err := tx.Exec(t.Context(), sql, id)
		require.NoError(t, err, sql)
	}

	var submitting sync.WaitGroup
	refused := make([]int, 2)
	for i, server := range []*httptest.Server{g.server, second} {
		submitting.Go(func() {
			for n := 0; refused[i] == 0; n++ {
				r := request{method: "POST", path: "/v1/scores/submit", token: token, server: server, header: map[string]string{"Idempotency-Key": uuid.NewString()},
					body: fmt.Sprintf(`{"game_id": "race", "score": %d, "metadata": {"text": %q}}`, 3+n, written)}
				if answer := g.do(r); answer.status != 200 {
					refused[i] = answer.status
				}
			}
		})
	}
	require.Eventually(t, func() bool { return g.count("score_events") > 20 }, patience, time.Millisecond)
	require.Equal(t, 204, g.do(ownErasure(token, password)).status)
	submitting.Wait()
	require.Equal(t, []int{401, 401}, refused)

	var erased time.Time
	conn := g.connect()
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT at FROM audit WHERE action = 'erase'").Scan(&erased))
	require.Eventually(t, func() bool {
		var now time.Time
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now))
		return now.Sub(erased) > 4*time.Second
	}, patience, 50*time.Millisecond, "longer than it takes where nothing is under way")
	require.NoError(t, tx.Commit(t.Context()))

	g.finished()
	require.Equal(t, []string{"audit: id"}, g.traces(id, name, written))
	require.Eventually(t, func() bool {
		answer := g.do(request{method: "GET", path: race, server: second, token: graces})
		return answer.status == 200 && !strings.Contains(string(answer.body), name) && !strings.Contains(string(answer.body), id)
	}, patience, 20*time.Millisecond)
	g.shows(race, "grace 1")
	g.submit(graces, "race", 2)
	g.shows(race, "grace 2")
	for _, server := range []*httptest.Server{g.server, second} {
		g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: token, server: server}).problem(401, "unauthenticated")
		g.do(request{method: "GET", path: "/v1/players/" + id + "/entries", server: server}).problem(404, "no-player")
	}
}

// showErasure shows all that the contract documents of both calls.
func (g *game) showErasure(big string) {
	t, admin := g.t, g.admin()
	id, token := g.player("to-be-erased")
	calls := []request{ownErasure(token, password), erasureOf(id, admin)}
	each := func(status int, slug string, change func(*request)) {
		for _, r := range calls {
			change(&r)
			answer := g.do(r)
			require.Equal(t, status, answer.status, "%s: %s", r.path, answer.body)
			require.Contains(t, string(answer.body), "/problems/"+slug, r.path)
		}
	}

	each(400, "malformed-request", func(r *request) { r.body = "{" })
	each(401, "unauthenticated", func(r *request) { r.token = "" })
	each(413, "body-too-large", func(r *request) { r.body = big })
	each(415, "unsupported-media-type", func(r *request) { r.header = map[string]string{"Content-Type": "text/plain"} })
	each(422, "invalid-request", func(r *request) { r.body = `{"reason": 1, "password": 1}` })
	starting := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { return nil } })
	each(503, "unavailable", func(r *request) { *r = starting(*r) })
	panics := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { panic("a defect") } })
	each(500, "internal-error", func(r *request) { *r = panics(*r) })
	strict := g.withBroken(func(o *httpapi.Options) {
		o.Auth.LoginRatePerUsername = config.Rate{Events: 1, Per: time.Hour, Burst: 1}
	})
	_, guessed := g.player("guessed-at") // the strict rate is used up for an hour
	g.do(strict(ownErasure(guessed, "wrong horse"))).problem(403, "wrong-password", "password")
	g.do(strict(ownErasure(guessed, password))).problem(429, "rate-limited")
	g.do(erasureOf(id, token)).problem(403, "insufficient-scope")
	g.do(erasureOf(nobody, admin)).problem(404, "no-player")

	require.Equal(t, 204, g.do(ownErasure(token, password)).status)
	require.Equal(t, 200, g.do(erasureOf(id, admin)).status)
}

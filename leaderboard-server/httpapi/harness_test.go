package httpapi_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/oidc"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/commit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi/ratelimit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/telemetry"
	"github.com/leaderboard-dev/leaderboard-operator/test/contract"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

var (
	postgresServer *stores.Postgres
	redisServer    *stores.Redis
)

func TestMain(m *testing.M) { os.Exit(stores.Main(m, &postgresServer, &redisServer)) }

const patience = 2 * time.Minute

// boardsFile is what every game of the tests has beside global.
const boardsFile = `{"boards": [
	{"name": "race", "minScore": 0, "maxScore": 1000},
	{"name": "golf", "order": "Ascending"},
	{"name": "coins", "scoring": "Sum", "countsTowardGlobal": false}]}`

// game is a whole server in this process, on real stores.
type game struct {
	t        *testing.T
	postgres *stores.Postgres
	tenant   string
	client   *goredis.Client
	database string
	ledger   *postgres.Ledger
	service  *leaderboard.Service
	tokens   *auth.Tokens
	keys     keyset.Set
	accounts accounts.Set
	options  httpapi.Options
	server   *httptest.Server
	contract *contract.Contract
	report   func(error) // fails the test, subtests included
}

// gameOptions change what newGame makes.
type gameOptions struct {
	redis    *stores.Redis    // nil: the one that all tests share
	postgres *stores.Postgres // nil: the one that all tests share
	// boards is the boards file; empty: boardsFile.
	boards string
	// reserved are the names that are reserved.
	reserved []string
	// issuers know players elsewhere.
	issuers config.Issuers
	// snapshotLifetime bounds walks; 0: the server's.
	snapshotLifetime time.Duration
	// change is called before the API is made.
	change func(*httpapi.Options)
}

func newGame(t *testing.T, with gameOptions) *game {
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	g := &game{t: t, postgres: with.postgres, report: func(err error) { t.Error(err) }}
	if g.postgres == nil {
		g.postgres = postgresServer
	}
	var err error
	g.database, err = g.postgres.CreateDatabase(ctx)
	require.NoError(t, err)
	g.tenant = "test-" + strings.ToLower(rand.Text())
	conn, err := pgx.Connect(ctx, g.postgres.URL(g.database))
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(ctx, conn, "public"))
	require.NoError(t, conn.Close(ctx))

	g.tokens, err = auth.NewTokens(g.tenant, time.Hour, time.Now)
	require.NoError(t, err)
	g.keys, err = keyset.New(time.Now().Add(-time.Minute))
	require.NoError(t, err)
	g.tokens.SetKeys(g.keys)
	ledger, err := postgres.Open(ctx, postgres.Options{URL: g.postgres.URL(g.database), Sealer: g.tokens.Sealer("audit")})
	require.NoError(t, err)
	t.Cleanup(ledger.Close)
	g.ledger = ledger

	if with.redis == nil {
		with.redis = redisServer
	}

	client := goredis.NewClient(&goredis.Options{Addr: with.redis.Address(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	g.client = client
	prefix := "lb:" + g.tenant + ":"
	ranking, err := redis.New(redis.Options{Client: client, Prefix: prefix, Boards: ledger, SnapshotLifetime: with.snapshotLifetime})
	require.NoError(t, err)
	committer, err := commit.New(commit.Options{Ledger: ledger, Ranking: ranking, QueueSize: 4096, MaxBatch: 256, InFlight: 2})
	require.NoError(t, err)
	t.Cleanup(committer.Close)
	directory, err := postgres.NewDirectory(ledger, 1000)
	require.NoError(t, err)
	if with.boards == "" {
		with.boards = boardsFile
	}
	boards, err := leaderboard.ParseBoards([]byte(with.boards))
	require.NoError(t, err)
	bans := postgres.NewBans(ledger, time.Hour)
	g.service, err = leaderboard.NewService(ctx, leaderboard.Dependencies{
		Passwords: auth.NewPasswords(bcrypt.MinCost, 2, patience), Usernames: names.New(with.reserved),
		Players: ledger, Logins: ledger, Identities: ledger, Attributes: ledger, Directory: directory, Owners: directory, Committer: committer, Ranking: ranking, Reports: ledger, Histories: ledger, Times: ledger,
		Metadata: ledger, Boards: ledger, Results: ledger.Results(), Moderator: ledger, Reviews: ledger, Eraser: ledger, Shadows: bans}, boards)

	require.NoError(t, err)
	limiter, err := ratelimit.New(client, prefix, log)
	require.NoError(t, err)

	catchUp := catchup.New(ranking, ledger, 50*time.Millisecond, log)
	working, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { catchUp.Run(working); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	require.Eventually(t, func() bool { return ranking.Ready(ctx) == nil }, patience, 10*time.Millisecond)

	settings, err := config.FromEnvironment(nil)
	require.NoError(t, err)
	g.options = httpapi.Options{Service: func() *leaderboard.Service { return g.service }, Tokens: g.tokens, Banned: bans.Banned, Limiter: limiter, Issuers: oidc.New(oidc.Options{Issuers: with.issuers, Insecure: true, Now: time.Now, Log: log}),
		Observer: telemetry.NewMetrics("test"), Log: log, HTTP: settings.HTTP, Auth: settings.Auth, IdempotencyTTL: settings.IdempotencyTTL}
	g.options.HTTP.BodyBudget = 1 << 20
	if with.change != nil {
		with.change(&g.options)
	}

	g.contract = served(t, g.options)
	g.server = g.serve(g.options)
	return g
}

// served is the contract that a server with these options shows.
func served(t *testing.T, options httpapi.Options) *contract.Contract {
	api, err := httpapi.New(options)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi.yaml", nil))
	c, err := contract.Parse(w.Body.Bytes())
	require.NoError(t, err)
	return c
}

// serve starts one more instance of the game's API. Whatever reaches it, and what it
// answers, is held to the contract.
func (g *game) serve(options httpapi.Options) *httptest.Server {
	api, err := httpapi.New(options)
	require.NoError(g.t, err)
	return g.serveAPI(api)
}

func (g *game) serveAPI(api http.Handler) *httptest.Server {
	server := httptest.NewServer(g.contract.Handler(api, g.report))
	g.t.Cleanup(server.Close)
	return server
}

// request is one request of a test.
type request struct {
	method, path string // the path may have a query
	header       map[string]string
	token        string
	body         string
	form         bool
	server       *httptest.Server // nil: the game's first
}

// response is an answer that has been read.
type response struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

func (g *game) do(r request) response {
	if r.server == nil {
		r.server = g.server
	}

	req, err := http.NewRequestWithContext(g.t.Context(), r.method, r.server.URL+r.path, strings.NewReader(r.body))
	require.NoError(g.t, err)
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
		if r.form {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}

	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}

	for name, value := range r.header {
		req.Header.Set(name, value)
		if value == "" {
			req.Header.Del(name)
		}
	}

	answer, err := r.server.Client().Do(req)
	require.NoError(g.t, err)
	defer answer.Body.Close()

	body, err := io.ReadAll(answer.Body)
	require.NoError(g.t, err)
	return response{g.t, answer.StatusCode, answer.Header, body}
}

// into decodes the answer, which must have the status.
func (r response) into(status int, value any) {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s", r.body)
	require.NoError(r.t, json.Unmarshal(r.body, value))
}

// problem checks that the answer is a problem of the kind, and that it names
// exactly these fields.
func (r response) problem(status int, slug string, fields ...string) httpapi.Problem {
	r.t.Helper()
	require.Equal(r.t, "application/problem+json", r.header.Get("Content-Type"), "%d %s", r.status, r.body)
	var p httpapi.Problem
	r.into(status, &p)
	require.Equal(r.t, "https://leaderboard.dev/problems/"+slug, p.Type, "%s", r.body)
	require.Equal(r.t, status, p.Status)
	require.Equal(r.t, r.header.Get("X-Request-Id"), p.RequestID)
	require.NotEmpty(r.t, p.Detail)
	var named []string

	if p.Errors != nil {
		for _, e := range *p.Errors {
			named = append(named, e.Field)
			require.NotEmpty(r.t, e.Message)
		}
	}

	require.Equal(r.t, fields, named, "%s", r.body)
	return p
}

func encode(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func credentials(username, password string) string {
	return encode(map[string]string{"username": username, "password": password})
}

const password = "correct horse"

// player registers and logs in.
func (g *game) player(username string) (id, token string) {
	var account httpapi.Account
	g.do(request{method: "POST", path: "/v1/auth/register", body: credentials(username, password)}).into(201, &account)
	var answer httpapi.Token
	g.do(request{method: "POST", path: "/v1/auth/token", body: credentials(username, password)}).into(200, &answer)
	return account.UserID, answer.AccessToken
}

func (g *game) submit(token, board string, score int64) httpapi.Receipt {
	var receipt httpapi.Receipt
	g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission(board, score)}).into(200, &receipt)
	return receipt
}

func submission(board string, score int64) string {
	body := map[string]any{"score": score}
	if board != "" {
		body["game_id"] = board
	}
	return encode(body)
}

// sql changes the game's database.
func (g *game) sql(statement string, args ...any) {
	require.NoError(g.t, g.postgres.Exec(g.t.Context(), g.database, statement, args...))
}

// count is how many rows a table of the game's database has.
func (g *game) count(table string) (rows int) {
	conn, err := pgx.Connect(g.t.Context(), g.postgres.URL(g.database))
	require.NoError(g.t, err)
	defer conn.Close(g.t.Context())
	require.NoError(g.t, conn.QueryRow(g.t.Context(), "SELECT count(*) FROM "+pgx.Identifier{table}.Sanitize()).Scan(&rows))
	return rows
}

// dump is all that a table of the game's database has, as text.
func (g *game) dump(table string) (content string) {
	conn, err := pgx.Connect(g.t.Context(), g.postgres.URL(g.database))
	require.NoError(g.t, err)
	defer conn.Close(g.t.Context())
	require.NoError(g.t, conn.QueryRow(g.t.Context(), "SELECT string_agg(t::text, E'\n') FROM "+pgx.Identifier{table}.Sanitize()+" t").Scan(&content))
	return content
}

// Package ledgertest makes ledgers for tests on a throwaway PostgreSQL server,
// with the roles and rights that the operator gives a tenant: what passes here
// needs no more than those.
package ledgertest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// Fixture is a migrated tenant in a database of its own.
type Fixture struct {
	Server   *stores.Postgres
	Database string
	// Schema is the tenant's schema, Owner the role that owns it, URL how its
	// server connects.
	Schema, Owner, URL string
	Ledger             *postgres.Ledger
	Catalog            *leaderboard.Catalog
}

// Boards covers every fold: speed (Best, Descending), race (Best, Ascending),
// mood (Latest), coins (Sum, counts toward global), golf (Sum, Ascending), debut (First),
// plays (Count), sprint (Best, without a ranking of all time); with columns tuple (Best),
// rating (Latest) and podium (Best, in one shard). Ranks are Competition on race, tuple and
// rating, and Dense on podium. Each has a window daily, and some another one, hourly.
func Boards(tb testing.TB, shards int) leaderboard.Boards {
	tb.Helper()
	sprint := board("sprint", leaderboard.Descending, leaderboard.Best, shards)
	sprint.WindowsOnly = true
	list := append(firstBoards(shards), sprint,
		board("debut", leaderboard.Descending, leaderboard.First, shards), board("plays", leaderboard.Descending, leaderboard.Count, shards),
		withColumns(board("tuple", leaderboard.Descending, leaderboard.Best, shards), leaderboard.Ascending, leaderboard.Descending),
		withColumns(board("rating", leaderboard.Descending, leaderboard.Latest, shards), leaderboard.Descending),
		withColumns(board("podium", leaderboard.Ascending, leaderboard.Best, 1), leaderboard.Ascending))
	for i := range list {
		switch list[i].Name {
		case "race", "tuple", "rating":
			list[i].Ranks = leaderboard.Competition
		case "podium":
			list[i].Ranks = leaderboard.Dense
		}
	}

	daily, hourly := Window("daily", "daily"), Window("hourly", "0 * * * *")
	for i := range list {
		list[i].Windows = []leaderboard.Window{daily}
		if i%2 == 1 {
			list[i].Windows = append(list[i].Windows, hourly)
		}
	}
	boards, err := spread(tb, shards, list...).WithGlobal(func(global *leaderboard.Board) { global.Windows = []leaderboard.Window{daily} })
	require.NoError(tb, err)
	return boards
}

// Attributes are those of the players by which boards of tests are split.
var Attributes = []leaderboard.Attribute{
	{Name: "country", Values: []string{"DE", "FR", "JP"}}, {Name: "platform", Pattern: "pc|console-[0-9]"},
}

// SegmentedBoards are [Boards] with players that have a country and a platform, by which those
// of every scoring, and global, are split.
func SegmentedBoards(tb testing.TB, shards int) leaderboard.Boards {
	tb.Helper()
	segments := map[string][]string{"speed": {"country"}, "race": {"platform"}, "coins": {"country", "platform"}, "mood": {"platform", "country"},
		"debut": {"country"}, "plays": {"platform"}, "sprint": {"country"}, "tuple": {"platform"}, "rating": {"country"}, "podium": {"country"}}
	boards := Boards(tb, shards)
	list := slices.Clone(boards.All()[1:])
	for i := range list {
		list[i].Segments = segments[list[i].Name]
	}

	global := boards.All()[0]
	boards, err := leaderboard.NewBoards(list...)
	require.NoError(tb, err)
	boards, err = boards.WithGlobal(func(g *leaderboard.Board) { *g, g.Segments = global, []string{"country"} })
	require.NoError(tb, err)
	boards, err = boards.WithAttributes(Attributes...)
	require.NoError(tb, err)
	return boards
}

// withColumns is the board with a column of each order.
func withColumns(b leaderboard.Board, orders ...leaderboard.Order) leaderboard.Board {
	for i, order := range orders {
		b.Columns = append(b.Columns, leaderboard.Column{Name: "column-" + strconv.Itoa(i), Order: order, Min: -leaderboard.MaxScore, Max: leaderboard.MaxScore})
	}
	return b
}

// Window is a window with a schedule, of UTC.
func Window(name, schedule string) leaderboard.Window {
	return leaderboard.Window{Name: name, Schedule: schedule, TimeZone: "UTC", Keep: leaderboard.DefaultKeep}
}

// firstBoards are those that the first version of the schema can have, too.
func firstBoards(shards int) []leaderboard.Board {
	return []leaderboard.Board{
		board("speed", leaderboard.Descending, leaderboard.Best, shards), board("race", leaderboard.Ascending, leaderboard.Best, shards),
		board("mood", leaderboard.Descending, leaderboard.Latest, shards), board("coins", leaderboard.Descending, leaderboard.Sum, shards),
		board("golf", leaderboard.Ascending, leaderboard.Sum, shards),
	}
}

func board(name string, order leaderboard.Order, scoring leaderboard.Scoring, shards int) leaderboard.Board {
	return leaderboard.Board{Name: name, Order: order, Scoring: scoring, MinScore: -leaderboard.MaxScore, MaxScore: leaderboard.MaxScore,
		CountsTowardGlobal: order == leaderboard.Descending, Shards: shards, Ranks: leaderboard.Ordinal}
}

func spread(tb testing.TB, shards int, list ...leaderboard.Board) leaderboard.Boards {
	tb.Helper()
	boards, err := leaderboard.NewBoards(list...)
	require.NoError(tb, err)
	boards, err = boards.WithGlobal(func(global *leaderboard.Board) { global.Shards = shards })
	require.NoError(tb, err)
	return boards
}

// New makes a database with a tenant's roles, migrates it and opens its ledger.
func New(tb testing.TB, server *stores.Postgres, boards leaderboard.Boards, options postgres.Options) *Fixture {
	tb.Helper()
	f := newAt(tb, server, postgres.RequiredVersion(), options)
	catalog, err := f.Ledger.SyncBoards(tb.Context(), boards)
	require.NoError(tb, err)
	f.Catalog = catalog
	return f
}

// NewAt is New with a schema of an earlier version, and the boards that it can have, in one
// shard each.
func NewAt(tb testing.TB, server *stores.Postgres, version int, options postgres.Options) *Fixture {
	tb.Helper()
	f := newAt(tb, server, version, options)
	conn := f.Connect(tb)
	global := leaderboard.LiveBoard{Board: leaderboard.Global(), Number: 1, Season: 1, Active: true}
	list := []leaderboard.LiveBoard{global}
	for _, b := range firstBoards(1) {
		live := leaderboard.LiveBoard{Board: b, Season: 1, Active: true}
		require.NoError(tb, conn.QueryRow(tb.Context(), `WITH board AS (
				INSERT INTO boards (name, board_order, scoring, min_score, max_score, counts_toward_global, shards)
				VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING number)
			INSERT INTO seasons (board, number, opens_at) SELECT number, 1, '-infinity' FROM board RETURNING board`,
			b.Name, b.Order, b.Scoring, b.MinScore, b.MaxScore, b.CountsTowardGlobal, b.Shards).Scan(&live.Number))
		list = append(list, live)
	}

	var err error
	f.Catalog, err = leaderboard.NewCatalog(list)
	require.NoError(tb, err)
	return f
}

// newAt makes the database, the roles and a schema of that version.
func newAt(tb testing.TB, server *stores.Postgres, version int, options postgres.Options) *Fixture {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	database, err := server.CreateDatabase(ctx)
	require.NoError(tb, err)
	f := &Fixture{Server: server, Database: database, Schema: "lb_" + database}
	f.Owner = f.Schema + "_owner"
	group, login := f.Schema+"_rw", f.Schema+"_a"
	id := func(name string) string { return pgx.Identifier{name}.Sanitize() }

	for _, sql := range []string{
		"REVOKE ALL ON DATABASE " + id(database) + " FROM PUBLIC",
		"CREATE ROLE " + id(f.Owner) + " NOLOGIN", "CREATE ROLE " + id(group) + " NOLOGIN",
		"CREATE ROLE " + id(login) + " LOGIN PASSWORD 'login' IN ROLE " + id(group),
		"GRANT CONNECT ON DATABASE " + id(database) + " TO " + id(group),
		"CREATE SCHEMA " + id(f.Schema) + " AUTHORIZATION " + id(f.Owner),
		"GRANT USAGE ON SCHEMA " + id(f.Schema) + " TO " + id(group),
		fmt.Sprintf("ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %s", id(f.Owner), id(f.Schema), id(group)),
		fmt.Sprintf("ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT USAGE, SELECT ON SEQUENCES TO %s", id(f.Owner), id(f.Schema), id(group)),
		fmt.Sprintf("ALTER ROLE %s SET search_path = %s", id(login), id(f.Schema)),
	} {
		require.NoError(tb, server.Exec(ctx, database, sql))
	}

	f.MigrateTo(tb, version)
	f.URL = server.UserURL(login, "login", database)
	f.Ledger = f.open(tb, options)
	return f
}

// Migrate migrates the schema as its owner.
func (f *Fixture) Migrate(tb testing.TB) {
	tb.Helper()
	f.MigrateTo(tb, postgres.RequiredVersion())
}

// MigrateTo migrates the schema to a version.
func (f *Fixture) MigrateTo(tb testing.TB, version int) {
	tb.Helper()
	conn := f.Connect(tb)
	_, err := conn.Exec(tb.Context(), "SET ROLE "+pgx.Identifier{f.Owner}.Sanitize())
	require.NoError(tb, err)
	require.NoError(tb, postgres.MigrateTo(tb.Context(), conn, f.Schema, version))
}

// Open opens the ledger once more, as another replica would.
func (f *Fixture) Open(tb testing.TB, options postgres.Options) *postgres.Ledger {
	tb.Helper()
	ledger := f.open(tb, options)
	_, err := ledger.LoadCatalog(tb.Context())
	require.NoError(tb, err)
	return ledger
}

func (f *Fixture) open(tb testing.TB, options postgres.Options) *postgres.Ledger {
	tb.Helper()
	options.URL = f.URL
	if options.Sealer == nil {
		options.Sealer = TestSealer
	}
	ledger, err := postgres.Open(context.Background(), options)
	require.NoError(tb, err)
	tb.Cleanup(ledger.Close)
	return ledger
}

// Connect opens a connection as the superuser, with the tenant's search path.
func (f *Fixture) Connect(tb testing.TB) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), f.Server.URL(f.Database))
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(tb.Context(), "SET search_path = "+pgx.Identifier{f.Schema}.Sanitize())
	require.NoError(tb, err)
	return conn
}

// Board finds a board by name.
func (f *Fixture) Board(tb testing.TB, name string) leaderboard.LiveBoard {
	tb.Helper()
	board, err := f.Catalog.Lookup(name)
	require.NoError(tb, err)
	return board
}

// Players makes n players and returns them in the order of their numbers.
func (f *Fixture) Players(tb testing.TB, n int) []leaderboard.PlayerName {
	tb.Helper()
	rows, err := f.Connect(tb).Query(tb.Context(), `
		WITH made AS (
			INSERT INTO players (id, username, username_key, password_hash)
			SELECT gen_random_uuid(), u, u, 'none' FROM (SELECT 'player-' || gen_random_uuid() AS u FROM generate_series(1, $1)) t
			RETURNING number, id::text, username)
		SELECT number, id, username, '', '' FROM made ORDER BY number`, n)

	require.NoError(tb, err)
	players, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.PlayerName])
	require.NoError(tb, err)

	return players
}

// Submission is a submission of a player as the service would hand it in.
func Submission(player leaderboard.PlayerName, board string, score int64) leaderboard.Submission {
	ordered := board == "mood" || board == "coins" || board == "golf" || board == "plays" || board == "rating"
	return leaderboard.Submission{Player: player.ID, TokenVersion: 1, Board: board, Ordered: ordered, Score: score}
}

// SaveStandings brings the standings of the checkpoint up to the present.
func SaveStandings(tb testing.TB, ledger *postgres.Ledger) {
	tb.Helper()
	require.NoError(tb, catchup.SaveStandings(tb.Context(), ledger))
}

// TestSealer is that of the fixtures' ledgers.
var TestSealer = Sealer{"a key of the tests"}

// Sealer seals the audit of a test's ledger.
type Sealer struct{ Key string }

// Seal implements [leaderboard.Sealer].
func (s Sealer) Seal(content string) (string, error) {
	mac := hmac.New(sha256.New, []byte(s.Key))
	mac.Write([]byte(content))
	return content + " " + hex.EncodeToString(mac.Sum(nil)), nil
}

// Open implements [leaderboard.Sealer].
func (s Sealer) Open(sealed string) (string, error) {
	content, _, _ := strings.Cut(sealed, " ")
	if want, _ := s.Seal(content); want != sealed {
		return "", errors.New("the seal is broken")
	}
	return content, nil
}

// Fresh implements [leaderboard.Sealer].
func (s Sealer) Fresh(string) bool { return true }

package postgres_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

func TestMigrate(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	version, err := postgres.CurrentVersion(t.Context(), conn, f.Schema)
	require.NoError(t, err)
	require.Equal(t, postgres.RequiredVersion(), version)
	require.NoError(t, f.Ledger.CheckVersion(t.Context()))
	f.Migrate(t) // again: nothing to do

	var owners int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relowner <> $2::text::regrole", f.Schema, f.Owner).Scan(&owners))
	require.Zero(t, owners, "everything is the owner's")

	fresh, err := postgres.CurrentVersion(t.Context(), conn, "nowhere")
	require.NoError(t, err)
	require.Zero(t, fresh)

	_, err = conn.Exec(t.Context(), "INSERT INTO schema_migrations (version, name) VALUES ($1, 'of the future')", version+1)
	require.NoError(t, err)
	require.ErrorIs(t, postgres.Migrate(t.Context(), conn, f.Schema), postgres.ErrNewerSchema)
	require.ErrorIs(t, f.Ledger.CheckVersion(t.Context()), postgres.ErrNewerSchema)

	// One that admits this program is left as it is, and worked with; the strictest counts.
	_, err = conn.Exec(t.Context(), "UPDATE schema_migrations SET admits = $1 - 1 WHERE version = $1", version+1)
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(t.Context(), conn, f.Schema))
	require.NoError(t, f.Ledger.CheckVersion(t.Context()))
	_, err = conn.Exec(t.Context(), "INSERT INTO schema_migrations (version, name, admits) VALUES ($1, 'of a farther future', $1)", version+2)
	require.NoError(t, err)
	require.ErrorIs(t, f.Ledger.CheckVersion(t.Context()), postgres.ErrNewerSchema)

	_, err = conn.Exec(t.Context(), "DELETE FROM schema_migrations")
	require.NoError(t, err)
	require.ErrorContains(t, f.Ledger.CheckVersion(t.Context()), "migrate")
}

func TestMigrationsAtTheSameTime(t *testing.T) {
	database, err := server.CreateDatabase(t.Context())
	require.NoError(t, err)
	var group sync.WaitGroup

	for range 4 {
		conn, err := pgx.Connect(t.Context(), server.URL(database))
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		group.Go(func() {
			if err := postgres.Migrate(context.Background(), conn, `odd "name`); err != nil {
				t.Error(err)
			}
		})
	}

	group.Wait()
}

func TestTheServerHasNoDDL(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn, err := pgx.Connect(t.Context(), f.URL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })

	for _, sql := range []string{"CREATE TABLE t ()", "ALTER TABLE players ADD c int", "DROP TABLE standings", "TRUNCATE score_events", "CREATE TEMP TABLE t ()",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "SET ROLE " + pgx.Identifier{f.Owner}.Sanitize()} {
		_, err := conn.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "SQLSTATE 42501", sql) // insufficient privilege
	}

	require.NoError(t, f.Ledger.Maintain(t.Context()), "and still makes partitions")
}

func TestPartitions(t *testing.T) {
	f := newFixture(t, postgres.Options{EventRetention: 60 * 24 * time.Hour, IdempotencyTTL: time.Nanosecond})
	conn := f.Connect(t)
	partitions := func() (names []string) {
		rows, err := conn.Query(t.Context(), "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'score_events'::regclass ORDER BY 1")
		require.NoError(t, err)
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return names
	}

	made := partitions()
	require.Len(t, made, 14, "this month, twelve ahead, and the default")
	// Nobody made partitions for long: events went to the default, and an old one is past its retention.
	last := made[len(made)-2]
	player := f.Players(t, 1)[0]

	for _, sql := range []string{
		"DROP TABLE " + last,
		"CREATE TABLE score_events_202001 PARTITION OF score_events FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')",
		"ALTER TABLE score_events_202001 OWNER TO " + pgx.Identifier{f.Owner}.Sanitize(),
		fmt.Sprintf(`INSERT INTO score_events (id, at, player, score, board, season, improved, xid)
			SELECT i, at, %d, 1, 2, 1, true, NULL FROM unnest(ARRAY[to_date(right('%s', 6), 'YYYYMM'), '2020-01-05', '2019-01-05', '2090-01-01']::timestamptz[]) WITH ORDINALITY AS t (at, i)`, player.Number, last),
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}

	keyed := ledgertest.Submission(player, "race", 1)
	keyed.IdempotencyKey = "k"
	store(t, f.Ledger, keyed)
	require.NoError(t, f.Ledger.Maintain(t.Context()))
	require.Equal(t, made, partitions())
	count := func(table string) (n int) {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
		return n
	}

	require.Equal(t, 1, count(last), "moved from the default")
	require.Equal(t, 1, count("score_events_default"), "of 2090; of 2019 it was past its retention")
	require.Zero(t, count("idempotency_keys"), "expired")
	require.False(t, store(t, f.Ledger, keyed).Outcomes[0].Replayed, "after it has expired a key is a new one")
	require.NoError(t, f.Ledger.Maintain(t.Context()))
}

func TestBoardsAreNumberedForEver(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	race := f.Board(t, "race")
	require.Equal(t, int32(1), f.Catalog.Global().Number)
	only := leaderboard.Board{Name: "new", Order: leaderboard.Descending, Scoring: leaderboard.Best, MaxScore: 5, Shards: 2, Ranks: leaderboard.Ordinal}
	boards, err := leaderboard.NewBoards(only)
	require.NoError(t, err)
	catalog, err := f.Ledger.SyncBoards(t.Context(), boards)
	require.NoError(t, err)
	_, err = catalog.Lookup("race")
	require.Equal(t, leaderboard.CodeNoBoard, leaderboard.CodeOf(err))
	gone, ok := catalog.Numbered(race.Number)
	require.True(t, ok)
	require.Equal(t, "race", gone.Name)
	added, err := catalog.Lookup("new")
	require.NoError(t, err)
	require.Equal(t, only, added.Board)
	require.Equal(t, int32(1), added.Season)
	player := f.Players(t, 1)[0]
	require.Equal(t, leaderboard.CodeNoBoard, leaderboard.CodeOf(store(t, f.Ledger, ledgertest.Submission(player, "race", 1)).Outcomes[0].Err))

	catalog, err = f.Ledger.SyncBoards(t.Context(), ledgertest.Boards(t, 1))
	require.NoError(t, err)
	back, err := catalog.Lookup("race")
	require.NoError(t, err)
	require.Equal(t, race, back)

	only.ServersOnly, only.MaxImprovement = true, 7
	boards, err = leaderboard.NewBoards(only)
	require.NoError(t, err)
	catalog, err = f.Ledger.SyncBoards(t.Context(), boards)
	require.NoError(t, err)
	closed, err := catalog.Lookup("new")
	require.NoError(t, err)
	require.Equal(t, only, closed.Board)

	only.ServersOnly, only.Signed, only.MaxImprovement = false, true, 0
	boards, err = leaderboard.NewBoards(only)
	require.NoError(t, err)
	catalog, err = f.Ledger.SyncBoards(t.Context(), boards)
	require.NoError(t, err)
	signed, err := catalog.Lookup("new")
	require.NoError(t, err)
	require.Equal(t, only, signed.Board)
	require.True(t, catalog.RequiresSignatures())

	changed := only
	changed.Scoring = leaderboard.Sum
	boards, err = leaderboard.NewBoards(changed)
	require.NoError(t, err)
	catalog, err = f.Ledger.SyncBoards(t.Context(), boards)
	require.NoError(t, err)
	live, err := catalog.Lookup("new")
	require.NoError(t, err)
	require.Equal(t, only, live.Board, "another scoring is for catch-up to make")
	require.Equal(t, changed.Fold(), live.Refold.Fold())
}

func TestReplicasSyncBoardsAtTheSameTime(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	boards, err := leaderboard.NewBoards(leaderboard.Board{Name: "x", Order: leaderboard.Ascending, Scoring: leaderboard.Best, Shards: 1, Ranks: leaderboard.Ordinal})
	require.NoError(t, err)
	catalogs := make([]*leaderboard.Catalog, 6)
	var group sync.WaitGroup

	for i := range catalogs {
		group.Go(func() {
			var err error
			if catalogs[i], err = f.Ledger.SyncBoards(context.Background(), boards); err != nil {
				t.Error(err)
			}
		})
	}

	group.Wait()
	for _, c := range catalogs {
		require.Equal(t, catalogs[0].All(), c.All())
	}
}

func TestPlayers(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	made, err := f.Ledger.CreatePlayer(t.Context(), leaderboard.Player{Username: "Zoë", UsernameKey: "zoë", PasswordHash: "h"}, nil)
	require.NoError(t, err)
	require.Equal(t, leaderboard.PlayerActive, made.State)
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, string(made.ID))
	_, err = f.Ledger.CreatePlayer(t.Context(), leaderboard.Player{Username: "ZOË", UsernameKey: "zoë", PasswordHash: "h"}, nil)
	require.Equal(t, leaderboard.CodeConflict, leaderboard.CodeOf(err))

	for _, find := range []func() (leaderboard.Player, error){
		func() (leaderboard.Player, error) { return f.Ledger.PlayerByID(t.Context(), made.ID) },
		func() (leaderboard.Player, error) { return f.Ledger.PlayerByUsername(t.Context(), "zoë") },
	} {
		found, err := find()
		require.NoError(t, err)
		require.Equal(t, made, found)
	}

	for _, id := range []leaderboard.PlayerID{"", "x", "01890000-0000-7000-8000-000000000000"} {
		_, err = f.Ledger.PlayerByID(t.Context(), id)
		require.Equal(t, leaderboard.CodeNoPlayer, leaderboard.CodeOf(err))
	}

	directory, err := postgres.NewDirectory(f.Ledger, 10)
	require.NoError(t, err)
	want := leaderboard.PlayerName{Number: made.Number, ID: made.ID, Username: "Zoë"}

	for range 2 {
		names, err := directory.Names(t.Context(), []int64{made.Number, 999})
		require.NoError(t, err)
		require.Equal(t, map[int64]leaderboard.PlayerName{made.Number: want}, names)
		name, err := directory.Name(t.Context(), made.ID)
		require.NoError(t, err)
		require.Equal(t, want, name)
	}

	// Warm, it needs no database.
	f.Ledger.Close()
	names, err := directory.Names(t.Context(), []int64{made.Number})
	require.NoError(t, err)
	require.Len(t, names, 1)
	_, err = directory.Names(t.Context(), []int64{999})
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
}

// The report is what a person would work out by hand from the list of events.
func TestTopPlayersIsThePlainAnswer(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	players := f.Players(t, 15)
	boards := f.Catalog.All()
	type event struct {
		id, player, score int64
		at                time.Time
		board             leaderboard.LiveBoard
	}

	var events []event
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	conn := f.Connect(t)

	for id := range int64(600) {
		board := boards[random.IntN(len(boards))]
		e := event{id + 1, players[random.IntN(len(players))].Number, random.Int64N(9) - 4, start.Add(time.Duration(random.IntN(60*24)) * time.Hour), board}
		var global *int32

		if board.CountsTowardGlobal {
			global = new(int32)
			*global = 1
		}

		_, err := conn.Exec(t.Context(), "INSERT INTO score_events (id, at, player, score, board, season, global_season, improved) VALUES ($1, $2, $3, $4, $5, 1, $6, true)",
			e.id, e.at, e.player, e.score, board.Number, global)
		require.NoError(t, err)
		events = append(events, e)
	}

	names := make(map[int64]leaderboard.PlayerName)
	for _, p := range players {
		names[p.Number] = p
	}

	reported := slices.DeleteFunc(slices.Clone(boards), func(b leaderboard.LiveBoard) bool { return b.Scoring != leaderboard.Best })
	for range 40 {
		board := reported[random.IntN(len(reported))]
		from := start.AddDate(0, 0, random.IntN(60))
		to := from.AddDate(0, 0, random.IntN(30))
		limit := 1 + random.IntN(20)
		best, count := make(map[int64]event), make(map[int64]int64)

		for _, e := range events {
			counts := e.board.Number == board.Number || board.Name == leaderboard.GlobalBoard && e.board.CountsTowardGlobal
			if !counts || e.at.Before(from) || !e.at.Before(to) {
				continue
			}
			count[e.player]++

			if b, ok := best[e.player]; !ok || board.Order.Better(e.score, b.score) {
				best[e.player] = e
			}
		}

		var order []event
		for _, e := range best {
			order = append(order, e)
		}

		sort.Slice(order, func(i, j int) bool {
			if order[i].score != order[j].score {
				return board.Order.Better(order[i].score, order[j].score)
			}
			return order[i].id < order[j].id
		})
		want := make([]leaderboard.ReportRow, 0)
		for i, e := range order[:min(limit, len(order))] {
			want = append(want, leaderboard.ReportRow{Rank: int64(i + 1), Player: names[e.player].ID, Username: names[e.player].Username, Board: e.board.Name,
				Score: e.score, Submissions: count[e.player]})
		}

		got, err := f.Ledger.TopPlayers(t.Context(), board, from, to, limit)
		require.NoError(t, err)
		require.Equal(t, want, append([]leaderboard.ReportRow{}, got...), "board %s from %s to %s", board.Name, from, to)
	}
}

// lead takes the lead, once it is free.
func lead(tb testing.TB, ledger *postgres.Ledger, probe time.Duration) *leaderboard.Leadership {
	tb.Helper()
	var got *leaderboard.Leadership
	require.Eventually(tb, func() bool {
		var err error
		got, _, err = ledger.TryLead(context.Background(), probe)
		return err == nil && got != nil
	}, time.Minute, probe)
	return got
}

func TestOneLeads(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	const probe = 10 * time.Millisecond
	leader := lead(t, f.Ledger, probe)
	other := f.Open(t, postgres.Options{})
	for range 3 {
		second, _, err := other.TryLead(t.Context(), probe)
		require.NoError(t, err)
		require.Nil(t, second)
	}

	// Another tenant has its own leader.
	lead(t, newFixture(t, postgres.Options{}).Ledger, probe).Release()
	require.NoError(t, leader.Context.Err())

	// The connection is lost, and with it the lead: who asks next gets it.
	_, err := f.Connect(t).Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	require.NoError(t, err)
	select {
	case <-leader.Context.Done():
	case <-time.After(time.Minute):
		t.Fatal("the lead did not end")
	}

	leader.Release()
	lead(t, other, probe).Release()
	lead(t, f.Ledger, probe).Release()
}

// A login of the database can hold any advisory lock, and holds up nothing.
func TestAStrangersLocksHoldNothingUp(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	stranger := f.Database + "_stranger"
	for _, sql := range []string{"CREATE ROLE " + stranger + " LOGIN PASSWORD 'stranger'", "GRANT CONNECT ON DATABASE " + f.Database + " TO " + stranger} {
		require.NoError(t, f.Server.Exec(t.Context(), f.Database, sql))
	}
	hostile, err := pgx.Connect(t.Context(), f.Server.UserURL(stranger, "stranger", f.Database))
	require.NoError(t, err)
	defer func() { _ = hostile.Close(context.Background()) }()

	// It sees the keys of the locks that are held, and waits for its turn.
	const probe = 10 * time.Millisecond
	leader := lead(t, f.Ledger, probe)
	var key int64
	require.NoError(t, hostile.QueryRow(t.Context(), `SELECT classid::bigint << 32 | objid::bigint FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&key))
	leader.Release()
	_, err = hostile.Exec(t.Context(), "SELECT pg_advisory_lock($1)", key)
	require.NoError(t, err)

	admin := f.Connect(t)
	for what, relation := range map[string]string{"lead ": "standings", "fold ": "standings", "boards ": "boards", "maintain_partitions ": "score_events"} {
		require.NoError(t, admin.QueryRow(t.Context(), "SELECT hashtextextended($1 || $2::regclass::oid, 0)", what, f.Schema+"."+relation).Scan(&key))
		_, err = hostile.Exec(t.Context(), "SELECT pg_advisory_lock($1)", key)
		require.NoError(t, err)
	}
	_, err = hostile.Exec(t.Context(), "SELECT pg_advisory_lock(hashtextextended('migrate ' || $1, 0))", f.Schema)
	require.NoError(t, err)

	lead(t, f.Open(t, postgres.Options{}), probe).Release()
	leads, err := f.Ledger.OldVersionLeads(t.Context())
	require.NoError(t, err)
	require.False(t, leads)
	f.Migrate(t)
	_, err = f.Ledger.SyncBoards(t.Context(), ledgertest.Boards(t, 2))
	require.NoError(t, err)

	var partition string
	require.NoError(t, f.Ledger.Maintain(t.Context()))
	require.NoError(t, admin.QueryRow(t.Context(), "SELECT max(relname::text) FROM pg_class WHERE relname ~ '^score_events_[0-9]{6}$'").Scan(&partition))
	_, err = admin.Exec(t.Context(), "DROP TABLE "+partition)
	require.NoError(t, err)
	require.NoError(t, f.Ledger.Maintain(t.Context()))
	var made bool
	require.NoError(t, admin.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", partition).Scan(&made))
	require.True(t, made)
}

// Any process wakes the leader, and nobody else's.
func TestTheLeaderIsWoken(t *testing.T) {
	f, neighbour := newFixture(t, postgres.Options{}), newFixture(t, postgres.Options{})
	leader, stranger := lead(t, f.Ledger, time.Second), lead(t, neighbour.Ledger, time.Second)
	defer leader.Release()
	defer stranger.Release()

	require.NoError(t, f.Open(t, postgres.Options{}).WakeLeader(t.Context()))
	select {
	case <-leader.Woken:
	case <-time.After(time.Minute):
		t.Fatal("the leader was not woken")
	}
	require.Empty(t, stranger.Woken)
}

func TestAServerOfTheVersionBeforeIsSeen(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	leads, err := f.Ledger.OldVersionLeads(t.Context())
	require.NoError(t, err)
	require.False(t, leads)
	_, err = f.Connect(t).Exec(t.Context(), "SELECT pg_advisory_lock(hashtextextended('lead ' || 'standings'::regclass::oid, 0))")
	require.NoError(t, err)
	leads, err = f.Ledger.OldVersionLeads(t.Context())
	require.NoError(t, err)
	require.True(t, leads)
}

// Who only asks for the lead holds no connection of its own.
func TestFollowersHoldNoConnection(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	leader := lead(t, f.Ledger, time.Second)
	defer leader.Release()
	other := f.Open(t, postgres.Options{MaxConnections: 1})
	for range 3 {
		_, _, err := other.TryLead(t.Context(), time.Second)
		require.NoError(t, err)
		require.NoError(t, other.Ping(t.Context()))
	}
	require.Equal(t, int32(1), other.Stat().TotalConns())
	require.Zero(t, other.Stat().AcquiredConns())
}

// A leader that was cut off without its connection being closed loses the lead.
func TestASilentLeaderIsReplaced(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	const probe = 10 * time.Millisecond
	way := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
		"leader", "127.0.0.1:0", f.Server.Address())
	require.NoError(t, way.Start())
	defer way.Stop()

	cutOff := f.Open(t, postgres.Options{DirectURL: strings.Replace(f.URL, f.Server.Address(), way.Listen, 1)})
	defer lead(t, cutOff, probe).Release()

	_, err := way.Toxics.AddToxicJson(strings.NewReader(`{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`))
	require.NoError(t, err)
	lead(t, f.Ledger, probe).Release()
}

// Nothing is quoted of a URL that holds a password.
func TestABadURLIsNotQuoted(t *testing.T) {
	_, err := postgres.Open(t.Context(), postgres.Options{URL: "postgres://user:secret@host:port/x"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func TestReadLogStreamsEverythingOnce(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	players := f.Players(t, 250)
	before, err := f.Ledger.Snapshot(t.Context())
	require.NoError(t, err)
	var race, coins []leaderboard.Submission

	for i, p := range players {
		race = append(race, ledgertest.Submission(p, "race", int64(i)))
		coins = append(coins, ledgertest.Submission(p, "coins", int64(i)))
	}

	store(t, f.Ledger, race...)
	middle, err := f.Ledger.Snapshot(t.Context())
	require.NoError(t, err)
	stored := store(t, f.Ledger, coins...)
	snapshot, err := f.Ledger.Snapshot(t.Context())
	require.NoError(t, err)
	require.Equal(t, stored.Identity, snapshot.Identity)
	require.Equal(t, stored.Outcomes[249].Event, snapshot.LastEvent)

	read := func(from, until uint64) (events []leaderboard.Event) {
		require.NoError(t, f.Ledger.ReadLog(t.Context(), from, until, 100, func(chunk []leaderboard.Event) error {
			require.LessOrEqual(t, len(chunk), 100)
			events = append(events, chunk...)
			return nil
		}))
		return events
	}
	require.Len(t, read(before.Xmin, snapshot.Xmin), 500)
	require.Len(t, read(0, math.MaxInt64), 500)
	require.Empty(t, read(snapshot.Xmin, math.MaxInt64))
	first := read(before.Xmin, middle.Xmin)
	require.Len(t, first, 250)
	require.Nil(t, first[0].Standing)
	require.False(t, first[0].CountsTowardGlobal)

	for _, e := range read(middle.Xmin, snapshot.Xmin) {
		require.True(t, e.CountsTowardGlobal)
		require.Equal(t, &leaderboard.Standing{EntryKey: leaderboard.EntryKey{Board: e.Board, Season: 1, Player: e.Player}, Score: e.Score,
			Event: e.Number, Last: e.Number, Origin: e.Board}, e.Standing)
		require.True(t, e.Xid >= middle.Xmin && e.Xid < snapshot.Xmin)
	}

	none := func([]leaderboard.Event) error { return context.Canceled }
	require.ErrorIs(t, f.Ledger.ReadLog(t.Context(), 0, snapshot.Xmin, 100, none), context.Canceled)
}

// The checkpoint moves with the standings it is of, or not at all.
// Transactions of the last of all histories have numbers up to the greatest bigint.
func TestTheLastHistory(t *testing.T) {
	f := ledgertest.New(t, server, ledgertest.Boards(t, 1), postgres.Options{})
	conn := f.Connect(t)
	for _, sql := range []string{
		"CREATE OR REPLACE FUNCTION log_history() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 32767::bigint << 48'",
		"UPDATE ledger_state SET checkpoint = log_history(), log_start = log_history()",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}

	ledger := f.Open(t, postgres.Options{}) // its sessions know the history
	player := f.Players(t, 1)[0]
	stored, err := ledger.Store(t.Context(), []leaderboard.Submission{ledgertest.Submission(player, "speed", 7)})
	require.NoError(t, err)
	require.NoError(t, stored.Outcomes[0].Err)

	events := 0
	speed := f.Board(t, "speed")
	err = ledger.ReadBoard(t.Context(), speed, 10, func(uint64, uint64) {}, func([]leaderboard.Standing) error { return nil },
		func(chunk []leaderboard.Event) error { events += len(chunk); return nil })
	require.NoError(t, err)
	require.Equal(t, 1, events)

	reached, err := ledger.ReachedAt(t.Context(), []leaderboard.ReachedQuery{{Board: speed, RankingEntry: leaderboard.RankingEntry{Rank: 1, Place: 1, Player: player.Number, Event: stored.Outcomes[0].Event}}})
	require.NoError(t, err)
	require.NotZero(t, reached[0], "from the log")

	ledgertest.SaveStandings(t, ledger)
	mismatches, err := ledger.Verify(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, mismatches)
	var state string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT state FROM apply_retention('0')").Scan(&state))
	require.Equal(t, "done", state)
}

func TestSaveStandings(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	players := f.Players(t, 2)
	at, err := f.Ledger.Checkpoint(t.Context())
	require.NoError(t, err)
	race := f.Board(t, "race")
	of := func(player int, score, event int64) leaderboard.Standing {
		return leaderboard.Single(leaderboard.EntryKey{Board: race.Number, Season: 1, Player: players[player].Number}, score, event, race.Number)
	}

	require.NoError(t, f.Ledger.SaveStandings(t.Context(), at.Xid, at.Xid+10, 0, []leaderboard.Standing{of(0, 5, 7), of(1, 6, 8)}))
	require.Error(t, f.Ledger.SaveStandings(t.Context(), at.Xid, at.Xid+20, 0, []leaderboard.Standing{of(0, 1, 9)}), "the checkpoint is elsewhere")
	require.Equal(t, int64(5), standing(t, f, "race", players[0]).Score)

	conn := f.Connect(t)
	rows := func() (ctids []string) {
		rows, err := conn.Query(t.Context(), "SELECT ctid::text || xmax FROM standings ORDER BY player")
		require.NoError(t, err)
		ctids, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return ctids
	}
	before := rows()
	require.NoError(t, f.Ledger.SaveStandings(t.Context(), at.Xid+10, at.Xid+20, 0, []leaderboard.Standing{of(0, 5, 9), of(1, 7, 3)}))
	require.Equal(t, before, rows(), "what does not get better is neither written nor locked")
	require.NoError(t, f.Ledger.SaveStandings(t.Context(), at.Xid+20, at.Xid+30, 0, []leaderboard.Standing{of(0, 5, 3), of(1, 5, 9)}))
	require.Equal(t, int64(3), standing(t, f, "race", players[0]).Event, "the earlier event")
	require.Equal(t, int64(5), standing(t, f, "race", players[1]).Score)
}

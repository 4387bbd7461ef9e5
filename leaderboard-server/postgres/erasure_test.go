package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// erase erases a player and returns the number of the erasure.
func erase(t *testing.T, ledger *postgres.Ledger, player leaderboard.PlayerName) int64 {
	t.Helper()
	record, err := ledger.Erase(t.Context(), leaderboard.Moderation{Action: leaderboard.Erase, Actor: "admins", Player: player.ID, Reason: "asked for"}, nil)
	require.NoError(t, err)
	require.True(t, record.Changed)
	last, err := ledger.LastErasure(t.Context())
	require.NoError(t, err)
	return last
}

func finishErasures(t *testing.T, ledger *postgres.Ledger, upTo int64) {
	t.Helper()
	finished, err := ledger.FinishErasures(t.Context(), upTo)
	require.NoError(t, err)
	require.Equal(t, 1, finished)
	last, err := ledger.LastErasure(t.Context())
	require.NoError(t, err)
	require.Zero(t, last, "nothing is left to do")
}

// A server that ends half way leaves what is to be done in the schema, and the next one does it.
func TestErasureGoesOn(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	players := f.Players(t, 2)
	for i := range 3 {
		store(t, f.Ledger, with(keyed(ledgertest.Submission(players[0], "race", int64(i)), fmt.Sprint("a", i)), `{"a":1}`),
			with(keyed(ledgertest.Submission(players[1], "race", int64(i)), fmt.Sprint("b", i)), `{"b":1}`))
	}
	number := erase(t, f.Ledger, players[0])
	require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(store(t, f.Ledger, ledgertest.Submission(players[0], "race", 9)).Outcomes[0].Err))

	for _, sql := range []string{
		"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the server ends'; END $$",
		"CREATE TRIGGER refuse BEFORE DELETE ON event_metadata FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	_, err := f.Ledger.FinishErasures(t.Context(), number)
	require.ErrorContains(t, err, "the server ends")
	last, err := f.Ledger.LastErasure(t.Context())
	require.NoError(t, err)
	require.Equal(t, number, last)
	_, err = conn.Exec(t.Context(), "DROP TRIGGER refuse ON event_metadata")
	require.NoError(t, err)

	next := f.Open(t, postgres.Options{})
	_, err = next.SyncBoards(t.Context(), ledgertest.Boards(t, 1))
	require.NoError(t, err)
	finishErasures(t, next, number)
	rows, err := conn.Query(t.Context(), "SELECT metadata FROM event_metadata UNION SELECT player::text FROM idempotency_keys ORDER BY 1")
	require.NoError(t, err)
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{fmt.Sprint(players[1].Number), `{"b":1}`}, left, "that of others is theirs")
}

// Metadata of an event that retention has dropped is found by the entry, or the result, that is
// of it.
func TestErasureOfWhatRetentionHasDropped(t *testing.T) {
	f := newRetentionFixture(t)
	for _, sql := range []string{
		"UPDATE players SET created_at = '2020-01-01'",
		"INSERT INTO result_players (board, season, first_player, players, ranks) VALUES (2, 5, 1, '{1,2}', '{1,2}')",
	} {
		_, err := f.conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	f.maintain(t)
	require.Equal(t, []int64{f.best, f.closed, f.recent}, f.left(t))

	var id leaderboard.PlayerID
	require.NoError(t, f.conn.QueryRow(t.Context(), "SELECT id::text FROM players WHERE number = 1").Scan(&id))
	finishErasures(t, f.Ledger, erase(t, f.Ledger, leaderboard.PlayerName{ID: id}))
	require.Empty(t, f.left(t))
}

// A server that makes skeletons of names that it read before the erasure stores none of them.
func TestErasedNamesGetNoSkeleton(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	player := f.Players(t, 1)[0]
	reached, goOn := make(chan struct{}), make(chan struct{})
	filler := f.Open(t, postgres.Options{Skeleton: func(name string) string {
		if name == player.Username {
			close(reached)
			<-goOn
		}
		return "like " + name
	}})

	var filled sync.WaitGroup
	var err error
	filled.Go(func() { err = filler.Maintain(context.Background()) })
	<-reached
	erase(t, f.Ledger, player)
	close(goOn)
	filled.Wait()
	require.NoError(t, err)
	var skeletons int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM name_skeletons").Scan(&skeletons))
	require.Zero(t, skeletons)
}

// What another server has in memory of a name goes when it reads the boards, which it does as
// they have another version.
func TestErasedNamesAreForgotten(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	players := f.Players(t, 4)
	other := f.Open(t, postgres.Options{})
	_, err := other.SyncBoards(t.Context(), ledgertest.Boards(t, 1))
	require.NoError(t, err)
	directory, err := postgres.NewDirectory(other, 2)
	require.NoError(t, err)
	known := func() (ids []leaderboard.PlayerID) {
		names, err := directory.Names(t.Context(), []int64{players[0].Number, players[1].Number})
		require.NoError(t, err)
		for _, n := range names {
			ids = append(ids, n.ID)
		}
		slices.Sort(ids)
		return ids
	}
	require.Len(t, known(), 2)

	before := other.Catalog().Version()
	erase(t, f.Ledger, players[0])
	catalog, err := other.LoadCatalog(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, before, catalog.Version())
	require.Equal(t, []leaderboard.PlayerID{players[1].ID}, known())
	_, err = directory.Name(t.Context(), players[0].ID)
	require.Equal(t, leaderboard.CodeNoPlayer, leaderboard.CodeOf(err))

	// One that was asked for by its id alone while others were by number, for whom there is room.
	for _, p := range players[2:] {
		_, err = directory.Name(t.Context(), players[1].ID)
		require.NoError(t, err)
		_, err = directory.Names(t.Context(), []int64{p.Number})
		require.NoError(t, err)
	}
	erase(t, f.Ledger, players[1])
	_, err = other.LoadCatalog(t.Context())
	require.NoError(t, err)
	_, err = directory.Name(t.Context(), players[1].ID)
	require.Equal(t, leaderboard.CodeNoPlayer, leaderboard.CodeOf(err))
}

// How long it takes to erase a player of many submissions, all with metadata and keys, and what
// others who submit meanwhile have to wait.
func TestErasureOfManySubmissions(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	players := f.Players(t, 2)
	const events = 100_000
	_, err := conn.Exec(t.Context(), "UPDATE players SET created_at = now() - interval '10 days'")
	require.NoError(t, err)
	for _, sql := range []string{
		"INSERT INTO score_events (id, player, score, board, xid, at) SELECT nextval('event_ids'), $1::bigint, n, 2, log_history() | pg_current_xact_id()::text::bigint, now() - n * interval '2 seconds' FROM generate_series(1, $2::int) n",
		"INSERT INTO event_metadata (event, metadata) SELECT id, format('{\"car\":\"gt %s\"}', id) FROM score_events WHERE player = $1 LIMIT $2",
		"INSERT INTO idempotency_keys (player, key, fingerprint, event, expires_at) SELECT $1::bigint, gen_random_uuid(), gen_random_uuid(), n, now() + interval '1 day' FROM generate_series(1, $2::int) n",
	} {
		_, err := conn.Exec(t.Context(), sql, players[0].Number, events)
		require.NoError(t, err, sql)
	}
	require.NoError(t, f.Ledger.Maintain(t.Context()))
	require.NoError(t, f.Ledger.RollUpRecent(t.Context()))

	// Somebody else submits all the time.
	var others sync.WaitGroup
	stop := make(chan struct{})
	var waits []time.Duration
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			begun := time.Now()
			stored, err := f.Ledger.Store(context.Background(), []leaderboard.Submission{with(ledgertest.Submission(players[1], "race", 1), `{"other":1}`)})
			if err != nil || stored.Outcomes[0].Err != nil {
				t.Error("a submission of another player failed: ", err)
				return
			}
			waits = append(waits, time.Since(begun))
		}
	})

	begun := time.Now()
	number := erase(t, f.Ledger, players[0])
	committed := time.Since(begun)
	finishErasures(t, f.Ledger, number)
	took := time.Since(begun)
	close(stop)
	others.Wait()

	slices.Sort(waits)
	require.NotEmpty(t, waits)
	t.Logf("a player of %d submissions was erased in %v, of which the transaction took %v; %d submissions of another one took %v in the median, %v at most",
		events, took.Round(time.Millisecond), committed.Round(time.Millisecond), len(waits), waits[len(waits)/2].Round(10*time.Microsecond), waits[len(waits)-1].Round(10*time.Microsecond))
	var left int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM idempotency_keys) + (SELECT count(*) FROM event_metadata WHERE metadata NOT LIKE '%other%')").Scan(&left))
	require.Zero(t, left)
}

package conformance

import (
	"context"
	_ "embed" // the old statement
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// storeV3 is the statement with which servers stored a batch before there was a log,
// on a schema of version 3. Those that are still there during a rollout go on with it.
//
//go:embed testdata/store_v3.sql
var storeV3 string

// migratedEvents is how many events the schema has before it is migrated.
// MIGRATION_EVENTS sets another number, for example 1000000.
const migratedEvents = 20_000

// acknowledged is what was stored, by event.
type acknowledgedEvents struct {
	mu     sync.Mutex
	events map[int64]submitted
}

type submitted struct{ player, score int64 }

func (a *acknowledgedEvents) add(event int64, s submitted) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.events[event] = s
}

// oldReplica stores as servers of the version before did.
type oldReplica struct {
	conn   *pgx.Conn
	stored *acknowledgedEvents
}

func (o *oldReplica) store(ctx context.Context, players []leaderboard.PlayerName, boards []string, scores []int64, key pgtype.UUID) (last int64, err error) {
	n := len(players)
	ids, versions, keys, fingerprints := make([]pgtype.UUID, n), make([]int32, n), make([]pgtype.UUID, n), make([]pgtype.UUID, n)
	for i, p := range players {
		ids[i], versions[i] = pgtype.UUID{Bytes: uuid.MustParse(string(p.ID)), Valid: true}, 1
		if key.Valid {
			s := leaderboard.Submission{Board: boards[i], Score: scores[i]}
			keys[i], fingerprints[i] = key, pgtype.UUID{Bytes: s.Fingerprint(), Valid: true}
		}
	}

	rows, err := o.conn.Query(ctx, storeV3, ids, versions, boards, scores, keys, fingerprints, 24*time.Hour, "60000")
	if err != nil {
		return 0, err
	}
	defer rows.Close()

	events := make(map[int64]submitted, n)
	for rows.Next() {
		var ordinal int64
		var verdict pgtype.Text
		var event pgtype.Int8
		if err := rows.Scan(&ordinal, &verdict, &event, nil, nil, nil, nil, nil, nil, nil); err != nil {
			return 0, err
		}
		if ordinal <= 0 {
			continue
		}
		if verdict.Valid {
			return 0, fmt.Errorf("submission %d: %s", ordinal, verdict.String)
		}
		last = event.Int64
		events[last] = submitted{players[ordinal-1].Number, scores[ordinal-1]}
	}
	if rows.Err() != nil {
		return 0, rows.Err()
	}
	for event, s := range events {
		o.stored.add(event, s)
	}
	return last, nil
}

// random stores a batch. Boards whose scoring is ordered get the first half of the
// players; golf gets none.
func (o *oldReplica) random(ctx context.Context, r *rand.Rand, all []leaderboard.PlayerName, size int) error {
	players, boards, scores := make([]leaderboard.PlayerName, size), make([]string, size), make([]int64, size)
	for i := range players {
		boards[i] = []string{"speed", "race", "mood", "coins", leaderboard.GlobalBoard}[r.IntN(5)]
		players[i], scores[i] = all[r.IntN(len(all)/2)], r.Int64N(2001)-1000
	}
	_, err := o.store(ctx, players, boards, scores, pgtype.UUID{})
	return err
}

// A schema and a ranking of the version before, with submissions arriving all the
// time, through replicas of both versions side by side: nothing is lost or doubled,
// and what nobody touched stays as it was.
func TestMigrationOfALiveGame(t *testing.T) {
	events := migratedEvents
	if text := os.Getenv("MIGRATION_EVENTS"); text != "" {
		var err error
		events, err = strconv.Atoi(text)
		require.NoError(t, err)
	}

	f := ledgertest.NewAt(t, pg, 3, postgres.Options{})
	tenant := NewTenantOf(t, f, Standalone(rdb))
	players := tenant.Players(t, 400)
	stored := &acknowledgedEvents{events: make(map[int64]submitted)}
	old := &oldReplica{tenant.Connect(t), stored}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	for range events / 500 {
		require.NoError(t, old.random(t.Context(), random, players, 500))
	}
	for range 4 { // nobody touches golf any more
		for i := range players {
			_, err := old.store(t.Context(), players[i:i+1], []string{"golf"}, []int64{random.Int64N(7)}, pgtype.UUID{})
			require.NoError(t, err)
		}
	}
	key := leaderboard.Submission{Player: players[0].ID, TokenVersion: 1, Board: "speed", Score: 3, IdempotencyKey: "from before"}
	keyed, err := old.store(t.Context(), players[:1], []string{"speed"}, []int64{3}, keyOf(key.IdempotencyKey))
	require.NoError(t, err)
	before := tenant.board(t, "golf")
	require.Len(t, before, len(players))

	// The rollout.
	var counts [2]atomic.Int64 // of batches of the old version, and of submissions of the new
	oldCtx, stopOld := context.WithCancel(t.Context())
	var oldGroup, newGroup sync.WaitGroup
	for i := range 2 {
		replica := &oldReplica{tenant.Connect(t), stored}
		oldGroup.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(1+i)))
			for oldCtx.Err() == nil {
				err := replica.random(context.Background(), r, players, 1+r.IntN(20))
				var met *pgconn.PgError
				if errors.As(err, &met) && met.Code == "40P01" {
					continue // the committer stores such a batch again
				}
				if err != nil {
					t.Errorf("old replica: %v", err)
					return
				}
				counts[0].Add(1)
			}
		})
	}
	defer oldGroup.Wait()
	defer stopOld()

	tenant.Migrate(t)
	replica := tenant.Start(t)
	newCtx, stopNew := context.WithCancel(t.Context())
	defer newGroup.Wait()
	defer stopNew()
	for i := range 8 {
		newGroup.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(10+i)))
			for newCtx.Err() == nil {
				board, player := []string{"speed", "race", "mood", "coins", leaderboard.GlobalBoard}[r.IntN(5)], players[r.IntN(len(players))]
				if board == "mood" || board == "coins" {
					player = players[len(players)/2+r.IntN(len(players)/2)]
				}
				score := r.Int64N(2001) - 1000
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				receipt, err := replica.Committer.Commit(ctx, ledgertest.Submission(player, board, score))
				cancel()
				if err != nil {
					t.Errorf("new replica: %v", err)
					return
				}
				stored.add(receipt.Event, submitted{player.Number, score})
				counts[1].Add(1)
			}
		})
	}

	both := [2]int64{counts[0].Load() + 30, 300}
	eventually(t, "both versions have stored much", func() bool { return counts[0].Load() >= both[0] && counts[1].Load() >= both[1] })
	stopOld()
	oldGroup.Wait()
	alone := counts[1].Load() + 300
	eventually(t, "the new version goes on alone", func() bool { return counts[1].Load() >= alone })
	stopNew()
	newGroup.Wait()

	again := commitOne(t, replica, key)
	require.True(t, again.Replayed)
	require.Equal(t, keyed, again.Event, "the key is from before")

	tenant.requireStored(t, stored)
	require.Equal(t, before, tenant.board(t, "golf"), "what nobody touched")
	eventually(t, "the standings are saved", func() bool { return catchup.SaveStandings(context.Background(), tenant.Ledger) == nil })
	mismatches, err := tenant.Ledger.Verify(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, mismatches)

	for _, board := range tenant.Catalog.All() {
		want := tenant.board(t, board.Name)
		eventually(t, "the ranking of "+board.Name, func() bool {
			got, total, err := replica.Ranking.Page(context.Background(), board, 0, int64(len(want)))
			return err == nil && total == int64(len(want)) && fmt.Sprint(got) == fmt.Sprint(want)
		})
	}
}

// keyOf is how a key is stored.
func keyOf(key string) pgtype.UUID {
	return pgtype.UUID{Bytes: postgres.StoredKey("", key), Valid: true}
}

// board is a board in rank order, by nothing but the standings.
func (t *Tenant) board(tb testing.TB, name string) []leaderboard.RankingEntry {
	tb.Helper()
	board := t.Board(tb, name)
	rows, err := t.Connect(tb).Query(tb.Context(), `SELECT row_number() OVER (ORDER BY CASE WHEN $2 THEN -score ELSE score END, event), player, score, event, origin
		FROM standings WHERE board = $1 ORDER BY 1`, board.Number, board.Order == leaderboard.Descending)
	require.NoError(tb, err)
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e leaderboard.RankingEntry, err error) {
		err = row.Scan(&e.Rank, &e.Player, &e.Score, &e.Event, &e.Origin)
		e.Place = e.Rank
		return e, err
	})
	require.NoError(tb, err)
	return entries
}

// requireStored checks that every acknowledged event is in the log once, and no other.
func (t *Tenant) requireStored(tb testing.TB, stored *acknowledgedEvents) {
	tb.Helper()
	rows, err := t.Connect(tb).Query(tb.Context(), "SELECT id, player, score FROM score_events")
	require.NoError(tb, err)
	n := 0
	var event int64
	var is submitted
	_, err = pgx.ForEachRow(rows, []any{&event, &is.player, &is.score}, func() error {
		n++
		if want, ok := stored.events[event]; !ok || want != is {
			return fmt.Errorf("event %d is %+v, and %+v was acknowledged (%v)", event, is, want, ok)
		}
		return nil
	})
	require.NoError(tb, err)
	require.Equal(tb, len(stored.events), n, "lost or doubled")
}

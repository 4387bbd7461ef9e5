package conformance

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// ownRedis starts a Redis that a test may break.
func ownRedis(t *testing.T) *stores.Redis {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := stores.StartRedis(ctx, stores.RedisOptions{ACLFile: true})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	return server
}

func commitOne(t *testing.T, r *Replica, submission leaderboard.Submission) leaderboard.Receipt {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	receipt, err := r.Committer.Commit(ctx, submission)
	require.NoError(t, err)
	return receipt
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 5*time.Millisecond, what)
}

// rankIs waits until the player's rank and score can be read and are these.
func rankIs(t *testing.T, r *Replica, board leaderboard.LiveBoard, player, rank, score int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		entry, err := r.Ranking.Rank(context.Background(), board, player)
		return err == nil && entry.Rank == rank && entry.Score == score
	}, time.Minute, 5*time.Millisecond, "player %d: want rank %d with %d", player, rank, score)
}

func TestSubmissionsAreAcceptedWhileRedisIsAway(t *testing.T) {
	server := ownRedis(t)
	tenant := NewTenant(t, pg, server, 3)
	r := tenant.Start(t)
	players := tenant.Players(t, 20)
	model := NewModel(tenant.Catalog)
	tenant.RequireEqual(t, r.Ranking, model, players[:1])
	speed := tenant.Board(t, "speed")

	receipt := commitOne(t, r, ledgertest.Submission(players[0], "speed", 10))
	require.Equal(t, leaderboard.RankingLive, receipt.Ranking)
	require.Equal(t, int64(1), receipt.Rank)
	model.Submit(speed, players[0].Number, 10, leaderboard.Columns{}, receipt.Event)

	server.Kill()
	for i, p := range players {
		receipt := commitOne(t, r, ledgertest.Submission(p, "speed", int64(i)))
		require.Equal(t, leaderboard.RankingDelayed, receipt.Ranking)
		require.Zero(t, receipt.Rank)
		model.Submit(speed, p.Number, int64(i), leaderboard.Columns{}, receipt.Event)
	}

	_, err := r.Ranking.Rank(t.Context(), speed, players[0].Number)
	require.Equal(t, leaderboard.CodeRankingUnavailable, leaderboard.CodeOf(err))
	_, _, err = r.Ranking.Page(t.Context(), speed, 0, 10)
	require.Equal(t, leaderboard.CodeRankingUnavailable, leaderboard.CodeOf(err))
	require.Error(t, r.Ranking.Ready(t.Context()))

	require.NoError(t, server.Start(t.Context())) // empty
	tenant.Allow(t)
	tenant.RequireEqual(t, r.Ranking, model, players)
	require.NoError(t, r.Ranking.Ready(t.Context()))
}

// A leader that alone is cut off from Redis does not keep the others from applying
// what it stores.
func TestALeaderThatCannotReachRedisIsReplaced(t *testing.T) {
	tenant := NewTenant(t, pg, rdb, 1)
	leader := tenant.StartWith(t, tenant.NewClient(t))
	eventually(t, "the first replica leads", func() bool { return leader.CatchUp.Status().Leading })
	other := tenant.Start(t)
	player := tenant.Players(t, 1)[0]
	require.NoError(t, leader.client.Close())
	receipt := commitOne(t, leader, ledgertest.Submission(player, "speed", 10))
	require.Equal(t, leaderboard.RankingDelayed, receipt.Ranking)
	rankIs(t, other, tenant.Board(t, "speed"), player.Number, 1, 10)
}

// A Redis that comes back with an older state is not believed.
func TestRedisIsPutBackToAnOlderState(t *testing.T) {
	server := ownRedis(t)
	tenant := NewTenant(t, pg, server, 1)
	r := tenant.Start(t)
	players := tenant.Players(t, 3)
	speed := tenant.Board(t, "speed")
	tenant.RequireEqual(t, r.Ranking, NewModel(tenant.Catalog), players)
	commitOne(t, r, ledgertest.Submission(players[0], "speed", 10))
	commitOne(t, r, ledgertest.Submission(players[1], "speed", 20))
	rankIs(t, r, speed, players[0].Number, 2, 10)
	admin := server.Client()
	require.NoError(t, admin.Save(t.Context()).Err())
	require.NoError(t, admin.Close())

	before, err := r.Ledger.Snapshot(t.Context())
	require.NoError(t, err)
	commitOne(t, r, ledgertest.Submission(players[0], "speed", 30))
	eventually(t, "the watermark passes the change and a reader sees it", func() bool {
		mark, err := tenant.Client.HGet(context.Background(), tenant.Prefix+"{speed:1:0}:2m", "w").Uint64()
		entry, rankErr := r.Ranking.Rank(context.Background(), speed, players[0].Number)
		return err == nil && mark > before.Xmin && rankErr == nil && entry.Score == 30
	})

	server.Kill()
	require.NoError(t, server.Start(t.Context()))
	tenant.Allow(t)
	answers := 0
	eventually(t, "the ranking answers again", func() bool {
		entry, err := r.Ranking.Rank(context.Background(), speed, players[0].Number)
		if err != nil {
			return false
		}
		require.Equal(t, []int64{1, 30}, []int64{entry.Rank, entry.Score}, "a state that had been superseded")
		answers++
		return answers > 20
	})
}

// A transaction that commits after later ones were caught up is not missed.
func TestATransactionThatCommitsLate(t *testing.T) {
	tenant := NewTenant(t, pg, rdb, 1)
	r := tenant.Start(t)
	players := tenant.Players(t, 2)
	speed := tenant.Board(t, "speed")
	commitOne(t, r, ledgertest.Submission(players[0], "speed", 10))
	late, err := tenant.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = late.Exec(t.Context(), `INSERT INTO score_events (id, player, score, board, xid) VALUES (nextval('event_ids'), $2, 50, $1, log_xid())`,
		speed.Number, players[1].Number)
	require.NoError(t, err)

	// Others pass, and catch-up has had its chance.
	r.Drop.Store(true)
	commitOne(t, r, ledgertest.Submission(players[0], "speed", 20))
	r.Drop.Store(false)
	eventually(t, "catch-up notices that it is held back", func() bool { return r.CatchUp.Status().Behind > 5*Interval })
	require.NoError(t, late.Commit(t.Context()))
	rankIs(t, r, speed, players[1].Number, 1, 50)
	rankIs(t, r, speed, players[0].Number, 2, 20)
	eventually(t, "it is no longer behind", func() bool { return r.CatchUp.Status().Behind == 0 })
}

// Another number of shards is another layout: everything moves, nothing is left.
func TestTheNumberOfShardsChanges(t *testing.T) {
	tenant := NewTenant(t, pg, rdb, 3)
	players := tenant.Players(t, 40)
	model := NewModel(tenant.Catalog)
	speed := tenant.Board(t, "speed")
	first := tenant.Start(t)

	for i, p := range players {
		receipt := commitOne(t, first, ledgertest.Submission(p, "speed", int64(i%5)))
		model.Submit(speed, p.Number, int64(i%5), leaderboard.Columns{}, receipt.Event)
	}

	tenant.RequireEqual(t, first.Ranking, model, players)
	for _, shards := range []int{1, 16} {
		var err error
		tenant.Catalog, err = first.Ledger.SyncBoards(t.Context(), ledgertest.Boards(t, shards))
		require.NoError(t, err)
		model.catalog = tenant.Catalog
		tenant.RequireEqual(t, first.Ranking, model, players)
		admin := rdb.Client()
		eventually(t, "the shards that are no more are deleted", func() bool {
			keys, err := admin.Keys(context.Background(), tenant.Prefix+"{speed:1:*}:2m").Result()
			return err == nil && len(keys) == shards
		})

		require.NoError(t, admin.Close())
	}
}

// A ledger restored from a dump has transaction numbers of another history: the
// standings are brought up to its end once, and nothing of it is compared with what
// comes in.
func TestALedgerRestoredFromADump(t *testing.T) {
	tenant := NewTenant(t, pg, rdb, 1)
	players := tenant.Players(t, 3)
	speed, coins := tenant.Board(t, "speed"), tenant.Board(t, "coins")
	submit := func(board string, player int, score int64) {
		t.Helper()
		stored, err := tenant.Ledger.Store(t.Context(), []leaderboard.Submission{ledgertest.Submission(players[player], board, score)})
		require.NoError(t, err)
		require.NoError(t, stored.Outcomes[0].Err)
	}

	submit("speed", 0, 7)
	ledgertest.SaveStandings(t, tenant.Ledger)
	submit("speed", 1, 9) // behind the checkpoint
	submit("coins", 1, 4)
	conn := tenant.Connect(t)
	const another = "(xid # (5::bigint << 48))" // a history whose numbers differ in two bits
	for _, sql := range []string{"UPDATE score_events SET xid = " + another, "UPDATE ledger_state SET checkpoint = " + strings.ReplaceAll(another, "xid", "checkpoint")} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	submit("speed", 2, 8) // before anybody has looked

	r := tenant.Start(t)
	rankIs(t, r, speed, players[1].Number, 1, 9)
	rankIs(t, r, speed, players[2].Number, 2, 8)
	rankIs(t, r, speed, players[0].Number, 3, 7)
	rankIs(t, r, coins, players[1].Number, 1, 4)
	eventually(t, "the standings are saved", func() bool { return catchup.SaveStandings(context.Background(), tenant.Ledger) == nil })
	mismatches, err := tenant.Ledger.Verify(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, mismatches)
}

// PostgreSQL is restored from a copy of its files: Redis then holds more than the
// ledger, and must not keep it.
func TestPostgresIsPutBackToAnOlderState(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	dir := filepath.Join(t.TempDir(), "pg")
	// The folders above must let the server's user through.
	for parent := filepath.Dir(dir); strings.HasPrefix(filepath.Base(parent), "0") || strings.HasPrefix(filepath.Base(parent), "Test"); parent = filepath.Dir(parent) {
		require.NoError(t, exec.CommandContext(ctx, "chmod", "755", parent).Run())
	}

	server, err := stores.StartPostgres(ctx, stores.PostgresOptions{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	tenant := NewTenant(t, server, rdb, 1)
	r := tenant.Start(t)
	players := tenant.Players(t, 2)
	speed := tenant.Board(t, "speed")
	commitOne(t, r, ledgertest.Submission(players[0], "speed", 10))
	server.Stop()
	require.NoError(t, exec.CommandContext(ctx, "cp", "-a", filepath.Join(dir, "data"), filepath.Join(dir, "copy")).Run())
	require.NoError(t, server.Start(ctx))

	for i := range 50 {
		eventually(t, "the pool has recovered", func() bool {
			_, err := r.Committer.Commit(ctx, ledgertest.Submission(players[i%2], "speed", int64(100+i)))
			return err == nil
		})
	}

	rankIs(t, r, speed, players[1].Number, 1, 149)
	eventually(t, "the watermark passes the submissions", func() bool { s := r.CatchUp.Status(); return s.Leading && s.Behind == 0 })
	server.Kill()
	require.NoError(t, exec.CommandContext(ctx, "rm", "-r", filepath.Join(dir, "data")).Run())
	require.NoError(t, exec.CommandContext(ctx, "mv", filepath.Join(dir, "copy"), filepath.Join(dir, "data")).Run())
	require.NoError(t, server.Start(ctx))
	rankIs(t, r, speed, players[0].Number, 1, 10)
	_, err = r.Ranking.Rank(ctx, speed, players[1].Number)
	require.Equal(t, leaderboard.CodeNoEntry, leaderboard.CodeOf(err))
}

// Catch-up joins nothing that a batch has joined, and all that none has.
func TestCatchUpJoinsWhatNoBatchHas(t *testing.T) {
	tenant := NewTenant(t, pg, rdb, 1)
	r := tenant.Start(t)
	players := tenant.Players(t, 2)
	speed := tenant.Board(t, "speed")
	tenant.RequireEqual(t, r.Ranking, NewModel(tenant.Catalog), players)
	before := r.CatchUp.Status().Applied

	// Events are not read before this ends, and by then batches have applied them.
	open, err := tenant.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = open.Exec(t.Context(), "SELECT pg_current_xact_id()")
	require.NoError(t, err)
	for i := range 20 {
		commitOne(t, r, ledgertest.Submission(players[i%2], "speed", int64(i)))
	}
	require.NoError(t, open.Rollback(t.Context()))
	eventually(t, "catch-up passes them", func() bool {
		left, err := tenant.Client.Exists(context.Background(), tenant.Prefix+"{speed:1:0}:2a").Result()
		return err == nil && left == 0
	})
	require.Equal(t, before, r.CatchUp.Status().Applied)

	r.Drop.Store(true)
	commitOne(t, r, ledgertest.Submission(players[0], "speed", 50))
	rankIs(t, r, speed, players[0].Number, 1, 50)
	require.Greater(t, r.CatchUp.Status().Applied, before)
}

// longTransaction is one that has written and stays open: whatever commits from now
// on is above the watermark until it ends.
func longTransaction(t *testing.T, tenant *Tenant) {
	t.Helper()
	tx, err := tenant.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pg_current_xact_id()")
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
}

// Redis loses its data while a transaction runs long: what was acknowledged since
// that began must not be missing from the rebuilt ranking.
func TestARebuildBesideALongTransaction(t *testing.T) {
	server := ownRedis(t)
	tenant := NewTenant(t, pg, server, 1)
	r := tenant.Start(t)
	players := tenant.Players(t, 2)
	speed := tenant.Board(t, "speed")
	tenant.RequireEqual(t, r.Ranking, NewModel(tenant.Catalog), players)
	commitOne(t, r, ledgertest.Submission(players[0], "speed", 10))
	rankIs(t, r, speed, players[0].Number, 1, 10)
	longTransaction(t, tenant)
	require.Equal(t, leaderboard.RankingLive, commitOne(t, r, ledgertest.Submission(players[0], "speed", 20)).Ranking)
	commitOne(t, r, ledgertest.Submission(players[1], "speed", 30))

	admin := server.Client()
	require.NoError(t, admin.FlushAll(t.Context()).Err())
	require.NoError(t, admin.Close())
	var entry leaderboard.OwnEntry
	eventually(t, "the ranking answers again", func() (ok bool) {
		var err error
		entry, err = r.Ranking.Rank(context.Background(), speed, players[0].Number)
		return leaderboard.CodeOf(err) != leaderboard.CodeRankingUnavailable
	})

	require.Equal(t, []int64{2, 20}, []int64{entry.Rank, entry.Score}, "an acknowledged score is missing")
}

// A receipt tells a rank only of an entry that reflects the submission: another
// replica may have stored what improved it, and not have applied it.
func TestARankIsToldOfAnEntryThatReflectsTheSubmission(t *testing.T) {
	tenant := NewTenant(t, pg, rdb, 1)
	first, second := tenant.Start(t), tenant.Start(t)
	players := tenant.Players(t, 1)
	speed := tenant.Board(t, "speed")
	tenant.RequireEqual(t, second.Ranking, NewModel(tenant.Catalog), players)
	commitOne(t, second, ledgertest.Submission(players[0], "speed", 10))
	rankIs(t, second, speed, players[0].Number, 1, 10)

	longTransaction(t, tenant) // catch-up cannot help
	first.Drop.Store(true)
	submission := ledgertest.Submission(players[0], "speed", 20)
	submission.IdempotencyKey = "once"
	require.Equal(t, leaderboard.RankingDelayed, commitOne(t, first, submission).Ranking)

	receipt := commitOne(t, second, submission)
	require.True(t, receipt.Replayed)
	require.Equal(t, leaderboard.RankingDelayed, receipt.Ranking, "the ranking has 10")
	equal := commitOne(t, second, ledgertest.Submission(players[0], "speed", 10))
	require.Equal(t, leaderboard.RankingLive, equal.Ranking)
	require.False(t, equal.Improved)
	lower := commitOne(t, second, ledgertest.Submission(players[0], "speed", 15))
	require.Equal(t, leaderboard.RankingLive, lower.Ranking, "the ranking has 15 now; the 20 was told to be delayed")
	require.Equal(t, int64(15), lower.StandingScore)
	higher := commitOne(t, second, ledgertest.Submission(players[0], "speed", 30))
	require.Equal(t, leaderboard.RankingLive, higher.Ranking)
	require.Equal(t, leaderboard.RankingLive, commitOne(t, second, submission).Ranking)
}

// Retention cuts the log, never a board: what was dropped lives on in the standings,
// through a rebuild and a restart, and is not dropped before it is in there.
func TestRetentionKeepsAnAllTimeBoardWhole(t *testing.T) {
	server := ownRedis(t)
	tenant := NewTenant(t, pg, server, 1)
	players := tenant.Players(t, 3)
	speed, coins := tenant.Board(t, "speed"), tenant.Board(t, "coins")
	conn := tenant.Connect(t)
	now := time.Now().UTC()
	month := time.Date(now.Year(), now.Month()-3, 1, 0, 0, 0, 0, time.UTC)
	partition := "score_events_" + month.Format("200601")
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	exec("SET ROLE " + pgx.Identifier{tenant.Owner}.Sanitize())
	exec(fmt.Sprintf("CREATE TABLE %s PARTITION OF score_events FOR VALUES FROM ('%s') TO ('%s')", partition,
		month.Format(time.RFC3339), month.AddDate(0, 1, 0).Format(time.RFC3339)))
	for i, score := range []int64{100, 50, 70} {
		exec("INSERT INTO score_events (id, at, player, score, board, global_season, xid) VALUES (nextval('event_ids'), $1, $2, $3, $4, 1, log_xid())",
			month.Add(time.Hour), players[i].Number, score, speed.Number)
	}
	there := func() (there bool) {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", partition).Scan(&there))
		return there
	}

	keeping := tenant.Open(t, postgres.Options{EventRetention: 24 * time.Hour})
	soon, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	require.Error(t, keeping.Maintain(soon), "the standings do not have it yet")
	require.True(t, there())

	ledgertest.SaveStandings(t, tenant.Ledger)
	r := tenant.Start(t)
	commitOne(t, r, ledgertest.Submission(players[1], "speed", 60))
	commitOne(t, r, ledgertest.Submission(players[0], "coins", 5))
	require.NoError(t, keeping.Maintain(t.Context()))
	require.False(t, there())

	whole := func(r *Replica) {
		t.Helper()
		rankIs(t, r, speed, players[0].Number, 1, 100)
		rankIs(t, r, speed, players[2].Number, 2, 70)
		rankIs(t, r, speed, players[1].Number, 3, 60)
		rankIs(t, r, tenant.Catalog.Global(), players[2].Number, 2, 70)
		rankIs(t, r, coins, players[0].Number, 1, 5)
	}
	whole(r)
	admin := server.Client()
	require.NoError(t, admin.FlushAll(t.Context()).Err())
	whole(r)

	// A Redis that comes back with a state from before the log's beginning is rebuilt.
	require.NoError(t, admin.HSet(t.Context(), tenant.Prefix+"{speed:1:0}:2m", "w", strings.Repeat("0", 19)+"1").Err())
	require.NoError(t, admin.Close())
	whole(tenant.Start(t))
}

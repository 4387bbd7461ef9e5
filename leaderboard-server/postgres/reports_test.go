package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// waiting is how many connections of the tenant wait for a lock.
func waiting(t *testing.T, f *ledgertest.Fixture, conn *pgx.Conn) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'", f.Database).Scan(&n))
	return n
}

// However many reports, lookups and registrations there are, and however long they
// take, submissions and rebuilds find connections.
func TestReadersLeaveSubmissionsTheirConnections(t *testing.T) {
	const callers, reports, lookups, queue = 100, 1, 2, 32
	f := newFixture(t, postgres.Options{MaxConnections: 8, Timeout: 5 * time.Minute, ReportTimeout: 5 * time.Minute})
	player, board := f.Players(t, 1)[0], f.Board(t, "race")
	conn := f.Connect(t)

	// Reports wait for the rollups, registrations for one with the same username.
	held, err := f.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), "LOCK TABLE report_tops IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), "INSERT INTO players (id, username, username_key, password_hash) VALUES (gen_random_uuid(), 'ada', 'ada', 'none')")
	require.NoError(t, err)

	var group sync.WaitGroup
	var busy, answered, registered atomic.Int64
	now := time.Now()
	for i := range callers {
		group.Go(func() {
			_, err := f.Ledger.TopPlayers(t.Context(), board, now.Add(-time.Hour), now, 1+i)
			switch leaderboard.CodeOf(err) {
			case leaderboard.CodeBusy:
				busy.Add(1)
			case "":
				answered.Add(1)
			default:
				t.Error(err)
			}
		})
		group.Go(func() {
			if _, err := f.Ledger.CreatePlayer(t.Context(), leaderboard.Player{Username: "ada", UsernameKey: "ada", PasswordHash: "none"}, nil); err == nil {
				registered.Add(1)
			}
		})
	}

	require.Eventually(t, func() bool {
		return busy.Load() == callers-reports-queue && waiting(t, f, conn) == reports+lookups
	}, time.Minute, 5*time.Millisecond, "the others are refused, and no more than these get to PostgreSQL")
	for i := range 20 {
		store(t, f.Ledger, ledgertest.Submission(player, "race", int64(i)))
	}
	read := 0
	err = f.Ledger.ReadBoard(t.Context(), board, 100, func(uint64, uint64) {}, func([]leaderboard.Standing) error { return nil },
		func(events []leaderboard.Event) error { read += len(events); return nil })
	require.NoError(t, err)
	require.Equal(t, 20, read)

	require.NoError(t, held.Rollback(t.Context()))
	group.Wait()
	require.Equal(t, int64(reports+queue), answered.Load())
	require.Equal(t, int64(1), registered.Load())
}

// The same question is read once within the time that a report may be old, and once
// at a time.
func TestReportsAreShared(t *testing.T) {
	f := newFixture(t, postgres.Options{ReportTTL: time.Hour})
	players, board := f.Players(t, 2), f.Board(t, "speed")
	store(t, f.Ledger, ledgertest.Submission(players[0], "speed", 1))
	var now time.Time
	conn := f.Connect(t)
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT now()").Scan(&now))
	from, to := now.Add(-time.Hour), now.Add(time.Hour)

	held, err := f.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), "LOCK TABLE report_tops IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)

	const callers = 50 // more than could wait each by itself
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			rows, err := f.Ledger.TopPlayers(t.Context(), board, from, to, 10)
			if err != nil || len(rows) != 1 {
				t.Error(fmt.Sprint(rows), err)
			}
		})
	}

	require.Eventually(t, func() bool { return waiting(t, f, conn) == 1 }, time.Minute, 5*time.Millisecond)
	require.NoError(t, held.Rollback(t.Context()))
	group.Wait()

	store(t, f.Ledger, ledgertest.Submission(players[1], "speed", 2))
	rows, err := f.Ledger.TopPlayers(t.Context(), board, from, to, 10)
	require.NoError(t, err)
	require.Len(t, rows, 1, "from memory")
	rows, err = f.Ledger.TopPlayers(t.Context(), board, from, to, 11)
	require.NoError(t, err)
	require.Len(t, rows, 2, "another question")
	rows, err = f.Open(t, postgres.Options{}).TopPlayers(t.Context(), board, from, to, 10)
	require.NoError(t, err)
	require.Len(t, rows, 2, "nothing is kept")
}

// An idle ledger holds no connection for reports and maintenance.
func TestReportConnectionsAreGivenBack(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	require.NoError(t, f.Ledger.Maintain(t.Context()))
	require.Positive(t, f.Ledger.StatAside().TotalConns())
	require.Eventually(t, func() bool { return f.Ledger.StatAside().TotalConns() == 0 }, 2*time.Minute, 100*time.Millisecond)
}

package postgres_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// Retention has to wait for a report, and submissions do not wait for retention.
func TestRetentionDoesNotStopSubmissions(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	for _, sql := range []string{
		"CREATE TABLE score_events_202001 PARTITION OF score_events FOR VALUES FROM ('2020-01-01+00') TO ('2020-02-01+00')",
		"ALTER TABLE score_events_202001 OWNER TO " + pgx.Identifier{f.Owner}.Sanitize(),
		"UPDATE report_progress SET days_until = now() AT TIME ZONE 'UTC'", // no day waits for the report
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err)
	}

	// A submission waits behind an attempt for as long as the attempt waits.
	var wait time.Duration
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT split_part(setting, '=', 2)::interval
		FROM pg_proc, unnest(proconfig) AS setting WHERE oid = 'apply_retention'::regproc AND setting LIKE 'lock_timeout=%'`).Scan(&wait))
	require.LessOrEqual(t, wait, 100*time.Millisecond)

	report, err := f.Connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = report.Exec(t.Context(), "SELECT count(*) FROM score_events")
	require.NoError(t, err)

	// Two replicas try, at the pace of one.
	const replicas = 2
	working, stop := context.WithCancel(t.Context())
	defer stop()
	maintained := make(chan error, replicas)
	for range replicas {
		replica := f.Open(t, postgres.Options{EventRetention: 24 * time.Hour})
		go func() {
			for {
				err := replica.Maintain(working)
				if err == nil || working.Err() != nil {
					maintained <- err
					return
				}
			}
		}()
	}

	player := f.Players(t, 1)[0]
	failures, exists := 0, false
	look := func() {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT failures, to_regclass('score_events_202001') IS NOT NULL FROM retention_state").Scan(&failures, &exists))
	}

	var stored atomic.Int64
	for last := 0; failures < 4; look() {
		if failures > last { // between two attempts there is always a submission
			require.Positive(t, stored.Swap(0))
			last = failures
		}
		store(t, f.Ledger, ledgertest.Submission(player, "race", stored.Add(1)))
	}

	require.True(t, exists)
	require.NoError(t, report.Rollback(t.Context()))
	for range replicas {
		require.NoError(t, <-maintained)
	}

	look()
	require.False(t, exists)
	require.Zero(t, failures)
}

package postgres_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// However many servers lease at once, a second has no more than there may be, and no fewer where
// they ask for as many.
func TestLeasesAreOfOneSecond(t *testing.T) {
	f := ledgertest.New(t, server, ledgertest.Boards(t, 1), postgres.Options{})
	ledgers := []*postgres.Ledger{f.Ledger, f.Open(t, postgres.Options{})}
	conn := f.Connect(t)
	const most = 200
	for range 3 {
		// A second that is not over while the test runs: as after the clock was set back.
		_, err := conn.Exec(t.Context(), "UPDATE submission_leases SET second = extract(epoch FROM now())::bigint + 3600, leased = 0")
		require.NoError(t, err)
		var granted atomic.Int64
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				for {
					wanted := 1 + rand.IntN(9)
					n, left, err := ledgers[i%2].LeaseSubmissions(t.Context(), most, wanted)
					if err != nil || left <= 0 || left > time.Second {
						t.Errorf("%d for %s: %v", n, left, err)
						return
					}
					granted.Add(int64(n))
					if n < wanted {
						return
					}
				}
			})
		}
		group.Wait()
		require.Equal(t, int64(most), granted.Load())
	}

	n, _, err := f.Ledger.LeaseSubmissions(t.Context(), most/2, 1)
	require.NoError(t, err)
	require.Zero(t, n, "the class allows fewer by now")
	_, err = conn.Exec(t.Context(), "UPDATE submission_leases SET second = 0")
	require.NoError(t, err)
	n, _, err = f.Ledger.LeaseSubmissions(t.Context(), most, most)
	require.NoError(t, err)
	require.Equal(t, most, n, "another second")
}

package postgres_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// newName is a player as registration makes one.
func newName(username string) leaderboard.Player {
	key, _ := names.Key(username)
	return leaderboard.Player{Username: username, UsernameKey: key, Skeleton: names.Skeleton(username), PasswordHash: "none"}
}

// registerBefore registers players as servers of the version before do, in this order.
func registerBefore(t *testing.T, conn *pgx.Conn, usernames ...string) {
	t.Helper()
	for _, username := range usernames {
		key, _ := names.Key(username)
		_, err := conn.Exec(t.Context(), `
			INSERT INTO players (id, username, username_key, password_hash)
			SELECT gen_random_uuid(), $1, $2, 'none' WHERE NOT EXISTS (SELECT FROM players WHERE username_key = $2)
			ON CONFLICT (username_key) DO NOTHING`, username, key)
		require.NoError(t, err)
	}
}

// skeletonOwner is the username of the player who has a skeleton; empty: nobody has.
func skeletonOwner(t *testing.T, conn *pgx.Conn, like string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT username FROM name_skeletons s JOIN players p ON p.number = s.player WHERE skeleton = $1", names.Skeleton(like))
	require.NoError(t, err)
	owners, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	if len(owners) == 0 {
		return ""
	}
	return owners[0]
}

// A username that looks like another one is taken, with attributes and without, and uses up no
// number.
func TestLookalikes(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	first, err := f.Ledger.CreatePlayer(t.Context(), newName("cop"), nil)
	require.NoError(t, err)

	for username, says := range map[string]string{"сор": "looks like another one", "СОР": "looks like another one", "COP": "is taken"} {
		for _, attributes := range []map[string]string{nil, {"country": "DE"}} {
			_, err := f.Ledger.CreatePlayer(t.Context(), newName(username), attributes)
			require.Equal(t, leaderboard.CodeConflict, leaderboard.CodeOf(err))
			require.ErrorContains(t, err, says)
			require.NotContains(t, err.Error(), "cop")
		}
	}

	next, err := f.Ledger.CreatePlayer(t.Context(), newName("cope"), nil)
	require.NoError(t, err)
	require.Equal(t, first.Number+1, next.Number)
}

// Of two who register at once names that look alike, one is registered.
func TestRacingLookalikes(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)

	t.Run("while the other is not decided", func(t *testing.T) {
		for _, commits := range []bool{true, false} {
			username := fmt.Sprintf("cop-%t", commits)
			tx, err := f.Connect(t).Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), "INSERT INTO name_skeletons (skeleton, player) VALUES ($1, 0)", names.Skeleton(username))
			require.NoError(t, err)

			done := make(chan error, 1)
			go func() {
				_, err := f.Ledger.CreatePlayer(t.Context(), newName(username), nil)
				done <- err
			}()
			require.Eventually(t, func() bool {
				var waits bool
				err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
					WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%name_skeletons%')`).Scan(&waits)
				return err == nil && waits
			}, 10*time.Second, time.Millisecond)

			if commits {
				require.NoError(t, tx.Commit(t.Context()))
				err := <-done
				require.Equal(t, leaderboard.CodeConflict, leaderboard.CodeOf(err))
				require.ErrorContains(t, err, "looks like another one")
				continue
			}
			require.NoError(t, tx.Rollback(t.Context()))
			require.NoError(t, <-done)
			require.Equal(t, username, skeletonOwner(t, conn, username))
		}
	})

	t.Run("at once", func(t *testing.T) {
		const rounds = 20
		other := f.Open(t, postgres.Options{})
		var players int
		count := func() (n int) {
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM players").Scan(&n))
			return n
		}
		players = count()

		for round := range rounds {
			var racing sync.WaitGroup
			errs := make([]error, 4)
			for i, ledger := range []*postgres.Ledger{f.Ledger, other, f.Ledger, other} {
				username := fmt.Sprintf("%s%d", []string{"cop", "сор", "сop", "соp"}[i], round)
				racing.Go(func() { _, errs[i] = ledger.CreatePlayer(t.Context(), newName(username), nil) })
			}
			racing.Wait()

			registered := 0
			for _, err := range errs {
				if err == nil {
					registered++
					continue
				}
				require.Equal(t, leaderboard.CodeConflict, leaderboard.CodeOf(err))
			}
			require.Equal(t, 1, registered)
		}
		require.Equal(t, players+rounds, count())
	})
}

// Players from before the migration, and those whom servers of the version before register
// after it, keep their names, and have skeletons once maintenance has been there.
func TestPlayersFromBeforeSkeletons(t *testing.T) {
	const before = 18
	options := postgres.Options{Skeleton: names.Skeleton}
	f := ledgertest.NewAt(t, server, before, options)
	conn := f.Connect(t)
	registerBefore(t, conn, "cop", "сор", "Zoë", "аdmin")
	_, err := conn.Exec(t.Context(), `INSERT INTO players (id, username, username_key, password_hash)
		SELECT gen_random_uuid(), 'p' || n, 'p' || n, 'none' FROM generate_series(1, 4500) n`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "UPDATE players SET created_at = now() - interval '2 hours'")
	require.NoError(t, err)

	f.MigrateTo(t, postgres.RequiredVersion())
	registerBefore(t, conn, "late")
	require.NoError(t, f.Ledger.Maintain(t.Context()))

	for like, owner := range map[string]string{"сор": "cop", "zoë": "Zoë", "admin": "аdmin", "p4500": "p4500", "late": "late"} {
		require.Equal(t, owner, skeletonOwner(t, conn, like))
	}
	for _, username := range []string{"cop", "сор", "Zoë", "аdmin"} {
		key, _ := names.Key(username)
		found, err := f.Ledger.PlayerByUsername(t.Context(), key)
		require.NoError(t, err)
		require.Equal(t, username, found.Username)
	}
	_, err = f.Ledger.CreatePlayer(t.Context(), newName("Zоë"), nil)
	require.Equal(t, leaderboard.CodeConflict, leaderboard.CodeOf(err))

	// Those who came just now are looked at once more, as one with a lower number may still
	// come.
	through := func() (number int64) {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT through FROM skeleton_progress").Scan(&number))
		return number
	}
	var settled, late int64
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT max(number) FILTER (WHERE username = 'p4500'), max(number) FROM players").Scan(&settled, &late))
	require.Equal(t, settled, through())
	_, err = conn.Exec(t.Context(), "UPDATE players SET created_at = now() - interval '2 hours'")
	require.NoError(t, err)
	registerBefore(t, conn, "lаte", "later")
	require.NoError(t, f.Open(t, options).Maintain(t.Context()))
	require.Equal(t, late, through())
	require.Equal(t, "late", skeletonOwner(t, conn, "lаte"), "the first one keeps it")
	require.Equal(t, "later", skeletonOwner(t, conn, "later"))
}

package main

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// The number of connections to PostgreSQL changes while the server works, and no request fails by
// that. What is no such number changes nothing.
func TestConnectionsAreResized(t *testing.T) {
	environment := environment(t)
	where, err := url.Parse(environment[config.EnvDatabaseURL])
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "connections")
	environment[config.EnvDatabaseConnectionsFile] = file
	write := func(content string) { replaceFile(t, file, []byte(content)) }
	admin, err := pgx.Connect(t.Context(), postgresServer.URL("postgres"))
	require.NoError(t, err)
	defer func() { _ = admin.Close(context.Background()) }()

	sessions := func() (n int) {
		require.NoError(t, admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", where.Path[1:]).Scan(&n))
		return n
	}

	write("16\n")
	r := start(t, environment)
	r.waitFor(t, "serving")
	require.EqualValues(t, 14, r.ledger.Stat().MaxConns())
	require.EqualValues(t, 2, r.ledger.StatAside().MaxConns())
	_, err = r.client.Register(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	token, err := r.client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)

	// Some of these wait for a connection whenever there are few.
	working, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer stop()
	for client := range 8 {
		clients.Go(func() {
			for i := 0; working.Err() == nil; i++ {
				if _, err := r.client.Submit(t.Context(), token, "", int64(i), fmt.Sprintf("%d-%d", client, i)); err != nil {
					t.Errorf("submission %d: %v", i, err)
					return
				}
			}
		})
	}

	for range 3 {
		write("2")
		require.Eventually(t, func() bool { return r.ledger.Stat().MaxConns() == 1 && r.ledger.StatAside().MaxConns() == 1 }, patience, time.Millisecond)
		require.Eventually(t, func() bool { return sessions() <= 3 }, patience, 10*time.Millisecond, "of the pools, and of the lead")
		write("12")
		require.Eventually(t, func() bool { return r.ledger.Stat().MaxConns() == 10 }, patience, time.Millisecond)
	}

	for _, wrong := range []string{"", "many", "1", "1001", "8 9"} {
		_, err := config.ParseConnections([]byte(wrong))
		require.ErrorContains(t, err, "from 2 to 1000", wrong)
	}
	write("none")
	require.Eventually(t, func() bool { return strings.Contains(r.logs.String(), "cannot be used") }, patience, 10*time.Millisecond)
	require.EqualValues(t, 10, r.ledger.Stat().MaxConns())
}

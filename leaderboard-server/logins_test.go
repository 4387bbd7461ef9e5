package main

import (
	"context"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// Logins are replaced while the server works: no request fails, and no session of the
// old one is left. A login that is refused changes nothing.
func TestLoginsAreReplaced(t *testing.T) {
	environment := environment(t)
	where, err := url.Parse(environment[config.EnvDatabaseURL])
	require.NoError(t, err)
	database := where.Path[1:]
	file := filepath.Join(t.TempDir(), "logins.json")
	environment[config.EnvLoginsFile] = file
	write := func(role, password string) {
		content, err := json.Marshal(config.Logins{Postgres: config.Login{Username: role, Password: password}, Redis: config.Login{Username: "default", Password: "any"}})
		require.NoError(t, err)
		replaceFile(t, file, content)
	}
	admin, err := pgx.Connect(t.Context(), postgresServer.URL("postgres"))
	require.NoError(t, err)
	defer func() { _ = admin.Close(context.Background()) }()

	sessions := func(role string) (n int) {
		require.NoError(t, admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1", role).Scan(&n))
		return n
	}

	first, second := database+"_a", database+"_b"
	for _, role := range []string{first, second} {
		require.NoError(t, postgresServer.Exec(t.Context(), database, "CREATE ROLE "+role+" SUPERUSER LOGIN PASSWORD 'secret-of-"+role+"'"))
	}

	write(first, "secret-of-"+first)
	r := start(t, environment)
	r.waitFor(t, "serving")
	require.Eventually(t, func() bool { return r.ranking.Ready(t.Context()) == nil }, patience, 10*time.Millisecond)
	require.Positive(t, sessions(first))
	_, err = r.client.Register(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	token, err := r.client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)

	score := int64(0)
	until := func(done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !done(); {
			score++
			receipt, err := r.client.Submit(t.Context(), token, "", score, "")
			require.NoError(t, err)
			require.Equal(t, "live", receipt.Ranking)
			require.True(t, time.Now().Before(deadline), "not in time: %d and %d sessions", sessions(first), sessions(second))
		}
	}

	write(second, "a-wrong-secret")
	until(func() bool { return strings.Contains(r.logs.String(), "cannot be used") })
	require.NotContains(t, r.logs.String(), "a-wrong-secret")
	require.Zero(t, sessions(second))

	write(second, "secret-of-"+second)
	until(func() bool { return sessions(first) == 0 && sessions(second) > 0 && r.catchUp.Status().Leading })
	require.NoError(t, postgresServer.Exec(t.Context(), database, "ALTER ROLE "+first+" NOLOGIN"))
	until(func() bool { return score%100 == 0 })
}

func TestLoginsFile(t *testing.T) {
	for _, content := range []string{"", "{}", "secret", `{"postgres": {"username": "a", "password": "secret"}, "redis": {"username": "a"}}`,
		`{"postgres": {"username": "a", "password": "secret"}, "redis": {"username": "a", "password": "b"}, "more": 1}`} {
		_, err := config.ParseLogins([]byte(content))
		require.Error(t, err, content)
		require.NotContains(t, err.Error(), "secret")
	}
}

package main

import (
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// playOnce does what touches every kind of key in Redis: the limits of attempts,
// the boards and the ranks.
func playOnce(t *testing.T, environment map[string]string) {
	t.Helper()
	r := start(t, environment)
	r.waitFor(t, "serving")
	_, err := r.client.Register(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	token, err := r.client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := r.client.Page(t.Context(), "global", 1, 10)
		return err == nil
	}, patience, 10*time.Millisecond, "the ranking is built")

	receipt, err := r.client.Submit(t.Context(), token, "global", 10, "")
	require.NoError(t, err)
	require.Equal(t, "live", receipt.Ranking)
	mine, err := r.client.Rank(t.Context(), token, "global")
	require.NoError(t, err)
	require.EqualValues(t, 10, mine.Score)
	for line := range strings.Lines(r.logs.String()) {
		if strings.Contains(line, `"level":"WARN"`) {
			require.Contains(t, line, "is being rebuilt", "what is asked for until it is built")
		}
	}
}

func asAdministrator(environment map[string]string, server *stores.Redis) {
	environment[config.EnvRedisUsername], environment[config.EnvRedisPassword] = stores.AdminUser, server.AdminPassword()
}

func TestServesOnARedisCluster(t *testing.T) {
	cluster, err := stores.StartRedisCluster(t.Context(), stores.RedisClusterOptions{})
	require.NoError(t, err)
	defer cluster.Close()

	environment := environment(t)
	environment[config.EnvRedisMode] = "cluster"

	environment[config.EnvRedisAddresses] = cluster.Nodes[0].Address() // it tells the others
	asAdministrator(environment, cluster.Nodes[0])
	t.Run("play", func(t *testing.T) { playOnce(t, environment) })
}

func TestServesWithSentinels(t *testing.T) {
	watched, err := stores.StartSentinel(t.Context(), stores.SentinelOptions{})
	require.NoError(t, err)
	defer watched.Close()

	environment := environment(t)
	environment[config.EnvRedisMode] = "sentinel"

	environment[config.EnvRedisAddresses] = "127.0.0.1:1," + watched.Addresses()[0] // one of them suffices
	environment[config.EnvRedisSentinelMaster] = stores.SentinelMaster
	asAdministrator(environment, watched.Nodes[0])
	t.Run("play", func(t *testing.T) { playOnce(t, environment) })
}

// authority makes an authority and a file with its certificate.
func authority(t *testing.T) (a *stores.Authority, file string) {
	t.Helper()
	a, err := stores.NewAuthority()
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(file, a.PEM, 0o600))
	return a, file
}

// Both stores are reached over TLS, and neither if it has a certificate of another
// authority.
func TestServesOverTLS(t *testing.T) {
	trusted, file := authority(t)
	_, otherFile := authority(t)
	rdb, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true, Authority: trusted})
	require.NoError(t, err)
	defer rdb.Close()

	pg, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{Authority: trusted})
	require.NoError(t, err)
	defer pg.Close()

	database, err := pg.CreateDatabase(t.Context())
	require.NoError(t, err)
	verified := func(caFile string) string {
		u, err := url.Parse(pg.URL(database))
		require.NoError(t, err)
		u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {caFile}}.Encode()
		return u.String()
	}

	environment := environment(t)
	environment[config.EnvRedisAddresses], environment[config.EnvRedisTLS] = rdb.Address(), "true"
	asAdministrator(environment, rdb)
	environment[config.EnvRedisCAFile], environment[config.EnvDatabaseURL] = file, verified(file)
	t.Run("play", func(t *testing.T) { playOnce(t, environment) })

	for _, store := range []string{"redis", "postgres"} {
		t.Run("another authority of "+store, func(t *testing.T) {
			wrong := maps.Clone(environment)
			if store == "redis" {
				wrong[config.EnvRedisCAFile] = otherFile
			} else {
				wrong[config.EnvDatabaseURL] = verified(otherFile)
			}

			r := start(t, wrong)
			require.Eventually(t, func() bool {
				missing := r.readiness(t).Missing
				return len(missing) == 1 && missing[0].Dependency == store && strings.Contains(missing[0].Reason, "unknown authority")
			}, patience, 10*time.Millisecond, "%+v", r.readiness(t))
		})
	}
}

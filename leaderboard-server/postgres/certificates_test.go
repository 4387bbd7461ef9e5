package postgres_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// A client certificate that was renewed is used by the next connection.
func TestCertificatesAreReadForEachConnection(t *testing.T) {
	t.Parallel()
	trusted, err := stores.NewAuthority()
	require.NoError(t, err)
	another, err := stores.NewAuthority()
	require.NoError(t, err)
	secured, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{Authority: trusted, ClientCertificates: true})
	require.NoError(t, err)
	t.Cleanup(secured.Close)
	require.NoError(t, secured.Exec(t.Context(), "postgres", "CREATE ROLE game LOGIN PASSWORD 'game'"))

	file := func(name string) string { return filepath.Join(t.TempDir(), name) }
	certificate, key, authority := file("tls.crt"), file("tls.key"), file("ca.crt")
	issue := func(by *stores.Authority) {
		c, k, err := by.Issue()
		require.NoError(t, err)
		for path, content := range map[string][]byte{certificate: c, key: k, authority: trusted.PEM} {
			require.NoError(t, os.WriteFile(path, content, 0o600))
		}
	}
	issue(trusted)
	u := url.URL{Scheme: "postgres", User: url.UserPassword("game", "game"), Host: secured.Address(), Path: "/postgres",
		RawQuery: url.Values{"sslmode": {"verify-ca"}, "sslcert": {certificate}, "sslkey": {key}, "sslrootcert": {authority}}.Encode()}
	ledger, err := postgres.Open(t.Context(), postgres.Options{URL: u.String(), MaxConnections: 2})
	require.NoError(t, err)
	t.Cleanup(ledger.Close)
	require.NoError(t, ledger.Ping(t.Context()))

	issue(another)
	require.NoError(t, secured.Exec(t.Context(), "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'game'"))
	for err == nil || !strings.Contains(err.Error(), "tls: unknown certificate authority") { // until the session that was ended is noticed
		require.NoError(t, t.Context().Err())
		err = ledger.Ping(t.Context())
	}
	require.ErrorContains(t, ledger.SetLogin(t.Context(), "game", "other"), "tls: unknown certificate authority")

	issue(trusted)
	require.NoError(t, ledger.Ping(t.Context()))
	require.NoError(t, os.Remove(key))
	err = ledger.SetLogin(t.Context(), "game", "other")
	require.ErrorContains(t, err, "sslkey")
	require.NotContains(t, err.Error(), "game:")
}

package provision

import (
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

func authorities(t *testing.T) (trusted, another *stores.Authority) {
	t.Helper()
	trusted, err := stores.NewAuthority()
	require.NoError(t, err)
	another, err = stores.NewAuthority()
	require.NoError(t, err)
	return trusted, another
}

// A tenant is provisioned over TLS and logs in over TLS; an operator that trusts
// another authority says so.
func TestPostgresOverTLS(t *testing.T) {
	trusted, another := authorities(t)
	server, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{Authority: trusted})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	name, err := server.CreateDatabase(t.Context())
	require.NoError(t, err)
	admin := PostgresAdmin{Host: "127.0.0.1", Port: server.Port, Database: name, SSLMode: "verify-full", CA: trusted.PEM,
		Username: "admin", Password: rand.Text()}

	for _, statement := range []string{"CREATE ROLE admin LOGIN CREATEROLE PASSWORD '" + admin.Password + "'", "ALTER DATABASE " + quote(name) + " OWNER TO admin"} {
		require.NoError(t, server.Exec(t.Context(), name, statement))
	}

	check := func(admin PostgresAdmin) error {
		p, err := OpenPostgres(t.Context(), admin, testOperator)
		require.NoError(t, err)
		defer p.Close()
		_, err = p.Check(t.Context())
		return err
	}
	require.NoError(t, check(admin))
	wrong := admin
	wrong.CA = another.PEM
	err = check(wrong)
	require.Equal(t, Unreachable, KindOf(err))
	require.ErrorContains(t, err, "certificate of PostgreSQL is not trusted")
	require.ErrorContains(t, err, "unknown authority")
	wrong = admin
	wrong.Host = "localhost"
	require.ErrorContains(t, check(wrong), "localhost", "the certificate is of 127.0.0.1 alone")

	p, err := OpenPostgres(t.Context(), admin, testOperator)
	require.NoError(t, err)
	defer p.Close()

	one, _, password := provisioned(t, p)
	file := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(file, trusted.PEM, 0o600))
	u := url.URL{Scheme: "postgres", User: url.UserPassword(one.LoginRole(tenant.SlotA), password), Host: server.Address(), Path: "/" + name,
		RawQuery: url.Values{"sslmode": {"verify-full"}, "sslrootcert": {file}}.Encode()}
	conn, err := pgx.Connect(t.Context(), u.String())
	require.NoError(t, err)
	defer conn.Close(t.Context())

	var encrypted bool
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted))
	require.True(t, encrypted)
}

func TestRedisOverTLS(t *testing.T) {
	trusted, another := authorities(t)
	server, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true, Authority: trusted})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	admin := RedisAdmin{Mode: Standalone, Endpoints: []string{server.Address()}, TLS: true, CA: trusted.PEM, Username: stores.AdminUser, Password: server.AdminPassword()}
	r, err := OpenRedis(admin)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	_, err = r.Check(t.Context())
	require.NoError(t, err)
	one, claim := newTenant()
	password := rand.Text()
	ensure(t, r, one, claim, true, password)
	client := redis.NewClient(&redis.Options{Addr: server.Address(), Username: one.RedisUser(), Password: password, DisableIdentity: true, TLSConfig: r.tls})
	defer client.Close()

	require.NoError(t, client.Ping(t.Context()).Err())

	admin.CA = another.PEM
	wrong, err := OpenRedis(admin)
	require.NoError(t, err)
	t.Cleanup(wrong.Close)
	_, err = wrong.Check(t.Context())
	require.Equal(t, Unreachable, KindOf(err))
	require.ErrorContains(t, err, "certificate of Redis is not trusted")
	require.ErrorContains(t, err, "unknown authority")
}

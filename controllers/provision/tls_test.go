package provision

import (
	"crypto/rand"
	"crypto/tls"
	"testing"

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

// clientPair is a certificate for a client.
func clientPair(t *testing.T, authority *stores.Authority) *tls.Certificate {
	t.Helper()
	certificate, key, err := authority.Issue()
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	return &pair
}

// securedPostgres is a server that asks everybody for a certificate, with an administrator
// of a database.
func securedPostgres(t *testing.T, authority *stores.Authority) (*stores.Postgres, PostgresAdmin) {
	t.Helper()
	server, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{Authority: authority, ClientCertificates: true})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	name, err := server.CreateDatabase(t.Context())
	require.NoError(t, err)
	certificate := clientPair(t, authority)
	admin := PostgresAdmin{Host: "127.0.0.1", Port: server.Port, Database: name, SSLMode: "verify-full", CA: authority.PEM,
		Username: "admin", Password: rand.Text(), Certificate: certificate, GameCertificate: certificate}

	for _, statement := range []string{"CREATE ROLE admin LOGIN CREATEROLE PASSWORD '" + admin.Password + "'", "ALTER DATABASE " + quote(name) + " OWNER TO admin"} {
		require.NoError(t, server.Exec(t.Context(), name, statement))
	}
	return server, admin
}

// A tenant is provisioned over TLS with client certificates, and logs in with TLS and one;
// an operator or a game that has none, or another, and one that trusts another authority
// are told so.
func TestPostgresOverTLS(t *testing.T) {
	trusted, another := authorities(t)
	server, admin := securedPostgres(t, trusted)
	check := func(change func(*PostgresAdmin)) error {
		changed := admin
		change(&changed)
		p, err := OpenPostgres(t.Context(), changed, testOperator)
		require.NoError(t, err)
		defer p.Close()
		_, err = p.Check(t.Context())
		return err
	}

	require.NoError(t, check(func(*PostgresAdmin) {}))
	require.NoError(t, check(func(a *PostgresAdmin) { a.SSLMode, a.CA = "require", another.PEM }))
	require.NoError(t, check(func(a *PostgresAdmin) { a.Host, a.SSLMode = "localhost", "verify-ca" }))
	for name, wrong := range map[string]struct {
		change func(*PostgresAdmin)
		kind   Kind
		says   []string
	}{
		"another authority": {func(a *PostgresAdmin) { a.CA = another.PEM }, Unreachable, []string{"certificate of PostgreSQL is not trusted", "unknown authority"}},
		"another authority, whatever the name": {func(a *PostgresAdmin) { a.CA, a.SSLMode = another.PEM, "verify-ca" }, Unreachable,
			[]string{"certificate of PostgreSQL is not trusted", "unknown authority"}},
		"another host":                {func(a *PostgresAdmin) { a.Host = "localhost" }, Unreachable, []string{"localhost"}}, // the certificate is of 127.0.0.1 alone
		"no certificate":              {func(a *PostgresAdmin) { a.Certificate = nil }, Refused, []string{"asks for a client certificate, and there is none", "tls.crt"}},
		"one that another has signed": {func(a *PostgresAdmin) { a.Certificate = clientPair(t, another) }, Refused, []string{"does not accept the client certificate"}},
	} {
		err := check(wrong.change)
		require.Equal(t, wrong.kind, KindOf(err), "%s: %v", name, err)
		for _, words := range wrong.says {
			require.ErrorContains(t, err, words, name)
		}
	}

	p, err := OpenPostgres(t.Context(), admin, testOperator)
	require.NoError(t, err)
	defer p.Close()
	_, err = p.Check(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Register(t.Context(), nil))

	one, claim, password := provisioned(t, p)
	require.NoError(t, p.EnsureLogin(t.Context(), one, claim, tenant.SlotA, password))
	bare := admin
	bare.GameCertificate = nil
	q, err := OpenPostgres(t.Context(), bare, testOperator)
	require.NoError(t, err)
	defer q.Close()
	_, err = q.VerifyLogin(t.Context(), one, tenant.SlotA, password)
	require.Equal(t, Refused, KindOf(err))
	require.ErrorContains(t, err, "postgres.clientCertificateSecretRef")

	t.Run("through a pooler that asks for certificates, too", func(t *testing.T) {
		pooler, err := stores.StartPgBouncer(t.Context(), server, stores.PoolTransaction, 2)
		require.NoError(t, err)
		t.Cleanup(pooler.Close)
		require.NoError(t, pooler.Admit(t.Context(), admin.Database))
		verify := func(change func(*PostgresAdmin)) error {
			changed := admin
			changed.PoolerHost, changed.PoolerPort = "127.0.0.1", pooler.Port
			change(&changed)
			p, err := OpenPostgres(t.Context(), changed, testOperator)
			require.NoError(t, err)
			defer p.Close()
			return p.VerifyPooledLogin(t.Context(), one, tenant.SlotA, password)
		}

		require.NoError(t, verify(func(*PostgresAdmin) {}))
		require.NoError(t, verify(func(a *PostgresAdmin) { a.PoolerHost, a.SSLMode = "localhost", "verify-ca" }))
		require.ErrorContains(t, verify(func(a *PostgresAdmin) { a.PoolerHost = "localhost" }), "certificate of PostgreSQL is not trusted")
		err = verify(func(a *PostgresAdmin) { a.GameCertificate = nil })
		require.Equal(t, Refused, KindOf(err), "%v", err)
		require.ErrorContains(t, err, "postgres.clientCertificateSecretRef")
	})
}

// checkRedis looks at a deployment as a class's check does, in another way than the admin says.
func checkRedis(t *testing.T, admin RedisAdmin, change func(*RedisAdmin)) error {
	t.Helper()
	change(&admin)
	r, err := OpenRedis(admin)
	require.NoError(t, err)
	defer r.Close()
	if _, err := r.Check(t.Context()); err != nil {
		return err
	}
	return r.CheckGames(t.Context())
}

// Redis asks for client certificates unless it is told otherwise.
func TestRedisOverTLS(t *testing.T) {
	trusted, another := authorities(t)
	server, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true, Authority: trusted, ClientCertificates: true})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	certificate := clientPair(t, trusted)
	admin := RedisAdmin{Mode: Standalone, Endpoints: []string{server.Address()}, TLS: true, CA: trusted.PEM, Username: stores.AdminUser, Password: server.AdminPassword(),
		Certificate: certificate, GameCertificate: certificate}
	check := func(change func(*RedisAdmin)) error { return checkRedis(t, admin, change) }

	require.NoError(t, check(func(*RedisAdmin) {}))
	for name, wrong := range map[string]struct {
		change func(*RedisAdmin)
		kind   Kind
		says   []string
	}{
		"another authority":           {func(a *RedisAdmin) { a.CA = another.PEM }, Unreachable, []string{"certificate of Redis is not trusted", "unknown authority"}},
		"another name":                {func(a *RedisAdmin) { a.ServerName = "redis.example.net" }, Unreachable, []string{"certificate of Redis is not trusted", "redis.example.net"}},
		"no certificate":              {func(a *RedisAdmin) { a.Certificate = nil }, Refused, []string{"Redis asks for a client certificate, and there is none", "tls.crt"}},
		"one that another has signed": {func(a *RedisAdmin) { a.Certificate = clientPair(t, another) }, Refused, []string{"does not accept the client certificate"}},
		"no certificate for games":    {func(a *RedisAdmin) { a.GameCertificate = nil }, Refused, []string{"redis.clientCertificateSecretRef"}},
	} {
		for range 5 { // what the server says races with what is written to it
			err := check(wrong.change)
			require.Equal(t, wrong.kind, KindOf(err), "%s: %v", name, err)
			for _, words := range wrong.says {
				require.ErrorContains(t, err, words, name)
			}
		}
	}
}

// Sentinels that ask for a login, with TLS.
func TestSentinelsWithALogin(t *testing.T) {
	trusted, _ := authorities(t)
	watched, err := stores.StartSentinel(t.Context(), stores.SentinelOptions{Login: true, Authority: trusted})
	require.NoError(t, err)
	t.Cleanup(watched.Close)
	admin := RedisAdmin{Mode: Sentinel, MasterName: stores.SentinelMaster, Endpoints: watched.Addresses(), TLS: true, CA: trusted.PEM,
		Username: stores.AdminUser, Password: watched.Nodes[0].AdminPassword(), Sentinels: SentinelLogin{Password: stores.SentinelPassword},
		GameSentinels: SentinelLogin{Username: stores.SentinelGames, Password: stores.SentinelPassword}}
	check := func(change func(*RedisAdmin)) error { return checkRedis(t, admin, change) }

	require.NoError(t, check(func(*RedisAdmin) {}))
	for name, wrong := range map[string]struct {
		change func(*RedisAdmin)
		kind   Kind
		says   string
	}{
		"no login":                   {func(a *RedisAdmin) { a.Sentinels = SentinelLogin{} }, Refused, "sentinelPassword in the admin Secret"},
		"a wrong password":           {func(a *RedisAdmin) { a.Sentinels.Password = "x" }, Refused, "sentinelPassword in the admin Secret"},
		"no login for games":         {func(a *RedisAdmin) { a.GameSentinels = SentinelLogin{} }, Refused, "redis.sentinelSecretRef"},
		"a login for games too many": {func(a *RedisAdmin) { a.GameSentinels = a.Sentinels }, Misconfigured, "may change the Sentinels"},
	} {
		err := check(wrong.change)
		require.Equal(t, wrong.kind, KindOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, wrong.says, name)
		require.NotContains(t, err.Error(), stores.SentinelPassword)
	}
}

package redis

import (
	"os"
	"path/filepath"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/tlsclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// certificates are files that the settings of a client name.
type certificates struct{ authority, certificate, key string }

func newCertificates(t *testing.T, trusted *stores.Authority) certificates {
	t.Helper()
	dir := t.TempDir()
	c := certificates{filepath.Join(dir, "ca.crt"), filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	require.NoError(t, os.WriteFile(c.authority, trusted.PEM, 0o600))
	c.issue(t, trusted)
	return c
}

func (c certificates) issue(t *testing.T, by *stores.Authority) {
	t.Helper()
	certificate, key, err := by.Issue()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.certificate, certificate, 0o600))
	require.NoError(t, os.WriteFile(c.key, key, 0o600))
}

// A Redis that asks for client certificates, as it does unless it is told otherwise: a
// renewed one is used by the next connection, and one that is missing is said to be.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	trusted, err := stores.NewAuthority()
	require.NoError(t, err)
	another, err := stores.NewAuthority()
	require.NoError(t, err)
	secured, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true, Authority: trusted, ClientCertificates: true})
	require.NoError(t, err)
	t.Cleanup(secured.Close)
	files := newCertificates(t, trusted)
	settings := config.Redis{Addresses: []string{secured.Address()}, TLS: true, CAFile: files.authority, CertFile: files.certificate, KeyFile: files.key,
		Username: stores.AdminUser, Password: config.Secret(secured.AdminPassword())}
	ping := func(client goredis.UniversalClient) error {
		return client.Ping(t.Context()).Err()
	}

	client, err := NewClient(settings, nil)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, ping(client))
	again := func() { // ends the connection, so that the next call makes one
		require.NoError(t, client.Do(t.Context(), "CLIENT", "KILL", "USER", stores.AdminUser, "SKIPME", "no").Err())
	}

	again()
	files.issue(t, another)
	var refused *tlsclient.CertificateError
	require.ErrorAs(t, ping(client), &refused)
	require.False(t, refused.Missing)
	files.issue(t, trusted)
	require.NoError(t, ping(client))

	settings.CertFile, settings.KeyFile = "", ""
	bare, err := NewClient(settings, nil)
	require.NoError(t, err)
	defer bare.Close()
	require.ErrorContains(t, ping(bare), "the server asks for a client certificate, and there is none")

	settings.CertFile, settings.KeyFile = files.certificate, files.authority
	_, err = NewClient(settings, nil)
	require.ErrorContains(t, err, config.EnvRedisKeyFile)
}

// The servers of a game ask Sentinels with TLS and the login that docs/stores.md describes,
// and follow them to another master.
func TestSentinelsWithALogin(t *testing.T) {
	t.Parallel()
	trusted, err := stores.NewAuthority()
	require.NoError(t, err)
	watched, err := stores.StartSentinel(t.Context(), stores.SentinelOptions{Login: true, Authority: trusted})
	require.NoError(t, err)
	t.Cleanup(watched.Close)
	files := newCertificates(t, trusted)
	client, err := NewClient(config.Redis{Mode: config.RedisSentinel, Addresses: watched.Addresses(), SentinelMaster: stores.SentinelMaster,
		SentinelUsername: stores.SentinelGames, SentinelPassword: stores.SentinelPassword, TLS: true, CAFile: files.authority,
		Username: stores.AdminUser, Password: config.Secret(watched.Nodes[0].AdminPassword())}, nil)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Set(t.Context(), "lb:x", 1, 0).Err())

	master, err := watched.Master(t.Context())
	require.NoError(t, err)
	master.Kill()
	for client.Set(t.Context(), "lb:x", 2, 0).Err() != nil {
		require.NoError(t, t.Context().Err())
	}
}

package stores

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPostgresKeepsDataOverAKill(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := StartPostgres(ctx, PostgresOptions{})
	require.NoError(t, err)
	defer server.Close()
	name, err := server.CreateDatabase(ctx)
	require.NoError(t, err)
	require.NoError(t, server.Exec(ctx, name, "CREATE TABLE kept ()"))
	server.Kill()
	require.Error(t, server.Exec(ctx, name, "SELECT 1"))
	require.NoError(t, server.Start(ctx))
	require.NoError(t, server.Exec(ctx, name, "SELECT FROM kept"))
}

func TestRedisWithACLFile(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server, err := StartRedis(ctx, RedisOptions{ACLFile: true})
	require.NoError(t, err)
	defer server.Close()
	client := server.Client()
	defer client.Close()
	who, err := client.Do(ctx, "ACL", "WHOAMI").Text()
	require.NoError(t, err)
	require.Equal(t, AdminUser, who)

	server.Kill()
	require.Error(t, client.Ping(ctx).Err())
	require.NoError(t, server.Start(ctx))
	require.NoError(t, client.Ping(ctx).Err())
}

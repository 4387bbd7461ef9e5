package redis

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// Pipelines have connections of their own, which count.
func TestConnectionsOfAllPoolsAreCounted(t *testing.T) {
	client, err := NewClient(config.Redis{Addresses: []string{server.Address()}}, nil)
	require.NoError(t, err)
	defer client.Close()

	require.Zero(t, Pools(client).TotalConns)
	require.NoError(t, client.Ping(t.Context()).Err())
	_, err = client.Pipelined(t.Context(), func(pipe goredis.Pipeliner) error { return pipe.Ping(t.Context()).Err() })
	require.NoError(t, err)
	require.Equal(t, uint32(2), Pools(client).TotalConns)
	require.Equal(t, uint32(2), Pools(client).IdleConns)
}

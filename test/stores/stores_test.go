package stores

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestPostgresKeepsDataOverAKill(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
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
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
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

func TestRedisClusterFailsOverAndMovesSlots(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	cluster, err := StartRedisCluster(ctx, RedisClusterOptions{Replicas: 1})
	require.NoError(t, err)
	defer cluster.Close()

	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addresses(), Username: AdminUser, Password: redisAdminPassword})
	defer client.Close()

	require.NoError(t, client.Set(ctx, "{kept}a", "1", 0).Err())
	require.NoError(t, client.Set(ctx, "{kept}b", "2", 0).Err())

	before, err := cluster.Master(ctx, "{kept}a")
	require.NoError(t, err)
	to := cluster.Nodes[0]
	if to == before {
		to = cluster.Nodes[1]
	}

	calls := 0
	require.NoError(t, cluster.MoveSlot(ctx, "{kept}a", to, func() {
		calls++
		require.Equal(t, "1", client.Get(ctx, "{kept}a").Val())
		require.Equal(t, "2", client.Get(ctx, "{kept}b").Val())
	}))

	require.Equal(t, 3, calls, "before, between and after the two keys")
	require.Equal(t, int64(1), client.Wait(ctx, 1, time.Minute).Val())

	to.Kill()
	require.NoError(t, poll(ctx, func(ctx context.Context) error {
		master, err := cluster.Master(ctx, "{kept}a")
		if err == nil && master == to {
			err = errors.New("the failover is not over")
		}
		return err
	}))

	require.NoError(t, to.Start(ctx))
	require.NoError(t, cluster.WaitUntilWhole(ctx))
	require.Equal(t, "1", client.Get(ctx, "{kept}a").Val())
}

func TestSentinelFailsOver(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	watched, err := StartSentinel(ctx, SentinelOptions{})
	require.NoError(t, err)
	defer watched.Close()

	first, err := watched.Master(ctx)
	require.NoError(t, err)
	client := first.Client()
	defer client.Close()

	require.NoError(t, client.Set(ctx, "kept", "1", 0).Err())
	require.Equal(t, int64(2), client.Wait(ctx, 2, time.Minute).Val())

	first.Kill()
	require.NoError(t, poll(ctx, func(ctx context.Context) error {
		master, err := watched.Master(ctx)
		if err != nil {
			return err
		}
		promoted := master.Client()
		defer promoted.Close()
		return promoted.Set(ctx, "after", promoted.Get(ctx, "kept").Val(), 0).Err() // refused by the dead and by replicas
	}))

	require.NoError(t, first.Start(ctx))
	require.NoError(t, watched.WaitUntilWhole(ctx))
	require.NoError(t, poll(ctx, func(ctx context.Context) error { return follows(ctx, client) }))
	require.Equal(t, "1", client.Get(ctx, "after").Val())
}

func TestAProgramEndsAsItIsTold(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	program, err := StartProgram("/bin/sh", []string{"-c", `trap 'exit 7' TERM; echo "$NAME"; while :; do sleep 0.01; done`}, []string{"NAME=somebody"}, log)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(log)
		return err == nil && string(content) == "somebody\n"
	}, time.Minute, 5*time.Millisecond)

	program.Pause()
	program.Resume()
	require.Equal(t, 7, program.Stop())
	<-program.Ended()
	program.Kill() // of what has ended does no harm
}

// What the platform team is told to configure is what tests run with.
func TestDocumentedPooler(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "install.md"))
	require.NoError(t, err)
	for line := range strings.SplitSeq(PoolerLookup+"\nauth_query = "+PoolerQuery, "\n") {
		require.Contains(t, string(page), "\n    "+line+"\n")
	}
}

// A pooler lends connections to games' roles, and to nobody else.
func TestPgBouncer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	server, err := StartPostgres(ctx, PostgresOptions{})
	require.NoError(t, err)
	defer server.Close()

	pooler, err := StartPgBouncer(ctx, server, PoolTransaction, 2)
	require.NoError(t, err)
	defer pooler.Close()

	database, err := server.CreateDatabase(ctx)
	require.NoError(t, err)
	require.NoError(t, pooler.Admit(ctx, database))
	require.NoError(t, server.Exec(ctx, database, "CREATE ROLE lb_game LOGIN PASSWORD 'secret'"))

	connect := func(url string) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		return errors.Join(conn.Ping(ctx), conn.Close(ctx))
	}

	require.NoError(t, connect(pooler.URL("lb_game", "secret", database)))
	require.Error(t, connect(pooler.URL("lb_game", "wrong", database)))
	require.Error(t, connect(pooler.URL("postgres", superuserPassword, database)))
	require.ErrorContains(t, connect(pooler.URL("lb_game", "secret", database)+"&statement_timeout=1000"), "unsupported startup parameter")

	pooler.Stop()
	require.Error(t, connect(pooler.URL("lb_game", "secret", database)))
	require.NoError(t, pooler.Start(ctx))
	require.NoError(t, connect(pooler.URL("lb_game", "secret", database)))
}

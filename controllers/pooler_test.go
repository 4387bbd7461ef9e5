package controllers

import (
	"context"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

func startPooler(t *testing.T) *stores.PgBouncer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	pooler, err := stores.StartPgBouncer(ctx, postgres, stores.PoolTransaction, 5)
	require.NoError(t, err)
	t.Cleanup(pooler.Close)
	return pooler
}

// reaches connects with a URL and returns the port and the search path that it got.
func reaches(t *testing.T, url []byte) (port, searchPath string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), string(url))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	require.NoError(t, conn.QueryRow(t.Context(), "SHOW search_path").Scan(&searchPath))
	return strconv.Itoa(int(conn.Config().Port)), searchPath
}

// A class with a pooler: its games log in through it, once the pooler can look
// their passwords up, and get a second login past it.
func TestGamesBehindAPooler(t *testing.T) {
	pooler := startPooler(t)
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) {
		class.Spec.Postgres.PoolerHost, class.Spec.Postgres.PoolerPort = "127.0.0.1", int32(pooler.Port)
	})
	ns := namespace(t)
	playDeployments(t, ns)
	lb := create(t, newLeaderboard(ns, class))
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False InsufficientRights", v1alpha1.ConditionSchemaReady: "False InsufficientRights",
		v1alpha1.ConditionStalled: "True InsufficientRights", v1alpha1.ConditionReconciling: ""})
	require.Contains(t, message(lb), "auth_query")

	require.NoError(t, pooler.Admit(t.Context(), class.Spec.Postgres.Database))
	becomes(t, lb, allReady)
	secret := credentialsOf(t, lb)
	pooledPort, pooledPath := reaches(t, secret.Data[workload.DatabaseURLKey])
	directPort, directPath := reaches(t, secret.Data[workload.DatabaseDirectURLKey])
	require.Equal(t, strconv.Itoa(pooler.Port), pooledPort)
	require.Equal(t, strconv.Itoa(postgres.Port), directPort)
	require.Equal(t, "lb_"+lb.Status.Tenant, pooledPath)
	require.Equal(t, directPath, pooledPath)

	t.Run("that is away", func(t *testing.T) {
		pooler.Kill()
		classIs(t, class, v1alpha1.ConditionReachable, "False PostgresUnreachable")
		require.Contains(t, meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReachable).Message, "pooler "+pooler.Address())
		require.NoError(t, pooler.Start(t.Context()))
		classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
		becomes(t, lb, allReady)
	})

	t.Run("that is taken away", func(t *testing.T) {
		patch(t, class, func() { class.Spec.Postgres.PoolerHost, class.Spec.Postgres.PoolerPort = "", 0 })
		eventually(t, secret, func() bool {
			port, _ := reaches(t, secret.Data[workload.DatabaseURLKey])
			return port == directPort && secret.Data[workload.DatabaseDirectURLKey] == nil
		})
	})
}

// A pooler in the place of PostgreSQL is named as such.
func TestPoolerInPlaceOfPostgres(t *testing.T) {
	pooler := startPooler(t)
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) {
		class.Spec.Postgres.Port = int32(pooler.Port)
	})
	classIs(t, class, v1alpha1.ConditionReachable, "False Misconfigured")
	require.Contains(t, meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReachable).Message, "postgres.poolerHost")
}

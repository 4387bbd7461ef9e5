package e2e

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

// rotated is how many games rotate at once.
const rotated = 20

// The credentials of many games are replaced under load: no request fails for it, no Pod is
// replaced, and the old logins end.
func TestRotationUnderLoad(t *testing.T) {
	ns := namespace(t)
	var all []*games.Leaderboard
	for i := range rotated {
		lb := game(ns, fmt.Sprintf("race-%d", i), 1)
		require.NoError(t, cluster.Create(t.Context(), lb))
		all = append(all, lb)
	}

	var loads []*load
	old, pods := map[*games.Leaderboard]*corev1.Secret{}, map[*games.Leaderboard]string{}
	for _, lb := range all {
		ready(t, lb)
		c := connect(t, lb)
		result, err := match.Match{Client: c, Boards: match.Boards(allBoards), Names: []string{"ada"}, Rounds: 1, Seed: 3}.Play(t.Context())
		require.NoError(t, err)
		old[lb], pods[lb] = credentials(t, lb), string(podsOf(t, lb)[0].UID)
		loads = append(loads, startLoad(t, c, result.Players, 1, 10*loadPause))
	}

	for _, lb := range all {
		_, err := patch(t.Context(), lb, func() { metav1.SetMetaDataAnnotation(&lb.ObjectMeta, games.RotateAnnotation, "1") })
		require.NoError(t, err)
	}
	for _, lb := range all {
		require.NoError(t, wait.PollUntilContextTimeout(t.Context(), poll, readyTimeout, true, func(ctx context.Context) (bool, error) {
			return !logsIn(ctx, old[lb]), nil
		}), "the old login of %s", lb.Name)
		require.True(t, logsIn(t.Context(), credentials(t, lb)), lb.Name)
		ready(t, lb)
	}

	for i, lb := range all {
		loads[i].finishOnSlowStores(t)
		list := podsOf(t, lb)
		require.Len(t, list, 1)
		require.Equal(t, pods[lb], string(list[0].UID))
		require.Zero(t, list[0].Status.ContainerStatuses[0].RestartCount)
	}
	requireNoLoginRefused(t, old)
}

// requireNoLoginRefused asks Redis, which remembers whom it has refused: to a client that is
// the same as a Redis which is too slow.
func requireNoLoginRefused(t *testing.T, credentials map[*games.Leaderboard]*corev1.Secret) {
	t.Helper()
	class, admin := &games.LeaderboardClass{}, &corev1.Secret{}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Name: "default"}, class))
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: operatorNamespace, Name: class.Spec.Redis.AdminSecretRef.Name}, admin))
	redis := goredis.NewClient(&goredis.Options{Addr: class.Spec.Redis.Endpoints[0],
		Username: string(admin.Data["username"]), Password: string(admin.Data["password"]), DisableIdentity: true})
	defer redis.Close()

	users := make(map[string]bool)
	for _, secret := range credentials {
		users[string(secret.Data[workload.RedisUsernameKey])] = true
	}
	refused, err := redis.ACLLog(t.Context(), 1000).Result()
	require.NoError(t, err)
	for _, entry := range refused {
		require.False(t, users[entry.Username], "%s was refused: %s", entry.Username, entry.Reason)
	}
}

func credentials(t *testing.T, lb *games.Leaderboard) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: lb.Namespace, Name: workload.CredentialsName(lb)}, secret))
	return secret
}

// logsIn says whether PostgreSQL lets a login in.
func logsIn(ctx context.Context, secret *corev1.Secret) bool {
	conn, err := pgx.Connect(ctx, string(secret.Data[workload.DatabaseURLKey]))
	if err != nil {
		return false
	}
	_ = conn.Close(ctx)
	return true
}

package controllers

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// A game that the operator no longer admits still runs: what it lost in the stores
// comes back, and nothing else of it is touched.
func TestWhatRunsIsKept(t *testing.T) {
	t.Parallel()
	selected := func(class *v1alpha1.LeaderboardClass) {
		class.Spec.AllowedNamespaces = v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesFromSelector,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"example.com/games": "yes"}}}
	}

	for name, test := range map[string]struct {
		refuse func(*testing.T, *v1alpha1.Leaderboard, *v1alpha1.LeaderboardClass)
		ready  string
	}{
		"suspended": {func(t *testing.T, lb *v1alpha1.Leaderboard, _ *v1alpha1.LeaderboardClass) {
			patch(t, lb, func() { lb.Spec.Suspend = true })
		}, "True Suspended"},
		"more replicas than the class allows": {func(t *testing.T, _ *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) {
			patch(t, class, func() { class.Spec.Limits.MaxReplicas, class.Spec.Defaults.Replicas = 1, 1 })
		}, "False LimitExceeded"},
		"in a namespace without the label": {func(t *testing.T, lb *v1alpha1.Leaderboard, _ *v1alpha1.LeaderboardClass) {
			space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: lb.Namespace}}
			patch(t, space, func() { delete(space.Labels, "example.com/games") })
		}, "False NamespaceNotAllowed"},
		"without the admin Secret": {func(t *testing.T, _ *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) {
			require.NoError(t, cluster.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: class.Spec.Postgres.AdminSecretRef.Name}}))
		}, "False ClassNotReady"},
	} {
		t.Run(name, func(t *testing.T) {
			class := newClass(t, startManager(t), postgres, redis, selected)
			ns := namespace(t)
			space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
			patch(t, space, func() { space.Labels["example.com/games"] = "yes" })
			playDeployments(t, ns)
			lb := newLeaderboard(ns, class)
			two := int32(2)
			lb.Spec.Replicas = &two
			create(t, lb)
			becomes(t, lb, allReady)
			before := versionsOf(t, lb)

			test.refuse(t, lb, class)
			becomes(t, lb, map[string]string{v1alpha1.ConditionReady: test.ready})
			name := tenant.For("test", ns, lb.Name)
			admin := redis.Client()
			defer admin.Close()
			require.NoError(t, admin.Do(t.Context(), "ACL", "DELUSER", name.RedisUser()).Err())
			require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, "ALTER ROLE "+name.LoginRole(tenant.SlotA)+" NOLOGIN"))
			require.Eventually(t, func() bool { return hasUser(t, redis, name) }, patience, poll)
			require.Eventually(t, func() bool { _, err := connectAs(t, credentialsOf(t, lb)); return err == nil }, patience, poll)
			require.Equal(t, before, versionsOf(t, lb))
			becomes(t, lb, map[string]string{v1alpha1.ConditionReady: test.ready, v1alpha1.ConditionKeyspaceReady: "True Ready", v1alpha1.ConditionSchemaReady: "True Ready"})
		})
	}
}

// Each store is seen to on its own: a Redis that lost its users gets them back while
// PostgreSQL is away.
func TestRedisIsKeptWithoutPostgres(t *testing.T) {
	t.Parallel()
	pg, rdb := ownStores(t)
	class := newClass(t, startManager(t), pg, rdb)
	lb := readyGame(t, class)
	name := tenant.For("test", lb.Namespace, lb.Name)

	pg.Kill()
	rdb.Kill()
	require.NoError(t, os.Remove(rdb.ACLPath()))
	require.NoError(t, rdb.Start(t.Context()))
	require.Eventually(t, func() bool { return hasUser(t, rdb, name) }, patience, poll)
	becomes(t, lb, map[string]string{v1alpha1.ConditionSchemaReady: "False PostgresUnreachable", v1alpha1.ConditionKeyspaceReady: "True Ready"})
	require.NoError(t, pg.Start(t.Context()))
	becomes(t, lb, allReady)
}

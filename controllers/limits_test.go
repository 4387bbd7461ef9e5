package controllers

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// A class, and a namespace in it, take so many games and no more; one that is turned
// away comes up when there is room, and none that runs is touched.
func TestGamesAreCounted(t *testing.T) {
	t.Parallel()
	one := int32(1)
	for name, test := range map[string]struct {
		limit   func(*v1alpha1.LeaderboardClass)
		message string
	}{
		"of a class": {func(class *v1alpha1.LeaderboardClass) { class.Spec.Limits.MaxLeaderboards = &one }, "limits.maxLeaderboards"},
		"of a namespace": {func(class *v1alpha1.LeaderboardClass) { class.Spec.Limits.MaxLeaderboardsPerNamespace = &one },
			"limits.maxLeaderboardsPerNamespace"},
	} {
		t.Run(name, func(t *testing.T) {
			class := newClass(t, startManager(t), postgres, redis, test.limit)
			ns := namespace(t)
			playDeployments(t, ns)
			first := create(t, newLeaderboard(ns, class))
			becomes(t, first, allReady)

			second := newLeaderboard(ns, class)
			second.Name = "second"
			create(t, second)
			becomes(t, second, map[string]string{v1alpha1.ConditionReady: "False LimitExceeded", v1alpha1.ConditionStalled: "True LimitExceeded"})
			require.Contains(t, describe(second), test.message)
			require.Empty(t, second.Status.ClassName)

			none := int32(0)
			patch(t, class, func() {
				class.Spec.Limits.MaxLeaderboards, class.Spec.Limits.MaxLeaderboardsPerNamespace = &none, &none
			})
			patch(t, first, func() { first.Labels = map[string]string{"touched": "yes"} })
			becomes(t, first, allReady)

			patch(t, class, func() {
				class.Spec.Limits.MaxLeaderboards, class.Spec.Limits.MaxLeaderboardsPerNamespace = nil, nil
			})
			becomes(t, second, allReady)
		})
	}
}

// A Leaderboard that only names a class keeps nobody from deleting it.
func TestWhoOnlyNamesAClassDoesNotKeepIt(t *testing.T) {
	t.Parallel()
	none := int32(0)
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) { class.Spec.Limits.MaxLeaderboards = &none })
	lb := create(t, newLeaderboard(namespace(t), class))
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False LimitExceeded"})

	require.NoError(t, cluster.Delete(t.Context(), class))
	require.Eventually(t, func() bool {
		return apierrors.IsNotFound(cluster.Get(t.Context(), client.ObjectKeyFromObject(class), &v1alpha1.LeaderboardClass{}))
	}, patience, poll)
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False ClassNotFound"})
}

// A lower limit of connections reaches the logins once the Pods that hold more have been
// replaced, and a higher one at once.
func TestConnectionsAreLoweredAfterTheRollout(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) { class.Spec.Limits.PostgresConnections = 80 })
	ns := namespace(t)
	stop := playDeployments(t, ns)
	lb := create(t, newLeaderboard(ns, class))
	becomes(t, lb, allReady)

	name := tenant.For("test", ns, lb.Name)
	limit := func() int {
		return query[int](t, postgres, class, "SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", name.LoginRole(tenant.SlotA))
	}
	require.Equal(t, 80, limit())

	stop()
	patch(t, class, func() { class.Spec.Limits.PostgresConnections = 24 })
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False Progressing"})
	require.Equal(t, 80, limit())

	playDeployments(t, ns)
	becomes(t, lb, allReady)
	require.Eventually(t, func() bool { return limit() == 24 }, patience, poll)

	patch(t, class, func() { class.Spec.Limits.PostgresConnections = 40 })
	require.Eventually(t, func() bool { return limit() == 40 }, patience, poll)
}

// The class tells what Postgres accepts and under which settings it may lose scores, and
// no game gets more than half of the connections.
func TestTheServersSettingsAreTold(t *testing.T) {
	t.Parallel()
	most := int32(1000)
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) { class.Spec.Limits.PostgresConnections = most })
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	create(t, lb)
	becomes(t, lb, allReady)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	require.Positive(t, class.Status.PostgresConnections)
	require.Contains(t, describe(class), "fsync is off")

	limit := query[int32](t, postgres, class, "SELECT rolconnlimit FROM pg_roles WHERE rolname = $1", tenant.For("test", ns, lb.Name).LoginRole(tenant.SlotA))
	require.Equal(t, class.Status.PostgresConnections/2, limit)

	many := int32(40)
	patch(t, class, func() { class.Spec.Limits.MaxReplicas = 100 })
	patch(t, lb, func() { lb.Spec.Replicas = &many })
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False LimitExceeded"})
	require.Contains(t, describe(lb), "max_connections")
}

// An edit of the class that leads to no Redis reaches no Pod, and edits of a game do while
// Redis is away.
func TestAnUnreachedClassChangesNoPod(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	before := deploymentOf(t, lb)

	patch(t, class, func() { class.Spec.Redis.Mode = v1alpha1.RedisCluster }) // which it is not
	classIs(t, class, v1alpha1.ConditionReachable, "False ProvisioningFailed")
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False ProvisioningFailed"})
	require.Less(t, class.Status.ReachedGeneration, class.Generation)
	require.Equal(t, before.Generation, deploymentOf(t, lb).Generation)
	require.True(t, logsIn(t, credentialsOf(t, lb)))

	patch(t, class, func() { class.Spec.Redis.Mode = v1alpha1.RedisStandalone })
	becomes(t, lb, allReady)
	require.Equal(t, before.Generation, deploymentOf(t, lb).Generation)
}

// staleClass is a client whose cache has not seen the last edit of a class yet: so many
// reads get it as it was.
type staleClass struct {
	client.Client
	was   *v1alpha1.LeaderboardClass
	reads int
}

func (s *staleClass) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if class, ok := object.(*v1alpha1.LeaderboardClass); ok && s.reads > 0 {
		s.reads--
		s.was.DeepCopyInto(class)
		return nil
	}
	return s.Client.Get(ctx, key, object, options...)
}

// A class that is edited within a pass: what was kept is of the stores of before, and says
// nothing of those that it leads to now.
func TestAClassIsEditedWithinAPass(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	stale := &staleClass{Client: cluster}
	r := newReconciler(t, controllerName, stale)
	lb := create(t, newLeaderboard(namespace(t), class))
	driveToReady(t, r, lb)
	before := deploymentOf(t, lb)

	stale.was = class.DeepCopy()
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(class), stale.was))
	patch(t, class, func() { class.Spec.Redis.Mode = v1alpha1.RedisCluster }) // which it is not
	r.forgetStores()
	for reads := range 4 {
		stale.reads = reads
		_, _ = r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(lb)})
		require.Equal(t, before.Generation, deploymentOf(t, lb).Generation, "after %d reads of the class as it was", reads)
	}
}

// However often somebody changes a Leaderboard, it gets no more than its passes.
func TestPace(t *testing.T) {
	p, err := newPace()
	require.NoError(t, err)
	now := time.Now()
	for range paceBurst {
		require.Zero(t, p.delay("busy", now))
	}
	require.Equal(t, paceInterval, p.delay("busy", now))
	require.Zero(t, p.delay(types.UID(strings.Repeat("other", 2)), now))
	require.Zero(t, p.delay("busy", now.Add(paceInterval)))
	require.Equal(t, paceInterval, p.delay("busy", now.Add(paceInterval)))
}

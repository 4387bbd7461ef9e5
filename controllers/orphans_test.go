package controllers

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// What nobody has is told of in the class's status, and removed when the platform team
// asks for it; what a game has is not.
func TestOrphans(t *testing.T) {
	t.Parallel()
	pg, rdb := ownStores(t)
	class := newClass(t, startManager(t), pg, rdb)
	ns := namespace(t)
	playDeployments(t, ns)
	games := map[string]*v1alpha1.Leaderboard{}
	for _, name := range []string{"used", "retained", "abandoned", "deleted"} {
		lb := newLeaderboard(ns, class)
		lb.Name = name
		if name == "abandoned" {
			lb.Annotations = map[string]string{v1alpha1.AbandonAnnotation: "true"}
		}
		if name == "deleted" {
			lb.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
		}
		games[name] = create(t, lb)
	}
	for _, lb := range games {
		becomes(t, lb, allReady)
	}
	for _, name := range []string{"retained", "abandoned", "deleted"} {
		require.NoError(t, cluster.Delete(t.Context(), games[name]))
		eventuallyGone(t, games[name])
	}

	// A node that was down when a game was deleted has its user still.
	admin := rdb.Client()
	defer admin.Close()
	gone := tenant.For("test", ns, "deleted")
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", gone.RedisUser(), "on", ">left", "~"+gone.KeyPrefix()+"*", "+get").Err())

	eventually(t, class, func() bool { return class.Status.Retained == 1 && len(class.Status.Orphans) == 2 })
	all := strings.Join(class.Status.Orphans, "\n")
	require.Contains(t, all, tenant.For("test", ns, "abandoned").ID+": a schema, 4 roles; made for "+ns+"/abandoned")
	require.Contains(t, all, gone.ID+": a user on 1 Redis nodes; nothing says for whom")

	var ids []string
	for _, name := range []string{"used", "retained", "abandoned", "deleted"} {
		ids = append(ids, tenant.For("test", ns, name).ID)
	}
	patch(t, class, func() { class.Annotations = map[string]string{v1alpha1.RemoveAnnotation: strings.Join(ids, ",")} })
	eventually(t, class, func() bool { return class.Status.Retained == 0 && len(class.Status.Orphans) == 0 })
	for _, id := range ids[1:] {
		require.Empty(t, rolesOf(t, pg, class, "lb_"+id))
		require.False(t, query[bool](t, pg, class, "SELECT to_regnamespace($1) IS NOT NULL", "lb_"+id))
		require.False(t, hasUser(t, rdb, tenant.Tenant{ID: id}))
	}
	becomes(t, games["used"], allReady)
	_, err := connectAs(t, credentialsOf(t, games["used"]))
	require.NoError(t, err)
}

// Without an operator the finalizers are let go of by hand; the next one finds what stayed behind, and
// a Leaderboard of the same name takes it over once that is approved.
func TestFinalizersAreLetGo(t *testing.T) {
	t.Parallel()
	pg, rdb := ownStores(t)
	controllerName := unique("gone") + "/operator"
	named := func(o *ManagerOptions) { o.ControllerName = controllerName }
	var class *v1alpha1.LeaderboardClass
	var lb *v1alpha1.Leaderboard
	t.Run("while there is an operator", func(t *testing.T) {
		startManager(t, named)
		class = newClass(t, controllerName, pg, rdb)
		lb = readyGame(t, class)
	})

	for _, object := range []client.Object{lb, class} {
		require.NoError(t, cluster.Delete(t.Context(), object))
		require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object), "it waits")
		require.NoError(t, cluster.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
		eventuallyGone(t, object)
	}
	collectGarbage(t, lb)

	startManager(t, named)
	playDeployments(t, lb.Namespace)
	again := &v1alpha1.LeaderboardClass{ObjectMeta: metav1.ObjectMeta{Name: class.Name}, Spec: class.Spec}
	create(t, again)
	eventually(t, again, func() bool { return len(again.Status.Orphans) == 1 })
	require.Contains(t, again.Status.Orphans[0], "made for "+lb.Namespace+"/"+lb.Name)

	second := create(t, newLeaderboard(lb.Namespace, again))
	becomes(t, second, map[string]string{v1alpha1.ConditionStalled: "True OwnershipConflict"})
	approveIn(t, again, message(second))
	becomes(t, second, allReady)
	eventually(t, again, func() bool { return len(again.Status.Orphans) == 0 })
}

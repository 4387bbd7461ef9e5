package controllers

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// approveIn does what a condition's message says: it approves the change in the class.
func approveIn(t *testing.T, class *v1alpha1.LeaderboardClass, message string) {
	t.Helper()
	found := regexp.MustCompile(`kubectl annotate leaderboardclass (\S+) --overwrite (\S+)=([0-9a-f,]+)`).FindStringSubmatch(message)
	require.Len(t, found, 4, message)
	require.Equal(t, class.Name, found[1])
	require.Equal(t, v1alpha1.ApproveAnnotation, found[2])
	patch(t, class, func() { class.Annotations = map[string]string{found[2]: found[3]} })
}

// versionsOf are the resource versions of what the Leaderboard owns.
func versionsOf(t *testing.T, lb *v1alpha1.Leaderboard) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, object := range ownedBy(t, lb) {
		versions[strings.Join([]string{object.GetName(), string(object.GetUID())}, "/")] = object.GetResourceVersion()
	}
	return versions
}

// otherDatabase is another database of the class's administrator.
func otherDatabase(t *testing.T, class *v1alpha1.LeaderboardClass) string {
	t.Helper()
	name, err := postgres.CreateDatabase(t.Context())
	require.NoError(t, err)
	require.NoError(t, postgres.Exec(t.Context(), "postgres", "ALTER DATABASE "+name+" OWNER TO "+strings.ReplaceAll(class.Name, "-", "_")))
	return name
}

// An edit of a class that leads to another database moves no game there: what runs
// goes on, and each condition says what changed and how to approve it.
func TestClassLeadsToAnotherDatabase(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	name := tenant.For("test", lb.Namespace, "race")
	before, database := versionsOf(t, lb), class.Spec.Postgres.Database
	require.NotNil(t, lb.Status.Placement)
	require.NotEmpty(t, lb.Status.Placement.Redis)
	placement := *lb.Status.Placement
	require.NotEmpty(t, placement.NamespaceUID)
	placement.NamespaceUID = ""
	require.Equal(t, *class.Status.Placement, placement)

	other := otherDatabase(t, class)
	patch(t, class, func() { class.Spec.Postgres.Database = other })
	stalled := map[string]string{v1alpha1.ConditionReady: "False PlacementChanged", v1alpha1.ConditionStalled: "True PlacementChanged"}
	becomes(t, lb, stalled)
	classIs(t, class, v1alpha1.ConditionReachable, "False PlacementChanged")
	late := newLeaderboard(lb.Namespace, class)
	late.Name = "late"
	create(t, late)
	becomes(t, late, stalled)
	require.Equal(t, before, versionsOf(t, lb), "nothing of the game was touched")
	require.False(t, query[bool](t, postgres, class, "SELECT to_regnamespace($1) IS NOT NULL OR to_regnamespace('leaderboard_operator') IS NOT NULL", name.Schema()))
	_, err := connectAs(t, credentialsOf(t, lb))
	require.NoError(t, err)

	// Back again, and all is as before.
	patch(t, class, func() { class.Spec.Postgres.Database = database })
	becomes(t, lb, allReady)
	becomes(t, late, allReady)
	require.Equal(t, before, versionsOf(t, lb))

	// There again, and approved before the data is there: an empty schema is not made.
	patch(t, class, func() { class.Spec.Postgres.Database = other })
	becomes(t, lb, stalled)
	approveIn(t, class, message(lb))
	becomes(t, lb, map[string]string{v1alpha1.ConditionStalled: "True SchemaMissing"})
	require.False(t, query[bool](t, postgres, class, "SELECT to_regnamespace($1) IS NOT NULL", name.Schema()))
}

// Another Redis is used once that is approved, and an emptied one at the same address
// without asking.
func TestClassLeadsToAnotherRedis(t *testing.T) {
	t.Parallel()
	_, first := ownStores(t)
	second, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true})
	require.NoError(t, err)
	t.Cleanup(second.Close)
	class := newClass(t, startManager(t), postgres, first)
	lb := readyGame(t, class)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	before := versionsOf(t, lb)

	patch(t, class, func() { class.Spec.Redis.Endpoints = []string{second.Address()} })
	becomes(t, lb, map[string]string{v1alpha1.ConditionKeyspaceReady: "False PlacementChanged", v1alpha1.ConditionStalled: "True PlacementChanged"})
	classIs(t, class, v1alpha1.ConditionReachable, "False PlacementChanged")
	require.Equal(t, before, versionsOf(t, lb))
	require.False(t, hasUser(t, second, tenant.For("test", lb.Namespace, "race")))

	approveIn(t, class, message(lb))
	becomes(t, lb, allReady)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	require.True(t, hasUser(t, second, tenant.For("test", lb.Namespace, "race")))

	id := class.Status.Placement.Redis
	second.Kill() // and with it its data
	require.NoError(t, second.Start(t.Context()))
	eventually(t, class, func() bool { return class.Status.Placement.Redis != id })
	becomes(t, lb, allReady)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
}

// The id of a tenant is made once: with another cluster id new games get other names,
// and those that exist stay where they are, as do the scores of those that were deleted.
func TestClusterIDChanges(t *testing.T) {
	t.Parallel()
	controller := startManager(t)
	class := newClass(t, controller, postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	lb := create(t, newLeaderboard(ns, class))
	kept := newLeaderboard(ns, class)
	kept.Name = "kept"
	create(t, kept)
	becomes(t, lb, allReady)
	becomes(t, kept, allReady)
	require.NoError(t, cluster.Delete(t.Context(), kept))
	eventuallyGone(t, kept)
	collectGarbage(t, kept)
	before := versionsOf(t, lb)

	startManager(t, func(o *ManagerOptions) { o.ControllerName, o.ClusterID = controller, "another" })
	again, fresh := newLeaderboard(ns, class), newLeaderboard(ns, class)
	again.Name, fresh.Name = "kept", "fresh"
	create(t, again)
	create(t, fresh)
	becomes(t, again, allReady)
	becomes(t, fresh, allReady)
	becomes(t, lb, allReady)
	require.Equal(t, tenant.For("test", ns, "race").ID, lb.Status.Tenant)
	require.Equal(t, tenant.For("test", ns, "kept").ID, again.Status.Tenant)
	require.Equal(t, before, versionsOf(t, lb))
}

// A schema that somebody dropped is not replaced by an empty one in silence.
func TestDroppedSchema(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	require.True(t, lb.Status.SchemaCreated)
	name := tenant.For("test", lb.Namespace, "race")
	require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, "DROP SCHEMA "+name.Schema()+" CASCADE"))
	becomes(t, lb, map[string]string{v1alpha1.ConditionSchemaReady: "False SchemaMissing", v1alpha1.ConditionStalled: "True SchemaMissing"})
	require.False(t, query[bool](t, postgres, class, "SELECT to_regnamespace($1) IS NOT NULL", name.Schema()))
	approveIn(t, class, message(lb))
	becomes(t, lb, allReady)
}

// What a namespace of the same name, made again by another team, finds retained is not
// its own, and nothing that the team can write makes it so.
func TestNamespaceMadeAnew(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	require.NoError(t, cluster.Delete(t.Context(), lb))
	eventuallyGone(t, lb)
	collectGarbage(t, lb)

	// The API server of the tests never ends a namespace: the schema's mark says instead
	// that it is of another one.
	name := tenant.For("test", lb.Namespace, "race")
	mark := query[string](t, postgres, class, "SELECT obj_description(to_regnamespace($1), 'pg_namespace')", name.Schema())
	space := &corev1.Namespace{}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Name: lb.Namespace}, space))
	require.Contains(t, mark, string(space.UID))
	require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database,
		"COMMENT ON SCHEMA "+name.Schema()+" IS '"+strings.ReplaceAll(mark, string(space.UID), "of-another-team")+"'"))

	again := newLeaderboard(lb.Namespace, class)
	again.Annotations = map[string]string{"games.leaderboard.dev/adopt": "true"}
	create(t, again)
	becomes(t, again, map[string]string{v1alpha1.ConditionStalled: "True OwnershipConflict"})
	require.Empty(t, ownedBy(t, again))
	word := message(again)[strings.LastIndex(message(again), "=")+1:]
	patch(t, again, func() { again.Annotations[v1alpha1.ApproveAnnotation] = word })
	becomes(t, again, map[string]string{v1alpha1.ConditionStalled: "True OwnershipConflict"})

	approveIn(t, class, message(again))
	becomes(t, again, allReady)
}

// A Leaderboard without a class, and without its status, whose scores are in the
// stores of a class that is no longer the default.
func TestAnotherDefaultAfterARestore(t *testing.T) {
	t.Parallel()
	controller := startManager(t)
	isDefault := func(class *v1alpha1.LeaderboardClass) {
		class.Annotations = map[string]string{v1alpha1.DefaultClassAnnotation: "true"}
	}
	first := newClass(t, controller, postgres, redis, isDefault)
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, first)
	lb.Spec.ClassName = nil
	create(t, lb)
	becomes(t, lb, allReady)
	classIs(t, first, v1alpha1.ConditionReachable, "True Reachable")
	require.NoError(t, cluster.Delete(t.Context(), lb))
	eventuallyGone(t, lb)
	collectGarbage(t, lb)

	patch(t, first, func() { first.Annotations = nil })
	second := newClass(t, controller, postgres, redis, isDefault)
	restored := newLeaderboard(ns, first)
	restored.Spec.ClassName = nil
	create(t, restored)
	becomes(t, restored, map[string]string{v1alpha1.ConditionStalled: "True PlacementChanged"})
	require.Contains(t, message(restored), first.Name)
	require.False(t, query[bool](t, postgres, second, "SELECT to_regnamespace($1) IS NOT NULL", tenant.For("test", ns, "race").Schema()))

	// It can be deleted, and made again where its scores are.
	require.NoError(t, cluster.Delete(t.Context(), restored))
	eventuallyGone(t, restored)
	becomes(t, create(t, newLeaderboard(ns, first)), allReady)
}

// loseStatus takes a Leaderboard's status away, as a restore from a backup does.
func loseStatus(t *testing.T, lb *v1alpha1.Leaderboard) {
	t.Helper()
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(lb), lb))
	base := lb.DeepCopy()
	lb.Status = v1alpha1.LeaderboardStatus{}
	require.NoError(t, cluster.Status().Patch(t.Context(), lb, client.MergeFrom(base)))
}

// Without its status a Leaderboard is deleted as with it.
func TestDeletionWithoutTheStatus(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	lb := newLeaderboard(namespace(t), class)
	lb.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
	create(t, lb)
	driveToReady(t, newReconciler(t, controllerName, cluster), lb)
	loseStatus(t, lb)
	require.NoError(t, cluster.Delete(t.Context(), lb))
	driveToGone(t, newReconciler(t, controllerName, cluster), lb)
	isGone(t, class, lb)
}

// And it is found again by the next pass.
func TestLostStatusIsFoundAgain(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	lb := create(t, newLeaderboard(namespace(t), class))
	driveToReady(t, newReconciler(t, controllerName, cluster), lb)
	recorded := lb.Status.DeepCopy()
	loseStatus(t, lb)
	driveToReady(t, newReconciler(t, controllerName, cluster), lb)
	require.Equal(t, recorded.Tenant, lb.Status.Tenant)
	require.Equal(t, recorded.Placement, lb.Status.Placement)
	require.Equal(t, recorded.SchemaCreated, lb.Status.SchemaCreated)
}

// A game that is given up keeps its scores and loses its logins, which its team knows.
func TestAbandonEndsTheLogins(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	lb.Annotations = map[string]string{v1alpha1.AbandonAnnotation: "true"}
	create(t, lb)
	becomes(t, lb, allReady)
	known := credentialsOf(t, lb)
	require.NoError(t, cluster.Delete(t.Context(), lb))
	eventuallyGone(t, lb)

	name := tenant.For("test", ns, "race")
	require.True(t, query[bool](t, postgres, class, "SELECT to_regnamespace($1) IS NOT NULL", name.Schema()))
	require.False(t, hasUser(t, redis, name))
	_, err := connectAs(t, known)
	require.Error(t, err)
}

// An operator whose cache is behind does not undo what the next one has applied.
func TestApplyOverAnObjectThatChanged(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	lb := create(t, newLeaderboard(namespace(t), class))
	driveToReady(t, newReconciler(t, controllerName, cluster), lb)
	stale := credentialsOf(t, lb)
	secret := stale.DeepCopy()
	patch(t, secret, func() { secret.Data[workload.PostgresPasswordKey] = []byte("of-the-next-operator") })

	err := newApplier(cluster, cluster).applySecret(t.Context(), lb.UID, workload.CredentialsSecret(lb, class, stale.Data), stale)
	require.True(t, apierrors.IsConflict(err), "%v", err)
	require.Equal(t, secret.Data, credentialsOf(t, lb).Data)
}

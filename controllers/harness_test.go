package controllers

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// unique is a name that no other test has.
func unique(prefix string) string { return prefix + "-" + strings.ToLower(rand.Text()[:8]) }

// namespace makes a namespace. The API server of the tests never ends one.
func namespace(t testing.TB) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: unique("games")}}
	require.NoError(t, cluster.Create(t.Context(), ns))
	return ns.Name
}

// startManager runs an operator until the test ends, with a controllerName of
// its own, so that it sees to the classes of this test alone.
func startManager(t testing.TB, change ...func(*ManagerOptions)) string {
	t.Helper()
	return startManagerAs(t, restConfig, change...)
}

// startManagerAs is startManager with the rights of another user.
func startManagerAs(t testing.TB, user *rest.Config, change ...func(*ManagerOptions)) string {
	t.Helper()
	o := ManagerOptions{
		Namespace: operatorNamespace, ControllerName: unique("test") + "/operator", ClusterID: "test",
		Resync: 2 * time.Second, Election: DefaultElection, MaxConcurrentReconciles: 2, MetricsAddress: "0", ProbeAddress: "0",
		ShutdownTimeout: time.Minute, SkipNameValidation: true, Version: "test",
	}

	for _, c := range change {
		c(&o)
	}

	manager, err := NewManager(user, o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := manager.Start(ctx); err != nil {
			t.Errorf("run the manager: %v", err)
		}
	})

	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	require.True(t, manager.GetCache().WaitForCacheSync(ctx))
	return o.ControllerName
}

// testOperator is an operator that only the test drives.
func testOperator(controllerName string) provision.Operator {
	return provision.Operator{Cluster: "cluster-of-tests", ClusterID: "test", ControllerName: controllerName, Namespace: operatorNamespace, Holder: rand.Text()}
}

// newClass makes a class with a database of its own in the given stores, and
// the admin Secrets for it.
func newClass(t testing.TB, controllerName string, pg *stores.Postgres, rdb *stores.Redis, change ...func(*v1alpha1.LeaderboardClass)) *v1alpha1.LeaderboardClass {
	t.Helper()
	ensureOperatorNamespace(t)
	name := unique("class")
	database, err := pg.CreateDatabase(t.Context())
	require.NoError(t, err)

	// No superuser: what the operator needs is CREATEROLE and the database.
	admin, password := strings.ReplaceAll(name, "-", "_"), rand.Text()
	require.NoError(t, pg.Exec(t.Context(), "postgres", "CREATE ROLE "+admin+" LOGIN CREATEROLE PASSWORD '"+password+"'"))
	require.NoError(t, pg.Exec(t.Context(), "postgres", "ALTER DATABASE "+database+" OWNER TO "+admin))
	createSecret(t, name+"-postgres", map[string]string{"username": admin, "password": password})
	createSecret(t, name+"-redis", map[string]string{"username": stores.AdminUser, "password": rdb.AdminPassword()})
	class := &v1alpha1.LeaderboardClass{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.LeaderboardClassSpec{
			ControllerName: controllerName,
			Postgres: v1alpha1.PostgresSpec{Host: "127.0.0.1", Port: int32(pg.Port), Database: database,
				SSLMode: v1alpha1.SSLModeDisable, AdminSecretRef: v1alpha1.AdminSecretReference{Name: name + "-postgres"}},
			Redis: v1alpha1.RedisSpec{Mode: v1alpha1.RedisStandalone, Endpoints: []string{rdb.Address()},
				AdminSecretRef: v1alpha1.AdminSecretReference{Name: name + "-redis"}},
			Image: "leaderboard-server:test",
		},
	}

	for _, c := range change {
		c(class)
	}

	require.NoError(t, cluster.Create(t.Context(), class))
	return class
}

func ensureOperatorNamespace(t testing.TB) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}}
	require.NoError(t, client.IgnoreAlreadyExists(cluster.Create(t.Context(), ns)))
}

func createSecret(t testing.TB, name string, data map[string]string) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}, StringData: data}
	require.NoError(t, cluster.Create(t.Context(), secret))
}

// newLeaderboard returns a Leaderboard that has not been created.
func newLeaderboard(namespace string, class *v1alpha1.LeaderboardClass) *v1alpha1.Leaderboard {
	return &v1alpha1.Leaderboard{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "race"},
		Spec: v1alpha1.LeaderboardSpec{
			ClassName: &class.Name,
			Boards:    []v1alpha1.Board{{Name: "arena", Order: v1alpha1.OrderDescending, Scoring: v1alpha1.ScoringBest}},
		},
	}
}

// create creates an object for the length of the test.
func create[T client.Object](t testing.TB, object T) T {
	t.Helper()
	require.NoError(t, cluster.Create(t.Context(), object))
	return object
}

// readyGame makes a game of the class in a namespace of its own, and waits until it
// serves. The class has been checked before: how many connections Postgres accepts decides
// how many each Pod gets, so one that is first reached later has the Pods replaced.
func readyGame(t testing.TB, class *v1alpha1.LeaderboardClass) *v1alpha1.Leaderboard {
	t.Helper()
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	ns := namespace(t)
	playDeployments(t, ns)
	lb := create(t, newLeaderboard(ns, class))
	becomes(t, lb, allReady)
	return lb
}

// eventually reads the object until the condition holds.
func eventually[T client.Object](t testing.TB, object T, holds func() bool) T {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object)
		if err == nil && holds() {
			return object
		}

		if client.IgnoreNotFound(err) != nil {
			require.NoError(t, err)
		}

		if time.Now().After(deadline) {
			t.Fatalf("%T %s did not come to be as expected (last error: %v)\n%s", object, object.GetName(), err, describe(object))
		}

		pause(t)
	}
}

// pause waits for the next look at a condition.
func pause(t testing.TB) {
	t.Helper()
	select {
	case <-time.After(poll):
	case <-t.Context().Done():
	}
}

func eventuallyGone(t testing.TB, object client.Object) {
	t.Helper()
	require.Eventually(t, func() bool {
		err := cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object)
		return err != nil && client.IgnoreNotFound(err) == nil
	}, patience, poll, "%T %s is still there\n%s", object, object.GetName(), describe(object))
}

// becomes waits until the conditions of the present generation are as given, by
// type: "status reason". A type that is expected as "" must not be there.
func becomes(t testing.TB, lb *v1alpha1.Leaderboard, expected map[string]string) {
	t.Helper()
	eventually(t, lb, func() bool {
		if lb.Status.ObservedGeneration != lb.Generation {
			return false
		}

		for conditionType, is := range expected {
			if conditionText(lb.Status.Conditions, conditionType) != is {
				return false
			}
		}

		return true
	})
}

func conditionText(list []metav1.Condition, conditionType string) string {
	condition := meta.FindStatusCondition(list, conditionType)
	if condition == nil {
		return ""
	}
	return string(condition.Status) + " " + condition.Reason
}

// allReady are the conditions of a Leaderboard that serves.
var allReady = map[string]string{
	v1alpha1.ConditionReady: "True Ready", v1alpha1.ConditionSchemaReady: "True Ready",
	v1alpha1.ConditionKeyspaceReady: "True Ready", v1alpha1.ConditionWorkloadAvailable: "True Ready",
	v1alpha1.ConditionReconciling: "", v1alpha1.ConditionStalled: "",
}

func message(lb *v1alpha1.Leaderboard) string {
	if condition := meta.FindStatusCondition(lb.Status.Conditions, v1alpha1.ConditionReady); condition != nil {
		return condition.Message
	}
	return ""
}

func describe(object client.Object) string {
	var list []metav1.Condition
	switch o := object.(type) {
	case *v1alpha1.Leaderboard:
		list = o.Status.Conditions
	case *v1alpha1.LeaderboardClass:
		list = o.Status.Conditions
	}

	var text strings.Builder
	for _, condition := range list {
		fmt.Fprintf(&text, "%s is %s (%s, generation %d of %d): %s\n", condition.Type, condition.Status, condition.Reason,
			condition.ObservedGeneration, object.GetGeneration(), condition.Message)
	}

	return text.String()
}

// patch changes the object by what change does to it.
func patch[T client.Object](t testing.TB, object T, change func()) T {
	t.Helper()
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object))
	base := object.DeepCopyObject().(T)
	change()
	require.NoError(t, cluster.Patch(t.Context(), object, client.MergeFrom(base)))
	return object
}

// playDeployments plays the controllers of a namespace until the test ends:
// every Deployment has its Pods at once, and one that is deleted in the
// foreground goes.
func playDeployments(t testing.TB, namespace string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			playOnce(ctx, t, namespace)
			select {
			case <-time.After(poll):
			case <-ctx.Done():
			}
		}
	})

	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func playOnce(ctx context.Context, t testing.TB, namespace string) {
	list := &appsv1.DeploymentList{}
	if err := cluster.List(ctx, list, client.InNamespace(namespace)); err != nil {
		if ctx.Err() == nil {
			t.Errorf("list the Deployments: %v", err)
		}
		return
	}

	for i := range list.Items {
		if err := playDeployment(ctx, &list.Items[i]); client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
			t.Logf("play %s: %v", list.Items[i].Name, err) // somebody else wrote: next time
		}
	}
}

func playDeployment(ctx context.Context, deployment *appsv1.Deployment) error {
	base := deployment.DeepCopy()
	if !deployment.DeletionTimestamp.IsZero() {
		controllerutil.RemoveFinalizer(deployment, metav1.FinalizerDeleteDependents)
		return cluster.Patch(ctx, deployment, client.MergeFrom(base))
	}

	replicas := int32(1)
	if deployment.Spec.Replicas != nil {
		replicas = *deployment.Spec.Replicas
	}

	setStatus(deployment, replicas)
	if deployment.Status.ObservedGeneration == base.Status.ObservedGeneration && deployment.Status.ReadyReplicas == base.Status.ReadyReplicas {
		return nil
	}

	return cluster.Status().Patch(ctx, deployment, client.MergeFrom(base))
}

func setStatus(deployment *appsv1.Deployment, replicas int32) {
	deployment.Status.ObservedGeneration = deployment.Generation
	deployment.Status.Replicas, deployment.Status.UpdatedReplicas = replicas, replicas
	deployment.Status.ReadyReplicas, deployment.Status.AvailableReplicas = replicas, replicas
}

func deploymentOf(t testing.TB, lb *v1alpha1.Leaderboard) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: lb.Namespace, Name: workload.Name(lb)}, deployment))
	return deployment
}

func credentialsOf(t testing.TB, lb *v1alpha1.Leaderboard) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: lb.Namespace, Name: workload.CredentialsName(lb)}, secret))
	return secret
}

// collectGarbage plays the garbage collector for a Leaderboard that is gone.
func collectGarbage(t testing.TB, lb *v1alpha1.Leaderboard) {
	t.Helper()
	for _, object := range ownedBy(t, lb) {
		require.NoError(t, client.IgnoreNotFound(cluster.Delete(t.Context(), object)))
	}
}

// connectAs opens a connection with the served credentials.
func connectAs(t testing.TB, secret *corev1.Secret) (*pgx.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	conn, err := pgx.Connect(ctx, string(secret.Data[workload.DatabaseURLKey]))
	if err == nil {
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	}

	return conn, err
}

// logsIn says whether the served credentials let in.
func logsIn(t testing.TB, secret *corev1.Secret) bool {
	t.Helper()
	conn, err := connectAs(t, secret)
	if err != nil {
		return false
	}
	require.NoError(t, conn.Close(context.WithoutCancel(t.Context())))
	return true
}

// query reads one value as the superuser in the class's database.
func query[T any](t testing.TB, pg *stores.Postgres, class *v1alpha1.LeaderboardClass, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pg.URL(class.Spec.Postgres.Database))
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	var value T
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&value))
	return value
}

// rolesOf lists the roles whose names begin as the tenant's do.
func rolesOf(t testing.TB, pg *stores.Postgres, class *v1alpha1.LeaderboardClass, schema string) []string {
	t.Helper()
	roles := query[[]string](t, pg, class, `SELECT coalesce(array_agg(rolname::text), '{}') FROM pg_roles WHERE starts_with(rolname, $1)`, schema)
	slices.Sort(roles)
	return roles
}

// ownedLists are the kinds that the operator makes.
func ownedLists() []client.ObjectList {
	return []client.ObjectList{&corev1.ServiceAccountList{}, &corev1.ConfigMapList{}, &corev1.SecretList{}, &corev1.ServiceList{},
		&appsv1.DeploymentList{}, &networkingv1.NetworkPolicyList{}, &networkingv1.IngressList{},
		&policyv1.PodDisruptionBudgetList{}, &autoscalingv2.HorizontalPodAutoscalerList{}}
}

// ownedBy lists the objects that the Leaderboard controls.
func ownedBy(t testing.TB, lb *v1alpha1.Leaderboard) []client.Object {
	t.Helper()
	var owned []client.Object
	for _, list := range ownedLists() {
		require.NoError(t, cluster.List(t.Context(), list, client.InNamespace(lb.Namespace)))
		require.NoError(t, meta.EachListItem(list, func(item runtime.Object) error {
			if object := item.(client.Object); metav1.IsControlledBy(object, lb) {
				owned = append(owned, object)
			}
			return nil
		}))
	}

	return owned
}

// aclWrites is how often users of this Redis were written since it started.
func aclWrites(t testing.TB, rdb *stores.Redis) int64 {
	t.Helper()
	admin := rdb.Client()
	defer admin.Close()

	info, err := admin.Info(t.Context(), "commandstats").Result()
	require.NoError(t, err)
	var calls int64

	for line := range strings.Lines(info) {
		var n int64
		if _, after, found := strings.Cut(line, "cmdstat_acl|setuser:calls="); found {
			_, err := fmt.Sscanf(after, "%d", &n)
			require.NoError(t, err)
		}
		calls += n
	}

	return calls
}

package controllers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/test/effects"
)

// newReconciler makes a reconciler that nothing but the test drives, on a client
// without a cache.
func newReconciler(t *testing.T, controllerName string, c client.Client) *LeaderboardReconciler {
	t.Helper()
	return reconcilerOf(t, testOperator(controllerName), c, c)
}

// maxTestEvents is more than any test records: a recorder that is full blocks.
const maxTestEvents = 100_000

// reconcilerOf makes the reconciler of an operator.
func reconcilerOf(t *testing.T, operator provision.Operator, c, live client.Client) *LeaderboardReconciler {
	t.Helper()
	stores := NewStores(live, live, operator)
	t.Cleanup(stores.Close)
	r := &LeaderboardReconciler{Client: c, Live: live, Stores: stores, Recorder: events.NewFakeRecorder(maxTestEvents),
		ControllerName: operator.ControllerName, ClusterID: operator.ClusterID, Resync: time.Minute, SecretOverlap: time.Hour}
	require.NoError(t, r.prepare(1))
	return r
}

// acceptedClass is a class that no manager sees to.
func acceptedClass(t *testing.T) (class *v1alpha1.LeaderboardClass, controllerName string) {
	t.Helper()
	controllerName = unique("crash") + "/operator"
	class = newClass(t, controllerName, postgres, redis)
	accept(t, class)
	return class, controllerName
}

// accept makes a class one that a manager has looked at.
func accept(t *testing.T, class *v1alpha1.LeaderboardClass) {
	t.Helper()
	base := class.DeepCopy()
	c := conditions{list: &class.Status.Conditions, generation: 1}
	c.set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "")
	c.set(v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable, "")
	require.NoError(t, cluster.Status().Patch(t.Context(), class, client.MergeFrom(base)))
}

// drive reconciles and plays the Deployment controller until done.
func drive(t *testing.T, r *LeaderboardReconciler, lb *v1alpha1.Leaderboard, done func() bool) {
	t.Helper()
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(lb)}
	for range 20 {
		_, err := r.Reconcile(t.Context(), request)
		require.NoError(t, err)
		playOnce(t.Context(), t, lb.Namespace)
		if done() {
			return
		}
	}

	require.NoError(t, cluster.Get(t.Context(), request.NamespacedName, lb))
	t.Fatalf("it does not converge:\n%s", describe(lb))
}

func driveToReady(t *testing.T, r *LeaderboardReconciler, lb *v1alpha1.Leaderboard) {
	t.Helper()
	drive(t, r, lb, func() bool {
		require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(lb), lb))
		return conditionText(lb.Status.Conditions, v1alpha1.ConditionReady) == "True Ready"
	})
}

func driveToGone(t *testing.T, r *LeaderboardReconciler, lb *v1alpha1.Leaderboard) {
	t.Helper()
	drive(t, r, lb, func() bool {
		err := cluster.Get(t.Context(), client.ObjectKeyFromObject(lb), lb)
		return err != nil && client.IgnoreNotFound(err) == nil
	})
}

// reconcileUntilCrash reconciles until the operator is ended at its nth write to the API
// server, and reports whether it got to that write.
func reconcileUntilCrash(t *testing.T, controllerName string, n int, mode effects.Mode, lb *v1alpha1.Leaderboard) bool {
	t.Helper()
	faults := &effects.Sequence{}
	faults.Arm(n, mode)
	r := newReconciler(t, controllerName, through(faults))
	for range 10 {
		_, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(lb)})
		if faults.Ended() {
			return true
		}
		require.NoError(t, err)
		playOnce(t.Context(), t, lb.Namespace)
	}

	return false
}

// isWhole: the tenant has exactly its roles, one of its logins works, and it is
// the one that is served.
func isWhole(t *testing.T, class *v1alpha1.LeaderboardClass, lb *v1alpha1.Leaderboard) {
	t.Helper()
	name := tenant.For("test", lb.Namespace, lb.Name)
	require.Len(t, rolesOf(t, postgres, class, name.Schema()), 4)
	require.EqualValues(t, 1, query[int64](t, postgres, class,
		"SELECT count(*) FROM pg_roles WHERE starts_with(rolname, $1) AND rolcanlogin", name.Schema()), "one login")
	_, err := connectAs(t, credentialsOf(t, lb))
	require.NoError(t, err)
	require.True(t, hasUser(t, redis, name))
}

func isGone(t *testing.T, class *v1alpha1.LeaderboardClass, lb *v1alpha1.Leaderboard) {
	t.Helper()
	name := tenant.For("test", lb.Namespace, lb.Name)
	require.Empty(t, rolesOf(t, postgres, class, name.Schema()))
	require.False(t, query[bool](t, postgres, class, "SELECT to_regnamespace($1) IS NOT NULL", name.Schema()))
	require.False(t, hasUser(t, redis, name))
}

// The operator is killed at every one of its writes in turn, before it and
// after it: the next one makes the game whole, and deletes it without a trace.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	atEveryWrite(t, func(t *testing.T, n int, mode effects.Mode) (reached bool) {
		lb := newLeaderboard(namespace(t), class)
		lb.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
		create(t, lb)
		reached = reconcileUntilCrash(t, controllerName, n, mode, lb)
		r := newReconciler(t, controllerName, cluster)
		driveToReady(t, r, lb)
		isWhole(t, class, lb)

		// What deletion needs is killed at the same write, if it has as many.
		require.NoError(t, cluster.Delete(t.Context(), lb))
		reconcileUntilCrash(t, controllerName, n, mode, lb)
		driveToGone(t, newReconciler(t, controllerName, cluster), lb)
		isGone(t, class, lb)
		return reached
	})
}

// atEveryWrite runs the test for the first write, and for the next one as long as it says
// that there were so many: killed before it, and after it. Unless CAMPAIGN=whole it is
// every sixth one from a random one, so that many runs are at all of them.
func atEveryWrite(t *testing.T, test func(t *testing.T, n int, mode effects.Mode) (reached bool)) {
	step := 6
	if campaignWhole {
		step = 1
	}
	for _, mode := range []effects.Mode{effects.Before, effects.After} {
		for n, reached := 1+rand.IntN(step), true; reached; n += step {
			t.Run(fmt.Sprintf("%s write %d", mode, n), func(t *testing.T) { reached = test(t, n, mode) })
			require.Less(t, n, 100)
		}
	}
}

// The same between the steps, which write to the stores. Unless CAMPAIGN=whole it is after every
// third one, from a random one.
func TestKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	count := len((&LeaderboardReconciler{}).steps())
	first, step := rand.IntN(3), 3
	if campaignWhole {
		first, step = 0, 1
	}
	for k := first; k < count; k += step {
		t.Run(fmt.Sprintf("after %d steps", k), func(t *testing.T) {
			lb := create(t, newLeaderboard(namespace(t), class))
			lb.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
			killed := newReconciler(t, controllerName, cluster)
			p := newPass(lb.DeepCopy(), "test")
			defer p.close()

			require.NoError(t, killed.ensureFinalizer(t.Context(), p))
			for _, step := range killed.steps()[:k] {
				if err := step.do(t.Context(), p); err != nil {
					require.Equal(t, "check-rollout", step.name) // there are no Pods yet
				}
			}

			if k%2 == 0 { // and the Secret is lost as well
				for _, object := range ownedBy(t, lb) {
					require.NoError(t, cluster.Delete(t.Context(), object))
				}
			}

			driveToReady(t, newReconciler(t, controllerName, cluster), lb)
			isWhole(t, class, lb)

			patch(t, lb, func() { lb.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete })
			require.NoError(t, cluster.Delete(t.Context(), lb))
			driveToGone(t, newReconciler(t, controllerName, cluster), lb)
			isGone(t, class, lb)
		})
	}
}

// A Leaderboard that is deleted while it is being made leaves nothing behind,
// wherever the making was interrupted.
func TestDeletedWhileItIsMade(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	for n, reached := 1, true; reached; n++ {
		t.Run(fmt.Sprintf("after write %d", n), func(t *testing.T) {
			lb := newLeaderboard(namespace(t), class)
			lb.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
			create(t, lb)
			reached = reconcileUntilCrash(t, controllerName, n, effects.After, lb)
			require.NoError(t, cluster.Delete(t.Context(), lb))
			driveToGone(t, newReconciler(t, controllerName, cluster), lb)
			isGone(t, class, lb)
		})
		require.Less(t, n, 100)
	}
}

// lateLeaderboard is a client whose cache has not heard of a Leaderboard's deletion.
type lateLeaderboard struct {
	client.Client
	was *v1alpha1.Leaderboard
}

func (l *lateLeaderboard) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	if lb, ok := object.(*v1alpha1.Leaderboard); ok {
		l.was.DeepCopyInto(lb)
		return nil
	}
	return l.Client.Get(ctx, key, object, options...)
}

// An operator takes the lead from one that has deleted a game, and has not heard of it: it
// brings nothing of the game back, and takes nothing from the next one of its name.
func TestALateCacheBringsNothingBack(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	r := newReconciler(t, controllerName, cluster)
	lb := create(t, newLeaderboard(namespace(t), class))
	driveToReady(t, r, lb)
	late := &lateLeaderboard{Client: cluster, was: lb.DeepCopy()}
	name := tenant.For("test", lb.Namespace, lb.Name)

	require.NoError(t, cluster.Delete(t.Context(), lb))
	driveToGone(t, r, lb)
	require.False(t, hasUser(t, redis, name))

	heir := reconcilerOf(t, testOperator(controllerName), late, cluster)
	for range 3 {
		_, _ = heir.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(lb)})
	}
	require.False(t, hasUser(t, redis, name))

	collectGarbage(t, lb)
	again := create(t, newLeaderboard(lb.Namespace, class))
	driveToReady(t, r, again)
}

package controllers

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// everythingOn asks for every kind of object.
func everythingOn(lb *v1alpha1.Leaderboard) {
	lb.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 4, TargetCPUUtilizationPercentage: 70}
	lb.Spec.Exposure = &v1alpha1.ExposureSpec{Type: v1alpha1.ExposureIngress}
	lb.Spec.ServiceAccounts = []v1alpha1.ServiceAccount{matchServer}
}

// Every object of every kind comes back when it is deleted, and is put right
// when it is changed.
func TestDriftOfEveryObject(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) { class.Spec.Exposure.Domain = "localhost" })
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	everythingOn(lb)
	create(t, lb)
	becomes(t, lb, allReady)
	owned := ownedBy(t, lb)
	require.Len(t, owned, 12, "four Secrets, and one of each other kind")

	for _, object := range owned {
		t.Run(fmt.Sprintf("%T %s", object, object.GetName()), func(t *testing.T) {
			patch(t, object, func() {
				labels := object.GetLabels()
				labels[workload.LabelPartOf] = "somebody-s"
				delete(labels, workload.LabelManagedBy)
				object.SetLabels(labels)
			})

			eventually(t, object, func() bool {
				return object.GetLabels()[workload.LabelPartOf] == "leaderboard" && object.GetLabels()[workload.LabelManagedBy] == workload.ManagedBy
			})
			uid := object.GetUID()
			require.NoError(t, cluster.Delete(t.Context(), object))
			eventually(t, object, func() bool { return object.GetUID() != uid })
		})
	}

	becomes(t, lb, allReady)
}

func TestDriftOfTheDeployment(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	deployment := deploymentOf(t, lb)
	patch(t, deployment, func() {
		deployment.Spec.Replicas = new(int32(7))
		deployment.Spec.Template.Spec.Containers[0].Image = "somebody/else:latest"
		deployment.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] = "now"
	})

	eventually(t, deployment, func() bool {
		return *deployment.Spec.Replicas == 2 && deployment.Spec.Template.Spec.Containers[0].Image == class.Spec.Image
	})
	require.Equal(t, "now", deployment.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"], "what is nobody's drift stays")
	becomes(t, lb, allReady)

	// A change of the class reaches its games.
	patch(t, class, func() { class.Spec.Image = "leaderboard-server:next" })
	eventually(t, deployment, func() bool { return deployment.Spec.Template.Spec.Containers[0].Image == "leaderboard-server:next" })
	becomes(t, lb, allReady)

	// So does a change of the boards, which replaces the Pods.
	generation := deployment.Generation
	patch(t, lb, func() {
		lb.Spec.Boards = append(lb.Spec.Boards, v1alpha1.Board{Name: "coins", Order: v1alpha1.OrderDescending, Scoring: v1alpha1.ScoringSum})
	})

	eventually(t, deployment, func() bool { return deployment.Generation > generation })
	becomes(t, lb, allReady)
	require.EqualValues(t, 3, lb.Status.Boards)
}

// What somebody adds to the Deployment's spec is taken away, however it came there.
func TestAdditionsToTheDeployment(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	deployment := deploymentOf(t, lb)
	before := deployment.Spec.DeepCopy()
	asBefore := func() bool { return equality.Semantic.DeepEqual(*before, deployment.Spec) }

	patch(t, deployment, func() {
		spec := &deployment.Spec.Template.Spec
		spec.HostNetwork = true
		spec.Containers[0].Env = append(spec.Containers[0].Env, corev1.EnvVar{Name: "ADDED", Value: "1"})
		spec.Containers = append(spec.Containers, corev1.Container{Name: "sidecar", Image: "somebody/else:latest"})
		deployment.Annotations = map[string]string{"example.com/theirs": "stays"}
	})
	eventually(t, deployment, asBefore)
	require.Equal(t, "stays", deployment.Annotations["example.com/theirs"])

	theirs := appsv1ac.Deployment(deployment.Name, deployment.Namespace).WithSpec(appsv1ac.DeploymentSpec().WithTemplate(corev1ac.PodTemplateSpec().
		WithSpec(corev1ac.PodSpec().WithContainers(corev1ac.Container().WithName("sidecar").WithImage("somebody/else:latest")))))
	require.NoError(t, cluster.Apply(t.Context(), theirs, client.FieldOwner("somebody")))
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment))
	eventually(t, deployment, asBefore)
	becomes(t, lb, allReady)
}

// When nothing has changed, nothing is written: not to any object, and not to
// Postgres, whose transaction counter stands still.
func TestNothingChangedWritesNothing(t *testing.T) {
	controller := startManager(t, func(o *ManagerOptions) { o.Resync = time.Second })
	pg, rdb := ownStores(t)
	class := newClass(t, controller, pg, rdb, func(class *v1alpha1.LeaderboardClass) { class.Spec.Exposure.Domain = "localhost" })
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	everythingOn(lb)
	create(t, lb)
	becomes(t, lb, allReady)
	eventually(t, class, func() bool { return class.Status.Leaderboards == 1 && len(class.Finalizers) == 1 })

	versions := func() map[string]string {
		seen := map[string]string{}
		for _, object := range append(ownedBy(t, lb), lb, class) {
			require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(object), object))
			seen[fmt.Sprintf("%T %s", object, object.GetName())] = object.GetResourceVersion()
		}
		return seen
	}

	xid := func() int64 {
		return query[int64](t, pg, class, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
	}
	// The first passes may still write: the hand-over of the replicas, the old
	// login. What counts is that it ends.
	var before map[string]string
	var beforeXid, beforeACL int64
	deadline := time.Now().Add(patience)

	for quiet := 0; quiet < 5; quiet++ { // five resyncs long
		now, nowXid, nowACL := versions(), xid(), aclWrites(t, rdb)
		if beforeXid != nowXid || beforeACL != nowACL || !maps.Equal(before, now) {
			require.True(t, time.Now().Before(deadline), "it goes on writing: %v, then %v; xid %d, then %d", before, now, beforeXid, nowXid)
			quiet = 0
		}
		before, beforeXid, beforeACL = now, nowXid, nowACL

		select {
		case <-time.After(time.Second):
		case <-t.Context().Done():
		}
	}
}

// Pods whose Leaderboard is deleted and leaves its objects behind would be without
// logins: they end.
func TestOrphanedPodsEnd(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	deployment := deploymentOf(t, lb)
	patch(t, deployment, func() { deployment.OwnerReferences = nil }) // as the garbage collector does
	require.NoError(t, cluster.Delete(t.Context(), lb, client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	patch(t, lb, func() { controllerutil.RemoveFinalizer(lb, metav1.FinalizerOrphanDependents) })
	eventuallyGone(t, deployment)
	eventuallyGone(t, lb)
}

// Before Kubernetes 1.37 an autoscaler has no generation.
func TestAutoscalerDriftWithoutAGeneration(t *testing.T) {
	before := &autoscalingv2.HorizontalPodAutoscaler{Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 3}}
	status, spec := before.DeepCopy(), before.DeepCopy()
	status.Status.DesiredReplicas, spec.Spec.MaxReplicas = 2, 4
	require.False(t, autoscalerChanged().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: status}))
	require.True(t, autoscalerChanged().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: spec}))
}

// touch changes the boards, and waits until that has reached the Deployment.
func touch(t *testing.T, lb *v1alpha1.Leaderboard) {
	t.Helper()
	deployment := deploymentOf(t, lb)
	before := deployment.Spec.Template.Annotations["games.leaderboard.dev/boards-checksum"]
	patch(t, lb, func() {
		lb.Spec.Boards = append(lb.Spec.Boards, v1alpha1.Board{Name: unique("b"), Order: v1alpha1.OrderDescending, Scoring: v1alpha1.ScoringBest})
	})

	eventually(t, deployment, func() bool {
		return deployment.Spec.Template.Annotations["games.leaderboard.dev/boards-checksum"] != before
	})
	becomes(t, lb, allReady)
}

// What the stores hold is looked at when it is asked for, and not only when a look is due.
func TestReconcileOnRequest(t *testing.T) {
	class := newClass(t, startManager(t, func(o *ManagerOptions) { o.Resync = time.Hour }), postgres, redis)
	lb := readyGame(t, class)
	login := tenant.For("test", lb.Namespace, lb.Name).LoginRole(tenant.SlotA)
	for _, request := range []string{"2026-11-27T12:00:00Z", "again"} {
		require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, "ALTER ROLE "+login+" SET work_mem = '1GB'"))
		patch(t, lb, func() { lb.Annotations = map[string]string{v1alpha1.ReconcileAnnotation: request} })
		eventually(t, lb, func() bool { return lb.Status.LastHandledReconcile == request })
		require.True(t, query[bool](t, postgres, class, "SELECT NOT 'work_mem=1GB' = ANY (rolconfig) FROM pg_roles WHERE rolname = $1", login))
	}
}

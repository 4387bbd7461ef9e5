package controllers

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// replicasOf reads spec.replicas and who set it last.
func replicasOf(t *testing.T, lb *v1alpha1.Leaderboard) int32 {
	t.Helper()
	return *deploymentOf(t, lb).Spec.Replicas
}

// scale plays the autoscaler.
func scale(t *testing.T, lb *v1alpha1.Leaderboard, replicas int32) {
	t.Helper()
	deployment := deploymentOf(t, lb)
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(deployment), autoscaler))
	require.NoError(t, cluster.SubResource("scale").Patch(t.Context(), deployment,
		client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)),
		client.FieldOwner("kube-controller-manager")))
}

// The number of Pods passes to the autoscaler and back without ever falling to
// the default, and what the autoscaler sets is left alone.
func TestReplicasAndAutoscaling(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	lb.Spec.Replicas = new(int32(4))
	create(t, lb)
	becomes(t, lb, allReady)

	// From here on nobody may see fewer than 3 Pods.
	least := int32(100)
	stop := watchReplicas(t, ns, &least)
	patch(t, lb, func() {
		lb.Spec.Replicas, lb.Spec.Autoscaling = nil, &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 6, TargetCPUUtilizationPercentage: 50}
	})

	becomes(t, lb, allReady)
	require.EqualValues(t, 4, replicasOf(t, lb), "what was there is where the autoscaler begins")
	scale(t, lb, 6)

	touch(t, lb) // a pass that applies the Deployment
	require.EqualValues(t, 6, replicasOf(t, lb), "what the autoscaler sets is its own")
	scale(t, lb, 3)
	touch(t, lb)
	require.EqualValues(t, 3, replicasOf(t, lb))

	patch(t, lb, func() { lb.Spec.Replicas, lb.Spec.Autoscaling = new(int32(5)), nil })
	becomes(t, lb, allReady)
	require.EqualValues(t, 5, replicasOf(t, lb))
	eventuallyGone(t, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: workload.Name(lb)}})

	// And once more, since each hand-over leaves traces in the managed fields.
	patch(t, lb, func() {
		lb.Spec.Replicas, lb.Spec.Autoscaling = nil, &v1alpha1.AutoscalingSpec{MinReplicas: 3, MaxReplicas: 6, TargetCPUUtilizationPercentage: 50}
	})
	becomes(t, lb, allReady)
	require.EqualValues(t, 5, replicasOf(t, lb))
	touch(t, lb)
	require.EqualValues(t, 5, replicasOf(t, lb))
	stop()
	require.GreaterOrEqual(t, least, int32(3))
}

// Without a number in the spec, turning autoscaling off keeps the Pods that there are,
// also when the operator is looked at again, until somebody says a number.
func TestAutoscalingIsTurnedOff(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	lb.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 3, MaxReplicas: 6, TargetCPUUtilizationPercentage: 50}
	create(t, lb)
	becomes(t, lb, allReady)
	scale(t, lb, 6)

	least := int32(100)
	stop := watchReplicas(t, ns, &least)
	patch(t, lb, func() { lb.Spec.Autoscaling = nil })
	becomes(t, lb, allReady)
	eventuallyGone(t, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: workload.Name(lb)}})
	touch(t, lb)
	stop()
	require.EqualValues(t, 6, replicasOf(t, lb))
	require.EqualValues(t, 6, least)
	require.EqualValues(t, 6, *lb.Spec.Replicas)

	patch(t, lb, func() { lb.Spec.Replicas = new(int32(2)) })
	becomes(t, lb, allReady)
	require.EqualValues(t, 2, replicasOf(t, lb))
}

// handedOver is when the autoscaler has the number of Pods.
var handedOver = stage{name: "the number of Pods is handed over", done: func(v *voyage) bool {
	deployment := &appsv1.Deployment{}
	if cluster.Get(v.Context(), client.ObjectKey{Namespace: v.lb.Namespace, Name: workload.Name(v.lb)}, deployment) != nil {
		return false
	}
	ours, err := ownsField(deployment, string(fieldOwner), "spec", "replicas")
	return !ours && err == nil
}}

// The number of Pods is read, and then handed over to the autoscaler: one that it sets in
// between stays.
func TestHandOverIsOfWhatIsThere(t *testing.T) {
	v := newVoyage(t)
	v.lb.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 3, MaxReplicas: 6, TargetCPUUtilizationPercentage: 50}
	create(t, v.lb)
	scaled := false
	v.r = newReconciler(t, v.controllerName, interceptor.NewClient(v.client(), interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			if slices.Contains(options, client.ApplyOption(handOverOwner)) && !scaled {
				scaled = true
				scale(t, v.lb, 6)
			}
			return c.Apply(ctx, object, options...)
		},
	}))

	v.drive(handedOver)
	require.True(t, scaled)
	require.EqualValues(t, 6, replicasOf(t, v.lb))
}

// An operator whose cache is behind may see that the autoscaler has gone, and not yet how
// many Pods there were: it applies nothing by what it sees.
func TestReplicasOfALateCache(t *testing.T) {
	v := newVoyage(t)
	v.lb.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 3, MaxReplicas: 6, TargetCPUUtilizationPercentage: 50}
	create(t, v.lb)
	var late *v1alpha1.Leaderboard
	v.r = reconcilerOf(t, testOperator(v.controllerName), interceptor.NewClient(v.client(), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if lb, is := object.(*v1alpha1.Leaderboard); is && late != nil {
				late.DeepCopyInto(lb)
				return nil
			}
			return c.Get(ctx, key, object, options...)
		},
	}), v.client())
	v.drive(handedOver)
	scale(t, v.lb, 6)

	patch(t, v.lb, func() { v.lb.Spec.Autoscaling = nil })
	before := v.lb.DeepCopy()
	v.drive(stage{name: "the autoscaler goes", done: func(v *voyage) bool {
		return v.lb.Status.ObservedGeneration == v.lb.Generation
	}})
	late = before
	v.renewPace()
	_, err := v.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v.lb)})
	require.NoError(t, err) // that its status cannot be written is nothing to report
	require.EqualValues(t, 6, replicasOf(t, v.lb))
}

// A game whose spec says no number of Pods answers for /scale, by which kubectl and autoscalers of
// the team's own set one. What was filled in goes when the operator's autoscaler comes, and what
// somebody else has set stays.
func TestScaleOfAGameThatSaysNoNumber(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) { class.Spec.Defaults.Replicas = 3 })
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	create(t, lb)
	becomes(t, lb, allReady)

	scale := &autoscalingv1.Scale{}
	require.NoError(t, cluster.SubResource("scale").Get(t.Context(), lb, scale))
	require.EqualValues(t, 3, scale.Spec.Replicas)
	require.NotEmpty(t, scale.Status.Selector)
	autoscaling := &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 6, TargetCPUUtilizationPercentage: 50}
	patch(t, lb, func() { lb.Spec.Autoscaling = autoscaling })
	becomes(t, lb, allReady)
	require.Nil(t, lb.Spec.Replicas)
	require.Equal(t, class.Name, *lb.Spec.ClassName)

	patch(t, lb, func() { lb.Spec.Autoscaling = nil })
	becomes(t, lb, allReady)
	scale = &autoscalingv1.Scale{}
	require.NoError(t, cluster.SubResource("scale").Get(t.Context(), lb, scale))
	require.EqualValues(t, 3, scale.Spec.Replicas)
	scale.Spec.Replicas = 5
	require.NoError(t, cluster.SubResource("scale").Update(t.Context(), lb, client.WithSubResourceBody(scale)))
	eventually(t, lb, func() bool { return lb.Status.ReadyReplicas == 5 })

	patch(t, lb, func() { lb.Spec.Autoscaling = autoscaling })
	becomes(t, lb, allReady)
	require.EqualValues(t, 5, *lb.Spec.Replicas, "it stays, as somebody else has set it")
}

// A game that has an autoscaler from the beginning begins with the least number.
func TestAutoscalingFromTheBeginning(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	lb.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 3, MaxReplicas: 4, TargetCPUUtilizationPercentage: 50}
	create(t, lb)
	becomes(t, lb, allReady)
	require.EqualValues(t, 3, replicasOf(t, lb))
	touch(t, lb)
	require.EqualValues(t, 3, replicasOf(t, lb))
}

// An autoscaler takes 0 for being switched off: a game that was stopped, or whose
// Deployment somebody scaled to 0, starts again.
func TestAutoscalingFromZero(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	lb.Spec.Replicas = new(int32(0))
	create(t, lb)
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "True ScaledToZero", v1alpha1.ConditionWorkloadAvailable: "True ScaledToZero",
		v1alpha1.ConditionReconciling: "", v1alpha1.ConditionStalled: ""})
	require.Equal(t, status.CurrentStatus, kstatus(t, lb), "Flux waits for no more")
	patch(t, lb, func() { lb.Spec.Suspend = true })
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "True Suspended", v1alpha1.ConditionReconciling: "", v1alpha1.ConditionStalled: ""})
	require.Equal(t, status.CurrentStatus, kstatus(t, lb))

	patch(t, lb, func() { lb.Spec.Suspend = false })
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "True ScaledToZero"})
	patch(t, lb, func() {
		lb.Spec.Replicas, lb.Spec.Autoscaling = nil, &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 6, TargetCPUUtilizationPercentage: 50}
	})
	becomes(t, lb, allReady)
	require.EqualValues(t, 2, replicasOf(t, lb))

	scale(t, lb, 0)
	deployment := deploymentOf(t, lb)
	eventually(t, deployment, func() bool { return *deployment.Spec.Replicas == 2 })
}

// kstatus is what tools that use that library, as Flux does, find the object to be.
func kstatus(t *testing.T, object client.Object) status.Status {
	t.Helper()
	kind, err := cluster.GroupVersionKindFor(object)
	require.NoError(t, err)
	found := &unstructured.Unstructured{}
	found.SetGroupVersionKind(kind)
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(object), found))
	result, err := status.Compute(found)
	require.NoError(t, err)
	return result.Status
}

// watchReplicas notes the least spec.replicas that any version of the
// namespace's Deployment has, until stop is called.
func watchReplicas(t *testing.T, namespace string, least *int32) (stop func()) {
	t.Helper()
	watcher, err := cluster.Watch(t.Context(), &appsv1.DeploymentList{}, client.InNamespace(namespace))
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range watcher.ResultChan() {
			if deployment, is := event.Object.(*appsv1.Deployment); is && deployment.Spec.Replicas != nil {
				*least = min(*least, *deployment.Spec.Replicas)
			}
		}
	}()

	return func() {
		watcher.Stop()
		<-done
	}
}

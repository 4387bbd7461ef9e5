package controllers

import (
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// The API server takes all that can be said of Pods, with a game's own additions once the class
// allows them; a class's labels are on every object, and go again; nothing is written twice.
func TestPodsOfTheClass(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) {
		class.Spec.Pods = v1alpha1.ClassPods{
			PodsSpec: v1alpha1.PodsSpec{
				Labels:       map[string]v1alpha1.LabelValue{"example.com/tier": "games"},
				Annotations:  map[string]string{"sidecar.istio.io/inject": "true"},
				NodeSelector: map[string]v1alpha1.LabelValue{"example.com/pool": "games"},
				Tolerations:  []v1alpha1.Toleration{{Key: "example.com/games", Operator: corev1.TolerationOpExists}},
				Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
					NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpExists}}}}}}},
				PriorityClassName: "games",
			},
			ImagePullSecrets: []v1alpha1.ImagePullSecret{{Name: "registry"}}, RuntimeClassName: new("gvisor"), RunAsUser: v1alpha1.RunAsFromPlatform,
			Env: []v1alpha1.PodVariable{{Name: "TENANT", Value: new("$(LEADERBOARD_TENANT)")}, {Name: "A", Value: new("")},
				{Name: "TOKEN", SecretKeyRef: &v1alpha1.KeyReference{Name: "of-games", Key: "token", Optional: true}}},
			Rollout: &v1alpha1.PodRollout{MaxSurge: new(intstr.FromInt32(0)), MaxUnavailable: new(intstr.FromString("50%"))}, DrainSeconds: new(int32(60)),
		}
		class.Spec.Objects.Labels = map[string]v1alpha1.LabelValue{"team": "platform"}
	})
	lb := readyGame(t, class)
	for _, object := range ownedBy(t, lb) {
		require.Equal(t, "platform", object.GetLabels()["team"], "%T %s", object, object.GetName())
	}

	deployment := deploymentOf(t, lb)
	pod := deployment.Spec.Template.Spec
	require.Equal(t, int64(85), *pod.TerminationGracePeriodSeconds)
	require.Equal(t, int64(60), pod.Containers[0].Lifecycle.PreStop.Sleep.Seconds)
	require.Nil(t, pod.SecurityContext.RunAsUser)
	require.Equal(t, &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromInt32(0)), MaxUnavailable: new(intstr.FromString("50%"))}, deployment.Spec.Strategy.RollingUpdate)
	written := deployment.ResourceVersion
	settle(t, lb)
	require.Equal(t, written, deploymentOf(t, lb).ResourceVersion, "nothing has changed")

	// What the class does not allow is refused, and what runs goes on.
	patch(t, lb, func() {
		lb.Spec.Pods.NodeSelector = map[string]v1alpha1.LabelValue{"kubernetes.io/arch": "arm64"}
		lb.Spec.Pods.TopologySpreadConstraints = []v1alpha1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule}}
	})
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False LimitExceeded", v1alpha1.ConditionStalled: "True LimitExceeded"})
	require.Contains(t, message(lb), "add nodeSelector to pods.allow")
	require.Equal(t, written, deploymentOf(t, lb).ResourceVersion)

	patch(t, class, func() {
		class.Spec.Pods.Allow = []v1alpha1.PodField{v1alpha1.PodFieldNodeSelector, v1alpha1.PodFieldTopologySpread}
		class.Spec.Objects.Labels = nil
	})
	becomes(t, lb, allReady)
	require.Equal(t, map[string]string{"example.com/pool": "games", "kubernetes.io/arch": "arm64"}, deploymentOf(t, lb).Spec.Template.Spec.NodeSelector)
	for _, object := range ownedBy(t, lb) {
		require.NotContains(t, object.GetLabels(), "team", "%T %s", object, object.GetName())
		require.Equal(t, workload.ManagedBy, object.GetLabels()[workload.LabelManagedBy])
	}
}

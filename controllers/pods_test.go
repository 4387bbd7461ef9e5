package controllers

import (
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

	// The API server takes every kind of way, and the policy goes where the class wants none.
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.Name(lb)}}
	patch(t, class, func() {
		class.Spec.NetworkPolicy = v1alpha1.ClassNetworkPolicy{DNSPorts: []int32{53, 5353},
			Clients:     []v1alpha1.NetworkPeer{{NamespaceSelector: &metav1.LabelSelector{}}, {CIDR: "10.0.0.0/8", Except: []string{"10.1.0.0/16"}}},
			IngressFrom: []v1alpha1.NetworkRule{{Ports: []v1alpha1.NetworkPort{{Port: 15008}}}},
			EgressTo:    []v1alpha1.NetworkRule{{Peers: []v1alpha1.NetworkPeer{{PodSelector: &metav1.LabelSelector{}}}, Ports: []v1alpha1.NetworkPort{{Port: 1, EndPort: new(int32(9))}}}}}
		class.Spec.Exposure.Service = v1alpha1.ClassService{Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
			IPFamilyPolicy: new(corev1.IPFamilyPolicySingleStack), Annotations: map[string]string{"example.com/internal": "true"}}
	})
	eventually(t, policy, func() bool { return len(policy.Spec.Ingress) == 3 && len(policy.Spec.Ingress[0].From) == 2 })
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.Name(lb)}}
	eventually(t, service, func() bool { return service.Spec.Type == corev1.ServiceTypeLoadBalancer })
	require.Len(t, service.Spec.Ports, 1)
	patch(t, class, func() {
		class.Spec.NetworkPolicy, class.Spec.Exposure.Service = v1alpha1.ClassNetworkPolicy{Enabled: new(false)}, v1alpha1.ClassService{}
	})
	eventuallyGone(t, policy)
	eventually(t, service, func() bool { return service.Spec.Type == corev1.ServiceTypeClusterIP && len(service.Spec.Ports) == 2 })
	becomes(t, lb, allReady)
	written = deploymentOf(t, lb).ResourceVersion

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

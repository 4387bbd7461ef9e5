package workload_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// everyPod is all that a class and a game may say of Pods.
func everyPod() (v1alpha1.ClassPods, v1alpha1.ObjectMetadata, v1alpha1.PodsSpec) {
	class := v1alpha1.ClassPods{
		PodsSpec: v1alpha1.PodsSpec{
			Labels:            map[string]v1alpha1.LabelValue{"example.com/tier": "games"},
			Annotations:       map[string]string{"sidecar.istio.io/inject": "true"},
			NodeSelector:      map[string]v1alpha1.LabelValue{"example.com/pool": "games", "kubernetes.io/arch": "amd64"},
			Tolerations:       []v1alpha1.Toleration{{Key: "example.com/games", Operator: corev1.TolerationOpExists}},
			PriorityClassName: "games",
		},
		Allow:            []v1alpha1.PodField{"labels", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints"},
		ImagePullSecrets: []v1alpha1.ImagePullSecret{{Name: "registry"}},
		RuntimeClassName: new("gvisor"),
		RunAsUser:        v1alpha1.RunAsFromPlatform,
		Env: []v1alpha1.PodVariable{{Name: "SSL_CERT_DIR", Value: new("/etc/ssl/certs")},
			{Name: "TOKEN", SecretKeyRef: &v1alpha1.KeyReference{Name: "of-games", Key: "token", Optional: true}}},
		Rollout:      &v1alpha1.PodRollout{MaxSurge: new(intstr.FromInt32(0)), MaxUnavailable: new(intstr.FromString("50%"))},
		DrainSeconds: new(int32(60)),
	}
	objects := v1alpha1.ObjectMetadata{Labels: map[string]v1alpha1.LabelValue{"team": "platform", "cost-center": "42"},
		Annotations: map[string]string{"example.com/owner": "platform@example.com"}}
	own := v1alpha1.PodsSpec{
		Labels:       map[string]v1alpha1.LabelValue{"team": "arcade"},
		NodeSelector: map[string]v1alpha1.LabelValue{"kubernetes.io/arch": "arm64"},
		Tolerations:  []v1alpha1.Toleration{{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(300))}},
		Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpExists}}}}}}},
		TopologySpreadConstraints: []v1alpha1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, MinDomains: new(int32(2))}},
	}
	return class, objects, own
}

func podOf(t *testing.T, change func(class *v1alpha1.ClassPods, objects *v1alpha1.ObjectMetadata, own *v1alpha1.PodsSpec)) corev1.PodTemplateSpec {
	t.Helper()
	in := input(func(in *workload.Input) {
		change(&in.Class.Spec.Pods, &in.Class.Spec.Objects, &in.Leaderboard.Spec.Pods)
	})
	return find[appsv1.Deployment](t, in).Spec.Template
}

// What the game says is added to what the class says, and wins where both say it.
func TestPodsOfAClassAndAGame(t *testing.T) {
	pod := podOf(t, func(class *v1alpha1.ClassPods, objects *v1alpha1.ObjectMetadata, own *v1alpha1.PodsSpec) {
		*class, *objects, *own = everyPod()
	})
	require.Equal(t, "arcade", pod.Labels["team"], "the game's, then the Pods', then that of all objects")
	require.Equal(t, "42", pod.Labels["cost-center"])
	require.Equal(t, "games", pod.Labels["example.com/tier"])
	require.Equal(t, "platform@example.com", pod.Annotations["example.com/owner"])
	require.Equal(t, map[string]string{"example.com/pool": "games", "kubernetes.io/arch": "arm64"}, pod.Spec.NodeSelector)

	var patience []string
	for _, t := range pod.Spec.Tolerations {
		patience = append(patience, t.Key)
	}
	require.Equal(t, []string{corev1.TaintNodeNotReady, "example.com/games", corev1.TaintNodeUnreachable}, patience, "of two that match, the shorter time counts")
	require.Equal(t, int64(300), *pod.Spec.Tolerations[2].TolerationSeconds)

	require.Len(t, pod.Spec.TopologySpreadConstraints, 1)
	constraint := pod.Spec.TopologySpreadConstraints[0]
	require.Equal(t, corev1.LabelTopologyZone, constraint.TopologyKey)
	require.Equal(t, "race", constraint.LabelSelector.MatchLabels[workload.LabelInstance])
	require.Equal(t, []string{appsv1.DefaultDeploymentUniqueLabelKey}, constraint.MatchLabelKeys)
	require.NotNil(t, pod.Spec.Affinity.NodeAffinity)
	require.Nil(t, pod.Spec.Affinity.PodAntiAffinity)

	require.Nil(t, pod.Spec.SecurityContext.RunAsUser)
	require.Nil(t, pod.Spec.SecurityContext.RunAsGroup)
	require.True(t, *pod.Spec.SecurityContext.RunAsNonRoot)
}

// Affinity to nodes keeps the spreading; an anti-affinity takes the place of that over zones.
func TestSpreadingIsKept(t *testing.T) {
	pod := podOf(t, func(class *v1alpha1.ClassPods, _ *v1alpha1.ObjectMetadata, _ *v1alpha1.PodsSpec) {
		class.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
	})
	require.NotNil(t, pod.Spec.Affinity.NodeAffinity)
	require.Len(t, pod.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, 1)
	require.Len(t, pod.Spec.TopologySpreadConstraints, 1)

	pod = podOf(t, func(class *v1alpha1.ClassPods, _ *v1alpha1.ObjectMetadata, _ *v1alpha1.PodsSpec) {
		class.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{}}
	})
	require.Empty(t, pod.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	require.Len(t, pod.Spec.TopologySpreadConstraints, 1)
}

// Nothing that a class or a game says changes what the operator finds its objects by, or a
// variable that it sets: not even where it was stored before it was refused.
func TestPodsLeaveTheOperatorsAlone(t *testing.T) {
	plain := podOf(t, func(*v1alpha1.ClassPods, *v1alpha1.ObjectMetadata, *v1alpha1.PodsSpec) {})
	forged := map[string]v1alpha1.LabelValue{}
	for name := range plain.Labels {
		forged[name] = "forged"
	}
	annotations := map[string]string{}
	for name := range plain.Annotations {
		annotations[name] = "forged"
	}

	pod := podOf(t, func(class *v1alpha1.ClassPods, objects *v1alpha1.ObjectMetadata, own *v1alpha1.PodsSpec) {
		objects.Labels, class.Labels, own.Labels = forged, forged, forged
		objects.Annotations, class.Annotations, own.Annotations = annotations, annotations, annotations
		for _, variable := range plain.Spec.Containers[0].Env {
			class.Env = append(class.Env, v1alpha1.PodVariable{Name: variable.Name, Value: new("forged")})
		}
		class.Env = append(class.Env, v1alpha1.PodVariable{Name: "LEADERBOARD_INSECURE_ISSUERS", Value: new("true")})
	})
	require.Equal(t, plain.Labels, pod.Labels)
	require.Equal(t, plain.Annotations, pod.Annotations)
	require.Equal(t, plain.Spec.Containers[0].Env, pod.Spec.Containers[0].Env)
}

// A game may say what the class allows, one by one.
func TestCheckPods(t *testing.T) {
	_, _, all := everyPod()
	all.Annotations, all.PriorityClassName = map[string]string{"a": "b"}, "games"
	for field, own := range map[v1alpha1.PodField]v1alpha1.PodsSpec{
		v1alpha1.PodFieldLabels: {Labels: all.Labels}, v1alpha1.PodFieldAnnotations: {Annotations: all.Annotations},
		v1alpha1.PodFieldNodeSelector: {NodeSelector: all.NodeSelector}, v1alpha1.PodFieldTolerations: {Tolerations: all.Tolerations},
		v1alpha1.PodFieldAffinity: {Affinity: all.Affinity}, v1alpha1.PodFieldTopologySpread: {TopologySpreadConstraints: all.TopologySpreadConstraints},
		v1alpha1.PodFieldPriorityClassName: {PriorityClassName: all.PriorityClassName},
	} {
		lb, class := &v1alpha1.Leaderboard{Spec: v1alpha1.LeaderboardSpec{Pods: own}}, &v1alpha1.LeaderboardClass{}
		require.ErrorContains(t, workload.CheckPods(lb, class), "spec.pods."+string(field)+" is set")
		class.Spec.Pods.Allow = slices.DeleteFunc([]v1alpha1.PodField{"labels", "annotations", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName"},
			func(f v1alpha1.PodField) bool { return f == field })
		require.ErrorContains(t, workload.CheckPods(lb, class), "add "+string(field)+" to pods.allow")
		class.Spec.Pods.Allow = []v1alpha1.PodField{field}
		require.NoError(t, workload.CheckPods(lb, class))
	}
}

// Every object has the labels and annotations of all objects.
func TestObjectsInherit(t *testing.T) {
	_, objects, _ := everyPod()
	in := input(everything)
	list, err := workload.Objects(in)
	require.NoError(t, err)
	require.Greater(t, len(list), 7)

	for _, object := range list {
		labels, annotations := metadataOf(t, object)
		for name, value := range objects.Labels {
			require.Equal(t, string(value), labels[name])
		}
		for name, value := range objects.Annotations {
			require.Equal(t, value, annotations[name])
		}
	}

	in.Class.Spec.Exposure.Annotations = map[string]string{"example.com/owner": "network"}
	list, err = workload.Objects(in)
	require.NoError(t, err)
	_, annotations := metadataOf(t, list[len(list)-1])
	require.Equal(t, "network", annotations["example.com/owner"], "what is said of Ingresses alone wins")
}

func metadataOf(t *testing.T, object any) (labels, annotations map[string]string) {
	t.Helper()
	encoded, err := json.Marshal(object)
	require.NoError(t, err)
	var meta metav1.PartialObjectMetadata
	require.NoError(t, json.Unmarshal(encoded, &meta))
	return meta.Labels, meta.Annotations
}

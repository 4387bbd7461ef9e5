package workload

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// CheckPods returns what a Leaderboard says of its Pods and the class does not allow.
func CheckPods(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) error {
	own := lb.Spec.Pods
	for _, field := range []struct {
		name v1alpha1.PodField
		set  bool
	}{
		{v1alpha1.PodFieldLabels, len(own.Labels) > 0},
		{v1alpha1.PodFieldAnnotations, len(own.Annotations) > 0},
		{v1alpha1.PodFieldNodeSelector, len(own.NodeSelector) > 0},
		{v1alpha1.PodFieldTolerations, len(own.Tolerations) > 0},
		{v1alpha1.PodFieldAffinity, own.Affinity != nil},
		{v1alpha1.PodFieldTopologySpread, len(own.TopologySpreadConstraints) > 0},
		{v1alpha1.PodFieldPriorityClassName, own.PriorityClassName != ""},
	} {
		if field.set && !slices.Contains(class.Spec.Pods.Allow, field.name) {
			return fmt.Errorf("spec.pods.%[1]s is set, and the LeaderboardClass %[2]s does not allow it: remove it, or ask the platform team to add %[1]s to pods.allow", field.name, class.Name)
		}
	}
	return nil
}

// podsOf is what the class and the Leaderboard say of the Pods together: maps key by key,
// where the Leaderboard's values win, the tolerations of both, and the rest as the
// Leaderboard has it or, where it says nothing, the class.
func podsOf(in Input) v1alpha1.PodsSpec {
	class, own := in.Class.Spec.Pods.PodsSpec, in.Leaderboard.Spec.Pods
	pods := v1alpha1.PodsSpec{
		Labels: merged(class.Labels, own.Labels), Annotations: merged(class.Annotations, own.Annotations),
		NodeSelector: merged(class.NodeSelector, own.NodeSelector),
		Tolerations:  slices.Concat(class.Tolerations, own.Tolerations),
		Affinity:     class.Affinity, TopologySpreadConstraints: class.TopologySpreadConstraints, PriorityClassName: class.PriorityClassName,
	}

	if own.Affinity != nil {
		pods.Affinity = own.Affinity
	}
	if len(own.TopologySpreadConstraints) > 0 {
		pods.TopologySpreadConstraints = own.TopologySpreadConstraints
	}
	if own.PriorityClassName != "" {
		pods.PriorityClassName = own.PriorityClassName
	}

	return pods
}

// merged are the entries of all maps, of later ones where several have a key. It is the
// caller's.
func merged[V any](all ...map[string]V) map[string]V {
	one := map[string]V{}
	for _, m := range all {
		maps.Copy(one, m)
	}
	return one
}

// texts are the values as strings.
func texts(values map[string]v1alpha1.LabelValue) map[string]string {
	list := make(map[string]string, len(values))
	for name, value := range values {
		list[name] = string(value)
	}
	return list
}

// podLabels are those of every object, the Pods', and those of the operator, by which Pods
// are found.
func podLabels(in Input) map[string]string {
	return merged(texts(in.Class.Spec.Objects.Labels), texts(podsOf(in).Labels), ownLabels(in.Leaderboard))
}

// podAnnotations are those of every object, and the Pods'.
func podAnnotations(in Input) map[string]string {
	return merged(in.Class.Spec.Objects.Annotations, podsOf(in).Annotations)
}

// rollout keeps all Pods that were asked for, unless the class says otherwise.
func rollout(spec *v1alpha1.PodRollout) *appsv1ac.RollingUpdateDeploymentApplyConfiguration {
	surge, unavailable := intstr.FromString("25%"), intstr.FromInt32(0)
	if spec != nil && spec.MaxSurge != nil {
		surge = *spec.MaxSurge
	}
	if spec != nil && spec.MaxUnavailable != nil {
		unavailable = *spec.MaxUnavailable
	}
	return appsv1ac.RollingUpdateDeployment().WithMaxUnavailable(unavailable).WithMaxSurge(surge)
}

// drain is how long a Pod that is to end goes on serving before it is told.
func drain(class *v1alpha1.LeaderboardClass) time.Duration {
	if seconds := class.Spec.Pods.DrainSeconds; seconds != nil {
		return time.Duration(*seconds) * time.Second
	}
	return defaultDrain
}

func podSecurityContext(class *v1alpha1.LeaderboardClass) *corev1ac.PodSecurityContextApplyConfiguration {
	context := corev1ac.PodSecurityContext().
		WithRunAsNonRoot(true).
		WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))
	if class.Spec.Pods.RunAsUser != v1alpha1.RunAsFromPlatform {
		context.WithRunAsUser(userID).WithRunAsGroup(userID)
	}
	return context
}

// furtherVariables are the class's. Of two variables of a name Kubernetes takes the last, so
// those that are the operator's are left out, although validation refuses them.
func furtherVariables(class *v1alpha1.LeaderboardClass) []*corev1ac.EnvVarApplyConfiguration {
	var list []*corev1ac.EnvVarApplyConfiguration
	for _, v := range class.Spec.Pods.Env {
		if strings.HasPrefix(v.Name, "LEADERBOARD_") || v.Name == memoryLimitVariable {
			continue
		}

		variable := corev1ac.EnvVar().WithName(v.Name)
		switch {
		case v.SecretKeyRef != nil:
			reference := corev1ac.SecretKeySelector().WithName(v.SecretKeyRef.Name).WithKey(v.SecretKeyRef.Key)
			if v.SecretKeyRef.Optional {
				reference.WithOptional(true)
			}
			variable.WithValueFrom(corev1ac.EnvVarSource().WithSecretKeyRef(reference))
		case v.ConfigMapKeyRef != nil:
			reference := corev1ac.ConfigMapKeySelector().WithName(v.ConfigMapKeyRef.Name).WithKey(v.ConfigMapKeyRef.Key)
			if v.ConfigMapKeyRef.Optional {
				reference.WithOptional(true)
			}
			variable.WithValueFrom(corev1ac.EnvVarSource().WithConfigMapKeyRef(reference))
		case v.Value != nil:
			variable.WithValue(*v.Value)
		}
		list = append(list, variable)
	}
	return list
}

// converted is a value of the API as the apply configuration of the same fields.
func converted[T any](value any) (*T, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", value, err)
	}
	configuration := new(T)
	if err := json.Unmarshal(encoded, configuration); err != nil {
		return nil, fmt.Errorf("decode %T: %w", configuration, err)
	}
	return configuration, nil
}

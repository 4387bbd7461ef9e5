package workload

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// deadNodePatience is for how long a Pod stays on a node that does not answer. It
// keeps nothing that another Pod lacks, so it need not wait for the default of
// five minutes.
const deadNodePatience = 30 * time.Second

// schedule says on which nodes the Pods run, with which images and as what.
func schedule(in Input, spec *corev1ac.PodSpecApplyConfiguration) error {
	lb, class, pods := in.Leaderboard, in.Class.Spec.Pods, podsOf(in)
	for _, taint := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		if !slices.ContainsFunc(pods.Tolerations, func(t v1alpha1.Toleration) bool { return t.Key == taint }) {
			spec.WithTolerations(leave(taint))
		}
	}
	for _, t := range pods.Tolerations {
		toleration, err := converted[corev1ac.TolerationApplyConfiguration](t)
		if err != nil {
			return err
		}
		spec.WithTolerations(toleration)
	}

	if err := spread(lb, pods, spec); err != nil {
		return err
	}

	spec.WithNodeSelector(texts(pods.NodeSelector))
	if pods.PriorityClassName != "" {
		spec.WithPriorityClassName(pods.PriorityClassName)
	}
	if class.RuntimeClassName != nil {
		spec.WithRuntimeClassName(*class.RuntimeClassName)
	}
	for _, secret := range class.ImagePullSecrets {
		spec.WithImagePullSecrets(corev1ac.LocalObjectReference().WithName(secret.Name))
	}

	return nil
}

// leave makes the Pod go to another node soon once its own has the taint.
func leave(taint string) *corev1ac.TolerationApplyConfiguration {
	return corev1ac.Toleration().
		WithKey(taint).
		WithOperator(corev1.TolerationOpExists).
		WithEffect(corev1.TaintEffectNoExecute).
		WithTolerationSeconds(int64(deadNodePatience.Seconds()))
}

// spread says which Pods are kept apart: as the constraints have it or, without any, those of
// a game over nodes and zones.
func spread(lb *v1alpha1.Leaderboard, pods v1alpha1.PodsSpec, spec *corev1ac.PodSpecApplyConfiguration) error {
	affinity := corev1ac.Affinity()
	if pods.Affinity != nil {
		own, err := converted[corev1ac.AffinityApplyConfiguration](pods.Affinity)
		if err != nil {
			return err
		}
		affinity = own
	}

	for _, c := range pods.TopologySpreadConstraints {
		constraint, err := converted[corev1ac.TopologySpreadConstraintApplyConfiguration](c)
		if err != nil {
			return err
		}
		spec.WithTopologySpreadConstraints(ofOneRevision(lb, constraint))
	}

	if len(pods.TopologySpreadConstraints) == 0 {
		spec.WithTopologySpreadConstraints(spreadOverNodes(lb))
		if affinity.PodAntiAffinity == nil {
			affinity.WithPodAntiAffinity(spreadOverZones(lb))
		}
	}

	if affinity.NodeAffinity != nil || affinity.PodAffinity != nil || affinity.PodAntiAffinity != nil {
		spec.WithAffinity(affinity)
	}
	return nil
}

// ofOneRevision has a constraint count the Pods of one revision of a game.
func ofOneRevision(lb *v1alpha1.Leaderboard, constraint *corev1ac.TopologySpreadConstraintApplyConfiguration) *corev1ac.TopologySpreadConstraintApplyConfiguration {
	return constraint.
		WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(lb))).
		WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey)
}

// spreadOverNodes keeps Pods of one revision apart where that is possible. A game
// with more Pods than nodes still runs.
func spreadOverNodes(lb *v1alpha1.Leaderboard) *corev1ac.TopologySpreadConstraintApplyConfiguration {
	return ofOneRevision(lb, corev1ac.TopologySpreadConstraint().
		WithMaxSkew(1).
		WithTopologyKey(corev1.LabelHostname).
		WithWhenUnsatisfiable(corev1.ScheduleAnyway))
}

// spreadOverZones does so for zones. It is no second spread constraint, as the
// scheduler weighs those only for nodes that have the labels of all of them: where
// nodes have no zone, Pods would not be spread over nodes either.
func spreadOverZones(lb *v1alpha1.Leaderboard) *corev1ac.PodAntiAffinityApplyConfiguration {
	const weight = 100 // of 100
	return corev1ac.PodAntiAffinity().WithPreferredDuringSchedulingIgnoredDuringExecution(
		corev1ac.WeightedPodAffinityTerm().WithWeight(weight).WithPodAffinityTerm(corev1ac.PodAffinityTerm().
			WithTopologyKey(corev1.LabelTopologyZone).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(lb))).
			WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey)))
}

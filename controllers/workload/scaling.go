package workload

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	autoscalingv2ac "k8s.io/client-go/applyconfigurations/autoscaling/v2"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// Replicas is the number of Pods that the Leaderboard or its class asks for.
// With autoscaling it is the least number, which the autoscaler then owns.
func Replicas(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) int32 {
	switch {
	case lb.Spec.Autoscaling != nil:
		return lb.Spec.Autoscaling.MinReplicas
	case lb.Spec.Replicas != nil:
		return *lb.Spec.Replicas
	default:
		return class.Spec.Defaults.Replicas
	}
}

// MaxReplicas is the greatest number of Pods that the Leaderboard asks for.
func MaxReplicas(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) int32 {
	if lb.Spec.Autoscaling != nil {
		return lb.Spec.Autoscaling.MaxReplicas
	}
	return Replicas(lb, class)
}

func horizontalPodAutoscaler(in Input) *autoscalingv2ac.HorizontalPodAutoscalerApplyConfiguration {
	lb, scaling := in.Leaderboard, in.Leaderboard.Spec.Autoscaling
	return ofGame(autoscalingv2ac.HorizontalPodAutoscaler(Name(lb), lb.Namespace), lb, in.Class).
		WithSpec(autoscalingv2ac.HorizontalPodAutoscalerSpec().
			WithScaleTargetRef(autoscalingv2ac.CrossVersionObjectReference().
				WithAPIVersion("apps/v1").WithKind("Deployment").WithName(Name(lb))).
			WithMinReplicas(scaling.MinReplicas).
			WithMaxReplicas(scaling.MaxReplicas).
			// Of the server alone: a sidecar that a mesh adds has requests and loads of its own.
			WithMetrics(autoscalingv2ac.MetricSpec().
				WithType(autoscalingv2.ContainerResourceMetricSourceType).
				WithContainerResource(autoscalingv2ac.ContainerResourceMetricSource().
					WithName(corev1.ResourceCPU).
					WithContainer(containerName).
					WithTarget(autoscalingv2ac.MetricTarget().
						WithType(autoscalingv2.UtilizationMetricType).
						WithAverageUtilization(scaling.TargetCPUUtilizationPercentage)))))
}

// podDisruptionBudget lets one Pod go at a time. It counts unavailable Pods, so
// that it never blocks the drain of a node: not at one replica, where a least
// number of Pods would, and not when Pods are broken.
func podDisruptionBudget(in Input) *policyv1ac.PodDisruptionBudgetApplyConfiguration {
	lb := in.Leaderboard
	return ofGame(policyv1ac.PodDisruptionBudget(Name(lb), lb.Namespace), lb, in.Class).
		WithSpec(policyv1ac.PodDisruptionBudgetSpec().
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(lb))).
			WithMaxUnavailable(intstr.FromInt32(1)).
			WithUnhealthyPodEvictionPolicy(policyv1.AlwaysAllow))
}

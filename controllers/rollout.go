package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// checkRollout reads how far the Deployment is and sets WorkloadAvailable. It
// returns a stepError while not enough Pods of the current spec are ready.
func (r *LeaderboardReconciler) checkRollout(ctx context.Context, p *pass) error {
	deployment := &appsv1.Deployment{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: p.lb.Namespace, Name: workload.Name(p.lb)}, deployment)
	if apierrors.IsNotFound(err) {
		p.lb.Status.Replicas, p.lb.Status.ReadyReplicas = 0, 0
		return waitingFor(v1alpha1.ConditionWorkloadAvailable, v1alpha1.ReasonProgressing, "The Deployment %s is being made", workload.Name(p.lb))
	}
	if err != nil {
		return failedBy(err, v1alpha1.ConditionWorkloadAvailable, v1alpha1.ReasonWorkloadUnavailable, "The Deployment could not be read; this is tried again")
	}

	p.lb.Status.Replicas, p.lb.Status.ReadyReplicas = deployment.Status.Replicas, deployment.Status.ReadyReplicas
	p.lb.Status.Selector = labels.SelectorFromSet(workload.Selector(p.lb)).String()
	if deployment.Generation < p.deployed {
		// The cache does not show yet what this pass applied.
		return waitingFor(v1alpha1.ConditionWorkloadAvailable, v1alpha1.ReasonProgressing, "The Deployment %s is being rolled out", deployment.Name)
	}

	available, reason, message := availability(deployment, leastPods(p.lb, deployment))
	if !available {
		return r.unavailable(ctx, p, reason, message)
	}

	p.conditions().set(v1alpha1.ConditionWorkloadAvailable, metav1.ConditionTrue, reason, message)
	return nil
}

// unavailable adds to how far the Deployment is what is wrong with its Pods.
func (r *LeaderboardReconciler) unavailable(ctx context.Context, p *pass, reason, message string) error {
	cause, err := r.podTrouble(ctx, p.lb)
	if err != nil {
		log.FromContext(ctx).Error(err, "Look at the Pods") // how far the Deployment is can be told without
	}
	if cause != "" {
		reason, message = v1alpha1.ReasonWorkloadUnavailable, message+". "+cause
	}

	failure := waitingFor(v1alpha1.ConditionWorkloadAvailable, reason, "%s", message)
	failure.retryAfter = troubleRetry
	return failure
}

// leastPods is how many Pods have to be ready: all, or the least number that
// the autoscaler keeps, since its adding one is no lack.
func leastPods(lb *v1alpha1.Leaderboard, deployment *appsv1.Deployment) int32 {
	desired := int32(1)
	if deployment.Spec.Replicas != nil {
		desired = *deployment.Spec.Replicas
	}

	if lb.Spec.Autoscaling != nil {
		return min(desired, lb.Spec.Autoscaling.MinReplicas)
	}

	return desired
}

// availability says whether at least that many Pods of the Deployment's current
// template are available and no other Pods serve any more. None is enough where none is
// asked for.
func availability(deployment *appsv1.Deployment, least int32) (available bool, reason, message string) {
	status := deployment.Status
	switch {
	case status.ObservedGeneration < deployment.Generation:
		return false, v1alpha1.ReasonProgressing, "The Deployment " + deployment.Name + " is being rolled out"
	case least == 0 && status.Replicas > 0:
		return false, v1alpha1.ReasonProgressing, fmt.Sprintf("%d Pods are being ended", status.Replicas)
	case least == 0:
		return true, v1alpha1.ReasonScaledToZero, "No Pod is asked for (spec.replicas is 0), so nothing is served: set it to 1 or more to serve"
	}

	if failure := deploymentCondition(deployment, appsv1.DeploymentReplicaFailure, corev1.ConditionTrue); failure != nil {
		return false, v1alpha1.ReasonWorkloadUnavailable, "Pods cannot be made: " + failure.Message
	}
	if late := deploymentCondition(deployment, appsv1.DeploymentProgressing, corev1.ConditionFalse); late != nil {
		return false, v1alpha1.ReasonWorkloadUnavailable, fmt.Sprintf(
			"%s: look at the Pods with kubectl describe pods -l %s", late.Message,
			labels.SelectorFromSet(deployment.Spec.Selector.MatchLabels))
	}
	if status.UpdatedReplicas < least || status.Replicas > status.UpdatedReplicas {
		return false, v1alpha1.ReasonProgressing, fmt.Sprintf("%d of %d Pods run the current spec", status.UpdatedReplicas, max(status.Replicas, least))
	}
	if status.AvailableReplicas < least {
		return false, v1alpha1.ReasonProgressing, fmt.Sprintf("%d of %d Pods are ready", status.AvailableReplicas, least)
	}

	return true, v1alpha1.ReasonReady, "Enough Pods of the current spec are ready"
}

func deploymentCondition(deployment *appsv1.Deployment, conditionType appsv1.DeploymentConditionType, status corev1.ConditionStatus) *appsv1.DeploymentCondition {
	for i := range deployment.Status.Conditions {
		condition := &deployment.Status.Conditions[i]
		if condition.Type == conditionType && condition.Status == status {
			return condition
		}
	}
	return nil
}

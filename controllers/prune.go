package controllers

import (
	"context"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// prune deletes what the spec no longer asks for. It comes before the apply, so
// that an autoscaler is gone before the operator sets the replicas itself.
func (r *LeaderboardReconciler) prune(ctx context.Context, p *pass) error {
	var unwanted []client.Object
	if p.lb.Spec.Autoscaling == nil {
		unwanted = append(unwanted, &autoscalingv2.HorizontalPodAutoscaler{})
	}

	if workload.ExposureOf(p.lb, p.class) != v1alpha1.ExposureIngress {
		unwanted = append(unwanted, &networkingv1.Ingress{})
	}

	if !workload.HasNetworkPolicy(p.class) {
		unwanted = append(unwanted, &networkingv1.NetworkPolicy{})
	}

	for _, object := range unwanted {
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: p.lb.Namespace, Name: workload.Name(p.lb)}, object)
		if apierrors.IsNotFound(err) || (err == nil && !metav1.IsControlledBy(object, p.lb)) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for a %T to delete: %w", object, err)
		}

		uid := object.GetUID()
		if err := r.Client.Delete(ctx, object, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete the %T %s: %w", object, object.GetName(), err)
		}
	}

	return nil
}

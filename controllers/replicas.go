package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// handOverOwner owns spec.replicas of a Deployment from when the operator lets
// go of it until the autoscaler first sets it. Server-side apply removes a field
// that its only owner leaves out, and the API server then defaults replicas to
// 1: without somebody to hand it to, turning autoscaling on would end all Pods
// but one.
const handOverOwner = client.FieldOwner("leaderboard-operator-hand-over")

// decideReplicas says whether the next apply of the Deployment sets
// spec.replicas, and hands the field over where it is not ours any more.
//
// Without autoscaling it is ours. With it, the operator sets it once, when it
// makes the Deployment, so that a game starts with its least number of Pods.
func (r *LeaderboardReconciler) decideReplicas(ctx context.Context, p *pass) (bool, error) {
	if p.lb.Spec.Autoscaling == nil {
		return true, nil
	}

	// Read past the cache: a stale one could say that the field is not ours.
	live := &appsv1.Deployment{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: p.lb.Namespace, Name: workload.Name(p.lb)}, live)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("get the Deployment: %w", err)
	}
	if !metav1.IsControlledBy(live, p.lb) {
		return false, nil // the apply says so
	}

	ours, err := ownsField(live, string(fieldOwner), "spec", "replicas")
	if err != nil || live.Spec.Replicas == nil {
		return false, err
	}

	// An autoscaler never scales up from 0, which it takes for being switched off.
	replicas := *live.Spec.Replicas
	if replicas == 0 {
		replicas = p.lb.Spec.Autoscaling.MinReplicas
	} else if !ours {
		return false, nil
	}

	// Where the autoscaler has set another number since that one was read, the apply is a
	// conflict, and the next pass sees the new one.
	handOver := appsv1ac.Deployment(live.Name, live.Namespace).
		WithResourceVersion(live.ResourceVersion).
		WithSpec(appsv1ac.DeploymentSpec().WithReplicas(replicas))
	if err := r.Client.Apply(ctx, handOver, handOverOwner, client.ForceOwnership); err != nil {
		return false, fmt.Errorf("hand spec.replicas of the Deployment over: %w", err)
	}

	return false, nil
}

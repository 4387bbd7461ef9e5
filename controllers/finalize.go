package controllers

import (
	"context"
	"errors"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// drainTimeout is how long the deletion of a Leaderboard waits for its Pods to
// end before it takes their credentials away: their grace period and as much
// again as a busy cluster may need to begin.
const drainTimeout = workload.TerminationGracePeriod + 15*time.Second

// finalize ends the Pods, releases or drops what the stores hold, and lets the
// object go. It works through the same steps again after any failure.
func (r *LeaderboardReconciler) finalize(ctx context.Context, p *pass) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(p.lb, v1alpha1.LeaderboardFinalizer) {
		return ctrl.Result{}, nil
	}

	p.conditions().initialize()
	if err := r.tearDown(ctx, p); err != nil {
		return r.finish(ctx, p, err)
	}

	patched := p.base.DeepCopy()
	controllerutil.RemoveFinalizer(patched, v1alpha1.LeaderboardFinalizer)
	err := r.Client.Patch(ctx, patched, client.MergeFromWithOptions(p.base, client.MergeFromWithOptimisticLock{}), fieldOwner)
	if client.IgnoreNotFound(err) != nil {
		return r.finish(ctx, p, failedBy(err, "", v1alpha1.ReasonDeleting, "The finalizer could not be removed; this is tried again"))
	}

	r.applier.forget(p.lb.UID)
	r.verified.drop(p.lb.UID)
	r.oldLoginDisabled.drop(p.lb.UID)

	return ctrl.Result{}, nil
}

func (r *LeaderboardReconciler) tearDown(ctx context.Context, p *pass) error {
	if p.lb.Status.ClassName == "" {
		// The class is recorded before anything is made in its stores.
		return nil
	}
	if err := r.drain(ctx, p); err != nil {
		return err
	}
	if p.lb.Annotations[v1alpha1.AbandonAnnotation] == "true" {
		r.Recorder.Eventf(p.lb, nil, corev1.EventTypeWarning, "Abandoned", "Delete",
			"The schema, roles and Redis user %s were left as they are, as the annotation %s says", p.tenant.ID, v1alpha1.AbandonAnnotation)
		return nil
	}
	if err := r.reachForDeletion(ctx, p); err != nil {
		return err
	}

	return r.releaseStores(ctx, p)
}

// drain deletes the Deployment and waits a bounded time until its Pods have
// ended, so that they finish what they accepted before their logins go.
func (r *LeaderboardReconciler) drain(ctx context.Context, p *pass) error {
	deployment := &appsv1.Deployment{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: p.lb.Namespace, Name: workload.Name(p.lb)}, deployment)
	if apierrors.IsNotFound(err) || (err == nil && !metav1.IsControlledBy(deployment, p.lb)) {
		return nil
	}

	if err == nil && deployment.DeletionTimestamp.IsZero() {
		err = r.Client.Delete(ctx, deployment, client.PropagationPolicy(metav1.DeletePropagationForeground),
			client.Preconditions{UID: &deployment.UID})
	}

	if client.IgnoreNotFound(err) != nil {
		return failedBy(err, v1alpha1.ConditionWorkloadAvailable, v1alpha1.ReasonDeleting, "The Deployment could not be deleted; this is tried again")
	}
	if time.Since(p.lb.DeletionTimestamp.Time) > drainTimeout {
		return nil
	}

	return waitingFor(v1alpha1.ConditionWorkloadAvailable, v1alpha1.ReasonDeleting, "Waiting for the Pods to end")
}

// reachForDeletion connects to the stores that hold the data. Where that cannot
// be done, the condition says how to go on.
func (r *LeaderboardReconciler) reachForDeletion(ctx context.Context, p *pass) error {
	const wayOut = "bring it back, or set the annotation " + v1alpha1.AbandonAnnotation +
		"=true on the Leaderboard to delete it and leave its schema, roles and Redis user behind"
	class, err := r.findClass(ctx, p.lb)
	if err != nil {
		var step *stepError
		if errors.As(err, &step) && step.reason == v1alpha1.ReasonClassNotFound {
			return stalledBy("", v1alpha1.ReasonClassNotFound, "The LeaderboardClass %s, whose stores hold this game's data, is gone: %s", p.lb.Status.ClassName, wayOut)
		}
		return err
	}

	p.class = class
	if err := r.connect(ctx, p); err != nil {
		step := asStepError(err, v1alpha1.ReasonClassNotReady)
		return &stepError{condition: step.condition, reason: step.reason, stalled: step.stalled, cause: step.cause,
			message: step.message + ". To go on with the deletion: " + wayOut}
	}

	return nil
}

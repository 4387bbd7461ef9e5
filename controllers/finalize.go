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
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// drainMargin is how much longer than their grace period the deletion of a Leaderboard
// waits for its Pods to end before it takes their credentials away: as much as a busy
// cluster may need to begin.
const drainMargin = 15 * time.Second

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

	r.forget(p.lb.UID)
	r.hosts.serve("", p.lb.UID)
	r.seasonsEnded.drop(p.lb.UID)
	r.webhooksResent.drop(p.lb.UID)

	return ctrl.Result{}, nil
}

func (r *LeaderboardReconciler) tearDown(ctx context.Context, p *pass) error {
	if err := r.drain(ctx, p); err != nil {
		return err
	}
	if p.lb.Status.ClassName == "" {
		return r.releaseUnrecorded(ctx, p)
	}
	if p.lb.Annotations[v1alpha1.AbandonAnnotation] == "true" {
		r.abandon(ctx, p)
		return nil
	}
	if err := r.reachForDeletion(ctx, p); err != nil {
		return err
	}

	return withWayOut(r.releaseStores(ctx, p))
}

// wayOut is how a Leaderboard is deleted whose stores cannot be reached.
const wayOut = "bring it back, or set the annotation " + v1alpha1.AbandonAnnotation +
	"=true on the Leaderboard to delete it and leave its schema, roles and Redis user behind"

// withWayOut adds the way out to what holds a deletion up; nil stays nil.
func withWayOut(err error) error {
	if err == nil {
		return nil
	}

	step := *asStepError(err, v1alpha1.ReasonDeleting)
	step.message += ". To go on with the deletion: " + wayOut
	return &step
}

// releaseUnrecorded releases what a Leaderboard has in the stores whose status says
// nothing. Mostly that is nothing: the class is recorded first. But a status can be
// lost, as in a restore from a backup without it.
func (r *LeaderboardReconciler) releaseUnrecorded(ctx context.Context, p *pass) error {
	class, err := r.findClass(ctx, p.lb)
	if err != nil {
		return nil //nolint:nilerr // without a class nothing can have been made
	}

	p.class = class
	ids, err := r.unrecordedTenants(ctx, p)
	if err != nil {
		r.Recorder.Eventf(p.lb, nil, corev1.EventTypeWarning, "NotLookedFor", "Delete",
			"If this Leaderboard had scores in the stores of the LeaderboardClass %s, they were left there with its logins: the stores could not be asked. %s", class.Name, sentence(err))
		return nil
	}

	recorded, ok := tenant.Tenant{}, false
	if len(ids) > 0 {
		recorded, ok = tenant.Recorded(ids[0])
	}
	if !ok {
		return nil
	}

	p.tenant = recorded
	return r.releaseStores(ctx, p)
}

func (r *LeaderboardReconciler) unrecordedTenants(ctx context.Context, p *pass) ([]string, error) {
	if err := r.connect(ctx, p); err != nil {
		return nil, err
	}
	if err := r.prepareClaim(ctx, p); err != nil {
		return nil, err
	}
	return p.stores.postgres.Tenants(ctx, p.claim.Owner)
}

// abandonTimeout bounds the attempt to end the logins of a game that is given up: its
// stores may be gone for good.
const abandonTimeout = 10 * time.Second

// abandon leaves what the stores hold, but ends the logins, which the game's team
// knows, if the stores can be reached; and says what is left.
func (r *LeaderboardReconciler) abandon(ctx context.Context, p *pass) {
	ctx, cancel := context.WithTimeout(ctx, abandonTimeout)
	defer cancel()

	postgresErr := r.reachForDeletion(ctx, p)
	redisErr := postgresErr
	if postgresErr == nil {
		postgresErr = p.stores.postgres.DisableLogins(ctx, p.tenant, p.claim)
		redisErr = p.stores.postgres.WhileLeading(ctx, func(ctx context.Context) error {
			return p.stores.redis.DropUser(ctx, p.tenant, p.claim)
		})
	}

	left := "The schema, roles and keys of %s were left, as the annotation %s says"
	switch {
	case postgresErr != nil && redisErr != nil:
		left += ". Their logins in Postgres and Redis could not be ended and go on working where the stores do"
	case postgresErr != nil:
		left += ". Their logins in Postgres could not be ended and go on working"
	case redisErr != nil:
		left += ". Their user in Redis could not be removed and goes on working"
	default:
		left += ", without a login"
	}

	r.Recorder.Eventf(p.lb, nil, corev1.EventTypeWarning, "Abandoned", "Delete", left, p.tenant.ID, v1alpha1.AbandonAnnotation)
}

// drain deletes the Deployment and waits a bounded time until its Pods have
// ended, so that they finish what they accepted before their logins go.
func (r *LeaderboardReconciler) drain(ctx context.Context, p *pass) error {
	deployment := &appsv1.Deployment{}
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: p.lb.Namespace, Name: workload.Name(p.lb)}, deployment)
	if apierrors.IsNotFound(err) || (err == nil && !servesFor(deployment, p.lb)) {
		return nil
	}

	if err == nil && deployment.DeletionTimestamp.IsZero() {
		err = r.Client.Delete(ctx, deployment, client.PropagationPolicy(metav1.DeletePropagationForeground),
			client.Preconditions{UID: &deployment.UID})
	}

	if client.IgnoreNotFound(err) != nil {
		return failedBy(err, v1alpha1.ConditionWorkloadAvailable, v1alpha1.ReasonDeleting, "The Deployment could not be deleted; this is tried again")
	}

	left := gracePeriod(deployment) + drainMargin - time.Since(p.lb.DeletionTimestamp.Time)
	if left <= 0 {
		return nil
	}

	waiting := waitingFor(v1alpha1.ConditionWorkloadAvailable, v1alpha1.ReasonDeleting, "Waiting for the Pods to end")
	waiting.retryAfter = left // nothing tells when a Pod that is stuck is given up

	return waiting
}

// gracePeriod is how long the Pods of a Deployment may take to end.
func gracePeriod(deployment *appsv1.Deployment) time.Duration {
	if seconds := deployment.Spec.Template.Spec.TerminationGracePeriodSeconds; seconds != nil {
		return time.Duration(*seconds) * time.Second
	}
	return corev1.DefaultTerminationGracePeriodSeconds * time.Second
}

// servesFor says whether the Deployment is the Leaderboard's. Where that is deleted with
// --cascade=orphan it may have no owner any more; its Pods would go on without logins.
func servesFor(deployment *appsv1.Deployment, lb *v1alpha1.Leaderboard) bool {
	labels := deployment.Labels
	return metav1.IsControlledBy(deployment, lb) ||
		metav1.GetControllerOf(deployment) == nil && labels[workload.LabelManagedBy] == workload.ManagedBy && labels[workload.LabelInstance] == lb.Name
}

// reachForDeletion connects to the stores that hold the data. Where that cannot
// be done, the condition says how to go on.
func (r *LeaderboardReconciler) reachForDeletion(ctx context.Context, p *pass) error {
	class, err := r.findClass(ctx, p.lb)
	if err != nil {
		var step *stepError
		if errors.As(err, &step) && step.reason == v1alpha1.ReasonClassNotFound {
			return stalledBy("", v1alpha1.ReasonClassNotFound, "The LeaderboardClass %s, whose stores hold this game's data, is gone: %s", p.lb.Status.ClassName, wayOut)
		}
		return err
	}

	p.class = class
	err = r.connect(ctx, p)
	if err == nil {
		_, err = r.locate(ctx, p, p.lb.Status.Placement)
	}
	return withWayOut(err)
}

package controllers

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// +kubebuilder:rbac:groups=games.leaderboard.dev,resources=leaderboards,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=games.leaderboard.dev,resources=leaderboards/status,verbs=patch
// +kubebuilder:rbac:groups=games.leaderboard.dev,resources=leaderboards/finalizers,verbs=update
// +kubebuilder:rbac:groups=games.leaderboard.dev,resources=leaderboardclasses,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=configmaps;services;serviceaccounts,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// LeaderboardReconciler makes what Leaderboards ask for.
type LeaderboardReconciler struct {
	// Client reads from the manager's cache and writes.
	Client client.Client
	// Live reads past the cache: Secrets of games, which the operator may get
	// by name and not list, and what must not be stale.
	Live client.Reader
	// Stores holds the connections to the stores of the classes.
	Stores *Stores
	// Recorder records events on transitions.
	Recorder events.EventRecorder
	// Metrics may be nil.
	Metrics *Metrics
	// ControllerName is the controllerName of the classes that are served.
	ControllerName string
	// ClusterID tells clusters apart that share stores; part of the ids of new tenants.
	ClusterID string
	// Resync is the period after which everything is looked at again.
	Resync time.Duration
	// Retirement is for how long old logins work. Zero: until there is no session of them.
	Retirement Retirement
	// SecretOverlap is for how long a secret of a service account is accepted, and messages are
	// signed with that of a webhook, that another one has taken the place of.
	SecretOverlap time.Duration

	applier *applier
	hosts   *hosts
	// clusterKeys are those of tokens of ServiceAccounts.
	clusterKeys *clusterKeys
	// verified: the stores hold what the spec needs. kept: they hold what is served,
	// whether or not the spec is admitted. bounded: no login may open more connections
	// than the class allows. oldLoginDisabled: they hold no other login
	// that works.
	verified, kept, bounded, oldLoginDisabled *freshness
	// seasonsEnded and webhooksResent: what the annotation asked for is done.
	seasonsEnded, webhooksResent *freshness
	// resting: what the stores held when they were right.
	resting *resting
	// shares, namespaces and migrations bound how many passes run of one class, how many
	// of those of one namespace, and how many of them migrate.
	shares, namespaces, migrations *shares
	pace                           *pace
}

// errOtherController: the class is another operator's, which this one leaves alone.
var errOtherController = errors.New("the class is served by another controller")

// Reconcile implements [reconcile.Reconciler].
func (r *LeaderboardReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	base := &v1alpha1.Leaderboard{}
	if err := r.Client.Get(ctx, request.NamespacedName, base); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}

	p := newPass(base, r.ClusterID)
	defer p.close()

	class, err := r.findClass(ctx, p.lb)
	if err == nil && !r.serves(class) {
		return ctrl.Result{}, nil
	}
	if err == nil {
		share := class.Name + "/" + base.Namespace
		if !r.namespaces.take(share) {
			return ctrl.Result{RequeueAfter: jitter(shareRetry)}, nil
		}
		defer r.namespaces.giveBack(share)
		if !r.shares.take(class.Name) {
			return ctrl.Result{RequeueAfter: jitter(shareRetry)}, nil
		}
		defer r.shares.giveBack(class.Name)
	}
	if delay := r.pace.delay(base.UID, time.Now()); delay > 0 {
		return ctrl.Result{RequeueAfter: delay}, nil
	}
	if !p.lb.DeletionTimestamp.IsZero() {
		return r.finalize(ctx, p)
	}

	return r.finish(ctx, p, r.run(ctx, p))
}

// forget makes a pass compare everything of a Leaderboard with what it should be.
func (r *LeaderboardReconciler) forget(uid types.UID) {
	r.applier.forget(uid)
	r.resting.drop(uid)
	for _, known := range []*freshness{r.verified, r.kept, r.bounded, r.oldLoginDisabled} {
		known.drop(uid)
	}
}

// run takes the steps in order and stops at the first that cannot be done.
func (r *LeaderboardReconciler) run(ctx context.Context, p *pass) error {
	if err := r.ensureFinalizer(ctx, p); err != nil {
		return err
	}

	if p.lb.Annotations[v1alpha1.ReconcileAnnotation] != p.lb.Status.LastHandledReconcile {
		r.forget(p.lb.UID)
	}

	start := time.Now()
	r.keep(ctx, p)
	r.Metrics.step("keep", start, errors.Join(p.keptPostgres.err, p.keptRedis.err))
	if p.lb.Spec.Suspend {
		return r.suspend(ctx, p)
	}

	for _, step := range r.steps() {
		start := time.Now()
		err := step.do(ctx, p)
		r.Metrics.step(step.name, start, err)
		if err != nil && p.later != nil {
			p.conditions().fail(err)
			return p.later
		}
		if err != nil {
			return err
		}
	}

	if p.later == nil {
		return p.unserved
	}
	return p.later
}

type step struct {
	name string
	do   func(context.Context, *pass) error
}

// steps of a pass, in order. Each relies on those before it; each can be run
// again after the operator was ended anywhere. Their names are values of a metric's
// label: they are public, and change as an API does.
func (r *LeaderboardReconciler) steps() []step {
	return []step{
		{"init-conditions", r.initConditions},
		{"class", r.resolveClass},
		{"connect", r.connect},
		{"placement", r.ensurePlacement},
		{"defaults", r.fillDefaults},
		{"check-freshness", r.checkFreshness},
		{"schema", r.ensureSchema},
		{"credentials", r.ensureCredentials},
		{"login", r.ensureLogin},
		{"migrations", r.ensureMigrations},
		{"keyspace", r.ensureKeyspace},
		{"rotate", r.rotate},
		{"mark-verified", r.markVerified},
		{"signing-keys", r.ensureSigningKeys},
		{"service-accounts", r.ensureAccounts},
		{"webhooks", r.ensureWebhooks},
		{"workload", r.applyWorkload},
		{"retire-login", r.retireLogin},
		{"end-season", r.endSeason},
		{"seasons", r.readSeasons},
		{"refolds", r.readRefolds},
		{"resend-webhooks", r.resendWebhooks},
		{"webhook-messages", r.readWebhooks},
		{"check-rollout", r.checkRollout},
		{"lower-connections", r.lowerConnections},
	}
}

// ensureFinalizer comes before anything outside the cluster is made.
func (r *LeaderboardReconciler) ensureFinalizer(ctx context.Context, p *pass) error {
	if controllerutil.ContainsFinalizer(p.lb, v1alpha1.LeaderboardFinalizer) {
		return nil
	}

	patched := p.base.DeepCopy()
	controllerutil.AddFinalizer(patched, v1alpha1.LeaderboardFinalizer)
	if err := r.Client.Patch(ctx, patched, client.MergeFromWithOptions(p.base, client.MergeFromWithOptimisticLock{}), fieldOwner); err != nil {
		return failedBy(err, "", v1alpha1.ReasonProgressing, "The finalizer could not be set; this is tried again")
	}

	p.base, p.lb = patched.DeepCopy(), patched
	return nil
}

// initConditions gives a new Leaderboard its conditions at once.
func (r *LeaderboardReconciler) initConditions(ctx context.Context, p *pass) error {
	p.lb.Status.Boards = int32(len(p.lb.Spec.Boards)) + 1 // and the board global
	if !p.conditions().initialize() {
		return nil
	}
	return r.writeStatus(ctx, p)
}

// suspend changes nothing but the status, and goes on watching the Pods.
func (r *LeaderboardReconciler) suspend(ctx context.Context, p *pass) error {
	p.conditions().initialize()
	failure := &stepError{reason: v1alpha1.ReasonSuspended,
		message: "The operator changes nothing while spec.suspend is true; what runs goes on running, and its logins are kept. Set it to false to go on"}
	if err := r.checkRollout(ctx, p); err != nil {
		rollout := asStepError(err, v1alpha1.ReasonWorkloadUnavailable)
		p.conditions().set(v1alpha1.ConditionWorkloadAvailable, metav1.ConditionFalse, rollout.reason, rollout.message)
	}

	return failure
}

// finish turns the result of a pass into conditions, writes the status and says
// when to come back.
func (r *LeaderboardReconciler) finish(ctx context.Context, p *pass, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return retryConflict(err) // nothing to tell: the next pass sees what is there now
	}

	if errors.Is(err, errMigrationTurn) {
		return ctrl.Result{RequeueAfter: jitter(migrationRetry)}, nil
	}

	var failure *stepError
	if err != nil {
		failure = asStepError(err, v1alpha1.ReasonProgressing)
	}

	p.conditions().conclude(failure)
	p.lb.Status.ObservedGeneration = p.lb.Generation
	p.lb.Status.LastHandledReconcile = p.lb.Annotations[v1alpha1.ReconcileAnnotation]
	previous := meta.FindStatusCondition(p.base.Status.Conditions, v1alpha1.ConditionReady).DeepCopy()
	if writeErr := r.writeStatus(ctx, p); writeErr != nil {
		return retryConflict(errors.Join(err, writeErr))
	}

	r.recordTransition(p.lb, previous)
	if failure != nil && failure.cause != nil {
		return retryConflict(failure)
	}

	if failure != nil {
		log.FromContext(ctx).V(1).Info("Not ready", "reason", failure.reason, "message", failure.message)
	}

	if failure != nil && failure.retryAfter > 0 {
		return ctrl.Result{RequeueAfter: min(failure.retryAfter, r.Resync)}, nil
	}

	again := r.Resync
	if p.retiring {
		again = min(again, retirementLook)
	}
	if p.seasonsNext > 0 {
		again = min(again, p.seasonsNext)
	}
	if p.refoldsNext > 0 {
		again = min(again, p.refoldsNext)
	}
	return ctrl.Result{RequeueAfter: jitter(again)}, nil
}

// retryConflict comes back soon when the cache was behind, which is nothing to
// report; every other error is retried with backoff.
func retryConflict(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: firstRetry}, nil
	}
	return ctrl.Result{}, err
}

// jitter spreads passes that began together: 90 to 110 percent of the period.
func jitter(period time.Duration) time.Duration {
	return period - period/10 + rand.N(period/5+1)
}

// statusTimeout bounds the write of a status, which also has to succeed when
// the pass itself has used up its time.
const statusTimeout = 10 * time.Second

// writeStatus patches the status if it changed since it was read or written.
func (r *LeaderboardReconciler) writeStatus(ctx context.Context, p *pass) error {
	if equality.Semantic.DeepEqual(p.base.Status, p.lb.Status) {
		return nil
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusTimeout)
	defer cancel()

	patched := p.lb.DeepCopy()
	err := r.Client.Status().Patch(ctx, patched, client.MergeFromWithOptions(p.base, client.MergeFromWithOptimisticLock{}), fieldOwner)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return failedBy(err, "", v1alpha1.ReasonProgressing, "The status could not be written; this is tried again")
	}

	p.lb, p.base = patched, patched.DeepCopy()
	return nil
}

// recordTransition records an event when Ready has changed.
func (r *LeaderboardReconciler) recordTransition(lb *v1alpha1.Leaderboard, previous *metav1.Condition) {
	ready := meta.FindStatusCondition(lb.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || (previous != nil && previous.Status == ready.Status && previous.Reason == ready.Reason) {
		return
	}
	if ready.Status == metav1.ConditionTrue {
		r.Metrics.becameReady(previous)
		r.Recorder.Eventf(lb, nil, corev1.EventTypeNormal, ready.Reason, "Reconcile", "%s: %s", ready.Message, lb.Status.Endpoint)
		return
	}

	kind := corev1.EventTypeWarning
	switch ready.Reason {
	case v1alpha1.ReasonProgressing, v1alpha1.ReasonSuspended, v1alpha1.ReasonDeleting, v1alpha1.ReasonPending:
		kind = corev1.EventTypeNormal
	}

	r.Recorder.Eventf(lb, nil, kind, ready.Reason, "Reconcile", "%s", ready.Message)
}

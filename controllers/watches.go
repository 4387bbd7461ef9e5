package controllers

import (
	"context"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// Retries of a failed pass wait from 200 ms, doubling, to 30 s: a store that is
// back is noticed by then at the latest, and mostly by its class's check before.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 30 * time.Second

	// shareRetry is how soon a pass comes back whose class has its share of the workers,
	// and migrationRetry one that waits for others of its class to migrate.
	shareRetry     = 200 * time.Millisecond
	migrationRetry = 2 * time.Second
)

func rateLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)
}

// desiredStateChanged admits updates that change the desired state, and not the
// operator's own writes to the status.
func desiredStateChanged() predicate.Predicate {
	return predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, finalizersChanged())
}

func finalizersChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !equality.Semantic.DeepEqual(e.ObjectOld.GetFinalizers(), e.ObjectNew.GetFinalizers()) ||
			!equality.Semantic.DeepEqual(e.ObjectOld.GetDeletionTimestamp(), e.ObjectNew.GetDeletionTimestamp())
	}}
}

// notStatusOnly admits changes of objects whose status somebody else writes often.
func notStatusOnly() builder.Predicates {
	return builder.WithPredicates(predicate.Or[client.Object](
		predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{}))
}

// autoscalerChanged admits changes of an autoscaler's spec. Before Kubernetes 1.37 its
// generation does not change with it.
func autoscalerChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*autoscalingv2.HorizontalPodAutoscaler)
		after, alsoOK := e.ObjectNew.(*autoscalingv2.HorizontalPodAutoscaler)
		return ok && alsoOK && !equality.Semantic.DeepEqual(before.Spec, after.Spec)
	}}
}

// SetupWithManager adds the reconciler to the manager, with its watches.
func (r *LeaderboardReconciler) SetupWithManager(manager ctrl.Manager, concurrency int) error {
	if err := r.prepare(concurrency); err != nil {
		return err
	}
	err := manager.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Leaderboard{}, classNameIndex,
		func(object client.Object) []string { return []string{classNameOf(object.(*v1alpha1.Leaderboard))} })
	if err != nil {
		return err
	}

	return ctrl.NewControllerManagedBy(manager).
		For(&v1alpha1.Leaderboard{}, builder.WithPredicates(desiredStateChanged())).
		Owns(&appsv1.Deployment{}).
		Owns(&corev1.Service{}).
		Owns(&corev1.ConfigMap{}).
		Owns(&corev1.ServiceAccount{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Owns(&networkingv1.Ingress{}, notStatusOnly()).
		Owns(&policyv1.PodDisruptionBudget{}, notStatusOnly()).
		Owns(&autoscalingv2.HorizontalPodAutoscaler{}, builder.WithPredicates(predicate.Or[client.Object](autoscalerChanged(),
			predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{}))).
		Watches(&v1alpha1.LeaderboardClass{}, handler.EnqueueRequestsFromMapFunc(r.ofClass), builder.WithPredicates(classChanged())).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.ofNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.ofSecret)).
		WatchesRawSource(source.Channel(r.Stores.lost, handler.EnqueueRequestsFromMapFunc(r.ofLostStore))).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency, RateLimiter: rateLimiter()}).
		Complete(r)
}

// prepare makes what the reconciler keeps between passes.
func (r *LeaderboardReconciler) prepare(concurrency int) (err error) {
	r.applier = newApplier(r.Client, r.Live)
	r.hosts = newHosts()
	r.forgetStores()
	r.shares = newShares(concurrency)
	r.namespaces = newShares(r.shares.most)
	r.migrations = newShares(r.shares.most) // so half of a class's passes go on next to migrations
	r.pace, err = newPace()
	return err
}

// forgetStores has the next pass over each Leaderboard look at all that the stores hold.
func (r *LeaderboardReconciler) forgetStores() {
	r.verified, r.kept = newFreshness(time.Now), newFreshness(time.Now)
	r.bounded, r.oldLoginDisabled = newFreshness(time.Now), newFreshness(time.Now)
	r.seasonsEnded = newFreshness(time.Now)
	r.webhooksResent = newFreshness(time.Now)
	r.resting = newResting()
}

// classChanged admits what matters to the Leaderboards of a class: its spec,
// its annotations (the default), its deletion, and what its conditions say.
func classChanged() predicate.Predicate {
	return predicate.Or(desiredStateChanged(), predicate.Predicate(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.LeaderboardClass)
		after, alsoOK := e.ObjectNew.(*v1alpha1.LeaderboardClass)
		return ok && alsoOK && !equality.Semantic.DeepEqual(before.Status.Conditions, after.Status.Conditions)
	}}))
}

// ofClass finds the Leaderboards that a class concerns: its own, and those that
// wait for a default.
func (r *LeaderboardReconciler) ofClass(ctx context.Context, class client.Object) []reconcile.Request {
	requests := r.requests(ctx, client.MatchingFields{classNameIndex: class.GetName()})
	return append(requests, r.requests(ctx, client.MatchingFields{classNameIndex: ""})...)
}

func (r *LeaderboardReconciler) ofNamespace(ctx context.Context, namespace client.Object) []reconcile.Request {
	return r.requests(ctx, client.InNamespace(namespace.GetName()))
}

// ofSecret finds the Leaderboards of the classes that refer to a Secret of the operator's
// namespace: authorities and client certificates are served to games.
func (r *LeaderboardReconciler) ofSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, class := range classesThat(ctx, r.Client, refersTo(secret, r.Stores.namespace)) {
		requests = append(requests, r.requests(ctx, client.MatchingFields{classNameIndex: class.Name})...)
	}
	return requests
}

// ofLostStore finds the Leaderboards of a class whose Redis has lost users, and
// has the stores asked again for each.
func (r *LeaderboardReconciler) ofLostStore(ctx context.Context, class client.Object) []reconcile.Request {
	list, err := r.list(ctx, client.MatchingFields{classNameIndex: class.GetName()})
	if err != nil {
		log.FromContext(ctx).Error(err, "List the Leaderboards of a class", "class", class.GetName())
		return nil
	}

	for i := range list {
		r.verified.drop(list[i].UID)
		r.kept.drop(list[i].UID)
		r.resting.drop(list[i].UID)
	}

	return requestsFor(list)
}

func (r *LeaderboardReconciler) requests(ctx context.Context, options ...client.ListOption) []reconcile.Request {
	list, err := r.list(ctx, options...)
	if err != nil {
		log.FromContext(ctx).Error(err, "List Leaderboards") // the resync comes to them
		return nil
	}
	return requestsFor(list)
}

func (r *LeaderboardReconciler) list(ctx context.Context, options ...client.ListOption) ([]v1alpha1.Leaderboard, error) {
	list := &v1alpha1.LeaderboardList{}
	if err := r.Client.List(ctx, list, options...); err != nil {
		return nil, err
	}
	return list.Items, nil
}

func requestsFor(list []v1alpha1.Leaderboard) []reconcile.Request {
	requests := make([]reconcile.Request, 0, len(list))
	for i := range list {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list[i])})
	}
	return requests
}

// SetupWithManager adds the reconciler to the manager, with its watches. The
// index of Leaderboards by class is the other reconciler's.
func (r *LeaderboardClassReconciler) SetupWithManager(manager ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(manager).
		For(&v1alpha1.LeaderboardClass{}, builder.WithPredicates(desiredStateChanged())).
		// Another class becoming the default, or no longer being it, concerns all.
		Watches(&v1alpha1.LeaderboardClass{}, handler.EnqueueRequestsFromMapFunc(r.otherDefaults), builder.WithPredicates(predicate.AnnotationChangedPredicate{})).
		Watches(&v1alpha1.Leaderboard{}, handler.EnqueueRequestsFromMapFunc(classOf), builder.WithPredicates(userChanged())).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.ofSecret)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2, RateLimiter: rateLimiter()}).
		Complete(r)
}

// userChanged admits what changes which Leaderboards use a class.
func userChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.Leaderboard)
		after, alsoOK := e.ObjectNew.(*v1alpha1.Leaderboard)
		return ok && alsoOK && before.Status.ClassName != after.Status.ClassName
	}}
}

func classOf(_ context.Context, object client.Object) []reconcile.Request {
	lb, ok := object.(*v1alpha1.Leaderboard)
	if !ok || lb.Status.ClassName == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: client.ObjectKey{Name: lb.Status.ClassName}}}
}

// otherDefaults finds the classes that are marked as the default.
func (r *LeaderboardClassReconciler) otherDefaults(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.requests(ctx, isDefaultClass)
}

// ofSecret finds the classes that refer to a Secret of the operator's namespace.
func (r *LeaderboardClassReconciler) ofSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	return r.requests(ctx, refersTo(secret, r.Namespace))
}

func (r *LeaderboardClassReconciler) requests(ctx context.Context, matches func(*v1alpha1.LeaderboardClass) bool) []reconcile.Request {
	var requests []reconcile.Request
	for _, class := range classesThat(ctx, r.Client, matches) {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Name: class.Name}})
	}
	return requests
}

// classesThat lists the classes that match; none where they cannot be listed, as the resync comes
// to them.
func classesThat(ctx context.Context, reader client.Reader, matches func(*v1alpha1.LeaderboardClass) bool) []v1alpha1.LeaderboardClass {
	list := &v1alpha1.LeaderboardClassList{}
	if err := reader.List(ctx, list); err != nil {
		log.FromContext(ctx).Error(err, "List the classes")
		return nil
	}
	return slices.DeleteFunc(list.Items, func(class v1alpha1.LeaderboardClass) bool { return !matches(&class) })
}

// refersTo matches the classes that refer to a Secret; none if it is not of the operator's
// namespace.
func refersTo(secret client.Object, namespace string) func(*v1alpha1.LeaderboardClass) bool {
	return func(class *v1alpha1.LeaderboardClass) bool {
		return secret.GetNamespace() == namespace && slices.Contains(secretNames(class), secret.GetName())
	}
}

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// +kubebuilder:rbac:groups=games.leaderboard.dev,resources=leaderboardclasses,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=games.leaderboard.dev,resources=leaderboardclasses/status,verbs=patch
// +kubebuilder:rbac:groups=games.leaderboard.dev,resources=leaderboards,verbs=get;list;watch

// LeaderboardClassReconciler says whether classes can be used, and keeps a
// class while Leaderboards use it.
type LeaderboardClassReconciler struct {
	// Client reads from the manager's cache and writes.
	Client client.Client
	// Live reads past the cache.
	Live client.Reader
	// Stores holds the connections to the stores of the classes.
	Stores *Stores
	// Recorder records events on transitions.
	Recorder events.EventRecorder
	// ControllerName is the controllerName of the classes that are served.
	ControllerName string
	// Namespace is the operator's, where the admin Secrets are.
	Namespace string
	// Watched are the namespaces of the games.
	Watched watched
	// Resync is the period after which the stores are asked again.
	Resync time.Duration
}

// Reconcile implements [reconcile.Reconciler].
func (r *LeaderboardClassReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	base := &v1alpha1.LeaderboardClass{}
	if err := r.Client.Get(ctx, request.NamespacedName, base); err != nil {
		if apierrors.IsNotFound(err) {
			r.Stores.Forget(request.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if base.Spec.ControllerName != r.ControllerName {
		return ctrl.Result{}, nil
	}

	class := base.DeepCopy()
	if ours, err := r.claim(ctx, class); err != nil {
		return retryConflict(err)
	} else if !ours {
		return ctrl.Result{RequeueAfter: jitter(r.Resync)}, nil
	}

	base = class.DeepCopy()
	users, err := r.users(ctx, class)
	if err != nil {
		return ctrl.Result{}, err
	}

	class.Status.Leaderboards = int32(len(users))
	gone, err := r.keepWhileUsed(ctx, class, len(users) > 0)
	if err != nil {
		return retryConflict(err)
	}
	if gone {
		r.Stores.Forget(class.Name)
		return ctrl.Result{}, nil
	}

	base.ResourceVersion = class.ResourceVersion // the finalizer may have been written
	r.judge(ctx, class, users)
	class.Status.ObservedGeneration = class.Generation
	if err := r.writeStatus(ctx, base, class); err != nil {
		return retryConflict(err)
	}

	return ctrl.Result{RequeueAfter: jitter(r.Resync)}, nil
}

// users lists the Leaderboards that have their data in the class. One that only names it
// keeps nobody from deleting it.
func (r *LeaderboardClassReconciler) users(ctx context.Context, class *v1alpha1.LeaderboardClass) ([]v1alpha1.Leaderboard, error) {
	list := &v1alpha1.LeaderboardList{}
	if err := r.Client.List(ctx, list, client.MatchingFields{classNameIndex: class.Name}); err != nil {
		return nil, fmt.Errorf("list the Leaderboards of the class: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(lb v1alpha1.Leaderboard) bool { return lb.Status.ClassName != class.Name }), nil
}

// keepWhileUsed sets the finalizer while the class is used and removes it when
// it is not, and reports whether that let a class go that is being deleted.
func (r *LeaderboardClassReconciler) keepWhileUsed(ctx context.Context, class *v1alpha1.LeaderboardClass, used bool) (gone bool, err error) {
	base := class.DeepCopy()
	deleting := !class.DeletionTimestamp.IsZero()
	switch held := controllerutil.ContainsFinalizer(class, v1alpha1.ClassFinalizer); {
	case used && !held && !deleting:
		controllerutil.AddFinalizer(class, v1alpha1.ClassFinalizer)
	case !used && held:
		// The cache may lag behind a Leaderboard that has just recorded the class.
		if used, err = r.usedByNow(ctx, class.Name); err != nil || used {
			return false, err
		}
		controllerutil.RemoveFinalizer(class, v1alpha1.ClassFinalizer)
	default:
		return false, nil
	}

	status := class.Status.DeepCopy()
	err = r.Client.Patch(ctx, class, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}), fieldOwner)
	class.Status = *status
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("patch the finalizer: %w", err)
	}

	return deleting && !controllerutil.ContainsFinalizer(class, v1alpha1.ClassFinalizer), nil
}

// usedByNow asks the API server, not the cache.
func (r *LeaderboardClassReconciler) usedByNow(ctx context.Context, name string) (bool, error) {
	all, err := r.Watched.leaderboards(ctx, r.Live)
	if err != nil {
		return false, fmt.Errorf("list the Leaderboards: %w", err)
	}
	return slices.ContainsFunc(all, func(lb v1alpha1.Leaderboard) bool { return lb.Status.ClassName == name }), nil
}

// judge sets the conditions.
func (r *LeaderboardClassReconciler) judge(ctx context.Context, class *v1alpha1.LeaderboardClass, users []v1alpha1.Leaderboard) {
	r.judgeStores(ctx, class, users)
	r.judgeIngress(ctx, class)
	c := conditions{list: &class.Status.Conditions, generation: class.Generation}
	c.concludeClass(hasIngresses(class, users))
}

// judgeStores sets Accepted and Reachable.
func (r *LeaderboardClassReconciler) judgeStores(ctx context.Context, class *v1alpha1.LeaderboardClass, users []v1alpha1.Leaderboard) {
	c := conditions{list: &class.Status.Conditions, generation: class.Generation}
	if accepted := r.accept(ctx, class, users); accepted != nil {
		c.set(v1alpha1.ConditionAccepted, metav1.ConditionFalse, accepted.reason, accepted.message)
		if accepted.reason != v1alpha1.ReasonMultipleDefaults && accepted.reason != v1alpha1.ReasonInUse {
			c.set(v1alpha1.ConditionReachable, metav1.ConditionUnknown, accepted.reason, "The stores were not asked: "+accepted.message)
			return
		}
	} else {
		c.set(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "The class can be used")
	}

	stock, err := r.Stores.Check(ctx, class)
	if err != nil {
		step := asStepError(err, v1alpha1.ReasonProvisioningFailed)
		c.set(v1alpha1.ConditionReachable, metav1.ConditionFalse, step.reason, step.message)
		return
	}

	class.Status.PostgresVersion, class.Status.RedisVersion = stock.Postgres.Version, stock.RedisVersion
	class.Status.PostgresConnections = int32(stock.Postgres.Connections)
	class.Status.ReachedGeneration = class.Generation
	class.Status.Placement, class.Status.RedisAddress = &stock.Placement, redisAddress(class.Spec.Redis)
	message := "Postgres and Redis answered and grant the rights that are needed"
	if len(stock.LeftOpen) > 0 {
		message += ". Every role can still use what the administrator could not take from PUBLIC: " + strings.Join(stock.LeftOpen, "; ")
	}

	if len(stock.Postgres.Lossy) > 0 {
		message += ". A crash of Postgres may lose scores that were acknowledged: " + strings.Join(stock.Postgres.Lossy, ", ")
	}
	if open := openConnections(class, users); class.Spec.Postgres.PoolerHost == "" && open > class.Status.PostgresConnections {
		message += fmt.Sprintf(". The games may open %d connections, and Postgres accepts %d: raise max_connections, or lower limits.postgresConnections", open, class.Status.PostgresConnections)
	}

	c.set(v1alpha1.ConditionReachable, metav1.ConditionTrue, v1alpha1.ReasonReachable, message)
	if err := r.inventory(ctx, class); err != nil {
		log.FromContext(ctx).V(1).Info("The stores could not be listed", "class", class.Name, "error", err.Error()) // the next check does
	}
}

// openConnections is how many Postgres connections the games of the class may open
// together.
func openConnections(class *v1alpha1.LeaderboardClass, users []v1alpha1.Leaderboard) (sum int32) {
	for i := range users {
		sum += workload.Connections(&users[i], class)
	}
	return sum
}

// accept returns why the class cannot be used, if it cannot.
func (r *LeaderboardClassReconciler) accept(ctx context.Context, class *v1alpha1.LeaderboardClass, users []v1alpha1.Leaderboard) *stepError {
	if !class.DeletionTimestamp.IsZero() {
		return stalledBy("", v1alpha1.ReasonInUse,
			"The class goes once the Leaderboards that use it have been deleted: %s", namesOfUsers(users))
	}
	if _, err := r.Stores.adminSecrets(ctx, class); err != nil {
		return asStepError(err, v1alpha1.ReasonSecretInvalid)
	}
	if !isDefaultClass(class) {
		return nil
	}

	defaults, err := defaultClasses(ctx, r.Client, r.ControllerName)
	if err != nil {
		return asStepError(err, v1alpha1.ReasonMultipleDefaults)
	}
	if len(defaults) > 1 {
		return stalledBy("", v1alpha1.ReasonMultipleDefaults,
			"More than one class is the default (%s): keep the annotation %s on one of them. Until then, Leaderboards that name no class wait",
			strings.Join(namesOf(defaults), ", "), v1alpha1.DefaultClassAnnotation)
	}

	return nil
}

// namesOfUsers names some of them.
func namesOfUsers(users []v1alpha1.Leaderboard) string {
	const most = 5
	names := make([]string, 0, most)
	for i := range users {
		if i == most {
			return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), len(users)-most)
		}
		names = append(names, users[i].Namespace+"/"+users[i].Name)
	}

	return strings.Join(names, ", ")
}

// writeStatus patches the status if it changed, and records an event for each
// condition that changed.
func (r *LeaderboardClassReconciler) writeStatus(ctx context.Context, base, class *v1alpha1.LeaderboardClass) error {
	if equality.Semantic.DeepEqual(base.Status, class.Status) {
		return nil
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusTimeout)
	defer cancel()

	base = base.DeepCopy()
	base.Finalizers = class.Finalizers
	patched := class.DeepCopy()
	err := r.Client.Status().Patch(ctx, patched, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}), fieldOwner)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the status: %w", err)
	}

	for _, conditionType := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionReachable, v1alpha1.ConditionIngressServed} {
		was := meta.FindStatusCondition(base.Status.Conditions, conditionType)
		is := meta.FindStatusCondition(class.Status.Conditions, conditionType)
		if is == nil || (was != nil && was.Status == is.Status && was.Reason == is.Reason) {
			continue
		}

		kind := corev1.EventTypeNormal
		if is.Status == metav1.ConditionFalse {
			kind = corev1.EventTypeWarning
		}

		r.Recorder.Eventf(class, nil, kind, is.Reason, "Reconcile", "%s", is.Message)
	}

	return nil
}

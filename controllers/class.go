package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// classNameIndex finds the Leaderboards of a class: by the class whose stores
// hold their data, else by the class they name, else by "", which are those
// that wait for a default.
const classNameIndex = "className"

func classNameOf(lb *v1alpha1.Leaderboard) string {
	if lb.Status.ClassName != "" {
		return lb.Status.ClassName
	}
	if lb.Spec.ClassName != nil {
		return *lb.Spec.ClassName
	}
	return ""
}

// resolveClass finds the class, checks that it serves this Leaderboard, and
// records it in the status and on the class before anything is made in its
// stores: deletion has to find what creation used.
func (r *LeaderboardReconciler) resolveClass(ctx context.Context, p *pass) error {
	class, err := r.findClass(ctx, p.lb)
	if err != nil {
		return err
	}
	if !r.serves(class) {
		return errOtherController
	}
	if err := r.admit(ctx, p.lb, class); err != nil {
		return err
	}
	p.unserved = unserved(p.lb, class)
	if err := r.claimHost(ctx, p.lb, class); err != nil {
		return err
	}

	p.class = class
	if p.lb.Status.ClassName != class.Name {
		if err := r.admitOneMore(ctx, p.lb, class); err != nil {
			return err
		}
		p.lb.Status.ClassName = class.Name
		if err := r.writeStatus(ctx, p); err != nil {
			return err
		}
		if err := r.confirmClass(ctx, class); err != nil {
			return err
		}
	}

	if controllerutil.ContainsFinalizer(class, v1alpha1.ClassFinalizer) {
		return nil
	}

	base := class.DeepCopy()
	controllerutil.AddFinalizer(class, v1alpha1.ClassFinalizer)
	err = r.Client.Patch(ctx, class, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}), fieldOwner)
	if err != nil {
		return failedBy(err, "", v1alpha1.ReasonProgressing, "The LeaderboardClass %s could not be marked as used; this is tried again", class.Name)
	}

	return nil
}

// limitRetry is how soon a Leaderboard comes back that is one too many.
const limitRetry = 30 * time.Second

// admitOneMore checks whether the class has room for another Leaderboard. As many as are
// made at the same moment may go beyond the limit.
func (r *LeaderboardReconciler) admitOneMore(ctx context.Context, lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) error {
	list := &v1alpha1.LeaderboardList{}
	if err := r.Client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return failedBy(err, "", v1alpha1.ReasonLimitExceeded, "The Leaderboards of the class could not be counted; this is tried again")
	}

	var all, here int32
	for i := range list.Items {
		if list.Items[i].Status.ClassName != class.Name || list.Items[i].UID == lb.UID {
			continue
		}
		all++
		if list.Items[i].Namespace == lb.Namespace {
			here++
		}
	}

	exceeded := func(format string, args ...any) error {
		failure := stalledBy("", v1alpha1.ReasonLimitExceeded, format, args...)
		failure.retryAfter = limitRetry
		return failure
	}
	limits := class.Spec.Limits
	if most := limits.MaxLeaderboards; most != nil && all >= *most {
		return exceeded("The LeaderboardClass %s has the %d Leaderboards that it allows: use another class, or ask the platform team to raise limits.maxLeaderboards", class.Name, *most)
	}
	if most := limits.MaxLeaderboardsPerNamespace; most != nil && here >= *most {
		return exceeded("The namespace %s has the %d Leaderboards of the class %s that it allows: delete one, or ask the platform team to raise limits.maxLeaderboardsPerNamespace", lb.Namespace, *most, class.Name)
	}

	return nil
}

// confirmClass looks past the cache whether the class is still there, now that it is
// recorded that it holds the data: from here on it cannot be deleted.
func (r *LeaderboardReconciler) confirmClass(ctx context.Context, class *v1alpha1.LeaderboardClass) error {
	live := &v1alpha1.LeaderboardClass{}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(class), live)
	if apierrors.IsNotFound(err) || err == nil && (live.UID != class.UID || !live.DeletionTimestamp.IsZero()) {
		return stalledBy("", v1alpha1.ReasonClassNotFound, "The LeaderboardClass %s is being deleted: use another class", class.Name)
	}
	if err != nil {
		return failedBy(err, "", v1alpha1.ReasonClassNotReady, "The LeaderboardClass %s could not be read; this is tried again", class.Name)
	}

	return nil
}

// findClass returns a copy of the class that holds, or is to hold, the data.
func (r *LeaderboardReconciler) findClass(ctx context.Context, lb *v1alpha1.Leaderboard) (*v1alpha1.LeaderboardClass, error) {
	name := classNameOf(lb)
	if name == "" {
		return r.findDefaultClass(ctx)
	}

	class := &v1alpha1.LeaderboardClass{}
	err := r.Client.Get(ctx, client.ObjectKey{Name: name}, class)
	if apierrors.IsNotFound(err) {
		return nil, stalledBy("", v1alpha1.ReasonClassNotFound,
			"There is no LeaderboardClass %s: ask the platform team for the names of the classes (kubectl get leaderboardclasses)", name)
	}
	if err != nil {
		return nil, failedBy(err, "", v1alpha1.ReasonClassNotReady, "The LeaderboardClass %s could not be read; this is tried again", name)
	}

	return class, nil
}

func (r *LeaderboardReconciler) findDefaultClass(ctx context.Context) (*v1alpha1.LeaderboardClass, error) {
	defaults, err := defaultClasses(ctx, r.Client, r.ControllerName)
	if err != nil {
		return nil, failedBy(err, "", v1alpha1.ReasonClassNotReady, "The LeaderboardClasses could not be listed; this is tried again")
	}

	switch len(defaults) {
	case 0:
		return nil, stalledBy("", v1alpha1.ReasonClassNotFound,
			"No LeaderboardClass is the default: set spec.className (kubectl get leaderboardclasses lists the names), or ask the platform team to set the annotation %s=true on one",
			v1alpha1.DefaultClassAnnotation)
	case 1:
		return &defaults[0], nil
	default:
		return nil, stalledBy("", v1alpha1.ReasonClassNotFound,
			"More than one LeaderboardClass is the default (%s): ask the platform team to keep the annotation %s on one of them",
			strings.Join(namesOf(defaults), ", "), v1alpha1.DefaultClassAnnotation)
	}
}

// defaultClasses lists this operator's classes that are marked as the default.
func defaultClasses(ctx context.Context, reader client.Reader, controllerName string) ([]v1alpha1.LeaderboardClass, error) {
	all := &v1alpha1.LeaderboardClassList{}
	if err := reader.List(ctx, all); err != nil {
		return nil, fmt.Errorf("list the classes: %w", err)
	}
	return slices.DeleteFunc(all.Items, func(class v1alpha1.LeaderboardClass) bool {
		return !isDefaultClass(&class) || class.Spec.ControllerName != controllerName || !class.DeletionTimestamp.IsZero()
	}), nil
}

func isDefaultClass(class *v1alpha1.LeaderboardClass) bool {
	return class.Annotations[v1alpha1.DefaultClassAnnotation] == "true"
}

func namesOf(classes []v1alpha1.LeaderboardClass) []string {
	names := make([]string, 0, len(classes))
	for i := range classes {
		names = append(names, classes[i].Name)
	}
	slices.Sort(names)
	return names
}

// admit checks whether the class serves the Leaderboard as it is.
func (r *LeaderboardReconciler) admit(ctx context.Context, lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) error {
	if !class.DeletionTimestamp.IsZero() && lb.Status.ClassName == "" {
		return stalledBy("", v1alpha1.ReasonClassNotReady, "The LeaderboardClass %s is being deleted: use another class", class.Name)
	}
	if err := r.admitNamespace(ctx, lb.Namespace, class); err != nil {
		return err
	}
	if err := admitSpec(lb, class); err != nil {
		return err
	}

	accepted := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionAccepted)
	switch {
	case accepted == nil || accepted.Status == metav1.ConditionUnknown:
		return waitingFor("", v1alpha1.ReasonClassNotReady, "Waiting for the operator to check the LeaderboardClass %s", class.Name)
	case accepted.Status == metav1.ConditionFalse && accepted.Reason != v1alpha1.ReasonMultipleDefaults && accepted.Reason != v1alpha1.ReasonInUse:
		return stalledBy("", v1alpha1.ReasonClassNotReady,
			"The LeaderboardClass %s is not accepted; the platform team must fix it: %s", class.Name, accepted.Message)
	}

	// An unreachable store is not asked about here: the steps find out sooner
	// than the class's periodic check when it is back.
	reachable := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReachable)
	if reachable != nil && reachable.Status == metav1.ConditionFalse &&
		(reachable.Reason == v1alpha1.ReasonMisconfigured || reachable.Reason == v1alpha1.ReasonInsufficientRights) {
		return stalledBy("", v1alpha1.ReasonClassNotReady,
			"The stores of the LeaderboardClass %s cannot be used; the platform team must fix them: %s", class.Name, reachable.Message)
	}

	return nil
}

func (r *LeaderboardReconciler) admitNamespace(ctx context.Context, name string, class *v1alpha1.LeaderboardClass) error {
	allowed := class.Spec.AllowedNamespaces
	if allowed.From != v1alpha1.NamespacesFromSelector {
		return nil
	}

	selector, err := metav1.LabelSelectorAsSelector(allowed.Selector)
	if err != nil {
		return stalledBy("", v1alpha1.ReasonClassNotReady,
			"spec.allowedNamespaces.selector of the LeaderboardClass %s is not a selector; the platform team must fix it: %v", class.Name, err)
	}

	namespace, err := r.getNamespace(ctx, name)
	if err != nil {
		return failedBy(err, "", v1alpha1.ReasonNamespaceNotAllowed, "The labels of the namespace %s could not be read; this is tried again", name)
	}
	if !selector.Matches(labels.Set(namespace.Labels)) {
		return stalledBy("", v1alpha1.ReasonNamespaceNotAllowed,
			"The LeaderboardClass %s does not admit the namespace %s: use another class, or ask the platform team to give the namespace labels that match %q",
			class.Name, name, selector.String())
	}

	return nil
}

// getNamespace reads the metadata of a namespace.
func (r *LeaderboardReconciler) getNamespace(ctx context.Context, name string) (*metav1.PartialObjectMetadata, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return namespace, r.Client.Get(ctx, client.ObjectKey{Name: name}, namespace)
}

// admitSpec checks the spec against the limits of the class.
func admitSpec(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) error {
	limits := class.Spec.Limits
	exceeded := func(format string, args ...any) error {
		return stalledBy("", v1alpha1.ReasonLimitExceeded, format, args...)
	}

	pods, field := workload.MaxReplicas(lb, class), "spec.replicas"
	if lb.Spec.Autoscaling != nil {
		field = "spec.autoscaling.maxReplicas"
	}

	if pods > limits.MaxReplicas {
		return exceeded("%s is %d, and the LeaderboardClass %s allows %d: lower it, or ask the platform team to raise limits.maxReplicas",
			field, pods, class.Name, limits.MaxReplicas)
	}
	if connections := workload.ConnectionLimit(class); workload.PoolSize(connections, pods) == 0 {
		raise := "limits.postgresConnections"
		if connections < limits.PostgresConnections {
			raise = "max_connections of Postgres, of which a game gets half at the most"
		}
		return exceeded("%s is %d, and the %d Postgres connections that the LeaderboardClass %s allows suffice for %d Pods: lower it, or ask the platform team to raise %s",
			field, pods, connections, class.Name, workload.MaxPods(connections), raise)
	}
	if limits.MaxBoards != nil && len(lb.Spec.Boards) > int(*limits.MaxBoards) {
		return exceeded("spec.boards has %d boards, and the LeaderboardClass %s allows %d: remove some, or ask the platform team to raise limits.maxBoards",
			len(lb.Spec.Boards), class.Name, *limits.MaxBoards)
	}
	if err := workload.CheckBoards(lb); err != nil {
		return stalledBy("", v1alpha1.ReasonInvalidSpec, "spec.boards or spec.global: %v", err)
	}
	if err := workload.CheckIssuers(lb, class); err != nil {
		return stalledBy("", v1alpha1.ReasonInvalidSpec, "%v", err)
	}
	if limits.MaxWebhooks != nil && len(lb.Spec.Webhooks) > int(*limits.MaxWebhooks) {
		return exceeded("spec.webhooks has %d webhooks, and the LeaderboardClass %s allows %d: remove some, or ask the platform team to raise limits.maxWebhooks",
			len(lb.Spec.Webhooks), class.Name, *limits.MaxWebhooks)
	}
	if err := workload.CheckWebhooks(lb, class); err != nil {
		return stalledBy("", v1alpha1.ReasonInvalidSpec, "spec.webhooks: %v", err)
	}
	if err := workload.CheckMappings(lb, class); err != nil {
		return stalledBy("", v1alpha1.ReasonInvalidSpec, "spec.serviceAccounts: %v", err)
	}
	if err := workload.CheckPods(lb, class); err != nil {
		return exceeded("%v", err)
	}
	if lb.Spec.Autoscaling != nil && !workload.RequestsCPU(lb, class) {
		return exceeded("spec.autoscaling scales on the CPU that a Pod requests, and the Pods request none: set spec.resources.requests.cpu")
	}
	if workload.ExposureOf(lb, class) != v1alpha1.ExposureIngress {
		return nil
	}
	if class.Spec.Exposure.Domain == "" {
		return exceeded("spec.exposure.type is Ingress, and the LeaderboardClass %s has no domain for it: set it to Service, or ask the platform team to set exposure.domain", class.Name)
	}
	if err := workload.CheckHost(workload.Host(lb, class)); err != nil {
		return exceeded("%s", sentence(err))
	}

	return nil
}

package controllers

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// Two operators with one controllerName, each in a namespace of its own, would both write
// the games of its classes: their leases are in different namespaces. So the first one to
// come writes its namespace down in the status of the class, with optimistic locking, and
// any other one leaves the class and its games alone until the change is approved. It is
// the same approval that the registry in PostgreSQL asks for.

// serves says whether a class is the operator's: it has its controllerName, and no other
// operator has claimed it.
func serves(operator provision.Operator, class *v1alpha1.LeaderboardClass) bool {
	if class.Spec.ControllerName != operator.ControllerName {
		return false
	}
	has := class.Status.OperatorNamespace
	return has == "" || has == operator.Namespace || slices.Contains(approvals(class), approvalOfOperator(operator, class))
}

func (r *LeaderboardReconciler) serves(class *v1alpha1.LeaderboardClass) bool {
	return serves(r.Stores.operator, class)
}

// approvalOfOperator is the word by which the operator may take the class over.
func approvalOfOperator(operator provision.Operator, class *v1alpha1.LeaderboardClass) string {
	return provision.ApprovalOfOperator(operator.ControllerName, class.Status.OperatorNamespace, operator.Namespace)
}

// claim writes down that this operator serves the class, and reports false if another one
// does: then nothing is written, but an event.
func (r *LeaderboardClassReconciler) claim(ctx context.Context, class *v1alpha1.LeaderboardClass) (ours bool, err error) {
	operator := r.Stores.operator
	has := class.Status.OperatorNamespace
	switch {
	case has == operator.Namespace:
		return true, nil
	case !serves(operator, class):
		message := fmt.Sprintf("The operator in the namespace %s serves this class; that in %s, which has the same controllerName %s, leaves it and its games alone. Remove one of them, or give each a controllerName of its own. %s",
			has, operator.Namespace, operator.ControllerName, howToApprove(class, approvalOfOperator(operator, class)))
		log.FromContext(ctx).Info("Another operator serves the class", "class", class.Name, "namespace", has)
		r.Recorder.Eventf(class, nil, corev1.EventTypeWarning, "OperatorConflict", "Reconcile", "%s", message)
		return false, nil
	}

	base := class.DeepCopy()
	class.Status.OperatorNamespace = operator.Namespace
	err = r.Client.Status().Patch(ctx, class, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}), fieldOwner)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim the class: %w", err)
	}
	return true, nil
}

package controllers

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// transient are the reasons of a class's conditions that may pass by themselves.
var transient = []string{v1alpha1.ReasonPostgresUnreachable, v1alpha1.ReasonRedisUnreachable, v1alpha1.ReasonReadOnly, v1alpha1.ReasonProvisioningFailed}

// concludeClass turns Accepted, Reachable and, where games have Ingresses, IngressServed into
// Ready, Reconciling and Stalled.
func (c conditions) concludeClass(ingress bool) {
	deciding := []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionReachable}
	if ingress {
		deciding = append(deciding, v1alpha1.ConditionIngressServed)
	}
	for _, conditionType := range deciding {
		is := meta.FindStatusCondition(*c.list, conditionType)
		if is == nil || is.Status == metav1.ConditionTrue || conditionType == v1alpha1.ConditionIngressServed && is.Status == metav1.ConditionUnknown {
			continue
		}
		c.conclude(&stepError{reason: is.Reason, message: is.Message, stalled: !slices.Contains(transient, is.Reason)})
		return
	}

	c.remove(v1alpha1.ConditionReconciling)
	c.remove(v1alpha1.ConditionStalled)
	message := meta.FindStatusCondition(*c.list, v1alpha1.ConditionReachable).Message
	c.set(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady, message)
}

// unserved is what the class says of its stores or its Ingresses that leaves the game
// without service, though all can be made for it; nil: nothing.
func unserved(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) error {
	reachable := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReachable)
	if reachable != nil && reachable.Status == metav1.ConditionFalse && reachable.Reason == v1alpha1.ReasonReadOnly {
		return waitingFor("", v1alpha1.ReasonReadOnly, "A store of the LeaderboardClass %s takes no writes: %s", class.Name, reachable.Message)
	}

	ingress := meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionIngressServed)
	if ingress != nil && ingress.Status == metav1.ConditionFalse && workload.ExposureOf(lb, class) == v1alpha1.ExposureIngress {
		return stalledBy("", v1alpha1.ReasonIngressClassNotFound, "Nobody serves the Ingress; the platform team must fix the LeaderboardClass %s: %s", class.Name, ingress.Message)
	}
	return nil
}

package controllers

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// steadyConditions are always there, Unknown until the operator has looked.
var steadyConditions = []string{
	v1alpha1.ConditionReady,
	v1alpha1.ConditionSchemaReady,
	v1alpha1.ConditionKeyspaceReady,
	v1alpha1.ConditionWorkloadAvailable,
}

// conditions writes conditions for one generation of one object.
type conditions struct {
	list       *[]metav1.Condition
	generation int64
}

func (c conditions) set(conditionType string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(c.list, metav1.Condition{
		Type: conditionType, Status: status, Reason: reason, Message: message, ObservedGeneration: c.generation,
	})
}

func (c conditions) isTrue(conditionType string) bool {
	return meta.IsStatusConditionTrue(*c.list, conditionType)
}

// fail makes the condition of a step false, and leaves Ready to conclude.
func (c conditions) fail(err error) {
	if step := asStepError(err, v1alpha1.ReasonProgressing); step.condition != "" {
		c.set(step.condition, metav1.ConditionFalse, step.reason, step.message)
	}
}

// renew makes a condition one of this generation.
func (c conditions) renew(conditionType string) {
	if condition := meta.FindStatusCondition(*c.list, conditionType); condition != nil {
		condition.ObservedGeneration = c.generation
	}
}

func (c conditions) remove(conditionType string) { meta.RemoveStatusCondition(c.list, conditionType) }

// initialize gives every steady condition that is not there yet the status Unknown and
// reports whether any was missing. A Ready from the CRD's default has no generation
// and counts as missing.
func (c conditions) initialize() bool {
	changed := false
	for _, conditionType := range steadyConditions {
		existing := meta.FindStatusCondition(*c.list, conditionType)
		if existing != nil && existing.ObservedGeneration != 0 {
			continue
		}
		c.remove(conditionType) // so that its time is now, not the CRD's default
		c.set(conditionType, metav1.ConditionUnknown, v1alpha1.ReasonPending, "Not yet reconciled")
		changed = true
	}

	if changed {
		c.set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, "Reconciliation has begun")
	}

	return changed
}

// conclude turns the end of a pass into Ready, Reconciling and Stalled, as
// kstatus wants: at most one of the latter two, and neither once Ready is true.
func (c conditions) conclude(failure *stepError) {
	settled := failure == nil || failure.reason == v1alpha1.ReasonSuspended
	// One that stays is not removed first: it would get another transition time, and be
	// written, in every pass.
	if settled || failure.stalled {
		c.remove(v1alpha1.ConditionReconciling)
	}
	if settled || !failure.stalled {
		c.remove(v1alpha1.ConditionStalled)
	}

	if failure == nil {
		c.ready()
		return
	}
	if settled {
		c.suspended(failure.message)
		return
	}

	if failure.condition != "" {
		c.set(failure.condition, metav1.ConditionFalse, failure.reason, failure.message)
	}

	c.set(v1alpha1.ConditionReady, metav1.ConditionFalse, failure.reason, failure.message)
	if failure.stalled {
		c.set(v1alpha1.ConditionStalled, metav1.ConditionTrue, failure.reason, failure.message)
	} else {
		c.set(v1alpha1.ConditionReconciling, metav1.ConditionTrue, failure.reason, failure.message)
	}
}

// ready is true also where no Pod is asked for: that is what the spec says, so a
// tool that waits for the spec to be done has it. The reason tells the two apart.
func (c conditions) ready() {
	reason, message := v1alpha1.ReasonReady, "The endpoint serves the current spec"
	if workload := meta.FindStatusCondition(*c.list, v1alpha1.ConditionWorkloadAvailable); workload != nil && workload.Reason == v1alpha1.ReasonScaledToZero {
		reason, message = workload.Reason, workload.Message
	}
	c.set(v1alpha1.ConditionReady, metav1.ConditionTrue, reason, message)
}

// suspended leaves Ready true while what was made goes on serving. It is
// neither Reconciling nor Stalled: nothing is being done, and nothing is wrong.
func (c conditions) suspended(message string) {
	status := metav1.ConditionFalse
	if c.isTrue(v1alpha1.ConditionSchemaReady) && c.isTrue(v1alpha1.ConditionKeyspaceReady) && c.isTrue(v1alpha1.ConditionWorkloadAvailable) {
		status = metav1.ConditionTrue
	}
	c.set(v1alpha1.ConditionReady, status, v1alpha1.ReasonSuspended, message)
}

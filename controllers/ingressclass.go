package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingressclasses,verbs=list

// hasIngresses says whether games of the class have Ingresses.
func hasIngresses(class *v1alpha1.LeaderboardClass, users []v1alpha1.Leaderboard) bool {
	return class.Spec.Exposure.Type == v1alpha1.ExposureIngress || slices.ContainsFunc(users, func(lb v1alpha1.Leaderboard) bool {
		return workload.ExposureOf(&lb, class) == v1alpha1.ExposureIngress
	})
}

// legacyIngressClass is the annotation by which controllers found their Ingresses before
// there were IngressClasses, and some still do.
const legacyIngressClass = "kubernetes.io/ingress.class"

// judgeIngress sets IngressServed. What can be told for certain is that the IngressClass
// that the class names does not exist. That one exists does not say that its controller
// runs, and without a name or a default it is a controller's own business which Ingresses
// it serves.
func (r *LeaderboardClassReconciler) judgeIngress(ctx context.Context, class *v1alpha1.LeaderboardClass) {
	c := conditions{list: &class.Status.Conditions, generation: class.Generation}
	exposure := &class.Spec.Exposure
	if exposure.Domain == "" {
		c.remove(v1alpha1.ConditionIngressServed)
		return
	}

	unknown := func(format string, args ...any) {
		c.set(v1alpha1.ConditionIngressServed, metav1.ConditionUnknown, v1alpha1.ReasonIngressClassUnknown, fmt.Sprintf(format, args...))
	}
	list := &networkingv1.IngressClassList{}
	if err := r.Live.List(ctx, list); err != nil {
		unknown("The IngressClasses could not be listed, which is optional: %v", err)
		return
	}

	var names []string
	preset := ""
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
		if list.Items[i].Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			preset = list.Items[i].Name
		}
	}

	switch wanted := exposure.IngressClassName; {
	case wanted != nil && slices.Contains(names, *wanted):
		c.set(v1alpha1.ConditionIngressServed, metav1.ConditionTrue, v1alpha1.ReasonIngressClassFound, "The Ingresses are of the IngressClass "+*wanted)
	case wanted != nil:
		c.set(v1alpha1.ConditionIngressServed, metav1.ConditionFalse, v1alpha1.ReasonIngressClassNotFound, fmt.Sprintf(
			"There is no IngressClass %s, so no controller serves the Ingresses of games: install the controller that has it, or set exposure.ingressClassName to one that exists (%s)",
			*wanted, strings.Join(nonEmpty(names), ", ")))
	case preset != "":
		c.set(v1alpha1.ConditionIngressServed, metav1.ConditionTrue, v1alpha1.ReasonIngressClassFound, "The Ingresses are of the cluster's default, the IngressClass "+preset)
	case exposure.Annotations[legacyIngressClass] != "":
		unknown("The Ingresses name their controller by the annotation %s: whether one serves that name cannot be looked up", legacyIngressClass)
	default:
		unknown("exposure.ingressClassName is left out, and no IngressClass is the cluster's default: some controllers serve such Ingresses and most do not. Set it to one that exists (%s)",
			strings.Join(nonEmpty(names), ", "))
	}
}

// nonEmpty is the names, or that there are none.
func nonEmpty(names []string) []string {
	if len(names) == 0 {
		return []string{"there is none"}
	}
	return names
}

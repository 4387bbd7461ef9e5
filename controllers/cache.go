package controllers

import (
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// cacheOptions keep in memory what the operator made, not what else there is, and
// Secrets (their metadata, see the watches) of its own namespace only. Anyone can give
// an object the operator's label, so of each no more is kept than is read.
func cacheOptions(namespace string, watched watched) cache.Options {
	own := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{workload.LabelManagedBy: workload.ManagedBy}), Transform: summarize}
	return cache.Options{
		DefaultNamespaces: watched.cached(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}:                         {Namespaces: map[string]cache.Config{namespace: {}}},
			&appsv1.Deployment{}:                     own,
			&corev1.Service{}:                        own,
			&corev1.ConfigMap{}:                      own,
			&corev1.ServiceAccount{}:                 own,
			&networkingv1.Ingress{}:                  own,
			&networkingv1.NetworkPolicy{}:            own,
			&policyv1.PodDisruptionBudget{}:          own,
			&autoscalingv2.HorizontalPodAutoscaler{}: own,
		},
	}
}

const (
	// contentAnnotation of an object in the cache is a hash of all that was left out: it
	// changes with any of it, so that drift is seen.
	contentAnnotation = "games.leaderboard.dev/content"
	// summaryKind marks what summarize has made, which may be given to it again. Nobody
	// can store an object of this kind.
	summaryKind = "Summary"
)

// summarize replaces an object by what is read of it: who it is and whose, a hash of
// the rest, of a Deployment also how far it is, and of an Ingress its host. It is a transform of the cache.
func summarize(object any) (any, error) {
	full, ok := object.(client.Object)
	if !ok || full.GetObjectKind().GroupVersionKind().Kind == summaryKind {
		return object, nil // a tombstone of the cache, or done already
	}

	hash, err := contentHash(full)
	if err != nil {
		return nil, err
	}

	summary, ok := reflect.New(reflect.TypeOf(full).Elem()).Interface().(client.Object)
	if !ok {
		return nil, fmt.Errorf("%T is not an object", object)
	}

	summary.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Kind: summaryKind})
	summary.SetNamespace(full.GetNamespace())
	summary.SetName(full.GetName())
	summary.SetUID(full.GetUID())
	summary.SetResourceVersion(full.GetResourceVersion())
	summary.SetGeneration(full.GetGeneration())
	summary.SetCreationTimestamp(full.GetCreationTimestamp())
	summary.SetDeletionTimestamp(full.GetDeletionTimestamp())
	summary.SetAnnotations(map[string]string{contentAnnotation: hash})
	if owner := metav1.GetControllerOf(full); owner != nil {
		summary.SetOwnerReferences([]metav1.OwnerReference{*owner})
	}

	own := map[string]string{}
	for _, label := range []string{workload.LabelManagedBy, workload.LabelInstance} {
		if value, has := full.GetLabels()[label]; has {
			own[label] = value
		}
	}
	summary.SetLabels(own)

	if deployment, is := full.(*appsv1.Deployment); is {
		kept := summary.(*appsv1.Deployment)
		kept.Spec.Replicas, kept.Spec.Selector, kept.Status = deployment.Spec.Replicas, deployment.Spec.Selector, deployment.Status
		kept.Spec.Template.Spec.TerminationGracePeriodSeconds = deployment.Spec.Template.Spec.TerminationGracePeriodSeconds
	}

	if ingress, is := full.(*networkingv1.Ingress); is && len(ingress.Spec.Rules) > 0 {
		if host := ingress.Spec.Rules[0].Host; len(host) <= validation.DNS1123SubdomainMaxLength {
			summary.(*networkingv1.Ingress).Spec.Rules = []networkingv1.IngressRule{{Host: host}}
		}
	}

	return summary, nil
}

// contentHash is of everything but the status and what the API server counts.
func contentHash(object client.Object) (string, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return "", fmt.Errorf("convert %s: %w", object.GetName(), err)
	}

	delete(content, "status")
	unstructured.RemoveNestedField(content, "metadata", "resourceVersion")
	unstructured.RemoveNestedField(content, "metadata", "managedFields")

	return hashOf(content)
}

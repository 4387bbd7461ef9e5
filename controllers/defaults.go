package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// defaultsOwner owns what the operator fills in of a spec. It is apart from fieldOwner so that it
// can be told from what others have set, and be taken back.
const defaultsOwner = client.FieldOwner("leaderboard-operator-defaults")

// fillDefaults writes into the spec what it leaves to the class, once that holds the data:
// className, so that a copy of the object that has no status is of the same class when another
// one is the default by then, and replicas, without which the API server answers no request for
// /scale. What it filled in of replicas it takes back once an autoscaler has the number.
func (r *LeaderboardReconciler) fillDefaults(ctx context.Context, p *pass) error {
	spec := p.lb.Spec
	if spec.ClassName != nil && (spec.Autoscaling != nil) == (spec.Replicas == nil) {
		return nil
	}

	failed := func(err error) error {
		if err == nil {
			return nil
		}
		return failedBy(err, "", v1alpha1.ReasonProgressing, "The defaults of the class could not be filled in; this is tried again")
	}

	// Read past the cache, which keeps no managed fields.
	live := &v1alpha1.Leaderboard{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(p.lb), live); err != nil {
		return failed(err)
	}
	filled, err := r.defaultsOf(ctx, p, live)
	if err != nil || filled == nil {
		return failed(err)
	}

	return failed(r.applyDefaults(ctx, p, live.ResourceVersion, filled))
}

// defaultsOf returns all that defaultsOwner is to own of the spec; nil: what it owns already.
func (r *LeaderboardReconciler) defaultsOf(ctx context.Context, p *pass, live *v1alpha1.Leaderboard) (map[string]any, error) {
	ownsClass, err := ownsField(live, string(defaultsOwner), "spec", "className")
	if err != nil {
		return nil, err
	}
	ownsReplicas, err := ownsField(live, string(defaultsOwner), "spec", "replicas")
	if err != nil {
		return nil, err
	}

	filled := map[string]any{}
	if live.Spec.ClassName == nil || ownsClass {
		filled["className"] = p.class.Name
	}

	scaled := live.Spec.Autoscaling != nil
	switch {
	case scaled && !ownsReplicas && live.Spec.ClassName != nil:
		return nil, nil // a number that somebody else has set is without effect
	case !scaled && live.Spec.Replicas == nil:
		if filled["replicas"], err = r.presentReplicas(ctx, p); err != nil {
			return nil, err
		}
	case !scaled && ownsReplicas:
		filled["replicas"] = int64(*live.Spec.Replicas)
	}
	return filled, nil
}

// presentReplicas is how many Pods are asked for at present, by whom it may be: they must not drop
// to the class's number at once when an autoscaler goes, or a number in the spec. Where none is
// asked for, it is the class's.
func (r *LeaderboardReconciler) presentReplicas(ctx context.Context, p *pass) (int64, error) {
	deployment := &appsv1.Deployment{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: p.lb.Namespace, Name: workload.Name(p.lb)}, deployment)
	if client.IgnoreNotFound(err) != nil {
		return 0, err
	}

	if replicas := deployment.Spec.Replicas; err == nil && metav1.IsControlledBy(deployment, p.lb) && replicas != nil && *replicas > 0 {
		return int64(*replicas), nil
	}
	return int64(p.class.Spec.Defaults.Replicas), nil
}

// applyDefaults applies what is filled in to the version of the spec that it is about.
func (r *LeaderboardReconciler) applyDefaults(ctx context.Context, p *pass, version string, filled map[string]any) error {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": filled}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Leaderboard"))
	object.SetNamespace(p.lb.Namespace)
	object.SetName(p.lb.Name)
	object.SetUID(p.lb.UID)
	object.SetResourceVersion(version)
	if err := r.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), defaultsOwner); err != nil {
		return err
	}

	written := &v1alpha1.Leaderboard{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, written); err != nil {
		return err
	}
	p.base = written.DeepCopy()
	written.Status = p.lb.Status
	p.lb = written
	return nil
}

// ownsField reports whether the manager has applied the field.
func ownsField(object client.Object, manager string, field ...any) (bool, error) {
	path := fieldpath.MakePathOrDie(field...)
	for _, entry := range object.GetManagedFields() {
		if entry.Manager != manager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" {
			continue
		}

		fields, err := fieldsOf(entry)
		if err != nil {
			return false, fmt.Errorf("read who owns %s: %w", path, err)
		}
		if fields.Has(path) {
			return true, nil
		}
	}

	return false, nil
}

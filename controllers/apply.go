package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// fieldOwner is the manager of every field that the operator applies.
const fieldOwner = client.FieldOwner("leaderboard-operator")

// notOursError: an object of the name exists and belongs to somebody else.
type notOursError struct {
	kind, name string
}

func (e *notOursError) Error() string {
	return fmt.Sprintf("%s %s exists and does not belong to this Leaderboard: delete or rename it", e.kind, e.name)
}

// leftoverError: an object of the name belonged to an earlier Leaderboard of the
// same name, and the garbage collector has not removed it yet.
type leftoverError struct {
	kind, name string
}

func (e *leftoverError) Error() string {
	return fmt.Sprintf("waiting for the garbage collector to remove %s %s of an earlier Leaderboard of this name", e.kind, e.name)
}

// applyFailure says what an object that could not be read or applied means for the
// condition; failed is what to say where it will be tried again.
func applyFailure(err error, condition, failed string) error {
	var foreign *notOursError
	if errors.As(err, &foreign) {
		return stalledBy(condition, v1alpha1.ReasonApplyFailed, "The %s", foreign.Error())
	}

	var leftover *leftoverError
	if errors.As(err, &leftover) {
		return failedBy(err, condition, v1alpha1.ReasonProgressing, "Still %s", leftover.Error())
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return waitingFor("", v1alpha1.ReasonProgressing, "The namespace is being deleted, and this Leaderboard with it")
	}

	return failedBy(err, condition, v1alpha1.ReasonApplyFailed, "%s; this is tried again: %v", failed, err)
}

// checkOwner returns nil if the object may be written on behalf of the owner:
// the owner controls it, or nobody does and it carries the owner's labels.
func checkOwner(owner types.UID, desired, current client.Object) error {
	kind := desired.GetObjectKind().GroupVersionKind().Kind
	controller := metav1.GetControllerOf(current)
	wanted := metav1.GetControllerOf(desired)

	switch {
	case controller != nil && controller.UID == owner:
		return nil
	case controller != nil && wanted != nil && controller.Kind == wanted.Kind && controller.Name == wanted.Name:
		return &leftoverError{kind: kind, name: desired.GetName()}
	case controller != nil:
		return &notOursError{kind: kind, name: desired.GetName()}
	}

	for _, label := range []string{workload.LabelManagedBy, workload.LabelInstance} {
		if value := current.GetLabels()[label]; value == "" || value != desired.GetLabels()[label] {
			return &notOursError{kind: kind, name: desired.GetName()}
		}
	}

	return nil
}

// applier applies objects server-side and leaves out what would change nothing.
// What it remembers saves requests only: with an empty memory it sends the same
// objects again, and the API server finds nothing to change.
type applier struct {
	client client.Client
	// live reads past the cache, which holds the operator's own objects only.
	live client.Reader

	mu sync.Mutex
	// applied by owner, then by object. An owner's entry goes with the owner.
	applied map[types.UID]map[string]*appliedState
}

// appliedState is what is known about the last apply of one object.
type appliedState struct {
	desired         string // hash of what was applied
	resourceVersion string // what the API server answered with
	seen            string // hash of the object in the cache at that version
}

func newApplier(c client.Client, live client.Reader) *applier {
	return &applier{client: c, live: live, applied: map[types.UID]map[string]*appliedState{}}
}

// forget drops what is remembered about the objects of an owner.
func (a *applier) forget(owner types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.applied, owner)
}

// apply makes the object look as the configuration says and returns the
// generation that it then has. It refuses to touch an object that is not the
// owner's, and skips the request when the object is as an equal configuration
// left it.
func (a *applier) apply(ctx context.Context, owner types.UID, configuration runtime.ApplyConfiguration) (generation int64, err error) {
	desired, err := toUnstructured(configuration)
	if err != nil {
		return 0, err
	}

	current, err := a.current(ctx, desired)
	if err != nil {
		return 0, err
	}

	return a.applyOver(ctx, owner, desired, current)
}

// applySecret is apply for a Secret that has just been read; nil: there is none.
func (a *applier) applySecret(ctx context.Context, owner types.UID, configuration runtime.ApplyConfiguration, current *corev1.Secret) error {
	desired, err := toUnstructured(configuration)
	if err != nil {
		return err
	}

	// What cannot be changed is made again. Its data is no longer what was issued, or
	// lacks what a change of the class has added.
	if current != nil && current.Immutable != nil && *current.Immutable {
		if err := checkOwner(owner, desired, current); err != nil {
			return err
		}
		if err := a.client.Delete(ctx, current, client.Preconditions{UID: &current.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete the immutable Secret %s: %w", current.Name, err)
		}
		current = nil
	}

	if current == nil {
		_, err = a.applyOver(ctx, owner, desired, nil)
	} else {
		_, err = a.applyOver(ctx, owner, desired, current)
	}

	return err
}

func (a *applier) applyOver(ctx context.Context, owner types.UID, desired *unstructured.Unstructured, current client.Object) (int64, error) {
	hash, err := hashOf(desired.Object)
	if err != nil {
		return 0, err
	}

	if current != nil {
		if err := checkOwner(owner, desired, current); err != nil {
			return 0, err
		}
		unchanged, err := a.unchanged(owner, hash, current)
		if err != nil {
			return 0, err
		}
		if unchanged {
			return current.GetGeneration(), nil
		}
		// An operator that has lost the lead without knowing it must not undo what the
		// next one has done: the object is the one that was looked at, or it is a conflict.
		desired.SetResourceVersion(current.GetResourceVersion())
	}

	configuration := desired.DeepCopy()
	if err := a.send(ctx, desired); err != nil {
		return 0, err
	}
	added, err := a.expel(ctx, desired)
	if err != nil {
		return 0, err
	}
	if added {
		configuration.SetResourceVersion("") // expel has changed it
		desired = configuration
		if err := a.send(ctx, desired); err != nil {
			return 0, err
		}
	}

	a.remember(owner, desired, &appliedState{desired: hash, resourceVersion: desired.GetResourceVersion()})
	return desired.GetGeneration(), nil
}

// send applies the object, which becomes the API server's answer.
func (a *applier) send(ctx context.Context, desired *unstructured.Unstructured) error {
	if err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), fieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("apply %s %s: %w", desired.GetKind(), desired.GetName(), err)
	}
	return nil
}

// current is the object as the cache knows it or, where the cache knows none,
// as it is: an object without the operator's label is not in the cache. It is
// nil when there is none.
func (a *applier) current(ctx context.Context, desired *unstructured.Unstructured) (client.Object, error) {
	gvk := desired.GroupVersionKind()
	created, err := a.client.Scheme().New(gvk)
	if err != nil {
		return nil, fmt.Errorf("make a %s: %w", gvk.Kind, err)
	}

	current, ok := created.(client.Object)
	if !ok {
		return nil, fmt.Errorf("%s is not an object", gvk.Kind)
	}

	key := client.ObjectKeyFromObject(desired)
	err = a.client.Get(ctx, key, current)
	if apierrors.IsNotFound(err) {
		err = a.live.Get(ctx, key, current)
	}

	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get %s %s: %w", gvk.Kind, key.Name, err)
	}

	return current, nil
}

// unchanged reports whether the object is as an equal configuration left it.
// The status and what the API server counts (resourceVersion, managedFields)
// do not matter, everything else does: a change by anybody is corrected.
func (a *applier) unchanged(owner types.UID, desired string, current client.Object) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()

	gvk, err := apiutil.GVKForObject(current, a.client.Scheme())
	if err != nil {
		return false, fmt.Errorf("find the kind of %s: %w", current.GetName(), err)
	}

	state := a.applied[owner][objectKey(gvk.Kind, current)]
	if state == nil || state.desired != desired {
		return false, nil
	}

	seen, err := contentHash(current)
	if err != nil {
		return false, err
	}

	if current.GetResourceVersion() == state.resourceVersion {
		state.seen = seen
	}

	return state.seen == seen, nil
}

func (a *applier) remember(owner types.UID, object client.Object, state *appliedState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.applied[owner] == nil {
		a.applied[owner] = map[string]*appliedState{}
	}
	a.applied[owner][objectKey(object.GetObjectKind().GroupVersionKind().Kind, object)] = state
}

func objectKey(kind string, object client.Object) string { return kind + "/" + object.GetName() }

// toUnstructured copies a configuration, since applying overwrites what it is
// given with the API server's answer.
func toUnstructured(configuration runtime.ApplyConfiguration) (*unstructured.Unstructured, error) {
	encoded, err := json.Marshal(configuration)
	if err != nil {
		return nil, fmt.Errorf("encode an apply configuration: %w", err)
	}

	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(encoded); err != nil {
		return nil, fmt.Errorf("decode an apply configuration: %w", err)
	}

	return object, nil
}

// hashOf is the SHA-256 of the value as JSON, whose map keys are sorted.
func hashOf(value any) (string, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("encode for hashing: %w", err)
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:]), nil
}

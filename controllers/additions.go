package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Server-side apply leaves alone what others have added: a container, a variable,
// hostNetwork. In the spec of a game's Deployment that is drift like any other. What others
// may set there is the number of Pods, and that they are restarted.
var othersMaySet = fieldpath.NewSet(
	fieldpath.MakePathOrDie("spec", "replicas"),
	fieldpath.MakePathOrDie("spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"))

// expel makes the operator the one that has applied what others have added to the spec of
// a Deployment, and reports whether there was anything: applied again, it is left out and
// gone. How managed fields may be written:
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields
func (a *applier) expel(ctx context.Context, applied *unstructured.Unstructured) (bool, error) {
	if applied.GetKind() != "Deployment" {
		return false, nil
	}

	ours, added := fieldpath.NewSet(), fieldpath.NewSet()
	var our *metav1.ManagedFieldsEntry
	var others []metav1.ManagedFieldsEntry
	for _, entry := range applied.GetManagedFields() {
		fields, err := fieldsOf(entry)
		switch {
		case err != nil:
			return false, err
		case entry.Manager == string(fieldOwner) && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "":
			our, ours = &entry, fields
			continue
		case entry.Subresource == "":
			adds := additions(fields)
			if adds.Empty() {
				break
			}
			added = added.Union(adds)
			if entry.FieldsV1, err = encodeFields(fields.Difference(adds)); err != nil {
				return false, err
			}
		}
		others = append(others, entry)
	}
	if our == nil || added.Empty() {
		return false, nil
	}

	encoded, err := encodeFields(ours.Union(added))
	if err != nil {
		return false, err
	}
	our.FieldsV1 = encoded
	return true, a.setManagedFields(ctx, applied, append(others, *our))
}

// setManagedFields replaces the managed fields of an object that is still as it was.
func (a *applier) setManagedFields(ctx context.Context, object *unstructured.Unstructured, entries []metav1.ManagedFieldsEntry) error {
	patch, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": entries},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": object.GetResourceVersion()},
	})
	if err != nil {
		return fmt.Errorf("encode managed fields: %w", err)
	}
	if err := a.client.Patch(ctx, object.DeepCopy(), client.RawPatch(types.JSONPatchType, patch)); err != nil {
		return fmt.Errorf("take over what was added to the %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// additions are the fields in the spec that others may not set.
func additions(fields *fieldpath.Set) *fieldpath.Set {
	spec := fieldpath.MakePathOrDie("spec")[0]
	found := fieldpath.NewSet()
	fields.Difference(othersMaySet).Iterate(func(path fieldpath.Path) {
		if len(path) > 1 && path[0].Equals(spec) {
			found.Insert(path)
		}
	})
	return found
}

func fieldsOf(entry metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	fields := &fieldpath.Set{}
	if entry.FieldsV1 == nil {
		return fields, nil
	}
	if err := fields.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
		return nil, fmt.Errorf("read the managed fields of the Deployment: %w", err)
	}
	return fields, nil
}

func encodeFields(fields *fieldpath.Set) (*metav1.FieldsV1, error) {
	raw, err := fields.ToJSON()
	if err != nil {
		return nil, fmt.Errorf("write the managed fields of the Deployment: %w", err)
	}
	encoded := &metav1.FieldsV1{}
	encoded.SetRawBytes(bytes.Clone(raw))
	return encoded, nil
}

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// What anyone may put into an object takes no memory of the operator's, and is seen
// when it changes.
func TestSummaries(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	meta := metav1.ObjectMeta{Namespace: "games", Name: "race", Labels: map[string]string{workload.LabelManagedBy: workload.ManagedBy, "more": big},
		Annotations: map[string]string{contentAnnotation: "chosen", "more": big}}
	for name, test := range map[string]struct {
		object client.Object
		change func(client.Object)
	}{
		"ConfigMap": {&corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"boards": big}},
			func(o client.Object) { o.(*corev1.ConfigMap).Data["boards"] += "y" }},
		"Ingress": {&networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: big}}}},
			func(o client.Object) { o.(*networkingv1.Ingress).Spec.Rules[0].Host += "y" }},
		"Deployment": {&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeName: big}}}},
			func(o client.Object) { o.(*appsv1.Deployment).Spec.Template.Spec.NodeName += "y" }},
		"a label":       {&corev1.Service{ObjectMeta: meta}, func(o client.Object) { o.SetLabels(map[string]string{"more": "y"}) }},
		"an annotation": {&corev1.Service{ObjectMeta: meta}, func(o client.Object) { o.SetAnnotations(map[string]string{"more": "y"}) }},
	} {
		t.Run(name, func(t *testing.T) {
			summarized := func(object client.Object) client.Object {
				result, err := summarize(object)
				require.NoError(t, err)
				again, err := summarize(result)
				require.NoError(t, err)
				require.Equal(t, result, again)
				encoded, err := json.Marshal(result)
				require.NoError(t, err)
				require.Less(t, len(encoded), 2048)
				return result.(client.Object)
			}

			before := summarized(test.object)
			require.Equal(t, workload.ManagedBy, before.GetLabels()[workload.LabelManagedBy])
			changed := test.object.DeepCopyObject().(client.Object)
			test.change(changed)
			require.NotEqual(t, before.GetAnnotations(), summarized(changed).GetAnnotations())
		})
	}
}

// The same with a real API server and the operator's cache.
func TestFloodOfLabelledObjects(t *testing.T) {
	const objects, size = 20, 900 << 10
	ns := namespace(t)
	for i := range objects {
		create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("flood-%d", i),
			Labels: map[string]string{workload.LabelManagedBy: workload.ManagedBy}}, Data: map[string]string{"x": strings.Repeat("x", size)}})
	}

	options := cacheOptions(operatorNamespace, nil)
	options.Scheme = cluster.Scheme()
	operatorCache, err := cache.New(restConfig, options)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = operatorCache.Start(ctx) })
	defer running.Wait()
	defer cancel()

	require.True(t, operatorCache.WaitForCacheSync(ctx))
	list := &corev1.ConfigMapList{}
	require.NoError(t, operatorCache.List(ctx, list, client.InNamespace(ns)))
	require.Len(t, list.Items, objects)
	encoded, err := json.Marshal(list)
	require.NoError(t, err)
	require.Less(t, len(encoded), objects*2048)
}

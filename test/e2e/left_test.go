package e2e

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
)

// contents names every object in a namespace, of whatever kind, as
// "resource.group/name", sorted. Events, which only tell what was, do not count.
func contents(ctx context.Context, t require.TestingT, namespace string) []string {
	lists, err := clientset.Discovery().ServerPreferredResources()
	require.NoError(t, err)
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists)
	reader, err := metadata.NewForConfig(restConfig)
	require.NoError(t, err)
	var names []string

	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		require.NoError(t, err)
		for _, resource := range list.APIResources {
			if !resource.Namespaced || resource.Name == "events" {
				continue
			}
			objects, err := reader.Resource(version.WithResource(resource.Name)).Namespace(namespace).List(ctx, metav1.ListOptions{})
			require.NoError(t, err, resource.Name)

			for i := range objects.Items {
				names = append(names, schema.GroupResource{Group: version.Group, Resource: resource.Name}.String()+"/"+objects.Items[i].Name)
			}
		}
	}

	slices.Sort(names)
	return names
}

// settled is what a namespace holds before anything is put into it, which
// controllers put there: wait for it before counting.
func settled(t *testing.T, namespace string) []string {
	t.Helper()
	var found []string
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		found = contents(t.Context(), c, namespace)
		require.Subset(c, found, []string{"configmaps/kube-root-ca.crt", "serviceaccounts/default"})
	}, goneTimeout, poll)
	return found
}

// requireNothingLeft: whatever was made for a game goes with it.
func requireNothingLeft(t *testing.T, namespace string, before []string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.Equal(c, before, contents(t.Context(), c, namespace))
	}, goneTimeout, 10*poll)
}

package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// operatorNamespace is where hack/install-platform.sh installs the operator, and
// operatorName what it is called there.
const operatorNamespace, operatorName = "leaderboard-system", "leaderboard-operator"

// needNodes skips a test that takes more nodes than the cluster has, and returns
// those on which games can run.
func needNodes(t *testing.T, least int) []corev1.Node {
	t.Helper()
	list := &corev1.NodeList{}
	require.NoError(t, cluster.List(t.Context(), list))
	var nodes []corev1.Node
	for _, node := range list.Items {
		free := !node.Spec.Unschedulable
		for _, taint := range node.Spec.Taints {
			free = free && taint.Effect == corev1.TaintEffectPreferNoSchedule
		}
		if free {
			nodes = append(nodes, node)
		}
	}
	if len(nodes) < least {
		t.Skipf("the cluster has %d nodes for games, and this takes %d", len(nodes), least)
	}
	return nodes
}

// needAPI skips a test that takes an API that the cluster does not have.
func needAPI(t *testing.T, groupVersion string) {
	t.Helper()
	_, err := clientset.Discovery().ServerResourcesForGroupVersion(groupVersion)
	if apierrors.IsNotFound(err) {
		t.Skipf("the cluster does not have %s", groupVersion)
	}
	require.NoError(t, err)
}

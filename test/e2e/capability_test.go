package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operatorNamespace is where hack/install-platform.sh installs the operator, and
// operatorName what it is called there.
const operatorNamespace, operatorName = "leaderboard-system", "leaderboard-operator"

// needNodes skips a test that takes several nodes on which games can run, and
// returns them.
func needNodes(t *testing.T) []corev1.Node {
	t.Helper()
	list := &corev1.NodeList{}
	require.NoError(t, cluster.List(t.Context(), list))
	var nodes []corev1.Node

	for i := range list.Items {
		if free(&list.Items[i]) {
			nodes = append(nodes, list.Items[i])
		}
	}

	if len(nodes) < 2 {
		t.Skipf("the cluster has %d nodes for games, and this takes several", len(nodes))
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

// free tells whether games can run on a node.
func free(node *corev1.Node) bool {
	free := !node.Spec.Unschedulable
	for _, taint := range node.Spec.Taints {
		free = free && taint.Effect == corev1.TaintEffectPreferNoSchedule
	}
	return free
}

// waitFree waits until games can run on the node again.
func waitFree(ctx context.Context, name string) error {
	return wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		node := &corev1.Node{}
		err := cluster.Get(ctx, client.ObjectKey{Name: name}, node)
		return err == nil && free(node), err
	})
}

// needKindNodes skips a test that switches nodes off, unless the nodes say that
// they are kind's, which are containers of docker's, and docker has them. It
// returns what runs docker.
func needKindNodes(t *testing.T, nodes []corev1.Node) func(ctx context.Context, arguments ...string) error {
	t.Helper()
	docker := func(ctx context.Context, arguments ...string) error {
		if output, err := exec.CommandContext(ctx, "docker", arguments...).CombinedOutput(); err != nil {
			return fmt.Errorf("docker %s: %w: %s", strings.Join(arguments, " "), err, output)
		}
		return nil
	}

	for i := range nodes {
		if id := nodes[i].Spec.ProviderID; !strings.HasPrefix(id, "kind://docker/") {
			t.Skipf("the node %s is none that this test can switch off: its provider id is %q", nodes[i].Name, id)
		}
		if err := docker(t.Context(), "container", "inspect", nodes[i].Name); err != nil {
			t.Skipf("the nodes are on another machine: %v", err)
		}
	}

	return docker
}

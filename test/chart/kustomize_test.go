package chart

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

func kustomize(t *testing.T, folder string) objects {
	t.Helper()
	out, err := program(t, nil, nil, filepath.Join(root, "bin/devcluster"), "kubectl", "kustomize", filepath.Join(root, "config", folder))
	require.NoError(t, err)
	return decode(t, []byte(out))
}

// The operator without Helm: everything that it needs, in one namespace that
// enforces the restricted Pod Security.
func TestKustomizeDefault(t *testing.T) {
	rendered := kustomize(t, "default")
	for _, key := range []string{
		"CustomResourceDefinition leaderboards.games.leaderboard.dev",
		"CustomResourceDefinition leaderboardclasses.games.leaderboard.dev",
		"ClusterRole leaderboard-operator", "ClusterRole leaderboard-editor", "ClusterRole leaderboard-viewer",
		"ClusterRoleBinding leaderboard-operator", "Role leaderboard-operator", "RoleBinding leaderboard-operator",
		"ServiceAccount leaderboard-operator", "Deployment leaderboard-operator", "Namespace leaderboard-system",
	} {
		require.Contains(t, rendered, key)
	}

	namespace := find[*corev1.Namespace](t, rendered, operatorNamespace)
	require.Equal(t, "restricted", namespace.Labels["pod-security.kubernetes.io/enforce"])
	deployment := find[*appsv1.Deployment](t, rendered, "leaderboard-operator")
	account := find[*corev1.ServiceAccount](t, rendered, deployment.Spec.Template.Spec.ServiceAccountName)
	require.Equal(t, operatorNamespace, deployment.Namespace)
	require.Equal(t, []rbacv1.Subject{{Kind: "ServiceAccount", Name: account.Name, Namespace: operatorNamespace}},
		find[*rbacv1.ClusterRoleBinding](t, rendered, "leaderboard-operator").Subjects)
}

// The chart's Deployment and the kustomize tree's differ in what values say, not
// in what makes the Pod safe and observable.
func TestKustomizeAndChartRunTheSamePod(t *testing.T) {
	chart := find[*appsv1.Deployment](t, render(t, "minimal"), "leaderboard-operator").Spec.Template.Spec
	tree := find[*appsv1.Deployment](t, kustomize(t, "default"), "leaderboard-operator").Spec.Template.Spec
	require.Equal(t, chart.SecurityContext, tree.SecurityContext)
	require.Equal(t, chart.TerminationGracePeriodSeconds, tree.TerminationGracePeriodSeconds)
	require.Equal(t, chart.Containers[0].SecurityContext, tree.Containers[0].SecurityContext)
	require.Equal(t, chart.Containers[0].Env, tree.Containers[0].Env)
	require.Equal(t, chart.Containers[0].LivenessProbe.HTTPGet, tree.Containers[0].LivenessProbe.HTTPGet)
	require.Equal(t, chart.Containers[0].ReadinessProbe.HTTPGet, tree.Containers[0].ReadinessProbe.HTTPGet)
}

// The samples are two games in two namespaces, as the documentation says, of
// every kind of board.
func TestKustomizeSamples(t *testing.T) {
	rendered := kustomize(t, "samples")
	kinds := map[string]bool{}
	for namespace, name := range map[string]string{"arcade": "space-race", "puzzle": "word-hunt"} {
		require.Equal(t, "restricted", find[*corev1.Namespace](t, rendered, namespace).Labels["pod-security.kubernetes.io/enforce"])
		game := find[*games.Leaderboard](t, rendered, name)
		require.Equal(t, namespace, game.Namespace)
		for _, board := range game.Spec.Boards {
			kinds[string(board.Order)], kinds[string(board.Scoring)] = true, true
		}
	}

	for _, kind := range []string{"Descending", "Ascending", "Best", "First", "Latest", "Sum", "Count"} {
		require.True(t, kinds[kind], "no board is %s", kind)
	}

	content, err := os.ReadFile(filepath.Join(root, "config/samples/class.yaml"))
	require.NoError(t, err)
	find[*games.LeaderboardClass](t, decode(t, content), "default")
}

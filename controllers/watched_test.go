package controllers

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// With the rights that the chart gives it in some namespaces, an operator sees to their games from
// the beginning to the end, and to no others.
func TestWatchNamespaces(t *testing.T) {
	ensureOperatorNamespace(t)
	first, second, other := namespace(t), namespace(t), namespace(t)
	account := unique("operator")
	for _, object := range renderedRoles(t, account, first, second) {
		create(t, object)
	}

	user := rest.CopyConfig(restConfig)
	user.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + operatorNamespace + ":" + account,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + operatorNamespace, "system:authenticated"}}
	controllerName := startManagerAs(t, user, func(o *ManagerOptions) { o.WatchNamespaces = []string{first, second} })
	class := newClass(t, controllerName, postgres, redis, func(class *v1alpha1.LeaderboardClass) { class.Spec.Exposure.Domain = "localhost" })
	stranger := create(t, newLeaderboard(other, class))
	var games []*v1alpha1.Leaderboard
	for _, ns := range []string{first, second} {
		playDeployments(t, ns)
		lb := newLeaderboard(ns, class)
		lb.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
		everythingOn(lb)
		games = append(games, create(t, lb))
	}

	for _, lb := range games {
		becomes(t, lb, allReady)
	}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(stranger), stranger))
	require.Empty(t, stranger.Finalizers)
	require.Empty(t, stranger.Status.Tenant)
	requireNoRights(t, user, other)

	for _, lb := range games {
		require.NoError(t, cluster.Delete(t.Context(), lb))
		eventuallyGone(t, lb)
	}
	require.NoError(t, cluster.Delete(t.Context(), class))
	eventuallyGone(t, class)
}

// renderedRoles are what the chart gives an operator that watches namespaces, whose ServiceAccount
// has the name.
func renderedRoles(t *testing.T, account string, namespaces ...string) (objects []*unstructured.Unstructured) {
	t.Helper()
	args := []string{"template", account, filepath.Join("..", "charts", "leaderboard-operator"), "--namespace", operatorNamespace,
		"--set", "rbac.aggregateToUserRoles=false,serviceAccount.name=" + account, "-s", "templates/roles.yaml", "-s", "templates/rolebindings.yaml"}
	for i, namespace := range namespaces {
		args = append(args, "--set", fmt.Sprintf("watchNamespaces[%d]=%s", i, namespace))
	}

	command := exec.CommandContext(t.Context(), cmp.Or(os.Getenv("HELM"), filepath.Join("..", "bin", "tools", "helm")), args...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	require.NoError(t, err)
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), len(out))
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		require.NoError(t, err)
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

func requireNoRights(t *testing.T, user *rest.Config, namespace string) {
	t.Helper()
	scheme, err := NewScheme()
	require.NoError(t, err)
	c, err := client.New(user, client.Options{Scheme: scheme})
	require.NoError(t, err)

	for _, list := range []client.ObjectList{&v1alpha1.LeaderboardList{}, &appsv1.DeploymentList{}, &corev1.SecretList{}, &corev1.PodList{}} {
		for _, where := range [][]client.ListOption{{client.InNamespace(namespace)}, nil} {
			require.True(t, apierrors.IsForbidden(c.List(t.Context(), list, where...)), "%T", list)
		}
	}
	require.True(t, apierrors.IsForbidden(c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "any"}, &corev1.Secret{})))
}

package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Games and the operator run where restricted Pod Security is enforced, which lets
// no other Pod in.
func TestRestrictedPodSecurity(t *testing.T) {
	game := create(t, game(namespace(t), "race", 1)) // its namespace enforces it
	for _, name := range []string{game.Namespace, operatorNamespace} {
		ns := &corev1.Namespace{}
		require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Name: name}, ns))
		require.Equal(t, "restricted", ns.Labels["pod-security.kubernetes.io/enforce"], name)
		pods := &corev1.PodList{}
		require.NoError(t, cluster.List(t.Context(), pods, client.InNamespace(name)))
		require.NotEmpty(t, pods.Items, name)
		loose := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "loose"},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "leaderboard-server:dev"}}}}
		require.True(t, apierrors.IsForbidden(cluster.Create(t.Context(), loose, client.DryRunAll)), "a Pod with the defaults in %s", name)
	}
}

// accountGroups are the groups of every ServiceAccount in the operator's namespace.
var accountGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + operatorNamespace, "system:authenticated"}

// serviceAccount is the user that a ServiceAccount of the operator's namespace is.
func serviceAccount(name string) string {
	return "system:serviceaccount:" + operatorNamespace + ":" + name
}

// What the operator may not do is refused to it: the rights that somebody who took
// it over would look for.
func TestOperatorHasNoOtherRights(t *testing.T) {
	game := create(t, game(namespace(t), "race", 1))
	config := rest.CopyConfig(restConfig)
	config.Impersonate = rest.ImpersonationConfig{UserName: serviceAccount(operatorName), Groups: accountGroups}
	operator, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	core, ctx, everything := operator.CoreV1(), t.Context(), metav1.ListOptions{}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

	_, err = operator.AppsV1().Deployments(game.Namespace).List(ctx, everything)
	require.NoError(t, err, "it is the operator")
	_, err = core.Secrets(operatorNamespace).Get(ctx, "leaderboard-postgres-admin", metav1.GetOptions{})
	require.NoError(t, err, "its own Secrets")

	for name, attempt := range map[string]func() error{
		"list all Secrets": func() error {
			_, err := core.Secrets("").List(ctx, everything)
			return err
		},
		"watch all Secrets": func() error {
			_, err := core.Secrets("").Watch(ctx, everything)
			return err
		},
		"list the Secrets of a game's namespace": func() error {
			_, err := core.Secrets(game.Namespace).List(ctx, everything)
			return err
		},
		"make a Pod": func() error {
			_, err := core.Pods(game.Namespace).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}, dryRun)
			return err
		},
		"run a program in a Pod": func() error {
			return core.RESTClient().Post().Namespace(game.Namespace).Resource("pods").Name("p").SubResource("exec").Do(ctx).Error()
		},
		"make a token of another ServiceAccount": func() error {
			_, err := core.ServiceAccounts("kube-system").CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, dryRun)
			return err
		},
		"make a role": func() error {
			_, err := operator.RbacV1().Roles(game.Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "r"}}, dryRun)
			return err
		},
		"bind itself to cluster-admin": func() error {
			_, err := operator.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "b"},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"}}, dryRun)
			return err
		},
		"make a namespace": func() error {
			_, err := core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, dryRun)
			return err
		},
		"delete a namespace": func() error {
			return core.Namespaces().Delete(ctx, game.Namespace, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		},
		"change a node": func() error {
			_, err := core.Nodes().Patch(ctx, "any", "application/merge-patch+json", []byte(`{}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		},
		"read the log of a Pod": func() error {
			return core.RESTClient().Get().Namespace(game.Namespace).Resource("pods").Name("p").SubResource("log").Do(ctx).Error()
		},
	} {
		err := attempt()
		require.True(t, apierrors.IsForbidden(err), "%s: %v", name, err)
	}
}

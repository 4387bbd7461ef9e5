package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// Two games of one class share stores and nothing else: not accounts, not
// tokens, not credentials. (controllers/provision tries the credentials of one
// tenant against the other's schema, keys and channels.)
func TestTenantsAreApart(t *testing.T) {
	ns := namespace(t)
	a, b := create(t, game(ns, "race", 1)), create(t, game(ns, "chess", 1))
	require.NotEqual(t, a.Status.Tenant, b.Status.Tenant)
	ca, cb := connect(t, a), connect(t, b)

	const password = "correct horse battery staple"
	_, err := ca.Register(t.Context(), "ada", password)
	require.NoError(t, err)
	token, err := ca.Login(t.Context(), "ada", password)
	require.NoError(t, err)

	_, err = cb.Login(t.Context(), "ada", password)
	requireUnauthorized(t, err)
	_, err = cb.Submit(t.Context(), token, "arena", 1, "")
	requireUnauthorized(t, err)
	_, err = cb.Rank(t.Context(), token, "arena")
	requireUnauthorized(t, err)
	_, err = cb.Register(t.Context(), "ada", "another password entirely")
	require.NoError(t, err, "a name that another game knows is free here")

	// Nothing that a Pod of b is given names a, and no Secret holds what the
	// admin of the stores is called.
	secrets := &corev1.SecretList{}
	require.NoError(t, cluster.List(t.Context(), secrets, client.InNamespace(ns)))
	require.NotEmpty(t, secrets.Items)

	for i := range secrets.Items {
		secret := &secrets.Items[i]
		for key, value := range secret.Data {
			for other, lb := range map[string]*games.Leaderboard{b.Name: a, a.Name: b} {
				if strings.HasPrefix(secret.Name, other+"-") {
					require.NotContains(t, string(value), lb.Status.Tenant, "%s/%s", secret.Name, key)
				}
			}
			require.NotContains(t, string(value), "leaderboard_admin", "%s/%s", secret.Name, key)
		}
	}
}

// tenantClient is a client of a user who may edit one namespace.
func tenantClient(t *testing.T, namespace string) client.Client {
	t.Helper()
	const user = "mallory"
	require.NoError(t, cluster.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"}, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}}))
	config := rest.CopyConfig(restConfig)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	tenant, err := client.New(config, client.Options{Scheme: cluster.Scheme()})
	require.NoError(t, err)
	return tenant
}

// Nobody takes a game's host, or a part of it, with an Ingress of their own.
func TestIngressHostsAreTheOperators(t *testing.T) {
	lb := create(t, game(namespace(t), "race", 1))
	endpoint, err := url.Parse(lb.Status.Endpoint)
	require.NoError(t, err)
	ns := namespace(t)
	mallory := tenantClient(t, ns)
	host := endpoint.Hostname()
	_, inNamespace, _ := strings.Cut(host, ".")
	_, domain, _ := strings.Cut(inNamespace, ".")

	ingress := func(name, host string) *networkingv1.Ingress {
		exact := networkingv1.PathTypeExact
		backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "mine", Port: networkingv1.ServiceBackendPort{Number: 80}}}
		return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{
			{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: "/v1/auth/token", PathType: &exact, Backend: backend}}}}}}}}
	}

	harmless := ingress("harmless", "mallory.example.net")
	require.NoError(t, mallory.Create(t.Context(), harmless))
	for name, taken := range map[string]string{"the game's host": host, "all games of the namespace": "*." + inNamespace,
		"all namespaces": "*." + domain, "one that no game has yet": "next." + inNamespace} {
		err := mallory.Create(t.Context(), ingress("taken", taken))
		require.True(t, apierrors.IsForbidden(err), "%s: %v", name, err)
		require.ErrorContains(t, err, domain)
		changed := harmless.DeepCopy()
		changed.Spec.Rules[0].Host = taken
		err = mallory.Patch(t.Context(), changed, client.MergeFrom(harmless))
		require.True(t, apierrors.IsForbidden(err), "%s: %v", name, err)
		second := harmless.DeepCopy()
		second.Spec.Rules = append(second.Spec.Rules, ingress("", taken).Spec.Rules...)
		err = mallory.Patch(t.Context(), second, client.MergeFrom(harmless))
		require.True(t, apierrors.IsForbidden(err), "%s: %v", name, err)
	}

	labelled := harmless.DeepCopy()
	labelled.Labels = map[string]string{"example.com/label": "changed"}
	require.NoError(t, mallory.Patch(t.Context(), labelled, client.MergeFrom(harmless)))
}

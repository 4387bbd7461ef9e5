package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
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

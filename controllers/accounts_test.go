package controllers

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/test/effects"
)

var (
	matchServer = v1alpha1.ServiceAccount{Name: "match-server", Scopes: []v1alpha1.Scope{v1alpha1.ScopeSubmit, v1alpha1.ScopeRead}}
	statsServer = v1alpha1.ServiceAccount{Name: "stats-server", Scopes: []v1alpha1.Scope{v1alpha1.ScopeRead}}
)

// secretNamed reads a Secret of the game's namespace; nil: there is none.
func secretNamed(t *testing.T, lb *v1alpha1.Leaderboard, name string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	err := cluster.Get(t.Context(), client.ObjectKey{Namespace: lb.Namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil
	}
	require.NoError(t, err)
	return secret
}

// accountSecret is what the Secret of an account has as its client-secret; empty: there is
// no Secret.
func accountSecret(t *testing.T, lb *v1alpha1.Leaderboard, account string) string {
	t.Helper()
	secret := secretNamed(t, lb, workload.AccountName(lb, account))
	if secret == nil {
		return ""
	}
	return string(secret.Data[workload.ClientSecretKey])
}

// accountsOf is what the servers are given, and pendingOf what waits for them.
func accountsOf(t *testing.T, lb *v1alpha1.Leaderboard) accounts.Set {
	t.Helper()
	secret := secretNamed(t, lb, workload.AccountsName(lb))
	require.NotNil(t, secret)
	set, err := accounts.Parse(secret.Data[workload.AccountsKey])
	require.NoError(t, err)
	return set
}

func pendingOf(t *testing.T, lb *v1alpha1.Leaderboard) string {
	t.Helper()
	return string(secretNamed(t, lb, workload.AccountsName(lb)).Data[workload.PendingKey])
}

// accepts says whether the servers take the secret for that of match-server.
func accepts(t *testing.T, lb *v1alpha1.Leaderboard, secret string) bool {
	t.Helper()
	found, _ := accountsOf(t, lb).Lookup(matchServer.Name)
	return found.Accepts(secret, time.Now())
}

// accountsAreWhole: each account of the spec has a Secret with the secret that was issued
// last, and there is nothing else.
func accountsAreWhole(t *testing.T, lb *v1alpha1.Leaderboard) {
	t.Helper()
	set := accountsOf(t, lb)
	require.Len(t, set, len(lb.Spec.ServiceAccounts))
	require.Equal(t, "{}", pendingOf(t, lb))
	secrets := 0
	for _, object := range ownedBy(t, lb) {
		if _, is := object.(*corev1.Secret); is {
			secrets++
		}
	}
	require.Equal(t, 3+len(set), secrets, "besides logins, signing keys, and what the servers are given")

	for i, spec := range lb.Spec.ServiceAccounts {
		require.Equal(t, spec.Name, set[i].Name)
		require.Equal(t, fmt.Sprint(spec.Scopes), "["+set[i].Scopes.String()+"]")
		require.Equal(t, set[i].Newest().Hash, accounts.HashOf(accountSecret(t, lb, spec.Name)))
		require.Equal(t, v1alpha1.ServiceAccountStatus{Name: spec.Name, SecretName: workload.AccountName(lb, spec.Name)}, lb.Status.ServiceAccounts[i])
	}
	require.Len(t, lb.Status.ServiceAccounts, len(set))
}

// gameWithAccounts makes a game that has service accounts.
func gameWithAccounts(t *testing.T, class *v1alpha1.LeaderboardClass, list ...v1alpha1.ServiceAccount) *v1alpha1.Leaderboard {
	t.Helper()
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	ns := namespace(t)
	playDeployments(t, ns)
	lb := newLeaderboard(ns, class)
	lb.Spec.ServiceAccounts = list
	create(t, lb)
	becomes(t, lb, allReady)
	return lb
}

// settle has the operator look at the game once more.
func settle(t *testing.T, lb *v1alpha1.Leaderboard) {
	t.Helper()
	other := map[v1alpha1.DeletionPolicy]v1alpha1.DeletionPolicy{v1alpha1.DeletionPolicyRetain: v1alpha1.DeletionPolicyDelete, v1alpha1.DeletionPolicyDelete: v1alpha1.DeletionPolicyRetain}
	patch(t, lb, func() { lb.Spec.DeletionPolicy = other[lb.Spec.DeletionPolicy] })
	becomes(t, lb, allReady)
}

// An account gets a Secret, the servers get its hash, and what is not used is not there.
func TestServiceAccounts(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	plain := readyGame(t, class)
	require.Nil(t, secretNamed(t, plain, workload.AccountsName(plain)))
	require.Nil(t, plain.Status.ServiceAccounts)

	lb := gameWithAccounts(t, class, matchServer, statsServer)
	accountsAreWhole(t, lb)
	secret := secretNamed(t, lb, "race-leaderboard-account-match-server")
	require.Equal(t, map[string][]byte{"client-id": []byte("match-server"), "client-secret": secret.Data["client-secret"],
		"token-url": []byte(lb.Status.Endpoint + "/v1/auth/token")}, secret.Data)
	require.Len(t, secret.Data["client-secret"], 43, "256 bits")
	require.True(t, metav1.IsControlledBy(secret, lb))

	// What the Pods are given has no secret in it.
	given := secretNamed(t, lb, workload.AccountsName(lb))
	require.NotContains(t, string(given.Data[workload.AccountsKey]), string(secret.Data["client-secret"]))
	for _, volume := range deploymentOf(t, lb).Spec.Template.Spec.Volumes {
		require.False(t, volume.Secret != nil && volume.Secret.SecretName == secret.Name)
		if volume.Secret != nil && volume.Secret.SecretName == given.Name {
			require.Equal(t, []corev1.KeyToPath{{Key: workload.AccountsKey, Path: workload.AccountsKey}}, volume.Secret.Items)
		}
	}

	// Nothing is written when nothing has changed, and another account replaces no Pod.
	settle(t, lb)
	require.Equal(t, secret.ResourceVersion, secretNamed(t, lb, secret.Name).ResourceVersion)
	require.Equal(t, given.ResourceVersion, secretNamed(t, lb, given.Name).ResourceVersion)
	generation := deploymentOf(t, lb).Generation
	added := v1alpha1.ServiceAccount{Name: "third-server", Scopes: []v1alpha1.Scope{v1alpha1.ScopeAdmin}}
	patch(t, lb, func() { lb.Spec.ServiceAccounts = append(lb.Spec.ServiceAccounts, added) })
	becomes(t, lb, allReady)
	accountsAreWhole(t, lb)

	// Other scopes keep the secret.
	patch(t, lb, func() { lb.Spec.ServiceAccounts[0].Scopes = []v1alpha1.Scope{v1alpha1.ScopeModerate} })
	becomes(t, lb, allReady)
	accountsAreWhole(t, lb)
	require.Equal(t, string(secret.Data["client-secret"]), accountSecret(t, lb, "match-server"))

	// An account that is removed goes with its Secret, and so does the last one.
	patch(t, lb, func() { lb.Spec.ServiceAccounts = lb.Spec.ServiceAccounts[1:] })
	becomes(t, lb, allReady)
	accountsAreWhole(t, lb)
	require.Empty(t, accountSecret(t, lb, "match-server"))
	require.Equal(t, generation, deploymentOf(t, lb).Generation)

	patch(t, lb, func() { lb.Spec.ServiceAccounts = nil })
	becomes(t, lb, allReady)
	require.Empty(t, accountSecret(t, lb, "stats-server"))
	require.Empty(t, accountSecret(t, lb, "third-server"))
	require.Empty(t, accountsOf(t, lb), "Pods that still run know none, either")
	require.Nil(t, lb.Status.ServiceAccounts)
	require.Greater(t, deploymentOf(t, lb).Generation, generation)

	// One that comes back is another one.
	patch(t, lb, func() { lb.Spec.ServiceAccounts = []v1alpha1.ServiceAccount{matchServer} })
	becomes(t, lb, allReady)
	accountsAreWhole(t, lb)
	require.False(t, accepts(t, lb, string(secret.Data["client-secret"])))
}

// What somebody deletes or changes is put right; what they hold from before is good for
// some time, and what they chose never is.
func TestServiceAccountsComeBack(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t, func(o *ManagerOptions) { o.SecretOverlap = time.Hour }), postgres, redis)
	lb := gameWithAccounts(t, class, matchServer)
	name := workload.AccountName(lb, "match-server")
	first := accountSecret(t, lb, "match-server")

	require.NoError(t, cluster.Delete(t.Context(), secretNamed(t, lb, name)))
	require.Eventually(t, func() bool { return accountSecret(t, lb, "match-server") != "" }, patience, poll)
	settle(t, lb)
	second := accountSecret(t, lb, "match-server")
	require.NotEqual(t, first, second)
	require.True(t, accepts(t, lb, first))
	require.True(t, accepts(t, lb, second))

	_, chosen := accounts.Account{}.Issue(time.Now()) // of the right form
	for _, written := range []string{chosen, "swordfish", first} {
		before, secret := accountSecret(t, lb, "match-server"), secretNamed(t, lb, name)
		patch(t, secret, func() { secret.Data[workload.ClientSecretKey] = []byte(written) })
		require.Eventually(t, func() bool {
			now := accountSecret(t, lb, "match-server")
			return now != written && now != before
		}, patience, poll)
		settle(t, lb)
		require.Equal(t, written == first, accepts(t, lb, written))
	}

	// Other fields are put right, and keep the secret.
	secret := secretNamed(t, lb, name)
	before := maps.Clone(secret.Data)
	patch(t, secret, func() {
		secret.Data[workload.TokenURLKey], secret.Data[workload.ClientIDKey] = []byte("http://example.com"), []byte("x")
		delete(secret.Labels, workload.LabelManagedBy)
	})
	require.Eventually(t, func() bool { return string(secretNamed(t, lb, name).Data[workload.ClientIDKey]) == "match-server" }, patience, poll)
	require.Equal(t, before, secretNamed(t, lb, name).Data)

	// A Secret for the servers that is lost takes the secrets as they are served; one that is
	// damaged, too.
	served := accountSecret(t, lb, "match-server")
	given := secretNamed(t, lb, workload.AccountsName(lb))
	require.NoError(t, cluster.Delete(t.Context(), given))
	require.Eventually(t, func() bool { return secretNamed(t, lb, given.Name) != nil }, patience, poll)
	patch(t, given, func() { given.Data[workload.AccountsKey] = []byte("{") })
	require.Eventually(t, func() bool { return string(secretNamed(t, lb, given.Name).Data[workload.AccountsKey]) != "{" }, patience, poll)
	settle(t, lb)
	require.Equal(t, served, accountSecret(t, lb, "match-server"))
	require.True(t, accepts(t, lb, served))
}

// ageAccounts makes all that was issued to service accounts older.
func ageAccounts(t *testing.T, lb *v1alpha1.Leaderboard, by time.Duration) {
	t.Helper()
	set := accountsOf(t, lb)
	for i := range set {
		for j := range set[i].Secrets {
			set[i].Secrets[j].IssuedAt = set[i].Secrets[j].IssuedAt.Add(-by)
		}
	}
	file, err := set.Marshal()
	require.NoError(t, err)
	given := secretNamed(t, lb, workload.AccountsName(lb))
	patch(t, given, func() { given.Data[workload.AccountsKey] = file })
}

// A secret is replaced without a moment in which the one that is served is refused: the
// servers know the new one first, and accept the old one for some time.
func TestServiceAccountsRotate(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t, func(o *ManagerOptions) {
		o.Retirement, o.SecretOverlap = Retirement{Least: time.Hour, Most: time.Hour}, 2*time.Hour
	}), postgres, redis)
	lb := gameWithAccounts(t, class, matchServer)
	old := accountSecret(t, lb, "match-server")
	generation := deploymentOf(t, lb).Generation

	ageAccounts(t, lb, time.Hour)
	askToRotate(t, lb, "once")
	require.Eventually(t, func() bool {
		account, _ := accountsOf(t, lb).Lookup("match-server")
		return len(account.Secrets) == 2
	}, patience, poll)
	settle(t, lb)
	require.Equal(t, old, accountSecret(t, lb, "match-server"), "until the servers know the new one")
	require.True(t, accepts(t, lb, old))
	require.NotEqual(t, "{}", pendingOf(t, lb))

	// An hour later the time is up.
	require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, "UPDATE leaderboard_operator.tenants SET issued_at = issued_at - interval '1 hour'"))
	ageAccounts(t, lb, time.Hour)
	require.Eventually(t, func() bool { return accountSecret(t, lb, "match-server") != old }, patience, poll)
	settle(t, lb)
	accountsAreWhole(t, lb)
	require.True(t, accepts(t, lb, old))
	require.True(t, accepts(t, lb, accountSecret(t, lb, "match-server")))
	account, _ := accountsOf(t, lb).Lookup("match-server")
	require.InDelta(t, 2*time.Hour.Seconds(), time.Until(account.Secrets[0].ExpiresAt).Seconds(), 300, "the overlap begins when the new one is served")
	require.True(t, account.Newest().ExpiresAt.IsZero())
	require.Equal(t, generation, deploymentOf(t, lb).Generation, "no Pod is replaced")
}

// A Secret of somebody else's is left alone, and nobody accepts what is in it.
func TestForeignServiceAccountSecret(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	_, chosen := accounts.Account{}.Issue(time.Now())
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.AccountName(lb, "match-server"),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "1", Controller: new(true)}}},
		Data: map[string][]byte{workload.ClientSecretKey: []byte(chosen)}}
	create(t, foreign)

	patch(t, lb, func() { lb.Spec.ServiceAccounts = []v1alpha1.ServiceAccount{matchServer} })
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False ApplyFailed", v1alpha1.ConditionStalled: "True ApplyFailed"})
	require.Contains(t, message(lb), foreign.Name)
	require.Equal(t, chosen, accountSecret(t, lb, "match-server"))
	require.False(t, accepts(t, lb, chosen))

	require.NoError(t, cluster.Delete(t.Context(), foreign))
	becomes(t, lb, allReady)
	accountsAreWhole(t, lb)
}

// The operator is killed at every one of its writes while it issues, replaces and removes:
// the next one makes the accounts whole, and what was served is accepted all the time.
func TestServiceAccountsSurviveACrash(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	atEveryWrite(t, func(t *testing.T, n int, mode effects.Mode) (reached bool) {
		lb := newLeaderboard(namespace(t), class)
		lb.Spec.ServiceAccounts = []v1alpha1.ServiceAccount{matchServer, statsServer}
		create(t, lb)
		driveToReady(t, newReconciler(t, controllerName, cluster), lb)
		accountsAreWhole(t, lb)

		// One account is lost, one is removed, and one added.
		served := accountSecret(t, lb, "match-server")
		require.NoError(t, cluster.Delete(t.Context(), secretNamed(t, lb, workload.AccountName(lb, "match-server"))))
		added := v1alpha1.ServiceAccount{Name: "added-server", Scopes: []v1alpha1.Scope{v1alpha1.ScopeSubmit}}
		patch(t, lb, func() { lb.Spec.ServiceAccounts = []v1alpha1.ServiceAccount{matchServer, added} })
		reached = reconcileUntilCrash(t, controllerName, n, mode, lb)
		require.True(t, accepts(t, lb, served))

		driveToReady(t, newReconciler(t, controllerName, cluster), lb)
		accountsAreWhole(t, lb)
		return reached
	})
}

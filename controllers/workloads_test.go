package controllers

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/workloads"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// projected is the token that a Pod of the ServiceAccount has, which is made if it is not there.
func projected(t *testing.T, namespace, name string, audiences ...string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	require.NoError(t, client.IgnoreAlreadyExists(cluster.Create(t.Context(), account)))
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	require.NoError(t, cluster.SubResource("token").Create(t.Context(), account, request))
	return request.Status.Token
}

// workloadsOf is what the servers are told of ServiceAccounts.
func workloadsOf(t *testing.T, lb *v1alpha1.Leaderboard) workloads.File {
	t.Helper()
	file, err := workloads.Parse(secretNamed(t, lb, workload.AccountsName(lb)).Data[workload.WorkloadsKey])
	require.NoError(t, err)
	return file
}

// servedTokens are the tokens of a server of the game that has read its files.
func servedTokens(t *testing.T, lb *v1alpha1.Leaderboard, now func() time.Time) *auth.Tokens {
	t.Helper()
	tokens, err := auth.NewTokens(lb.Status.Tenant, time.Hour, now)
	require.NoError(t, err)
	keys, err := keyset.New(time.Now().Add(-time.Minute))
	require.NoError(t, err)
	tokens.SetKeys(keys)
	tokens.SetAccounts(accountsOf(t, lb))
	require.NoError(t, tokens.SetWorkloads(workloadsOf(t, lb)))
	return tokens
}

// Pods log in with the tokens that the cluster has made for them, and nobody else does.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) {
		class.Spec.ServiceAccountIssuer = &v1alpha1.ServiceAccountIssuer{Audience: "leaderboard"}
	})
	elsewhere := namespace(t)
	account := matchServer
	account.Kubernetes = []v1alpha1.KubernetesServiceAccount{{ServiceAccount: "match"}, {ServiceAccount: "matches", Namespace: elsewhere}}
	lb := gameWithAccounts(t, class, account, statsServer)
	accountsAreWhole(t, lb)

	deployment := deploymentOf(t, lb)
	for _, volume := range deployment.Spec.Template.Spec.Volumes {
		if volume.Secret != nil && volume.Secret.SecretName == workload.AccountsName(lb) {
			require.Equal(t, workload.WorkloadsKey, volume.Secret.Items[1].Key)
		}
	}
	written := secretNamed(t, lb, workload.AccountsName(lb)).ResourceVersion
	settle(t, lb)
	require.Equal(t, written, secretNamed(t, lb, workload.AccountsName(lb)).ResourceVersion, "nothing has changed")

	now := time.Now
	tokens := servedTokens(t, lb, func() time.Time { return now() })
	good := projected(t, lb.Namespace, "match", "leaderboard")
	for _, token := range []string{good, projected(t, elsewhere, "matches", "leaderboard")} {
		found, _, err := tokens.AuthenticateWorkload(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, "match-server", found.Name)
	}

	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	forged := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{"iss": workloadsOf(t, lb).Issuer, "aud": "leaderboard",
		"sub": "system:serviceaccount:" + lb.Namespace + ":match", "exp": time.Now().Add(time.Hour).Unix()})
	parsed, _, err := jwt.NewParser().ParseUnverified(good, jwt.MapClaims{})
	require.NoError(t, err)
	forged.Header["kid"] = parsed.Header["kid"]
	ofAnotherKey, err := forged.SignedString(stranger)
	require.NoError(t, err)

	attempts := map[string]string{
		"the same name in another namespace":          projected(t, elsewhere, "match", "leaderboard"),
		"the other's name in this namespace":          projected(t, lb.Namespace, "matches", "leaderboard"),
		"another ServiceAccount":                      projected(t, lb.Namespace, "default", "leaderboard"),
		"a name that begins like it":                  projected(t, lb.Namespace, "match-2", "leaderboard"),
		"another audience":                            projected(t, lb.Namespace, "match", "vault"),
		"the audience of the API server":              projected(t, lb.Namespace, "match"),
		"several audiences":                           projected(t, lb.Namespace, "match", "leaderboard", "vault"),
		"another cluster's key, under this one's kid": ofAnotherKey,
		"damaged":  good[:len(good)-4],
		"no token": "x",
	}
	for name, token := range attempts {
		_, _, err := tokens.AuthenticateWorkload(t.Context(), token)
		require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err), "%s: %v", name, err)
	}
	t.Logf("%d attempts", len(attempts)+2)
	now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	_, _, err = tokens.AuthenticateWorkload(t.Context(), good)
	require.ErrorContains(t, err, "expired")
	now = time.Now

	// What was got with it ends with the mapping.
	found, subject, err := tokens.AuthenticateWorkload(t.Context(), good)
	require.NoError(t, err)
	token, err := tokens.IssueWorkload(found.Name, subject, found.Scopes)
	require.NoError(t, err)
	identity, err := tokens.Verify(token)
	require.NoError(t, err)
	require.Equal(t, auth.Identity{Account: "match-server", Workload: subject, Scopes: found.Scopes}, identity)

	patch(t, lb, func() { lb.Spec.ServiceAccounts[0].Kubernetes = nil })
	becomes(t, lb, allReady)
	require.Empty(t, workloadsOf(t, lb).Mappings, "servers that run still hear of it")
	require.NoError(t, tokens.SetWorkloads(workloadsOf(t, lb)))
	_, err = tokens.Verify(token)
	require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err))
	_, _, err = tokens.AuthenticateWorkload(t.Context(), good)
	require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(err))
}

// A mapping that cannot be is said in the game's condition.
func TestWorkloadsThatCannotBe(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := gameWithAccounts(t, class, matchServer, statsServer)
	match := []v1alpha1.KubernetesServiceAccount{{ServiceAccount: "match"}}
	patch(t, lb, func() { lb.Spec.ServiceAccounts[0].Kubernetes = match })
	stalls := func(says string) {
		t.Helper()
		becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False InvalidSpec", v1alpha1.ConditionStalled: "True InvalidSpec"})
		require.Contains(t, meta.FindStatusCondition(lb.Status.Conditions, v1alpha1.ConditionReady).Message, says)
	}
	stalls("has no serviceAccountIssuer")
	patch(t, class, func() { class.Spec.ServiceAccountIssuer = &v1alpha1.ServiceAccountIssuer{} })
	becomes(t, lb, allReady)
	patch(t, lb, func() { lb.Spec.ServiceAccounts[1].Kubernetes = match })
	stalls("named twice")
}

// While the API server does not say its keys, those that the servers have go on.
func TestWorkloadsWithoutTheClustersKeys(t *testing.T) {
	down := errors.New("down")
	r := &LeaderboardReconciler{clusterKeys: &clusterKeys{get: func(context.Context, string) ([]byte, error) { return nil, down }}}
	lb := &v1alpha1.Leaderboard{ObjectMeta: metav1.ObjectMeta{Namespace: "arcade", Name: "race"}}
	account := matchServer
	account.Kubernetes = []v1alpha1.KubernetesServiceAccount{{ServiceAccount: "match"}}
	lb.Spec.ServiceAccounts = []v1alpha1.ServiceAccount{account}
	p := &pass{subject: subject{lb: lb}}
	p.class = &v1alpha1.LeaderboardClass{Spec: v1alpha1.LeaderboardClassSpec{ServiceAccountIssuer: &v1alpha1.ServiceAccountIssuer{Audience: "leaderboard"}}}

	_, err := r.workloadsFile(t.Context(), p, &accountState{})
	require.ErrorIs(t, err, down, "there is nothing that could go on")

	had, err := workloads.File{Issuer: "https://cluster", Audience: "leaderboard", Keys: []byte(`{"keys": []}`)}.Marshal()
	require.NoError(t, err)
	content, err := r.workloadsFile(t.Context(), p, &accountState{secret: &corev1.Secret{Data: map[string][]byte{workload.WorkloadsKey: had}}})
	require.NoError(t, err)
	require.ErrorIs(t, p.later, down)
	file, err := workloads.Parse(content)
	require.NoError(t, err)
	require.Equal(t, "https://cluster", file.Issuer)
	require.Equal(t, []workloads.Mapping{{Namespace: "arcade", ServiceAccount: "match", Account: "match-server"}}, file.Mappings)
}

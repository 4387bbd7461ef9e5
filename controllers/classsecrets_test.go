package controllers

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// securedStores ask everybody for a client certificate.
func securedStores(t *testing.T, authority *stores.Authority) (*stores.Postgres, *stores.Redis) {
	t.Helper()
	pg, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{Authority: authority, ClientCertificates: true})
	require.NoError(t, err)
	t.Cleanup(pg.Close)
	rdb, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true, Authority: authority, ClientCertificates: true})
	require.NoError(t, err)
	t.Cleanup(rdb.Close)
	return pg, rdb
}

func operatorSecret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}}
}

// A class whose stores ask for certificates, with its Secrets as others write them: no
// Secret goes where its owner has not said that it may, and games get what they need.
func TestSecretsOfOthers(t *testing.T) {
	t.Parallel()
	authority, err := stores.NewAuthority()
	require.NoError(t, err)
	pg, rdb := securedStores(t, authority)
	certificate, key, err := authority.Issue()
	require.NoError(t, err)
	class := newClass(t, startManager(t), pg, rdb, func(class *v1alpha1.LeaderboardClass) {
		admin := operatorSecret(class.Spec.Postgres.AdminSecretRef.Name)
		patch(t, admin, func() {
			admin.Data = map[string][]byte{"pg-user": admin.Data["username"], "pg-password": admin.Data["password"]}
		})
		createSecret(t, class.Name+"-authority", map[string]string{"bundle.pem": string(key) + string(authority.PEM)})
		createSecret(t, class.Name+"-games", map[string]string{"tls.crt": string(certificate), "tls.key": string(key)})
		class.Spec.Postgres.AdminSecretRef.UsernameKey, class.Spec.Postgres.AdminSecretRef.PasswordKey = "pg-user", "pg-password"
		class.Spec.Redis.AdminSecretRef.Username = stores.AdminUser
		class.Spec.Postgres.SSLMode, class.Spec.Redis.TLS = v1alpha1.SSLModeVerifyCA, true
		ca, games := &v1alpha1.CASecretReference{Name: class.Name + "-authority", Key: "bundle.pem"}, &v1alpha1.SecretReference{Name: class.Name + "-games"}
		class.Spec.Postgres.CASecretRef, class.Spec.Redis.CASecretRef = ca, ca
		class.Spec.Postgres.ClientCertificateSecretRef, class.Spec.Redis.ClientCertificateSecretRef = games, games
	})

	// Each Secret has to say where what is in it may go.
	for _, needs := range []struct{ secret, annotation, value string }{
		{class.Spec.Postgres.AdminSecretRef.Name, v1alpha1.HostsAnnotation, "127.0.0.1"},
		{class.Name + "-games", v1alpha1.ShareAnnotation, "true"},
		{class.Spec.Redis.AdminSecretRef.Name, v1alpha1.HostsAnnotation, "127.0.0.1"},
	} {
		eventually(t, class, func() bool {
			return strings.Contains(describe(class), needs.annotation) && strings.Contains(describe(class), needs.secret+" ")
		})
		require.Equal(t, "False SecretInvalid", conditionText(class.Status.Conditions, v1alpha1.ConditionAccepted))
		secret := operatorSecret(needs.secret)
		patch(t, secret, func() { secret.Annotations = map[string]string{needs.annotation: needs.value} })
	}

	lb := readyGame(t, class)
	secret := credentialsOf(t, lb)
	require.Equal(t, certificate, secret.Data[workload.RedisCertKey])
	require.Equal(t, key, secret.Data[workload.PostgresKeyKey])
	require.Equal(t, authority.PEM, secret.Data[workload.PostgresCAKey], "certificates alone")
	u, err := url.Parse(string(secret.Data[workload.DatabaseURLKey]))
	require.NoError(t, err)
	require.Equal(t, url.Values{"sslmode": {"verify-ca"}, "sslrootcert": {workload.PostgresCAPath}, "sslcert": {workload.PostgresCertPath}, "sslkey": {workload.PostgresKeyPath}}, u.Query())

	// A renewed certificate is served without a new Pod, and used by the operator.
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.Name(lb)}}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment))
	template := deployment.Spec.Template.DeepCopy()
	renewed, renewedKey, err := authority.Issue()
	require.NoError(t, err)
	games := operatorSecret(class.Name + "-games")
	patch(t, games, func() { games.Data = map[string][]byte{"tls.crt": renewed, "tls.key": renewedKey} })
	eventually(t, secret, func() bool { return bytes.Equal(secret.Data[workload.PostgresCertKey], renewed) })
	becomes(t, lb, allReady)
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment))
	require.Equal(t, template, &deployment.Spec.Template)

	// One that the stores do not trust, and none, are told of.
	another, err := stores.NewAuthority()
	require.NoError(t, err)
	wrong, wrongKey, err := another.Issue()
	require.NoError(t, err)
	patch(t, games, func() { games.Data = map[string][]byte{"tls.crt": wrong, "tls.key": wrongKey} })
	classIs(t, class, v1alpha1.ConditionReachable, "False InsufficientRights")
	require.Contains(t, describe(class), "does not accept the client certificate")
	patch(t, class, func() {
		class.Spec.Postgres.ClientCertificateSecretRef, class.Spec.Redis.ClientCertificateSecretRef = nil, nil
	})
	eventually(t, class, func() bool {
		return strings.Contains(describe(class), "PostgreSQL asks for a client certificate, and there is none") &&
			strings.Contains(describe(class), "Redis asks for a client certificate, and there is none")
	})
}

// The administrator's password changes first in the Secret, as some rotators do, and then
// in PostgreSQL: games go on meanwhile, and the operator afterwards.
func TestTheSecretChangesBeforeThePassword(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	secret := operatorSecret(class.Spec.Postgres.AdminSecretRef.Name)
	patch(t, secret, func() { secret.Data["password"] = []byte("changed") })
	classIs(t, class, v1alpha1.ConditionReachable, "False InsufficientRights")
	require.True(t, logsIn(t, credentialsOf(t, lb)))

	admin, login := string(secret.Data["username"]), tenant.For("test", lb.Namespace, lb.Name).LoginRole(tenant.SlotA)
	for _, statement := range []string{"ALTER ROLE " + login + " SET work_mem = '1GB'", "ALTER ROLE " + admin + " PASSWORD 'changed'"} {
		require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, statement))
	}
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	becomes(t, lb, allReady)
	require.Eventually(t, func() bool {
		return query[bool](t, postgres, class, "SELECT NOT 'work_mem=1GB' = ANY (rolconfig) FROM pg_roles WHERE rolname = $1", login)
	}, patience, poll)
}

package controllers

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
)

// askToRotate asks for new credentials and waits until they are served.
func askToRotate(t *testing.T, lb *v1alpha1.Leaderboard, request string) *corev1.Secret {
	t.Helper()
	before := credentialsOf(t, lb)
	patch(t, lb, func() { metav1.SetMetaDataAnnotation(&lb.ObjectMeta, v1alpha1.RotateAnnotation, request) })
	require.Eventually(t, func() bool {
		return !bytes.Equal(credentialsOf(t, lb).Data[workload.PostgresPasswordKey], before.Data[workload.PostgresPasswordKey])
	}, patience, poll)
	return credentialsOf(t, lb)
}

// ageSigningKeys gives the game a key that was made an hour ago.
func ageSigningKeys(t *testing.T, lb *v1alpha1.Leaderboard) {
	t.Helper()
	set, err := keyset.New(time.Now().Add(-time.Hour))
	require.NoError(t, err)
	file, err := set.Marshal()
	require.NoError(t, err)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.SigningKeysName(lb)}}
	patch(t, secret, func() { secret.Data[workload.SigningKeysKey] = file })
}

func signingKeysOf(t *testing.T, lb *v1alpha1.Leaderboard) keyset.Set {
	t.Helper()
	secret := &corev1.Secret{}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: lb.Namespace, Name: workload.SigningKeysName(lb)}, secret))
	set, err := keyset.Parse(secret.Data[workload.SigningKeysKey])
	require.NoError(t, err)
	return set
}

// redisAs is a client with the served credentials.
func redisAs(t *testing.T, secret *corev1.Secret) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: redis.Address(), Username: string(secret.Data[workload.RedisUsernameKey]),
		Password: string(secret.Data[workload.RedisPasswordKey]), DisableIdentity: true, MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func canLogIn(t *testing.T, class *v1alpha1.LeaderboardClass, role string) bool {
	t.Helper()
	return query[bool](t, postgres, class, "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1", role)
}

// New logins are served without replacing a Pod; the old one works until its last
// session has ended.
func TestRotationOnDemand(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t, func(o *ManagerOptions) { o.Retirement.Most = time.Hour }), postgres, redis)
	lb := readyGame(t, class)
	name := tenant.For("test", lb.Namespace, lb.Name)
	ageSigningKeys(t, lb)
	before, deployment, keys := credentialsOf(t, lb), deploymentOf(t, lb), signingKeysOf(t, lb)

	session, err := connectAs(t, before)
	require.NoError(t, err)
	after := askToRotate(t, lb, "once")
	require.Equal(t, "a", string(before.Data[workload.SlotKey]))
	require.Equal(t, "b", string(after.Data[workload.SlotKey]))
	second, err := connectAs(t, after)
	require.NoError(t, err)
	require.NoError(t, second.Close(t.Context()))
	for _, secret := range []*corev1.Secret{before, after} {
		require.NoError(t, redisAs(t, secret).Ping(t.Context()).Err())
	}

	becomes(t, lb, allReady)
	require.Equal(t, deployment.Generation, deploymentOf(t, lb).Generation, "no Pod is replaced")
	require.True(t, canLogIn(t, class, name.LoginRole(tenant.SlotA)), "a session of it is left")
	_, err = session.Exec(t.Context(), "SELECT 1")
	require.NoError(t, err)

	// Asking again while the old login is in use changes nothing yet.
	patch(t, lb, func() { metav1.SetMetaDataAnnotation(&lb.ObjectMeta, v1alpha1.RotateAnnotation, "twice") })
	becomes(t, lb, allReady)
	require.Equal(t, after.Data, credentialsOf(t, lb).Data)

	require.NoError(t, session.Close(t.Context()))
	require.Eventually(t, func() bool { return string(credentialsOf(t, lb).Data[workload.SlotKey]) == "a" }, patience, poll)
	require.Eventually(t, func() bool { return !canLogIn(t, class, name.LoginRole(tenant.SlotB)) }, patience, poll)
	served := credentialsOf(t, lb)
	require.Eventually(t, func() bool { return redisAs(t, before).Ping(t.Context()).Err() != nil }, patience, poll)
	require.NoError(t, redisAs(t, served).Ping(t.Context()).Err())

	// Signing keys were added, and the old ones still verify.
	now := signingKeysOf(t, lb)
	require.Greater(t, len(now.Keys()), len(keys.Keys()))
	_, kept := now.Lookup(keys.Keys()[0].ID())
	require.True(t, kept)

	for range 3 {
		patch(t, lb, func() { metav1.SetMetaDataAnnotation(&lb.ObjectMeta, "example.com/touched", time.Now().String()) })
		becomes(t, lb, allReady)
	}
	require.Equal(t, served.Data, credentialsOf(t, lb).Data, "once for each value")
}

// Credentials that are as old as the class says are replaced.
func TestRotationOnSchedule(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	before := credentialsOf(t, lb)
	id := tenant.For("test", lb.Namespace, lb.Name).ID
	age := func(d string) {
		require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database,
			"UPDATE leaderboard_operator.tenants SET issued_at = clock_timestamp() - $1::text::interval WHERE id = $2", d, id))
	}

	age("107 minutes") // below nine tenths
	patch(t, class, func() { class.Spec.Rotation.Every = metav1.Duration{Duration: 2 * time.Hour} })
	require.Never(t, func() bool { return string(credentialsOf(t, lb).Data[workload.SlotKey]) != "a" }, 3*time.Second, poll)
	require.Equal(t, before.Data, credentialsOf(t, lb).Data)

	patch(t, class, func() { class.Spec.Rotation.Every = metav1.Duration{Duration: time.Hour} })
	require.Eventually(t, func() bool { return string(credentialsOf(t, lb).Data[workload.SlotKey]) == "b" }, patience, poll)
}

// A login with sessions that do not end is ended when time is up.
func TestRetirementIsBounded(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis) // at once
	lb := readyGame(t, class)
	session, err := connectAs(t, credentialsOf(t, lb))
	require.NoError(t, err)

	askToRotate(t, lb, "now")
	require.Eventually(t, func() bool {
		_, err := session.Exec(t.Context(), "SELECT 1")
		return err != nil
	}, patience, poll)
	require.Eventually(t, func() bool {
		return !canLogIn(t, class, tenant.For("test", lb.Namespace, lb.Name).LoginRole(tenant.SlotA))
	}, patience, poll)
}

// Games that were made together do not rotate together.
func TestRotationsAreSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 100 {
		d := spread(100*time.Hour, types.UID(strconv.Itoa(i)))
		require.Greater(t, d, 90*time.Hour-time.Second)
		require.LessOrEqual(t, d, 100*time.Hour)
		seen[d.Truncate(time.Hour)] = true
	}
	require.Greater(t, len(seen), 5)
}

package controllers

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// ownStores are servers that a test may stop.
func ownStores(t *testing.T) (*stores.Postgres, *stores.Redis) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	pg, err := stores.StartPostgres(ctx, stores.PostgresOptions{})
	require.NoError(t, err)
	t.Cleanup(pg.Close)
	rdb, err := stores.StartRedis(ctx, stores.RedisOptions{ACLFile: true})
	require.NoError(t, err)
	t.Cleanup(rdb.Close)

	return pg, rdb
}

// Stores that are away make conditions false, and true again when they are back.
func TestStoresAway(t *testing.T) {
	pg, rdb := ownStores(t)
	class := newClass(t, startManager(t), pg, rdb)
	lb := readyGame(t, class)

	t.Run("Redis", func(t *testing.T) {
		rdb.Kill()
		becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False RedisUnreachable", v1alpha1.ConditionKeyspaceReady: "False RedisUnreachable",
			v1alpha1.ConditionSchemaReady: "True Ready", v1alpha1.ConditionReconciling: "True RedisUnreachable", v1alpha1.ConditionStalled: ""})
		classIs(t, class, v1alpha1.ConditionReachable, "False RedisUnreachable")

		// The game still runs without Redis, so it is still looked after.
		require.NoError(t, cluster.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.Name(lb)}}))
		eventually(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.Name(lb)}}, func() bool { return true })

		require.NoError(t, rdb.Start(t.Context()))
		becomes(t, lb, allReady)
		classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	})

	t.Run("Postgres", func(t *testing.T) {
		pg.Kill()
		becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False PostgresUnreachable", v1alpha1.ConditionSchemaReady: "False PostgresUnreachable",
			v1alpha1.ConditionReconciling: "True PostgresUnreachable", v1alpha1.ConditionStalled: ""})
		classIs(t, class, v1alpha1.ConditionReachable, "False PostgresUnreachable")
		require.NoError(t, pg.Start(t.Context()))
		becomes(t, lb, allReady)
		classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	})

	t.Run("while a game is made", func(t *testing.T) {
		pg.Kill()
		second := newLeaderboard(lb.Namespace, class)
		second.Name = "chess"
		create(t, second)
		becomes(t, second, map[string]string{v1alpha1.ConditionReady: "False PostgresUnreachable", v1alpha1.ConditionSchemaReady: "False PostgresUnreachable",
			v1alpha1.ConditionKeyspaceReady: "Unknown Pending", v1alpha1.ConditionWorkloadAvailable: "Unknown Pending"})
		require.NoError(t, pg.Start(t.Context()))
		becomes(t, second, allReady)
	})

	t.Run("while a game is deleted", func(t *testing.T) {
		rdb.Kill()
		require.NoError(t, cluster.Delete(t.Context(), lb))
		eventually(t, lb, func() bool {
			return conditionText(lb.Status.Conditions, v1alpha1.ConditionKeyspaceReady) == "False RedisUnreachable"
		})
		require.NoError(t, rdb.Start(t.Context()))
		eventuallyGone(t, lb)
	})
}

func classIs(t testing.TB, class *v1alpha1.LeaderboardClass, conditionType, is string) {
	t.Helper()
	eventually(t, class, func() bool { return conditionText(class.Status.Conditions, conditionType) == is })
}

// hasUser asks Redis for the tenant's user.
func hasUser(t *testing.T, rdb *stores.Redis, name tenant.Tenant) bool {
	t.Helper()
	admin := rdb.Client()
	defer admin.Close()

	users, err := admin.Do(t.Context(), "ACL", "USERS").StringSlice()
	if err != nil {
		return false // it is being restarted
	}

	for _, user := range users {
		if user == name.RedisUser() {
			return true
		}
	}

	return false
}

// A Redis that may evict keys is refused until that is changed.
func TestEvictingRedis(t *testing.T) {
	pg, rdb := ownStores(t)
	admin := rdb.Client()
	defer admin.Close()

	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	class := newClass(t, startManager(t), pg, rdb)
	ns := namespace(t)
	playDeployments(t, ns)
	lb := create(t, newLeaderboard(ns, class))
	classIs(t, class, v1alpha1.ConditionReachable, "False Misconfigured")
	require.Contains(t, meta.FindStatusCondition(class.Status.Conditions, v1alpha1.ConditionReachable).Message, "set maxmemory-policy noeviction")
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False ClassNotReady", v1alpha1.ConditionStalled: "True ClassNotReady"})

	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	becomes(t, lb, allReady)
}

// A Redis that has lost its users gets them back within seconds, without a
// change of any object and long before the resync.
func TestLostUsersComeBack(t *testing.T) {
	pg, rdb := ownStores(t)
	class := newClass(t, startManager(t, func(o *ManagerOptions) { o.Resync = patience * 10 }), pg, rdb)
	lb := readyGame(t, class)
	name := tenant.For("test", lb.Namespace, lb.Name)
	require.True(t, hasUser(t, rdb, name))

	rdb.Kill()
	require.NoError(t, os.Remove(rdb.ACLPath()))
	require.NoError(t, rdb.Start(t.Context()))
	require.Eventually(t, func() bool { return hasUser(t, rdb, name) }, patience, poll)
}

// A role or a user that somebody changed is as it was after the next resync.
func TestDriftInTheStores(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	name := tenant.For("test", lb.Namespace, lb.Name)

	require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, "ALTER ROLE "+name.LoginRole(tenant.SlotA)+" NOLOGIN"))
	require.Eventually(t, func() bool {
		conn, err := connectAs(t, credentialsOf(t, lb))
		return err == nil && conn.Ping(t.Context()) == nil
	}, patience, poll)

	admin := redis.Client()
	defer admin.Close()

	require.NoError(t, admin.Do(t.Context(), "ACL", "DELUSER", name.RedisUser()).Err())
	require.Eventually(t, func() bool { return hasUser(t, redis, name) }, patience, poll)
}

// Lost credentials are replaced by those of the other slot; the old ones work while Pods
// use them, and not after.
func TestLostCredentials(t *testing.T) {
	class := newClass(t, startManager(t, func(o *ManagerOptions) { o.Retirement.Most = time.Hour }), postgres, redis)
	lb := readyGame(t, class)
	deployment, old := deploymentOf(t, lb), credentialsOf(t, lb)
	require.Equal(t, "a", string(old.Data[workload.SlotKey]))
	pod, err := connectAs(t, old)
	require.NoError(t, err)

	require.NoError(t, cluster.Delete(t.Context(), old.DeepCopy()))
	served := old.DeepCopy()
	eventually(t, served, func() bool { return served.UID != old.UID })
	require.Equal(t, "b", string(served.Data[workload.SlotKey]))
	require.Eventually(t, func() bool { return logsIn(t, served) }, patience, poll)
	require.True(t, logsIn(t, old), "a Pod has not read the new ones yet")
	becomes(t, lb, allReady)
	require.Equal(t, deployment.Generation, deploymentOf(t, lb).Generation, "no Pod is replaced")

	require.NoError(t, pod.Close(t.Context()))
	require.Eventually(t, func() bool { return !logsIn(t, old) }, patience, poll)
	require.True(t, logsIn(t, served))
}

// A damaged Secret is as good as a lost one.
func TestDamagedSecrets(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	credentials := credentialsOf(t, lb)
	patch(t, credentials, func() {
		credentials.Data = map[string][]byte{workload.SlotKey: []byte("a"), workload.PostgresPasswordKey: []byte("short")}
	})

	eventually(t, credentials, func() bool { return string(credentials.Data[workload.SlotKey]) == "b" })
	require.Eventually(t, func() bool { _, err := connectAs(t, credentials); return err == nil }, patience, poll)

	keys := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: lb.Namespace, Name: workload.SigningKeysName(lb)}}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(keys), keys))
	intact := string(keys.Data[workload.SigningKeysKey])
	patch(t, keys, func() { keys.Labels = nil })
	eventually(t, keys, func() bool { return keys.Labels[workload.LabelManagedBy] == workload.ManagedBy })
	require.Equal(t, intact, string(keys.Data[workload.SigningKeysKey]), "keys that are intact are kept")
	patch(t, keys, func() { keys.Data = nil })
	eventually(t, keys, func() bool { return len(keys.Data[workload.SigningKeysKey]) > 0 })
	require.NotEqual(t, intact, string(keys.Data[workload.SigningKeysKey]))
	becomes(t, lb, allReady)
}

// What somebody writes into the Secret is not obeyed: the login that runs goes on, the
// one that was written never works, and another one is issued.
func TestWrittenCredentialsAreNotObeyed(t *testing.T) {
	class := newClass(t, startManager(t, func(o *ManagerOptions) { o.Retirement.Most = time.Hour }), postgres, redis)
	lb := readyGame(t, class)
	running := credentialsOf(t, lb)
	pod, err := connectAs(t, running)
	require.NoError(t, err)

	written, chosen := running.DeepCopy(), "chosen-by-the-tenant-itself-0123456789"
	patch(t, written, func() {
		written.Data[workload.PostgresPasswordKey], written.Data[workload.RedisPasswordKey] = []byte(chosen), []byte(chosen)
		written.Data[workload.DatabaseURLKey] = bytes.ReplaceAll(running.Data[workload.DatabaseURLKey], running.Data[workload.PostgresPasswordKey], []byte(chosen))
		written.Immutable = new(true)
	})

	served := running.DeepCopy()
	eventually(t, served, func() bool { return string(served.Data[workload.SlotKey]) == "b" })
	require.NotContains(t, string(served.Data[workload.DatabaseURLKey]), chosen)
	require.Eventually(t, func() bool { return logsIn(t, served) }, patience, poll)
	require.False(t, logsIn(t, written))
	require.True(t, logsIn(t, running), "a Pod has not read the new ones yet")
	user := string(running.Data[workload.RedisUsernameKey])
	require.Eventually(t, func() bool { return redisAccepts(t, user, string(served.Data[workload.RedisPasswordKey])) }, patience, poll)
	require.True(t, redisAccepts(t, user, string(running.Data[workload.RedisPasswordKey])))
	require.False(t, redisAccepts(t, user, chosen))

	// The same again before the Pods have read them: those that run still go on.
	require.NoError(t, cluster.Delete(t.Context(), served.DeepCopy()))
	again := served.DeepCopy()
	eventually(t, again, func() bool { return again.UID != served.UID })
	require.Equal(t, "b", string(again.Data[workload.SlotKey]))
	require.Eventually(t, func() bool { return logsIn(t, again) }, patience, poll)
	require.True(t, logsIn(t, running))
	require.Eventually(t, func() bool { return redisAccepts(t, user, string(again.Data[workload.RedisPasswordKey])) }, patience, poll)
	require.True(t, redisAccepts(t, user, string(running.Data[workload.RedisPasswordKey])))

	require.NoError(t, pod.Close(t.Context()))
	require.Eventually(t, func() bool {
		return !logsIn(t, running) && !redisAccepts(t, user, string(running.Data[workload.RedisPasswordKey]))
	}, patience, poll)
	require.True(t, redisAccepts(t, user, string(again.Data[workload.RedisPasswordKey])))
}

// redisAccepts says whether the user can log in with the password.
func redisAccepts(t *testing.T, user, password string) bool {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: redis.Address(), Username: user, Password: password, DisableIdentity: true, MaxRetries: -1})
	defer client.Close()
	return client.Ping(t.Context()).Err() == nil
}

// A schema that was made for another object is not taken over unasked.
func TestOwnershipConflict(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	name := tenant.For("test", ns, "race")
	require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, "CREATE SCHEMA "+name.Schema()))
	require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database,
		"COMMENT ON SCHEMA "+name.Schema()+` IS '{"namespace":"`+ns+`","name":"race","uid":"another"}'`))
	lb := create(t, newLeaderboard(ns, class))
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False OwnershipConflict", v1alpha1.ConditionSchemaReady: "False OwnershipConflict",
		v1alpha1.ConditionStalled: "True OwnershipConflict", v1alpha1.ConditionReconciling: "", v1alpha1.ConditionKeyspaceReady: "Unknown Pending"})
	require.Contains(t, message(lb), v1alpha1.ApproveAnnotation)
	require.Empty(t, ownedBy(t, lb))

	// Deleting it leaves the other's schema alone, whatever the policy.
	patch(t, lb, func() { lb.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete })
	require.NoError(t, cluster.Delete(t.Context(), lb))
	eventuallyGone(t, lb)
	require.True(t, query[bool](t, postgres, class, "SELECT to_regnamespace($1) IS NOT NULL", name.Schema()))
}

// Deletion with either policy, and what a new Leaderboard of the name finds.
func TestDeletion(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)
	name := tenant.For("test", ns, "race")
	admin := redis.Client()
	defer admin.Close()

	remove := func(lb *v1alpha1.Leaderboard) {
		t.Helper()
		require.NoError(t, admin.Set(t.Context(), name.KeyPrefix()+"key", "value", 0).Err())
		require.NoError(t, cluster.Delete(t.Context(), lb))
		eventuallyGone(t, lb)
		collectGarbage(t, lb)
		require.False(t, hasUser(t, redis, name))
		require.Zero(t, admin.Exists(t.Context(), name.KeyPrefix()+"key").Val())
	}
	lb := create(t, newLeaderboard(ns, class))
	becomes(t, lb, allReady)
	require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, "CREATE TABLE "+name.Schema()+".marker ()"))
	old := credentialsOf(t, lb)
	remove(lb)
	require.True(t, query[bool](t, postgres, class, "SELECT to_regclass($1) IS NOT NULL", name.Schema()+".marker"), "Retain keeps the scores")
	_, err := connectAs(t, old)
	require.Error(t, err, "and nobody can log in")

	again := newLeaderboard(ns, class)
	again.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete
	create(t, again)
	becomes(t, again, allReady)
	require.True(t, query[bool](t, postgres, class, "SELECT to_regclass($1) IS NOT NULL", name.Schema()+".marker"), "found again")
	_, err = connectAs(t, credentialsOf(t, again))
	require.NoError(t, err)
	remove(again)
	require.False(t, query[bool](t, postgres, class, "SELECT to_regnamespace($1) IS NOT NULL", name.Schema()))
	require.Empty(t, rolesOf(t, postgres, class, name.Schema()))
}

// Without its class a Leaderboard cannot be deleted, but for the way out that
// the condition names.
func TestDeletionWithoutTheClass(t *testing.T) {
	controller := startManager(t)
	class := newClass(t, controller, postgres, redis)
	lb := readyGame(t, class)

	// The class waits for its user.
	require.NoError(t, cluster.Delete(t.Context(), class))
	classIs(t, class, v1alpha1.ConditionAccepted, "False InUse")
	require.Contains(t, describe(class), lb.Namespace+"/race")
	becomes(t, lb, allReady)

	// The admin Secret goes.
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: class.Spec.Postgres.AdminSecretRef.Name}}
	require.NoError(t, cluster.Delete(t.Context(), secret))
	require.NoError(t, cluster.Delete(t.Context(), lb))
	eventually(t, lb, func() bool {
		return conditionText(lb.Status.Conditions, v1alpha1.ConditionStalled) == "True ClassNotReady"
	})

	require.Contains(t, message(lb), v1alpha1.AbandonAnnotation)

	// Somebody takes the class away by force.
	patch(t, class, func() { class.Finalizers = nil })
	eventually(t, lb, func() bool {
		return conditionText(lb.Status.Conditions, v1alpha1.ConditionStalled) == "True ClassNotFound"
	})

	require.Contains(t, message(lb), v1alpha1.AbandonAnnotation)

	patch(t, lb, func() { lb.Annotations = map[string]string{v1alpha1.AbandonAnnotation: "true"} })
	eventuallyGone(t, lb)
	require.True(t, query[bool](t, postgres, class, "SELECT to_regnamespace($1) IS NOT NULL", tenant.For("test", lb.Namespace, "race").Schema()))
}

// The administrator's password changes: first in PostgreSQL and then in the Secret. What
// runs goes on, and so does the operator.
func TestTheAdministratorsPasswordChanges(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: class.Spec.Postgres.AdminSecretRef.Name}}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
	admin, login := string(secret.Data["username"]), tenant.For("test", lb.Namespace, lb.Name).LoginRole(tenant.SlotA)
	for _, statement := range []string{"ALTER ROLE " + admin + " PASSWORD 'changed'", "ALTER ROLE " + login + " SET work_mem = '1GB'",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + admin + "'"} {
		require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, statement))
	}

	classIs(t, class, v1alpha1.ConditionReachable, "False InsufficientRights")
	require.NotContains(t, describe(class), string(secret.Data["password"]))
	require.True(t, logsIn(t, credentialsOf(t, lb)))
	patch(t, secret, func() { secret.Data["password"] = []byte("changed") })
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	becomes(t, lb, allReady)
	require.Eventually(t, func() bool {
		return query[bool](t, postgres, class, "SELECT NOT 'work_mem=1GB' = ANY (rolconfig) FROM pg_roles WHERE rolname = $1", login)
	}, patience, poll)
}

// A class goes when its last Leaderboard has gone.
func TestClassGoesWithItsLastUser(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	require.NoError(t, cluster.Delete(t.Context(), class))
	classIs(t, class, v1alpha1.ConditionAccepted, "False InUse")
	late := newLeaderboard(lb.Namespace, class)
	late.Name = "late"
	create(t, late)
	becomes(t, late, map[string]string{v1alpha1.ConditionReady: "False ClassNotReady"})
	require.NoError(t, cluster.Delete(t.Context(), late))
	require.NoError(t, cluster.Delete(t.Context(), lb))
	eventuallyGone(t, lb)
	eventuallyGone(t, class)
}

// What is wrong with the stores of a class stands in its conditions, without
// any secret.
func TestClassConditions(t *testing.T) {
	controller := startManager(t)
	open, err := stores.StartRedis(t.Context(), stores.RedisOptions{})
	require.NoError(t, err)
	t.Cleanup(open.Close)
	const wrong = "not-the-password-of-anybody"

	for name, test := range map[string]struct {
		change  func(*v1alpha1.LeaderboardClass)
		is      string
		message string
	}{
		"both answer": {func(*v1alpha1.LeaderboardClass) {}, "True Reachable", ""},
		"Redis without a password": {func(class *v1alpha1.LeaderboardClass) {
			class.Spec.Redis.Endpoints = []string{open.Address()}
			createSecret(t, class.Name+"-default", map[string]string{"username": "default", "password": wrong})
			class.Spec.Redis.AdminSecretRef.Name = class.Name + "-default"
		}, "False Misconfigured", "default"},
		"a wrong password": {func(class *v1alpha1.LeaderboardClass) {
			createSecret(t, class.Name+"-wrong", map[string]string{"username": "postgres", "password": wrong})
			class.Spec.Postgres.AdminSecretRef.Name = class.Name + "-wrong"
		}, "False InsufficientRights", "password"},
		"no rights": {func(class *v1alpha1.LeaderboardClass) {
			require.NoError(t, postgres.Exec(t.Context(), class.Spec.Postgres.Database, "CREATE ROLE weak_"+class.Spec.Postgres.Database+" LOGIN PASSWORD '"+wrong+"'"))
			createSecret(t, class.Name+"-weak", map[string]string{"username": "weak_" + class.Spec.Postgres.Database, "password": wrong})
			class.Spec.Postgres.AdminSecretRef.Name = class.Name + "-weak"
		}, "False InsufficientRights", "CREATEROLE"},
		"nobody listens": {func(class *v1alpha1.LeaderboardClass) { class.Spec.Postgres.Port = 1 }, "False PostgresUnreachable", ""},
	} {
		t.Run(name, func(t *testing.T) {
			class := newClass(t, controller, postgres, redis, test.change)
			classIs(t, class, v1alpha1.ConditionReachable, test.is)
			require.Contains(t, describe(class), test.message)
			require.NotContains(t, describe(class), wrong)
			require.NotContains(t, describe(class), redis.AdminPassword())
			require.Equal(t, "True Accepted", conditionText(class.Status.Conditions, v1alpha1.ConditionAccepted))

			if test.is == "True Reachable" {
				require.NotEmpty(t, class.Status.PostgresVersion)
				require.NotEmpty(t, class.Status.RedisVersion)
			}
		})
	}
}

// A Leaderboard whose Pods do not end is given up after their grace period, not with
// the next resync; and one whose stores do not answer says how to delete it.
func TestDeletionIsNotHeldUp(t *testing.T) {
	class, controllerName := acceptedClass(t)
	lb := create(t, newLeaderboard(namespace(t), class))
	r := newReconciler(t, controllerName, cluster)
	r.Resync = time.Hour
	driveToReady(t, r, lb)
	require.NoError(t, cluster.Delete(t.Context(), lb))
	request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(lb)}
	result, err := r.Reconcile(t.Context(), request)
	require.NoError(t, err)
	require.NotZero(t, result.RequeueAfter)
	require.LessOrEqual(t, result.RequeueAfter, 30*time.Second+drainMargin)

	playOnce(t.Context(), t, lb.Namespace)
	broken := class.DeepCopy()
	patch(t, broken, func() { broken.Spec.Postgres.Port = 1 })
	_, err = r.Reconcile(t.Context(), request)
	require.Error(t, err)
	require.NoError(t, cluster.Get(t.Context(), request.NamespacedName, lb))
	require.Contains(t, message(lb), v1alpha1.AbandonAnnotation)
	patch(t, broken, func() { broken.Spec.Postgres.Port = class.Spec.Postgres.Port })
	driveToGone(t, r, lb)
}

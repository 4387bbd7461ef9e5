package controllers

import (
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// shows waits until the class and the game say the same, and logs what kubectl shows.
func shows(t *testing.T, class *v1alpha1.LeaderboardClass, is string, lb *v1alpha1.Leaderboard, game string) {
	t.Helper()
	classIs(t, class, v1alpha1.ConditionReady, is)
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: game})
	t.Log(row(t, class))
	t.Log(row(t, lb))
}

// A store that answers and takes no writes, or no user, makes the class and its games not
// ready, and both are again when it does.
func TestStoresThatTakeNoWrites(t *testing.T) {
	pg, rdb := ownStores(t)
	class := newClass(t, startManager(t), pg, rdb)
	require.NotEqual(t, status.CurrentStatus, kstatus(t, class))
	lb := readyGame(t, class)
	shows(t, class, "True Ready", lb, "True Ready")
	require.Equal(t, status.CurrentStatus, kstatus(t, class))
	root := rdb.Client()
	defer root.Close()

	reload := func(statement string) {
		require.NoError(t, pg.Exec(t.Context(), "postgres", statement))
		require.NoError(t, pg.Exec(t.Context(), "postgres", "SELECT pg_reload_conf()"))
	}
	for _, test := range []struct {
		name           string
		spoil, restore func()
		class, game    string
		message        string
		status         status.Status
	}{
		{"PostgreSQL is read-only", func() { reload("ALTER SYSTEM SET default_transaction_read_only = on") }, func() { reload("ALTER SYSTEM RESET default_transaction_read_only") },
			"False ReadOnly", "False ReadOnly", "default_transaction_read_only", status.InProgressStatus},
		{"Redis is a replica", func() { require.NoError(t, root.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err()) }, func() { require.NoError(t, root.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err()) },
			"False ReadOnly", "False ReadOnly", "is a replica", status.InProgressStatus},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.spoil()
			shows(t, class, test.class, lb, test.game)
			require.Contains(t, describe(class), test.message)
			require.Contains(t, message(lb), test.message)
			require.Equal(t, test.status, kstatus(t, class))
			test.restore()
			shows(t, class, "True Ready", lb, "True Ready")
		})
	}
}

// A Redis whose administrator may look at users and not write them is refused before there
// is a game.
func TestRedisThatKeepsUsers(t *testing.T) {
	rdb, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true})
	require.NoError(t, err)
	t.Cleanup(rdb.Close)
	root := rdb.Client()
	defer root.Close()

	require.NoError(t, root.Do(t.Context(), "ACL", "SETUSER", "platform", "on", ">secret", "~*", "&*", "+@all", "-acl|setuser").Err())
	class := newClass(t, startManager(t), postgres, rdb, func(class *v1alpha1.LeaderboardClass) {
		class.Spec.Redis.AdminSecretRef.Name = class.Name + "-limited"
		createSecret(t, class.Name+"-limited", map[string]string{"username": "platform", "password": "secret\n"})
	})
	lb := create(t, newLeaderboard(namespace(t), class))
	shows(t, class, "False InsufficientRights", lb, "False ClassNotReady")
	require.Contains(t, message(lb), "ACL SETUSER")
	require.Equal(t, status.FailedStatus, kstatus(t, class))
}

// A class whose IngressClass does not exist is not ready, and no more are its games that
// have an Ingress; where it cannot be known who serves them, both are.
func TestIngressClassThatNobodyHas(t *testing.T) {
	missing := unique("ingress")
	class := newClass(t, startManager(t), postgres, redis, func(class *v1alpha1.LeaderboardClass) {
		class.Spec.Exposure = v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "games.example.com", IngressClassName: &missing}
	})
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	ns := namespace(t)
	playDeployments(t, ns)
	lb := create(t, newLeaderboard(ns, class))
	inside := newLeaderboard(ns, class)
	inside.Name, inside.Spec.Exposure = "inside", &v1alpha1.ExposureSpec{Type: v1alpha1.ExposureService}
	create(t, inside)

	shows(t, class, "False IngressClassNotFound", lb, "False IngressClassNotFound")
	require.Contains(t, message(lb), "There is no IngressClass "+missing)
	require.Equal(t, status.FailedStatus, kstatus(t, lb))
	becomes(t, lb, map[string]string{v1alpha1.ConditionWorkloadAvailable: "True Ready", v1alpha1.ConditionStalled: "True IngressClassNotFound"})
	becomes(t, inside, allReady)

	create(t, &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: missing}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/ingress"}})
	shows(t, class, "True Ready", lb, "True Ready")
	classIs(t, class, v1alpha1.ConditionIngressServed, "True IngressClassFound")

	patch(t, class, func() { class.Spec.Exposure.IngressClassName = nil })
	eventually(t, class, func() bool {
		return strings.HasPrefix(conditionText(class.Status.Conditions, v1alpha1.ConditionIngressServed), "Unknown")
	})
	shows(t, class, "True Ready", lb, "True Ready")
}

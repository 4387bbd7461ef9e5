package controllers

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

func TestManagerOptionsAreChecked(t *testing.T) {
	good := ManagerOptions{Namespace: "a", ControllerName: "b", Resync: time.Second, MaxConcurrentReconciles: 1, LeaderElection: true, Election: DefaultElection}
	require.NoError(t, good.validate())
	for name, change := range map[string]func(*ManagerOptions){
		"-namespace":                 func(o *ManagerOptions) { o.Namespace = "" },
		"-controller-name":           func(o *ManagerOptions) { o.ControllerName = "" },
		"-resync":                    func(o *ManagerOptions) { o.Resync = time.Millisecond },
		"-max-concurrent-reconciles": func(o *ManagerOptions) { o.MaxConcurrentReconciles = 0 },
		"-watch-namespaces":          func(o *ManagerOptions) { o.WatchNamespaces = []string{"a", ""} },
		"a twice":                    func(o *ManagerOptions) { o.WatchNamespaces = []string{"a", "b", "a"} },
		"-leader-election-lease":     func(o *ManagerOptions) { o.Election.Lease = o.Election.Renew },
		"-leader-election-renew":     func(o *ManagerOptions) { o.Election.Renew = o.Election.Retry },
		"-leader-election-retry":     func(o *ManagerOptions) { o.Election.Retry = 0 },
	} {
		o := good
		change(&o)
		_, err := NewManager(restConfig, o)
		require.ErrorContains(t, err, name)
	}
}

// One of two operators works, and hands the lease on when it ends.
func TestLeaderElection(t *testing.T) {
	ensureOperatorNamespace(t)
	controller := unique("leader") + "/operator"
	elected := func(o *ManagerOptions) { o.LeaderElection, o.ControllerName = true, controller }
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: leaseName}}
	t.Run("the first", func(t *testing.T) {
		startManager(t, elected)
		class := newClass(t, controller, postgres, redis)
		classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
		eventually(t, lease, func() bool { return *lease.Spec.HolderIdentity != "" })
	})

	eventually(t, lease, func() bool { return *lease.Spec.HolderIdentity == "" })
	startManager(t, elected)
	class := newClass(t, controller, postgres, redis)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
}

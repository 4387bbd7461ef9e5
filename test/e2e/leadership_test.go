package e2e

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

// Two operators hand over the lead while games are being created: every game comes
// up, once.
func TestLeadershipHandover(t *testing.T) {
	operator := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: operatorName}}
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(operator), operator))
	before := *operator.Spec.Replicas
	scale := func(replicas int32) {
		require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(operator), operator))
		_, err := patch(t.Context(), operator, func() { operator.Spec.Replicas = &replicas })
		require.NoError(t, err)
		rolledOut(t, operator, 0)
	}

	scale(2)
	defer scale(before)

	ns := namespace(t)
	var list []*games.Leaderboard
	for i := range 6 {
		lb := game(ns, fmt.Sprintf("race-%d", i), 1)
		require.NoError(t, cluster.Create(t.Context(), lb))
		list = append(list, lb)
		if i%2 == 1 {
			deposeLeader(t)
		}
	}

	tenants := make(map[string]bool)
	for _, lb := range list {
		ready(t, lb)
		require.False(t, tenants[lb.Status.Tenant], "two games are tenant %s", lb.Status.Tenant)
		tenants[lb.Status.Tenant] = true
		result, err := match.Match{Client: connect(t, lb), Boards: match.Boards(allBoards), Names: []string{"ada", "bo"}, Rounds: 1, Seed: 7}.Play(t.Context())
		require.NoError(t, err)
		require.NoError(t, result.Verify(t.Context()))
	}

	deployments := &appsv1.DeploymentList{}
	require.NoError(t, cluster.List(t.Context(), deployments, client.InNamespace(ns)))
	require.Len(t, deployments.Items, len(list))
}

// deposeLeader ends the operator's Pods one after the other until another one leads.
// Where a Pod's host name is its own, the first is the leader's.
func deposeLeader(t *testing.T) {
	t.Helper()
	leases := &coordinationv1.LeaseList{}
	require.NoError(t, cluster.List(t.Context(), leases, client.InNamespace(operatorNamespace)))
	require.Len(t, leases.Items, 1)
	lease := &leases.Items[0]
	eventually(t, lease, func() bool { return lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" })

	leader := *lease.Spec.HolderIdentity // the host name, "_" and an id
	pods := &corev1.PodList{}
	require.NoError(t, cluster.List(t.Context(), pods, client.InNamespace(operatorNamespace)))
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int {
		return cmp.Compare(strings.Index(leader, b.Name), strings.Index(leader, a.Name)) // -1: not in it
	})

	handover := 20 * time.Second // a lease lasts 15 s where its holder did not give it back
	for i := range pods.Items {
		if i == len(pods.Items)-1 {
			handover = readyTimeout // the leader is among those that have been ended
		}

		require.NoError(t, client.IgnoreNotFound(cluster.Delete(t.Context(), &pods.Items[i], client.GracePeriodSeconds(1))))
		err := wait.PollUntilContextTimeout(t.Context(), poll, handover, true, func(ctx context.Context) (bool, error) {
			if err := cluster.Get(ctx, client.ObjectKeyFromObject(lease), lease); err != nil {
				return false, err
			}
			return lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" && *lease.Spec.HolderIdentity != leader, nil
		})
		if err == nil {
			return
		}
	}

	t.Fatalf("%s still leads", leader)
}

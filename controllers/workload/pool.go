package workload

import (
	"math/bits"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

const (
	// minPoolSize is the least number of connections that a Pod works with: one
	// for a batch of submissions and one for everything else.
	minPoolSize = 2
	// maxPoolSize is where more connections stop helping one Pod: submissions
	// are committed in groups.
	maxPoolSize = 16
	// leastPlannedReplicas is what pools are planned for at the least.
	leastPlannedReplicas = 4
	// rolloutFactor: while a rollout replaces every Pod, the old ones may still
	// be draining, so there are up to twice as many. It is also what makes room when
	// Pods are added: kubelet tells those that there are of their smaller pools within
	// about a minute, and until then the new ones need no more than half of the limit.
	rolloutFactor = 2
	// besidesPool is the connection on which each Pod leads the catch-up of the
	// ranking, or waits to.
	besidesPool = 1
)

// PoolSize is how many Postgres connections each of up to replicas Pods may
// open, so that all together, even during a rollout, stay within the tenant's
// limit. It returns 0 when the limit does not suffice.
//
// It depends on the replicas rounded up to a power of two: Pods open their
// connections again when it changes, which scaling from 5 to 6 should not need. With
// the default limit of 120 that gives 120/(2*4) - 1 = 14 connections each for up
// to 4 Pods and, exactly counted, 2 for 20.
func PoolSize(limit, replicas int32) int32 {
	planned := max(leastPlannedReplicas, int32(1)<<bits.Len32(uint32(max(replicas, 1)-1)))
	if size := limit/(rolloutFactor*planned) - besidesPool; size >= minPoolSize {
		return min(size, maxPoolSize)
	}
	if replicas > MaxPods(limit) || MaxPods(limit) == 0 {
		return 0
	}

	return minPoolSize
}

// ConnectionLimit is how many Postgres connections one tenant of the class may open: no
// more than half of those that Postgres accepts, so that none shuts all others out.
func ConnectionLimit(class *v1alpha1.LeaderboardClass) int32 {
	limit := class.Spec.Limits.PostgresConnections
	if accepted := class.Status.PostgresConnections; accepted > 0 {
		limit = min(limit, accepted/2)
	}
	return limit
}

// Connections is how many Postgres connections the Pods of a Leaderboard may open while
// none is being replaced.
func Connections(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) int32 {
	pods := MaxReplicas(lb, class)
	return pods * (PoolSize(ConnectionLimit(class), pods) + besidesPool)
}

// MaxPods is the greatest number of Pods for which a limit of connections
// suffices.
func MaxPods(limit int32) int32 {
	return limit / (rolloutFactor * (minPoolSize + besidesPool))
}

package workload

import "math/bits"

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
	// be draining, so there are up to twice as many.
	rolloutFactor = 2
	// reservedConnections are outside the pools: the one of the Pod that leads
	// the catch-up of the ranking, and that of a Pod that tries to.
	reservedConnections = 2
)

// PoolSize is how many Postgres connections each of up to replicas Pods may
// open, so that all together, even during a rollout, stay within the tenant's
// limit. It returns 0 when the limit does not suffice.
//
// It depends on the replicas rounded up to a power of two, since the Pods are
// replaced when it changes: scaling from 5 to 6 should not replace them. With
// the default limit of 40 that gives (40-2)/(2*4) = 4 connections each for up
// to 4 Pods, (40-2)/(2*8) = 2 for up to 8 and, exactly counted, 2 for 9.
func PoolSize(limit, replicas int32) int32 {
	limit -= reservedConnections
	planned := max(leastPlannedReplicas, int32(1)<<bits.Len32(uint32(max(replicas, 1)-1)))
	if size := limit / (rolloutFactor * planned); size >= minPoolSize {
		return min(size, maxPoolSize)
	}
	if limit/(rolloutFactor*max(replicas, 1)) < minPoolSize {
		return 0
	}
	return minPoolSize
}

// MaxPods is the greatest number of Pods for which a limit of connections
// suffices.
func MaxPods(limit int32) int32 {
	return max(0, limit-reservedConnections) / (rolloutFactor * minPoolSize)
}

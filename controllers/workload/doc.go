// Package workload says what the Kubernetes objects of one Leaderboard look
// like. It is pure: the same input gives the same objects, nothing is read and
// nothing is written. The reconciler applies what it returns with server-side
// apply.
package workload

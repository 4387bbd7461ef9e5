package controllers

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

func TestSharesLeaveWorkersToOtherClasses(t *testing.T) {
	for workers, most := range map[int]int{1: 1, 2: 1, 3: 2, 16: 8} {
		s := newShares(workers)
		for range most {
			require.True(t, s.take("a"))
		}
		require.False(t, s.take("a"), "%d workers", workers)
		require.True(t, s.take("b"))
		s.giveBack("a")
		require.True(t, s.take("a"))
	}
}

// resettingServer takes connections, counts them and resets them.
func resettingServer(t *testing.T) (port int32, connections *atomic.Int64) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	connections = &atomic.Int64{}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_, _ = conn.Read(make([]byte, 1024)) // so that the other side is reading
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	}()

	return int32(listener.Addr().(*net.TCPAddr).Port), connections
}

// The games of a class whose PostgreSQL is away are told so by few attempts, however
// many there are, and one of another class comes up meanwhile. What the conditions
// say does not change from attempt to attempt.
func TestDeadClass(t *testing.T) {
	t.Parallel()
	const games = 40
	start := time.Now()
	controller := startManager(t)
	port, connections := resettingServer(t)
	dead := newClass(t, controller, postgres, redis, func(class *v1alpha1.LeaderboardClass) { class.Spec.Postgres.Port = port })
	alive := newClass(t, controller, postgres, redis)
	ns := namespace(t)
	playDeployments(t, ns)

	var waiting []*v1alpha1.Leaderboard
	for i := range games {
		lb := newLeaderboard(ns, dead)
		lb.Name = fmt.Sprintf("dead-%d", i)
		waiting = append(waiting, create(t, lb))
	}

	becomes(t, create(t, newLeaderboard(ns, alive)), allReady)
	for _, lb := range waiting {
		becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False PostgresUnreachable"})
	}

	// The breaker's pauses grow to 2 s; before it closes, a few may be under way.
	require.LessOrEqual(t, connections.Load(), 6+int64(time.Since(start)/(2*time.Second)))
	classIs(t, dead, v1alpha1.ConditionReachable, "False PostgresUnreachable")
	said := describe(dead)
	require.Equal(t, 3, strings.Count(said, fmt.Sprint(":", port)), "Ready, Reachable and Reconciling have the address of the store and no other: %s", said)
	eventually(t, dead, func() bool { return dead.Status.Leaderboards == games })
	version, classVersion := waiting[0].ResourceVersion, dead.ResourceVersion
	before := connections.Load()
	require.Eventually(t, func() bool { return connections.Load() > before+1 }, patience, poll)
	becomes(t, waiting[0], map[string]string{v1alpha1.ConditionReady: "False PostgresUnreachable"})
	require.Equal(t, version, waiting[0].ResourceVersion)
	classIs(t, dead, v1alpha1.ConditionReachable, "False PostgresUnreachable")
	require.Equal(t, said, describe(dead))
	require.Equal(t, classVersion, dead.ResourceVersion)
}

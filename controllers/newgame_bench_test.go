package controllers

import (
	"fmt"
	"net"
	"testing"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// silentServer takes connections and says nothing, as a store does that hangs.
func silentServer(t testing.TB) int32 {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		var held []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			held = append(held, conn)
		}
		for _, conn := range held {
			_ = conn.Close()
		}
	}()

	return int32(listener.Addr().(*net.TCPAddr).Port)
}

// BenchmarkNewGame is how long a new game takes to be ready, its Pods' start left out,
// with nothing else in the cluster and next to 100 games of a class whose PostgreSQL
// hangs. Its two lines belong together: run both, and compare.
//
//	go test ./controllers -run XXX -bench NewGame -benchtime 20x
func BenchmarkNewGame(b *testing.B) {
	for name, waiting := range map[string]int{"alone": 0, "next to 100 games of a dead class": 100} {
		b.Run(name, func(b *testing.B) {
			controller := startManager(b, func(o *ManagerOptions) {
				o.Resync, o.MaxConcurrentReconciles = DefaultResync, DefaultMaxConcurrentReconciles
			})
			dead := newClass(b, controller, postgres, redis, func(class *v1alpha1.LeaderboardClass) { class.Spec.Postgres.Port = silentServer(b) })
			alive := newClass(b, controller, postgres, redis)
			classIs(b, alive, v1alpha1.ConditionReachable, "True Reachable")
			ns := namespace(b)
			playDeployments(b, ns)
			for i := range waiting {
				lb := newLeaderboard(ns, dead)
				lb.Name = fmt.Sprintf("dead-%d", i)
				create(b, lb)
			}

			n := 0
			for b.Loop() {
				lb := newLeaderboard(ns, alive)
				lb.Name = fmt.Sprintf("alive-%d", n)
				n++
				becomes(b, create(b, lb), allReady)
			}
		})
	}
}

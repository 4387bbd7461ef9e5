package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/process"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/stores"
)

// storeSet starts and stops the stores, by order of devcluster store.
type storeSet struct {
	supervisor *supervisor
	base       context.Context //nolint:containedctx // the life of the processes, not of a call
	redis      *stores.Redis

	mutex  sync.Mutex // one order at a time
	stores map[string]*store
}

type store struct {
	spec  func() (process.Spec, error)
	ready func(context.Context) error
	stop  syscall.Signal

	end   context.CancelFunc
	ended chan struct{}
}

func (s *storeSet) start(ctx context.Context, name string) error {
	one := s.stores[name]
	if one.end != nil {
		return nil
	}

	life, end := context.WithCancel(s.base)
	one.end, one.ended = end, make(chan struct{})
	s.supervisor.group.Go(func() {
		defer close(one.ended)
		process.Keep(life, one.spec, one.stop, func(p *process.Process, err error) {
			if err != nil {
				log.Printf("%s: %v", name, err)
				return
			}
			s.supervisor.note(name, p.PID())
		})
	})

	return wait(ctx, name, one.ready)
}

func (s *storeSet) stop(name string) {
	one := s.stores[name]
	if one.end == nil {
		return
	}
	one.end()
	<-one.ended
	one.end = nil
}

// serveControl carries out orders until the listener is closed.
func serveControl(listener net.Listener, set *storeSet) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}

		_ = conn.SetDeadline(time.Now().Add(stopTimeout))
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil {
			answer := "ok"
			if err := set.order(strings.Fields(line)); err != nil {
				answer = err.Error()
			}
			fmt.Fprintln(conn, answer)
		}

		_ = conn.Close()
	}
}

func (s *storeSet) order(words []string) error {
	if s == nil {
		return fmt.Errorf("this devcluster runs no stores")
	}
	if len(words) < 2 || s.stores[words[1]] == nil {
		return fmt.Errorf("the stores are postgres and redis")
	}

	s.mutex.Lock()
	defer s.mutex.Unlock()

	ctx, cancel := context.WithTimeout(s.base, startTimeout)
	defer cancel()

	verb, name := words[0], words[1]
	if verb == "stop" || verb == "restart" {
		s.stop(name)
		if slices.Contains(words, "--lose-users") {
			if err := s.redis.LoseUsers(); err != nil {
				return err
			}
		}
	}

	switch verb {
	case "start", "restart":
		return s.start(ctx, name)
	case "stop":
		return nil
	default:
		return fmt.Errorf("there is no order %q: stop, start or restart", verb)
	}
}

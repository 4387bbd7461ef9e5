package commit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/commit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// leaser hands out what each second has, by the clock of the test.
type leaser struct {
	mu      sync.Mutex
	left    int
	remains time.Duration
	err     error
	leases  int
	// next is what the second after this one has; it comes when this one has no more.
	next int
	// over, where set, is called once it has no more.
	over func()
}

func (l *leaser) LeaseSubmissions(_ context.Context, perSecond, wanted int) (int, time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leases++
	if l.err != nil {
		return 0, 0, l.err
	}
	if l.left == 0 && l.next > 0 {
		l.left, l.next = l.next, 0
	}
	if wanted > perSecond {
		return 0, 0, fmt.Errorf("%d of %d a second are wanted", wanted, perSecond)
	}
	granted := min(wanted, l.left)
	if l.left -= granted; l.left == 0 && l.over != nil {
		l.over()
	}
	return granted, l.remains, nil
}

func TestASecondHasSoManySubmissions(t *testing.T) {
	const callers = 60
	race := func(c *commit.Committer) (taken, refused int) {
		var mu sync.Mutex
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				_, err := c.Commit(t.Context(), leaderboard.Submission{Board: "speed", Score: int64(i)})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					taken++
					return
				}
				refused++
				var e *leaderboard.Error
				if !errors.As(err, &e) || e.Code != leaderboard.CodeLimitExceeded || e.RetryAfter != time.Second || e.Limit != "game" {
					t.Error(err)
				}
			})
		}
		group.Wait()
		return taken, refused
	}

	t.Run("as many as there are", func(t *testing.T) {
		l, second := &scripted{}, &leaser{left: 25, remains: time.Hour}
		c := start(t, l, commit.Options{PerSecond: 100, Leaser: second})
		defer c.Close()
		taken, refused := race(c)
		require.Equal(t, []int{25, callers - 25}, []int{taken, refused})
		require.Equal(t, int64(25), l.events, "what is refused is not stored")

		leases := second.leases
		taken, _ = race(c)
		require.Zero(t, taken)
		require.Equal(t, leases, second.leases, "the second is known to have no more")
	})
	t.Run("what is leased is good for its second", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		second := &leaser{left: 3, remains: -time.Second, over: cancel} // each lease is over when it comes
		c := start(t, &scripted{}, commit.Options{PerSecond: 1, Leaser: second})
		defer c.Close()
		_, err := c.Commit(ctx, leaderboard.Submission{Board: "speed"})
		require.Equal(t, leaderboard.CodeBusy, leaderboard.CodeOf(err), "%v", err)
		require.Equal(t, 3, second.leases)
	})
	t.Run("many wait for the next one", func(t *testing.T) {
		l, second := &scripted{}, &leaser{left: 20, remains: 300 * time.Millisecond, next: 40}
		c := start(t, l, commit.Options{PerSecond: 100, Leaser: second})
		defer c.Close()
		for i, committed := range c.CommitAll(t.Context(), make([]leaderboard.Submission, callers)) {
			require.NoError(t, committed.Err, "%d", i)
		}
		require.Equal(t, int64(callers), l.events)
	})
	t.Run("many do not wait for ever", func(t *testing.T) {
		l, second := &scripted{}, &leaser{left: 20, remains: time.Hour}
		c := start(t, l, commit.Options{PerSecond: 100, Leaser: second})
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		refused := 0
		for _, committed := range c.CommitAll(ctx, make([]leaderboard.Submission, callers)) {
			if leaderboard.CodeOf(committed.Err) == leaderboard.CodeBusy {
				refused++
			}
		}
		require.Equal(t, callers-20, refused)
	})
	t.Run("a ledger that is away", func(t *testing.T) {
		away := leaderboard.Errorf(leaderboard.CodeUnavailable, "", "away").After(time.Second)
		c := start(t, &scripted{}, commit.Options{PerSecond: 100, Leaser: &leaser{err: away}})
		defer c.Close()
		_, err := c.Commit(t.Context(), leaderboard.Submission{Board: "speed"})
		require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
	})
	t.Run("a leaser is needed", func(t *testing.T) {
		l := &scripted{}
		_, err := commit.New(commit.Options{Ledger: l, Ranking: l, QueueSize: 1, MaxBatch: 1, InFlight: 1, PerSecond: 1})
		require.ErrorContains(t, err, "needs a leaser")
	})
}

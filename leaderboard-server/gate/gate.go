// Package gate bounds how many calls of a kind use a store at once, and how many wait
// for it.
package gate

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Gate is what calls of one kind pass. The first to wait is the first to go on. It is
// safe for concurrent use.
type Gate struct {
	// inside are the calls that use the store, present those that wait, too.
	inside, present *semaphore.Weighted
	// busy is what a call is refused with.
	busy *leaderboard.Error
}

// New makes a gate for as many calls inside, and as many that wait. busy is what users
// are told that are refused.
func New(inside, waiting int, busy string) *Gate {
	return &Gate{
		inside: semaphore.NewWeighted(int64(inside)), present: semaphore.NewWeighted(int64(inside + waiting)),
		busy: leaderboard.Errorf(leaderboard.CodeBusy, "", "%s", busy).After(time.Second),
	}
}

// Enter waits for its turn until ctx ends, or is refused at once if too many wait:
// CodeBusy. The caller calls leave.
func (g *Gate) Enter(ctx context.Context) (leave func(), err error) {
	if !g.present.TryAcquire(1) {
		return nil, g.busy
	}

	if err := g.inside.Acquire(ctx, 1); err != nil {
		g.present.Release(1)
		return nil, g.busy.WithCause(fmt.Errorf("wait for a turn: %w", err))
	}

	return func() {
		g.inside.Release(1)
		g.present.Release(1)
	}, nil
}

package postgres

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// gate bounds how many calls of a kind use the database at once, and how many wait
// for it. The first to wait is the first to go on.
type gate struct {
	// inside are the calls that use the database, present those that wait, too.
	inside, present *semaphore.Weighted
	// busy is what a call is refused with.
	busy *leaderboard.Error
}

func newGate(inside, waiting int, busy string) *gate {
	return &gate{
		inside: semaphore.NewWeighted(int64(inside)), present: semaphore.NewWeighted(int64(inside + waiting)),
		busy: leaderboard.Errorf(leaderboard.CodeBusy, "", "%s", busy).After(time.Second),
	}
}

// enter waits for its turn until ctx ends, or is refused at once if too many wait.
// The caller calls leave.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
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

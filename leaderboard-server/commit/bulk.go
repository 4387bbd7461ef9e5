package commit

import (
	"context"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// bulkBatches is how many batches of the submissions of CommitAll may wait.
	bulkBatches = 2
	// bulkShare: of a batch one part in so many is for the submissions of CommitAll where
	// others wait, too.
	bulkShare = 4
)

// CommitAll implements [leaderboard.Committer]. The submissions wait in a queue of their own,
// which is short: callers whose submissions do not fit wait with them, and take turns, as do those
// with more than the game takes in a second. Single
// submissions find their own queue as it would be otherwise, and have the greater part of
// each batch.
func (c *Committer) CommitAll(ctx context.Context, submissions []leaderboard.Submission) []leaderboard.Committed {
	committed := make([]leaderboard.Committed, len(submissions))
	done := make(chan result, len(submissions))
	requests := make([]request, len(submissions))

	sent := 0
	for ; sent < len(submissions); sent++ {
		r := &requests[sent]
		*r = request{submission: submissions[sent], queued: time.Now(), index: sent, done: done}
		err := c.admit(ctx, true)
		if err == nil {
			err = c.enqueueBulk(ctx, r)
		}
		if err != nil {
			for i := range committed[sent:] {
				committed[sent+i].Err = err
			}
			break
		}
	}

	answered := make([]bool, sent)
	for range sent {
		select {
		case r := <-done:
			committed[r.index], answered[r.index] = r.Committed, true
		case <-ctx.Done():
			// As in Commit, what was sent goes on.
			for i := range answered {
				if !answered[i] {
					committed[i].Err = tookTooLong(ctx)
				}
			}
			return committed
		}
	}

	return committed
}

// enqueueBulk waits for room.
func (c *Committer) enqueueBulk(ctx context.Context, r *request) error {
	c.closing.RLock()
	defer c.closing.RUnlock()

	if c.closed {
		return stopping()
	}

	select {
	case c.bulk <- r:
		c.noteFull()
		return nil
	default:
	}

	select {
	case c.bulk <- r:
		c.noteFull()
		return nil
	case <-ctx.Done():
		c.options.Observer.Refused()
		return busy("too many submissions are waiting, and this one was not stored: send it again").WithCause(context.Cause(ctx))
	}
}

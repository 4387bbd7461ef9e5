package commit

import (
	"context"
	"errors"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// maxRepeats is how often a batch is stored again because it met another
// transaction: deadlocks are rare and end with the first repetition.
const maxRepeats = 5

// dispatch forms batches until the queue is closed and empty. A batch is started
// when none is in flight, that is stored and not yet answered, or, up to InFlight,
// when a full one is waiting: so batches grow with the load, up to MaxBatch.
func (c *Committer) dispatch() {
	ended := make(chan struct{}, c.options.InFlight)
	inFlight := 0
	var w waiting
	for {
		for inFlight > 0 && (inFlight >= int(c.inFlight.Load()) || c.queued() < c.options.MaxBatch) {
			select {
			case <-ended:
				inFlight--
			case <-c.full: // or was a moment ago: the condition decides
			}
		}

		requests := w.take(c)
		if requests == nil {
			return
		}

		inFlight++
		c.working.Go(func() {
			c.process(requests)
			ended <- struct{}{}
		})
	}
}

// waiting are requests that were taken from the queue and had no room in a batch: the
// player has another submission to the same board in it, and the board's scoring is
// ordered. So one account takes one place in a batch, however much it sends.
type waiting struct {
	held []*request
}

// entry is what a batch has room for once.
type entry struct {
	player leaderboard.PlayerID
	board  string
}

// take waits for a first request and returns it with what else has queued; nil once
// the queues are closed and everything was taken. While requests wait in both, those of
// CommitAll get their share of the batch and no more.
func (w *waiting) take(c *Committer) []*request {
	var requests []*request
	entries := make(map[entry]bool)
	admit := func(r *request) bool {
		if r.submission.Ordered {
			key := entry{r.submission.Player, r.submission.Board}
			if entries[key] {
				return false
			}
			entries[key] = true
		}
		requests = append(requests, r)
		return true
	}

	kept := w.held[:0]
	for _, r := range w.held {
		if len(requests) == c.options.MaxBatch || !admit(r) {
			kept = append(kept, r)
		}
	}
	clear(w.held[len(kept):])
	w.held = kept

	if len(requests) == 0 {
		r, ok := next(c.queue)
		if !ok {
			if r, ok = c.first(); !ok {
				return nil
			}
		}
		admit(r) // of none it is the second
	}

	most, forBulk := c.options.MaxBatch, min(len(c.bulk), max(c.options.MaxBatch/bulkShare, 1))
	for _, from := range []struct {
		queue chan *request
		upTo  int
	}{{c.queue, most - forBulk}, {c.bulk, most}, {c.queue, most}} {
		for len(requests) < from.upTo {
			r, ok := next(from.queue)
			if !ok {
				break
			}
			if !admit(r) {
				w.hold(c, r)
			}
		}
	}

	c.held.Store(int64(len(w.held)))
	return requests
}

// hold keeps a request for the next batch.
func (w *waiting) hold(c *Committer, r *request) {
	if len(w.held) >= c.options.QueueSize {
		c.options.Observer.Refused()
		r.answer(leaderboard.Receipt{}, busy("too many submissions of one player are waiting, try again in a moment"))
		return
	}
	w.held = append(w.held, r)
}

// first waits for a request; false: the queues are closed and empty.
func (c *Committer) first() (*request, bool) {
	select {
	case r, ok := <-c.queue:
		if ok {
			return r, true
		}
	case r, ok := <-c.bulk:
		if ok {
			return r, true
		}
	}

	// One is closed, so the other is, or is about to be.
	if r, ok := <-c.queue; ok {
		return r, true
	}
	r, ok := <-c.bulk
	return r, ok
}

// next takes a request from a queue; false: there is none.
func next(queue chan *request) (*request, bool) {
	select {
	case r, ok := <-queue:
		return r, ok
	default:
		return nil, false
	}
}

// process stores a batch, applies it to the ranking and answers its requests.
func (c *Committer) process(requests []*request) {
	submissions := make([]leaderboard.Submission, len(requests))
	for i, r := range requests {
		submissions[i] = r.submission
	}

	started := time.Now()
	stored, err := c.store(submissions)
	c.options.Observer.Stored(len(requests), started.Sub(requests[0].queued), time.Since(started), err)

	switch {
	case err == nil:
		c.finish(requests, stored)
	case errors.Is(err, leaderboard.ErrRejected) && len(requests) > 1:
		// Nothing was stored. The halves keep their order.
		c.options.Observer.Split()
		c.process(requests[:len(requests)/2])
		c.process(requests[len(requests)/2:])
	default:
		for _, r := range requests {
			r.answer(leaderboard.Receipt{}, err)
		}
	}
}

// store stores one batch, again if it met another transaction.
func (c *Committer) store(submissions []leaderboard.Submission) (stored leaderboard.Stored, err error) {
	for range maxRepeats {
		// Not the context of any caller: one caller's cancellation must not cancel the
		// whole batch.
		ctx, cancel := context.WithTimeout(context.Background(), c.options.CommitTimeout)
		stored, err = c.options.Ledger.Store(ctx, submissions)
		expired := ctx.Err() != nil
		cancel()
		if !errors.Is(err, leaderboard.ErrRepeat) || expired {
			break
		}

		c.options.Observer.Repeated()
	}
	return stored, err
}

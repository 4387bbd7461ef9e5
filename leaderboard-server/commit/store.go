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

// batch is a group of requests with what the ledger answered.
type batch struct {
	requests []*request
	stored   leaderboard.Stored
	asks     []leaderboard.Ask // the accepted requests' entries
}

// accepted are the entries of the submissions that were stored.
func (b *batch) accepted() []leaderboard.Ask {
	entries := make([]leaderboard.Ask, 0, len(b.requests))
	for i, o := range b.stored.Outcomes {
		if o.Err == nil {
			entries = append(entries, leaderboard.Ask{EntryKey: o.Entry, Event: o.Event, Score: b.requests[i].submission.Score})
		}
	}
	return entries
}

// dispatch forms batches until the queue is closed and empty. A batch is started
// when none is in flight, that is stored and not yet answered, or, up to InFlight,
// when a full one is waiting: so batches grow with the load, up to MaxBatch.
func (c *Committer) dispatch() {
	ended := make(chan struct{}, c.options.InFlight)
	inFlight := 0
	for {
		for inFlight > 0 && (inFlight >= c.options.InFlight || len(c.queue) < c.options.MaxBatch) {
			select {
			case <-ended:
				inFlight--
			case <-c.full: // or was a moment ago: the condition decides
			}
		}

		requests := c.take()
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

// take waits for a first request and returns it with what else has queued; nil
// once the queue is closed and empty.
func (c *Committer) take() []*request {
	first, ok := <-c.queue
	if !ok {
		return nil
	}

	requests := append(make([]*request, 0, min(len(c.queue)+1, c.options.MaxBatch)), first)
	for len(requests) < c.options.MaxBatch {
		select {
		case r, ok := <-c.queue:
			if !ok {
				return requests
			}
			requests = append(requests, r)
		default:
			return requests
		}
	}

	return requests
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
		c.settle(requests, stored)
	case errors.Is(err, leaderboard.ErrRejected) && len(requests) > 1:
		// Nothing was stored. The halves keep their order.
		c.options.Observer.Split()
		c.process(requests[:len(requests)/2])
		c.process(requests[len(requests)/2:])
	default:
		for _, r := range requests {
			r.done <- result{err: err}
		}
	}
}

// store stores one batch, again if it met another transaction.
func (c *Committer) store(submissions []leaderboard.Submission) (stored leaderboard.Stored, err error) {
	for range maxRepeats {
		// Not the context of any caller: one that leaves takes nobody along.
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

// settle answers the refused, applies and answers the others, and stores those
// anew that are to be stored alone.
func (c *Committer) settle(requests []*request, stored leaderboard.Stored) {
	b := &batch{stored: stored, requests: requests}
	var alone []*request
	for i, o := range stored.Outcomes {
		if o.Err == nil {
			continue
		}
		if errors.Is(o.Err, leaderboard.ErrAlone) && len(requests) > 1 {
			alone = append(alone, requests[i])
		} else {
			requests[i].done <- result{err: o.Err}
		}
	}

	if b.asks = b.accepted(); len(b.asks) > 0 {
		b.answer(c.apply(b))
	}

	for _, r := range alone {
		c.process([]*request{r})
	}
}

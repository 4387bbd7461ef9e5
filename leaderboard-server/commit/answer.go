package commit

import (
	"context"
	"errors"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// batch is a group of requests with what the ledger answered.
type batch struct {
	requests []*request
	stored   leaderboard.Stored
	changes  []leaderboard.Change
	// own is, of each request, which of the changes is the one whose rank is for its
	// receipt; -1: none.
	own []int
}

func newBatch(requests []*request, stored leaderboard.Stored) *batch {
	b := &batch{requests: requests, stored: stored, changes: make([]leaderboard.Change, 0, 2*len(requests)), own: make([]int, len(requests))}
	for i, o := range stored.Outcomes {
		b.own[i] = -1
		if o.Err == nil {
			if o.Entry.Season != 0 {
				b.own[i] = len(b.changes)
			}
			b.changes = append(b.changes, o.Changes(requests[i].submission.Score, requests[i].submission.Columns)...)
		}
	}
	return b
}

// finish applies what was stored and answers every request.
func (c *Committer) finish(requests []*request, stored leaderboard.Stored) {
	b := newBatch(requests, stored)
	for i, o := range stored.Outcomes {
		if o.Err != nil {
			c.noteLimited(o.Err)
			requests[i].answer(leaderboard.Receipt{}, o.Err)
		}
	}
	if len(b.changes) > 0 {
		b.answer(c.apply(b))
	} else {
		b.answer(nil)
	}
}

// noteLimited counts a refusal that is one of a limit.
func (c *Committer) noteLimited(err error) {
	var e *leaderboard.Error
	if errors.As(err, &e) && e.Code == leaderboard.CodeLimitExceeded {
		c.options.Observer.Limited(leaderboard.LimitKind(e.Limit))
	}
}

// apply returns what the ranking says of the batch's changes; what it cannot tell has
// no rank.
func (c *Committer) apply(b *batch) []leaderboard.Applied {
	ctx, cancel := context.WithTimeout(context.Background(), c.options.ApplyTimeout)
	defer cancel()

	started := time.Now()
	applied, err := c.options.Ranking.Apply(ctx, leaderboard.Projection{Identity: b.stored.Identity, Xid: b.stored.Xid, Changes: b.changes})
	c.options.Observer.Applied(time.Since(started), err)
	if err != nil {
		c.options.Delayed()
	}
	if len(applied) != len(b.changes) {
		applied = make([]leaderboard.Applied, len(b.changes))
	}

	return applied
}

// answer gives every accepted request its receipt.
func (b *batch) answer(applied []leaderboard.Applied) {
	for i, o := range b.stored.Outcomes {
		if o.Err != nil {
			continue // answered already
		}

		r := b.requests[i]
		receipt := leaderboard.Receipt{Event: o.Event, Player: r.submission.Player, Board: r.submission.Board, Score: r.submission.Score,
			Replayed: o.Replayed, Ranking: leaderboard.RankingDelayed, Improved: o.Standing != nil && o.Improved, Allowances: o.Allowances}
		if own := b.own[i]; own >= 0 && applied[own].Rank != 0 {
			a := applied[own]
			receipt.Ranking, receipt.Rank, receipt.StandingScore, receipt.StandingColumns = leaderboard.RankingLive, a.Rank, a.Score, a.Columns
			if receipt.Improved = a.Improved; o.Standing != nil {
				receipt.Improved = o.Improved
			}
		}

		r.answer(receipt, nil)
	}
}

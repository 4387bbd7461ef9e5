package commit

import (
	"context"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// maxApply is how many batches share a round trip to the ranking.
	maxApply = 8
	// pause is for how long nothing is applied after the ranking failed: receipts
	// are then delayed at once instead of after ApplyTimeout each. Catch-up applies
	// what was left out.
	pause = 250 * time.Millisecond
)

// applyAll applies stored batches, those that are waiting together, until there
// are no more.
func (c *Committer) applyAll() {
	var resume time.Time
	for first := range c.stored {
		batches := []*batch{first}
	gather:
		for len(batches) < maxApply {
			select {
			case b, ok := <-c.stored:
				if !ok {
					break gather
				}
				batches = append(batches, b)
			default:
				break gather
			}
		}
		if time.Now().Before(resume) {
			answer(batches, nil)
			continue
		}
		ranked, err := c.apply(batches)
		if err != nil {
			resume = time.Now().Add(pause)
			c.options.Delayed()
		}
		answer(batches, ranked)
	}
}

// apply returns for each batch the entries that its accepted requests ask for.
func (c *Committer) apply(batches []*batch) ([][]leaderboard.RankingEntry, error) {
	projections := make([]leaderboard.Projection, len(batches))
	for i, b := range batches {
		projections[i] = leaderboard.Projection{Identity: b.stored.Identity, Xid: b.stored.Xid, Standings: b.stored.Changed, Ask: b.asks}
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.options.ApplyTimeout)
	defer cancel()
	started := time.Now()
	ranked, err := c.options.Ranking.Apply(ctx, projections)
	c.options.Observer.Applied(len(batches), time.Since(started), err)
	return ranked, err
}

// answer gives every accepted request its receipt; ranked is nil if ranks are not
// known.
func answer(batches []*batch, ranked [][]leaderboard.RankingEntry) {
	for i, b := range batches {
		asked := 0
		for j, o := range b.stored.Outcomes {
			if o.Err != nil {
				continue // answered already
			}
			r := b.requests[j]
			receipt := leaderboard.Receipt{Event: o.Event, Player: r.submission.Player, Board: r.submission.Board, Score: r.submission.Score,
				Improved: o.Improved, Replayed: o.Replayed, Ranking: leaderboard.RankingDelayed}
			if ranked != nil && ranked[i][asked].Rank != 0 {
				receipt.Ranking, receipt.Rank, receipt.StandingScore = leaderboard.RankingLive, ranked[i][asked].Rank, ranked[i][asked].Score
			}
			asked++
			r.done <- result{receipt: receipt}
		}
	}
}

package commit

import (
	"context"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// pause is for how long nothing is applied after the ranking failed: receipts are
// then delayed at once instead of after ApplyTimeout each. Catch-up applies what
// was left out.
const pause = 250 * time.Millisecond

// apply returns the entries that the batch's accepted requests ask for, or nil if
// the ranking cannot tell.
func (c *Committer) apply(b *batch) []leaderboard.RankingEntry {
	if time.Now().UnixNano() < c.resume.Load() {
		return nil
	}

	ctx, cancel := context.WithTimeout(context.Background(), c.options.ApplyTimeout)
	defer cancel()

	started := time.Now()
	ranked, err := c.options.Ranking.Apply(ctx, leaderboard.Projection{
		Identity: b.stored.Identity, Xid: b.stored.Xid, Standings: b.stored.Changed, Ask: b.asks})
	c.options.Observer.Applied(time.Since(started), err)
	if err != nil {
		c.resume.Store(time.Now().Add(pause).UnixNano())
		c.options.Delayed()
		return nil
	}

	return ranked
}

// answer gives every accepted request its receipt; ranked is nil if ranks are not
// known.
func (b *batch) answer(ranked []leaderboard.RankingEntry) {
	asked := 0
	for i, o := range b.stored.Outcomes {
		if o.Err != nil {
			continue // answered already
		}

		r := b.requests[i]
		receipt := leaderboard.Receipt{Event: o.Event, Player: r.submission.Player, Board: r.submission.Board, Score: r.submission.Score,
			Improved: o.Improved, Replayed: o.Replayed, Ranking: leaderboard.RankingDelayed}
		if ranked != nil && ranked[asked].Rank != 0 {
			receipt.Ranking, receipt.Rank, receipt.StandingScore = leaderboard.RankingLive, ranked[asked].Rank, ranked[asked].Score
		}

		asked++
		r.done <- result{receipt: receipt}
	}
}

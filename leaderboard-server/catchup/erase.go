package catchup

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Erasures is the ledger's part of erasing players. What says who somebody was is gone when that
// is committed; this is about what is found by going through the player's events. A submission
// that was under way then may have added to that, so it is waited for:
//
//	erased ──► seen ──► 2 s ──► barrier taken ──► all below it have ended ──► deleted
//	                            (a snapshot's xmax)  (xmin has passed it)
type Erasures interface {
	// LastErasure is the number of the last one that is not finished; 0: all are.
	LastErasure(ctx context.Context) (last int64, err error)
	// FinishErasures deletes what is left of those who were erased, up to one, and says how many
	// they were.
	FinishErasures(ctx context.Context, upTo int64) (finished int, err error)
}

// erasures is how far a term has come with them.
type erasures struct {
	// looked says that it was looked for them, when moderated was the number of the last
	// moderation.
	looked    bool
	moderated int64
	// last is that which is worked on, with all before it; 0: there is none.
	last int64
	// seen is by the ledger's clock, after last was committed; zero: not known yet.
	seen time.Time
	// barrier is above every transaction that may not have known of last; 0: not taken yet.
	barrier uint64
	working atomic.Bool
}

// begin goes on to an erasure; 0: there is none.
func (e *erasures) begin(last, moderated int64) {
	e.looked, e.moderated, e.last, e.seen, e.barrier = true, moderated, last, time.Time{}, 0
}

// due says, of each snapshot that is taken after begin, whether every transaction has ended that
// may not have known of the erasure.
func (e *erasures) due(snapshot leaderboard.Snapshot) bool {
	switch {
	case e.last == 0:
		return false
	case e.seen.IsZero():
		e.seen = snapshot.Now
	case e.barrier == 0 && snapshot.Now.Sub(e.seen) >= lateTransactions:
		e.barrier = snapshot.Xmax
	}
	return e.barrier != 0 && snapshot.Xmin >= e.barrier
}

// pending says that there is something to go on with at the next tick.
func (e *erasures) pending() bool { return e.last != 0 || e.working.Load() }

// erase goes on with the erasures, next to the ticks.
func (t *term) erase(ctx context.Context, snapshot leaderboard.Snapshot) error {
	e := &t.erasures
	if e.working.Load() {
		return nil
	}
	if moderated := t.catalog.Moderated(); e.last == 0 && (!e.looked || e.moderated != moderated) {
		last, err := t.ledger.LastErasure(ctx)
		if err != nil {
			return err
		}
		e.begin(last, moderated)
		return nil
	}
	if !e.due(snapshot) {
		return nil
	}

	upTo := e.last
	e.last, e.looked = 0, false
	e.working.Store(true)
	t.repairs.Go(func() {
		defer e.working.Store(false)
		t.finishErasures(ctx, upTo)
	})
	return nil
}

func (t *term) finishErasures(ctx context.Context, upTo int64) {
	started := time.Now()
	finished, err := t.ledger.FinishErasures(ctx, upTo)
	if err != nil {
		if ctx.Err() == nil {
			t.log.WarnContext(ctx, "what is left of players who were erased could not be deleted, trying again", "error", err)
			wait(ctx, closeRetry, nil, nil)
		}
		return
	}
	t.log.InfoContext(ctx, "nothing is left of players who were erased", "players", finished, "took", time.Since(started))
}

package catchup

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// lateTransactions is how long after a season's end a transaction may get its number
	// that counts in it: the statement that appends sees to that (postgres/queries).
	lateTransactions = 2 * time.Second
	// closeRetry is how long after a failure a season is closed again.
	closeRetry = 5 * time.Second
	// noSeason is longer than any pause between two ticks.
	noSeason = time.Hour
)

// seasons is how far a term has come with closing them: one after the other, in the order
// in which they ended.
//
//	ended ──► 2 s ──► barrier taken ──► all below it have ended ──► results ──► closed
//	                  (a snapshot's xmax)  (xmin has passed it)
type seasons struct {
	// barriers are of seasons that have ended: every transaction that counts in one has a
	// number below it.
	barriers map[leaderboard.SeasonID]uint64
	// next is how long it is until there is something to do.
	next time.Duration
	// closing has a value while one is being closed, or waits after a failure.
	closing chan struct{}
	// closed says that one was, which the term's catalog does not know yet.
	closed atomic.Bool
}

// closeSeasons goes on with closing the seasons that are over.
func (t *term) closeSeasons(ctx context.Context, snapshot leaderboard.Snapshot) {
	if t.seasons.closing == nil {
		t.seasons.closing = make(chan struct{}, 1)
	}
	if t.seasons.closed.Load() {
		return // the catalog has one that is closed by now
	}

	var first leaderboard.LiveBoard
	var ended leaderboard.Season
	known := t.seasons.barriers
	t.seasons.barriers, t.seasons.next = make(map[leaderboard.SeasonID]uint64), noSeason
	for _, board := range t.catalog.All() {
		for _, s := range board.Seasons {
			if s.Closed() {
				continue
			}
			left := s.Closes.Add(lateTransactions).Sub(snapshot.Now)
			if t.seasons.next = min(t.seasons.next, max(left, 0)); left > 0 {
				continue
			}

			key := board.In(s.Number).SeasonID()
			barrier, ok := known[key]
			if !ok {
				barrier = snapshot.Xmax
			}
			t.seasons.barriers[key] = barrier
			if ended.Number == 0 || s.Closes.Before(ended.Closes) {
				first, ended = board.In(s.Number), s
			}
		}
	}
	if ended.Number == 0 || snapshot.Xmin < t.seasons.barriers[first.SeasonID()] {
		return
	}

	select {
	case t.seasons.closing <- struct{}{}:
		if t.seasons.closed.Load() {
			<-t.seasons.closing
			return
		}
		t.repairs.Go(func() {
			defer func() { <-t.seasons.closing }()
			t.closeSeason(ctx, first, ended)
		})
	default: // one is being closed
	}
}

// closeSeason makes the results of a season, beside the ticks.
func (t *term) closeSeason(ctx context.Context, board leaderboard.LiveBoard, season leaderboard.Season) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()

	started := time.Now()
	entries, err := t.ledger.CloseSeason(ctx, board)
	if err != nil {
		if ctx.Err() == nil {
			t.log.WarnContext(ctx, "a season could not be closed, trying again", "board", board.Name, "window", season.Window, "season", season.Ordinal, "error", err)
			wait(ctx, closeRetry, nil, nil)
		}
		return
	}

	t.log.InfoContext(ctx, "a season is closed", "board", board.Name, "window", season.Window, "season", season.Ordinal, "entries", entries, "took", time.Since(started))
	t.update(func(s *Status) { s.Closed++ })
	t.seasons.closed.Store(true)
	if err := t.forget(ctx, board); err != nil {
		t.log.DebugContext(ctx, "the ranking of a closed season is deleted later", "error", err)
	}
	if err := t.ledger.DropResults(ctx); err != nil {
		t.log.DebugContext(ctx, "results are dropped later", "error", err)
	}
	t.Wake() // there may be another one
}

package catchup

import (
	"context"
	"errors"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// refoldRetry is how long after a failure a refold is tried again.
	refoldRetry = 5 * time.Second
	// endingRetry is how long after a season kept a board from being switched it is tried again.
	endingRetry = time.Second
	// refusedRetry is how long after a refusal it is looked whether it still stands.
	refusedRetry = time.Minute
)

// Refolds is the ledger's part of giving boards another fold.
type Refolds interface {
	// PrepareRefold begins the refold of a board, or finds out how far it has come.
	PrepareRefold(ctx context.Context, board leaderboard.LiveBoard) (leaderboard.RefoldWork, error)
	// RefuseRefold records that it cannot be done, where the error is a
	// [leaderboard.RefoldRefusedError].
	RefuseRefold(ctx context.Context, board leaderboard.LiveBoard, why error) error
	// FoldRefold makes the standings of the events up to the first cut. told is called with
	// how many of them were folded.
	FoldRefold(ctx context.Context, work leaderboard.RefoldWork, told func(done int64)) (leaderboard.RefoldWork, error)
	// ReadRefold streams the standings that were made of one of its seasons, in rank order.
	ReadRefold(ctx context.Context, work leaderboard.RefoldWork, season int32, size int, fn func([]leaderboard.Standing) error) error
	// AdvanceRefold moves the cut on, and returns the standings that changed. The seasons of
	// windows may be others after it.
	AdvanceRefold(ctx context.Context, work leaderboard.RefoldWork) (after leaderboard.RefoldWork, changed []leaderboard.Standing, caughtUp bool, err error)
	// SwitchRefold gives the board its new fold and ranking, once apply has joined the last
	// standings that changed. [leaderboard.ErrSeasonEnds]: a season of a window is closed first.
	SwitchRefold(ctx context.Context, work leaderboard.RefoldWork, apply func(ctx context.Context, changed []leaderboard.Standing) error) (after leaderboard.RefoldWork, switched bool, err error)
	// SweepRefold deletes what only making the rankings took, once the board is switched.
	SweepRefold(ctx context.Context, work leaderboard.RefoldWork) error
	// SweepRetired forgets a ranking that was superseded, of which nothing is left in Redis.
	SweepRetired(ctx context.Context, board leaderboard.LiveBoard) error
}

// refolds is what a term does about boards that are to get another fold: one after the
// other, while ticks go on.
//
//	asked ──► first cut ──► standings of the parts ──► rankings ──► caught up ──► switched
//	            (all of the log up to an event)   (of the standings)  (cut after cut)
//
// There is a ranking of all time and one of each season of a window that is not closed. Until
// the switch seasons open, end and are closed as if there was no refold: one that is announced
// gets a ranking with the next cut, one that was closed is left out from then on, and while one
// ends the switch waits until it is closed.
type refolds struct {
	// running has a value while one is made, or waits after a failure.
	running chan struct{}
	// refused is when a board's was refused last; only the one that is running uses it.
	refused map[int32]time.Time
}

// refold goes on with the first refold that there is.
func (t *term) refold(ctx context.Context) {
	if t.refolds.running == nil {
		t.refolds = refolds{running: make(chan struct{}, 1), refused: make(map[int32]time.Time)}
	}

	boards := t.catalog.Refolding()
	t.update(func(s *Status) { s.Refolding = len(boards) })
	if len(boards) == 0 {
		return
	}
	select {
	case t.refolds.running <- struct{}{}:
		t.repairs.Go(func() {
			defer func() { <-t.refolds.running }()
			t.refoldFirst(ctx, boards)
		})
	default: // one is made
	}
}

// refoldFirst refolds the first of the boards that was not refused just now.
func (t *term) refoldFirst(ctx context.Context, boards []leaderboard.LiveBoard) {
	for _, board := range boards {
		if board.Refold.Refused != "" && time.Since(t.refolds.refused[board.Number]) < refusedRetry {
			continue
		}

		err := t.refoldBoard(ctx, board)
		if refuse := t.ledger.RefuseRefold(ctx, board, err); refuse != nil {
			err = refuse
		}
		t.update(func(s *Status) { s.RefoldEvents, s.RefoldedEvents = 0, 0 })
		switch refused := (*leaderboard.RefoldRefusedError)(nil); {
		case err == nil, ctx.Err() != nil:
		case errors.As(err, &refused):
			t.refolds.refused[board.Number] = time.Now()
			if refused.Reason != board.Refold.Refused {
				t.log.WarnContext(ctx, "a board cannot be changed as it is configured, and stays as it was", "board", board.Name, "error", err)
			}
		case errors.Is(err, leaderboard.ErrRefoldMoved):
			t.log.InfoContext(ctx, "a refold is begun again or given up", "board", board.Name, "error", err)
		default:
			t.log.WarnContext(ctx, "a board could not be refolded, trying again", "board", board.Name, "error", err)
			wait(ctx, refoldRetry, nil, nil)
		}
		return
	}
}

// refoldBoard makes the board's new ranking, from where it was left, and switches to it.
func (t *term) refoldBoard(ctx context.Context, board leaderboard.LiveBoard) error {
	started := time.Now()
	work, err := t.ledger.PrepareRefold(ctx, board)
	if err != nil {
		return err
	}
	t.tellRefold(work.Events, work.Done)

	work, err = t.ledger.FoldRefold(ctx, work, func(done int64) { t.tellRefold(work.Events, done) })
	if err != nil {
		return err
	}
	folded := time.Now()
	m, err := t.makeRankings(ctx, work)
	if err != nil {
		return err
	}
	ranked := time.Now()
	if err := t.catchUpAndSwitch(ctx, m); err != nil {
		return err
	}

	t.log.InfoContext(ctx, "a board has another order, scoring or columns", "board", board.Name, "rules", m.Board.Rules(), "events", m.Events,
		"folding", folded.Sub(started), "ranking", ranked.Sub(folded), "switching", time.Since(ranked))
	t.update(func(s *Status) { s.Refolds++ })
	t.Wake()
	if err := t.ledger.SweepRefold(ctx, m.RefoldWork); err != nil {
		t.log.DebugContext(ctx, "what a refold has left is deleted later", "board", board.Name, "error", err)
	}
	return nil
}

func (t *term) tellRefold(events, done int64) {
	t.update(func(s *Status) { s.RefoldEvents, s.RefoldedEvents = events, done })
}

// catchUpAndSwitch brings the standings and the rankings up to the present, and then has the
// board switched.
func (t *term) catchUpAndSwitch(ctx context.Context, m *remade) error {
	for {
		after, changed, caughtUp, err := t.ledger.AdvanceRefold(ctx, m.RefoldWork)
		if err != nil {
			return err
		}
		works, err := t.join(ctx, m, changed)
		if err != nil {
			return err
		}
		m.RefoldWork, m.watermark = after, max(m.watermark, formatXid(after.Xid))
		if err := t.finishAll(ctx, works, m.watermark); err != nil {
			return err
		}
		if err := t.makeMissing(ctx, m); err != nil {
			return err
		}
		if !caughtUp {
			continue
		}

		switched, err := t.switchBoard(ctx, m)
		switch {
		case errors.Is(err, leaderboard.ErrSeasonEnds):
			wait(ctx, endingRetry, nil, nil)
		case switched || err != nil:
			return err
		}
	}
}

// switchBoard has the board switched. False: too much has come in the meantime.
func (t *term) switchBoard(ctx context.Context, m *remade) (switched bool, err error) {
	var works shardWorks
	after, switched, err := t.ledger.SwitchRefold(ctx, m.RefoldWork, func(ctx context.Context, changed []leaderboard.Standing) (err error) {
		if works, err = t.join(ctx, m, changed); err != nil {
			return err
		}
		// What Redis lost since is not to be switched to.
		shards := m.shards()
		return m.whole(shards, t.ranking.States(ctx, shards))
	})
	if err != nil || !switched {
		return false, err
	}

	// The next tick goes on with the ranking; where this fails, it repairs it first.
	if err := t.finishAll(ctx, works, formatXid(after.Xid)); err != nil {
		t.log.DebugContext(ctx, "the new ranking is caught up later", "error", err)
		return true, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, shard := range m.shards() {
		t.shards[shard.ShardID] = &progress{stored: formatXid(after.Xid), upTo: after.Xid, flushed: time.Now()}
		t.lag.note(shard.ShardID, after.Xid)
	}
	return true, nil
}

// collectRetired deletes what is left of the board's rankings that refolds have superseded.
func (t *term) collectRetired(ctx context.Context, board leaderboard.LiveBoard, now time.Time) error {
	for _, r := range board.Retired {
		// Whatever was on its way to it has arrived by then.
		if now.Sub(r.At) < garbageInterval {
			continue
		}
		retired := board.In(r.Season)
		if err := t.forget(ctx, retired); err != nil {
			return err
		}
		if err := t.ledger.SweepRetired(ctx, retired); err != nil {
			return err
		}
	}
	return nil
}

package catchup

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// foldSize is how many standings are folded before they are saved, some 150 bytes
	// each.
	foldSize = 50_000
	// foldInterval is how long they may wait: what a rebuild reads of the log. Often
	// enough that it is read in a second or two, seldom enough that a busy player's
	// events fold into one change.
	foldInterval = 10 * time.Second
)

// fold is the events behind the checkpoint of the standings, folded.
type fold struct {
	begun bool
	// checkpoint <= xid < upTo is what was folded.
	checkpoint, upTo uint64
	standings        map[leaderboard.EntryKey]leaderboard.Standing
	// since is when the first of standings came.
	since time.Time
	// recounted is as of the catalog by which they were folded.
	recounted int64
}

// add folds an event, unless that was done. Standings of ordered scorings are made
// when the event is appended, and windows have no others: they are read from the log.
func (f *fold) add(catalog *leaderboard.Catalog, e leaderboard.Event) {
	if e.Xid < f.upTo {
		return
	}

	catalog.Route(e, func(board leaderboard.LiveBoard, s leaderboard.Standing) {
		if season, _ := leaderboard.SplitSeason(s.Season); board.Scoring.Ordered() || season != board.Season {
			return
		}
		if len(f.standings) == 0 {
			f.since = time.Now()
		}
		if had, ok := f.standings[s.EntryKey]; ok {
			s = board.Fold().Join(had, s)
		}
		f.standings[s.EntryKey] = s
	})
}

// beginFold finds out where the standings are, and brings those of a restored dump
// into this history.
func (t *term) beginFold(ctx context.Context, snapshot leaderboard.Snapshot) error {
	is, err := t.ledger.Checkpoint(ctx)
	if err != nil {
		return err
	}

	checkpoint := is.Xid

	t.fold = fold{checkpoint: checkpoint, upTo: checkpoint, recounted: t.catalog.Recounted(), standings: make(map[leaderboard.EntryKey]leaderboard.Standing)}
	if here := leaderboard.HistoryStart(snapshot.Xmin); leaderboard.HistoryStart(checkpoint) != here {
		t.log.InfoContext(ctx, "the ledger was restored from a dump: its standings are brought up to date")
		err := t.read(ctx, checkpoint, leaderboard.HistoryEnd(checkpoint), func(chunk []leaderboard.Event) error {
			for _, e := range chunk {
				t.fold.add(t.catalog, e)
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		if err := t.saveUpTo(ctx, here); err != nil {
			return fmt.Errorf("adopt a restored ledger: %w", err)
		}
	}

	t.fold.begun = true
	return nil
}

// SaveStandings brings the standings up to the present once, for tools and tests. A
// leader at work may be ahead of it: it fails then, and there is nothing to do.
func SaveStandings(ctx context.Context, ledger Ledger) error {
	t := newTerm(New(nil, ledger, time.Second, slog.New(slog.DiscardHandler)))
	snapshot, err := ledger.Snapshot(ctx)
	if err != nil {
		return err
	}
	if err := t.begin(ctx, snapshot); err != nil {
		return err
	}
	if _, err := t.advance(ctx, nil, snapshot); err != nil {
		return err
	}
	return t.saveFolded(ctx)
}

// save saves the standings that were folded long enough ago.
func (t *term) save(ctx context.Context) error {
	if len(t.fold.standings) == 0 || time.Since(t.fold.since) < foldInterval {
		return t.saveIfFull(ctx)
	}
	return t.saveFolded(ctx)
}

// saveIfFull keeps the fold small while much is read.
func (t *term) saveIfFull(ctx context.Context) error {
	if len(t.fold.standings) < foldSize {
		return nil
	}
	return t.saveFolded(ctx)
}

// saveFolded moves the checkpoint behind the last event that was folded, where the
// watermarks are.
func (t *term) saveFolded(ctx context.Context) error {
	return t.saveUpTo(ctx, max(t.fold.checkpoint, min(t.fold.upTo, t.durable)))
}

// saveUpTo writes the fold and moves the checkpoint.
func (t *term) saveUpTo(ctx context.Context, upTo uint64) error {
	standings := make([]leaderboard.Standing, 0, len(t.fold.standings))
	for _, s := range t.fold.standings {
		standings = append(standings, s)
	}

	if err := t.ledger.SaveStandings(ctx, t.fold.checkpoint, upTo, t.fold.recounted, standings); err != nil {
		t.fold.begun = false // somebody else may lead: start from what is there
		return err
	}

	saved := uint64(len(standings))
	t.update(func(s *Status) { s.Saved += saved })
	clear(t.fold.standings)
	t.fold.checkpoint, t.fold.upTo = upTo, max(t.fold.upTo, upTo)
	return nil
}

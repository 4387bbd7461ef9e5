package catchup

import (
	"context"
	"fmt"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// garbageInterval is how often what is no longer used is looked for.
	garbageInterval = 10 * time.Minute
	// oldVersionInterval is between two looks for servers of the version before, and
	// oldVersionLooks after how many without one there is none: one of them leads, and
	// asks for the lead twice a second.
	oldVersionInterval, oldVersionLooks = 10 * time.Second, 3
)

// garbage is when a term collects what.
type garbage struct {
	rankings, oldVersion time.Time
	// looks is how many looks in a row found no server of the version before; oldFormat
	// says that what they kept is gone.
	looks     int
	oldFormat bool
}

// collect deletes the rankings of boards and windows that are no longer configured and of
// seasons that are over, those that refolds have superseded, and those in the storage format of servers that are no more. What
// fails is tried again.
func (t *term) collect(ctx context.Context, ledger string) error {
	now := time.Now()
	if now.Sub(t.garbage.rankings) >= garbageInterval {
		if err := t.collectRankings(ctx, ledger); err != nil {
			return err
		}
		t.garbage.rankings = now
	}

	if t.garbage.oldFormat || now.Sub(t.garbage.oldVersion) < oldVersionInterval {
		return nil
	}
	return t.collectOldFormat(ctx, now)
}

// collectRankings deletes what is left of rankings that are not served.
func (t *term) collectRankings(ctx context.Context, ledger string) error {
	now := t.catalog.Now()
	served := make(map[leaderboard.SeasonID]bool)
	for _, s := range activeShards(t.catalog, now) {
		served[s.SeasonID()] = true
		if err := t.collectSegments(ctx, s, ledger); err != nil {
			return err
		}
	}

	for _, board := range t.catalog.All() {
		if board.Season != 0 && !served[board.SeasonID()] {
			if err := t.forget(ctx, board); err != nil {
				return err
			}
		}
		if err := t.collectRetired(ctx, board, now); err != nil {
			return err
		}
		for _, s := range board.Seasons {
			if s.Swept || served[board.In(s.Number).SeasonID()] || now.Before(s.Opens) {
				continue
			}
			if err := t.forget(ctx, board.In(s.Number)); err != nil {
				return err
			}
			// Whatever was on its way to it when it was closed has arrived by then.
			if s.Closed() && now.Sub(s.ClosedAt) >= garbageInterval {
				if err := t.ledger.SweepSeason(ctx, board.In(s.Number)); err != nil {
					return err
				}
				t.seasons.closed.Store(true)
			}
		}
	}
	return t.ledger.DropResults(ctx)
}

// collectSegments deletes what is left in a shard of segments that are no longer configured.
// Brought back, they are made again with the shard: see [leaderboard.Shard.Identity]. A leader
// that lost the lead without knowing it deletes nothing of what the next one has made.
func (t *term) collectSegments(ctx context.Context, shard leaderboard.Shard, ledger string) error {
	board, _ := t.catalog.Numbered(shard.Board)
	if !board.Segmented {
		return nil
	}
	if unserved := t.catalog.Unserved(board); len(unserved) > 0 {
		if err := t.ranking.ForgetSegments(ctx, shard, ledger, unserved); err != nil {
			return fmt.Errorf("delete segments of board %s that are not served: %w", board.Name, err)
		}
	}
	return nil
}

// forget deletes the ranking of one season of a board.
func (t *term) forget(ctx context.Context, board leaderboard.LiveBoard) error {
	for _, shard := range board.AllShards() {
		if err := t.ranking.Forget(ctx, shard); err != nil {
			return fmt.Errorf("delete the ranking of season %d of board %s, which is not served: %w", board.Season, board.Name, err)
		}
	}
	return nil
}

func (t *term) collectOldFormat(ctx context.Context, now time.Time) error {
	t.garbage.oldVersion = now
	leads, err := t.ledger.OldVersionLeads(ctx)
	if err != nil {
		return err
	}
	if t.garbage.looks++; leads {
		t.garbage.looks = 0
	}
	if t.garbage.looks < oldVersionLooks {
		return nil
	}

	for _, board := range t.catalog.All() {
		for _, shard := range board.AllShards() {
			if err := t.ranking.ForgetOldFormat(ctx, shard); err != nil {
				return fmt.Errorf("delete the ranking that servers of the version before kept of board %s: %w", board.Name, err)
			}
		}
	}
	t.garbage.oldFormat = true
	return nil
}

package catchup

import (
	"context"
	"fmt"
	"time"
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
	boards, oldVersion time.Time
	// looks is how many looks in a row found no server of the version before; oldFormat
	// says that what they kept is gone.
	looks     int
	oldFormat bool
}

// collect deletes the rankings of boards that are no longer configured, and those in
// the storage format of servers that are no more. What fails is tried again.
func (t *term) collect(ctx context.Context) error {
	now := time.Now()
	if now.Sub(t.garbage.boards) >= garbageInterval {
		for _, board := range t.catalog.All() {
			if board.Active || board.Season == 0 {
				continue
			}
			for _, shard := range board.AllShards() {
				if err := t.ranking.Forget(ctx, shard); err != nil {
					return fmt.Errorf("delete the ranking of board %s, which is not configured: %w", board.Name, err)
				}
			}
		}
		t.garbage.boards = now
	}

	if t.garbage.oldFormat || now.Sub(t.garbage.oldVersion) < oldVersionInterval {
		return nil
	}
	return t.collectOldFormat(ctx, now)
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

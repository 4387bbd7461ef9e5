package catchup

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// seasonPoll is how often it is looked, in memory, whether a season is to be announced.
	seasonPoll = time.Second
	// refoldPoll is how often it is looked whether a board that is refolded has been switched:
	// who takes submissions finds out at once.
	refoldPoll = time.Second
	// catalogAge is how old what is known of boards with windows or segments may be: an end that was
	// moved is known to all replicas by then, to those that take submissions at once.
	catalogAge = 15 * time.Second
)

// Catalogs are what a process knows of the boards and seasons in the ledger.
type Catalogs interface {
	// Catalog returns them as they were read last.
	Catalog() *leaderboard.Catalog
	// Outdated has a value after it was found that they are others by now.
	Outdated() <-chan struct{}
	LoadCatalog(ctx context.Context) (*leaderboard.Catalog, error)
	AnnounceSeasons(ctx context.Context) (*leaderboard.Catalog, error)
}

// FollowSeasons keeps what this process knows of seasons as it is in the ledger, until ctx
// ends, and announces those that are due, as all processes do: submissions must find them.
// changed is called after it was read.
func FollowSeasons(ctx context.Context, catalogs Catalogs, changed func(), log *slog.Logger) {
	failing, loaded := false, time.Now()
	for {
		outdated := false
		select {
		case <-ctx.Done():
			return
		case <-catalogs.Outdated():
			outdated = true
		case <-time.After(seasonPoll + rand.N(seasonPoll/4)): // not all at once
		}

		catalog := catalogs.Catalog()
		var err error
		switch {
		case catalog.AnnouncementDue(catalog.Now()):
			_, err = catalogs.AnnounceSeasons(ctx)
		case outdated || (catalog.HasWindows() || catalog.HasSegments()) && time.Since(loaded) > catalogAge || refolding(catalog) && time.Since(loaded) >= refoldPoll:
			_, err = catalogs.LoadCatalog(ctx)
		default:
			continue
		}

		if err == nil {
			loaded = time.Now()
			changed()
		} else if !failing && ctx.Err() == nil {
			log.WarnContext(ctx, "the seasons cannot be read, trying again", "error", err)
		}
		failing = err != nil
	}
}

// refolding says whether a board is on the way to another order, scoring or columns.
func refolding(catalog *leaderboard.Catalog) bool {
	return slices.ContainsFunc(catalog.Refolding(), func(b leaderboard.LiveBoard) bool { return b.Refold.Refused == "" })
}

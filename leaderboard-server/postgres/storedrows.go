package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// storedRows is by what the rows of a statement are read.
type storedRows struct {
	catalog *leaderboard.Catalog
	// at is when the transaction began, and version what the boards' was then.
	at      time.Time
	version int64
	// known says that the catalog's seasons are those of the transaction, lost that it is
	// not even known what rankings there are.
	known, lost bool
}

// main is the number of the season of a board that the receipt is about; 0: it is not known.
func (r *storedRows) main(b leaderboard.LiveBoard) int32 {
	if r.lost || b.WindowsOnly && !r.known {
		return 0
	}
	return b.Main(r.at)
}

// reload reads the boards again after a batch that was stored with others than those of the
// catalog: a ranking of all time may be another one by now. What was stored is in whatever
// ranking there is now: if not by this batch, by catch-up.
func (l *Ledger) reload(ctx context.Context, conn *pgx.Conn, r *storedRows) {
	catalog, err := l.loadCatalog(ctx, conn)
	if err != nil {
		r.lost = true
		return
	}
	r.catalog, r.known = catalog, catalog.Knows(r.version, r.at)
}

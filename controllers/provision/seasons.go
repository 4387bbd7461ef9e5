package provision

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// Season is where a window of a tenant's board is. Times are zero, and numbers 0, where
// there is none.
type Season struct {
	Board, Window string
	// Number is of the season that is open; Opens and Closes are of it, or of the next one.
	Number        int32
	Opens, Closes time.Time
	// LastClosed is the last one whose results are final, and LastEntries their number.
	LastClosed  int32
	LastEntries int64
}

// Seasons reads the windows of a tenant, in the order of boards and windows.
func (p *Postgres) Seasons(ctx context.Context, t tenant.Tenant) (seasons []Season, err error) {
	err = p.readAsOwner(ctx, t, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT b.name, w.name, CASE WHEN s.opens_at <= now() THEN s.ordinal ELSE 0 END, s.opens_at, s.closes_at, coalesce(c.ordinal, 0), coalesce(c.entries, 0)
			FROM windows w JOIN boards b ON b.number = w.board AND b.active
			LEFT JOIN LATERAL (
				SELECT ordinal, opens_at, closes_at FROM window_seasons WHERE board = w.board AND name = w.name AND closes_at > now() ORDER BY ordinal LIMIT 1) s ON true
			LEFT JOIN LATERAL (
				SELECT ordinal, entries FROM window_seasons WHERE board = w.board AND name = w.name AND closed_at IS NOT NULL ORDER BY ordinal DESC LIMIT 1) c ON true
			WHERE w.active ORDER BY b.number, w.place`)
		if err != nil {
			return err
		}
		seasons, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Season, err error) {
			var ordinal *int32
			var opens, closes *time.Time
			if err := row.Scan(&s.Board, &s.Window, &ordinal, &opens, &closes, &s.LastClosed, &s.LastEntries); err != nil || opens == nil {
				return s, err
			}
			s.Number, s.Opens, s.Closes = *ordinal, *opens, *closes
			return s, nil
		})
		return err
	})
	if err != nil {
		return nil, postgresError(err, "read the seasons of %s", t.ID)
	}
	return seasons, nil
}

// readAsOwner reads what is in the tenant's schema, in one transaction.
func (p *Postgres) readAsOwner(ctx context.Context, t tenant.Tenant, read func(ctx context.Context, tx pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	return pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := becomeOwner(ctx, tx, t); err != nil {
			return err
		}
		return read(ctx, tx)
	})
}

// becomeOwner has the transaction work as the owner of the tenant's schema, in it.
func becomeOwner(ctx context.Context, tx pgx.Tx, t tenant.Tenant) error {
	for _, statement := range []string{"SET LOCAL ROLE " + quote(t.OwnerRole()), "SET LOCAL search_path = " + quote(t.Schema())} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// ErrNextSeasonOver is that a season cannot end after the next one.
var ErrNextSeasonOver = errors.New("the next season would be over by then")

// EndSeason has a season of a window of a tenant's board end at a time, at least 2 s from
// now, and returns when it does. False: it is not open. [ErrNextSeasonOver] says that the
// time is too late.
func (p *Postgres) EndSeason(ctx context.Context, t tenant.Tenant, claim Claim, board, window string, season int32, at time.Time) (ends time.Time, open bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	var moved *time.Time
	err = p.locked(ctx, t, claim, func(tx pgx.Tx) error {
		if err := becomeOwner(ctx, tx, t); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT end_season($1, $2, $3, $4)", board, window, season, at).Scan(&moved)
	})
	if sqlState(err) == stateInvalidParameter {
		return time.Time{}, false, ErrNextSeasonOver
	}
	if err != nil || moved == nil {
		return time.Time{}, false, postgresError(err, "end season %d of window %s of board %s of %s", season, window, board, t.ID)
	}
	return *moved, true, nil
}

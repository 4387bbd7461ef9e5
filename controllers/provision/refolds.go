package provision

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// BoardFold is the order, scoring and columns that a tenant's board is served with, and how
// far it is on the way to others.
type BoardFold struct {
	Board, Order, Scoring string
	// Columns are its further columns, each with its name, a space and its order.
	Columns []string
	// WantedOrder, WantedScoring and WantedColumns are what the servers were told that it is to
	// get; an empty order: nothing else.
	WantedOrder, WantedScoring string
	WantedColumns              []string
	// MissingColumns says that they were told of columns that it cannot get, which are not among
	// WantedColumns.
	MissingColumns bool
	// Begun says that scores are read, and Ranking that all of those that there were have
	// been. Refused says why it cannot be done.
	Begun, Ranking bool
	Refused        string
	// Events is how many scores there were when it began, and Folded how many of them were
	// read.
	Events, Folded int64
}

// columnsSQL makes of stored columns what [BoardFold] has of them.
func columnsSQL(stored string) string {
	return "ARRAY(SELECT (c.value ->> 'name') || ' ' || (c.value ->> 'order') FROM jsonb_array_elements(" + stored + ") WITH ORDINALITY c (value, place) ORDER BY c.place)"
}

// Folds reads the boards of a tenant that are configured, global apart.
func (p *Postgres) Folds(ctx context.Context, t tenant.Tenant) (folds []BoardFold, err error) {
	err = p.readAsOwner(ctx, t, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT b.name, b.board_order, b.scoring,
				`+columnsSQL("b.columns")+`,
				coalesce(r.board_order, ''), coalesce(r.scoring, ''),
				`+columnsSQL("coalesce(r.columns, b.columns)")+`,
				coalesce(r.of_columns AND r.columns IS NULL, false),
				coalesce(r.season IS NOT NULL, false), coalesce(r.season IS NOT NULL AND r.parts_done >= r.parts, false), coalesce(r.refused, ''),
				coalesce(r.events, 0), coalesce(r.events_done, 0)
			FROM boards b LEFT JOIN refolds r ON r.board = b.number
			WHERE b.active AND b.number <> 1 ORDER BY b.number`)
		if err != nil {
			return err
		}
		folds, err = pgx.CollectRows(rows, pgx.RowToStructByPos[BoardFold])
		return err
	})
	if err != nil {
		return nil, postgresError(err, "read the order, scoring and columns of the boards of %s", t.ID)
	}
	return folds, nil
}

package faults

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// limited is the board that takes so many submissions of a player in any minute.
const (
	limited          = "sprint"
	limitedPerMinute = 5
)

// checkLimits verifies that no player has more submissions in any 60 seconds than the board takes,
// whatever broke meanwhile.
func (w *world) checkLimits(ctx context.Context, conn *pgx.Conn) error {
	var above, all int
	err := conn.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE span < interval '60 seconds'), count(*)
		FROM (
			SELECT e.at - lag(e.at, $2) OVER (PARTITION BY e.player ORDER BY e.at, e.id) AS span
			FROM score_events e JOIN boards b ON b.number = e.board WHERE b.name = $1
		) spans`, limited, limitedPerMinute).Scan(&above, &all)
	if err == nil && above > 0 {
		err = fmt.Errorf("%d of %d submissions to %s are more than %d in 60 seconds", above, all, limited, limitedPerMinute)
	}
	return err
}

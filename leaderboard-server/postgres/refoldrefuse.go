package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// upgradeTime is how long after an upgrade servers of a version before may go on. Some would
// append to a board that has become ordered without making its standings, some give a refold
// of a board with windows or segments up.
const upgradeTime = 15 * time.Minute

// checkRefold says why a board cannot be refolded now: a [leaderboard.RefoldRefusedError],
// or nil.
func (l *Ledger) checkRefold(ctx context.Context, from querier, board leaderboard.LiveBoard) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	want := asked(board)
	var cut bool
	var wait pgtype.Int8
	err := from.QueryRow(ctx, `
		SELECT b.log_cut, (
			SELECT ceil(extract(epoch FROM max(this.applied_at) + $2::interval - now()) / 60)::bigint FROM schema_migrations first, schema_migrations this
			WHERE first.version = 1 AND this.applied_at > first.applied_at + $2::interval AND (this.name = 'refolds' AND $3 OR this.name = 'refold_columns' AND ($4 OR EXISTS (SELECT FROM refolds WHERE board = b.number AND columns IS NOT NULL))
				OR this.name = 'refold_windows' AND (EXISTS (SELECT FROM windows WHERE board = b.number AND active) OR EXISTS (SELECT FROM window_seasons WHERE board = b.number AND closed_at IS NULL))))
		FROM boards b WHERE b.number = $1`, board.Number, upgradeTime, board.Refold.Scoring.Ordered(), board.Segmented).Scan(&cut, &wait)
	if err != nil {
		return unavailable("look whether a board can be refolded", err)
	}

	switch {
	case cut:
		return refuse("board %s cannot get %s: retention has dropped scores of it, of which the new ranking would have to be made. Add a board with another name instead", board.Name, want)
	case wait.Int64 > 0:
		return refuse("board %s gets %s in %d minutes, when no server of the version before can be left", board.Name, want, wait.Int64)
	}
	return nil
}

// asked says for a message what a board is to get.
func asked(board leaderboard.LiveBoard) string {
	want := board.Refold.String()
	if len(board.Refold.Columns) == 0 && len(board.Columns) > 0 {
		want += ", without columns"
	}
	return want
}

func refuse(format string, args ...any) error {
	return &leaderboard.RefoldRefusedError{Reason: fmt.Sprintf(format, args...)}
}

// RefuseRefold records why a refold cannot be done, if that is what the error says, and
// gives up what was made of it.
func (l *Ledger) RefuseRefold(ctx context.Context, board leaderboard.LiveBoard, why error) error {
	refused := (*leaderboard.RefoldRefusedError)(nil)
	if !errors.As(why, &refused) {
		return nil
	}

	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if err := lockBoards(ctx, tx, "boards"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			WITH given_up AS (
				INSERT INTO retired_rankings (board, season, board_order, scoring, columns)
				SELECT board, season, board_order, scoring, columns FROM refolds WHERE board = $1 AND asked_at = $2 AND season IS NOT NULL
			)
			UPDATE refolds SET refused = $3, final = $4 OR columns IS NOT NULL, barred = $4, season = NULL, cut = NULL, cut_xid = NULL
			WHERE board = $1 AND asked_at = $2 AND (refused IS DISTINCT FROM $3 OR season IS NOT NULL)`,
			board.Number, board.Refold.AskedAt, refused.Reason, refused.Final)
		return err
	})
	if err != nil {
		return fmt.Errorf("record that board %s cannot be refolded: %w", board.Name, err)
	}
	return nil
}

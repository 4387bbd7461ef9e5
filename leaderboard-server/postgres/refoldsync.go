package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// syncRefold records the rules that a board is to get, or that it keeps those that it has. New
// columns are refused: past submissions have no values of them. So are other owners.
func syncRefold(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, configured leaderboard.Board) error {
	want, missing := board.Asked(configured)
	var refused *string
	var columns any // null: those that there are
	of := want.Fold()
	switch is, other := board.Fold(), board.OtherOwners(configured); {
	case other != "":
		want, refused = board.Rules(), &other
	case missing != "":
		want.Columns, refused = board.Columns, new(missingColumn(board, missing))
	case of.Columns != is.Columns || of.Logged != is.Logged:
		columns = storedColumns(want.Columns)
	}

	nothing := refused == nil && want.Fold() == board.Fold()
	if nothing && board.Refold == nil {
		return nil
	}
	if is := board.Refold; is != nil && !nothing && is.Fold() == want.Fold() && is.Missing == (refused != nil) && (refused == nil || is.Refused == *refused) {
		return keepBounds(ctx, tx, board, columns)
	}
	if err := dropRefold(ctx, tx, board); err != nil || nothing {
		return err
	}
	// Servers of the version before take one of other columns for refused: they would make the
	// ranking with the columns that there are.
	_, err := tx.Exec(ctx, "INSERT INTO refolds (board, board_order, scoring, of_columns, refused, final, columns, asked_at) VALUES ($1, $2, $3, $4, $5, $4, $6, clock_timestamp())",
		board.Number, want.Order, want.Scoring, refused != nil || columns != nil, refused, columns)
	if err != nil {
		return fmt.Errorf("store the new %s of board %s: %w", want, board.Name, err)
	}
	return nil
}

// missingColumn says why a board cannot get a column.
func missingColumn(board leaderboard.LiveBoard, name string) string {
	why := "of which its past scores have no values"
	if slices.Contains(board.LeftOut, name) {
		why = "which was left out: scores that have come in since have no values of it"
	}
	return fmt.Sprintf("board %s cannot get the column %s, %s. Add a board with another name instead", board.Name, name, why)
}

// keepBounds changes the bounds and decimals of columns that the board is to get.
func keepBounds(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, columns any) error {
	if columns == nil {
		return nil
	}
	if _, err := tx.Exec(ctx, "UPDATE refolds SET columns = $2 WHERE board = $1 AND columns IS DISTINCT FROM $2", board.Number, columns); err != nil {
		return fmt.Errorf("store the bounds of the new columns of board %s: %w", board.Name, err)
	}
	return nil
}

// dropRefold gives the board's refold up. What was made of it is deleted later.
func dropRefold(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard) error {
	_, err := tx.Exec(ctx, `
		WITH dropped AS (DELETE FROM refolds WHERE board = $1 RETURNING board, season, board_order, scoring, columns)
		INSERT INTO retired_rankings (board, season, board_order, scoring, columns) SELECT board, season, board_order, scoring, columns FROM dropped WHERE season IS NOT NULL`, board.Number)
	if err != nil {
		return fmt.Errorf("give the refold of board %s up: %w", board.Name, err)
	}
	return nil
}

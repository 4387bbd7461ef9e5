package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// SyncBoards implements [leaderboard.BoardStore]: new boards get a number and
// their first season, boards that are no longer configured become inactive, and
// nothing is ever deleted or numbered anew.
func (l *Ledger) SyncBoards(ctx context.Context, boards leaderboard.Boards) (*leaderboard.Catalog, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		// Replicas start together: one after the other, so that numbers are given once.
		if _, err := tx.Exec(ctx, "LOCK TABLE boards IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return fmt.Errorf("wait for other replicas: %w", err)
		}

		existing, err := readBoards(ctx, tx)
		if err != nil {
			return err
		}

		return syncBoards(ctx, tx, existing, boards.All())
	})
	if err != nil {
		if code := leaderboard.CodeOf(err); code == leaderboard.CodeConflict {
			return nil, err
		}
		return nil, fmt.Errorf("bring the ledger's boards in line with the configuration: %w", err)
	}

	return l.LoadCatalog(ctx)
}

func syncBoards(ctx context.Context, tx pgx.Tx, existing []leaderboard.LiveBoard, boards []leaderboard.Board) error {
	byName := make(map[string]leaderboard.LiveBoard, len(existing))
	for _, b := range existing {
		byName[b.Name] = b
	}

	names := make([]string, len(boards))
	for i, b := range boards {
		names[i] = b.Name
		old, known := byName[b.Name]
		switch {
		case known && (old.Order != b.Order || old.Scoring != b.Scoring):
			return leaderboard.Errorf(leaderboard.CodeConflict, "boards",
				"board %s has order %s and scoring %s, by which its scores were ranked and folded; they cannot become %s and %s: add a board with another name instead",
				b.Name, old.Order, old.Scoring, b.Order, b.Scoring)
		case known && old.Board == b && old.Active:
			continue
		}
		if err := upsertBoard(ctx, tx, b, known); err != nil {
			return err
		}
	}

	if _, err := tx.Exec(ctx, "UPDATE boards SET active = false WHERE active AND name <> ALL ($1)", names); err != nil {
		return fmt.Errorf("deactivate boards: %w", err)
	}

	return nil
}

func upsertBoard(ctx context.Context, tx pgx.Tx, b leaderboard.Board, known bool) error {
	if known {
		_, err := tx.Exec(ctx, `UPDATE boards SET min_score = $2, max_score = $3, counts_toward_global = $4, shards = $5, derived = $6, decimals = $7,
			active = true WHERE name = $1`, b.Name, b.MinScore, b.MaxScore, b.CountsTowardGlobal, b.Shards, b.Derived, b.Decimals)
		if err != nil {
			return fmt.Errorf("update board %s: %w", b.Name, err)
		}
		return nil
	}

	_, err := tx.Exec(ctx, `WITH board AS (
			INSERT INTO boards (name, board_order, scoring, min_score, max_score, counts_toward_global, shards, decimals)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING number)
		INSERT INTO seasons (board, number, opens_at) SELECT number, 1, '-infinity' FROM board`,
		b.Name, b.Order, b.Scoring, b.MinScore, b.MaxScore, b.CountsTowardGlobal, b.Shards, b.Decimals)
	if err != nil {
		return fmt.Errorf("add board %s: %w", b.Name, err)
	}

	return nil
}

// LoadCatalog reads the boards with their open seasons and remembers them for
// Catalog.
func (l *Ledger) LoadCatalog(ctx context.Context) (*leaderboard.Catalog, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	boards, err := readBoards(ctx, l.pool)
	if err != nil {
		return nil, unavailable("read the boards", err)
	}

	catalog, err := leaderboard.NewCatalog(boards)
	if err != nil {
		return nil, err
	}

	l.catalog.Store(catalog)
	return catalog, nil
}

// Catalog returns the boards as of the last SyncBoards or LoadCatalog; nil
// before the first.
func (l *Ledger) Catalog() *leaderboard.Catalog { return l.catalog.Load() }

// readBoards returns the boards; one without an open season has season 0.
func readBoards(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}) ([]leaderboard.LiveBoard, error) {
	rows, err := db.Query(ctx, `
		SELECT b.name, b.board_order, b.scoring, b.min_score, b.max_score, b.counts_toward_global, b.shards, b.derived, b.decimals, b.number, b.active, coalesce(s.number, 0)
		FROM boards b
		LEFT JOIN seasons s ON s.board = b.number AND s.opens_at <= now() AND (s.closes_at IS NULL OR s.closes_at > now())
		ORDER BY b.number`)
	if err != nil {
		return nil, fmt.Errorf("query the boards: %w", err)
	}

	boards, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b leaderboard.LiveBoard, err error) {
		err = row.Scan(&b.Name, &b.Order, &b.Scoring, &b.MinScore, &b.MaxScore, &b.CountsTowardGlobal, &b.Shards, &b.Derived, &b.Decimals, &b.Number, &b.Active, &b.Season)
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the boards: %w", err)
	}

	return boards, nil
}

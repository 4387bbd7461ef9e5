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

const seasonColumns = "s.number, s.name, s.ordinal, s.opens_at, s.closes_at, s.closed_at, coalesce(s.entries, 0), s.swept, coalesce(s.board_order, ''), s.columns"

func scanSeason(row pgx.Row, s *leaderboard.Season, more ...any) error {
	var closed *time.Time
	var columns []storedColumn
	err := row.Scan(append([]any{&s.Number, &s.Window, &s.Ordinal, &s.Opens, &s.Closes, &closed, &s.Entries, &s.Swept, &s.Order, &columns}, more...)...)
	s.Columns = definedColumns(columns)
	s.Opens, s.Closes = s.Opens.UTC(), s.Closes.UTC()
	if s.ClosedAt = (time.Time{}); closed != nil {
		s.ClosedAt = closed.UTC()
	}
	return err
}

// readRunningSeasons adds the seasons of which something is left to do, and the last closed
// one of each window.
func readRunningSeasons(ctx context.Context, tx pgx.Tx, boards map[int32]*leaderboard.LiveBoard) error {
	rows, err := tx.Query(ctx, "SELECT "+seasonColumns+`, s.board
		FROM window_seasons s JOIN windows w USING (board, name)
		WHERE s.closed_at IS NULL OR NOT s.swept
			OR s.ordinal = (SELECT max(ordinal) FROM window_seasons c WHERE c.board = s.board AND c.name = s.name AND c.closed_at IS NOT NULL)
		ORDER BY s.board, w.active DESC, w.place, s.ordinal`)
	if err != nil {
		return fmt.Errorf("query the seasons: %w", err)
	}
	defer rows.Close()

	for rows.Next() {
		var s leaderboard.Season
		var board int32
		if err := scanSeason(rows, &s, &board); err != nil {
			return fmt.Errorf("read the seasons: %w", err)
		}
		boards[board].Seasons = append(boards[board].Seasons, s)
	}
	return rows.Err()
}

// AnnounceSeasons makes the seasons that are due to be announced, of every window that is
// configured, also those that were missed, and moves the ends of those whose windows were
// changed. It returns the boards as they are then.
func (l *Ledger) AnnounceSeasons(ctx context.Context) (*leaderboard.Catalog, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err := pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return announceSeasons(ctx, tx) })
	if err != nil {
		return nil, unavailable("announce the next seasons", err)
	}
	return l.LoadCatalog(ctx)
}

// errNoticeTooShort says that the seasons of a transaction may have been announced too
// late.
var errNoticeTooShort = errors.New("announcing the seasons took too long")

func announceSeasons(ctx context.Context, tx pgx.Tx) error {
	// Replicas announce the same seasons: one after the other.
	if err := lockBoards(ctx, tx, "window_seasons"); err != nil {
		return err
	}
	boards, err := readBoards(ctx, tx)
	if err != nil {
		return err
	}

	var now time.Time
	if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&now); err != nil {
		return err
	}
	changed := false
	for _, b := range boards {
		if !b.Active {
			continue
		}
		for _, w := range b.Windows {
			did, err := announce(ctx, tx, b.Number, w, b.LastSeason(w.Name), now)
			if err != nil {
				return fmt.Errorf("window %s of board %s: %w", w.Name, b.Name, err)
			}
			changed = changed || did
		}
	}

	// A submission must not be older than the season that it counts in.
	var after time.Time
	if err := tx.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&after); err != nil {
		return err
	}
	if changed && after.Sub(now) > leaderboard.SeasonNotice/2 {
		return errNoticeTooShort
	}
	return nil
}

// announce brings the seasons of one window up to date.
func announce(ctx context.Context, tx pgx.Tx, board int32, w leaderboard.Window, last leaderboard.Season, now time.Time) (changed bool, err error) {
	if moved, ok := w.Reschedule(last, now); ok && !last.Closed() {
		if _, err := tx.Exec(ctx, "UPDATE window_seasons SET opens_at = $3, closes_at = $4 WHERE board = $1 AND number = $2", board, last.Number, moved.Opens, moved.Closes); err != nil {
			return false, fmt.Errorf("move season %d: %w", last.Ordinal, err)
		}
		last, changed = moved, true
	}

	for range leaderboard.MaxAnnounced {
		next, ok := w.NextSeason(last, now)
		if !ok {
			break
		}
		err := tx.QueryRow(ctx, `INSERT INTO window_seasons (board, number, name, ordinal, opens_at, closes_at)
			SELECT $1, coalesce(max(number), 1) + 1, $2, $3, $4, $5 FROM window_seasons WHERE board = $1
			RETURNING number`, board, next.Window, next.Ordinal, next.Opens, next.Closes).Scan(&next.Number)
		if err != nil {
			return changed, fmt.Errorf("add season %d: %w", next.Ordinal, err)
		}
		last, changed = next, true
	}
	return changed, nil
}

// Seasons implements [leaderboard.SeasonStore].
func (r *Results) Seasons(ctx context.Context, board leaderboard.LiveBoard, window string, before int32, limit int) ([]leaderboard.Season, error) {
	var seasons []leaderboard.Season
	err := r.query(ctx, func(ctx context.Context) error {
		rows, err := r.ledger.pool.Query(ctx, "SELECT "+seasonColumns+` FROM window_seasons s
			WHERE s.board = $1 AND s.name = $2 AND ($3 = 0 OR s.ordinal < $3) ORDER BY s.ordinal DESC LIMIT $4`, board.Number, window, before, limit)
		if err != nil {
			return err
		}
		seasons, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s leaderboard.Season, err error) {
			err = scanSeason(row, &s)
			return s, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return seasons, r.overlaySeasons(ctx, board, seasons)
}

// Season implements [leaderboard.SeasonStore].
func (r *Results) Season(ctx context.Context, board leaderboard.LiveBoard, window string, ordinal int32) (s leaderboard.Season, ok bool, err error) {
	ctx, done, err := r.ledger.lookUp(ctx, r.ledger.options.Timeout)
	if err != nil {
		return s, false, err
	}
	defer done()

	err = scanSeason(r.ledger.pool.QueryRow(ctx, "SELECT "+seasonColumns+" FROM window_seasons s WHERE s.board = $1 AND s.name = $2 AND s.ordinal = $3", board.Number, window, ordinal), &s)
	if err == nil {
		return s, true, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return s, false, unavailable("read a season", err)
	}

	// Seasons are dropped from the first on.
	var first pgtype.Int4
	if err := r.ledger.pool.QueryRow(ctx, "SELECT min(ordinal) FROM window_seasons WHERE board = $1 AND name = $2", board.Number, window).Scan(&first); err != nil {
		return s, false, unavailable("look for the first season", err)
	}
	dropped := first.Valid && ordinal < first.Int32
	return leaderboard.Season{Dropped: dropped}, dropped, nil
}

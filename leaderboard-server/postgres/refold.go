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

const (
	// cutWait is how long a cut waits for the batches that are being stored. Those that come
	// in the meantime wait for it.
	cutWait = "200ms"
	// cutTimeout bounds what is done while batches wait: they are repeated after 2 s.
	cutTimeout = 1500 * time.Millisecond
	// refoldPart is how many events are sorted at a time, some 300 MB on PostgreSQL's disk.
	refoldPart = 4_000_000
	// refoldPatience is for how long reading a part may bring nothing: all of the log is
	// read, and a part of it sorted, before the first event comes.
	refoldPatience = 10 * time.Minute
)

// Events of a board are cut in two by their numbers: while nobody can append, the last
// number is read, so every event up to it is committed and every later one has a higher
// number. What is before a cut never changes any more, so it is read in as many parts, and
// as often, as it takes.
const cutSQL = `
	SELECT CASE WHEN is_called THEN last_value ELSE 0 END, history | pg_snapshot_xmin(pg_current_snapshot())::text::bigint
	FROM event_ids, ledger_here()`

// stopAppending has everybody who appends wait until the transaction ends. Only the parent
// is locked: all appends go by way of it, and vacuuming a partition does not.
func stopAppending(ctx context.Context, tx pgx.Tx) (last int64, xid uint64, err error) {
	if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", cutWait); err != nil {
		return 0, 0, err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE ONLY score_events IN SHARE MODE"); err != nil {
		return 0, 0, fmt.Errorf("wait for the batches that are being stored: %w", err)
	}
	err = tx.QueryRow(ctx, cutSQL).Scan(&last, &xid)
	return last, xid, err
}

// lockBoards has others who change the tables (boards, if it is one, the first) wait until the
// transaction ends. Whoever changes refolds takes it before the rows: their triggers and those
// of boards raise the version of the boards, in whatever order.
func lockBoards(ctx context.Context, tx pgx.Tx, tables string) error {
	if _, err := tx.Exec(ctx, "LOCK TABLE "+tables+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return fmt.Errorf("wait for other replicas: %w", err)
	}
	return nil
}

// cut returns the number of the last event, and a transaction below which every event is up
// to it.
func (l *Ledger) cut(ctx context.Context) (last int64, xid uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, cutTimeout)
	defer cancel()

	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		last, xid, err = stopAppending(ctx, tx)
		return err
	})
	return last, xid, err
}

// readRefolds adds the refolds of the boards and their retired rankings.
func readRefolds(ctx context.Context, tx pgx.Tx, boards map[int32]*leaderboard.LiveBoard) error {
	rows, err := tx.Query(ctx, `
		SELECT r.board, r.board_order, r.scoring, coalesce(r.columns, b.columns), coalesce(r.season, 0), coalesce(r.refused, ''), r.of_columns AND r.columns IS NULL, r.asked_at, NULL::timestamptz
			FROM refolds r JOIN boards b ON b.number = r.board
		UNION ALL
		SELECT r.board, r.board_order, r.scoring, coalesce(r.columns, b.columns), r.season, '', false, r.retired_at, r.retired_at
			FROM retired_rankings r JOIN boards b ON b.number = r.board`)
	if err != nil {
		return fmt.Errorf("query the refolds: %w", err)
	}
	defer rows.Close()

	for rows.Next() {
		var number int32
		var r leaderboard.Refold
		var columns []storedColumn
		var retired *time.Time
		if err := rows.Scan(&number, &r.Order, &r.Scoring, &columns, &r.Season, &r.Refused, &r.Missing, &r.AskedAt, &retired); err != nil {
			return fmt.Errorf("read the refolds: %w", err)
		}
		board := boards[number]
		r.Columns = definedColumns(columns)
		if retired == nil {
			board.Refold = &r
		} else {
			board.Retired = append(board.Retired, leaderboard.RetiredRanking{Season: r.Season, Rules: r.Rules, At: *retired})
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the refolds: %w", err)
	}

	for number, board := range boards {
		if board.Refold == nil || board.Refold.Season == 0 {
			continue
		}
		if board.Refold.Seasons, err = readRefoldSeasons(ctx, tx, number); err != nil {
			return fmt.Errorf("read the seasons of the refold of board %s: %w", board.Name, err)
		}
	}
	return nil
}

// PrepareRefold begins the refold that the catalog has of the board, or finds out how far it
// has come. A [leaderboard.RefoldRefusedError], of this or a later step, says that it cannot
// be done as things are: see RefuseRefold.
func (l *Ledger) PrepareRefold(ctx context.Context, board leaderboard.LiveBoard) (leaderboard.RefoldWork, error) {
	work, err := l.refoldWork(ctx, board)
	if err != nil {
		return work, err
	}
	if err := l.checkRefold(ctx, l.pool, board); err != nil {
		return work, err
	}
	here, err := l.Snapshot(ctx)
	if err != nil {
		return work, err
	}
	if work.Board.Season != 0 && leaderboard.HistoryStart(here.Xmin) == leaderboard.HistoryStart(work.Xid) {
		return work, nil
	}

	if err := l.beginRefold(ctx, board); err != nil {
		return work, err
	}
	return l.refoldWork(ctx, board)
}

// refoldWork reads how far a refold has come; one that is not begun has season 0.
func (l *Ledger) refoldWork(ctx context.Context, board leaderboard.LiveBoard) (leaderboard.RefoldWork, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	w := leaderboard.RefoldWork{Board: board}
	var season int32
	var askedAt time.Time
	var xid int64
	refused := leaderboard.RefoldRefusedError{}
	err := l.pool.QueryRow(ctx, `SELECT coalesce(season, 0), asked_at, coalesce(cut, 0), coalesce(cut_xid, 0), parts, parts_done, events, events_done, coalesce(refused, ''),
			CASE WHEN columns IS NULL THEN final ELSE barred END
		FROM refolds WHERE board = $1`, board.Number).
		Scan(&season, &askedAt, &w.Cut, &xid, &w.Parts, &w.PartsDone, &w.Events, &w.Done, &refused.Reason, &refused.Final)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !askedAt.Equal(board.Refold.AskedAt) {
		return w, leaderboard.ErrRefoldMoved
	}
	if err != nil {
		return w, unavailable("read a refold", err)
	}
	if refused.Final {
		return w, &refused
	}

	refold := *board.Refold
	refold.Season = season
	if refold.Seasons, err = readRefoldSeasons(ctx, l.pool, board.Number); err != nil {
		return w, unavailable("read the seasons of a refold", err)
	}
	w.Board.Refold, w.Xid = &refold, uint64(xid)
	w.Board = w.Board.In(season)
	return w, nil
}

// beginRefold gives the refold a season and the first cut. One that has a season, of
// another history, begins again with another.
func (l *Ledger) beginRefold(ctx context.Context, board leaderboard.LiveBoard) error {
	last, xid, err := l.cut(ctx)
	if err != nil {
		return fmt.Errorf("cut the log: %w", err)
	}
	events, err := l.countEvents(ctx, board, last)
	if err != nil {
		return fmt.Errorf("count the events of board %s: %w", board.Name, err)
	}

	ctx, cancel := l.deadline(ctx)
	defer cancel()

	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if err := lockBoards(ctx, tx, "boards"); err != nil {
			return err
		}

		var before pgtype.Int4
		err := tx.QueryRow(ctx, "SELECT season FROM refolds WHERE board = $1 AND asked_at = $2 FOR UPDATE", board.Number, board.Refold.AskedAt).Scan(&before)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && before.Int32 != board.Refold.Season {
			return leaderboard.ErrRefoldMoved
		}
		if err != nil {
			return err
		}
		if before.Valid {
			_, err := tx.Exec(ctx, "INSERT INTO retired_rankings (board, season, board_order, scoring, columns) SELECT board, season, board_order, scoring, columns FROM refolds WHERE board = $1",
				board.Number)
			if err != nil {
				return err
			}
		}

		var made int32
		if err := tx.QueryRow(ctx, "UPDATE boards SET refolds = refolds + 1 WHERE number = $1 RETURNING refolds", board.Number).Scan(&made); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE refolds SET season = $2, cut = $3, cut_xid = $4, parts = $5, parts_done = 0, events = $6, events_done = 0, refused = NULL WHERE board = $1`,
			board.Number, leaderboard.RefoldSeason(made), last, int64(xid), (events+refoldPart-1)/refoldPart, events)
		if err != nil {
			return err
		}
		_, err = addRefoldSeasons(ctx, tx, board.Number)
		return err
	})
}

func (l *Ledger) countEvents(ctx context.Context, board leaderboard.LiveBoard, last int64) (events int64, err error) {
	err = readFor(ctx, l.aside, refoldPatience, func(ctx context.Context, tx pgx.Tx, _ func()) error {
		if err := alone(ctx, tx); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT count(*) FROM score_events WHERE board = $1 AND id <= $2", board.Number, last).Scan(&events)
	})
	return events, err
}

// SweepRetired deletes the standings of a retired ranking of the board, which is the season
// that is meant, and forgets it. Nothing of it is left in Redis.
func (l *Ledger) SweepRetired(ctx context.Context, board leaderboard.LiveBoard) error {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	if err := l.deleteStandings(ctx, board); err != nil {
		return err
	}
	_, err := l.pool.Exec(ctx, "DELETE FROM retired_rankings WHERE board = $1 AND season = $2", board.Number, board.Season)
	if err != nil {
		return fmt.Errorf("forget a retired ranking of board %s: %w", board.Name, err)
	}
	return nil
}

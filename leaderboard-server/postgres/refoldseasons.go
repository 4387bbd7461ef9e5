package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// seasonEnding is how long before the end of a season of a window its board is not switched
// any more, until it is closed: longer than switching may take. So a season is closed with
// the fold that is served when it ends.
const seasonEnding = 2 * cutTimeout

// Which seasons an event counts in does not depend on when it is folded: the bounds of seasons
// are moved at least two seconds ahead, so those that are read after a cut are right for all
// that is up to it.

// refolded is a ranking that a refold makes, with its segments.
type refolded struct {
	// board has the ranking's season and fold.
	board leaderboard.LiveBoard
	// season is the one of a window that it is of; nil: all time.
	season *leaderboard.Season
}

// of are what an event makes by itself of the ranking, then of the segments that the event
// counts in; nothing where it is not of the season.
func (r refolded) of(e *playerEvent) iter.Seq[leaderboard.Standing] {
	return func(yield func(leaderboard.Standing) bool) {
		if r.season != nil && !r.season.OpenAt(e.at) {
			return
		}
		whole := e.standing(r.board)
		if !yield(whole) {
			return
		}
		for _, value := range e.segments.On(false) {
			if !yield(whole.InSegment(value)) {
				return
			}
		}
	}
}

// refoldedOf are the rankings that the refold makes standings of.
func refoldedOf(work leaderboard.RefoldWork) []refolded {
	rankings := []refolded{{board: work.Board}}
	for _, s := range work.Seasons() {
		rankings = append(rankings, refolded{board: work.Board.In(s.Made), season: &s.Season})
	}
	return rankings
}

// addRefoldSeasons takes the seasons of the board's windows into its refold that are not
// closed and not in it yet, and gives their rankings numbers.
func addRefoldSeasons(ctx context.Context, tx pgx.Tx, board int32) (added []int32, err error) {
	rows, err := tx.Query(ctx, `
		INSERT INTO refold_seasons (board, season, made)
		SELECT s.board, s.number, next_season_number(s.board) FROM window_seasons s
		WHERE s.board = $1 AND s.closed_at IS NULL AND NOT EXISTS (SELECT FROM refold_seasons r WHERE r.board = s.board AND r.season = s.number)
		RETURNING made`, board)
	if err != nil {
		return nil, fmt.Errorf("take the seasons into the refold: %w", err)
	}
	if added, err = pgx.CollectRows(rows, pgx.RowTo[int32]); err != nil {
		return nil, fmt.Errorf("take the seasons into the refold: %w", err)
	}
	return added, nil
}

// seasonQuerier is what a pool and a transaction have in common.
type seasonQuerier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// readRefoldSeasons are the seasons that are in the refold of the board.
func readRefoldSeasons(ctx context.Context, from seasonQuerier, board int32) ([]leaderboard.RefoldedSeason, error) {
	rows, err := from.Query(ctx, "SELECT "+seasonColumns+`, r.made FROM refold_seasons r
		JOIN window_seasons s ON s.board = r.board AND s.number = r.season WHERE r.board = $1 ORDER BY r.made`, board)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s leaderboard.RefoldedSeason, err error) {
		err = scanSeason(row, &s.Season, &s.Made)
		return s, err
	})
}

// otherSeasons says whether the seasons that are not closed are others than those of the
// refold. Then the transaction has the lock on the boards, for takeSeasons.
func otherSeasons(ctx context.Context, tx pgx.Tx, board int32) (others bool, err error) {
	err = tx.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM (SELECT number FROM window_seasons WHERE board = $1 AND closed_at IS NULL) s
			FULL JOIN (SELECT season FROM refold_seasons WHERE board = $1) r ON r.season = s.number
			WHERE r.season IS NULL OR s.number IS NULL)`, board).Scan(&others)
	if err == nil && others {
		err = lockBoards(ctx, tx, "boards")
	}
	return others, err
}

// takeSeasons reads the seasons of the refold, and where they are others brings them up to
// date first: those that were closed stay as they were closed, and those that were announced
// since are taken in, with the events up to the cut that count in them.
func takeSeasons(ctx context.Context, tx pgx.Tx, work leaderboard.RefoldWork, others bool) (leaderboard.RefoldWork, error) {
	if !others {
		seasons, err := readRefoldSeasons(ctx, tx, work.Board.Number)
		if err != nil {
			return work, fmt.Errorf("read the seasons of the refold: %w", err)
		}
		return work.WithSeasons(seasons), nil
	}

	_, err := tx.Exec(ctx, `
		WITH closed AS (
			DELETE FROM refold_seasons r WHERE r.board = $1
				AND NOT EXISTS (SELECT FROM window_seasons s WHERE s.board = r.board AND s.number = r.season AND s.closed_at IS NULL)
			RETURNING made
		)
		INSERT INTO retired_rankings (board, season, board_order, scoring, columns) SELECT f.board, closed.made, f.board_order, f.scoring, f.columns FROM closed, refolds f WHERE f.board = $1`, work.Board.Number)
	if err != nil {
		return work, fmt.Errorf("leave out the seasons that were closed: %w", err)
	}

	added, err := addRefoldSeasons(ctx, tx, work.Board.Number)
	if err != nil {
		return work, err
	}
	seasons, err := readRefoldSeasons(ctx, tx, work.Board.Number)
	if err != nil {
		return work, fmt.Errorf("read the seasons of the refold: %w", err)
	}

	after := work.WithSeasons(seasons)
	for _, r := range refoldedOf(after) {
		if slices.Contains(added, r.board.Season) {
			if err := foldSeason(ctx, tx, after, r); err != nil {
				return work, fmt.Errorf("fold season %d of window %s: %w", r.season.Ordinal, r.season.Window, err)
			}
		}
	}
	return after, nil
}

// foldSeason makes the standings of a season that was announced after the refold began, of
// the events up to the cut: none, as a rule, as it is announced before it opens.
func foldSeason(ctx context.Context, tx pgx.Tx, work leaderboard.RefoldWork, r refolded) error {
	rows, err := tx.Query(ctx, `SELECT `+playerEventColumns+` FROM score_events
		WHERE board = $1 AND id <= $2 AND at >= $3 AND at < $4 AND `+countsSQL("score_events", "$1")+` ORDER BY player, id`, r.board.Number, work.Cut, r.season.Opens, r.season.Closes)
	if err != nil {
		return err
	}

	f := folder{ranking: r}
	var standings []leaderboard.Standing
	err = stream(rows, refoldRead, func(chunk []playerEvent) (err error) {
		for i := range chunk {
			if standings, err = f.add(standings, &chunk[i]); err != nil {
				return err
			}
		}
		return nil
	}, (*playerEvent).fields)
	if err != nil {
		return err
	}
	standings = f.end(standings)

	for chunk := range slices.Chunk(standings, checkpointChunk) {
		if _, err := tx.Exec(ctx, refoldedSQL+" ON CONFLICT DO NOTHING", refoldedArgs(work, chunk)...); err != nil {
			return err
		}
	}
	return nil
}

// settleSeasons returns the refold with its seasons as they are, which cannot change until
// the transaction ends: it has the lock on window_seasons. [leaderboard.ErrSeasonEnds]: one
// is to be closed first; errTooMuch: they are others than the caller knows;
// [leaderboard.ErrRefoldMoved]: other rankings are served than those that it has made.
func settleSeasons(ctx context.Context, tx pgx.Tx, work leaderboard.RefoldWork) (leaderboard.RefoldWork, error) {
	var served leaderboard.LiveBoard
	var windows []string
	err := tx.QueryRow(ctx, `SELECT windows_only, shards, ranks, ARRAY(SELECT name FROM windows WHERE board = b.number AND active ORDER BY place),
			(SELECT coalesce(sum(returned), 0) FROM board_segments WHERE board = b.number)
		FROM boards b WHERE b.number = $1`, work.Board.Number).Scan(&served.WindowsOnly, &served.Shards, &served.Ranks, &windows, &served.Returned)
	if err != nil {
		return work, err
	}
	sameWindows := slices.EqualFunc(windows, work.Board.Windows, func(name string, w leaderboard.Window) bool { return name == w.Name })
	if !sameWindows || served.WindowsOnly != work.Board.WindowsOnly || served.Shards != work.Board.Shards || served.Ranks != work.Board.Ranks || served.Returned != work.Board.Returned {
		return work, leaderboard.ErrRefoldMoved
	}

	rows, err := tx.Query(ctx, "SELECT number, closes_at <= clock_timestamp() + $2::interval FROM window_seasons WHERE board = $1 AND closed_at IS NULL",
		work.Board.Number, seasonEnding)
	if err != nil {
		return work, err
	}
	defer rows.Close()

	unclosed := make(map[int32]bool)
	for rows.Next() {
		var number int32
		var ends bool
		if err := rows.Scan(&number, &ends); err != nil {
			return work, err
		}
		if ends {
			return work, leaderboard.ErrSeasonEnds
		}
		unclosed[number] = true
	}
	if err := rows.Err(); err != nil {
		return work, err
	}

	seasons, err := readRefoldSeasons(ctx, tx, work.Board.Number)
	if err != nil {
		return work, err
	}
	same := func(a, b leaderboard.RefoldedSeason) bool { return a.Made == b.Made && unclosed[a.Number] }
	if len(seasons) != len(unclosed) || !slices.EqualFunc(seasons, work.Seasons(), same) {
		return work, errTooMuch
	}
	return work.WithSeasons(seasons), nil
}

// SweepRefold deletes the standings of windows that a refold made its rankings of, once the
// board is switched to a scoring that has none there. What is left of them goes with the
// seasons.
func (l *Ledger) SweepRefold(ctx context.Context, work leaderboard.RefoldWork) error {
	if work.Board.Scoring.Ordered() {
		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	for _, s := range work.Seasons() {
		if err := l.deleteStandings(ctx, work.Board.In(s.Made)); err != nil {
			return err
		}
	}
	return nil
}

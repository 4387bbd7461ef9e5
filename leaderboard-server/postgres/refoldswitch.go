package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// refoldStep is how many event numbers a cut moves on at a time, some 0.3 s.
const refoldStep = 20_000

// AdvanceRefold folds the events after the cut into the standings of the refold, as many as
// fit a transaction, and moves the cut. It returns the standings that changed, and whether
// the cut was the last event when it began. Seasons of windows that were announced are in the
// refold from then on, and those that were closed no more.
func (l *Ledger) AdvanceRefold(ctx context.Context, work leaderboard.RefoldWork) (after leaderboard.RefoldWork, changed []leaderboard.Standing, caughtUp bool, err error) {
	last, xid, err := l.cut(ctx)
	if err != nil {
		return work, nil, false, fmt.Errorf("cut the log: %w", err)
	}

	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	until := last
	if until > work.Cut+refoldStep {
		until, xid = work.Cut+refoldStep, work.Xid
	}
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		others, err := otherSeasons(ctx, tx, work.Board.Number)
		if err != nil {
			return err
		}
		if err := lockRefold(ctx, tx, work); err != nil {
			return err
		}
		if after, err = takeSeasons(ctx, tx, work, others); err != nil {
			return err
		}
		if changed, err = foldTail(ctx, tx, after, until); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE refolds SET cut = $2, cut_xid = $3 WHERE board = $1", work.Board.Number, until, int64(xid))
		return err
	})
	if err != nil {
		return work, nil, false, fmt.Errorf("fold what has come to board %s: %w", work.Board.Name, err)
	}

	after.Cut, after.Xid = until, xid
	return after, changed, until == last, nil
}

// SwitchRefold gives the board its new fold and ranking, while nobody can append. apply gets
// the standings that changed since the last AdvanceRefold, to join them to the ranking: the
// board is switched if it returns nil. False: too much has come since.
// [leaderboard.ErrSeasonEnds]: one of its seasons is closed first.
func (l *Ledger) SwitchRefold(ctx context.Context, work leaderboard.RefoldWork, apply func(ctx context.Context, changed []leaderboard.Standing) error) (after leaderboard.RefoldWork, switched bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.options.Timeout+cutTimeout)
	defer cancel()

	after = work
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		switched = false
		// Before appends have to wait: what others may hold for longer.
		if err := lockBoards(ctx, tx, "boards, window_seasons"); err != nil {
			return err
		}
		if err := lockRefold(ctx, tx, work); err != nil {
			return err
		}
		if err := l.checkRefold(ctx, tx, work.Board); err != nil {
			return err
		}
		if after, err = settleSeasons(ctx, tx, work); err != nil {
			return err
		}
		if err := forgetRollups(ctx, tx); err != nil {
			return err
		}

		ctx, cancel := context.WithTimeout(ctx, cutTimeout)
		defer cancel()
		last, xid, err := stopAppending(ctx, tx)
		if err != nil {
			return err
		}
		if last > work.Cut+refoldStep {
			return errTooMuch
		}
		changed, err := foldTail(ctx, tx, after, last)
		if err != nil {
			return err
		}
		if err := apply(ctx, changed); err != nil {
			return err
		}
		after.Cut, after.Xid, switched = last, xid, true
		return switchBoard(ctx, tx, work.Board)
	})
	if errors.Is(err, errTooMuch) {
		return work, false, nil
	}
	if err != nil {
		return work, false, fmt.Errorf("switch board %s to %s: %w", work.Board.Name, work.Board.Rules(), err)
	}
	return after, switched, nil
}

var errTooMuch = errors.New("too much has come since the cut")

// lockRefold makes sure that the refold is where the caller takes it for until the
// transaction ends.
func lockRefold(ctx context.Context, tx pgx.Tx, work leaderboard.RefoldWork) error {
	var cut int64
	err := tx.QueryRow(ctx, "SELECT cut FROM refolds WHERE board = $1 AND season = $2 AND parts_done = parts FOR UPDATE",
		work.Board.Number, work.Board.Season).Scan(&cut)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && cut != work.Cut {
		return leaderboard.ErrRefoldMoved
	}
	return err
}

// foldTail folds the events after the cut up to another one into the standings.
func foldTail(ctx context.Context, tx pgx.Tx, work leaderboard.RefoldWork, until int64) ([]leaderboard.Standing, error) {
	rows, err := tx.Query(ctx, `SELECT `+playerEventColumns+` FROM score_events WHERE board = $1 AND xid >= $2 AND id > $3 AND id <= $4 AND `+countsSQL("score_events", "$1")+` ORDER BY id`,
		work.Board.Number, int64(work.Xid), work.Cut, until)
	if err != nil {
		return nil, err
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e playerEvent, err error) {
		err = row.Scan(e.fields()...)
		return e, err
	})
	if err != nil || len(events) == 0 {
		return nil, err
	}

	rankings := refoldedOf(work)
	standings, err := readPlayers(ctx, tx, rankings, events)
	if err != nil {
		return nil, err
	}
	changed := make(map[leaderboard.EntryKey]bool)
	for i := range events {
		for _, r := range rankings {
			for event := range r.of(&events[i]) {
				before, known := standings[event.EntryKey]
				after := r.board.Scoring.Begin(event)
				if known {
					if after, err = appendEvent(r.board, before, event); err != nil {
						return nil, err
					}
				}
				if after != before {
					standings[event.EntryKey], changed[event.EntryKey] = after, true
				}
			}
		}
	}

	list := make([]leaderboard.Standing, 0, len(changed))
	for key := range changed {
		list = append(list, standings[key])
	}
	_, err = tx.Exec(ctx, refoldedSQL+` ON CONFLICT (board, season, player) DO UPDATE SET score = excluded.score, event = excluded.event,
		last_event = excluded.last_event, previous_score = s.score, entered = false, version = s.version + 1,
		columns = excluded.columns, reached_at = excluded.reached_at, xid = '0'`,
		refoldedArgs(work, list)...)
	return list, err
}

// readPlayers reads the standings that events change in rankings of one board.
func readPlayers(ctx context.Context, tx pgx.Tx, rankings []refolded, events []playerEvent) (map[leaderboard.EntryKey]leaderboard.Standing, error) {
	standings := make(map[leaderboard.EntryKey]leaderboard.Standing)
	for i := range events {
		for _, r := range rankings {
			for event := range r.of(&events[i]) {
				standings[event.EntryKey] = leaderboard.Standing{}
			}
		}
	}
	seasons, players := make([]int32, 0, len(standings)), make([]int64, 0, len(standings))
	for key := range standings {
		seasons, players = append(seasons, key.Season), append(players, key.Player)
	}
	clear(standings)

	// One by one, as appends may wait for it: LIMIT keeps a plan from reading the whole ranking.
	board := rankings[0].board
	rows, err := tx.Query(ctx, `SELECT s.* FROM unnest($2::int[], $3::bigint[]) k (season, player)
		CROSS JOIN LATERAL (SELECT `+standingSQL+` FROM standings WHERE board = $1 AND season = k.season AND player = k.player LIMIT 1) s`,
		board.Number, seasons, players)
	if err != nil {
		return nil, err
	}
	var s leaderboard.Standing
	row := standingRow{fold: board.Fold()}
	_, err = pgx.ForEachRow(rows, row.fields(&s), func() error {
		row.complete(&s)
		standings[s.EntryKey] = s
		return nil
	})
	return standings, err
}

// forgetRollups has reports read the events, and rollups made again: they name the best by
// the order that there was, and are of the scoring that there was.
func forgetRollups(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "SELECT set_config('lock_timeout', $1, true)", cutWait); err != nil { // who rolls up has read the fold
		return err
	}
	for _, k := range kinds {
		for _, sql := range []string{
			daysAndMonths(k).sql("UPDATE {progress} SET days_until = since, months_until = date_trunc('month', since + interval '1 month' - interval '1 day')::date"),
			quartersAndHours(k).sql("UPDATE {progress} SET hours_until = since, quarters_until = since"),
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("have the rollups of reports made again: %w", err)
			}
		}
	}
	return nil
}

// switchBoardSQL are the statements that switch the board $1, whose refold makes the season $2.
var switchBoardSQL = []string{
	`INSERT INTO retired_rankings (board, season, board_order, scoring, columns)
		SELECT b.number, s.number, b.board_order, b.scoring, b.columns FROM boards b JOIN seasons s ON s.board = b.number WHERE b.number = $1 AND s.number <> $2`,
	`INSERT INTO retired_rankings (board, season, board_order, scoring, columns)
		SELECT b.number, r.season, b.board_order, b.scoring, b.columns FROM boards b JOIN refold_seasons r ON r.board = b.number WHERE b.number = $1 AND r.season <> $2`,
	// What has been closed or retired keeps the order and the columns that it has.
	`UPDATE window_seasons s SET board_order = b.board_order FROM boards b
		WHERE b.number = s.board AND s.board = $1 AND s.board_order IS NULL AND s.closed_at IS NOT NULL AND s.number <> $2`,
	`UPDATE window_seasons s SET columns = b.columns FROM boards b JOIN refolds f ON f.board = b.number AND f.season = $2 AND f.columns IS NOT NULL
		WHERE b.number = s.board AND s.board = $1 AND s.columns IS NULL AND s.closed_at IS NOT NULL`,
	`UPDATE retired_rankings r SET columns = b.columns FROM boards b JOIN refolds f ON f.board = b.number AND f.season = $2 AND f.columns IS NOT NULL
		WHERE b.number = r.board AND r.board = $1 AND r.columns IS NULL`,
	`UPDATE window_seasons s SET number = r.made FROM refold_seasons r WHERE r.board = s.board AND r.season = s.number AND s.board = $1 AND s.number <> $2`,
	`DELETE FROM refold_seasons WHERE board = $1 AND season <> $2`,
	`UPDATE boards b SET left_out = b.left_out || ARRAY(SELECT c ->> 'name' FROM jsonb_array_elements(b.columns) c
				WHERE c ->> 'name' NOT IN (SELECT k ->> 'name' FROM jsonb_array_elements(f.columns) k)), columns = f.columns
		FROM refolds f WHERE b.number = $1 AND f.board = $1 AND f.season = $2 AND f.columns IS NOT NULL`,
	`SELECT require_logged_columns() FROM refolds WHERE board = $1 AND season = $2 AND columns IS NOT NULL`,
	// Servers that have not heard of it make no standings where improvements are bounded.
	`UPDATE boards b SET board_order = f.board_order, scoring = f.scoring,
			bounded_since = CASE WHEN b.max_improvement > 0 THEN now() END, bounded_xid = CASE WHEN b.max_improvement > 0 THEN log_xid() END
		FROM refolds f WHERE b.number = $1 AND f.board = $1 AND f.season = $2`,
	`UPDATE seasons SET number = $2 WHERE board = $1`,
	`DELETE FROM refolds WHERE board = $1 AND season = $2`,
}

// switchBoard makes the season that is meant the board's ranking of all time, gives the
// seasons of windows the numbers of their new rankings, and makes the rules the board's.
func switchBoard(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard) error {
	for _, sql := range switchBoardSQL {
		if _, err := tx.Exec(ctx, sql, board.Number, board.Season); err != nil {
			return err
		}
	}
	return nil
}

package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Where events of a player cease to count, or count again, what was folded of them is folded once
// more, of this player alone:
//
//   - Most of the player's events are read first, while submissions go on: those on the board, and
//     those on global.
//   - Then, while nobody can append, those that have come since. So every event up to the last one
//     is known, and the standings that are written have all of them that count.
//   - The number of that event is written with the standings (counts_after) and the moderation: what
//     was folded of events up to it, by a leader or a batch that is on its way, is out of date
//     and is not joined any more.
type recount struct {
	leaderboard.Moderation
	ledger *Ledger
	board  leaderboard.LiveBoard
	player moderated
	// of are the boards on which the events count: board and global.
	of []leaderboard.LiveBoard
	// logBegins is when the oldest events are of that retention has kept.
	logBegins time.Time
	events    []playersEvent
	// xmin: events of transactions from it on are read again.
	xmin uint64
}

// recount removes, restores, voids or unvoids.
func (l *Ledger) recount(ctx context.Context, m leaderboard.Moderation, board leaderboard.LiveBoard) (record leaderboard.AuditRecord, err error) {
	r := &recount{Moderation: m, ledger: l, board: board, of: []leaderboard.LiveBoard{board}}
	if global := l.Catalog().Global(); global.Number != board.Number {
		r.of = append(r.of, global)
	}

	reading, cancel := context.WithTimeout(ctx, recountTimeout)
	defer cancel()
	err = read(reading, l.aside, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		if r.player, err = findModerated(ctx, tx, m.Player); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "SELECT log_history() | pg_snapshot_xmin(pg_current_snapshot())::text::bigint, "+logBeginsSQL).Scan(&r.xmin, &r.logBegins)
		if err != nil {
			return err
		}
		for _, board := range r.of {
			events, err := readPlayersEvents(ctx, tx, board, r.player.Number, time.Time{})
			if err != nil {
				return err
			}
			r.events = append(r.events, events...)
			progress()
		}
		return nil
	})
	if err != nil {
		return record, moderationError(err)
	}

	writing, cancel := context.WithTimeout(ctx, l.options.Timeout)
	defer cancel()
	err = pgx.BeginFunc(writing, l.pool, func(tx pgx.Tx) error {
		record, err = r.write(writing, tx)
		return err
	})
	return record, moderationError(err)
}

// write does it, in the transaction of the record.
func (r *recount) write(ctx context.Context, tx pgx.Tx) (record leaderboard.AuditRecord, err error) {
	head, err := lockAuditHead(ctx, tx)
	if err != nil {
		return record, err
	}
	if err := lockBoards(ctx, tx, "boards"); err != nil { // before the refolds, as all who change them
		return record, err
	}
	changed, err := r.change(ctx, tx)
	if err != nil {
		return record, err
	}
	if changed {
		if err := r.refold(ctx, tx); err != nil {
			return record, err
		}
	}
	return r.ledger.addRecord(ctx, tx, head, r.Record(changed))
}

// change writes what is to count; false: it is so already.
func (r *recount) change(ctx context.Context, tx pgx.Tx) (changed bool, err error) {
	var sql string
	args := []any{r.player.Number, r.board.Number}
	switch r.Action {
	case leaderboard.Remove:
		// The last event is known once nobody can append: see refold.
		sql = "INSERT INTO removals (player, board, through, at) VALUES ($1, $2, 0, clock_timestamp()) ON CONFLICT (player, board) DO UPDATE SET at = excluded.at"
	case leaderboard.Restore:
		sql = "DELETE FROM removals WHERE player = $1 AND board = $2"
	case leaderboard.Void:
		i := slices.IndexFunc(r.events, func(e playersEvent) bool { return e.id == r.Event && e.board == r.board.Number })
		if i < 0 {
			return false, leaderboard.Errorf(leaderboard.CodeNoEvent, "event", "the player has no submission with this number to board %s: the history of the player has the numbers", r.board.Name)
		}
		sql, args = "INSERT INTO voids (player, board, event, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", append(args, r.Event, r.events[i].at)
	default:
		sql, args = "DELETE FROM voids WHERE player = $1 AND board = $2 AND event = $3", append(args, r.Event)
	}

	tag, err := tx.Exec(ctx, sql, args...)
	return tag.RowsAffected() > 0, err
}

// refold makes the player's standings of what counts now.
func (r *recount) refold(ctx context.Context, tx pgx.Tx) error {
	if err := r.restartRefolds(ctx, tx); err != nil {
		return err
	}
	seasons, err := r.readSeasons(ctx, tx)
	if err != nil {
		return err
	}
	last, _, err := stopAppending(ctx, tx)
	if err != nil {
		return err
	}

	fresh, err := readNewEvents(ctx, tx, r.player.Number, r.xmin)
	if err != nil {
		return err
	}
	r.events = inOrder(append(r.events, fresh...))
	if r.Action == leaderboard.Remove {
		// A clock that was set back must not bring in what came before.
		if _, err := tx.Exec(ctx, "UPDATE removals SET through = $3, at = clock_timestamp() WHERE player = $1 AND board = $2", r.player.Number, r.board.Number, last); err != nil {
			return err
		}
	}
	rules, err := readRules(ctx, tx, r.player.Number)
	if err != nil {
		return err
	}

	for _, board := range r.of {
		if err := r.refoldBoard(ctx, tx, board, seasons[board.Number], rules, last); err != nil {
			return err
		}
	}
	return noteModeration(ctx, tx, r.player.Number, last)
}

// restartRefolds has those of the boards that are under way begin again: they have folded what
// counts no more.
func (r *recount) restartRefolds(ctx context.Context, tx pgx.Tx) error {
	for _, board := range r.of {
		_, err := tx.Exec(ctx, `
			WITH retired AS (
				INSERT INTO retired_rankings (board, season, board_order, scoring, columns)
				SELECT board, season, board_order, scoring, columns FROM refolds WHERE board = $1 AND season IS NOT NULL
			)
			UPDATE refolds SET season = NULL, cut = NULL, cut_xid = NULL, parts = 0, parts_done = 0, events = 0, events_done = 0, asked_at = clock_timestamp()
			WHERE board = $1 AND season IS NOT NULL`, board.Number)
		if err != nil {
			return fmt.Errorf("begin the refold of board %s again: %w", board.Name, err)
		}
	}
	return nil
}

// recountedSeason is a season of a window.
type recountedSeason struct {
	leaderboard.Season
	// over says that no further event counts in it, so that its results stay.
	over bool
}

func (r *recount) readSeasons(ctx context.Context, tx pgx.Tx) (map[int32][]recountedSeason, error) {
	seasons := make(map[int32][]recountedSeason)
	for _, board := range r.of {
		rows, err := tx.Query(ctx, "SELECT "+seasonColumns+", s.closes_at <= clock_timestamp() FROM window_seasons s WHERE s.board = $1 AND s.opens_at <= clock_timestamp()", board.Number)
		if err != nil {
			return nil, err
		}
		seasons[board.Number], err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s recountedSeason, err error) {
			err = scanSeason(row, &s.Season, &s.over)
			return s, err
		})
		if err != nil {
			return nil, err
		}
	}
	return seasons, nil
}

// refoldBoard makes the player's standings on one board, of all events up to last.
func (r *recount) refoldBoard(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, seasons []recountedSeason, rules playerRules, last int64) error {
	w := &standingWriter{player: r.player.Number, last: last}
	allTime, err := r.foldRanking(board, nil, rules)
	if err != nil {
		return err
	}
	if err := r.keepDropped(ctx, tx, board, allTime, rules); err != nil {
		return err
	}
	if err := w.writeStandings(ctx, tx, board, allTime); err != nil {
		return err
	}

	for _, s := range seasons {
		in := board.In(s.Number)
		if s.Closed() {
			in = board.InClosed(s.Season)
		}
		folded, err := r.foldRanking(in, &s.Season, rules)
		if err != nil {
			return err
		}
		if len(folded.touched) > 0 && s.Opens.Before(r.logBegins) && r.cutBefore() && r.Action != leaderboard.Remove {
			return r.logCut(board)
		}

		if s.over {
			err = w.writeResults(ctx, tx, in, folded)
		}
		// Those of a season that is over go when it is swept.
		if err == nil && board.Scoring.Ordered() && !s.Swept && s.Order == "" {
			err = w.writeStandings(ctx, tx, in, folded)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// foldedPlayer is what a player has in one ranking and its segments.
type foldedPlayer struct {
	// touched are the rankings in which an event of the player ever counted.
	touched   map[leaderboard.EntryKey]bool
	standings map[leaderboard.EntryKey]leaderboard.Standing
}

// foldRanking folds the player's events of one ranking, a season of the board or nil all of
// them, and its segments.
func (r *recount) foldRanking(board leaderboard.LiveBoard, season *leaderboard.Season, rules playerRules) (foldedPlayer, error) {
	f := foldedPlayer{make(map[leaderboard.EntryKey]bool), make(map[leaderboard.EntryKey]leaderboard.Standing)}
	for i := range r.events {
		e := &r.events[i]
		if !e.countedOn(board.Number) || season != nil && !season.OpenAt(e.at) {
			continue
		}

		whole := e.standing(board)
		whole.Origin = e.board
		elsewhere := e.board != board.Number
		if whole.Columns = board.Fold().Submitted(board.Fold().Ranked(whole.Columns)); elsewhere {
			whole.Columns = leaderboard.Columns{}
		}
		each := []leaderboard.Standing{whole}
		for _, value := range e.segments.On(elsewhere) {
			each = append(each, whole.InSegment(value))
		}
		for _, s := range each {
			f.touched[s.EntryKey] = true
			if !rules.count(e, board.Number) {
				continue
			}
			had, ok := f.standings[s.EntryKey]
			if !ok {
				f.standings[s.EntryKey] = board.Scoring.Begin(s)
				continue
			}
			after, _, ok := board.Fold().Append(had, s)
			if !ok {
				return f, sumOutOfRange()
			}
			f.standings[s.EntryKey] = after
		}
	}
	return f, nil
}

// cutBefore says whether retention may have dropped events of the player.
func (r *recount) cutBefore() bool { return r.player.createdAt.Before(r.logBegins) }

func (r *recount) logCut(board leaderboard.LiveBoard) error {
	return leaderboard.Errorf(leaderboard.CodeLogCut, "", "what the player has on board %s then depends on submissions from before %s, which are no longer kept (retention.events): ban the player, hide the entry, or take the player off the board",
		board.Name, r.logBegins.UTC().Format(time.DateOnly))
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// refoldRead is how many events or standings are handed on at a time.
	refoldRead = 5_000
	// refoldTold is how often it is recorded how far a refold has come.
	refoldTold = time.Second
)

// folder folds events that come by player, and of each player in the order of the log, into
// standings of one ranking.
type folder struct {
	board leaderboard.LiveBoard
	last  leaderboard.Standing
	any   bool
}

// add folds an event. done is the standing of the player before, whose events are over.
func (f *folder) add(e playerEvent) (done leaderboard.Standing, ended bool, err error) {
	event := e.standing(f.board)
	if f.any && f.last.Player == e.player {
		f.last, err = appendEvent(f.board, f.last, event)
		return done, false, err
	}

	done, ended = f.last, f.any
	f.last, f.any = f.board.Scoring.Begin(event), true
	return done, ended, nil
}

func appendEvent(board leaderboard.LiveBoard, s, event leaderboard.Standing) (leaderboard.Standing, error) {
	after, _, ok := board.Fold().Append(s, event)
	if !ok {
		return s, &leaderboard.RefoldRefusedError{Final: true, Reason: fmt.Sprintf(
			"board %s cannot get scoring %s: the scores of a player add up to more than +-%d. Add a board with another name instead",
			board.Name, board.Scoring, int64(leaderboard.MaxScore))}
	}
	return after, nil
}

// FoldRefold makes the standings of the parts that are left, of the events up to the cut.
// told is called with how many events of them were folded.
func (l *Ledger) FoldRefold(ctx context.Context, work leaderboard.RefoldWork, told func(done int64)) (leaderboard.RefoldWork, error) {
	for !work.Folded() {
		events, err := l.foldPart(ctx, work, told)
		if err != nil {
			return work, fmt.Errorf("fold part %d of %d of the events of board %s: %w", work.PartsDone+1, work.Parts, work.Board.Name, err)
		}
		work.PartsDone, work.Done = work.PartsDone+1, work.Done+events
		if err := l.tellRefold(ctx, work); err != nil {
			return work, err
		}
	}
	return work, nil
}

// tellRefold records how far a refold has come; [leaderboard.ErrRefoldMoved]: it is another.
func (l *Ledger) tellRefold(ctx context.Context, work leaderboard.RefoldWork) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	tag, err := l.pool.Exec(ctx, "UPDATE refolds SET parts_done = $3, events_done = $4 WHERE board = $1 AND season = $2",
		work.Board.Number, work.Board.Season, work.PartsDone, work.Done)
	if err != nil {
		return unavailable("record how far a refold has come", err)
	}
	if tag.RowsAffected() == 0 {
		return leaderboard.ErrRefoldMoved
	}
	return nil
}

// foldPart makes the standings of one part of the players. Reading and writing go on at the
// same time, with two connections.
func (l *Ledger) foldPart(ctx context.Context, work leaderboard.RefoldWork, told func(done int64)) (events int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	type full struct {
		standings []leaderboard.Standing
		done      int64
	}
	chunks, written := make(chan full, 2), make(chan error, 1)
	go func() {
		var failed error
		at := time.Now()
		for c := range chunks {
			if failed != nil {
				continue
			}
			failed = l.insertStandings(ctx, work, c.standings)
			if told(c.done); failed == nil && time.Since(at) > refoldTold {
				so := work
				so.Done, at = c.done, time.Now()
				failed = l.tellRefold(ctx, so)
			}
			if failed != nil {
				cancel(failed)
			}
		}
		written <- failed
	}()

	rankings := refoldedOf(work)
	folders := make([]folder, len(rankings))
	for i, r := range rankings {
		folders[i].board = r.board
	}
	var standings []leaderboard.Standing
	put := func() error {
		select {
		case chunks <- full{standings, work.Done + events}:
			standings = make([]leaderboard.Standing, 0, checkpointChunk)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	add := func(e playerEvent) error {
		for i := range folders {
			if !rankings[i].has(&e) {
				continue
			}
			done, ended, err := folders[i].add(e)
			if err != nil {
				return err
			}
			if ended {
				standings = append(standings, done)
			}
		}
		if len(standings) >= checkpointChunk {
			return put()
		}
		return nil
	}
	err = l.readPart(ctx, work, func(chunk []playerEvent) error {
		for _, e := range chunk {
			events++
			if err := add(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for _, f := range folders {
			if f.any {
				standings = append(standings, f.last)
			}
		}
		err = put()
	}

	close(chunks)
	if failed := <-written; failed != nil {
		err = failed
	}
	return events, err
}

// playerEvent is what of an event makes a standing.
type playerEvent struct {
	player, id, score int64
	at                time.Time
	columns           []int64
}

// playerEventColumns are what fields are of.
const playerEventColumns = "player, id, score, at, columns"

func (e *playerEvent) fields() []any { return []any{&e.player, &e.id, &e.score, &e.at, &e.columns} }

// standing is what the event makes by itself of the board's season.
func (e *playerEvent) standing(board leaderboard.LiveBoard) leaderboard.Standing {
	key := leaderboard.EntryKey{Board: board.Number, Season: board.Season, Player: e.player}
	s := leaderboard.Single(key, e.score, e.id, board.Number).With(readColumns(e.columns))
	s.ReachedAt = e.at.UnixMicro()
	return s
}

// readPart streams the events up to the cut of the next part of the players.
func (l *Ledger) readPart(ctx context.Context, work leaderboard.RefoldWork, fn func([]playerEvent) error) error {
	return readFor(ctx, l.aside, refoldPatience, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		if err := alone(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+playerEventColumns+` FROM score_events
			WHERE board = $1 AND id <= $2 AND player % $3 = $4 ORDER BY player, id`, work.Board.Number, work.Cut, int64(work.Parts), int64(work.PartsDone))
		if err != nil {
			return err
		}
		return stream(rows, refoldRead, func(chunk []playerEvent) error {
			progress()
			defer progress()
			return fn(chunk)
		}, (*playerEvent).fields)
	})
}

// insertStandings adds standings of a refold. Those that are there are the same: the
// events before a cut make the same, however often they are folded.
func (l *Ledger) insertStandings(ctx context.Context, work leaderboard.RefoldWork, standings []leaderboard.Standing) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	_, err := l.pool.Exec(ctx, refoldedSQL+" ON CONFLICT DO NOTHING", refoldedArgs(work, standings)...)
	return err
}

// refoldedSQL inserts standings of the refold of the board $1 whose season is $2.
const refoldedSQL = `
	INSERT INTO standings AS s (board, season, player, score, event, last_event, origin, fold, columns, reached_at, xid)
	SELECT $1, i.season, i.player, i.score, i.event, i.last, $1, f.fold, i.columns::bigint[], i.reached_at, '0'
	FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::timestamptz[], $9::int[]) AS i (player, score, event, last, columns, reached_at, season), refolds f
	WHERE f.board = $1 AND f.season = $2 AND (i.season = f.season OR EXISTS (SELECT FROM refold_seasons r WHERE r.board = f.board AND r.made = i.season))
	ORDER BY i.season, i.player`

func refoldedArgs(work leaderboard.RefoldWork, standings []leaderboard.Standing) []any {
	n := len(standings)
	players, scores, events, last, times := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]*time.Time, n)
	seasons := make([]int32, n)
	for i, s := range standings {
		players[i], scores[i], events[i], last[i], times[i], seasons[i] = s.Player, s.Score, s.Event, s.Last, reachedAt(s), s.Season
	}
	return []any{work.Board.Number, work.Board.Season, players, scores, events, last, rankedColumns(work.Board.Board, standings), times, seasons}
}

// ReadRefold streams the standings of one of the refold's rankings in rank order. Only
// AdvanceRefold and SwitchRefold change them.
func (l *Ledger) ReadRefold(ctx context.Context, work leaderboard.RefoldWork, season int32, size int, fn func([]leaderboard.Standing) error) error {
	err := read(ctx, l.aside, func(ctx context.Context, tx pgx.Tx, progress func()) error {
		var cut int64
		err := tx.QueryRow(ctx, "SELECT cut FROM refolds WHERE board = $1 AND season = $2", work.Board.Number, work.Board.Season).Scan(&cut)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && cut != work.Cut {
			return leaderboard.ErrRefoldMoved
		}
		if err != nil {
			return err
		}
		return readStandings(ctx, tx, work.Board.In(season), size, func(chunk []leaderboard.Standing) error {
			progress()
			defer progress()
			return fn(chunk)
		})
	})
	if err != nil {
		return fmt.Errorf("read the new standings of board %s: %w", work.Board.Name, err)
	}
	return nil
}

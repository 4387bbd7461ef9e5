package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
// standings of one ranking and of its segments.
type folder struct {
	ranking refolded
	// standings are the player's, of the ranking first.
	standings []leaderboard.Standing
}

// add folds an event. The standings of the player before, whose events are over, are appended
// to done.
func (f *folder) add(done []leaderboard.Standing, e *playerEvent) ([]leaderboard.Standing, error) {
	if len(f.standings) > 0 && f.standings[0].Player != e.player {
		done = f.end(done)
	}

	board := f.ranking.board
	for event := range f.ranking.of(e) {
		i := slices.IndexFunc(f.standings, func(s leaderboard.Standing) bool { return s.Season == event.Season })
		if i < 0 {
			f.standings = append(f.standings, board.Scoring.Begin(event))
			continue
		}
		after, err := appendEvent(board, f.standings[i], event)
		if err != nil {
			return done, err
		}
		f.standings[i] = after
	}
	return done, nil
}

// end appends the standings of the last player to done.
func (f *folder) end(done []leaderboard.Standing) []leaderboard.Standing {
	done = append(done, f.standings...)
	f.standings = f.standings[:0]
	return done
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

	var folders []folder
	for _, r := range refoldedOf(work) {
		folders = append(folders, folder{ranking: r})
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
	add := func(e *playerEvent) (err error) {
		for i := range folders {
			if standings, err = folders[i].add(standings, e); err != nil {
				return err
			}
		}
		if len(standings) >= checkpointChunk {
			return put()
		}
		return nil
	}
	err = l.readPart(ctx, work, func(chunk []playerEvent) error {
		for i := range chunk {
			events++
			if err := add(&chunk[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for i := range folders {
			standings = folders[i].end(standings)
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
	segments          leaderboard.Segments
}

// playerEventColumns are what fields are of.
const playerEventColumns = "player, id, score, at, columns, segments"

func (e *playerEvent) fields() []any {
	return []any{&e.player, &e.id, &e.score, &e.at, &e.columns, &e.segments}
}

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
			WHERE board = $1 AND id <= $2 AND player % $3 = $4 AND `+countsSQL("score_events", "$1")+` ORDER BY player, id`, work.Board.Number, work.Cut, int64(work.Parts), int64(work.PartsDone))
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
	WHERE f.board = $1 AND f.season = $2
		AND (whole_season(i.season) = f.season OR EXISTS (SELECT FROM refold_seasons r WHERE r.board = f.board AND r.made = whole_season(i.season)))
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

// ReadRefold streams the standings of one of the refold's rankings, and of its segments, each
// in rank order. Only AdvanceRefold and SwitchRefold change them.
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
		return readRankings(ctx, tx, work.Board.In(season), shown, size, func(chunk []leaderboard.Standing) error {
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

package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// maxPlayerEvents bounds the events of a player that are folded at a time, some 100 MB.
const maxPlayerEvents = 1_000_000

// playersEvent is an event of a player who is moderated, whether it counts or not.
type playersEvent struct {
	playerEvent
	board int32
	// xid is null of events from before there was a log: they have 0.
	xid             int64
	countedOnGlobal bool
}

const playersEventColumns = playerEventColumns + ", board, coalesce(xid, 0), global_season IS NOT NULL"

func scanPlayersEvent(row pgx.CollectableRow) (e playersEvent, err error) {
	err = row.Scan(append(e.fields(), &e.board, &e.xid, &e.countedOnGlobal)...)
	return e, err
}

// event is the event for those who fold the log.
func (e *playersEvent) event(excluded []int32) leaderboard.Event {
	return leaderboard.Event{Number: e.id, Xid: uint64(e.xid), Player: e.player, Board: e.board, Score: e.score, Columns: readColumns(e.columns), At: e.at,
		CountsTowardGlobal: e.countedOnGlobal, Segments: e.segments, Excluded: excluded}
}

// countedOn says whether the event counted on a board when it came.
func (e *playersEvent) countedOn(board int32) bool {
	return e.board == board || board == globalNumber && e.countedOnGlobal
}

// globalNumber is that of global, which the first migration makes.
const globalNumber = 1

// readPlayersEvents reads the events of a player that counted on a board when they came, from a
// time on: by the rollups of reports, which say when there are any, as histories do. They come
// in no order.
func readPlayersEvents(ctx context.Context, tx pgx.Tx, board leaderboard.LiveBoard, player int64, from time.Time) (events []playersEvent, err error) {
	r := &historyReader{tx: tx, query: leaderboard.HistoryQuery{Board: board, Player: player, From: from}}
	err = r.eachSpan(ctx, func(s span) error {
		rows, err := tx.Query(ctx, "SELECT "+playersEventColumns+` FROM score_events
			WHERE at >= $1 AND at < $2 AND player = $3 AND (board = $4 OR $4 = 1 AND global_season IS NOT NULL)`, s.from, s.to, player, board.Number)
		if err != nil {
			return err
		}
		part, err := pgx.CollectRows(rows, scanPlayersEvent)
		if err != nil {
			return err
		}
		if events = append(events, part...); len(events) > maxPlayerEvents {
			return leaderboard.Errorf(leaderboard.CodeTooManyEvents, "player", "the player has more than %d submissions to board %s, more than can be gone through at a time", maxPlayerEvents, board.Name)
		}
		return nil
	})
	return events, err
}

// eachSpan goes through the spans of what is asked for in which the player has events, or may
// have, each as short as rollups tell.
func (r *historyReader) eachSpan(ctx context.Context, fn func(span) error) error {
	spans, err := r.begin(ctx)
	if err != nil {
		return err
	}

	for {
		newest, older, ok, err := r.next(ctx, spans)
		if err != nil || !ok {
			return err
		}
		if err := fn(newest); err != nil {
			return err
		}
		spans = older
	}
}

// readNewEvents reads the events of a player that transactions from one on have committed.
func readNewEvents(ctx context.Context, tx pgx.Tx, player int64, xid uint64) ([]playersEvent, error) {
	rows, err := tx.Query(ctx, "SELECT "+playersEventColumns+" FROM score_events WHERE xid >= $1 AND xid < $2 AND player = $3",
		int64(xid), int64(leaderboard.HistoryEnd(xid)), player)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanPlayersEvent)
}

// inOrder sorts events by their numbers, each once.
func inOrder(events []playersEvent) []playersEvent {
	slices.SortFunc(events, func(a, b playersEvent) int { return cmp.Compare(a.id, b.id) })
	return slices.CompactFunc(events, func(a, b playersEvent) bool { return a.id == b.id })
}

// playerRules are what moderation says of one player's events.
type playerRules struct {
	voids    map[int64]bool
	removals map[int32]int64
}

func readRules(ctx context.Context, from seasonQuerier, player int64) (r playerRules, err error) {
	r = playerRules{voids: make(map[int64]bool), removals: make(map[int32]int64)}
	rows, err := from.Query(ctx, "SELECT board, through, false FROM removals WHERE player = $1 UNION ALL SELECT 0, event, true FROM voids WHERE player = $1", player)
	if err != nil {
		return r, err
	}

	var board int32
	var event int64
	var void bool
	_, err = pgx.ForEachRow(rows, []any{&board, &event, &void}, func() error {
		if void {
			r.voids[event] = true
		} else {
			r.removals[board] = event
		}
		return nil
	})
	return r, err
}

// count says whether an event counts on a board, where it did when it came: see countsSQL.
func (r playerRules) count(e *playersEvent, board int32) bool {
	return !r.voids[e.id] && e.id > r.removals[e.board] && e.id > r.removals[board]
}

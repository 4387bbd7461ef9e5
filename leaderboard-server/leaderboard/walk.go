package leaderboard

import (
	"context"
	"time"
)

// Walk is how far a reader of a whole board has come: a position in a snapshot,
// which stays as it is while scores go on to move.
type Walk struct {
	// Board and Season are the numbers of what is walked through.
	Board, Season int32
	// Snapshot names the snapshot, and Stamp tells it from another of that name.
	Snapshot string
	Stamp    uint64
	// AsOf is when the snapshot was made, and Expires until when it is there, both
	// to the millisecond by the clock of the server that made it.
	AsOf, Expires time.Time
	// Order and Key are the ranking's own notation of the last entry that was
	// looked at, and Passed is how many have been handed out.
	Order  int64
	Key    string
	Passed int64
	// Rank, Score and Columns are those of the last one that was handed out, by which ranks
	// that entries share are counted on; 0 where ranks are Ordinal.
	Rank, Score int64
	Columns     Columns
}

// Pass counts an entry that is handed out, and gives it its place and rank.
func (w *Walk) Pass(e *RankingEntry, ranks Ranks) {
	first := w.Passed == 0
	w.Passed++
	e.Place = w.Passed
	e.Rank = ranks.next(w.Rank, e.Place, !first && w.Score == e.Score && w.Columns == e.Columns)
	if ranks != Ordinal {
		w.Rank, w.Score, w.Columns = e.Rank, e.Score, e.Columns
	}
}

// WalkPart is a part of a snapshot.
type WalkPart struct {
	// Entries may be fewer than were asked for, even none, before the end.
	Entries []RankingEntry
	// Total is how many entries the snapshot has.
	Total int64
	// Next is where to go on; nil at the end.
	Next *Walk
}

// WalkPage is a part of a board on a walk, with names.
type WalkPage struct {
	Of
	// AsOf is when the board was as it is told here.
	AsOf         time.Time
	TotalEntries int64
	Entries      []RankedEntry
	// Next is where to go on; nil at the end.
	Next *Walk
}

// Walk returns a part of a board on a walk to its end, which sees every entry of a
// moment once; nil begins one.
func (s *Service) Walk(ctx context.Context, view View, walk *Walk, pageSize int64) (WalkPage, error) {
	scope, err := s.open(ctx, view)
	if err != nil {
		return WalkPage{}, err
	}
	if _, err := PageOffset(1, pageSize); err != nil {
		return WalkPage{}, err
	}

	board := scope.board
	page := WalkPage{Of: scope.Of}
	if walk == nil {
		// What fits a page is read at once and needs no snapshot.
		page.AsOf = time.Now()
		entries, total, _, err := s.entries(ctx, scope, 0, pageSize)
		if err != nil || total <= pageSize {
			page.Entries, page.TotalEntries = entries, total
			return page, err
		}
		begun, err := scope.ranking.BeginWalk(ctx, board)
		if err != nil {
			return WalkPage{}, err
		}
		walk = &begun
	}

	switch {
	case walk.Board != board.Number:
		return WalkPage{}, invalid("cursor", "cursor is of another board: leave it out to begin with board %s", board.Name)
	case walk.Season != board.Season && (scope.Closed() || !board.ranIn(scope.Window, walk.Season)):
		return WalkPage{}, invalid("cursor", "cursor is of another window or season: leave it out to begin with this one")
	case walk.Season != board.Season:
		return WalkPage{}, Errorf(CodeWalkEnded, "cursor", "the season of board %s has ended: begin again without a cursor", board.Name)
	case time.Now().After(walk.Expires):
		return WalkPage{}, WalkEnded()
	}

	part, err := scope.ranking.Walk(ctx, board, *walk, pageSize)
	if err != nil {
		return WalkPage{}, err
	}

	page.AsOf, page.TotalEntries, page.Next = walk.AsOf, part.Total, part.Next
	page.Entries, _, err = s.ranked(ctx, scope, part.Entries)
	return page, err
}

// WalkEnded is the answer to a walk whose snapshot is no more.
func WalkEnded() *Error {
	return Errorf(CodeWalkEnded, "cursor", "the walk took too long, or the ranking was rebuilt in the meantime: begin again without a cursor")
}

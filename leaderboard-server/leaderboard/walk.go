package leaderboard

import (
	"context"
	"slices"
	"time"
)

// Walk is how far a reader of a whole board has come, and in which direction to go on: a
// place between two entries of a snapshot, which stays as it is while scores go on to move.
type Walk struct {
	// Board and Season are the numbers of what is walked through.
	Board, Season int32
	// Snapshot names the snapshot, and Stamp tells it from another of that name.
	Snapshot string
	Stamp    uint64
	// AsOf is when the snapshot was made, and Expires until when it is there, both
	// to the millisecond by the clock of the server that made it.
	AsOf, Expires time.Time
	// Back says to go on towards the best entry.
	Back bool
	WalkPlace
	// Passed is how many entries are before the place.
	Passed int64
	// Rank, Score and Columns are those of the last one that was handed out, next to the
	// place, by which ranks that entries share are counted on; 0 where ranks are Ordinal.
	Rank, Score int64
	Columns     Columns
	// Tied is, where ranks are Competition, how many entries between TiedFrom and the place
	// are known to share the rank of the last one before the place, which depends on how
	// many do. 0: not known. TiedFrom has no more meaning then.
	Tied     int64
	TiedFrom WalkPlace
}

// WalkPlace is a place between two entries, in the ranking's own notation.
type WalkPlace struct {
	// Order and Key are those of an entry, or of one that has been there.
	Order int64
	Key   string
	// Before says that the place is before that entry, and not after it.
	Before bool
}

// Turned is a walk that goes on from the same place, back or forwards.
func (w Walk) Turned(back bool) *Walk {
	if w.Back = back; !back {
		w.Tied, w.TiedFrom = 0, WalkPlace{}
	}
	return &w
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

// Shares says whether an entry next to the place shares the rank of the last one that was
// handed out.
func (w *Walk) Shares(e *RankingEntry) bool { return w.Score == e.Score && w.Columns == e.Columns }

// PassBack gives places and ranks to the entries before the walk's place, the best of them
// first, and moves the walk before them. first is the place of the best entry that shares
// the rank of entries[0], which is asked for where ranks are Competition.
func (w *Walk) PassBack(entries []RankingEntry, ranks Ranks, first int64) {
	if len(entries) == 0 {
		return
	}

	best := &entries[0]
	begins := w.Passed - int64(len(entries)) + 1
	for i := range entries {
		entries[i].Place = begins + int64(i)
	}

	switch ranks {
	case Ordinal:
		best.Rank = best.Place
	case Competition:
		best.Rank = first
	default:
		best.Rank = w.Rank
		worse := RankingEntry{Score: w.Score, Columns: w.Columns}
		for _, e := range slices.Backward(entries) {
			if e.Score != worse.Score || e.Columns != worse.Columns {
				best.Rank--
			}
			worse = e
		}
	}

	ranks.CountOn(entries)
	w.Passed -= int64(len(entries))
	if ranks != Ordinal {
		w.Rank, w.Score, w.Columns = best.Rank, best.Score, best.Columns
	}
}

// WalkPart is a part of a snapshot.
type WalkPart struct {
	// Entries may be fewer than were asked for, even none, before the end.
	Entries []RankingEntry
	// Total is how many entries the snapshot has.
	Total int64
	// Previous and Next are where to go on towards the best entry and towards the last one;
	// nil where nothing is left.
	Previous, Next *Walk
}

// Between sets where to go on from a part whose entries are those between two places.
func (p *WalkPart) Between(better, worse Walk) {
	if better.Passed > 0 {
		p.Previous = better.Turned(true)
	}
	if worse.Passed < p.Total {
		p.Next = worse.Turned(false)
	}
}

// WalkPage is a part of a board on a walk, with names.
type WalkPage struct {
	Of
	// AsOf is when the board was as it is told here.
	AsOf         time.Time
	TotalEntries int64
	Entries      []RankedEntry
	// Previous and Next are where to go on towards the best entry and towards the last one;
	// nil where nothing is left.
	Previous, Next *Walk
}

// Walk returns a part of a board on a walk, which sees every entry of a moment once on its
// way to the end, and the same ones on its way back; nil begins one.
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
		entries, total, err := s.entries(ctx, scope, 0, pageSize)
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
	case !sameSegment(walk.Season, board.Season):
		return WalkPage{}, invalid("cursor", "cursor is of another segment: leave it out to begin with this one")
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

	page.AsOf, page.TotalEntries, page.Previous, page.Next = walk.AsOf, part.Total, part.Previous, part.Next
	page.Entries, err = s.ranked(ctx, scope, part.Entries)
	return page, err
}

// WalkEnded is the answer to a walk whose snapshot is no more.
func WalkEnded() *Error {
	return Errorf(CodeWalkEnded, "cursor", "the walk took too long, or the ranking was rebuilt in the meantime: begin again without a cursor")
}

package leaderboard

import (
	"context"
	"time"
)

// Histories answers for what single players submitted, from the ledger's events.
type Histories interface {
	// History returns a part of a player's events on a board, for GlobalBoard of those
	// that counted toward it, the newest first.
	History(ctx context.Context, query HistoryQuery) (HistoryPart, error)
}

// HistoryQuery asks for a part of a player's events on a board.
type HistoryQuery struct {
	Board  LiveBoard
	Player int64
	// From and To bound the time of the events: From <= at < To. Zero: no bound.
	From, To time.Time
	// Segment is the number of the value in whose segment the events count; 0: any.
	Segment int32
	// Before is the place to go on from; nil: at the newest event.
	Before *HistoryPlace
	// Limit is the most events of the part.
	Limit int
	// Uncounted asks for those, too, that a moderator has had not count.
	Uncounted bool
}

// HistoryPlace is a place between two events of a player: after all that came later than
// At, and of those that came at At, after all whose number is Event or higher.
type HistoryPlace struct {
	At    time.Time
	Event int64
}

// HistoryPart is a part of a player's events.
type HistoryPart struct {
	// Events may be fewer than were asked for, even none, before the end: one call reads
	// no more of the log than it may.
	Events []HistoryEvent
	// Since is when the log begins, as retention has cut it: earlier events are not there.
	Since time.Time
	// Next is where to go on; nil at the end.
	Next *HistoryPlace
}

// HistoryEvent is a score that the player submitted.
type HistoryEvent struct {
	// Number is the event's place in the ledger's order.
	Number  int64
	Score   int64
	Columns Columns
	// At is when it came, by the ledger's clock.
	At time.Time
	// Board is the number of the board that it was submitted to.
	Board int32
}

// HistoryCursor is how far a reader of a player's history has come.
type HistoryCursor struct {
	// Board and Season are the numbers of what the history is of; Season 0: of all time. Of a
	// segment Season is as [SegmentSeason].
	Board, Season int32
	Player        int64
	Place         HistoryPlace
}

// History is a part of what a player submitted to a board.
type History struct {
	Of
	PlayerName
	Submissions []PastSubmission
	// Since is the time from which on submissions are there.
	Since time.Time
	// Next is where to go on; nil at the end.
	Next *HistoryCursor
}

// PastSubmission is a score that a player submitted.
type PastSubmission struct {
	Event int64
	Score int64
	// Columns are those of the board that it was submitted to, by name; nil where it has none.
	Columns map[string]int64
	At      time.Time
	// Board is the name of the board that it was submitted to.
	Board string
	// Metadata is as [RankedEntry.Metadata].
	Metadata string
}

// History returns a part of a player's submissions to a board, the newest first; nil
// begins with the newest. A view without a window is of all of them, also where the board
// has no ranking of all time.
func (s *Service) History(ctx context.Context, view View, id PlayerID, cursor *HistoryCursor, pageSize int64) (History, error) {
	scope, err := s.past(ctx, view)
	if err != nil {
		return History{}, err
	}
	if _, err := PageOffset(1, pageSize); err != nil {
		return History{}, err
	}

	name, err := s.Directory.Name(ctx, id)
	if err != nil {
		return History{}, err
	}

	begin := HistoryCursor{Board: scope.board.Number, Season: scope.season.Number, Player: name.Number}
	_, segment := SplitSeason(scope.board.Season)
	if segment != 0 {
		begin.Season = SegmentSeason(begin.Season, segment)
	}
	query := HistoryQuery{Board: scope.board, Player: name.Number, From: scope.season.Opens, To: scope.season.Closes, Segment: segment, Limit: int(pageSize)}
	if cursor != nil {
		if err := scope.checkCursor(*cursor, begin); err != nil {
			return History{}, err
		}
		query.Before = &cursor.Place
	}

	part, err := s.Histories.History(ctx, query)
	if err != nil {
		return History{}, err
	}

	history := History{Of: scope.Of, PlayerName: name, Since: part.Since, Submissions: make([]PastSubmission, len(part.Events))}
	for i, e := range part.Events {
		origin, _ := scope.catalog.Numbered(e.Board)
		history.Submissions[i] = PastSubmission{Event: e.Number, Score: e.Score, Columns: origin.Named(e.Columns), At: e.At, Board: scope.originOf(e.Board)}
	}
	if part.Next != nil {
		history.Next = &begin
		history.Next.Place = *part.Next
	}
	if view.Metadata {
		err = s.describe(ctx, history.Submissions)
	}
	return history, err
}

// describe fills in the metadata of submissions.
func (s *Service) describe(ctx context.Context, submissions []PastSubmission) error {
	events := make([]int64, len(submissions))
	for i, submission := range submissions {
		events[i] = submission.Event
	}

	found, err := s.lookUpMetadata(ctx, events)
	for i := range submissions {
		submissions[i].Metadata = found[submissions[i].Event]
	}
	return err
}

// past finds what of a board's past a view names.
func (s *Service) past(ctx context.Context, view View) (scope, error) {
	if view.Season != 0 || view.Window != "" && view.Window != AllTime {
		return s.open(ctx, view)
	}

	catalog := s.Catalog()
	board, err := lookup(catalog, view.Board)
	past := scope{Of: Of{Board: board.Name, Window: AllTime}, catalog: catalog, board: board}
	if err != nil || view.Segment.Attribute == "" {
		return past, err
	}
	return s.inSegment(ctx, past, view.Segment)
}

// checkCursor refuses a cursor of something else than what is asked for.
func (s scope) checkCursor(cursor, asked HistoryCursor) error {
	switch {
	case cursor.Board != asked.Board:
		return invalid("cursor", "cursor is of another board: leave it out to begin with board %s", s.board.Name)
	case cursor.Player != asked.Player:
		return invalid("cursor", "cursor is of another player: leave it out to begin with this one")
	case cursor.Season == asked.Season:
		return nil
	case !sameSegment(cursor.Season, asked.Season):
		return invalid("cursor", "cursor is of another segment: leave it out to begin with this one")
	}
	season, _ := SplitSeason(cursor.Season)
	if s.season.Number != 0 && !s.Closed() && s.board.ranIn(s.Window, season) && season != 0 {
		return Errorf(CodeWalkEnded, "cursor", "the season of board %s has ended: begin again without a cursor", s.board.Name)
	}
	return invalid("cursor", "cursor is of another window or season: leave it out to begin with this one")
}

package leaderboard

import (
	"context"
	"strings"
	"time"
)

// View names what of a board is asked for.
type View struct {
	// Board is a name; empty: GlobalBoard.
	Board string
	// Window is a window's name; empty: that of all time, or where there is no ranking of
	// all time, the first one that has a season open.
	Window string
	// Season is the ordinal of a closed season of the window; 0: the one that is open.
	Season int32
	// Segment is the one that is meant; zero: all of the season.
	Segment SegmentQuery
	Include
	// Segments asks, of an own entry, for its ranks in segments.
	Segments bool
	// Viewer is the player who asks; empty: somebody else does.
	Viewer PlayerID
}

// Of says what an answer is of.
type Of struct {
	// Board and Window are names, never empty.
	Board, Window string
	// Season is the ordinal of the window's season; 0 for that of all time.
	Season int32
	// Attribute and Value are those of the segment; empty: it is of all of the season.
	Attribute, Value string
	// ClosedAt is when the season was closed, from when on the answer will never be
	// another; zero: it is not.
	ClosedAt time.Time
}

// Closed says that the season is.
func (o Of) Closed() bool { return !o.ClosedAt.IsZero() }

// scope is what a view leads to.
type scope struct {
	Of
	catalog *Catalog
	// board has the season that is meant.
	board LiveBoard
	// ranking answers for it.
	ranking Ranking
	// season is that season where it is one of a window.
	season Season
	// include is as in [View].
	include Include
}

// open finds what a view names.
func (s *Service) open(ctx context.Context, view View) (opened scope, err error) {
	catalog := s.Catalog()
	board, err := lookup(catalog, view.Board)
	if err != nil {
		return scope{}, err
	}

	if view.Season != 0 {
		opened, err = s.openClosed(ctx, catalog, board, view)
	} else {
		opened, err = s.running(catalog, board, view.Window)
	}
	opened.include = view.Include
	if err == nil && view.Segment.Attribute != "" {
		opened, err = s.inSegment(ctx, opened, view.Segment)
	}
	if err != nil {
		return scope{}, err
	}

	opened.ranking, err = s.seenBy(ctx, view.Viewer, opened.ranking, opened.Closed())
	return opened, err
}

// inSegment finds the segment of a scope.
func (s *Service) inSegment(ctx context.Context, opened scope, query SegmentQuery) (scope, error) {
	if !opened.board.splitBy(query.Attribute) {
		return scope{}, noSegment(opened.board.Board, query.Attribute)
	}
	value, err := s.findSegment(ctx, opened.catalog, query)
	if err != nil {
		return scope{}, err
	}
	return opened.in(value), nil
}

// running is the season of a window of the board that is open now.
func (s *Service) running(catalog *Catalog, board LiveBoard, window string) (scope, error) {
	switch {
	case window != "" && !board.HasWindow(window):
		return scope{}, NoWindow(board, window)
	case window == AllTime, window == "" && !board.WindowsOnly:
		return scope{Of{Board: board.Name, Window: AllTime}, catalog, board, s.Ranking, Season{}, Include{}}, nil
	}

	if season, ok := board.SeasonAt(window, catalog.Now()); ok {
		of := Of{Board: board.Name, Window: season.Window, Season: season.Ordinal}
		return scope{of, catalog, board.In(season.Number), s.Ranking, season, Include{}}, nil
	}
	return scope{}, Errorf(CodeNoSeason, "window", "no such season of board %s is open now: GET /v1/boards/%s says when one was or will be", board.Name, board.Name)
}

// openClosed finds a season that is closed.
func (s *Service) openClosed(ctx context.Context, catalog *Catalog, board LiveBoard, view View) (scope, error) {
	switch {
	case view.Season < 0:
		return scope{}, invalid("season", "season must be 1 or more")
	case view.Window == "":
		return scope{}, invalid("season", "season needs a window: %s", windowNames(board))
	case view.Window == AllTime:
		return scope{}, invalid("season", "window %s has one season, which does not end: leave season out", AllTime)
	case !board.HasWindow(view.Window):
		return scope{}, NoWindow(board, view.Window)
	}

	season, ok, err := s.Results.Season(ctx, board, view.Window, view.Season)
	switch {
	case err != nil:
		return scope{}, err
	case !ok:
		return scope{}, Errorf(CodeNoSeason, "season", "window %s of board %s has no season %d", view.Window, board.Name, view.Season)
	case season.Dropped:
		return scope{}, Errorf(CodeSeasonDropped, "season", "the results of season %d of window %s are no longer kept", view.Season, view.Window)
	case !season.Closed():
		return scope{}, Errorf(CodeNoSeason, "season", "season %d of window %s is not closed yet: leave season out to see the one that is open", view.Season, view.Window)
	}
	return s.closed(catalog, board, season), nil
}

// closed is a season that is.
func (s *Service) closed(catalog *Catalog, board LiveBoard, season Season) scope {
	of := Of{Board: board.Name, Window: season.Window, Season: season.Ordinal, ClosedAt: season.ClosedAt}
	return scope{of, catalog, board.InClosed(season), s.Results, season, Include{}}
}

// NoWindow is an [Error] with CodeNoWindow.
func NoWindow(board LiveBoard, name string) *Error {
	return Errorf(CodeNoWindow, "window", "board %s has no window %q: it has %s", board.Name, name, windowNames(board))
}

func windowNames(board LiveBoard) string {
	var names []string
	if !board.WindowsOnly {
		names = append(names, AllTime)
	}
	for _, w := range board.Windows {
		names = append(names, w.Name)
	}
	return strings.Join(names, ", ")
}

// WindowSeasons are the seasons of a window.
type WindowSeasons struct {
	Board, Window string
	Seasons       []Season
}

// MaxSeasonsListed bounds the seasons of one answer.
const MaxSeasonsListed = 100

// Seasons returns up to limit seasons of a window, the newest first, with ordinals below
// before (0: all).
func (s *Service) Seasons(ctx context.Context, boardName, window string, before int32, limit int) (WindowSeasons, error) {
	board, err := lookup(s.Catalog(), boardName)
	if err != nil {
		return WindowSeasons{}, err
	}
	switch {
	case window == "" && len(board.Windows) > 0:
		window = board.Windows[0].Name
	case window == "" || window == AllTime:
		return WindowSeasons{}, Errorf(CodeNoWindow, "window", "window %s of board %s has one season, which does not end: seasons are those of other windows", AllTime, board.Name)
	case !board.HasWindow(window):
		return WindowSeasons{}, NoWindow(board, window)
	}
	if limit < 1 || limit > MaxSeasonsListed {
		return WindowSeasons{}, invalid("limit", "limit must be from 1 to %d", MaxSeasonsListed)
	}
	if before < 0 {
		return WindowSeasons{}, invalid("before", "before must be 1 or more")
	}

	seasons, err := s.Results.Seasons(ctx, board, window, before, limit)
	return WindowSeasons{board.Name, window, seasons}, err
}

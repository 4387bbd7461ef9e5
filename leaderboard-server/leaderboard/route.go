package leaderboard

// Route hands what an event means for the rankings to fn: the standings on its board and
// on global, of all time and of the windows, and in the segments of those.
func (c *Catalog) Route(e Event, fn func(board LiveBoard, s Standing)) {
	board, ok := c.Numbered(e.Board)
	if !ok {
		return // a board that is newer than the catalog: the event is read again
	}

	if e.Standing != nil {
		fn(board, *e.Standing)
	} else if !board.Scoring.Ordered() {
		routeSingle(board, e, e.Columns, e.Segments.On(false), fn)
	}
	if global := c.Global(); e.CountsTowardGlobal && global.Number != e.Board {
		routeSingle(global, e, Columns{}, e.Segments.On(true), fn)
	}
}

// routeSingle hands what an event means for the seasons of one board, and for the segments of
// these values, to fn.
func routeSingle(board LiveBoard, e Event, columns Columns, segments []int32, fn func(board LiveBoard, s Standing)) {
	add := func(season int32) {
		s := Single(EntryKey{Board: board.Number, Season: season, Player: e.Player}, e.Score, e.Number, e.Board).With(columns)
		s.ReachedAt = e.At.UnixMicro()
		fn(board, s)
		for _, value := range segments {
			fn(board, s.InSegment(value))
		}
	}

	add(board.Season)
	for s := range board.OpenAt(e.At) {
		add(s.Number)
	}
}

package leaderboard

import (
	"context"
	"iter"
	"slices"
	"time"
)

// Seasons are announced before they open, so that no submission comes between.
const (
	// SeasonNotice is how long before its beginning the first season of a window is in the
	// ledger, and another end of one before that end.
	SeasonNotice = 5 * time.Second
	// OpeningSoon is how long before a season opens its ranking is made.
	OpeningSoon = 10 * time.Minute
	// MaxAnnounced is how many are announced at a time, where nobody looked after a window
	// for long.
	MaxAnnounced = 1_000
)

// allTimeSeason is the number of the season of all time, on every board that was not
// refolded: see [RefoldSeason].
const allTimeSeason = 1

// Season is one run of a window of a board: between two resets.
type Season struct {
	// Number is the board's own for it, as in [EntryKey]. It is never given again.
	Number int32
	// Window is the window's name.
	Window string
	// Ordinal counts the seasons of the window, from 1: what clients call it.
	Ordinal int32
	// Opens and Closes say which events count: Opens <= at < Closes.
	Opens, Closes time.Time
	// ClosedAt is when the results were final; zero: they are not.
	ClosedAt time.Time
	// Entries is how many there are in the results.
	Entries int64
	// Swept says that nothing of the season is left in rankings.
	Swept bool
	// Order is the one by which the results are, where the board got another one since;
	// empty: the board's.
	Order Order
	// Columns are those that the results have, where the board got others since; nil: the
	// board's.
	Columns []Column
	// Dropped says that the results are no longer kept.
	Dropped bool
}

// Closed says that the results are final.
func (s Season) Closed() bool { return !s.ClosedAt.IsZero() }

// OpenAt says whether an event at a time counts in the season.
func (s Season) OpenAt(at time.Time) bool { return !at.Before(s.Opens) && at.Before(s.Closes) }

// In is the board with another season that is meant, and the rules of that one.
func (b LiveBoard) In(season int32) LiveBoard {
	if rules := b.rulesOf(season); rules.Fold() != b.Fold() {
		own := b.rulesOf(0)
		b.Board, b.own = b.WithRules(rules), &own
	}
	b.Season = season
	return b
}

// InClosed is the board with a season that is meant whose results are final, in their order
// and with their columns.
func (b LiveBoard) InClosed(season Season) LiveBoard {
	b = b.In(season.Number)
	if season.Order != "" {
		b.Order = season.Order
	}
	if season.Columns != nil {
		b.Columns = season.Columns
	}
	return b
}

// Serves says whether the ranking of a season of a window is served at a time, or soon will be.
func (b LiveBoard) Serves(s Season, at time.Time) bool {
	return b.HasWindow(s.Window) && at.Before(s.Closes) && at.Add(OpeningSoon).After(s.Opens)
}

// OpenAt are the seasons of the board's windows in which an event at a time counts, in the
// order of the windows.
func (b LiveBoard) OpenAt(at time.Time) iter.Seq[Season] {
	return func(yield func(Season) bool) {
		for _, s := range b.Seasons {
			if s.OpenAt(at) && !yield(s) {
				return
			}
		}
	}
}

// SeasonAt is the season of a window in which an event at a time counts; an empty name is
// the first configured window that has one.
func (b LiveBoard) SeasonAt(window string, at time.Time) (Season, bool) {
	for s := range b.OpenAt(at) {
		if s.Window == window || window == "" && b.HasWindow(s.Window) {
			return s, true
		}
	}
	return Season{}, false
}

// Main is the number of the season that is meant where no window is named: that of all
// time, or where there is none, of the first window that has one open. 0: none has.
func (b LiveBoard) Main(at time.Time) int32 {
	if !b.WindowsOnly {
		return b.Season
	}
	first, _ := b.SeasonAt("", at)
	return first.Number
}

// ranIn says whether a season was one of the window's, as far as that is known.
func (b LiveBoard) ranIn(window string, season int32) bool {
	season, _ = SplitSeason(season)
	i := slices.IndexFunc(b.Seasons, func(s Season) bool { return s.Number == season })
	if i >= 0 {
		return b.Seasons[i].Window == window
	}
	return isAllTime(season) == (window == AllTime)
}

// HasWindow says whether a window is configured; that of all time is one.
func (b Board) HasWindow(name string) bool {
	if name == AllTime {
		return !b.WindowsOnly
	}
	_, ok := b.Window(name)
	return ok
}

// Window finds a configured window.
func (b Board) Window(name string) (Window, bool) {
	for _, w := range b.Windows {
		if w.Name == name {
			return w, true
		}
	}
	return Window{}, false
}

// NextSeason is the season of the window after its last one, if it is time to announce
// it: every window has a season that is open and one that will be. The zero last is for a
// window that had none. False: there is nothing to announce.
func (w Window) NextSeason(last Season, now time.Time) (next Season, ok bool) {
	soon := now.Add(SeasonNotice)
	next = Season{Window: w.Name, Ordinal: last.Ordinal + 1, Opens: last.Closes}

	if w.Once() {
		next.Opens, next.Closes = w.Start, w.End
		if next.Opens.Before(soon) {
			next.Opens = soon
		}
		// A window that was there is there again if it was given a later start.
		return next, next.Closes.After(next.Opens) && (last.Ordinal == 0 || !w.Start.Before(last.Closes) && last.Closes.Before(now))
	}

	if last.Ordinal == 0 {
		next.Opens = soon
	} else if last.Opens.After(now) {
		return Season{}, false
	}
	next.Closes = w.next(next.Opens)
	return next, true
}

// Reschedule is the last season of the window, not over yet, as the window has it now; ok
// says that it is another. One that is open keeps its end unless the window is there
// once.
func (w Window) Reschedule(last Season, now time.Time) (changed Season, ok bool) {
	changed = last
	open, soon := !last.Opens.After(now.Add(SeasonNotice)), now.Add(SeasonNotice)
	switch {
	case last.Ordinal == 0 || !last.Closes.After(soon):
		return last, false
	case w.Once():
		if !open {
			changed.Opens = latest(w.Start, soon)
		}
		changed.Closes = latest(w.End, soon)
		if !changed.Closes.After(changed.Opens) {
			changed.Closes = changed.Opens.Add(LeastWindow)
		}
	case !open:
		changed.Closes = w.next(last.Opens)
	}
	return changed, !changed.Opens.Equal(last.Opens) || !changed.Closes.Equal(last.Closes)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// AnnouncementDue says whether a window of the active boards has a season to announce.
func (c *Catalog) AnnouncementDue(now time.Time) bool {
	for _, b := range c.list {
		for _, w := range b.Windows {
			if _, due := w.NextSeason(b.LastSeason(w.Name), now); due && b.Active {
				return true
			}
		}
	}
	return false
}

// LastSeason is the last one of a window that is known, also one that is to come; zero:
// none is.
func (b LiveBoard) LastSeason(window string) (last Season) {
	for _, s := range b.Seasons {
		if s.Window == window {
			last = s
		}
	}
	return last
}

// SeasonStore knows the seasons of windows, also those that are over.
type SeasonStore interface {
	// Seasons returns up to limit seasons of a window, the newest first, with ordinals
	// below before (0: all). They include the next one.
	Seasons(ctx context.Context, board LiveBoard, window string, before int32, limit int) ([]Season, error)
	// Season returns one season of a window, of one that was dropped only that; false:
	// there is none, and was none.
	Season(ctx context.Context, board LiveBoard, window string, ordinal int32) (Season, bool, error)
}

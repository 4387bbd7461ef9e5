package leaderboard

import (
	"slices"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/schedule"
)

// AllTime is the name of the window of all time, which is no [Window]: it has one season
// without an end.
const AllTime = "all"

// Limits of windows.
const (
	// MaxWindows is how many windows a board may have beside that of all time.
	MaxWindows = 8
	// DefaultKeep is of how many closed seasons the results are kept.
	DefaultKeep = 10
	// MaxKeep is the most that may be.
	MaxKeep = 1000
	// LeastWindow is how long a window without a schedule has to be.
	LeastWindow = time.Minute
)

// Window is a ranking of a part of the time, over the same submissions as the board's
// others: again and again, or once.
type Window struct {
	// Name is unique on the board.
	Name string
	// Schedule is when one season ends and the next begins, as [schedule.Parse] reads it,
	// and TimeZone the IANA name of the zone whose clocks it means. Empty: the window is
	// there once, from Start to End.
	Schedule, TimeZone string
	Start, End         time.Time
	// Keep is of how many closed seasons the results are kept.
	Keep int
}

// Once says that the window has one season.
func (w Window) Once() bool { return w.Schedule == "" }

// next is when a season ends that begins at a time. The window is valid.
func (w Window) next(begins time.Time) time.Time {
	zone, err := LoadTimeZone("timeZone", w.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	parsed, err := schedule.Parse(w.Schedule, zone)
	if err != nil {
		return begins.AddDate(1, 0, 0) // it was stored by a version that reads more
	}
	return parsed.Next(begins)
}

func (b Board) validateWindows() error {
	if len(b.Windows) > MaxWindows {
		return invalid("windows", "board %s has %d windows: at most %d can be configured", b.Name, len(b.Windows), MaxWindows)
	}
	if b.WindowsOnly && len(b.Windows) == 0 {
		return invalid("allTime", "board %s has neither a ranking of all time nor windows: add one, or leave allTime out", b.Name)
	}

	for i, w := range b.Windows {
		if slices.ContainsFunc(b.Windows[:i], func(other Window) bool { return other.Name == w.Name }) {
			return invalid("windows", "board %s has two windows %s", b.Name, w.Name)
		}
		if err := w.validate(b.Name); err != nil {
			return err
		}
	}
	return nil
}

func (w Window) validate(board string) error {
	switch {
	case !validName(w.Name):
		return invalid("windows", "window name %q of board %s must have 1 to %d characters, lower-case letters, digits, - or _, and begin and end with a letter or digit, for example weekly", w.Name, board, MaxBoardName)
	case w.Name == AllTime:
		return invalid("windows", "window %s of board %s is that of all time and cannot be configured: choose another name, or set allTime to false", AllTime, board)
	case w.Keep < 1 || w.Keep > MaxKeep:
		return invalid("keep", "keep of window %s of board %s must be from 1 to %d", w.Name, board, MaxKeep)
	case w.Once():
		return w.validateOnce(board)
	case !w.Start.IsZero() || !w.End.IsZero():
		return invalid("schedule", "window %s of board %s has a schedule and start or end: give the schedule, or both start and end", w.Name, board)
	}

	zone, err := LoadTimeZone("timeZone of window "+w.Name+" of board "+board, w.TimeZone)
	if err != nil {
		return err
	}
	if _, err := schedule.Parse(w.Schedule, zone); err != nil {
		return invalid("schedule", "schedule %q of window %s of board %s: %v", w.Schedule, w.Name, board, err)
	}
	return nil
}

func (w Window) validateOnce(board string) error {
	switch {
	case w.Start.IsZero() || w.End.IsZero():
		return invalid("schedule", "window %s of board %s needs a schedule, for example daily, or both start and end", w.Name, board)
	case w.TimeZone != "UTC":
		return invalid("timeZone", "window %s of board %s has a start and an end, which name their own zone: leave timeZone out", w.Name, board)
	case w.End.Sub(w.Start) < LeastWindow:
		return invalid("end", "end of window %s of board %s must be at least %s after its start", w.Name, board, LeastWindow)
	}
	return nil
}

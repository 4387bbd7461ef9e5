package leaderboard

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Bounds of [Limits].
const (
	// MaxPerMinute is the most submissions a minute that a limit may allow.
	MaxPerMinute = 100
	// MaxCooldown is the longest time that may have to be between two submissions.
	MaxCooldown = 7 * 24 * time.Hour
	// MaxAttempts is the most submissions in a season that a limit may allow.
	MaxAttempts = 1_000_000
)

// Limits are how often one player may submit to a board; the zero value limits nothing. What is
// refused, for whatever reason, and repetitions do not count.
type Limits struct {
	// PerMinute is how many submissions there may be in any 60 seconds; 0: any number.
	PerMinute int
	// Cooldown is how long after a submission the next one is taken, in whole seconds.
	Cooldown time.Duration
	// Attempts are how many there may be in a season of some of the board's windows.
	Attempts []Attempts
}

// Attempts is how many submissions there may be in a season.
type Attempts struct {
	// Window is one of the board's, or [AllTime].
	Window string
	Max    int
}

// Any says that there are limits, so that a player's submissions are counted.
func (l Limits) Any() bool { return l.PerMinute > 0 || l.Cooldown > 0 || len(l.Attempts) > 0 }

func (b Board) validateLimits() error {
	l := b.Limits
	switch {
	case l.PerMinute < 0 || l.PerMinute > MaxPerMinute:
		return invalid("limits.perMinute", "limits.perMinute of board %s must be from 1 to %d", b.Name, MaxPerMinute)
	case l.Cooldown < 0 || l.Cooldown > MaxCooldown || l.Cooldown%time.Second != 0:
		return invalid("limits.cooldownSeconds", "limits.cooldownSeconds of board %s must be from 1 to %d", b.Name, int(MaxCooldown.Seconds()))
	case b.Derived && l.Any():
		return invalid("limits", "board %s takes no submissions of its own, so there is nothing to limit: leave limits out", b.Name)
	}

	for i, a := range l.Attempts {
		switch {
		case !b.HasWindow(a.Window):
			return invalid("limits.attempts", "limits.attempts of board %s names the window %q, which the board does not have: name one of its windows, or %s for all time", b.Name, a.Window, AllTime)
		case slices.ContainsFunc(l.Attempts[:i], func(other Attempts) bool { return other.Window == a.Window }):
			return invalid("limits.attempts", "limits.attempts of board %s names the window %s twice", b.Name, a.Window)
		case a.Max < 1 || a.Max > MaxAttempts:
			return invalid("limits.attempts", "max of limits.attempts in window %s of board %s must be from 1 to %d", a.Window, b.Name, MaxAttempts)
		}
	}
	return nil
}

// Counts are what the ledger had counted of a player's submissions to a board before one more,
// at the time of that one.
type Counts struct {
	// Recent is how many came in the last minute, and Frees when the first of them ceases to
	// count for PerMinute, of the last ones that there may be.
	Recent int
	Frees  time.Time
	// Last is when the last one came; zero: none did.
	Last time.Time
	// Attempts are how many there were in the season that is open, in the order of
	// [Limits.Attempts]; -1: none is open.
	Attempts []int32
}

// Allowance is what a limit leaves a player after a submission was judged.
type Allowance struct {
	// Limit names the limit: per-minute, cooldown, or attempts- and the name of a window.
	Limit string
	// Quota is how many submissions it allows within Window; Window is 0 where that has no end.
	Quota  int
	Window time.Duration
	// Remaining is how many are left.
	Remaining int
	// Reset is in how long more are left; 0: never.
	Reset time.Duration
}

// The names of limits; that of attempts is followed by the window's.
const (
	perMinute      = "per-minute"
	cooldown       = "cooldown"
	attempts       = "attempts"
	attemptsPrefix = attempts + "-"
	game           = "game"
)

// LimitKind is the kind of the limit with a name, for metrics: per-minute, cooldown, game, or
// attempts, of which a board may have many.
func LimitKind(limit string) string {
	if strings.HasPrefix(limit, attemptsPrefix) {
		return attempts
	}
	return limit
}

// GameLimitExceeded is the refusal of a submission to a game that takes so many a second.
func GameLimitExceeded(perSecond int) *Error {
	e := Errorf(CodeLimitExceeded, "", "the game takes %d submissions a second, and there were as many: send this one again in 1 s", perSecond).After(time.Second)
	e.Limit, e.Allowances = game, []Allowance{{game, perSecond, time.Second, 0, time.Second}}
	return e
}

// Allowances are what the limits of the board leave a player after a submission at a time, whose
// counts were these: counted says that it was taken.
func (b LiveBoard) Allowances(c Counts, at time.Time, counted bool) []Allowance {
	one := 0
	if counted {
		one = 1
	}

	var list []Allowance
	if quota := b.Limits.PerMinute; quota > 0 {
		if c.Frees.IsZero() {
			c.Frees = at.Add(time.Minute)
		}
		list = append(list, Allowance{perMinute, quota, time.Minute, max(quota-c.Recent-one, 0), c.Frees.Sub(at)})
	}
	if pause := b.Limits.Cooldown; pause > 0 {
		if counted {
			c.Last = at
		}
		if left := c.Last.Add(pause).Sub(at); left > 0 {
			list = append(list, Allowance{cooldown, 1, pause, 0, left})
		} else {
			list = append(list, Allowance{cooldown, 1, pause, 1, pause})
		}
	}
	for i, a := range b.Limits.Attempts {
		if i >= len(c.Attempts) || c.Attempts[i] < 0 {
			continue
		}
		left := Allowance{Limit: attemptsPrefix + a.Window, Quota: a.Max, Remaining: max(a.Max-int(c.Attempts[i])-one, 0)}
		if season, ok := b.SeasonAt(a.Window, at); ok {
			left.Window, left.Reset = season.Closes.Sub(season.Opens), season.Closes.Sub(at)
		}
		list = append(list, left)
	}
	return list
}

// LimitExceeded is the refusal of a submission for which the limits of the board leave no room.
func (b Board) LimitExceeded(left []Allowance) *Error {
	// The one that holds for the longest time is the one to name.
	var named Allowance
	for _, a := range left {
		if a.Remaining == 0 && (named.Limit == "" || named.Reset != 0 && (a.Reset == 0 || a.Reset > named.Reset)) {
			named = a
		}
	}

	if named.Limit == "" { // the limits have changed since it was judged
		return Errorf(CodeLimitExceeded, "", "the limits of board %s have just been changed: send this submission again", b.Name).After(time.Second)
	}

	next := "no further one is taken"
	if named.Reset > 0 {
		next = fmt.Sprintf("the next one is taken in %d s", int(math.Ceil(named.Reset.Seconds())))
	}
	e := Errorf(CodeLimitExceeded, "", "board %s limits the submissions of a player: %s, and %s", b.Name, named.reason(), next).After(named.Reset)
	e.Limit, e.Allowances = named.Limit, left
	return e
}

// reason says what a limit with nothing left is.
func (a Allowance) reason() string {
	switch window, ofSeason := strings.CutPrefix(a.Limit, attemptsPrefix); {
	case ofSeason && window == AllTime:
		return fmt.Sprintf("there are %d in all", a.Quota)
	case ofSeason:
		return fmt.Sprintf("there are %d in a season of the window %s", a.Quota, window)
	case a.Limit == cooldown:
		return fmt.Sprintf("there is one in %d s", int(a.Window.Seconds()))
	}
	return fmt.Sprintf("there are %d in any 60 s", a.Quota)
}

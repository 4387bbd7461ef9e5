// Package schedule expands the schedules of windows: when the next season of a daily,
// weekly, monthly or otherwise repeated ranking begins.
//
// The expressions are parsed and expanded by robfig/cron, as those of Kubernetes' CronJobs
// are. By itself it leaves out what a change of the clocks leaves out: a day without a
// midnight would have no season of its own. So it is asked in a clock that never changes,
// and its answers are read as wall clock times.
package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// aliases are the names of usual schedules.
var aliases = map[string]string{
	"daily":   "0 0 * * *",
	"weekly":  "0 0 * * 1",
	"monthly": "0 0 1 * *",
}

// Schedule is when seasons begin, in one time zone. Make one with [Parse].
type Schedule struct {
	spec *cron.SpecSchedule // in UTC, whose clock never changes
	zone *time.Location
}

// Errors of [Parse] that say what is wrong with a schedule that can be read.
var (
	ErrNever    = errors.New("it never comes: no year has such a day")
	ErrTooOften = errors.New("it comes more often than once an hour: give one minute, for example 0 * * * *")
)

// Parse reads daily, weekly (on Monday), monthly, or a cron expression of five fields:
// minute, hour, day of the month, month, day of the week
// (https://pkg.go.dev/github.com/robfig/cron/v3#hdr-CRON_Expression_Format). Its times are
// of the zone's clocks.
func Parse(text string, zone *time.Location) (Schedule, error) {
	expression, ok := aliases[text]
	if !ok {
		expression = text
	}
	if len(strings.Fields(expression)) != 5 || strings.Contains(expression, "=") {
		return Schedule{}, errors.New("it must be daily, weekly, monthly, or five fields as of cron, for example 0 6 * * 1")
	}

	parsed, err := cron.ParseStandard(expression)
	if err != nil {
		return Schedule{}, fmt.Errorf("read the five fields: %w", err)
	}

	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Schedule{}, errors.New("it must have five fields")
	}
	spec.Location = time.UTC

	const starBit = 1 << 63
	switch {
	case bits.OnesCount64(spec.Minute&^starBit) > 1:
		return Schedule{}, ErrTooOften
	case spec.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero():
		return Schedule{}, ErrNever
	}
	return Schedule{spec: spec, zone: zone}, nil
}

// Next is the first time of the schedule after an instant. A time that a change of the
// clocks leaves out comes as long after the change as it would have without it, and one
// that comes twice counts the first time (RFC 5545, section 3.3.5).
func (s Schedule) Next(after time.Time) time.Time {
	// Clocks were put back by a day at most: what is left of that is skipped below.
	const mostBack = 25 * time.Hour
	wall := wallClock(after.In(s.zone)).Add(-mostBack)
	for {
		wall = s.spec.Next(wall)
		if next := instant(wall, s.zone); next.After(after) {
			return next
		}
	}
}

// wallClock is what a clock shows, as a time of UTC.
func wallClock(t time.Time) time.Time {
	year, month, day := t.Date()
	return time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant is when the zone's clocks show a time, by the offset of before any change near
// it.
func instant(wall time.Time, zone *time.Location) time.Time {
	year, month, day := wall.Date()
	t := time.Date(year, month, day, wall.Hour(), wall.Minute(), 0, 0, zone)

	switch shown := wallClock(t); {
	case shown.Before(wall): // it is left out, and t is before the change
		return t.Add(wall.Sub(shown))
	case shown.After(wall): // it is left out, and t is after the change
		return t
	}

	start, _ := t.ZoneBounds()
	if start.IsZero() {
		return t
	}
	_, before := start.Add(-time.Nanosecond).Zone()
	if first := wall.Add(-time.Duration(before) * time.Second); first.Before(start) && wallClock(first.In(zone)).Equal(wall) {
		return first.In(zone)
	}
	return t
}

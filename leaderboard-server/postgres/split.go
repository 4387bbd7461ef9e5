package postgres

import "time"

// progress says what is rolled up: the days from since to before daysUntil, and the
// whole months among them that start before monthsUntil; the quarter hours from
// recentSince to before quartersUntil, and the whole hours among them that start
// before hoursUntil. All but hoursUntil and quartersUntil are midnights of UTC.
type progress struct {
	since, daysUntil, monthsUntil          time.Time
	recentSince, hoursUntil, quartersUntil time.Time
}

// split is a range of time in parts that neither overlap nor leave a gap.
type split struct {
	// months, days, hours and quarters are rolled up; each is named by its first
	// instant.
	months, days, hours, quarters []time.Time
	// before and after are what is to be read from events; they may be empty.
	before, after interval
}

// interval is from <= t < to.
type interval struct{ from, to time.Time }

func (p progress) split(from, to time.Time) split {
	from, to = from.UTC(), to.UTC()
	p.recentSince, p.hoursUntil, p.quartersUntil = p.recentSince.UTC(), p.hoursUntil.UTC(), p.quartersUntil.UTC()
	if p.recentSince.After(p.daysUntil) || p.quartersUntil.Before(p.daysUntil) {
		// There would be a gap between the days and the quarter hours.
		p.recentSince, p.hoursUntil, p.quartersUntil = p.daysUntil, p.daysUntil, p.daysUntil
	}

	at, end := latest(from, p.since), earliest(to, p.quartersUntil)
	if at.Before(p.recentSince) {
		at = ceiling(at, startOfDay, 0, 1)
	} else if s := at.Truncate(quarter); s.Before(at) {
		at = s.Add(quarter)
	}
	if end.Before(p.recentSince) {
		end = startOfDay(end)
	} else {
		end = end.Truncate(quarter)
	}

	s := split{before: interval{from, at}, after: interval{end, to}}
	if !at.Before(end) {
		return s.ofEvents()
	}

	for at.Before(end) {
		at = s.take(p, at, end)
	}

	return s
}

// ofEvents is the same range of time, read from events alone.
func (s split) ofEvents() split {
	from, to := s.before.from, s.after.to
	return split{before: interval{from, to}, after: interval{to, to}}
}

// take adds the longest period that begins at this instant, and returns its end.
func (s *split) take(p progress, at, end time.Time) time.Time {
	month, day, hour := at.AddDate(0, 1, 0), at.AddDate(0, 0, 1), at.Add(time.Hour)
	switch {
	case at.Equal(startOfMonth(at)) && at.Before(p.monthsUntil) && !month.After(end):
		s.months = append(s.months, at)
		return month
	case at.Equal(startOfDay(at)) && !day.After(earliest(end, p.daysUntil)):
		s.days = append(s.days, at)
		return day
	case at.Equal(at.Truncate(time.Hour)) && !hour.After(earliest(end, p.hoursUntil)):
		s.hours = append(s.hours, at)
		return hour
	}

	s.quarters = append(s.quarters, at)
	return at.Add(quarter)
}

func startOfDay(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func startOfMonth(t time.Time) time.Time {
	y, m, _ := t.UTC().Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
}

// ceiling is the first start of a period that is not before t.
func ceiling(t time.Time, start func(time.Time) time.Time, months, days int) time.Time {
	s := start(t)
	if s.Before(t) {
		s = s.AddDate(0, months, days)
	}
	return s
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

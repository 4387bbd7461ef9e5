package leaderboard

import "time"

// Limits of reports.
const (
	// DefaultReportLimit is how many rows a report has when the caller names no limit.
	DefaultReportLimit = 10
	// MaxReportLimit bounds the rows of one report.
	MaxReportLimit = 1000
	// MaxReportDays bounds the days of one report: ten years.
	MaxReportDays = 3660
)

// Date is a day of the calendar, in no time zone yet.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ParseDate reads YYYY-MM-DD; field names the input in the error.
func ParseDate(field, text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1 {
		return Date{}, invalid(field, "%s must be a day of the calendar as YYYY-MM-DD, for example 2026-01-31", field)
	}
	return Date{t.Year(), t.Month(), t.Day()}, nil
}

// String is YYYY-MM-DD.
func (d Date) String() string { return d.midnight(time.UTC).Format(time.DateOnly) }

func (d Date) midnight(zone *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone)
}

// next is the day after d.
func (d Date) next() Date {
	t := d.midnight(time.UTC).AddDate(0, 0, 1)
	return Date{t.Year(), t.Month(), t.Day()}
}

// compare the day of t in its own zone with d: -1, 0 or 1.
func (d Date) compare(t time.Time) int {
	y, m, day := t.Date()
	return time.Date(y, m, day, 0, 0, 0, 0, time.UTC).Compare(d.midnight(time.UTC))
}

// Start is the first instant of the day in the zone. Where clocks skip midnight
// it is the instant of the jump; of a day that a zone skipped altogether it is
// the instant at which the next day began.
func (d Date) Start(zone *time.Location) time.Time {
	t := d.midnight(zone)
	start, end := t.ZoneBounds()
	switch d.compare(t) {
	case -1: // 00:00 does not exist, and t is before the jump
		return end
	case 1: // the day does not exist, and t is after the jump
		return start
	}

	if !start.IsZero() && d.compare(start) == 0 && d.compare(start.Add(-time.Nanosecond)) < 0 {
		return start // 00:00 does not exist, and t is after the jump
	}

	return t
}

// ReportQuery asks for the top players between two days.
type ReportQuery struct {
	// From and To are the first and the last day, both included.
	From, To Date
	// TimeZone is the IANA name of the zone that the days are in; empty: UTC.
	TimeZone string
	// Board names the board; empty or GlobalBoard: all boards that count toward
	// GlobalBoard.
	Board string
	// Limit is how many rows at most.
	Limit int
}

// Report is the answer to a ReportQuery.
type Report struct {
	// Scoring is that of the board: it says what the scores are.
	Scoring Scoring
	Rows    []ReportRow
}

// ReportRow is one player of a report.
type ReportRow struct {
	// Rank counts from 1; equal scores order by who reached theirs first.
	Rank     int64
	Player   PlayerID
	Username string
	// OwnerID and OwnerName are as [PlayerName.OwnerID].
	OwnerID, OwnerName string
	// Board is the name of the board where Score was made.
	Board string
	// Score is what the board's scoring makes of the player's submissions within the days,
	// as if there had been no others.
	Score int64
	// Submissions is how many scores the player submitted within the days.
	Submissions int64
}

// Range checks the query and returns the instants it covers: from <= t < to.
func (q ReportQuery) Range() (from, to time.Time, err error) {
	zone := time.UTC
	if q.TimeZone != "" {
		if zone, err = LoadTimeZone("time_zone", q.TimeZone); err != nil {
			return from, to, err
		}
	}

	first, last := q.From.midnight(time.UTC), q.To.midnight(time.UTC)
	if last.Before(first) {
		return from, to, invalid("end_date", "end_date must not be before start_date")
	}
	if last.Sub(first) >= MaxReportDays*24*time.Hour {
		return from, to, invalid("end_date", "a report covers at most %d days", MaxReportDays)
	}
	if q.Limit < 1 || q.Limit > MaxReportLimit {
		return from, to, invalid("limit", "limit must be from 1 to %d", MaxReportLimit)
	}

	return q.From.Start(zone), q.To.next().Start(zone), nil
}

package schedule

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	require.NoError(t, err)
	return z
}

// Resets around the changes of clocks: days of 23 and 25 hours, midnights and days that
// do not exist, and a zone that changed its rule.
func TestSeasonsAroundChangesOfClocks(t *testing.T) {
	for _, c := range []struct {
		what, zone, schedule, after string
		want                        []string // in UTC
	}{
		{"an ordinary week", "UTC", "daily", "2026-06-01T12:00:00Z", []string{"2026-06-02T00:00:00Z", "2026-06-03T00:00:00Z"}},
		{"a day of 23 hours", "Europe/Berlin", "daily", "2026-03-28T12:00:00Z",
			[]string{"2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"}},
		{"a day of 25 hours", "Europe/Berlin", "daily", "2026-10-24T12:00:00Z",
			[]string{"2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"}},
		{"an hour that is left out", "America/New_York", "30 2 * * *", "2026-03-07T12:00:00Z",
			[]string{"2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"}},
		{"an hour that comes twice", "America/New_York", "30 1 * * *", "2026-10-31T12:00:00Z",
			[]string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		{"every hour, one left out", "America/New_York", "30 * * * *", "2026-03-08T06:00:00Z",
			[]string{"2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z", "2026-03-08T08:30:00Z"}},
		{"every hour, one twice", "America/New_York", "30 * * * *", "2026-11-01T04:45:00Z",
			[]string{"2026-11-01T05:30:00Z", "2026-11-01T07:30:00Z"}},
		{"no midnight", "Africa/Cairo", "daily", "2026-04-23T12:00:00Z",
			[]string{"2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"}},
		{"the hour before midnight twice", "Africa/Cairo", "daily", "2026-10-28T12:00:00Z",
			[]string{"2026-10-28T21:00:00Z", "2026-10-29T22:00:00Z", "2026-10-30T22:00:00Z"}},
		{"two midnights", "America/Havana", "daily", "2026-10-31T12:00:00Z",
			[]string{"2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"}},
		{"half an hour", "Australia/Lord_Howe", "daily", "2026-04-04T00:00:00Z",
			[]string{"2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"}},
		{"a day that was left out", "Pacific/Apia", "daily", "2011-12-29T00:00:00Z",
			[]string{"2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"}},
		{"the rule of before", "America/Sao_Paulo", "daily", "2018-11-03T12:00:00Z",
			[]string{"2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}},
		{"a rule that was given up", "America/Sao_Paulo", "daily", "2019-11-02T12:00:00Z",
			[]string{"2019-11-03T03:00:00Z", "2019-11-04T03:00:00Z"}},
		{"weeks begin on Monday", "Asia/Tokyo", "weekly", "2026-11-26T00:00:00Z", []string{"2026-11-29T15:00:00Z", "2026-12-06T15:00:00Z"}},
		{"months", "Asia/Kolkata", "monthly", "2026-11-26T00:00:00Z", []string{"2026-11-30T18:30:00Z", "2026-12-31T18:30:00Z"}},
		{"leap days", "UTC", "0 0 29 2 *", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"the instant itself is over", "UTC", "daily", "2026-06-01T00:00:00Z", []string{"2026-06-02T00:00:00Z"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			s, err := Parse(c.schedule, zone(t, c.zone))
			require.NoError(t, err)
			at, err := time.Parse(time.RFC3339, c.after)
			require.NoError(t, err)
			for _, want := range c.want {
				at = s.Next(at)
				require.Equal(t, want, at.UTC().Format(time.RFC3339))
			}
		})
	}
}

// Through two years of several zones: each next is later, none is left out, and a day's
// season has 23 to 25 hours.
func TestDaysHaveNoGaps(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "America/Santiago", "Africa/Cairo", "Asia/Beirut",
		"Australia/Lord_Howe", "Asia/Tehran", "America/Havana", "Atlantic/Azores", "Asia/Gaza", "America/Asuncion"} {
		t.Run(name, func(t *testing.T) {
			z := zone(t, name)
			s, err := Parse("daily", z)
			require.NoError(t, err)
			at := s.Next(time.Date(2025, 1, 1, 12, 0, 0, 0, z))
			for day := range 730 {
				next := s.Next(at)
				hours := next.Sub(at).Hours()
				require.True(t, hours >= 23 && hours <= 25, "%s to %s", at, next)
				_, _, shown := at.Date()
				require.Equal(t, time.Date(2025, 1, 2+day, 0, 0, 0, 0, time.UTC).Day(), shown)
				at = next
			}
		})
	}
}

// Next depends on nothing but the instant: from anywhere before a reset it is that reset.
func TestNextIsTheSameFromAnywhereBefore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		z := zone(t, rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe"}).Draw(rt, "zone"))
		s, err := Parse(rapid.SampledFrom([]string{"daily", "weekly", "30 2 * * *", "30 * * * *", "0 0 1 * *"}).Draw(rt, "schedule"), z)
		require.NoError(t, err)
		from := time.Unix(rapid.Int64Range(1735689600, 1798761600).Draw(rt, "from"), 0)
		reset := s.Next(from)
		between := from.Add(time.Duration(rapid.Int64Range(0, int64(reset.Sub(from))-1).Draw(rt, "later")))
		require.True(t, reset.Equal(s.Next(between)), "%s, and %s", reset, s.Next(between))
		require.True(t, s.Next(reset).After(reset))
	})
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "must be daily",
		"hourly":                  "must be daily",
		"0 0 * *":                 "must be daily",
		"0 0 0 * * *":             "must be daily",
		"@daily":                  "must be daily",
		"TZ=UTC 0 0 * * *":        "must be daily",
		"CRON_TZ=UTC 0 0 * *":     "must be daily",
		"60 0 * * *":              "read the five fields",
		"0 24 * * *":              "read the five fields",
		"0 0 0 * *":               "read the five fields",
		"0 0 * 13 *":              "read the five fields",
		"0 0 30 2 *":              ErrNever.Error(),
		"0 0 31 2,4,6,9,11 *":     ErrNever.Error(),
		"* * * * *":               ErrTooOften.Error(),
		"0,30 * * * *":            ErrTooOften.Error(),
		"*/5 0 1 1 *":             ErrTooOften.Error(),
		"0 0 * * Mon; DROP TABLE": "must be daily",
	} {
		_, err := Parse(text, time.UTC)
		require.ErrorContains(t, err, want, "%q", text)
	}
	for _, text := range []string{"daily", "weekly", "monthly", "0 * * * *", "5 4 * * sun", "0 0 1,15 * *", "0 6 * * 1-5", "0 0 29 2 *"} {
		_, err := Parse(text, time.UTC)
		require.NoError(t, err, text)
	}
}

package postgres

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSplitTakesTheLargestParts(t *testing.T) {
	at := func(text string) time.Time {
		instant, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return instant
	}
	done := progress{since: at("2026-01-10T00:00:00Z"), daysUntil: at("2026-05-20T00:00:00Z"), monthsUntil: at("2026-05-01T00:00:00Z")}
	s := done.split(at("2026-01-30T18:30:00Z"), at("2026-05-30T18:30:00Z"))
	require.Equal(t, []time.Time{at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"), at("2026-04-01T00:00:00Z")}, s.months)
	require.Len(t, s.days, 1+19)
	require.Equal(t, interval{at("2026-01-30T18:30:00Z"), at("2026-01-31T00:00:00Z")}, s.before)
	require.Equal(t, interval{at("2026-05-20T00:00:00Z"), at("2026-05-30T18:30:00Z")}, s.after)

	s = done.split(at("2026-03-03T00:30:00Z"), at("2026-03-04T23:30:00Z"))
	require.Empty(t, s.months)
	require.Empty(t, s.days, "no whole day")
	require.Equal(t, interval{at("2026-03-03T00:30:00Z"), at("2026-03-04T23:30:00Z")}, s.before)

	// The running day of Kathmandu, of which the last hour but one is no hour's rollup yet.
	done.recentSince, done.hoursUntil, done.quartersUntil = at("2026-05-12T00:00:00Z"), at("2026-05-20T09:00:00Z"), at("2026-05-20T10:45:00Z")
	s = done.split(at("2026-05-19T18:15:00Z"), at("2026-05-20T18:15:00Z"))
	require.Empty(t, s.days)
	require.Len(t, s.hours, 5+9)
	require.Len(t, s.quarters, 3+7)
	require.Equal(t, interval{at("2026-05-19T18:15:00Z"), at("2026-05-19T18:15:00Z")}, s.before)
	require.Equal(t, interval{at("2026-05-20T10:45:00Z"), at("2026-05-20T18:15:00Z")}, s.after)
}

// The parts cover the range once, use nothing that is not rolled up, and leave
// nothing to events that is.
func TestSplitCoversTheRangeOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	origin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

	for range 20_000 {
		since := origin.AddDate(0, 0, random.IntN(100))
		done := progress{since: since, daysUntil: since.AddDate(0, 0, random.IntN(200))}
		done.monthsUntil = ceiling(since, startOfMonth, 1, 0)

		for next := done.monthsUntil.AddDate(0, 1, 0); !next.After(done.daysUntil) && random.IntN(4) > 0; next = next.AddDate(0, 1, 0) {
			done.monthsUntil = next
		}

		recentDay := random.IntN(200)
		done.recentSince = since.AddDate(0, 0, recentDay)
		done.quartersUntil = done.recentSince.Add(time.Duration(random.IntN(96*20)) * quarter)
		done.hoursUntil = done.quartersUntil.Truncate(time.Hour)
		if done.hoursUntil.After(done.recentSince) {
			done.hoursUntil = done.hoursUntil.Add(-time.Duration(random.IntN(2)) * time.Hour)
		}

		from := origin.Add(time.Duration(random.IntN(300*24*60)) * time.Minute)
		to := from.Add(time.Duration(random.IntN(200*24*60)) * time.Minute)
		s := done.split(from, to)
		requireCovered(t, done, s, from, to)

		// Little is read from events of what is rolled up.
		joined := !done.recentSince.After(done.daysUntil) && !done.quartersUntil.Before(done.daysUntil)
		until, least := done.daysUntil, 24*time.Hour
		if joined {
			until = done.quartersUntil
			if !from.Before(done.recentSince) {
				least = quarter
			}
		}

		rolled := earliest(to, until).Sub(latest(from, done.since))
		read := s.before.to.Sub(s.before.from) + s.after.to.Sub(s.after.from)
		if rolled > 0 {
			require.Less(t, read-(to.Sub(from)-rolled), 2*least, "less than a day, or a quarter hour, is read at either end of what is rolled up")
		}

		require.LessOrEqual(t, len(s.days), 2*30+(done.daysNotInMonths()), "whole months are taken as such")
		require.LessOrEqual(t, len(s.quarters), 2*3+8, "and whole hours")
	}
}

// requireCovered checks that the parts are the range, each within what is rolled up.
func requireCovered(t *testing.T, done progress, s split, from, to time.Time) {
	t.Helper()
	ends := make(map[time.Time]time.Time)
	for _, month := range s.months {
		require.True(t, month.Before(done.monthsUntil))
		require.Equal(t, 1, month.Day())
		ends[month] = month.AddDate(0, 1, 0)
	}

	for _, day := range s.days {
		require.True(t, day.Before(done.daysUntil))
		ends[day] = day.AddDate(0, 0, 1)
	}

	for _, start := range append(s.months, s.days...) {
		require.Equal(t, startOfDay(start), start)
		require.False(t, start.Before(done.since))
		require.False(t, ends[start].After(done.daysUntil))
	}

	for _, hour := range s.hours {
		require.Equal(t, hour.Truncate(time.Hour), hour)
		require.False(t, hour.Add(time.Hour).After(done.hoursUntil))
		ends[hour] = hour.Add(time.Hour)
	}

	for _, start := range s.quarters {
		require.Equal(t, start.Truncate(quarter), start)
		require.False(t, start.Add(quarter).After(done.quartersUntil))
		ends[start] = start.Add(quarter)
	}

	for _, start := range append(s.hours, s.quarters...) {
		require.False(t, start.Before(done.recentSince))
	}

	require.Len(t, ends, len(s.months)+len(s.days)+len(s.hours)+len(s.quarters), "none is there twice")
	require.Equal(t, from, s.before.from)
	at := s.before.to
	for range len(ends) {
		require.Contains(t, ends, at)
		at = ends[at]
	}

	require.Equal(t, at, s.after.from)
	require.Equal(t, to, s.after.to)
}

// daysNotInMonths is how many rolled up days have no month yet.
func (p progress) daysNotInMonths() int {
	return max(0, int(p.daysUntil.Sub(p.monthsUntil).Hours()/24))
}

package postgres

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// MigrateTo migrates as an earlier program did, for tests.
func MigrateTo(ctx context.Context, conn *pgx.Conn, schema string, version int) error {
	list, err := migrations()
	for done := false; err == nil && !done; {
		done, err = migrateOne(ctx, conn, schema, list[:version])
	}
	return err
}

func TestSplitTakesTheLargestParts(t *testing.T) {
	at := func(text string) time.Time {
		instant, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return instant
	}
	done := progress{at("2026-01-10T00:00:00Z"), at("2026-05-20T00:00:00Z"), at("2026-05-01T00:00:00Z")}
	s := done.split(at("2026-01-30T18:30:00Z"), at("2026-05-30T18:30:00Z"))
	require.Equal(t, []time.Time{at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"), at("2026-04-01T00:00:00Z")}, s.months)
	require.Len(t, s.days, 1+19)
	require.Equal(t, interval{at("2026-01-30T18:30:00Z"), at("2026-01-31T00:00:00Z")}, s.before)
	require.Equal(t, interval{at("2026-05-20T00:00:00Z"), at("2026-05-30T18:30:00Z")}, s.after)

	s = done.split(at("2026-03-03T00:30:00Z"), at("2026-03-04T23:30:00Z"))
	require.Empty(t, s.months)
	require.Empty(t, s.days, "no whole day")
	require.Equal(t, interval{at("2026-03-03T00:30:00Z"), at("2026-03-04T23:30:00Z")}, s.before)
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

		from := origin.Add(time.Duration(random.IntN(300*24*2)) * 30 * time.Minute)
		to := from.Add(time.Duration(random.IntN(200*24*2)) * 30 * time.Minute)
		s := done.split(from, to)

		covered := interval{s.before.from, s.before.to}
		months, days := s.months, s.days
		for len(months)+len(days) > 0 {
			rest, inMonths, inDays := &days, 0, 1
			if len(days) == 0 || len(months) > 0 && months[0].Before(days[0]) {
				rest, inMonths, inDays = &months, 1, 0
				require.True(t, (*rest)[0].Before(done.monthsUntil))
				require.Equal(t, 1, (*rest)[0].Day())
			}

			require.Equal(t, covered.to, (*rest)[0])
			require.False(t, covered.to.Before(done.since))
			covered.to = covered.to.AddDate(0, inMonths, inDays)
			require.False(t, covered.to.After(done.daysUntil))
			*rest = (*rest)[1:]
		}

		require.Equal(t, covered.to, s.after.from)
		covered.to = s.after.to
		require.Equal(t, interval{from, to}, covered)

		rolled := earliest(to, done.daysUntil).Sub(latest(from, done.since))
		read := s.before.to.Sub(s.before.from) + s.after.to.Sub(s.after.from)
		if rolled > 0 {
			require.Less(t, read-(to.Sub(from)-rolled), 48*time.Hour, "less than a day is read at either end of what is rolled up")
		}

		require.LessOrEqual(t, len(s.days), 2*30+(done.daysNotInMonths()), "whole months are taken as such")
	}
}

// daysNotInMonths is how many rolled up days have no month yet.
func (p progress) daysNotInMonths() int {
	return max(0, int(p.daysUntil.Sub(p.monthsUntil).Hours()/24))
}

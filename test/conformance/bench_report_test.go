package conformance

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

const (
	// eventsVariable says how many events a year of the benchmark has.
	eventsVariable = "REPORT_EVENTS"
	yearEvents     = 1_000_000
	yearPlayers    = 100_000
	yearDays       = 365
)

// BenchmarkReportYear is a report over 365 days of one board's events, 1 million or
// REPORT_EVENTS, from rollups and straight from the events; what making the rollups
// takes and what room they need. 100,000 players come at random, so that a player's
// day is mostly a single event: the least that rollups can save.
func BenchmarkReportYear(b *testing.B) {
	events := yearEvents
	if text := os.Getenv(eventsVariable); text != "" {
		var err error
		events, err = strconv.Atoi(text)
		require.NoError(b, err, eventsVariable)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := stores.StartPostgres(ctx, stores.PostgresOptions{Durable: true, Settings: map[string]string{"shared_buffers": "1GB"}})
	require.NoError(b, err)
	b.Cleanup(server.Close)
	f := ledgertest.New(b, server, ledgertest.Boards(b, 1), postgres.Options{ReportTimeout: 5 * time.Minute})
	conn := f.Connect(b)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	first := today.AddDate(0, 0, -yearDays)
	insertYear(b, f, conn, first, events)

	started := time.Now()
	require.NoError(b, f.Ledger.Maintain(b.Context()))
	rollup := time.Since(started)
	_, err = conn.Exec(b.Context(), "VACUUM ANALYZE")
	require.NoError(b, err)
	b.Run("rollups", func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(rollup.Seconds(), "s/year")
		b.ReportMetric(rollup.Seconds()/yearDays*1000, "ms/day")
		b.ReportMetric(size(b, conn, "report_tops")/float64(events), "top-bytes/event")
		b.ReportMetric(size(b, conn, "report_counts")/float64(events), "count-bytes/event")
		b.ReportMetric(size(b, conn, "score_events")/float64(events), "event-bytes/event")
	})
	for _, zone := range []string{"UTC", "Asia/Kolkata"} {
		location, err := time.LoadLocation(zone)
		require.NoError(b, err)
		for _, name := range []string{"speed", leaderboard.GlobalBoard} {
			for _, limit := range []int{leaderboard.DefaultReportLimit, leaderboard.MaxReportLimit} {
				// The last of the 365 days is today.
				from := time.Date(first.Year(), first.Month(), first.Day()+1, 0, 0, 0, 0, location)
				benchmarkReport(b, f, conn, fmt.Sprintf("zone=%s/board=%s/limit=%d", zone, name, limit), f.Board(b, name), from, from.AddDate(0, 0, yearDays), limit)
			}
		}
	}
}

func benchmarkReport(b *testing.B, f *ledgertest.Fixture, conn *pgx.Conn, name string, board leaderboard.LiveBoard, from, to time.Time, limit int) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		got, err := f.Ledger.TopPlayers(b.Context(), board, from, to, limit) // warm
		require.NoError(b, err)
		b.ResetTimer()
		for range b.N {
			_, err := f.Ledger.TopPlayers(b.Context(), board, from, to, limit)
			require.NoError(b, err)
		}
		b.StopTimer()
		report := b.Elapsed() / time.Duration(b.N)
		started := time.Now()
		want, err := ledgertest.PlainTopPlayers(b.Context(), conn, board, from, to, limit)
		plain := time.Since(started)
		require.NoError(b, err)
		require.Equal(b, want, got)
		require.Len(b, got, limit)
		b.ReportMetric(report.Seconds()*1000, "report-ms")
		b.ReportMetric(plain.Seconds()*1000, "plain-ms")
		b.ReportMetric(plain.Seconds()/report.Seconds(), "plain/report")
	})
}

// insertYear stores events in the order of time up to now, in a partition a month.
func insertYear(b *testing.B, f *ledgertest.Fixture, conn *pgx.Conn, first time.Time, events int) {
	b.Helper()
	statements := []string{
		"SET synchronous_commit = off",
		fmt.Sprintf("INSERT INTO players (id, username, username_key, password_hash) SELECT gen_random_uuid(), 'p' || i, 'p' || i, '' FROM generate_series(1, %d) i", yearPlayers),
		fmt.Sprintf("UPDATE report_progress SET since = '%[1]s', days_until = '%[1]s', months_until = date_trunc('month', date '%[1]s' + interval '1 month')", first.Format(time.DateOnly)),
	}
	thisMonth := time.Now().UTC()
	for month := first.AddDate(0, 0, 1-first.Day()); month.Year() != thisMonth.Year() || month.Month() != thisMonth.Month(); month = month.AddDate(0, 1, 0) {
		name := "score_events_" + month.Format("200601")
		statements = append(statements,
			fmt.Sprintf("CREATE TABLE %s PARTITION OF score_events FOR VALUES FROM ('%s+00') TO ('%s+00')", name, month.Format(time.DateOnly), month.AddDate(0, 1, 0).Format(time.DateOnly)),
			"ALTER TABLE "+name+" OWNER TO "+pgx.Identifier{f.Owner}.Sanitize())
	}
	statements = append(statements,
		fmt.Sprintf(`INSERT INTO score_events (id, at, player, score, board, season, global_season, improved)
			SELECT i, timestamptz '%s+00' + (now() - timestamptz '%[1]s+00') * (i::float8 / %d), 1 + floor(random() * %d), floor(random() * 1e9), %d, 1, 1, true
			FROM generate_series(1, %[2]d) i`, first.Format(time.DateOnly), events, yearPlayers, f.Board(b, "speed").Number),
		"VACUUM ANALYZE")
	for _, sql := range statements {
		_, err := conn.Exec(b.Context(), sql)
		require.NoError(b, err, sql)
	}
}

// size is what a table takes with its partitions and indexes, in bytes.
func size(b *testing.B, conn *pgx.Conn, table string) (bytes float64) {
	b.Helper()
	require.NoError(b, conn.QueryRow(b.Context(), `SELECT pg_total_relation_size($1::text::regclass) +
		(SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits WHERE inhparent = $1::text::regclass)`, table).Scan(&bytes))
	return bytes
}

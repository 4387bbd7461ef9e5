package postgres_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// beforeFolds is the version of the schema that has the best of each day alone.
const beforeFolds = 10

// What was rolled up before there were folds is folded from its events. Until then, and
// whatever servers of the version before roll up, reports read the events.
func TestMigrationFoldsDaysThatWereRolledUp(t *testing.T) {
	const days, events = 50, 3000
	f := ledgertest.NewAt(t, server, beforeFolds, postgres.Options{})
	conn, players := f.Connect(t), f.Players(t, 20)
	var today time.Time
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT (now() AT TIME ZONE 'UTC')::date").Scan(&today))
	first := today.AddDate(0, 0, -days)
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql, args...)
		require.NoError(t, err, sql)
	}

	boards := []leaderboard.LiveBoard{f.Board(t, "mood"), f.Board(t, "coins"), f.Board(t, "golf"), f.Board(t, "speed"), f.Catalog.Global()}
	_, err := conn.CopyFrom(t.Context(), pgx.Identifier{"score_events"}, []string{"id", "at", "player", "score", "board", "global_season", "xid"},
		pgx.CopyFromSlice(events, func(i int) ([]any, error) {
			at := first.Add(time.Duration(i) * days * 24 * time.Hour / events)
			return []any{int64(i + 1), at, players[rand.IntN(len(players))].Number, rand.Int64N(5) - 2, boards[rand.IntN(4)].Number, 1, nil}, nil
		}))
	require.NoError(t, err)
	rolledUp := func() {
		t.Helper()
		exec("UPDATE report_progress SET since = $1, days_until = $2, months_until = date_trunc('month', $2::date::timestamp)", first, today)
		exec("UPDATE report_recent_progress SET since = $1, hours_until = $2, quarters_until = $2", today.AddDate(0, 0, -2), today)
	}

	rolledUp()
	f.Migrate(t)
	requirePlain := func(boards ...leaderboard.LiveBoard) {
		t.Helper()
		for _, board := range boards {
			for range 5 {
				from := first.AddDate(0, 0, rand.IntN(days)).Add(time.Duration(rand.IntN(96)) * 15 * time.Minute)
				to := from.AddDate(0, 0, rand.IntN(days))
				want, err := ledgertest.PlainTopPlayers(t.Context(), conn, board, from, to, 10)
				require.NoError(t, err)
				got, err := f.Ledger.TopPlayers(t.Context(), board, from, to, 10)
				require.NoError(t, err)
				require.Equal(t, want, got, "board %s from %s to %s", board.Name, from, to)
			}
		}
	}
	requirePlain(boards[:3]...) // the other rollups were only said to be there

	exec("UPDATE report_progress SET days_until = since, months_until = date_trunc('month', since + interval '1 month')")
	require.NoError(t, f.Ledger.Maintain(t.Context()))
	require.NoError(t, f.Ledger.RollUpRecent(t.Context()))
	requirePlain(boards...)

	var rows, daysLeft int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM report_folds), (SELECT $1::date - days_until FROM report_fold_progress)", today).Scan(&rows, &daysLeft))
	require.Positive(t, rows)
	require.LessOrEqual(t, daysLeft, 1, "yesterday is closed some minutes after midnight")
}

// Games whose boards are all of Best have nothing to fold.
func TestMigrationOfAGameWithBestBoards(t *testing.T) {
	f := ledgertest.NewAt(t, server, beforeFolds, postgres.Options{})
	conn := f.Connect(t)
	_, err := conn.Exec(t.Context(), `DELETE FROM seasons WHERE board IN (SELECT number FROM boards WHERE scoring <> 'Best'); DELETE FROM boards WHERE scoring <> 'Best';
		UPDATE report_progress SET since = '2025-01-15', days_until = '2026-03-02', months_until = '2026-03-01'`)
	require.NoError(t, err)
	f.Migrate(t)

	var days, quarters bool
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT t = f, rt = rf
		FROM report_progress t, report_fold_progress f, report_recent_progress rt, report_recent_fold_progress rf`).Scan(&days, &quarters))
	require.True(t, days)
	require.True(t, quarters)
}

// Two transactions of a player may be over in the other order than they began. What rollups
// cannot tell then is read from the events.
func TestReportsOfEventsThatOvertook(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn, players, board := f.Connect(t), f.Players(t, 2), f.Board(t, "mood")
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3)
	for _, e := range []struct {
		id            int
		at            time.Time
		player, score int64
	}{
		// The first player has 7 last, since event 6: 3 came between 2 and 6, from the next day.
		{2, day.Add(time.Hour), players[0].Number, 7},
		{3, day.Add(25 * time.Hour), players[0].Number, 8},
		{6, day.Add(23 * time.Hour), players[0].Number, 7},
		// The other one since event 4.
		{4, day.Add(time.Hour), players[1].Number, 7},
	} {
		_, err := conn.Exec(t.Context(), "INSERT INTO score_events (id, at, player, score, board) VALUES ($1, $2, $3, $4, $5)", e.id, e.at, e.player, e.score, board.Number)
		require.NoError(t, err)
	}
	_, err := conn.Exec(t.Context(), "UPDATE report_fold_progress SET since = $1, days_until = $1, months_until = date_trunc('month', $1::date + interval '1 month')", day)
	require.NoError(t, err)

	for range 2 { // from events, and with rollups
		rows, err := f.Ledger.TopPlayers(t.Context(), board, day, day.AddDate(0, 0, 2), 10)
		require.NoError(t, err)
		require.Len(t, rows, 2)
		require.Equal(t, []leaderboard.PlayerID{players[1].ID, players[0].ID}, []leaderboard.PlayerID{rows[0].Player, rows[1].Player})
		require.Equal(t, int64(7), rows[1].Score)
		require.NoError(t, f.Ledger.Maintain(t.Context()))
	}

	// Of the first day alone they do tell: 7 since event 2.
	rows, err := f.Ledger.TopPlayers(t.Context(), board, day, day.AddDate(0, 0, 1), 10)
	require.NoError(t, err)
	require.Equal(t, players[0].ID, rows[0].Player)
}

// A sum of some days that no score can be is refused, with what it is, and only where it
// would be listed.
func TestReportsOfGreatSums(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn, players, board := f.Connect(t), f.Players(t, 2), f.Board(t, "coins")
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -5)
	const most = leaderboard.MaxScore
	for i, e := range []struct {
		days   int
		player int
		score  int64
	}{{0, 0, most}, {1, 0, -most}, {2, 0, -most}, {0, 1, -most}, {1, 1, 5}} {
		_, err := conn.Exec(t.Context(), "INSERT INTO score_events (id, at, player, score, board) VALUES ($1, $2, $3, $4, $5)",
			i+1, day.AddDate(0, 0, e.days), players[e.player].Number, e.score, board.Number)
		require.NoError(t, err)
	}
	_, err := conn.Exec(t.Context(), "UPDATE report_fold_progress SET since = $1, days_until = $1, months_until = date_trunc('month', $1::date + interval '1 month')", day)
	require.NoError(t, err)

	for range 2 { // from events, and with rollups
		_, err = f.Ledger.TopPlayers(t.Context(), board, day.AddDate(0, 0, 1), day.AddDate(0, 0, 3), 2)
		require.Equal(t, leaderboard.CodeOutOfRange, leaderboard.CodeOf(err))
		require.ErrorContains(t, err, "-18014398509481982")
		rows, err := f.Ledger.TopPlayers(t.Context(), board, day.AddDate(0, 0, 1), day.AddDate(0, 0, 3), 1)
		require.NoError(t, err)
		require.Equal(t, int64(5), rows[0].Score)
		rows, err = f.Ledger.TopPlayers(t.Context(), board, day, day.AddDate(0, 0, 3), 2)
		require.NoError(t, err)
		require.Equal(t, []int64{-most, 5 - most}, []int64{rows[1].Score, rows[0].Score})
		require.NoError(t, f.Ledger.Maintain(t.Context()))
	}
}

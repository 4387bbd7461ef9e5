package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

func newSegmented(tb testing.TB) *ledgertest.Fixture {
	tb.Helper()
	return ledgertest.New(tb, server, ledgertest.SegmentedBoards(tb, 1), postgres.Options{})
}

// The number of a segment's ranking is the same in PostgreSQL and here.
func TestSegmentSeasonIsThatOfTheDomain(t *testing.T) {
	conn := newFixture(t, postgres.Options{}).Connect(t)
	for _, season := range []int32{1, 2, 70_000, leaderboard.RefoldSeason(1), leaderboard.RefoldSeason(9)} {
		for _, value := range []int32{1, 5, leaderboard.MaxAttributeValues, 1023} {
			var number int32
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT segment_season($1, $2)", season, value).Scan(&number))
			require.Equal(t, leaderboard.SegmentSeason(season, value), number)
		}
	}
}

// Players at once choose values that nobody had: each gets one number, and there are not more
// than there may be.
func TestValuesGetNumbersOnce(t *testing.T) {
	f := newSegmented(t)
	players := f.Players(t, 16)
	var group sync.WaitGroup
	for i, p := range players {
		group.Go(func() {
			values := map[string]string{"country": []string{"DE", "FR", "JP"}[i%3], "platform": fmt.Sprint("console-", i%5)}
			if err := f.Ledger.SetAttributes(t.Context(), p.ID, 1, values); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()

	conn := f.Connect(t)
	var numbers, highest int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*), max(number) FROM attribute_values").Scan(&numbers, &highest))
	require.Equal(t, []int{8, 8}, []int{numbers, highest})

	_, err := conn.Exec(t.Context(), "INSERT INTO attribute_values (number, attribute, value) SELECT n, 'platform', 'x' || n FROM generate_series(9, 999) n")
	require.NoError(t, err)
	err = f.Ledger.SetAttributes(t.Context(), players[0].ID, 1, map[string]string{"country": "XX", "platform": "yy"})
	require.Equal(t, leaderboard.CodeTooManyValues, leaderboard.CodeOf(err))
	values, err := f.Ledger.Attributes(t.Context(), players[0].ID)
	require.NoError(t, err)
	require.Equal(t, "DE", values[0].Value, "nothing of it was done")
	require.NoError(t, f.Ledger.SetAttributes(t.Context(), players[0].ID, 1, map[string]string{"country": "XX"}), "the last one")
}

func TestWhoMaySetAttributes(t *testing.T) {
	f := newSegmented(t)
	p := f.Players(t, 1)[0]
	set := func(version int32) error {
		return f.Ledger.SetAttributes(t.Context(), p.ID, version, map[string]string{"country": "DE"})
	}
	require.Equal(t, leaderboard.CodeUnauthenticated, leaderboard.CodeOf(set(2)), "a token that was withdrawn")
	_, err := f.Connect(t).Exec(t.Context(), "UPDATE players SET state = 'disabled'")
	require.NoError(t, err)
	require.Equal(t, leaderboard.CodeForbidden, leaderboard.CodeOf(set(1)))
}

// What of an event counts in which segments is stored with it, of the board's own and, below
// 0, of global's.
func TestEventsSayInWhichSegmentsTheyCount(t *testing.T) {
	f := newSegmented(t)
	players := f.Players(t, 2)
	require.NoError(t, f.Ledger.SetAttributes(t.Context(), players[0].ID, 1, map[string]string{"country": "DE", "platform": "pc"}))
	_, err := f.Ledger.LoadCatalog(t.Context())
	require.NoError(t, err)
	de, _, err := f.Ledger.ValueNumber(t.Context(), "country", "DE")
	require.NoError(t, err)
	pc, _, err := f.Ledger.ValueNumber(t.Context(), "platform", "pc")
	require.NoError(t, err)

	want := map[string]leaderboard.Segments{"speed": {-de, de}, "race": {pc}, "coins": {-de, de, pc}, "mood": {-de, pc, de}, "global": {de}, "golf": nil}
	for board, segments := range want {
		var got leaderboard.Segments
		event := store(t, f.Ledger, ledgertest.Submission(players[0], board, 5)).Outcomes[0].Event
		require.NoError(t, f.Connect(t).QueryRow(t.Context(), "SELECT segments FROM score_events WHERE id = $1", event).Scan(&got))
		require.Equal(t, segments, got, board)
		require.Empty(t, store(t, f.Ledger, ledgertest.Submission(players[1], board, 5)).Outcomes[0].Segments, "who has none")
	}
	requireSound(t, f.Ledger)
}

// While a server of the version before might lead, nothing counts in segments.
func TestSegmentsWaitForServersOfTheVersionBefore(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	conn := f.Connect(t)
	_, err := conn.Exec(t.Context(), "UPDATE schema_migrations SET applied_at = now() - interval '1 day' WHERE version < 16")
	require.NoError(t, err)
	_, err = f.Ledger.SyncBoards(t.Context(), ledgertest.SegmentedBoards(t, 1))
	require.NoError(t, err)
	p := f.Players(t, 1)[0]
	require.NoError(t, f.Ledger.SetAttributes(t.Context(), p.ID, 1, map[string]string{"country": "DE"}))
	require.Empty(t, store(t, f.Ledger, ledgertest.Submission(p, "speed", 5)).Outcomes[0].Segments)

	_, err = conn.Exec(t.Context(), "UPDATE board_segments SET counts_from = now()")
	require.NoError(t, err)
	require.Len(t, store(t, f.Ledger, ledgertest.Submission(p, "speed", 5)).Outcomes[0].Segments, 2)
}

// A board that has or had segments keeps its fold.
func TestABoardWithSegmentsIsNotRefolded(t *testing.T) {
	f := newSegmented(t)
	board := f.Board(t, "debut")
	board.Refold = &leaderboard.Refold{Fold: leaderboard.Fold{Order: leaderboard.Descending, Scoring: leaderboard.Best}}
	_, err := f.Connect(t).Exec(t.Context(), "INSERT INTO refolds (board, board_order, scoring) VALUES ($1, 'Descending', 'Best')", board.Number)
	require.NoError(t, err)
	_, err = f.Ledger.PrepareRefold(t.Context(), board)
	var refused *leaderboard.RefoldRefusedError
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Reason, "has segments")
}

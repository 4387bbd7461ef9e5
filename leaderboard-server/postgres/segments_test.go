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

// What counted in a segment is in the segment of the new fold, also where the board is no longer
// split by it: brought back, it goes on with that.
func TestSegmentsAreRefoldedWithTheirBoard(t *testing.T) {
	f, arena := refoldFixture(t, postgres.Options{})
	player := f.Players(t, 1)[0]
	move := func(country string) {
		require.NoError(t, f.Ledger.SetAttributes(t.Context(), player.ID, 1, map[string]string{"country": country}))
	}
	submit := func(score int64) leaderboard.Outcome {
		o := store(t, f.Ledger, ledgertest.Submission(player, "arena", score)).Outcomes[0]
		require.NoError(t, o.Err)
		return o
	}
	reconfigure := func(segments []string, scoring leaderboard.Scoring) leaderboard.LiveBoard {
		arena.Segments, arena.Scoring = segments, scoring
		return configure(t, f.Ledger, arena)
	}
	const germany, france = 1, 2
	score := func(board leaderboard.LiveBoard, value int32) int64 {
		return standingsOf(t, f.Ledger, board, value)[player.Number].Score
	}

	reconfigure([]string{"country"}, leaderboard.Best)
	move("DE")
	submit(5)
	submit(3)
	move("FR")
	submit(2)

	board := reconfigure([]string{}, leaderboard.Sum)
	submit(100) // counts in no segment
	work, err := f.Ledger.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	work, err = f.Ledger.FoldRefold(t.Context(), work, func(int64) {})
	require.NoError(t, err)
	require.Equal(t, []int64{8, 2}, []int64{score(work.Board, germany), score(work.Board, france)})
	require.Equal(t, int64(110), standingsOf(t, f.Ledger, work.Board)[player.Number].Score)
	requireSound(t, f.Ledger)

	board = reconfigure([]string{"country"}, leaderboard.Sum)
	submit(4)
	move("DE")
	submit(1)
	work, changed, _, err := f.Ledger.AdvanceRefold(t.Context(), work)
	require.NoError(t, err)
	require.Len(t, changed, 3, "the board, and both countries")
	require.Equal(t, []int64{9, 6}, []int64{score(work.Board, germany), score(work.Board, france)})
	_, _, err = f.Ledger.SwitchRefold(t.Context(), work, join)
	require.ErrorIs(t, err, leaderboard.ErrRefoldMoved, "rankings are made again since a segment was brought back")

	work, err = f.Ledger.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	finishRefold(t, f.Ledger, work)
	requireSound(t, f.Ledger)
	o := submit(7)
	require.Equal(t, int64(122), o.Standing.Score)
	require.Len(t, o.Windows, 1)
	require.Equal(t, leaderboard.SegmentSeason(work.Board.Season, germany), o.Windows[0].Season)
	require.Equal(t, int64(16), o.Windows[0].Score)

	// And back: nothing is left of the sums.
	old := reconfigure([]string{"country"}, leaderboard.Best)
	work, err = f.Ledger.PrepareRefold(t.Context(), old)
	require.NoError(t, err)
	finishRefold(t, f.Ledger, work)
	requireSound(t, f.Ledger)
	board = reconfigure([]string{"country"}, leaderboard.Best)
	require.Equal(t, []int64{7, 4}, []int64{score(board, germany), score(board, france)})
	requireSwept(t, f, board, 3)
}

// The season that a segment's ranking is of is the same in PostgreSQL and here.
func TestWholeSeasonIsThatOfTheDomain(t *testing.T) {
	conn := newFixture(t, postgres.Options{}).Connect(t)
	for _, season := range []int32{1, 2, 70_000, leaderboard.RefoldSeason(1), leaderboard.RefoldSeason(9)} {
		for _, number := range []int32{season, leaderboard.SegmentSeason(season, 1), leaderboard.SegmentSeason(season, leaderboard.MaxAttributeValues)} {
			var whole int32
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT whole_season($1)", number).Scan(&whole))
			require.Equal(t, season, whole)
		}
	}
}

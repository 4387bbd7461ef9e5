package conformance

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis"
)

// RequireEqual waits until every ranking that is served is equal to the model: its pages,
// its count and each player's rank. The results of closed seasons are compared, too.
func (t *Tenant) RequireEqual(tb testing.TB, ranking *redis.Ranking, model *Model, players []leaderboard.PlayerName) {
	tb.Helper()
	times := t.times(tb)
	catalog, err := t.Ledger.LoadCatalog(tb.Context())
	require.NoError(tb, err)

	for _, board := range catalog.All() {
		always := func() bool { return true }
		if !board.WindowsOnly {
			t.requireRanking(tb, ranking, board, model.Entries(board), players, always)
			t.requireSegments(tb, ranking, catalog, board, model, players, always)
		}
		for _, w := range board.Windows {
			seasons, err := t.Ledger.Results().Seasons(tb.Context(), board, w.Name, 0, leaderboard.MaxSeasonsListed)
			require.NoError(tb, err)
			for _, s := range seasons {
				board := t.foldedThen(tb, board, s, model, times)
				of, in := model.In(board, s, times), board.In(s.Number)
				want := of.Entries(in)
				open := func() bool { return s.OpenAt(catalog.Now()) }
				id := leaderboard.ShardID{Board: board.Number, Season: s.Number}
				if s.Closed() && (!t.compared[id] || model.moderation.moderated) {
					t.compared[id] = true // they never change, unless somebody in them is moderated
					require.Equal(tb, int64(len(want)), s.Entries, "season %d of window %s of board %s", s.Ordinal, w.Name, board.Name)
					t.requireRanking(tb, t.Ledger.Results(), in, want, players, always)
					requireResultsWalk(tb, t.Ledger.Results(), in, want)
					t.requireSegments(tb, t.Ledger.Results(), catalog, in, of, players, always)
				} else if !s.Closed() && open() {
					t.requireRanking(tb, ranking, in, want, players, open)
					t.requireSegments(tb, ranking, catalog, in, of, players, open)
				}
			}
		}
	}
}

// requireSegments is requireRanking of one of the segments of the board's season; of the others
// the entries are compared.
func (t *Tenant) requireSegments(tb testing.TB, ranking leaderboard.Ranking, catalog *leaderboard.Catalog, board leaderboard.LiveBoard, model *Model,
	players []leaderboard.PlayerName, served func() bool) {
	tb.Helper()
	values := catalog.Served(board)
	for i, value := range values {
		segment := board.InSegment(value)
		want := model.Entries(segment)
		if i == t.turns%len(values) {
			t.requireRanking(tb, ranking, segment, want, players, served)
		} else {
			requireEntries(tb, ranking, segment, want, served)
		}
	}
	t.turns++
}

// requireMetadata requires that every event has the metadata that came with it, and so every
// entry, as it names its event.
func (t *Tenant) requireMetadata(tb testing.TB, model *Model) {
	tb.Helper()
	events := make([]int64, len(model.events))
	for i, e := range model.events {
		events[i] = e.number
	}
	found, err := t.Ledger.Metadata(tb.Context(), events)
	require.NoError(tb, err)
	require.Equal(tb, model.metadata, found)
}

// foldedThen is the board with the rules that it had when a season was closed: of those that it
// had before, the ones whose results there are.
func (t *Tenant) foldedThen(tb testing.TB, board leaderboard.LiveBoard, s leaderboard.Season, model *Model, times map[int64]time.Time) leaderboard.LiveBoard {
	tb.Helper()
	if s.Order == "" {
		return board
	}

	closed := board.InClosed(s)
	got, _, err := t.Ledger.Results().Page(tb.Context(), closed, 0, s.Entries+1)
	require.NoError(tb, err)
	then := board
	for _, old := range t.oldRules[board.Name] {
		then.Board = board.WithRules(leaderboard.Rules{Order: s.Order, Scoring: old.Scoring, Columns: closed.Columns})
		if old.Order == s.Order && slices.Equal(got, model.In(then, s, times).Entries(then.In(s.Number))) {
			break
		}
	}
	return then
}

// times are when the events came, by their numbers.
func (t *Tenant) times(tb testing.TB) map[int64]time.Time {
	tb.Helper()
	rows, err := t.Connect(tb).Query(tb.Context(), "SELECT id, at FROM score_events")
	require.NoError(tb, err)

	times := make(map[int64]time.Time)
	var id int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		times[id] = at
		return nil
	})
	require.NoError(tb, err)
	return times
}

// requireRanking waits until the season of the board that is meant has these entries, in
// every way to ask for them. Once it is not served any more nothing is required of it.
func (t *Tenant) requireRanking(tb testing.TB, ranking leaderboard.Ranking, board leaderboard.LiveBoard, want []leaderboard.RankingEntry,
	players []leaderboard.PlayerName, served func() bool) {
	tb.Helper()
	requireEntries(tb, ranking, board, want, served)
	if !served() {
		return
	}

	t.requirePages(tb, ranking, board, want)
	requireQueries(tb, ranking, board, want, players)
	ranks := make(map[int64]leaderboard.RankingEntry, len(want))
	for _, e := range want {
		ranks[e.Player] = e
	}

	each := 1 // the list has asked for all of them already
	if board.Season != 1 {
		each = 10
	}
	for i := 0; i < len(players); i += each {
		p := players[i]
		entry, err := ranking.Rank(tb.Context(), board, p.Number)
		if e, ok := ranks[p.Number]; ok {
			require.NoError(tb, err)
			require.Equal(tb, own(want, e, board.Ranks), entry)
		} else {
			require.Equal(tb, leaderboard.CodeNoEntry, leaderboard.CodeOf(err), "%v", err)
		}
	}
}

// requireEntries waits until the season of the board that is meant has these entries. Once it
// is not served any more nothing is required of it.
func requireEntries(tb testing.TB, ranking leaderboard.Ranking, board leaderboard.LiveBoard, want []leaderboard.RankingEntry, served func() bool) {
	tb.Helper()
	require.EventuallyWithT(tb, func(c *assert.CollectT) {
		got, total, err := ranking.Page(context.Background(), board, 0, int64(len(want)+10))
		if err != nil && !served() {
			return
		}
		require.NoError(c, err)
		require.Equal(c, int64(len(want)), total, board.Name)
		require.ElementsMatch(c, want, got, board.Name)
	}, time.Minute, 10*time.Millisecond)
}

// requirePages walks the board in small pages and past its end.
func (t *Tenant) requirePages(tb testing.TB, ranking leaderboard.Ranking, board leaderboard.LiveBoard, want []leaderboard.RankingEntry) {
	tb.Helper()
	const size = 7
	for offset := 0; offset <= len(want)+size; offset += size {
		got, total, err := ranking.Page(tb.Context(), board, int64(offset), size)
		require.NoError(tb, err)
		require.Equal(tb, int64(len(want)), total)
		part := want[min(offset, len(want)):min(offset+size, len(want))]
		require.Len(tb, got, len(part), "board %s at %d", board.Name, offset)

		for i := range part {
			require.Equal(tb, part[i], got[i], "board %s at %d", board.Name, offset)
		}
	}
}

// requireResultsWalk walks through the results of a closed season, to their end and back in
// parts of other sizes.
func requireResultsWalk(tb testing.TB, results leaderboard.Ranking, board leaderboard.LiveBoard, want []leaderboard.RankingEntry) {
	tb.Helper()
	walk, err := results.BeginWalk(tb.Context(), board)
	require.NoError(tb, err)

	var got []leaderboard.RankingEntry
	var back *leaderboard.Walk
	for next := &walk; next != nil; {
		part, err := results.Walk(tb.Context(), board, *next, 7)
		require.NoError(tb, err)
		got, back, next = append(got, part.Entries...), part.Previous, part.Next
	}
	require.ElementsMatch(tb, want, got)

	if back == nil {
		return
	}
	got = got[:back.Passed]
	for size := int64(1); back != nil; size++ {
		part, err := results.Walk(tb.Context(), board, *back, size)
		require.NoError(tb, err)
		require.Equal(tb, got[int64(len(got))-min(size, int64(len(got))):], part.Entries)
		require.Equal(tb, back.Passed, part.Next.Passed)
		got, back = got[:len(got)-len(part.Entries)], part.Previous
	}
	require.Empty(tb, got)
}

// requireReports checks that a report of all days is the board: both fold every event.
func (t *Tenant) requireReports(tb testing.TB, model *Model, players []leaderboard.PlayerName) {
	tb.Helper()
	byID := make(map[leaderboard.PlayerID]int64, len(players))
	for _, p := range players {
		byID[p.ID] = p.Number
	}

	for _, board := range t.Catalog.All() {
		if len(board.Columns) > 0 {
			continue // reports go by the score alone
		}
		var want []leaderboard.RankingEntry
		for _, e := range model.Entries(board) {
			want = append(want, leaderboard.RankingEntry{Rank: e.Place, Player: e.Player, Score: e.Score, Origin: e.Origin})
		}
		rows, err := t.Ledger.TopPlayers(tb.Context(), board, time.Unix(0, 0), time.Now().Add(time.Hour), len(want)+1)
		require.NoError(tb, err)

		var got []leaderboard.RankingEntry
		for _, row := range rows {
			origin, err := t.Catalog.Lookup(row.Board)
			require.NoError(tb, err)
			got = append(got, leaderboard.RankingEntry{Rank: row.Rank, Player: byID[row.Player], Score: row.Score, Origin: origin.Number})
		}
		require.Equal(tb, want, got, "the report of board %s", board.Name)
	}
}

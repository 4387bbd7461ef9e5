package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// requireQueries asks for parts of a board in every way, and compares with all of it.
func requireQueries(tb testing.TB, ranking leaderboard.Ranking, board leaderboard.LiveBoard, want []leaderboard.RankingEntry, players []leaderboard.PlayerName) {
	tb.Helper()
	ranks := make(map[int64]leaderboard.RankingEntry, len(want))
	for _, e := range want {
		ranks[e.Player] = e
	}

	queries := make([]leaderboard.EntryQuery, len(players))
	for i, p := range players {
		queries[i] = leaderboard.EntryQuery{Board: board, Player: p.Number}
	}
	listed, err := ranking.Ranks(tb.Context(), queries)
	require.NoError(tb, err)
	for i, p := range players {
		require.Equal(tb, ranks[p.Number], listed[i], "board %s", board.Name)
	}

	const before, after, stride = 3, 4, 17
	for i := 0; i < len(players); i += stride {
		got, err := ranking.AroundPlayer(tb.Context(), board, players[i].Number, before, after)
		e, ok := ranks[players[i].Number]
		if !ok {
			require.Equal(tb, leaderboard.CodeNoEntry, leaderboard.CodeOf(err), "%v", err)
			continue
		}
		require.NoError(tb, err)
		require.Equal(tb, neighbours(want, e.Rank, before, after+1), got, "board %s", board.Name)
	}

	for _, score := range []int64{-leaderboard.MaxScore, -11, -10, -3, 0, 7, 10, 11, leaderboard.MaxScore} {
		better, atLeast := count(want, func(e leaderboard.RankingEntry) bool { return board.Order.Better(e.Score, score) }),
			count(want, func(e leaderboard.RankingEntry) bool { return !board.Order.Better(score, e.Score) })
		counts, err := ranking.CountBetter(tb.Context(), board, []leaderboard.ScoreBound{{Score: score}, {Score: score, Included: true}})
		require.NoError(tb, err)
		require.Equal(tb, []int64{better, atLeast}, counts, "board %s, score %d", board.Name, score)

		got, err := ranking.AroundScore(tb.Context(), board, score, before, after)
		require.NoError(tb, err)
		require.Equal(tb, neighbours(want, atLeast+1, before, after), got, "board %s, score %d", board.Name, score)
	}
}

// neighbours are the entries before a rank and those from it on.
func neighbours(all []leaderboard.RankingEntry, rank, before, from int64) leaderboard.Neighbours {
	total := int64(len(all))
	part := all[max(rank-1-before, 0):min(rank-1+from, total)]
	return leaderboard.Neighbours{Total: total, Rank: rank, Entries: append([]leaderboard.RankingEntry{}, part...)}
}

func count(entries []leaderboard.RankingEntry, counts func(leaderboard.RankingEntry) bool) (n int64) {
	for _, e := range entries {
		if counts(e) {
			n++
		}
	}
	return n
}

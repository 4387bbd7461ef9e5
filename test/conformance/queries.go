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
		if e, ok := ranks[p.Number]; ok {
			require.Equal(tb, own(want, e, board.Ranks), listed[i], "board %s", board.Name)
		} else {
			require.Zero(tb, listed[i], "board %s", board.Name)
		}
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
		around := neighbours(want, e.Place, before, after+1)
		around.Rank = e.Rank
		require.Equal(tb, around, got, "board %s", board.Name)
	}

	for _, score := range []int64{-leaderboard.MaxScore, -11, -10, -3, 0, 7, 10, 11, leaderboard.MaxScore} {
		better, atLeast := count(want, func(e leaderboard.RankingEntry) bool { return board.Order.Better(e.Score, score) }),
			count(want, func(e leaderboard.RankingEntry) bool { return !board.Order.Better(score, e.Score) })
		counts, err := ranking.CountBetter(tb.Context(), board, []leaderboard.ScoreBound{{Score: score}, {Score: score, Included: true}})
		require.NoError(tb, err)
		require.Equal(tb, []int64{better, atLeast}, counts, "board %s, score %d", board.Name, score)

		got, err := ranking.AroundScore(tb.Context(), board, score, before, after)
		require.NoError(tb, err)
		around := neighbours(want, atLeast+1, before, after)
		around.Rank = rankOfNew(board, want, better, atLeast)
		if len(got.Entries) == 0 { // nil or not
			got.Entries = []leaderboard.RankingEntry{}
		}
		require.Equal(tb, around, got, "board %s, score %d", board.Name, score)
	}
}

// own is an entry with where it stands among all.
func own(all []leaderboard.RankingEntry, e leaderboard.RankingEntry, ranks leaderboard.Ranks) leaderboard.OwnEntry {
	better := e.Place - 1
	if ranks != leaderboard.Ordinal {
		better = count(all, func(other leaderboard.RankingEntry) bool { return other.Rank < e.Rank })
	}
	return leaderboard.OwnEntry{RankingEntry: e, Better: better, Total: int64(len(all))}
}

// rankOfNew is the rank of a new entry after so many that have a better score, or as good a
// one: the last of those by its columns, too.
func rankOfNew(board leaderboard.LiveBoard, all []leaderboard.RankingEntry, better, atLeast int64) int64 {
	shares := len(board.Columns) == 0 && atLeast > better
	switch {
	case board.Ranks == leaderboard.Competition && shares:
		return better + 1
	case board.Ranks == leaderboard.Dense && shares:
		return all[atLeast-1].Rank
	case board.Ranks == leaderboard.Dense && atLeast > 0:
		return all[atLeast-1].Rank + 1
	default:
		return atLeast + 1
	}
}

// neighbours are the entries before a place and those from it on.
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

package redis

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// What is stored as an entry is refused, or decoded to one that is encoded the same.
func FuzzDecodeEntry(f *testing.F) {
	board := testBoard(1)
	board.Columns = []leaderboard.Column{{Order: leaderboard.Ascending}, {Order: leaderboard.Descending}}
	plain, tuple := shardsOf(testBoard(1))[0], shardsOf(board)[0]
	e := plain.encode(new(entry(1<<39, -5, 1<<47, 300)))
	f.Add(string(e.member), e.score)
	e = tuple.encode(new(entry(1<<39, -5, 1<<47, 300).With(leaderboard.Columns{-1 << 40, 70})))
	f.Add(string(e.member), e.score)
	f.Add("short", "1")
	f.Add("elevenbytes\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "1e+15")
	f.Fuzz(func(t *testing.T, member, score string) {
		for _, s := range []shard{plain, tuple} {
			p, err := s.decode(member, score)
			if err != nil || p.Origin < 0 {
				continue
			}
			standing := entry(p.Player, p.Score, p.Event, p.Origin).With(p.Columns)
			again, err := s.decode(string(s.encode(&standing).member), score)
			require.NoError(t, err)
			require.Equal(t, p.RankingEntry, again.RankingEntry)
		}
	})
}

// What is stored as applied transactions is refused, or all of them.
func FuzzDecodeTransactions(f *testing.F) {
	f.Add(encodeTransaction(1) + encodeTransaction(1<<63))
	f.Add("0")
	f.Add("-000000000000001")
	f.Fuzz(func(t *testing.T, text string) {
		xids, err := decodeTransactions(text)
		if err == nil {
			require.Len(t, xids, len(text)/transactionDigits)
		}
	})
}

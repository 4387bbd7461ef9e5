package redis

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is stored as an entry is refused, or decoded to one that is encoded the same.
func FuzzDecodeEntry(f *testing.F) {
	s := shardsOf(testBoard(1))[0]
	e := s.encode(new(entry(1<<39, -5, 1<<47, 300)))
	f.Add(string(e.member), e.score)
	f.Add("short", "1")
	f.Add("elevenbytes\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "1e+15")
	f.Fuzz(func(t *testing.T, member, score string) {
		p, err := s.decode(member, score)
		if err != nil || p.Origin < 0 {
			return
		}
		again, err := s.decode(string(s.encode(new(entry(p.Player, p.Score, p.tie, p.Origin))).member), score)
		require.NoError(t, err)
		require.Equal(t, p, again)
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

package httpapi

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func TestCursorsCarryEverything(t *testing.T) {
	tokens, err := auth.NewTokens("game", time.Hour, time.Now)
	require.NoError(t, err)
	keys, err := keyset.New(time.Now())
	require.NoError(t, err)
	tokens.SetKeys(keys)
	api := &API{Options: Options{Tokens: tokens}}
	now := time.Now().Truncate(time.Millisecond)

	const most = leaderboard.MaxScore
	for i, order := range []int64{-most - 1, -1, 0, most, most, most, most, most} {
		walk := &leaderboard.Walk{Board: 1<<31 - 1, Season: 1<<31 - 1, Snapshot: "ABCDEFGHIJKLM", Stamp: 1<<64 - 1,
			AsOf: now, Expires: now.Add(time.Minute), Passed: 1 << 40,
			WalkPlace: leaderboard.WalkPlace{Order: order, Key: strings.Repeat("\xff", tieBytes), Before: i == 5 || i == 7}, Back: i > 5}
		if i == 4 || i == 7 { // of a board with columns, and ranks that entries share
			walk.Key = strings.Repeat("\xff", 4*8+tieBytes)
			walk.Rank, walk.Score, walk.Columns = 1<<40, -most, leaderboard.Columns{most, -most, most, -most}
		}
		if i == 7 { // back among entries that share a rank
			walk.Tied, walk.TiedFrom = 1<<40, leaderboard.WalkPlace{Order: -most, Key: walk.Key, Before: true}
		}
		cursor, err := api.sealCursor(walk)
		require.NoError(t, err)
		require.LessOrEqual(t, len(cursor), maxCursor)
		read, err := api.openCursor(cursor)
		require.NoError(t, err)
		require.Equal(t, walk, read)

		content, err := tokens.Open(cursorPurpose, cursor)
		require.NoError(t, err)
		for n := range content { // as a server of another version may have written
			short, err := tokens.Seal(cursorPurpose, content[:n])
			require.NoError(t, err)
			_, err = api.openCursor(short)
			require.Equal(t, leaderboard.CodeInvalid, leaderboard.CodeOf(err), "%d bytes", n)
		}

		long, err := tokens.Seal(cursorPurpose, append(content, 0))
		require.NoError(t, err)
		_, err = api.openCursor(long)
		require.Equal(t, leaderboard.CodeInvalid, leaderboard.CodeOf(err))
	}
}

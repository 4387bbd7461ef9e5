package httpapi

import (
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

	for _, order := range []int64{-leaderboard.MaxScore - 1, -1, 0, leaderboard.MaxScore} {
		walk := &leaderboard.Walk{Board: 1<<31 - 1, Season: 1<<31 - 1, Snapshot: "ABCDEFGHIJKLM", Stamp: 1<<64 - 1,
			AsOf: now, Expires: now.Add(time.Minute), Order: order, Tie: 1<<48 - 1, Passed: 1 << 40}
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

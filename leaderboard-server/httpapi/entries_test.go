package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// walk reads one part of a board.
func (g *game) walk(board, cursor string, size int) (part httpapi.BoardEntries) {
	path := fmt.Sprintf("/v1/boards/%s/entries?page_size=%d", board, size)
	if cursor != "" {
		path += "&cursor=" + cursor
	}
	g.do(request{method: "GET", path: path}).into(200, &part)
	return part
}

// endSnapshots ends the game's walks, as a Redis does that lost data.
func (g *game) endSnapshots() {
	client := redisServer.Client()
	defer client.Close()
	keys, err := client.Keys(g.t.Context(), "lb:"+g.tenant+":{*}:2s:*").Result()
	require.NoError(g.t, err)
	require.NotEmpty(g.t, keys)
	require.NoError(g.t, client.Del(g.t.Context(), keys...).Err())
}

// fleet makes players 0 to n-1 with scores 100 to 100-(n-1) on the board race.
func (g *game) fleet(n int64) (tokens []string) {
	for i := range n {
		_, token := g.player(fmt.Sprintf("player-%d", i))
		g.submit(token, "race", 100-i)
		tokens = append(tokens, token)
	}
	return tokens
}

// A walk shows the board of its beginning, though the last overtakes the first and
// a player joins.
func TestAWalkThroughABoard(t *testing.T) {
	g := newGame(t, gameOptions{})
	tokens := g.fleet(7)
	first := g.walk("race", "", 3)
	require.Equal(t, "race", first.GameID)
	require.WithinDuration(t, time.Now(), first.AsOf, patience)
	require.WithinDuration(t, time.Now().Add(10*time.Minute), *first.ExpiresAt, patience)
	entries, part := first.Entries, first

	for parts := 1; part.NextCursor != nil; parts++ {
		require.Less(t, parts, 4)
		g.submit(tokens[len(tokens)-parts], "race", 500)
		_, joined := g.player(fmt.Sprintf("late-%d", parts))
		g.submit(joined, "race", 95)
		cursor := *part.NextCursor
		part = g.walk("race", cursor, 3)
		require.Equal(t, part, g.walk("race", cursor, 3), "a part can be asked for again")
		require.Equal(t, []any{int64(7), first.AsOf}, []any{part.TotalEntries, part.AsOf})
		entries = append(entries, part.Entries...)
	}

	require.Equal(t, first.ExpiresAt, part.ExpiresAt)
	require.Nil(t, first.PreviousCursor)
	require.Len(t, entries, 7)
	for i, e := range entries {
		name := fmt.Sprintf("player-%d", i)
		require.Equal(t, httpapi.PageEntry{Rank: int64(i + 1), UserID: e.UserID, Username: &name, Score: 100 - int64(i), GameID: "race"}, e)
	}

	// Back in parts of another size, and on again.
	before := entries[:6]
	for part.PreviousCursor != nil {
		cursor := *part.PreviousCursor
		part = g.walk("race", cursor, 4)
		require.Equal(t, part, g.walk("race", cursor, 4), "a part can be asked for again")
		require.Equal(t, []any{int64(7), first.AsOf, first.ExpiresAt}, []any{part.TotalEntries, part.AsOf, part.ExpiresAt})
		n := len(before) - len(part.Entries)
		require.Equal(t, before[n:], part.Entries)
		on := g.walk("race", *part.NextCursor, 1)
		require.Equal(t, entries[len(before)], on.Entries[0])
		before = before[:n]
	}
	require.Empty(t, before)
}

// What fits a part needs no cursor, and leaves nothing in Redis.
func TestASmallBoardIsOnePart(t *testing.T) {
	g := newGame(t, gameOptions{})
	part := g.walk("race", "", 3)
	require.Empty(t, part.Entries)
	require.Nil(t, part.NextCursor)
	g.fleet(3)
	part = g.walk("race", "", 3)
	require.Len(t, part.Entries, 3)
	require.Nil(t, part.NextCursor)
	client := redisServer.Client()
	defer client.Close()

	require.Empty(t, client.Keys(t.Context(), "lb:"+g.tenant+":{*}:2s:*").Val())
}

func TestBadCursors(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.fleet(4)
	cursor := *g.walk("race", "", 2).NextCursor
	refused := func(board, cursor string) {
		t.Helper()
		g.do(request{method: "GET", path: "/v1/boards/" + board + "/entries?cursor=" + cursor}).
			problem(422, "invalid-request", "cursor")
	}

	for i := 0; i < len(cursor); i += 7 {
		refused("race", cursor[:i]+string(cursor[i]^1)+cursor[i+1:])
	}

	for _, bad := range []string{"x", cursor + "A", cursor[1:], cursor + cursor + cursor} {
		refused("race", bad)
	}

	refused("golf", cursor)
	g.do(request{method: "GET", path: "/v1/boards/race/entries?cursor="}).problem(422, "invalid-request", "cursor")
	g.do(request{method: "GET", path: "/v1/boards/chess/entries?cursor=" + cursor}).problem(404, "no-board", "board")
	sealed, err := g.tokens.Seal("cursor", []byte("of a version to come"))
	require.NoError(t, err)
	refused("race", sealed)

	other := newGame(t, gameOptions{})
	other.fleet(4)
	other.do(request{method: "GET", path: "/v1/boards/race/entries?cursor=" + cursor}).problem(422, "invalid-request", "cursor")
}

// A cursor is good on every replica and after the keys were rotated.
func TestCursorsAreGoodEverywhere(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.fleet(4)
	cursor := *g.walk("race", "", 2).NextCursor
	replica := g.withBroken(func(o *httpapi.Options) {
		tokens, err := auth.NewTokens(g.tenant, time.Hour, time.Now)
		require.NoError(t, err)
		rotated, err := g.keys.Rotate(time.Now(), 0, time.Hour)
		require.NoError(t, err)
		file, err := rotated.Marshal()
		require.NoError(t, err)
		read, err := keyset.Parse(file)
		require.NoError(t, err)
		tokens.SetKeys(read)
		o.Tokens = tokens
	})

	var part httpapi.BoardEntries
	g.do(replica(request{method: "GET", path: "/v1/boards/race/entries?cursor=" + cursor})).into(200, &part)
	require.Equal(t, int64(3), part.Entries[0].Rank)
	require.Nil(t, part.NextCursor)
}

func TestAWalkThatTakesTooLong(t *testing.T) {
	g := newGame(t, gameOptions{snapshotLifetime: time.Second})
	g.fleet(4)
	part := g.walk("race", "", 2)
	var answer response
	require.Eventually(t, func() bool {
		answer = g.do(request{method: "GET", path: "/v1/boards/race/entries?cursor=" + *part.NextCursor})
		return answer.status != 200
	}, patience, 10*time.Millisecond)

	answer.problem(410, "walk-ended", "cursor")
}

package httpapi_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// ranksFile has boards with columns, and ranks that entries share.
const ranksFile = `{"boards": [
	{"name": "match", "ranks": "Competition", "columns": [
		{"name": "deaths", "order": "Ascending", "min": 0, "max": 1000}, {"name": "time", "decimals": 3}],
		"windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "medals", "ranks": "Dense", "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "tied", "ranks": "Competition"}]}`

// play submits a score with columns to the board match.
func (g *game) play(token string, score int64, columns string, header map[string]string) response {
	return g.do(request{method: "POST", path: "/v1/scores/submit", token: token, header: header,
		body: fmt.Sprintf(`{"game_id": "match", "score": %d, "columns": %s}`, score, columns)})
}

// Most kills, then the fewest deaths, then the longest time.
func TestColumns(t *testing.T) {
	g := newGame(t, gameOptions{boards: ranksFile})
	tokens := make([]string, 5)
	for i := range tokens {
		_, tokens[i] = g.player(fmt.Sprintf("player-%d", i))
	}

	var receipt httpapi.Receipt
	for i, columns := range []string{`{"deaths": 3, "time": 61250}`, `{"deaths": 2, "time": 5}`, `{"deaths": 2, "time": 9}`, `{"deaths": 2, "time": 9}`} {
		g.play(tokens[i], 20, columns, nil).into(200, &receipt)
	}
	require.Equal(t, int64(1), *receipt.Rank)
	require.Equal(t, httpapi.Columns{"deaths": 2, "time": 9}, *receipt.Columns)

	// A better column makes the entry better; a worse one changes nothing of it.
	g.play(tokens[0], 20, `{"deaths": 1, "time": 1}`, nil).into(200, &receipt)
	require.True(t, *receipt.Improved)
	require.Equal(t, int64(1), *receipt.Rank)
	g.play(tokens[0], 20, `{"deaths": 2, "time": 100}`, nil).into(200, &receipt)
	require.False(t, *receipt.Improved)
	require.Equal(t, httpapi.Columns{"deaths": 1, "time": 1}, *receipt.Columns)
	g.play(tokens[4], 30, `{"deaths": 1000, "time": 0}`, nil).into(200, &receipt)
	require.Equal(t, int64(1), *receipt.Rank)

	check := func(query string) {
		var page httpapi.BoardEntries
		g.do(request{method: "GET", path: "/v1/boards/match/entries" + query}).into(200, &page)
		var got []string
		for _, e := range page.Entries {
			got = append(got, fmt.Sprint(e.Rank, " ", *e.Username, " ", e.Score, " ", (*e.Columns)["deaths"], " ", (*e.Columns)["time"]))
		}
		require.Equal(t, []string{"1 player-4 30 1000 0", "2 player-0 20 1 1", "3 player-2 20 2 9", "3 player-3 20 2 9", "5 player-1 20 2 5"}, got, query)
	}
	check("?page=1")
	check("")

	var mine httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=match", token: tokens[3]}).into(200, &mine)
	require.Equal(t, []any{int64(3), int64(5), 60.0}, []any{mine.Rank, mine.TotalEntries, mine.Percentile})

	// On global there is the score alone.
	var page httpapi.Leaderboard
	g.do(request{method: "GET", path: "/v1/leaderboard/global"}).into(200, &page)
	require.Len(t, page.Leaderboard, 5)
	require.Nil(t, page.Leaderboard[0].Columns)

	// A season's results have them, too.
	var board httpapi.Board
	require.Eventually(t, func() bool {
		g.do(request{method: "GET", path: "/v1/boards/match"}).into(200, &board)
		return board.Windows[0].Season != nil
	}, patience, 20*time.Millisecond)
	for i := range 3 {
		g.play(tokens[i], 20, []string{`{"deaths": 1, "time": 1}`, `{"deaths": 1, "time": 1}`, `{"deaths": 1, "time": -1}`}[i], nil).into(200, &receipt)
	}
	g.endSeason("match")
	season := "/v1/boards/match/entries/around?window=daily&season=1&"
	var around httpapi.EntriesAround
	g.do(request{method: "GET", path: season + "player=me&before=1&after=0", token: tokens[2]}).into(200, &around)
	last := around.Entries[len(around.Entries)-1]
	require.Equal(t, httpapi.Columns{"deaths": 1, "time": -1}, *last.Columns)
	require.Equal(t, around.Entries[0].Rank+2, last.Rank, "after two who share a rank")
	g.do(request{method: "GET", path: season + "score=20&before=1&after=1"}).into(200, &around)
	require.Equal(t, around.Entries[0].Rank+1, around.Rank)

	g.do(request{method: "GET", path: "/v1/boards/match"}).into(200, &board)
	require.Equal(t, []httpapi.Column{{Column: "deaths", Order: "Ascending", Min: 0, Max: 1000, Decimals: 0},
		{Column: "time", Order: "Descending", Min: -9007199254740991, Max: 9007199254740991, Decimals: 3}}, board.Columns)
	require.Equal(t, "Competition", board.Ranks)
}

func TestBadColumns(t *testing.T) {
	g := newGame(t, gameOptions{boards: ranksFile})
	_, token := g.player("ada")
	before := g.written()

	for _, c := range []struct {
		board, columns string
		slug           string
		fields         []string
	}{
		{"match", `null`, "invalid-request", []string{"columns.deaths"}},
		{"match", `{}`, "invalid-request", []string{"columns.deaths"}},
		{"match", `{"deaths": 1}`, "invalid-request", []string{"columns.time"}},
		{"match", `{"deaths": 1, "time": 1, "flags": 1}`, "invalid-request", []string{"columns"}},
		{"match", `{"deaths": -1, "time": 1}`, "score-out-of-range", []string{"columns.deaths"}},
		{"match", `{"deaths": 1001, "time": 1}`, "score-out-of-range", []string{"columns.deaths"}},
		{"match", `{"deaths": 1.5, "time": "1"}`, "invalid-request", []string{"columns.deaths", "columns.time"}},
		{"match", `{"deaths": 1, "time": 9007199254740992}`, "invalid-request", []string{"columns.time"}},
		{"match", `{"deaths": 1, "deaths": 1, "time": 2}`, "invalid-request", []string{"columns"}},
		{"match", `{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}`, "invalid-request", []string{"columns"}},
		{"match", `[1, 2]`, "invalid-request", []string{"columns"}},
		{"tied", `{"deaths": 1}`, "invalid-request", []string{"columns"}},
	} {
		body := fmt.Sprintf(`{"game_id": %q, "score": 1, "columns": %s}`, c.board, c.columns)
		p := g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: body})
		require.Equal(t, 422, p.status, body)
		require.Contains(t, string(p.body), "problems/"+c.slug+`"`, body)
		var problem httpapi.Problem
		p.into(422, &problem)
		var fields []string
		for _, e := range *problem.Errors {
			fields = append(fields, e.Field)
		}
		require.ElementsMatch(t, c.fields, fields, body)
	}
	require.Equal(t, before, g.written())
}

// A key stands for the columns, too.
func TestRepeatedColumns(t *testing.T) {
	g := newGame(t, gameOptions{boards: ranksFile})
	_, token := g.player("ada")
	key := map[string]string{"Idempotency-Key": "one"}

	var receipt httpapi.Receipt
	g.play(token, 5, `{"deaths": 1, "time": 2}`, key).into(200, &receipt)
	g.play(token, 5, `{"time": 2.0, "deaths": 1e0}`, key).into(200, &receipt)
	require.True(t, receipt.Replayed)
	require.Equal(t, httpapi.Columns{"deaths": 1, "time": 2}, *receipt.Columns)
	g.play(token, 5, `{"deaths": 2, "time": 1}`, key).problem(409, "idempotency-key-reused", "Idempotency-Key")
	g.play(token, 5, `{"deaths": 1, "time": 3}`, key).problem(409, "idempotency-key-reused", "Idempotency-Key")
}

// Of 50, 40, 40, 30 the ranks are 1, 2, 2, 4, or 1, 2, 2, 3, in every call.
func TestSharedRanks(t *testing.T) {
	g := newGame(t, gameOptions{boards: ranksFile})
	scores := []int64{50, 40, 40, 30}
	for board, ranks := range map[string][]int64{"tied": {1, 2, 2, 4}, "medals": {1, 2, 2, 3}} {
		var ids, tokens []string
		var got []int64
		for i, score := range scores {
			id, token := g.player(fmt.Sprintf("%s-%d", board, i))
			ids, tokens = append(ids, id), append(tokens, token)
			got = append(got, *g.submit(token, board, score).Rank)
		}
		require.Equal(t, ranks, got, "receipts")

		for _, query := range []string{"page=1", "page_size=10", "from_rank=1", "max_score=100"} {
			var page httpapi.BoardEntries
			g.do(request{method: "GET", path: "/v1/boards/" + board + "/entries?" + query}).into(200, &page)
			got = nil
			for _, e := range page.Entries {
				got = append(got, e.Rank)
			}
			require.Equal(t, ranks, got, query)
		}

		// Each entry alone on its page, and on a walk with parts of one.
		got = nil
		next := ""
		var previous *string
		for i := range scores {
			var page httpapi.BoardEntries
			g.do(request{method: "GET", path: fmt.Sprintf("/v1/boards/%s/entries?page=%d&page_size=1", board, i+1)}).into(200, &page)
			require.Equal(t, ranks[i], page.Entries[0].Rank, "page %d", i+1)

			var part httpapi.BoardEntries
			g.do(request{method: "GET", path: "/v1/boards/" + board + "/entries?page_size=1" + next}).into(200, &part)
			got, previous = append(got, part.Entries[0].Rank), part.PreviousCursor
			if part.NextCursor != nil {
				next = "&cursor=" + *part.NextCursor
			}
		}
		require.Equal(t, ranks, got, "a walk")

		for i := len(scores) - 2; i >= 0; i-- {
			var part httpapi.BoardEntries
			g.do(request{method: "GET", path: "/v1/boards/" + board + "/entries?page_size=1&cursor=" + *previous}).into(200, &part)
			require.Equal(t, ranks[i], part.Entries[0].Rank, "back at %d", i+1)
			previous = part.PreviousCursor
		}
		require.Nil(t, previous)

		var list httpapi.EntryList
		g.do(request{method: "POST", path: "/v1/boards/" + board + "/entries/list", token: tokens[0], body: encode(map[string]any{"players": []string{ids[3], ids[2], ids[1]}})}).into(200, &list)
		got = nil
		for i, e := range list.Entries {
			require.Equal(t, int64(i+1), e.Position)
			require.Equal(t, ids[i+1], e.UserID)
			got = append(got, e.Rank)
		}
		require.Equal(t, ranks[1:], got, "a list")

		for i, token := range tokens {
			var mine httpapi.Entry
			g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=" + board, token: token}).into(200, &mine)
			require.Equal(t, []any{ranks[i], []float64{100, 75, 75, 25}[i]}, []any{mine.Rank, mine.Percentile})

			var around httpapi.EntriesAround
			g.do(request{method: "GET", path: "/v1/boards/" + board + "/entries/around?player=me&before=1&after=0", token: token}).into(200, &around)
			require.Equal(t, ranks[i], around.Rank)
			require.Equal(t, ranks[i], around.Entries[len(around.Entries)-1].Rank)
		}

		for score, rank := range map[int64]int64{60: 1, 50: 1, 45: 2, 40: 2, 35: ranks[3], 30: ranks[3], 20: ranks[3] + 1} {
			var around httpapi.EntriesAround
			g.do(request{method: "GET", path: fmt.Sprintf("/v1/boards/%s/entries/around?score=%d", board, score)}).into(200, &around)
			require.Equal(t, rank, around.Rank, "a new score of %d on %s", score, board)
			require.Len(t, around.Entries, 4)
		}
	}
}

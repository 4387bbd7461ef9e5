package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// scored makes players with these scores on a board, and returns their ids and tokens by
// score.
func (g *game) scored(board string, scores ...int64) (ids, tokens map[int64]string) {
	ids, tokens = map[int64]string{}, map[int64]string{}
	for _, score := range scores {
		id, token := g.player(fmt.Sprintf("player-%s-%d", board, score))
		ids[score], tokens[score] = id, token
		g.submit(token, board, score)
	}
	return ids, tokens
}

// scoresOf are the ranks and scores of entries.
func scoresOf(entries []httpapi.PageEntry) (list [][2]int64) {
	for _, e := range entries {
		list = append(list, [2]int64{e.Rank, e.Score})
	}
	return list
}

func TestPartsOfABoard(t *testing.T) {
	g := newGame(t, gameOptions{})
	g.scored("race", 10, 20, 30, 40, 50) // ranks 5 to 1
	g.scored("golf", 1, 2, 3)            // the lowest is best

	for query, want := range map[string]struct {
		total   int64
		entries [][2]int64
	}{
		"race/entries?page=1&page_size=2":                               {5, [][2]int64{{1, 50}, {2, 40}}},
		"race/entries?page=3&page_size=2":                               {5, [][2]int64{{5, 10}}},
		"race/entries?page=4&page_size=2":                               {5, nil},
		"race/entries?from_rank=4&page_size=9":                          {5, [][2]int64{{4, 20}, {5, 10}}},
		"race/entries?from_rank=6":                                      {5, nil},
		"race/entries?from_rank=9223372036854775807":                    {5, nil},
		"race/entries?min_score=20&max_score=40":                        {3, [][2]int64{{2, 40}, {3, 30}, {4, 20}}},
		"race/entries?min_score=15&max_score=45&page=2&page_size=2":     {3, [][2]int64{{4, 20}}},
		"race/entries?min_score=15&max_score=45&page=3&page_size=2":     {3, nil},
		"race/entries?min_score=41":                                     {1, [][2]int64{{1, 50}}},
		"race/entries?max_score=-1":                                     {0, nil},
		"race/entries?min_score=-9007199254740991&page_size=1":          {5, [][2]int64{{1, 50}}},
		"golf/entries?min_score=2":                                      {2, [][2]int64{{2, 2}, {3, 3}}},
		"golf/entries?max_score=2&page_size=1&page=2":                   {2, [][2]int64{{2, 2}}},
		"golf/entries?min_score=2&max_score=2&page=9223372036854775807": {1, nil},
	} {
		var part httpapi.BoardEntries
		g.do(request{method: "GET", path: "/v1/boards/" + query}).into(200, &part)
		require.Equal(t, want.total, part.TotalEntries, query)
		require.Equal(t, want.entries, scoresOf(part.Entries), query)
		require.Nil(t, part.NextCursor, query)
		require.NotNil(t, part.Entries, query)
	}
}

func TestAround(t *testing.T) {
	for _, shards := range []int{1, 3} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			testAround(t, newGame(t, gameOptions{boards: fmt.Sprintf(`{"boards": [{"name": "race", "shards": %d}]}`, shards)}))
		})
	}
}

func testAround(t *testing.T, g *game) {
	ids, tokens := g.scored("race", 10, 20, 30, 40, 50)
	around := func(token, query string) (a httpapi.EntriesAround) {
		g.do(request{method: "GET", path: "/v1/boards/race/entries/around?" + query, token: token}).into(200, &a)
		require.Equal(t, "race", a.Board)
		require.Equal(t, int64(5), a.TotalEntries)
		return a
	}

	me := around(tokens[30], "player=me&before=1&after=1")
	require.Equal(t, int64(3), me.Rank)
	require.Equal(t, [][2]int64{{2, 40}, {3, 30}, {4, 20}}, scoresOf(me.Entries))
	require.Equal(t, me, around("", "player="+strings.ToUpper(ids[30])+"&before=1&after=1"), "anybody may look")
	require.Equal(t, [][2]int64{{1, 50}, {2, 40}}, scoresOf(around(tokens[50], "player=me&after=1").Entries))
	require.Equal(t, [][2]int64{{5, 10}}, scoresOf(around(tokens[10], "player=me&before=0&after=50").Entries))

	// Where would a score be? Behind equal ones.
	at := around("", "score=30&before=1&after=1")
	require.Equal(t, int64(4), at.Rank)
	require.Equal(t, [][2]int64{{3, 30}, {4, 20}}, scoresOf(at.Entries))
	best := around("", "score=51&before=2&after=1")
	require.Equal(t, int64(1), best.Rank)
	require.Equal(t, [][2]int64{{1, 50}}, scoresOf(best.Entries))
	nobody := around("", "score=51&before=2&after=0")
	require.Equal(t, int64(1), nobody.Rank)
	require.Empty(t, nobody.Entries, "nobody is before it, and nobody after it is asked for")
	last := around("", "score=-5&before=2")
	require.Equal(t, int64(6), last.Rank)
	require.Equal(t, [][2]int64{{4, 20}, {5, 10}}, scoresOf(last.Entries))
	require.Empty(t, around("", "score=7&before=0&after=0").Entries)
}

func TestLists(t *testing.T) {
	g := newGame(t, gameOptions{})
	ids, tokens := g.scored("race", 10, 20, 30, 40, 50)
	newcomer, _ := g.player("newcomer")
	ask := func(body string) response {
		return g.do(request{method: "POST", path: "/v1/boards/race/entries/list", token: tokens[10], body: body})
	}

	var got httpapi.EntryList
	ask(list(ids[10], newcomer, ids[40], strings.ToUpper(ids[20]))).into(200, &got)
	require.Equal(t, []httpapi.Player{{UserID: newcomer, Username: "newcomer"}}, got.WithoutEntry)
	require.Equal(t, []httpapi.ListedEntry{
		{Position: 1, Rank: 2, UserID: ids[40], Username: "player-race-40", Score: 40, GameID: "race"},
		{Position: 2, Rank: 4, UserID: ids[20], Username: "player-race-20", Score: 20, GameID: "race"},
		{Position: 3, Rank: 5, UserID: ids[10], Username: "player-race-10", Score: 10, GameID: "race"},
	}, got.Entries)

	most := make([]string, 201)
	for i := range most {
		most[i] = fmt.Sprintf("01890000-0000-7000-8000-%012d", i)
	}
	for body, field := range map[string]string{
		`{}`:                                    "players",
		`{"players": null}`:                     "players",
		`{"players": "` + ids[10] + `"}`:        "players",
		`{"players": [1]}`:                      "players",
		list():                                  "players",
		list(most...):                           "players",
		list(ids[10], "ada"):                    "players[1]",
		list(ids[10], "{"+ids[20]+"}"):          "players[1]",
		list(ids[10], nobody):                   "players[1]",
		list(ids[10], ids[20], ids[10]):         "players[2]",
		list(ids[10], strings.ToUpper(ids[10])): "players[1]",
	} {
		ask(body).problem(422, "invalid-request", field)
	}
}

func TestEntriesOfAPlayer(t *testing.T) {
	g := newGame(t, gameOptions{})
	ids, tokens := g.scored("race", 10, 20)
	g.submit(tokens[10], "coins", 7)
	entries := func(token, path string) (e httpapi.PlayerEntries) {
		g.do(request{method: "GET", path: "/v1/players/" + path, token: token}).into(200, &e)
		return e
	}

	mine := entries(tokens[10], "me/entries")
	require.Equal(t, ids[10], mine.UserID)
	require.Equal(t, []httpapi.Entry{
		{Board: "global", Rank: 2, UserID: ids[10], Username: "player-race-10", Score: 10, GameID: "race", TotalEntries: 2, Percentile: 50},
		{Board: "race", Rank: 2, UserID: ids[10], Username: "player-race-10", Score: 10, GameID: "race", TotalEntries: 2, Percentile: 50},
		{Board: "coins", Rank: 1, UserID: ids[10], Username: "player-race-10", Score: 7, GameID: "coins", TotalEntries: 1, Percentile: 100},
	}, mine.Entries)
	require.Equal(t, mine, entries("", ids[10]+"/entries"))
	require.Equal(t, mine.Entries[2:], entries("", ids[10]+"/entries?boards=coins,golf").Entries)
	require.Empty(t, entries("", ids[20]+"/entries?boards=coins").Entries)
}

func TestBadQueriesOfEntries(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	const board = "/v1/boards/race/entries"
	for _, c := range []struct {
		path   string
		fields []string
	}{
		{board + "?page=0", []string{"page"}},
		{board + "?from_rank=0", []string{"from_rank"}},
		{board + "?from_rank=1.5", []string{"from_rank"}},
		{board + "?from_rank=1&page=1", []string{"from_rank"}},
		{board + "?from_rank=1&max_score=1", []string{"from_rank"}},
		{board + "?cursor=x&page=1", []string{"cursor"}},
		{board + "?cursor=x&min_score=1", []string{"cursor"}},
		{board + "?min_score=2&max_score=1", []string{"min_score"}},
		{board + "?min_score=9007199254740992", []string{"min_score"}},
		{board + "?max_score=-9007199254740992", []string{"max_score"}},
		{board + "?min_score=", []string{"min_score"}},
		{board + "?max_score=ten", []string{"max_score"}},
		{board + "/around", []string{"player"}},
		{board + "/around?player=me&score=1", []string{"player"}},
		{board + "/around?player=ada", []string{"player"}},
		{board + "/around?score=1e400", []string{"score"}},
		{board + "/around?score=1&before=51", []string{"before"}},
		{board + "/around?score=1&after=-1", []string{"after"}},
		{board + "/around?score=1&limit=1", []string{"limit"}},
		{"/v1/players/ada/entries", []string{"player"}},
		{"/v1/players/" + nobody[:35] + "/entries", []string{"player"}},
		{"/v1/players/me/entries?boards=race,race", []string{"boards"}},
		{"/v1/players/me/entries?boards=", []string{"boards"}},
		{"/v1/players/me/entries?page=1", []string{"page"}},
	} {
		g.do(request{method: "GET", path: c.path, token: token}).problem(422, "invalid-request", c.fields...)
	}
	g.do(request{method: "GET", path: "/v1/players/me/entries?boards=race,,golf", token: token}).problem(404, "no-board", "boards")
}

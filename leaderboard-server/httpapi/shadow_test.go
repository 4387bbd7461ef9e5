package httpapi_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// shadowFile has a board for each way of counting ranks, and for each way of making standings.
const shadowFile = `{"attributes": [{"name": "country", "values": ["DE", "FR"]}], "global": {"ranks": "Competition"}, "boards": [
	{"name": "ordinal", "segments": ["country"], "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "competition", "ranks": "Competition", "segments": ["country"], "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "dense", "ranks": "Dense", "order": "Ascending", "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "sum", "scoring": "Sum", "windows": [{"name": "daily", "schedule": "daily"}]},
	{"name": "sharded", "shards": 3},
	{"name": "tuple", "ranks": "Competition", "columns": [{"name": "level"}]},
	{"name": "densetuple", "ranks": "Dense", "columns": [{"name": "level"}]}]}`

// A player who is shadow-banned sees in every answer what it would see if it were not, and all
// others what there is without it.
func TestAShadowBannedPlayerSeesItself(t *testing.T) {
	g := newGame(t, gameOptions{boards: shadowFile})
	g.openSeasons()
	moderator := g.moderator()
	boards := []string{"ordinal", "competition", "dense", "sum", "sharded", "tuple", "densetuple"}

	// The last four are banned: the first of all, one among some that have the same, one alone
	// between others, and the last of all.
	scores := []int64{20, 40, 10, 30, 20, 30, 90, 20, 25, 5}
	ids, tokens := make([]string, len(scores)), make([]string, len(scores))
	for i := range scores {
		ids[i], tokens[i] = g.playerOf(fmt.Sprint("player-", i), map[string]string{"country": []string{"DE", "FR"}[i%2]})
	}
	play := func() {
		for i, score := range scores {
			for _, board := range boards {
				g.submitTuple(tokens[i], board, score)
			}
		}
	}
	play()
	for _, board := range boards[:4] {
		g.endSeason(board)
	}
	play() // in the next season

	for i := len(scores) - 4; i < len(scores); i++ {
		id, token := ids[i], tokens[i]
		before, listed := g.seen(token, id, boards), g.listed(id, boards)
		g.moderate(moderator, "players/"+id+"/shadow_ban")
		require.Eventually(t, func() bool {
			return g.listed(id, boards) == 0 && g.do(request{method: "GET", path: "/v1/leaderboard/my_rank", token: token}).status == 200
		}, patience, 10*time.Millisecond, "nobody else sees it")
		for path, answer := range g.seen("", id, boards) {
			require.NotContains(t, answer, id, path)
		}
		for path, answer := range g.seen(token, id, boards) {
			require.Equal(t, before[path], answer, "%s: as if nothing had happened", path)
		}

		for _, board := range boards {
			better := int64(1000 * (i + 1))
			if board == "dense" {
				better = -better
			}
			receipt := g.submitTuple(token, board, better)
			require.Equal(t, httpapi.Live, receipt.Ranking, board)
			require.Equal(t, int64(1), *receipt.Rank, board)
			require.True(t, *receipt.Improved, board)
			require.Equal(t, board == "sum", *g.submitTuple(token, board, 15).Improved, board)
		}

		g.moderate(moderator, "players/"+id+"/shadow_unban")
		require.Eventually(t, func() bool { return g.listed(id, boards) == listed }, patience, 10*time.Millisecond, "everybody sees it")
	}
}

// listed is how many rankings show somebody without a token that a player is in them.
func (g *game) listed(id string, boards []string) (listed int) {
	for _, board := range slices.Concat(boards, []string{"global"}) {
		for _, view := range viewsOf(board) {
			answer := g.do(request{method: "GET", path: "/v1/boards/" + board + "/entries?page=1&page_size=100" + view})
			require.Equal(g.t, 200, answer.status)
			if strings.Contains(string(answer.body), id) {
				listed++
			}
		}
	}
	return listed
}

// submitTuple submits a score, with a column where the board has one.
func (g *game) submitTuple(token, board string, score int64) (receipt httpapi.Receipt) {
	g.t.Helper()
	body := map[string]any{"score": score, "game_id": board}
	if strings.HasSuffix(board, "tuple") {
		body["columns"] = map[string]int64{"level": score % 3}
	}
	g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: encode(body)}).into(200, &receipt)
	return receipt
}

// seen is what is answered to whose token it is, by request.
func (g *game) seen(token, id string, boards []string) map[string]string {
	g.t.Helper()
	answers := make(map[string]string)
	ask := func(r request) {
		r.token = token
		answer := g.do(r)
		require.Contains(g.t, []int{200, 404}, answer.status, "%s: %s", r.path, answer.body)
		answers[r.method+" "+r.path+" "+r.body] = timed.ReplaceAllString(string(answer.body), "")
	}
	get := func(path string) { ask(request{method: "GET", path: path}) }

	get("/v1/leaderboard/global")
	for _, board := range slices.Concat(boards, []string{"global"}) {
		path := "/v1/boards/" + board + "/entries"
		for _, view := range viewsOf(board) {
			for page := 1; page <= 4; page++ {
				get(fmt.Sprintf("%s?page=%d&page_size=3%s", path, page, view))
			}
			get(path + "?from_rank=3&page_size=2" + view)
			get(path + "?min_score=15&max_score=35" + view)
			get(path + "/around?score=20&before=3&after=3" + view)
			answers[path+" walk"+view] = g.walked(token, path, view)
			if token != "" {
				get(path + "/around?player=me&before=2&after=2" + view)
				ask(request{method: "POST", path: path + "/list?" + view, body: encode(map[string]any{"players": []string{id}})})
			}
		}
	}
	if token != "" {
		for _, path := range []string{"/v1/players/me/entries?include=segments", "/v1/players/me/entries?window=daily", "/v1/leaderboard/my_rank", "/v1/leaderboard/my_rank?game_id=ordinal&include=segments,reached_at"} {
			get(path)
		}
	}
	return answers
}

// timed matches what of an answer is another one each time.
var timed = regexp.MustCompile(`,?"(as_of|expires_at|next_cursor|previous_cursor|request_id)":"[^"]*"`)

// viewsOf are the rankings of a board, as parameters.
func viewsOf(board string) []string {
	switch board {
	case "ordinal", "competition":
		return []string{"", "&window=daily", "&window=daily&season=1", "&segment=country:DE", "&window=daily&season=1&segment=country:DE"}
	case "dense", "sum":
		return []string{"", "&window=daily&season=1"}
	}
	return []string{""}
}

// walked is all that a walk through a board shows, on its way to the end and back.
func (g *game) walked(token, path, view string) string {
	g.t.Helper()
	var there, back []string
	cursor := ""
	for more := true; more; {
		part := g.part(token, path, view, cursor)
		there = append(there, ranked(part.Entries)...)
		if more = part.NextCursor != nil; more {
			cursor = "&cursor=" + *part.NextCursor
			continue
		}
		for part.PreviousCursor != nil {
			part = g.part(token, path, view, "&cursor="+*part.PreviousCursor)
			back = append(ranked(part.Entries), back...)
		}
	}
	if len(back) > 0 {
		require.Equal(g.t, there[:len(back)], back, "on the way back everything is there once more")
	}
	return strings.Join(there, "\n")
}

func (g *game) part(token, path, view, cursor string) (part httpapi.BoardEntries) {
	g.t.Helper()
	g.do(request{method: "GET", path: path + "?page_size=2" + view + cursor, token: token}).into(200, &part)
	require.LessOrEqual(g.t, len(part.Entries), 2)
	return part
}

func ranked(entries []httpapi.PageEntry) []string {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = fmt.Sprintf("%d %s %d", e.Rank, *e.Username, e.Score)
	}
	return list
}

package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// foldsFile has a board of each scoring.
const foldsFile = `{"boards": [
	{"name": "race"},
	{"name": "golf", "order": "Ascending"},
	{"name": "coins", "scoring": "Sum"},
	{"name": "strokes", "scoring": "Sum", "order": "Ascending"},
	{"name": "matches", "scoring": "Count"},
	{"name": "mood", "scoring": "Latest"},
	{"name": "debut", "scoring": "First"}]}`

// submitOn submits as if it were noon of that day.
func (g *game) submitOn(day, token, board string, score int64) {
	g.t.Helper()
	g.submit(token, board, score)
	g.sql("UPDATE score_events SET at = $1::date + interval '12 hours' WHERE id = (SELECT max(id) FROM score_events)", day)
}

// A report folds the submissions of its days as the board does.
func TestReportsFoldAsTheBoardDoes(t *testing.T) {
	g := newGame(t, gameOptions{boards: foldsFile})
	_, ada := g.player("ada")
	_, grace := g.player("grace")
	boards := []string{"race", "golf", "coins", "strokes", "matches", "mood", "debut"}
	for _, s := range []struct {
		day, token string
		score      int64
	}{
		{"2026-03-09", ada, 90}, {"2026-03-09", grace, 5}, // none of the days that are asked for
		{"2026-03-10", ada, 10}, {"2026-03-10", grace, 20}, {"2026-03-10", ada, 10}, {"2026-03-11", ada, 10},
		{"2026-03-11", grace, 10}, {"2026-03-11", ada, 0},
		{"2026-03-12", ada, 70}, {"2026-03-12", grace, 3},
	} {
		for _, board := range boards {
			g.submitOn(s.day, s.token, board, s.score)
		}
	}

	report := func(board, from, to string) (rows []httpapi.ReportRow) {
		g.do(request{method: "GET", path: fmt.Sprintf("/v1/reports/top_players?start_date=%s&end_date=%s&game_id=%s", from, to, board), token: ada}).into(200, &rows)
		return rows
	}

	type line struct {
		username    string
		score       int64
		submissions int64
	}
	for _, c := range []struct {
		board, from, to, scoring string
		want                     []line
	}{
		{"coins", "2026-03-10", "2026-03-11", "Sum", []line{{"ada", 30, 4}, {"grace", 30, 2}}}, // ada's 0 changed nothing, so ada was first
		{"coins", "2026-03-10", "2026-03-10", "Sum", []line{{"grace", 20, 1}, {"ada", 20, 2}}},
		{"coins", "2026-03-09", "2026-03-12", "Sum", []line{{"ada", 190, 6}, {"grace", 38, 4}}},
		{"strokes", "2026-03-10", "2026-03-12", "Sum", []line{{"grace", 33, 3}, {"ada", 100, 5}}},
		{"matches", "2026-03-10", "2026-03-11", "Count", []line{{"ada", 4, 4}, {"grace", 2, 2}}},
		{"matches", "2026-03-12", "2026-03-12", "Count", []line{{"ada", 1, 1}, {"grace", 1, 1}}},
		{"mood", "2026-03-10", "2026-03-11", "Latest", []line{{"grace", 10, 2}, {"ada", 0, 4}}},
		{"mood", "2026-03-10", "2026-03-10", "Latest", []line{{"grace", 20, 1}, {"ada", 10, 2}}},
		{"debut", "2026-03-10", "2026-03-12", "First", []line{{"grace", 20, 3}, {"ada", 10, 5}}},
		{"golf", "2026-03-10", "2026-03-12", "Best", []line{{"ada", 0, 5}, {"grace", 3, 3}}},
		{"race", "2026-03-10", "2026-03-11", "Best", []line{{"grace", 20, 2}, {"ada", 10, 4}}},
		{"global", "2026-03-10", "2026-03-11", "Best", []line{{"grace", 20, 2 * 5}, {"ada", 10, 4 * 5}}}, // not golf, nor strokes
	} {
		t.Run(c.board+" "+c.from+" "+c.to, func(t *testing.T) {
			var got []line
			for i, row := range report(c.board, c.from, c.to) {
				require.Equal(t, int64(i+1), row.Rank)
				require.Equal(t, c.scoring, row.Scoring)
				require.Equal(t, c.board, row.Board)
				if c.board != leaderboard.GlobalBoard {
					require.Equal(t, c.board, row.GameID)
				}
				got = append(got, line{row.Username, row.Score, row.TotalScoresSubmitted})
			}
			require.Equal(t, c.want, got)
		})
	}
}

// The sum of some days can be beyond what a score can be, though that of all time never is. A
// number that clients would round is not answered.
func TestReportsOfSumsThatNoScoreHolds(t *testing.T) {
	g := newGame(t, gameOptions{boards: foldsFile})
	_, ada := g.player("ada")
	g.submitOn("2026-03-10", ada, "coins", -leaderboard.MaxScore)
	g.submitOn("2026-03-11", ada, "coins", leaderboard.MaxScore)
	g.submitOn("2026-03-12", ada, "coins", leaderboard.MaxScore)
	days := func(from, to string) request {
		return request{method: "GET", path: "/v1/reports/top_players?game_id=coins&start_date=" + from + "&end_date=" + to, token: ada}
	}

	require.Contains(t, g.do(days("2026-03-11", "2026-03-12")).problem(422, "score-out-of-range", "end_date").Detail, "18014398509481982")
	for _, c := range []struct {
		from, to string
		want     int64
	}{{"2026-03-10", "2026-03-12", leaderboard.MaxScore}, {"2026-03-10", "2026-03-11", 0}, {"2026-03-10", "2026-03-10", -leaderboard.MaxScore}} {
		var rows []httpapi.ReportRow
		g.do(days(c.from, c.to)).into(200, &rows)
		require.Len(t, rows, 1)
		require.Equal(t, c.want, rows[0].Score)
	}
}

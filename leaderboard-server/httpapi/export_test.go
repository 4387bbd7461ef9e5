package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func (g *game) export(token string) (all httpapi.PlayerExport) {
	g.t.Helper()
	answer := g.do(request{method: "GET", path: "/v1/players/me/export", token: token})
	answer.into(200, &all)
	require.Equal(g.t, `attachment; filename="player.json"`, answer.header.Get("Content-Disposition"))
	return all
}

// often lets a player export again and again.
func often(o *httpapi.Options) {
	o.HTTP.ExportRatePerPlayer = config.Rate{Events: 1000, Per: time.Second, Burst: 1000}
}

// A player gets all of it, and nothing of others: entries of all kinds, and every submission,
// also to boards that were removed.
func TestExport(t *testing.T) {
	g := newGame(t, gameOptions{boards: windowsFile, change: often})
	ada, token := g.playerOf("ada", map[string]string{"country": "DE"})
	_, other := g.player("grace")
	require.Empty(t, g.export(token).Entries)
	require.NotNil(t, g.export(token).Submissions)

	g.openSeasons()
	for score := range int64(3) {
		g.submit(token, "laps", score+1)
		g.submit(token, "race", score+1)
		g.submit(token, "", score+1)
		g.submit(other, "laps", 50)
	}
	require.Equal(t, 200, g.describe(token, "race", 9, `{"car":"gt"}`, nil).status)
	g.endSeason("laps")

	all := g.export(token)
	require.Equal(t, []any{ada, "ada", map[string]string{"country": "DE"}}, []any{all.UserID, all.Username, all.Attributes})
	require.WithinDuration(t, time.Now(), all.ExportedAt, patience)
	require.True(t, all.Logins.Password)
	require.Empty(t, all.Logins.Identities)
	require.Empty(t, all.UsernamesBefore)
	require.Nil(t, all.ExternalID)
	require.False(t, all.RegisteredAt.After(all.ExportedAt))

	closed := 0
	of := make(map[string]httpapi.Entry)
	for _, e := range all.Entries {
		require.Equal(t, "ada", e.Username)
		if e.Window == nil {
			of[e.Board] = e
		} else if e.Board == "laps" && *e.Window == "daily" {
			closed++
			require.Equal(t, []any{int32(1), int64(1), int64(1)}, []any{*e.Season, e.Rank, e.Score}, "%+v", e)
		}
	}
	require.Equal(t, 1, closed)
	require.Equal(t, int64(9), of["race"].Score)
	require.JSONEq(t, `{"car":"gt"}`, string(of["race"].Metadata))

	scores := make(map[string][]int64)
	for _, s := range all.Submissions {
		scores[s.GameID] = append(scores[s.GameID], s.Score)
	}
	require.Equal(t, map[string][]int64{"laps": {3, 2, 1}, "race": {9, 3, 2, 1}, "global": {3, 2, 1}}, scores)

	// What came to the account later.
	require.Equal(t, 200, g.do(linking(token, "device_secret", deviceSecret())).status)
	require.Equal(t, 200, g.do(rename(token, "adaline")).status)
	g.sql("INSERT INTO external_ids (external_id, player) VALUES ('steam:1', $1)", ada)
	changed := g.export(token)
	require.Equal(t, []any{"adaline", "ada", "steam:1"}, []any{changed.Username, changed.UsernamesBefore[0].Username, *changed.ExternalID})
	require.Equal(t, httpapi.Device, changed.Logins.Identities[0].Kind)

	// More than are read at once, and of a board that is no longer there.
	g.sql(`INSERT INTO score_events (id, at, player, score, board, season, improved, xid)
		SELECT 1000 + n, now(), 1, n, (SELECT number FROM boards WHERE name = 'race'), 1, true, NULL FROM generate_series(1, 1000) n`)
	require.Len(t, g.export(token).Submissions, 10+1000)
	boards, err := leaderboard.ParseBoards([]byte(`{"boards": [{"name": "laps", "order": "Ascending"}]}`))
	require.NoError(t, err)
	require.NoError(t, g.options.Service().Reload(t.Context(), boards))
	all = g.export(token)
	require.Len(t, all.Submissions, 10+1000)
	for _, e := range all.Entries {
		require.NotEqual(t, "race", e.Board)
	}
}

type lostHistories struct{}

func (lostHistories) History(context.Context, leaderboard.HistoryQuery) (leaderboard.HistoryPart, error) {
	return leaderboard.HistoryPart{}, errors.New("the log is lost")
}

// What fails half way does not look like a whole document.
func TestAnExportThatBreaksOff(t *testing.T) {
	g := newGame(t, gameOptions{})
	_, token := g.player("ada")
	broken := g.withBroken(func(o *httpapi.Options) {
		dependencies := o.Service().Dependencies
		dependencies.Histories = lostHistories{}
		o.Service = func() *leaderboard.Service { return &leaderboard.Service{Dependencies: dependencies} }
	})
	server := broken(calls(token)["export"]).server

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/players/me/export", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := server.Client().Do(request)
	if err != nil {
		return // nothing of it came
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	require.Error(t, err)
	require.False(t, json.Valid(content))
}

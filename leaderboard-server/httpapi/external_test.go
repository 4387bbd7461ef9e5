package httpapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
)

// external is an item that names its player by the game's own id.
func external(id, board string, score int64) string {
	return strings.Replace(itemOf(id, board, score), `"user_id"`, `"external_id"`, 1)
}

// createPlayers sends a batch that makes players.
func (g *game) createPlayers(token string, items ...string) httpapi.BatchResults {
	g.t.Helper()
	var answer httpapi.BatchResults
	body := strings.TrimSuffix(batch(items...), "}") + `,"create_players":true}`
	g.do(request{method: "POST", path: "/v1/scores/batch", token: token, body: body}).into(200, &answer)
	require.Len(g.t, answer.Results, len(items))
	return answer
}

// externalPlayer looks a player up.
func (g *game) externalPlayer(token, id string) response {
	return g.do(request{method: "GET", path: "/v1/players/by-external-id/" + url.PathEscape(id), token: token})
}

func TestPlayersOfExternalIDs(t *testing.T) {
	g := newGame(t, gameOptions{})
	token := g.submitter()
	refused(t, g.submitAll(token, external("steam:1", "race", 5)).Results[0], 404, "no-player", "external_id")
	g.externalPlayer(token, "steam:1").problem(404, "no-player", "external_id")

	answer := g.createPlayers(token, external("steam:1", "race", 5), external("STEAM:1", "race", 6), external("a/b?c=%20", "race", 7), external("steam:1", "race", 8), external("x y", "race", 9))
	require.Equal(t, 4, answer.Accepted)
	refused(t, answer.Results[4], 422, "invalid-request", "external_id")
	one := answer.Results[0].Receipt
	require.Regexp(t, `^player-[a-z2-7]{16}$`, one.Username)
	require.Equal(t, one.UserID, answer.Results[3].Receipt.UserID)
	require.NotEqual(t, one.UserID, answer.Results[1].Receipt.UserID, "upper case is another id")
	require.Equal(t, 3, g.count("players"))

	for i, id := range []string{"steam:1", "STEAM:1", "a/b?c=%20"} {
		var player httpapi.ExternalPlayer
		g.externalPlayer(token, id).into(200, &player)
		receipt := answer.Results[i].Receipt
		require.Equal(t, httpapi.ExternalPlayer{UserID: receipt.UserID, Username: receipt.Username, ExternalID: id}, player)
	}
	g.externalPlayer(token, strings.Repeat("x", 129)).problem(422, "invalid-request", "external_id")

	// They are players as any other, whom nobody logs in as.
	var page httpapi.Leaderboard
	g.do(request{method: "GET", path: "/v1/leaderboard/global?game_id=race"}).into(200, &page)
	require.Equal(t, one.Username, *page.Leaderboard[0].Username)
	require.Equal(t, int64(8), page.Leaderboard[0].Score)
	for _, password := range []string{"", "correct horse"} {
		require.GreaterOrEqual(t, g.do(request{method: "POST", path: "/v1/auth/token", body: credentials(one.Username, password)}).status, 401)
	}

	// Single calls name them so, too.
	single := func(token, body string) response {
		return g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: body})
	}
	var receipt httpapi.Receipt
	single(token, external("steam:1", "race", 9)).into(200, &receipt)
	require.Equal(t, one.UserID, receipt.UserID)
	single(token, external("steam:2", "race", 9)).problem(404, "no-player", "external_id")
	single(token, external("", "race", 9)).problem(422, "invalid-request", "external_id")
	single(token, itemOf(one.UserID, "race", 9, `"external_id":"steam:1"`)).problem(422, "invalid-request", "external_id")
	_, player := g.player("ada")
	single(player, external("steam:1", "race", 9)).problem(403, "forbidden", "external_id")

	g.do(request{method: "POST", path: "/v1/scores/batch", token: token, body: `{"items":[` + external("steam:1", "race", 1) + `],"create_players":1}`}).problem(422, "invalid-request", "create_players")
	g.sql("UPDATE players SET state = 'disabled' WHERE id = $1", one.UserID)
	refused(t, g.createPlayers(token, external("steam:1", "race", 9)).Results[0], 403, "forbidden", "external_id")
	single(token, external("steam:1", "race", 9)).problem(403, "forbidden", "external_id")
}

// However many servers make the player of an external id at once, there is one.
func TestCreatingPlayersAtOnce(t *testing.T) {
	g := newGame(t, gameOptions{})
	token := g.submitter()
	const callers, each = 6, 50
	var group sync.WaitGroup
	players := make([][]string, callers)
	for i := range callers {
		group.Go(func() {
			items := make([]string, each)
			for j := range items {
				items[(j*7+i*13)%each] = external(fmt.Sprintf("id-%d", j), "", int64(i))
			}
			for _, result := range g.createPlayers(token, items...).Results {
				players[i] = append(players[i], result.Receipt.UserID)
			}
		})
	}
	group.Wait()

	require.Equal(t, each, g.count("players"))
	require.Equal(t, each, g.count("external_ids"))
	require.Equal(t, each, g.count("name_skeletons"))
	require.Equal(t, callers*each, g.count("score_events"))
	for i := range callers {
		require.ElementsMatch(t, players[0], players[i])
	}
}

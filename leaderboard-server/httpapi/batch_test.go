package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// batch is the body of a batch of items.
func batch(items ...string) string { return `{"items":[` + strings.Join(items, ",") + `]}` }

// itemOf is an item of a batch; further are fields of it, as JSON.
func itemOf(player, board string, score int64, further ...string) string {
	item := strings.TrimSuffix(submissionOf(player, board, score), "}")
	return strings.Join(append([]string{item}, further...), ",") + "}"
}

// submitter logs a service account in that may submit.
func (g *game) submitter() string {
	return g.serviceToken("batch-server", g.account("batch-server", accounts.Submit, accounts.Read), "")
}

// submitAll sends a batch, which is accepted as a whole.
func (g *game) submitAll(token string, items ...string) httpapi.BatchResults {
	g.t.Helper()
	var answer httpapi.BatchResults
	g.do(request{method: "POST", path: "/v1/scores/batch", token: token, body: batch(items...)}).into(200, &answer)
	require.Len(g.t, answer.Results, len(items))
	require.Equal(g.t, len(items), answer.Accepted+answer.Repeated+answer.Refused+answer.Unknown)
	return answer
}

// refused checks that an item was refused for this reason.
func refused(t *testing.T, result httpapi.BatchResult, status int, slug string, fields ...string) {
	t.Helper()
	require.Equal(t, httpapi.Refused, result.Status)
	require.Nil(t, result.Receipt)
	require.Equal(t, "https://leaderboard.dev/problems/"+slug, result.Problem.Type, "%v", result.Problem)
	require.Equal(t, status, result.Problem.Status)
	var named []string
	if result.Problem.Errors != nil {
		for _, e := range *result.Problem.Errors {
			named = append(named, e.Field)
		}
	}
	require.Equal(t, fields, named)
}

// An item that is refused is told why, and refuses no other.
func TestABatchOfAllKinds(t *testing.T) {
	g := newGame(t, gameOptions{boards: `{"boards": [{"name": "race", "minScore": 0, "maxScore": 1000}, {"name": "coins", "scoring": "Sum", "countsTowardGlobal": false},
		{"name": "ranked", "submitters": "Servers"}, {"name": "rally", "columns": [{"name": "medals"}], "metadata": {}}]}`})
	ada, own := g.player("ada")
	grace, _ := g.player("grace")
	mallory, _ := g.player("mallory")
	g.sql("UPDATE players SET state = 'disabled' WHERE username = 'mallory'")
	token := g.submitter()

	items := []string{
		itemOf(ada, "race", 10),
		itemOf(grace, "race", 20, `"idempotency_key":"r1"`),
		itemOf(nobody, "race", 1),
		itemOf(mallory, "race", 1),
		itemOf(ada, "chess", 1),
		itemOf(ada, "race", 1001),
		`{"score":"ten","user_id":"` + ada + `","points":1}`,
		`{"score":1}`,
		`{"score":1,"user_id":"ada"}`,
		itemOf(ada, "race", 1, `"score":2`),
		`17`,
		itemOf(ada, "race", 1, `"idempotency_key":""`),
		itemOf(ada, "race", 1, `"idempotency_key":"ä"`),
		itemOf(ada, "race", 1, `"metadata":{}`),
		itemOf(ada, "rally", 5, `"columns":{"medals":3},"metadata":{"car":"gt"}`),
		itemOf(ada, "rally", 5),
		itemOf(ada, "ranked", 7),
		itemOf(ada, "", 50),
		itemOf(grace, "race", 20, `"idempotency_key":"r1"`),
		itemOf(grace, "race", 21, `"idempotency_key":"r1"`),
		itemOf(grace, "race", 1001, `"idempotency_key":"r2"`),
	}
	answer := g.submitAll(token, items...)
	require.Equal(t, 5, answer.Accepted)
	require.Equal(t, 1, answer.Repeated)
	require.Equal(t, len(items)-6, answer.Refused)

	results := answer.Results
	for i, want := range map[int]string{0: "ada", 1: "grace", 14: "ada", 16: "ada", 17: "ada"} {
		require.Equal(t, httpapi.Accepted, results[i].Status, "%d", i)
		require.Equal(t, want, results[i].Receipt.Username)
		require.Equal(t, httpapi.Live, results[i].Receipt.Ranking)
		require.False(t, results[i].Receipt.Replayed)
	}
	require.Equal(t, ada, results[0].Receipt.UserID)
	require.Equal(t, int64(10), results[0].Receipt.ScoreSaved)
	require.Equal(t, "race", results[0].Receipt.GameID)
	require.Equal(t, httpapi.Columns{"medals": 3}, *results[14].Receipt.Columns)
	refused(t, results[2], 404, "no-player", "user_id")
	refused(t, results[3], 403, "forbidden", "user_id")
	refused(t, results[4], 404, "no-board", "game_id")
	refused(t, results[5], 422, "score-out-of-range", "score")
	refused(t, results[6], 422, "invalid-request", "points", "score")
	refused(t, results[7], 422, "invalid-request", "user_id")
	refused(t, results[8], 422, "invalid-request", "user_id")
	refused(t, results[9], 400, "malformed-request", "score")
	refused(t, results[10], 400, "malformed-request")
	refused(t, results[11], 422, "invalid-request", "idempotency_key")
	refused(t, results[12], 422, "invalid-request", "idempotency_key")
	refused(t, results[13], 422, "invalid-request", "metadata")
	refused(t, results[15], 422, "invalid-request", "columns.medals")
	require.Equal(t, httpapi.Repeated, results[18].Status)
	require.Equal(t, int64(20), results[18].Receipt.ScoreSaved)
	require.True(t, results[18].Receipt.Replayed)
	refused(t, results[19], 409, "idempotency-key-reused", "idempotency_key")
	refused(t, results[20], 422, "score-out-of-range", "score")
	require.Equal(t, 5, g.count("score_events"))

	// A batch and single calls share the keys of the account.
	single := g.do(request{method: "POST", path: "/v1/scores/submit", token: token, header: map[string]string{"Idempotency-Key": "r1"}, body: submissionOf(grace, "race", 20)})
	require.Equal(t, "true", single.header.Get("Idempotency-Replayed"))
	var entry httpapi.Entry
	g.do(request{method: "GET", path: "/v1/leaderboard/my_rank?game_id=race", token: own}).into(200, &entry)
	require.Equal(t, int64(2), entry.Rank)
}

// Repeating a whole batch stores nothing, and what it missed.
func TestRepeatingABatch(t *testing.T) {
	g := newGame(t, gameOptions{})
	ada, _ := g.player("ada")
	token := g.submitter()
	items := make([]string, leaderboard.MaxSubmissions)
	for i := range items {
		items[i] = itemOf(ada, "", int64(i), fmt.Sprintf(`"idempotency_key":"key-%d"`, i))
	}

	require.Equal(t, 600, g.submitAll(token, items[:600]...).Accepted)
	answer := g.submitAll(token, items...)
	require.Equal(t, 600, answer.Repeated)
	require.Equal(t, 400, answer.Accepted)
	for i, result := range answer.Results {
		require.Equal(t, int64(i), result.Receipt.ScoreSaved)
	}
	require.Equal(t, len(items), g.count("score_events"))
}

// What depends on the order of a player's scores has the order of the items.
func TestABatchKeepsItsOrder(t *testing.T) {
	g := newGame(t, gameOptions{boards: `{"boards": [{"name": "mood", "scoring": "Latest", "countsTowardGlobal": false}, {"name": "coins", "scoring": "Sum", "countsTowardGlobal": false}]}`})
	token := g.submitter()
	var players, items []string
	for i := range 3 {
		id, _ := g.player(fmt.Sprintf("player-%d", i))
		players = append(players, id)
	}
	const each = 40
	for n := range int64(each) {
		for _, id := range players {
			items = append(items, itemOf(id, "mood", (n*7)%each), itemOf(id, "coins", 1))
		}
	}

	answer := g.submitAll(token, items...)
	require.Equal(t, len(items), answer.Accepted)
	for i, result := range answer.Results {
		n := int64(i / (2 * len(players)))
		if i%2 == 0 {
			require.Equal(t, (n*7)%each, *result.Receipt.Score, "the latest is the item itself")
		} else {
			require.Equal(t, n+1, *result.Receipt.Score)
		}
	}
}

// What is wrong with a batch as a whole refuses all of it.
func TestBatchesThatAreRefused(t *testing.T) {
	g := newGame(t, gameOptions{change: func(o *httpapi.Options) { o.HTTP.BodyBudget = 16 << 20 }})
	ada, _ := g.player("ada")
	token := g.submitter()
	post := func(body string) response {
		return g.do(request{method: "POST", path: "/v1/scores/batch", token: token, body: body})
	}
	good := itemOf(ada, "", 1)
	many := func(n int) string {
		return batch(strings.Split(strings.TrimSuffix(strings.Repeat(good+"\n", n), "\n"), "\n")...)
	}

	p := post(many(1001)).problem(422, "invalid-request", "items")
	require.Contains(t, p.Detail, "1001")
	require.Contains(t, p.Detail, "at most 1000")
	post(batch()).problem(422, "invalid-request", "items")
	post(`{}`).problem(422, "invalid-request", "items")
	post(`{"items":null}`).problem(422, "invalid-request", "items")
	post(`{"items":{}}`).problem(422, "invalid-request", "items")
	post(`{"items":[`+good+`],"scores":[]}`).problem(422, "invalid-request", "scores")
	post(`{"items":[`+good+`],"items":[]}`).problem(400, "malformed-request", "items")
	post(`[`+good+`]`).problem(400, "malformed-request")
	post(`{"items":[`+good+`,{]}`).problem(400, "malformed-request")
	post(`{"items":[`+good).problem(400, "malformed-request")
	post(batch(good)+"x").problem(400, "malformed-request")
	post("{\"items\":[\"\xff\"]}").problem(400, "malformed-request")
	require.Contains(t, post(batch(good, `"`+strings.Repeat("x", 10<<20)+`"`)).problem(413, "body-too-large").Detail, "4194304")
	g.do(request{method: "POST", path: "/v1/scores/batch?dry=1", token: token, body: batch(good)}).problem(422, "invalid-request", "dry")
	require.Zero(t, g.count("score_events"))

	require.Equal(t, 1000, g.submitAll(token, strings.Split(strings.TrimSuffix(strings.Repeat(good+"\n", 1000), "\n"), "\n")...).Accepted)
	require.Equal(t, 1000, g.count("score_events"))
}

// Where the ledger fails nobody knows what was stored.
func TestABatchWithoutLedger(t *testing.T) {
	g := newGame(t, gameOptions{})
	ada, _ := g.player("ada")
	token := g.submitter()
	g.sql("ALTER TABLE score_events RENAME TO hidden")
	answer := g.submitAll(token, itemOf(ada, "", 1))
	require.Equal(t, httpapi.Unknown, answer.Results[0].Status)
	require.NotNil(t, answer.Results[0].Problem)
	require.Equal(t, "https://leaderboard.dev/problems/unavailable", answer.Results[0].Problem.Type)
	g.sql("ALTER TABLE hidden RENAME TO score_events")
	require.Equal(t, 1, g.submitAll(token, itemOf(ada, "", 1)).Accepted)
}

package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
)

// reviewFile has boards that hold submissions back.
const reviewFile = `{"boards": [
	{"name": "race", "metadata": {}, "columns": [{"name": "deaths", "order": "Ascending"}], "review": {"when": "Always"}},
	{"name": "golf", "order": "Ascending", "review": {"when": "Suspicious", "betterThan": 50}},
	{"name": "coins", "scoring": "Sum", "review": {"when": "Suspicious", "betterThan": 100}},
	{"name": "laps", "allTime": false, "windows": [{"name": "daily", "schedule": "daily"}], "review": {"when": "Always"}},
	{"name": "rating", "scoring": "Latest", "review": {"when": "Suspicious", "improvementAbove": 10}},
	{"name": "climb", "review": {"when": "Suspicious", "betterThan": 1000, "improvementAbove": 10}},
	{"name": "free"}],
	"global": {"review": {"when": "Suspicious", "betterThan": 900}}}`

// heldBack submits a score that is held back.
func (g *game) heldBack(token, body, key string) (held httpapi.HeldSubmission) {
	g.t.Helper()
	r := request{method: "POST", path: "/v1/scores/submit", token: token, body: body}
	if key != "" {
		r.header = map[string]string{"Idempotency-Key": key}
	}
	g.do(r).into(202, &held)
	require.Equal(g.t, "pending", held.Status)
	return held
}

// deciding is the call that accepts a submission, or rejects it.
func deciding(token string, id int64, action string) request {
	return request{method: "POST", path: fmt.Sprintf("/v1/admin/submissions/%d/%s", id, action), token: token, body: because("looked at")}
}

func (g *game) decide(token string, id int64, action string) (decision httpapi.Decision) {
	g.t.Helper()
	g.do(deciding(token, id, action)).into(200, &decision)
	return decision
}

// pending are the scores that wait for a decision.
func (g *game) pending(token, query string) (scores []int64, page httpapi.HeldSubmissions) {
	g.t.Helper()
	g.do(request{method: "GET", path: "/v1/admin/submissions" + query, token: token}).into(200, &page)
	for _, s := range page.Submissions {
		scores = append(scores, s.Score)
	}
	return scores, page
}

func TestReview(t *testing.T) {
	g := newGame(t, gameOptions{boards: reviewFile, change: often})
	ada, adas := g.player("ada")
	_, graces := g.player("grace")
	moderator, server := g.moderator(), g.submitter()

	t.Run("what is held back", func(t *testing.T) {
		g.t = t
		for _, c := range []struct {
			token, board string
			score        int64
			held         bool
		}{
			{adas, "golf", 50, false}, {adas, "golf", 51, false}, {adas, "golf", 49, true},
			{adas, "coins", 100, false}, {adas, "coins", 101, true}, {adas, "coins", -5, false},
			{adas, "", 900, false}, {adas, "", 901, true}, {adas, "free", 5000, false},
		} {
			answer := g.do(request{method: "POST", path: "/v1/scores/submit", token: c.token, body: submission(c.board, c.score)})
			require.Equal(t, map[bool]int{false: 200, true: 202}[c.held], answer.status, "%v: %s", c, answer.body)
		}
		// A server vouches for what it submits.
		answer := g.do(request{method: "POST", path: "/v1/scores/submit", token: server, body: submissionOf(ada, "golf", 45)})
		require.Equal(t, 200, answer.status)
		require.Equal(t, 1, g.submitAll(server, itemOf(ada, "golf", 44)).Accepted)

		scores, _ := g.pending(moderator, "")
		require.Equal(t, []int64{49, 101, 901}, scores, "the oldest first")
		g.shows("/v1/boards/golf/entries?page=1", "ada 44")
		g.shows("/v1/boards/coins/entries?page=1", "ada 95")
		g.shows("/v1/boards/global/entries?page=1", "ada 5000")
		for _, s := range scores {
			g.do(deciding(moderator, g.idOf(moderator, s), "reject")).into(200, new(httpapi.Decision))
		}
		g.shows("/v1/boards/coins/entries?page=1", "ada 95")
	})

	t.Run("improvements", func(t *testing.T) {
		g.t = t
		id, token := g.player("climber")
		keyed := map[string]string{"Idempotency-Key": "a leap"}
		for _, board := range []string{"climb", "rating"} {
			g.submit(token, board, 500)
			g.submit(token, board, 510)
			leap := request{method: "POST", path: "/v1/scores/submit", token: token, body: submission(board, 521), header: keyed}
			var held httpapi.HeldSubmission
			g.do(leap).into(202, &held)
			g.shows("/v1/boards/"+board+"/entries?page=1", "climber 510")
			again := g.heldBack(token, leap.body, keyed["Idempotency-Key"])
			require.Equal(t, held, again)
			_, page := g.pending(moderator, "?board="+board)
			require.Equal(t, "improvement-above", *page.Submissions[0].Reason)

			g.decide(moderator, held.Submission, "accept")
			g.shows("/v1/boards/"+board+"/entries?page=1", "climber 521")
			require.True(t, g.do(leap).status == 200)
			g.submit(token, board, 531)
			g.do(request{method: "POST", path: "/v1/scores/submit", token: server, body: submissionOf(id, board, 600)}).into(200, new(httpapi.Receipt))
			g.submit(token, board, 610)
			var described httpapi.Board
			g.get("/v1/boards/"+board, &described)
			require.Nil(t, described.MaxImprovement, "nothing is refused for it")
			require.Equal(t, "Suspicious", *described.Review)
			keyed = map[string]string{"Idempotency-Key": "another leap"}
		}
		_, first := g.player("newcomer")
		g.heldBack(first, submission("climb", 1001), "")
		g.decide(moderator, g.idOf(moderator, 1001), "reject")
	})

	t.Run("accepted", func(t *testing.T) {
		g.t = t
		body := encode(map[string]any{"game_id": "race", "score": 70, "columns": map[string]int{"deaths": 3}, "metadata": map[string]string{"car": "gt"}})
		held := g.heldBack(adas, body, "")
		require.Equal(t, ada, held.UserID)
		require.Equal(t, "race", held.GameID)
		require.Nil(t, held.Reason, "the player is not told the rule")
		g.shows("/v1/boards/race/entries?page=1")

		scores, page := g.pending(server, "?board=race")
		require.Equal(t, []int64{70}, scores)
		require.Equal(t, "always", *page.Submissions[0].Reason)
		require.Equal(t, json.RawMessage(`{"car":"gt"}`), page.Submissions[0].Metadata)

		decision := g.decide(server, held.Submission, "accept")
		require.True(t, decision.Record.Changed)
		require.Equal(t, "submission "+strconv.FormatInt(held.Submission, 10)+", event "+strconv.FormatInt(*decision.Submission.Event, 10), *decision.Record.What)
		g.shows("/v1/boards/race/entries?page=1", "ada 70")
		var entries httpapi.BoardEntries
		g.get("/v1/boards/race/entries?page=1&include=metadata", &entries)
		require.JSONEq(t, `{"car":"gt"}`, string(entries.Entries[0].Metadata))
		require.Equal(t, httpapi.Columns{"deaths": 3}, *entries.Entries[0].Columns)

		again := g.decide(moderator, held.Submission, "accept")
		require.False(t, again.Record.Changed, "it is so already")
		require.Equal(t, decision.Submission, again.Submission)
		g.do(deciding(moderator, held.Submission, "reject")).problem(409, "submission-decided", "submission")
		require.Equal(t, 1, len(g.history(adas, "race", "me", "").Submissions), "it counts once")
	})

	t.Run("rejected", func(t *testing.T) {
		g.t = t
		held := g.heldBack(graces, submission("coins", 500), "")
		require.True(t, g.decide(moderator, held.Submission, "reject").Record.Changed)
		require.False(t, g.decide(moderator, held.Submission, "reject").Record.Changed)
		g.do(deciding(moderator, held.Submission, "accept")).problem(409, "submission-decided", "submission")
		require.Empty(t, g.history(graces, "coins", "me", "").Submissions)

		var own httpapi.HeldSubmissions
		g.do(request{method: "GET", path: "/v1/players/me/submissions/held?page_size=1", token: graces}).into(200, &own)
		require.Equal(t, []any{"rejected", int64(500)}, []any{own.Submissions[0].Status, own.Submissions[0].Score})
		require.NotNil(t, own.Submissions[0].DecidedAt)
		g.do(request{method: "GET", path: "/v1/players/me/submissions/held?cursor=" + *own.NextCursor, token: graces}).into(200, &own)
		require.Len(t, own.Submissions, 0)
		require.Len(t, *g.export(adas).HeldSubmissions, 4, "three were rejected, one was accepted")
	})

	t.Run("repetitions", func(t *testing.T) {
		g.t = t
		repeat := func(score int64, key string) response {
			return g.do(request{method: "POST", path: "/v1/scores/submit", token: graces, body: submission("golf", score), header: map[string]string{"Idempotency-Key": key}})
		}
		first := g.heldBack(graces, submission("golf", 40), "first")
		require.Equal(t, first, g.heldBack(graces, submission("golf", 40), "first"))
		repeat(41, "first").problem(409, "idempotency-key-reused", "Idempotency-Key")
		g.decide(moderator, first.Submission, "accept")
		var receipt httpapi.Receipt
		answer := repeat(40, "first")
		answer.into(200, &receipt)
		require.Equal(t, "true", answer.header.Get("Idempotency-Replayed"))
		require.True(t, receipt.Replayed)

		second := g.heldBack(graces, submission("golf", 39), "second")
		g.decide(moderator, second.Submission, "reject")
		repeat(39, "second").problem(403, "submission-rejected")

		// One that was taken before the board held it back, and the other way round.
		third := g.heldBack(graces, submission("golf", 38), "third")
		require.Equal(t, 200, repeat(60, "fourth").status)
		g.reload(strings.Replace(reviewFile, `"betterThan": 50`, `"betterThan": 70`, 1))
		require.Equal(t, 200, repeat(60, "fourth").status, "it counts already")
		g.reload(strings.Replace(reviewFile, `"order": "Ascending", "review": {"when": "Suspicious", "betterThan": 50}`, `"order": "Ascending"`, 1))
		require.Equal(t, third, g.heldBack(graces, submission("golf", 38), "third"))
		repeat(39, "second").problem(403, "submission-rejected")
		g.reload(reviewFile)
		g.decide(moderator, third.Submission, "reject")
		require.Len(t, g.history(graces, "golf", "me", "").Submissions, 2)
	})

	t.Run("a season that closed meanwhile", func(t *testing.T) {
		g.t = t
		g.openSeasons()
		held := g.heldBack(graces, submission("laps", 9), "")
		g.endSeason("laps")
		require.Eventually(t, func() bool {
			return g.do(deciding(moderator, held.Submission, "accept")).status == 200 // 404 while no season is open
		}, patience, 20*time.Millisecond)
		g.shows("/v1/boards/laps/entries?page=1&window=daily&season=1")
		g.shows("/v1/boards/laps/entries?page=1&window=daily", "grace 9")
	})

	t.Run("players who were moderated", func(t *testing.T) {
		g.t = t
		id, token := g.player("mallory")
		held := g.heldBack(token, submission("golf", 1), "")
		g.moderate(moderator, "players/"+id+"/ban")
		g.do(deciding(moderator, held.Submission, "accept")).problem(403, "forbidden", "user_id")
		attack.Refused(t, "a submission that is held back of a player who was banned since", "forbidden")
		g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("golf", 1)}).problem(403, "forbidden")
		g.moderate(moderator, "players/"+id+"/unban")

		g.moderate(moderator, "boards/golf/players/"+id+"/remove")
		g.do(deciding(moderator, held.Submission, "accept")).problem(409, "submission-decided", "submission")
		attack.Refused(t, "a submission that is held back of a player who was taken off the board since", "submission-decided")
		later := g.heldBack(token, submission("golf", 2), "")
		require.True(t, g.decide(moderator, later.Submission, "accept").Record.Changed)

		// Of who is shadow banned they are held back and accepted as all others, and not shown.
		g.moderate(moderator, "players/"+id+"/shadow_ban")
		shadow := g.heldBack(token, submission("golf", 0), "")
		require.True(t, g.decide(moderator, shadow.Submission, "accept").Record.Changed)
		g.shows("/v1/boards/golf/entries?page=1", "grace 40", "ada 44")
		g.moderate(moderator, "players/"+id+"/shadow_unban")
		g.shows("/v1/boards/golf/entries?page=1", "mallory 0", "grace 40", "ada 44")
		require.Equal(t, 200, g.do(erasureOf(id, g.admin())).status)
		g.do(deciding(moderator, held.Submission, "reject")).problem(404, "no-submission", "submission")
	})

	t.Run("no room", func(t *testing.T) {
		g.t = t
		_, token := g.player("eager")
		for i := range leaderboard.MaxHeldOfPlayer {
			g.heldBack(token, submission("golf", int64(i)), "")
		}
		g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: submission("golf", 30)}).problem(409, "too-many-pending")
		attack.Refused(t, "one player's submissions that fill the list of those who decide", "too-many-pending")
		first := g.heldBack(token, submission("coins", 300), "") // another board
		_, page := g.pending(moderator, "?board=golf&page_size=1")
		g.decide(moderator, page.Submissions[0].Submission, "reject")
		g.heldBack(token, submission("golf", 30), "")

		g.sql("INSERT INTO held_submissions (id, player, board, score, reason) SELECT 1000000 + n, 1, 1, 0, 'always' FROM generate_series(1, $1) n", leaderboard.MaxHeld)
		_, other := g.player("late")
		g.do(request{method: "POST", path: "/v1/scores/submit", token: other, body: submission("golf", 30)}).problem(409, "too-many-pending")
		g.sql("DELETE FROM held_submissions WHERE id > 1000000")
		g.decide(moderator, first.Submission, "reject")
	})

	t.Run("attacks", func(t *testing.T) {
		g.t = t
		_, token := g.player("trudy")
		held := g.heldBack(token, submission("golf", 7), "")
		refused := func(attempt string, r request, status int, slug string, fields ...string) {
			t.Helper()
			g.do(r).problem(status, slug, fields...)
			attack.Refused(t, attempt, slug)
		}
		refused("a player accepts its own submission", deciding(token, held.Submission, "accept"), 403, "insufficient-scope")
		refused("a player reads what waits for a decision", request{method: "GET", path: "/v1/admin/submissions", token: token}, 403, "insufficient-scope")
		reader := g.serviceToken("reader", g.account("reader", accounts.Read), "")
		refused("a server that may only read accepts a submission", deciding(reader, held.Submission, "accept"), 403, "insufficient-scope")
		refused("a submission is accepted with the number of an event", deciding(moderator, held.Submission+1_000_000, "accept"), 404, "no-submission", "submission")
		refused("a submission is accepted with a number that is none", request{method: "POST", path: "/v1/admin/submissions/1e3/accept", token: moderator, body: because("x")}, 422, "invalid-request", "submission")
		refused("a submission is accepted without a reason", request{method: "POST", path: deciding("", held.Submission, "accept").path, token: moderator, body: "{}"}, 422, "invalid-request", "reason")
		refused("a held submission's number as an event to void", request{method: "POST", path: fmt.Sprintf("/v1/admin/boards/golf/players/%s/events/%d/void", held.UserID, held.Submission), token: moderator, body: because("x")}, 404, "no-event", "event")

		other := newGame(t, gameOptions{boards: reviewFile})
		refused("another game's moderator accepts a submission", deciding(other.moderator(), held.Submission, "accept"), 401, "unauthenticated")
		_, page := g.pending(moderator, "?board=golf")
		require.Equal(t, held.Submission, page.Submissions[len(page.Submissions)-1].Submission, "it waits as before")
	})
}

// idOf is the number of the submission that waits with a score.
func (g *game) idOf(token string, score int64) int64 {
	_, page := g.pending(token, "")
	for _, s := range page.Submissions {
		if s.Score == score {
			return s.Submission
		}
	}
	g.t.Fatalf("no submission waits with the score %d", score)
	return 0
}

// decided is the number of a submission that was held back and accepted, by a board that is gone
// again.
func (g *game) decided(player, moderator string) int64 {
	g.reload(reviewFile)
	held := g.heldBack(player, submission("golf", 5), "")
	g.decide(moderator, held.Submission, "accept")
	g.reload(windowsFile)
	return held.Submission
}

// reload has the game have other boards.
func (g *game) reload(file string) {
	boards, err := leaderboard.ParseBoards([]byte(file))
	require.NoError(g.t, err)
	require.NoError(g.t, g.service.Reload(g.t.Context(), boards))
}

// reviewCalls has a good request for each call of those who decide, about a submission.
func reviewCalls(submission int64) map[string]request {
	return map[string]request{
		"pendingSubmissions": {method: "GET", path: "/v1/admin/submissions?page_size=1"},
		"decideSubmission":   deciding("", submission, "accept"),
	}
}

// showReview shows all that the contract documents of submissions that are held back.
func (g *game) showReview(player string) {
	t := g.t
	g.reload(reviewFile)
	moderator := g.serviceToken("reviewers", g.account("reviewers", accounts.Moderate), "")
	held := g.heldBack(player, submission("golf", 5), "")
	own := request{method: "GET", path: "/v1/players/me/submissions/held", token: player}
	each := func(status int, slug string, change func(*request)) {
		t.Helper()
		calls := reviewCalls(held.Submission)
		calls["ownHeldSubmissions"] = own
		for name, r := range calls {
			if r.token == "" {
				r.token = moderator
			}
			before := r
			change(&r)
			if r.method == before.method && r.path == before.path && r.token == before.token && r.body == before.body && r.server == before.server && r.header == nil {
				continue // it has no body
			}
			answer := g.do(r)
			require.Equal(t, status, answer.status, "%s: %s", name, answer.body)
			require.Contains(t, string(answer.body), "/problems/"+slug, name)
		}
	}
	withBody := func(body string) func(*request) {
		return func(r *request) {
			if r.method == "POST" {
				r.body = body
			}
		}
	}

	each(400, "malformed-request", withBody("{"))
	each(401, "unauthenticated", func(r *request) { r.token = "" })
	each(413, "body-too-large", withBody(because(strings.Repeat("x", 64<<10))))
	each(415, "unsupported-media-type", func(r *request) {
		if r.method == "POST" {
			r.header = map[string]string{"Content-Type": "text/plain"}
		}
	})
	each(422, "invalid-request", func(r *request) {
		path, _, _ := strings.Cut(r.path, "?")
		r.path = path + "?page_size=0"
	})
	starting := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { return nil } })
	each(503, "unavailable", func(r *request) { *r = starting(*r) })
	panics := g.withBroken(func(o *httpapi.Options) { o.Service = func() *leaderboard.Service { panic("a defect") } })
	each(500, "internal-error", func(r *request) { *r = panics(*r) })
	for _, r := range reviewCalls(held.Submission) {
		r.token = player
		g.do(r).problem(403, "insufficient-scope")
	}
	own.token = moderator
	g.do(own).problem(403, "not-a-player")
	g.do(request{method: "GET", path: "/v1/admin/submissions?board=chess", token: moderator}).problem(404, "no-board", "board")
	g.do(deciding(moderator, held.Submission, "praise")).problem(404, "not-found")

	require.Equal(t, 200, g.do(request{method: "GET", path: fmt.Sprintf("/v1/admin/submissions?board=golf&page_size=1&cursor=%d", held.Submission-1), token: moderator}).status)
	require.Equal(t, 200, g.do(request{method: "GET", path: fmt.Sprintf("/v1/players/me/submissions/held?page_size=1&cursor=%d", held.Submission), token: player}).status)
	g.decide(moderator, held.Submission, "accept")
	g.do(deciding(moderator, held.Submission, "reject")).problem(409, "submission-decided", "submission")
}

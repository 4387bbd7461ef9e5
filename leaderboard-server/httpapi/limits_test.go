package httpapi_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
)

// What a board limits is told, holds for whoever submits for the player, and is said with each
// submission.
func TestLimitsOfABoard(t *testing.T) {
	g := newGame(t, gameOptions{boards: `{"boards": [{"name": "arena", "limits": {"perMinute": 3}}, {"name": "run", "scoring": "Sum", "limits": {"cooldownSeconds": 600}},
		{"name": "tries", "limits": {"attempts": [{"window": "all", "max": 2}]}}], "global": {"limits": {"perMinute": 1}}}`})
	id, token := g.player("ada")
	other, _ := g.player("grace")
	service := g.serviceToken("match-server", g.account("match-server", accounts.Submit), "")
	submit := func(token, board string) response {
		body := submission(board, 5)
		if token == service {
			body = submissionOf(id, board, 5)
		}
		return g.do(request{method: "POST", path: "/v1/scores/submit", token: token, body: body})
	}

	t.Run("boards say them", func(t *testing.T) {
		g.t = t
		var arena, run, tries httpapi.Board
		g.get("/v1/boards/arena", &arena)
		g.get("/v1/boards/run", &run)
		g.get("/v1/boards/tries", &tries)
		require.Equal(t, httpapi.BoardLimits{PerMinute: new(3)}, *arena.Limits)
		require.Equal(t, httpapi.BoardLimits{CooldownSeconds: new(600)}, *run.Limits)
		require.Equal(t, []httpapi.BoardAttempts{{Window: "all", Max: 2}}, *tries.Limits.Attempts)
	})
	t.Run("a minute", func(t *testing.T) {
		g.t = t
		for i, by := range []string{token, service, token} {
			answer := submit(by, "arena")
			answer.into(200, new(httpapi.Receipt))
			require.Equal(t, `"per-minute";q=3;w=60`, answer.header.Get("RateLimit-Policy"))
			require.Regexp(t, `^"per-minute";r=`+strconv.Itoa(2-i)+`;t=([1-5]?[0-9]|60)$`, answer.header.Get("RateLimit"))
		}
		for _, by := range []string{token, service} {
			answer := submit(by, "arena")
			problem := answer.problem(429, "limit-exceeded")
			attack.Refused(t, "a submission beyond those of a minute", problem.Detail)
			require.Equal(t, "per-minute", *problem.Limit)
			require.Equal(t, strconv.Itoa(*problem.RetryAfter), answer.header.Get("Retry-After"))
			require.LessOrEqual(t, *problem.RetryAfter, 60)
			require.Contains(t, problem.Detail, "there are 3 in any 60 s, and the next one is taken in "+answer.header.Get("Retry-After")+" s")
			require.Equal(t, `"per-minute";r=0;t=`+answer.header.Get("Retry-After"), answer.header.Get("RateLimit"))
		}
		submit(token, "").into(200, new(httpapi.Receipt)) // what arena brought to global does not count
		submit(token, "").problem(429, "limit-exceeded")
	})
	t.Run("attempts that never come back", func(t *testing.T) {
		g.t = t
		submit(token, "tries").into(200, new(httpapi.Receipt))
		require.Equal(t, `"attempts-all";r=0`, submit(token, "tries").header.Get("RateLimit"))
		answer := submit(service, "tries")
		problem := answer.problem(429, "limit-exceeded")
		attack.Refused(t, "a submission beyond the attempts, by a server", problem.Detail)
		require.Empty(t, answer.header.Get("Retry-After"))
		require.Nil(t, problem.RetryAfter)
		require.Contains(t, problem.Detail, "there are 2 in all, and no further one is taken")
	})
	t.Run("items of a batch", func(t *testing.T) {
		g.t = t
		var results httpapi.BatchResults
		g.do(request{method: "POST", path: "/v1/scores/batch", token: service, body: batch(itemOf(id, "run", 5), itemOf(id, "run", 6), itemOf(other, "run", 7))}).into(200, &results)
		require.Equal(t, []int{2, 1}, []int{results.Accepted, results.Refused})
		problem := results.Results[1].Problem
		require.Equal(t, "https://leaderboard.dev/problems/limit-exceeded", problem.Type)
		attack.Refused(t, "an item of a batch within the cooldown", problem.Detail)
		require.Equal(t, "cooldown", *problem.Limit)
		require.InDelta(t, 600, *problem.RetryAfter, 120)
	})
}

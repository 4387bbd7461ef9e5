package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// A client that logs in too often learns when it may do so again.
func TestALimitSaysWhenToComeBack(t *testing.T) {
	environment := environment(t)
	environment[config.EnvLoginRatePerClient] = "1/h burst 1"
	r := start(t, environment)
	r.waitFor(t, "serving")
	_, err := r.client.Register(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	_, err = r.client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)

	_, err = r.client.Login(t.Context(), "ada", "correct horse")
	var problem *gameclient.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, http.StatusTooManyRequests, problem.Status)
	require.Greater(t, problem.RetryAfter, 30*time.Minute)
	require.LessOrEqual(t, problem.RetryAfter, time.Hour)
}

package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// However many servers a game has, it takes no more submissions in a second than it may.
func TestAGameTakesSoManySubmissionsASecond(t *testing.T) {
	const most, clients = 5, 12
	environment := environment(t)
	environment[config.EnvCommitMaxPerSecond] = strconv.Itoa(most)
	servers := []*running{start(t, environment), start(t, environment)}
	for _, r := range servers {
		r.waitFor(t, "serving")
	}
	_, err := servers[0].client.Register(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	token, err := servers[0].client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)

	conn, err := pgx.Connect(t.Context(), environment[config.EnvDatabaseURL])
	require.NoError(t, err)
	defer conn.Close(context.Background())
	submit := func(r *running) error {
		_, err := r.client.Submit(t.Context(), token, "global", 5, "")
		return err
	}

	// A second that is not over while the test runs, as after the database's clock was set back.
	_, err = conn.Exec(t.Context(), "UPDATE submission_leases SET second = extract(epoch FROM now())::bigint + 3600, leased = 0")
	require.NoError(t, err)
	var mu sync.Mutex
	taken, refused := 0, 0
	var group sync.WaitGroup
	for _, r := range servers {
		for range clients {
			group.Go(func() {
				err := submit(r)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					taken++
					return
				}
				refused++
				if problem := (*gameclient.Problem)(nil); !errors.As(err, &problem) || problem.Status != http.StatusTooManyRequests || problem.RetryAfter != time.Second {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	require.LessOrEqual(t, taken, most)
	require.Positive(t, refused)
	for _, r := range servers {
		_, metrics := r.get(t, "/metrics")
		require.Regexp(t, `leaderboard_commit_limited_total\{limit="game"\} [1-9]`, metrics)
	}

	_, err = conn.Exec(t.Context(), "UPDATE submission_leases SET second = 0")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return submit(servers[0]) == nil }, patience, 10*time.Millisecond)
}

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

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// behindPooler is an environment whose database is reached through a new PgBouncer
// with the login of a game, as the operator renders it.
func behindPooler(t *testing.T, mode stores.PoolMode, poolSize int) (map[string]string, *stores.PgBouncer) {
	t.Helper()
	pooler, err := stores.StartPgBouncer(t.Context(), postgresServer, mode, poolSize)
	require.NoError(t, err)
	t.Cleanup(pooler.Close)

	environment := environment(t)
	direct, err := url.Parse(environment[config.EnvDatabaseURL])
	require.NoError(t, err)
	database := strings.TrimPrefix(direct.Path, "/")
	role, password := "lb_"+strings.ToLower(rand.Text()), rand.Text()
	for _, statement := range []string{
		"CREATE ROLE " + role + " LOGIN PASSWORD '" + password + "'",
		"ALTER ROLE " + role + " SET search_path = public",
		"ALTER ROLE " + role + " SET statement_timeout = '30s'",
		"ALTER ROLE " + role + " SET idle_in_transaction_session_timeout = '60s'",
		"ALTER DATABASE " + database + " OWNER TO " + role,
	} {
		require.NoError(t, postgresServer.Exec(t.Context(), database, statement))
	}
	require.NoError(t, pooler.Admit(t.Context(), database))

	environment[config.EnvPageSnapshotTTL] = "0s"
	environment[config.EnvDatabaseURL] = pooler.URL(role, password, database)
	environment[config.EnvDatabaseDirectURL] = postgresServer.UserURL(role, password, database) + "&application_name=direct"
	return environment, pooler
}

// leaders are the servers that say that they lead.
func leaders(t *testing.T, servers ...*running) (leading []*running) {
	t.Helper()
	for _, r := range servers {
		if _, metrics := r.get(t, "/metrics"); strings.Contains(metrics, "\nleaderboard_catch_up_leading 1\n") {
			leading = append(leading, r)
		}
	}
	return leading
}

// Two servers of a game serve through PgBouncer, which has fewer connections than
// they: submissions, repetitions, boards, ranks and reports are exact, one of the
// servers leads on a session of its own, and both survive the pooler's absence.
func TestServesThroughPgBouncer(t *testing.T) {
	for mode, poolSize := range map[stores.PoolMode]int{stores.PoolTransaction: 3, stores.PoolSession: 40} {
		t.Run(string(mode), func(t *testing.T) {
			environment, pooler := behindPooler(t, mode, poolSize)
			first, second := start(t, environment), start(t, maps.Clone(environment))
			first.waitFor(t, "serving")
			second.waitFor(t, "serving")

			tokens := playThroughPooler(t, first, second)
			requireBoardOfPlayers(t, first, tokens)
			requireBoardOfPlayers(t, second, tokens)

			t.Run("one leads on a session of its own", func(t *testing.T) {
				require.Eventually(t, func() bool { return len(leaders(t, first, second)) == 1 }, patience, 20*time.Millisecond)
				conn, err := pgx.Connect(t.Context(), environment[config.EnvDatabaseURL])
				require.NoError(t, err)
				defer conn.Close(context.Background())

				var direct int
				require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'direct'").Scan(&direct))
				require.Positive(t, direct)
			})

			t.Run("what Redis lost is ranked again", func(t *testing.T) {
				loseKeys(t, "lb:"+environment[config.EnvTenant]+":*")
				requireBoardOfPlayers(t, second, tokens)
			})

			t.Run("the pooler goes and comes back", func(t *testing.T) {
				pooler.Kill()
				_, err := first.client.Submit(t.Context(), tokens[0], "", 1, "")
				var problem *gameclient.Problem
				require.ErrorAs(t, err, &problem)
				require.Equal(t, 503, problem.Status)

				require.NoError(t, pooler.Start(t.Context()))
				for _, r := range []*running{first, second} {
					require.Eventually(t, func() bool {
						_, err := r.client.Submit(t.Context(), tokens[0], "", 1, "")
						return err == nil
					}, patience, 20*time.Millisecond)
				}
				requireBoardOfPlayers(t, first, tokens)
			})

			t.Run("the other leads once the leader has gone", func(t *testing.T) {
				require.Eventually(t, func() bool { return len(leaders(t, first, second)) == 1 }, patience, 20*time.Millisecond)
				leader, other := leaders(t, first, second)[0], second
				if leader == second {
					other = first
				}

				leader.stop()
				require.Eventually(t, func() bool { return len(leaders(t, other)) == 1 }, patience, 20*time.Millisecond)
			})
		})
	}
}

// The best score of player i, in playThroughPooler.
func bestOf(i int) int64 { return int64(1000*(i+1) + submissionsPerPlayer) }

const poolerPlayers, submissionsPerPlayer = 6, 40

// playThroughPooler has every player submit to both servers at once, each score
// twice under one key, and returns the players' tokens.
func playThroughPooler(t *testing.T, servers ...*running) []string {
	t.Helper()
	for _, r := range servers {
		require.Eventually(t, func() bool {
			_, err := r.client.Page(t.Context(), "", 1, 10)
			return err == nil
		}, patience, 20*time.Millisecond, "the ranking is built")
	}

	tokens := make([]string, poolerPlayers)
	for i := range tokens {
		name := fmt.Sprintf("player-%d", i)
		_, err := servers[0].client.Register(t.Context(), name, "correct horse")
		require.NoError(t, err)
		tokens[i], err = servers[1].client.Login(t.Context(), name, "correct horse")
		require.NoError(t, err)
	}

	var group errgroup.Group
	group.SetLimit(30) // a player may have 32 submissions under way
	for i, token := range tokens {
		for n := range submissionsPerPlayer {
			group.Go(func() error {
				key := fmt.Sprint("key-", n)
				for _, r := range servers {
					receipt, err := r.client.Submit(t.Context(), token, "", int64(1000*(i+1)+n+1), key)
					if err != nil {
						return err
					}
					if receipt.ScoreSaved != int64(1000*(i+1)+n+1) {
						return fmt.Errorf("saved %d", receipt.ScoreSaved)
					}
				}
				return nil
			})
		}
	}

	require.NoError(t, group.Wait())
	return tokens
}

// requireBoardOfPlayers checks page, ranks and report against what was submitted.
func requireBoardOfPlayers(t *testing.T, r *running, tokens []string) {
	t.Helper()
	var expected, found []string
	for i := len(tokens) - 1; i >= 0; i-- {
		expected = append(expected, fmt.Sprintf("%d player-%d %d", len(tokens)-i, i, bestOf(i)))
	}

	require.Eventually(t, func() bool {
		page, err := r.client.Page(t.Context(), "", 1, 10)
		found = nil
		for _, entry := range page.Leaderboard {
			found = append(found, fmt.Sprintf("%d %s %d", entry.Rank, entry.Username, entry.Score))
		}
		return err == nil && slices.Equal(found, expected)
	}, patience, 20*time.Millisecond, "%v, expected %v", &found, expected)

	for i, token := range tokens {
		mine, err := r.client.Rank(t.Context(), token, "")
		require.NoError(t, err)
		require.EqualValues(t, len(tokens)-i, mine.Rank)
		require.Equal(t, bestOf(i), mine.Score)
	}

	today := time.Now().UTC()
	report, err := r.client.TopPlayers(t.Context(), tokens[0], "", today.AddDate(0, 0, -1), today, 10)
	require.NoError(t, err)
	require.Len(t, report, len(tokens))
	for place, row := range report[:len(tokens)-1] { // the last player submits more, later
		require.Equal(t, bestOf(len(tokens)-1-place), row.Score)
		require.EqualValues(t, submissionsPerPlayer, row.TotalScoresSubmitted, "a repetition counts once")
	}
}

// loseKeys deletes a game's keys from Redis.
func loseKeys(t *testing.T, pattern string) {
	t.Helper()
	admin := redisServer.Client()
	defer admin.Close()

	keys, err := admin.Keys(t.Context(), pattern).Result()
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	require.NoError(t, admin.Del(t.Context(), keys...).Err())
}

// Migrations need a session of their own, and go past the pooler.
func TestMigrationsGoPastThePooler(t *testing.T) {
	database, err := postgresServer.CreateDatabase(t.Context())
	require.NoError(t, err)
	var out strings.Builder
	environ := []string{config.EnvDatabaseURL + "=postgres://nobody@127.0.0.1:1/nowhere", config.EnvDatabaseDirectURL + "=" + postgresServer.URL(database)}
	require.NoError(t, run(t.Context(), []string{"migrate"}, environ, &out, io.Discard))
	require.Contains(t, out.String(), "schema public has version")
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

func TestCommands(t *testing.T) {
	var out, errs bytes.Buffer
	ctx := t.Context()
	require.NoError(t, run(ctx, []string{"version"}, nil, &out, &errs))
	require.Equal(t, version+"\n", out.String())
	out.Reset()
	require.NoError(t, run(ctx, []string{"keys"}, nil, &out, &errs))
	keys, err := keyset.Parse(out.Bytes())
	require.NoError(t, err)
	require.Len(t, keys.Keys(), 1)
	require.ErrorContains(t, run(ctx, []string{"dance"}, nil, &out, &errs), `"dance"`)
	require.Error(t, run(ctx, nil, nil, &out, &errs))
	require.Contains(t, errs.String(), "usage:")

	err = run(ctx, []string{"serve"}, []string{config.EnvTokenTTL + "=1s"}, &out, &errs)
	for _, name := range []string{config.EnvDatabaseURL, config.EnvRedisAddresses, config.EnvKeySetFile, config.EnvTokenTTL} {
		require.ErrorContains(t, err, name, "everything that is wrong is said at once")
	}
}

func TestMigrateCommand(t *testing.T) {
	database, err := postgresServer.CreateDatabase(t.Context())
	require.NoError(t, err)
	url := postgresServer.URL(database)

	for i, environ := range []string{url, url, url + "&search_path=games"} {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), []string{"migrate"}, []string{config.EnvDatabaseURL + "=" + environ}, &out, io.Discard))
		require.Contains(t, out.String(), []string{"schema public", "schema public", "schema games"}[i])
	}

	err = run(t.Context(), []string{"migrate"}, []string{config.EnvDatabaseURL + "=postgres://u:a-secret@127.0.0.1:1/x"}, io.Discard, io.Discard)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "a-secret")
}

// A server that starts before its stores says what is missing, answers 503, and
// serves by itself once they are there.
func TestReadinessNamesWhatIsMissing(t *testing.T) {
	own, err := stores.StartRedis(t.Context(), stores.RedisOptions{})
	require.NoError(t, err)
	defer own.Close()

	own.Stop()
	environment := environment(t)
	environment[config.EnvRedisAddresses] = own.Address()
	keys, err := os.ReadFile(environment[config.EnvKeySetFile])
	require.NoError(t, err)
	require.NoError(t, os.Remove(environment[config.EnvKeySetFile]))

	r := start(t, environment)
	missing := func() (names []string) {
		for _, m := range r.readiness(t).Missing {
			names = append(names, m.Dependency)
		}
		return names
	}

	status, _ := r.get(t, "/readyz")
	require.Equal(t, 503, status)
	require.Equal(t, []string{"signing keys", "redis"}, missing())
	status, _ = r.get(t, "/livez")
	require.Equal(t, 200, status)
	_, err = r.client.Login(t.Context(), "ada", "correct horse")
	var problem *gameclient.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, 503, problem.Status)

	require.NoError(t, os.WriteFile(environment[config.EnvKeySetFile], keys, 0o600))
	r.waitFor(t, "degraded")
	require.Equal(t, []string{"redis"}, missing())
	_, err = r.client.Register(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	token, err := r.client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	receipt, err := r.client.Submit(t.Context(), token, "", 7, "")
	require.NoError(t, err, "a server that starts without Redis accepts scores")
	require.Equal(t, "delayed", receipt.Ranking)

	require.NoError(t, own.Start(t.Context()))
	r.waitFor(t, "serving")
	own.Kill()
	r.waitFor(t, "degraded")
	status, body := r.get(t, "/readyz")
	require.Equal(t, 200, status, "scores are still accepted")
	require.Contains(t, body, "redis")
}

// A ranking that is not there yet is named; scores are accepted meanwhile.
func TestReadinessNamesARankingThatIsBeingBuilt(t *testing.T) {
	environment := environment(t)
	require.NoError(t, run(t.Context(), []string{"migrate"}, list(environment), io.Discard, io.Discard))
	// Whoever leads catch-up builds the ranking. As long as that is the test,
	// nobody does.
	other, err := postgres.Open(t.Context(), postgres.Options{URL: environment[config.EnvDatabaseURL]})
	require.NoError(t, err)
	defer other.Close()

	lead, _, err := other.TryLead(t.Context(), time.Second)
	require.NoError(t, err)
	release := sync.OnceFunc(lead.Release)
	defer release()

	r := start(t, environment)
	r.waitFor(t, "degraded")
	readiness := r.readiness(t)
	require.True(t, readiness.Ready)
	require.Len(t, readiness.Missing, 1)
	require.Equal(t, "ranking", readiness.Missing[0].Dependency)
	require.Contains(t, readiness.Missing[0].Reason, "board global")
	_, err = r.client.Register(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	token, err := r.client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	receipt, err := r.client.Submit(t.Context(), token, "", 7, "")
	require.NoError(t, err)
	require.Equal(t, "delayed", receipt.Ranking)

	release()
	r.waitFor(t, "serving")
	entry, err := r.client.Rank(t.Context(), token, "")
	require.NoError(t, err)
	require.Equal(t, int64(7), entry.Score)
}

// Events past their retention go, and nothing goes unless there is one.
func TestEventRetention(t *testing.T) {
	environment := environment(t)
	require.NoError(t, run(t.Context(), []string{"migrate"}, list(environment), io.Discard, io.Discard))
	conn, err := pgx.Connect(t.Context(), environment[config.EnvDatabaseURL])
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))

	count := func() (events int) {
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM score_events").Scan(&events))
		return events
	}
	_, err = conn.Exec(t.Context(), `INSERT INTO score_events (id, at, player, score, board, season, improved, xid)
		VALUES (1, now() - interval '2 days', 1, 1, 1, 1, true, NULL), (2, '2020-01-05', 1, 1, 1, 1, true, NULL)`)
	require.NoError(t, err)

	keeps := start(t, environment)
	keeps.waitFor(t, "serving")
	require.NoError(t, keeps.ledger.Maintain(t.Context()))
	require.Equal(t, 2, count())

	environment[config.EnvEventRetention] = "168h"
	start(t, environment).waitFor(t, "serving")
	require.Eventually(t, func() bool { return count() == 1 }, patience, 20*time.Millisecond)
}

// A schema that was never migrated is said to be, not served.
func TestAnOldSchemaIsNotServed(t *testing.T) {
	environment := environment(t)
	environment[config.EnvMigrateOnStart] = "false"
	r := start(t, environment)
	require.Eventually(t, func() bool {
		missing := r.readiness(t).Missing
		return len(missing) == 1 && strings.Contains(missing[0].Reason, "migrate")
	}, patience, 20*time.Millisecond)

	require.NoError(t, run(t.Context(), []string{"migrate"}, list(environment), io.Discard, io.Discard))
	r.waitFor(t, "serving")
}

// Everything that was accepted is answered, while the server stops under load.
func TestGracefulShutdown(t *testing.T) {
	environment := environment(t)
	environment[config.EnvDrainDelay] = "500ms"
	r := start(t, environment)
	r.waitFor(t, "serving")
	_, err := r.client.Register(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	token, err := r.client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)

	var accepted, lost atomic.Int64
	var stopping atomic.Bool
	var group sync.WaitGroup

	for worker := range 8 {
		group.Go(func() {
			// One connection a request: one that the server has closed must not be
			// mistaken for an answer that was lost.
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
			for i := 0; ; i++ {
				dialed, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", r.api.address())
				if err != nil {
					if !stopping.Load() {
						lost.Add(1)
					}
					return // no longer listening
				}
				_ = dialed.Close()

				if answer := submit(client, r.api.address(), token, worker*1000+i); answer == http.StatusOK {
					accepted.Add(1)
				} else if answer != 0 {
					lost.Add(1)
				}
			}
		})
	}

	require.Eventually(t, func() bool { return accepted.Load() > 50 }, patience, time.Millisecond)
	stopping.Store(true)
	r.stop()
	r.waitFor(t, "stopping")
	before := accepted.Load()
	require.Eventually(t, func() bool { return accepted.Load() > before }, patience, time.Millisecond, "requests are served during the drain delay")
	group.Wait()
	require.NoError(t, <-r.done)
	require.Zero(t, lost.Load())

	again := start(t, environment)
	again.waitFor(t, "serving")
	today := time.Now().UTC()
	rows, err := again.client.TopPlayers(t.Context(), token, "", today.AddDate(0, 0, -1), today, 1)
	require.NoError(t, err)
	require.GreaterOrEqual(t, rows[0].TotalScoresSubmitted, accepted.Load(), "what was acknowledged is there")
}

// submit returns the status; 0: the connection was refused or closed before the
// request was taken.
func submit(client *http.Client, address, token string, score int) int {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+address+"/v1/scores/submit",
		strings.NewReader(fmt.Sprintf(`{"score":%d}`, score)))
	if err != nil {
		return -1
	}

	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(request)
	if err != nil {
		if strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "connection reset") {
			return 0
		}
		return -1
	}
	defer answer.Body.Close()

	var receipt struct {
		Saved *int `json:"score_saved"`
	}

	if json.NewDecoder(answer.Body).Decode(&receipt) != nil || receipt.Saved == nil {
		return -1
	}

	return answer.StatusCode
}

// A request that is in its handler when the server is told to stop is answered.
func TestShutdownWaitsForASlowBody(t *testing.T) {
	r := start(t, environment(t))
	r.waitFor(t, "serving")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.api.address())
	require.NoError(t, err)
	defer conn.Close()

	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	body := `{"username":"ada","password":"correct horse"}`
	_, err = fmt.Fprintf(conn, "POST /v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(body))
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue", "the handler is reading")
	_, err = reader.ReadString('\n')
	require.NoError(t, err)
	r.stop()
	require.Eventually(t, func() bool {
		refused, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.api.address())
		if err == nil {
			_ = refused.Close()
		}
		return err != nil
	}, patience, time.Millisecond, "no longer listening")

	_, err = io.WriteString(conn, body)
	require.NoError(t, err)
	answer, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	defer answer.Body.Close()

	require.Equal(t, 201, answer.StatusCode)
	require.NoError(t, <-r.done)
}

// A client that dribbles its headers is cut off.
func TestSlowHeadersAreCut(t *testing.T) {
	r := start(t, environment(t))
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.api.address())
	require.NoError(t, err)
	defer conn.Close()

	require.NoError(t, conn.SetDeadline(time.Now().Add(headerTimeout+patience)))
	begun := time.Now()
	_, err = io.WriteString(conn, "GET /v1/boards HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err, "closed by the server")
	require.NotContains(t, string(answer), "200 OK")
	require.GreaterOrEqual(t, time.Since(begun), headerTimeout-time.Second)
}

func TestHeadersAreBounded(t *testing.T) {
	r := start(t, environment(t))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.api.address()+"/v1/boards", nil)
	require.NoError(t, err)
	request.Header.Set("X-Big", strings.Repeat("x", 64<<10))
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()

	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode)
}

// Keys and boards change without a restart, by the swap of a link as kubelet does it.
func TestFilesAreReadAgain(t *testing.T) {
	environment := environment(t)
	mount := t.TempDir()
	keys, err := os.ReadFile(environment[config.EnvKeySetFile])
	require.NoError(t, err)
	publish := func(version string, keys []byte, boards string) {
		folder := filepath.Join(mount, version)
		require.NoError(t, os.Mkdir(folder, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "keys.json"), keys, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(folder, "boards.json"), []byte(boards), 0o600))
		require.NoError(t, os.Symlink(version, filepath.Join(mount, "..new")))
		require.NoError(t, os.Rename(filepath.Join(mount, "..new"), filepath.Join(mount, "..data")))
	}

	publish("..1", keys, `{"boards":[{"name":"race"}]}`)
	for _, name := range []string{"keys.json", "boards.json"} {
		require.NoError(t, os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)))
	}

	environment[config.EnvKeySetFile] = filepath.Join(mount, "keys.json")
	environment[config.EnvBoardsFile] = filepath.Join(mount, "boards.json")
	r := start(t, environment)
	r.waitFor(t, "serving")
	_, err = r.client.Register(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	token, err := r.client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	_, err = r.client.Submit(t.Context(), token, "race", 1, "")
	require.NoError(t, err)

	withdrawn, err := keyset.New(time.Now())
	require.NoError(t, err)
	fresh, err := withdrawn.Marshal()
	require.NoError(t, err)
	const boards = `{"boards":[{"name":"race"},{"name":"golf","order":"Ascending"},{"name":"coins"}]}`
	publish("..2", fresh, boards)
	require.Eventually(t, func() bool {
		_, err := r.client.Submit(t.Context(), token, "race", 2, "")
		return err != nil && strings.Contains(err.Error(), "status 401")
	}, patience, 50*time.Millisecond, "its key is withdrawn")

	token, err = r.client.Login(t.Context(), "ada", "correct horse")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := r.client.Submit(t.Context(), token, "golf", 70, "")
		return err == nil
	}, patience, 50*time.Millisecond, "a new board")

	for _, score := range []int64{5, 1} {
		_, err = r.client.Submit(t.Context(), token, "coins", score, "")
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		_, err := r.client.Rank(t.Context(), token, "coins")
		return err == nil
	}, patience, 10*time.Millisecond, "its ranking is made")
	publish("..sum", fresh, strings.Replace(boards, `"coins"`, `"coins","scoring":"Sum"`, 1))
	require.Eventually(t, func() bool {
		own, err := r.client.Rank(t.Context(), token, "coins")
		require.NoError(t, err, "it is served all along")
		require.Contains(t, []int64{5, 6}, own.Score)
		return own.Score == 6
	}, patience, 10*time.Millisecond, "another scoring")
	sum, err := r.client.Submit(t.Context(), token, "coins", 4, "")
	require.NoError(t, err)
	require.Equal(t, int64(10), *sum.Score)

	publish("..3", []byte("{"), `{"boards":[{"name":"NO"}]}`)
	require.Eventually(t, func() bool { return strings.Count(r.logs.String(), "cannot be used") == 2 }, patience, 50*time.Millisecond)
	_, err = r.client.Submit(t.Context(), token, "golf", 60, "")
	require.NoError(t, err, "what was read before goes on")
}

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/test/contract"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

var (
	postgresServer *stores.Postgres
	redisServer    *stores.Redis
)

func TestMain(m *testing.M) { os.Exit(stores.Main(m, &postgresServer, &redisServer)) }

// patience is how long tests wait for what should take a moment.
const patience = 2 * time.Minute

// replaceFile writes a file that a server follows, in one step: it never reads a part.
func replaceFile(t *testing.T, file string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(file+".new", content, 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

// lines is a log that tests can read while it is written.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// environment is the least that serves, with a database and a tenant of its own.
func environment(t *testing.T) map[string]string {
	database, err := postgresServer.CreateDatabase(t.Context())
	require.NoError(t, err)
	var keys bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"keys"}, nil, &keys, io.Discard))
	keyFile := filepath.Join(t.TempDir(), "keys.json")
	require.NoError(t, os.WriteFile(keyFile, keys.Bytes(), 0o600))

	return map[string]string{
		config.EnvTenant:           "test-" + strings.ToLower(rand.Text()),
		config.EnvDatabaseURL:      postgresServer.URL(database),
		config.EnvRedisAddresses:   redisServer.Address(),
		config.EnvKeySetFile:       keyFile,
		config.EnvListenAddress:    "127.0.0.1:0",
		config.EnvOpsListenAddress: "127.0.0.1:0",
		config.EnvMigrateOnStart:   "true",
		config.EnvCatchUpInterval:  "50ms",
		config.EnvDrainDelay:       "0s",
		// A machine that does much else takes long for a password, and for what was accepted.
		config.EnvRequestTimeout:  patience.String(),
		config.EnvHashingTimeout:  "1m",
		config.EnvShutdownTimeout: patience.String(),
	}
}

func list(environment map[string]string) []string {
	var environ []string
	for name, value := range environment {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// running is a server that runs until the test ends or stop is called.
type running struct {
	*server
	client *gameclient.Client
	logs   *lines
	stop   context.CancelFunc
	done   chan error
}

func start(t *testing.T, environment map[string]string) *running {
	settings, err := config.FromEnvironment(list(environment))
	require.NoError(t, err)
	require.NoError(t, settings.Validate())
	settings.Auth.PasswordCost = bcrypt.MinCost // a hash takes the race detector long
	logs := &lines{}
	s, err := newServer(settings, logs)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	r := &running{server: s, logs: logs, stop: stop, done: make(chan error, 1)}
	go func() {
		r.done <- s.Run(ctx)
		close(r.done)
	}()

	r.client, err = gameclient.New("http://"+s.api.address(), "")
	require.NoError(t, err)
	api, err := contract.Load("httpapi/openapi.yaml")
	require.NoError(t, err)
	r.client.Observe = api.Observer(20, func(err error) { t.Error(err) }).Observe
	t.Cleanup(func() {
		stop()
		r.client.Close()
		if err := <-r.done; err != nil {
			t.Errorf("the server did not stop cleanly: %v", err)
		}

		if t.Failed() {
			all := logs.String()
			t.Log(all[max(0, len(all)-8000):])
		}
	})

	return r
}

// get asks the ops port.
func (r *running) get(t *testing.T, path string) (int, string) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.ops.address()+path, nil)
	require.NoError(t, err)
	return answerOf(t, request)
}

// answerOf sends a request, and returns the status and the body of the answer.
func answerOf(t *testing.T, request *http.Request) (int, string) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()

	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

type readiness struct {
	Ready   bool
	State   string
	Missing []struct{ Dependency, Reason string }
}

func (r *running) readiness(t *testing.T) readiness {
	var answer readiness
	_, body := r.get(t, "/readyz")
	require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
	return answer
}

func (r *running) waitFor(t *testing.T, state string) {
	require.Eventually(t, func() bool { return r.readiness(t).State == state }, patience, 10*time.Millisecond, "state %s", state)
}

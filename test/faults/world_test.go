package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	_ "github.com/Shopify/toxiproxy/v2/toxics" // registers them
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/test/contract"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

const (
	// recovery is how long everything may take to be whole again after a fault has
	// ended. PostgreSQL's own recovery is part of it.
	recovery = 3 * time.Minute
	// settling is how long everything may take to be quiet once nobody plays: what was
	// given up ends with the server's timeouts, 15 s at the most.
	settling = 2 * time.Minute
)

// boardNames are those of all boards that take submissions of players at once.
var boardNames = []string{"global", "race", "golf", "mood", "debut", "plays", "coins", "rally", "shift"}

// boards of the campaign: every order and scoring, a ranking that is spread, one with columns
// and ranks that are shared, and one whose fold changes. Race and global are split by country,
// golf and rally take metadata, rally's columns change, sprint takes five submissions a minute of a player, and trial holds back what comes.
const boards = `{"attributes": [{"name": "country", "values": ["DE", "FR", "JP"]}], "global": {"segments": ["country"]}, "boards": [
	{"name": "race", "shards": 3, "windows": [{"name": "daily", "schedule": "daily", "keep": 1000}], "segments": ["country"]},
	{"name": "golf", "order": "Ascending", "metadata": {"maxBytes": 100}},
	{"name": "mood", "scoring": "Latest", "countsTowardGlobal": false, "windows": [{"name": "daily", "schedule": "daily", "keep": 1000}]},
	{"name": "debut", "scoring": "First", "countsTowardGlobal": false},
	{"name": "plays", "scoring": "Count", "countsTowardGlobal": false},
	{"name": "coins", "scoring": "Sum", "countsTowardGlobal": false},
	{"name": "sprint", "countsTowardGlobal": false, "limits": {"perMinute": 5}},
	{"name": "trial", "countsTowardGlobal": false, "review": {"when": "Always"}},
	{"name": "rally", "countsTowardGlobal": false, "ranks": "Dense", "metadata": {"maxBytes": 100, "schema": {"required": ["replay"]}},
		` + unshiftedColumns + `},
	` + unshifted + `]}`

// unshiftedColumns are those with which rally begins. Their order changes, and how they are
// ranked.
const unshiftedColumns = `"columns": [{"name": "medals", "order": "Descending"}, {"name": "serial", "order": "Ascending"}]`

// unshifted is how the board whose fold changes begins.
const unshifted = `{"name": "shift", "countsTowardGlobal": false, "order": "Descending", "scoring": "Best"}`

// world is two replicas of a server, each of which reaches the stores through
// proxies of its own.
type world struct {
	*site.Site
	t        *testing.T
	replicas [2]*replica
	crowd    *crowd
	// observer holds what clients send, and what they are answered, to the contract.
	observer *contract.Observer
	// snapshot is a copy of Redis' data from some time ago; "": none yet.
	snapshot string
	// fold is the last one that the board shift was given, and columns are those of rally;
	// "": they have their first.
	fold, columns string
	// fresh is what a replica held on to before it was asked anything.
	fresh footprint
}

// replica is one server.
type replica struct {
	*site.Program
	name            string
	client          *gameclient.Client
	postgres, redis *toxiproxy.Proxy
}

func newWorld(t *testing.T, players int) *world {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	made, err := site.New(ctx, site.Options{Players: players, Online: players, Boards: boards, Durable: true, MaxConnections: 100})
	require.NoError(t, err)
	api, err := contract.Load("../../leaderboard-server/httpapi/openapi.yaml")
	require.NoError(t, err)
	w := &world{Site: made, t: t, observer: api.Observer(100, func(err error) { t.Error(err) })}
	t.Cleanup(func() {
		if t.Failed() {
			w.keepLogs()
		}
		made.Close()
	})

	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	for i := range w.replicas {
		w.replicas[i] = w.newReplica(ctx, proxies, fmt.Sprintf("replica-%d", i))
	}

	require.NoError(t, w.await(ctx))
	for _, r := range w.replicas {
		f, err := r.footprint(ctx)
		require.NoError(t, err)
		w.fresh.goroutines = max(w.fresh.goroutines, f.goroutines)
	}

	return w
}

func (w *world) newReplica(ctx context.Context, proxies *toxiproxy.ApiServer, name string) *replica {
	r := &replica{name: name}
	proxy := func(store, upstream string) *toxiproxy.Proxy {
		p := toxiproxy.NewProxy(proxies, name+"-"+store, "127.0.0.1:0", upstream)
		require.NoError(w.t, p.Start())
		w.t.Cleanup(p.Stop)
		return p
	}

	r.postgres, r.redis = proxy("postgres", w.Postgres.Address()), proxy("redis", w.Redis.Address())
	var err error
	r.Program, err = w.Start(name, serverPath, func(string) []string { return []string{"serve"} }, map[string]string{
		config.EnvDatabaseURL:    strings.Replace(w.Postgres.URL(w.Database), w.Postgres.Address(), r.postgres.Listen, 1),
		config.EnvRedisAddresses: r.redis.Listen,
		config.EnvDrainDelay:     "0s",
		"GORACE":                 "halt_on_error=1", // a data race ends the server, which fails the campaign
	})

	require.NoError(w.t, err)
	require.NoError(w.t, r.Await(ctx))
	r.client, err = gameclient.New(r.URL, "")
	require.NoError(w.t, err)
	r.client.Observe = w.observer.Observe
	w.t.Cleanup(r.client.Close)

	return r
}

// Connect connects to PostgreSQL, which may be recovering from the last fault.
func (w *world) Connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()

	for {
		conn, err := w.Site.Connect(ctx)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// await waits until both replicas say that they are whole.
func (w *world) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()

	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()

	var state [2]string
	for {
		whole := true
		for i, r := range w.replicas {
			now := r.state(ctx)
			if whole = whole && now == "serving"; ctx.Err() == nil {
				state[i] = now
			}
		}
		if whole {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not whole again after %s: the replicas are %q", recovery, state)
		case <-ticker.C:
		}
	}
}

// state is what the replica's readiness says.
func (r *replica) state(ctx context.Context) string {
	body, err := r.ops(ctx, "/readyz")
	if err != nil {
		return err.Error()
	}

	var readiness struct {
		State   string
		Missing []struct{ Dependency, Reason string }
	}

	if err := json.Unmarshal(body, &readiness); err != nil {
		return string(body)
	}
	if len(readiness.Missing) > 0 {
		return fmt.Sprintf("%s: %v", readiness.State, readiness.Missing)
	}

	return readiness.State
}

// ops reads from the operations port.
func (r *replica) ops(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Ops+path, nil)
	if err != nil {
		return nil, err
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()

	return io.ReadAll(response.Body)
}

// keepLogs copies the servers' logs to where they outlive the test.
func (w *world) keepLogs() {
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		w.t.Log(err)
		return
	}

	logs := map[string]string{"postgres.log": w.Postgres.LogFile, "redis.log": w.Redis.LogFile()}
	for _, r := range w.replicas {
		if r != nil {
			logs[r.name+".log"] = r.Log
		}
	}

	for name, path := range logs {
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil {
			w.t.Log(err)
		}
	}

	w.t.Logf("the logs are in %s", dir)
}

package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/telemetry"
)

func get(t *testing.T, handler http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestReadiness(t *testing.T) {
	probes := &telemetry.Probes{}
	var postgres, redis atomic.Bool // away
	for name, away := range map[string]*atomic.Bool{"postgres": &postgres, "redis": &redis} {
		probes.Watch(telemetry.Dependency{Name: name, Check: func(context.Context) error {
			if away.Load() {
				return errors.New(name + " refused the connection")
			}
			return nil
		}})
	}

	var ranking atomic.Bool // not built
	probes.Watch(telemetry.Dependency{Name: "ranking", Informative: true, Check: func(context.Context) error {
		if ranking.Load() {
			return errors.New("ranking refused the connection")
		}
		return nil
	}})

	handler := telemetry.OpsHandler(probes, telemetry.NewMetrics("v1"))
	for _, step := range []struct {
		name            string
		do              func()
		postgres, redis bool
		status          int
		state           string
		missing         []string
	}{
		{"not started", func() {}, true, false, 503, "starting", []string{"postgres"}},
		{"all there", probes.Started, false, false, 200, "serving", nil},
		{"ranking not built", func() { ranking.Store(true) }, false, false, 200, "degraded", []string{"ranking"}},
		{"redis away", func() { ranking.Store(false) }, false, true, 200, "degraded", []string{"redis"}},
		{"postgres away", func() {}, true, false, 200, "degraded", []string{"postgres"}},
		{"both away", func() {}, true, true, 503, "degraded", []string{"postgres", "redis"}},
		{"stopping", probes.Stopping, false, false, 503, "stopping", nil},
	} {
		step.do()
		postgres.Store(step.postgres)
		redis.Store(step.redis)
		status, body := get(t, handler, "/readyz")
		require.Equal(t, step.status, status, step.name)
		var readiness telemetry.Readiness
		require.NoError(t, json.Unmarshal([]byte(body), &readiness))
		require.Equal(t, step.state, readiness.State, step.name)
		var missing []string

		for _, m := range readiness.Missing {
			missing = append(missing, m.Dependency)
			require.Equal(t, m.Dependency+" refused the connection", m.Reason)
		}

		require.ElementsMatch(t, step.missing, missing, step.name)
		status, _ = get(t, handler, "/livez")
		require.Equal(t, 200, status, "a missing dependency is no reason to be restarted")
	}
}

// A dependency that hangs is missing; it does not hang the probe.
func TestProbesAreBounded(t *testing.T) {
	probes := &telemetry.Probes{}
	probes.Watch(telemetry.Dependency{Name: "postgres", Check: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}})

	start := time.Now()
	readiness := probes.Readiness(t.Context())
	require.Less(t, time.Since(start), time.Minute)
	require.Len(t, readiness.Missing, 1)
}

func TestMetricsAndProfiles(t *testing.T) {
	metrics := telemetry.NewMetrics("v1.2.3")
	metrics.ObserveRequest("GET", "/v1/boards", 200, 3*time.Millisecond)
	metrics.Gauge("commit", "queue", "Waiting.", func() float64 { return 7 })
	metrics.Counter("commit", "batches_total", "Stored.", func() float64 { return 8 })
	handler := telemetry.OpsHandler(&telemetry.Probes{}, metrics)
	status, body := get(t, handler, "/metrics")
	require.Equal(t, 200, status)

	for _, line := range []string{
		`leaderboard_http_request_duration_seconds_count{method="GET",route="/v1/boards",status="200"} 1`,
		`leaderboard_commit_queue 7`, `leaderboard_commit_batches_total 8`, `leaderboard_build_info{version="v1.2.3"} 1`, "go_goroutines",
	} {
		require.Contains(t, body, line)
	}

	status, _ = get(t, handler, "/debug/pprof/goroutine?debug=1")
	require.Equal(t, 200, status)
}

func TestLogger(t *testing.T) {
	var out strings.Builder
	log, err := telemetry.NewLogger(&out, config.Log{Level: "warn", Format: "json"})
	require.NoError(t, err)
	log.Info("quiet")
	log.Warn("loud", "secret", config.Secret("x1y2"))
	require.JSONEq(t, `"loud"`, func() string {
		var line map[string]any
		require.NoError(t, json.Unmarshal([]byte(out.String()), &line))
		message, err := json.Marshal(line["msg"])
		require.NoError(t, err)
		return string(message)
	}())

	require.NotContains(t, out.String(), "x1y2")
	_, err = telemetry.NewLogger(&out, config.Log{Level: "loud"})
	require.ErrorContains(t, err, config.EnvLogLevel)
}

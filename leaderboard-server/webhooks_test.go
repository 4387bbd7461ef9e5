package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
)

// message is one that a receiver got.
type message struct {
	header http.Header
	body   []byte
}

// A game of two servers tells a webhook of each season that is closed, once: one that was
// added while they ran, and also what it missed while it was away.
func TestWebhooksAreToldOfClosedSeasons(t *testing.T) {
	got := make(chan message, 100)
	status := make(chan int, 100)
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		select {
		case code := <-status:
			w.WriteHeader(code)
		default:
			got <- message{r.Header, body}
		}
	}))
	t.Cleanup(receiver.Close)
	u, err := url.Parse(receiver.URL)
	require.NoError(t, err)

	file := filepath.Join(t.TempDir(), "webhooks.json")
	publish := func(set endpoint.Set) {
		content, err := set.Marshal()
		require.NoError(t, err)
		replaceFile(t, file, content)
	}
	publish(endpoint.Set{})
	boards := filepath.Join(t.TempDir(), "boards.json")
	require.NoError(t, os.WriteFile(boards, []byte(`{"boards": [{"name": "arena", "windows": [{"name": "daily", "schedule": "daily"}]}]}`), 0o600))
	environment := environment(t)
	environment[config.EnvWebhooksFile], environment[config.EnvBoardsFile] = file, boards
	environment[config.EnvWebhookAllowedCIDRs], environment[config.EnvWebhookPorts], environment[config.EnvWebhookFirstRetry] = "127.0.0.1/32", u.Port(), "50ms"
	servers := []*running{start(t, environment), start(t, environment)}
	for _, s := range servers {
		s.waitFor(t, "serving")
	}

	client := servers[0].client
	_, err = client.Register(t.Context(), "ada", "a password")
	require.NoError(t, err)
	token, err := client.Login(t.Context(), "ada", "a password")
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), environment[config.EnvDatabaseURL])
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	seasons := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			var is bool
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT "+want).Scan(&is))
			return is
		}, patience, 10*time.Millisecond, want)
	}
	// closeSeason ends the season that is open once somebody has a score in it.
	closeSeason := func(n string, score int64) {
		t.Helper()
		seasons("EXISTS (SELECT FROM window_seasons WHERE ordinal = " + n + " AND opens_at <= clock_timestamp())")
		_, err := client.Submit(t.Context(), token, "arena", score, "")
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			var ends *time.Time
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT end_season('arena', 'daily', "+n+", '-infinity')").Scan(&ends))
			return ends != nil
		}, patience, 10*time.Millisecond)
	}

	closeSeason("1", 100)
	seasons("EXISTS (SELECT FROM window_seasons WHERE ordinal = 1 AND closed_at IS NOT NULL)")
	seasons("NOT EXISTS (SELECT FROM webhook_messages)")

	e := endpoint.Endpoint{Name: "results", URL: receiver.URL, Events: []string{"SeasonClosed"}, Top: 1}.Issue(time.Now())
	publish(endpoint.Set{Endpoints: []endpoint.Endpoint{e}, Authorities: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw}))})
	for _, s := range servers {
		require.Eventually(t, func() bool {
			_, body := s.get(t, "/metrics")
			return strings.Contains(body, `leaderboard_webhook_waiting{webhook="results"} 0`)
		}, patience, 10*time.Millisecond)
	}
	status <- http.StatusServiceUnavailable
	closeSeason("2", 200)
	select {
	case m := <-got:
		verifier, err := standardwebhooks.NewWebhook(e.Newest().Value)
		require.NoError(t, err)
		require.NoError(t, verifier.Verify(m.body, m.header))
		var body struct {
			Type string
			Data struct {
				Board, Window string
				Season        int
				TotalEntries  int `json:"total_entries"`
				Top           []struct {
					Rank, Score int
					Username    string
				}
			}
		}
		require.NoError(t, json.Unmarshal(m.body, &body))
		require.Equal(t, []any{"SeasonClosed", "arena", "daily", 2, 1}, []any{body.Type, body.Data.Board, body.Data.Window, body.Data.Season, body.Data.TotalEntries})
		require.Len(t, body.Data.Top, 1)
		require.Equal(t, []any{1, 200, "ada"}, []any{body.Data.Top[0].Rank, body.Data.Top[0].Score, body.Data.Top[0].Username})
	case <-time.After(patience):
		require.Fail(t, "the message has not come")
	}
	seasons("(SELECT count(*) = 1 FROM webhook_messages WHERE delivered_at IS NOT NULL AND attempts = 2)")
	require.Empty(t, got)
	require.Eventually(t, func() bool {
		_, one := servers[0].get(t, "/metrics")
		_, two := servers[1].get(t, "/metrics")
		return strings.Contains(one+two, `leaderboard_webhook_attempts_total{result="delivered",webhook="results"} 1`)
	}, patience, 10*time.Millisecond)
	require.NotContains(t, servers[0].logs.String()+servers[1].logs.String(), "whsec_")
}

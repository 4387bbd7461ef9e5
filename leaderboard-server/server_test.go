package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// One player through every call, with the client that the demo uses.
func TestServeFromNothing(t *testing.T) {
	environment := environment(t)
	environment[config.EnvWebhooksFile] = filepath.Join(t.TempDir(), "webhooks.json") // for its metrics
	require.NoError(t, os.WriteFile(environment[config.EnvWebhooksFile], []byte(`{"webhooks": [{"name": "results", "url": "https://example.com/"}]}`), 0o600))
	r := start(t, environment)
	r.waitFor(t, "serving")
	ctx := t.Context()
	account, err := r.client.Register(ctx, "Ada", "correct horse")
	require.NoError(t, err)
	token, err := r.client.Login(ctx, "ADA", "correct horse")
	require.NoError(t, err)
	receipt, err := r.client.Submit(ctx, token, "", 1234, "first")
	require.NoError(t, err)
	require.Equal(t, account.UserID, receipt.UserID)
	require.Equal(t, "Ada", receipt.Username)
	require.Equal(t, int64(1234), receipt.ScoreSaved)
	if receipt.Ranking != "delayed" { // as on a machine that does much else
		require.True(t, *receipt.Improved)
	}
	var entry gameclient.Entry
	require.Eventually(t, func() bool {
		entry, err = r.client.Rank(ctx, token, "")
		return err == nil
	}, time.Minute, 10*time.Millisecond, "%v", err)
	require.Equal(t, int64(1), entry.Rank)
	page, err := r.client.Page(ctx, "", 1, 10)
	require.NoError(t, err)
	require.Equal(t, int64(1), page.TotalEntries)
	require.Equal(t, entry, page.Leaderboard[0])
	today := time.Now().UTC()
	rows, err := r.client.TopPlayers(ctx, token, "", today.AddDate(0, 0, -1), today, 5)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, int64(1), rows[0].TotalScoresSubmitted)
	require.NotContains(t, r.logs.String(), token)
	require.NotContains(t, r.logs.String(), "correct horse")
	var metrics string
	require.Eventually(t, func() bool {
		_, metrics = r.get(t, "/metrics")
		return strings.Contains(metrics, "leaderboard_webhook_waiting")
	}, patience, 10*time.Millisecond)
	require.Contains(t, metrics, `leaderboard_http_request_duration_seconds_count{method="POST",route="/v1/scores/submit",status="200"} 1`)
	require.Contains(t, metrics, "leaderboard_commit_batch_size_count 1")
	requireDocumented(t, metrics)
}

// requireDocumented holds the page about metrics to those that a server serves.
func requireDocumented(t *testing.T, metrics string) {
	t.Helper()
	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(page), "\n## A game's server\n")
	section, _, _ = strings.Cut(section, "\n## ")

	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\|.*\\| (.*) \\|$").FindAllStringSubmatch(section, -1) {
		documented = append(documented, "# HELP "+row[1]+" "+row[3]+"\n# TYPE "+row[1]+" "+row[2])
	}
	served := regexp.MustCompile(`# HELP leaderboard_.*\n# TYPE .*`).FindAllString(metrics, -1)
	require.ElementsMatch(t, served, documented)
}

package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// installCommand is "helm install NAME CHART ..." over lines that end in \.
var installCommand = regexp.MustCompile(`helm install leaderboard-operator charts/leaderboard-operator ((?:.*\\\n)*.*)`)

// What the docs say to type installs the platform.
func TestDocumentedInstallation(t *testing.T) {
	for _, page := range []string{"README.md", "docs/install.md"} {
		t.Run(page, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join(root, page))
			require.NoError(t, err)
			commands := installCommand.FindAllSubmatch(content, -1)
			require.Len(t, commands, 1)
			arguments := strings.Fields(strings.NewReplacer("\\\n", " ", "'", "").Replace(string(commands[0][1])))
			server := startAPIServer(t)
			require.NoError(t, server.helm(t, append([]string{"install", release, chartPath, "--create-namespace"}, arguments...)...))
			class := server.class(t)
			require.Equal(t, "leaderboard-postgres-admin", class.Spec.Postgres.AdminSecretRef.Name)
			require.Equal(t, "leaderboard-redis-admin", class.Spec.Redis.AdminSecretRef.Name)
		})
	}
}

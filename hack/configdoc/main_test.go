package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

var source = filepath.Join("..", "..", "leaderboard-server", "config", "config.go")

// The page is what make generate writes, and has every variable with the default
// that the server reads.
func TestPageIsComplete(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	require.NoError(t, err)
	rendered, err := render(source)
	require.NoError(t, err)
	require.Equal(t, string(rendered), string(page), "run make generate")

	parameters, err := env.GetFieldParams(&config.Config{})
	require.NoError(t, err)
	variables := 0
	for _, p := range parameters {
		if p.Key == "" {
			continue
		}

		variables++
		value := "none"
		if p.HasDefaultValue {
			value = "`" + p.DefaultValue + "`"
		}
		require.Regexp(t, "\\| `"+p.Key+"` \\| [^|]+ \\| [^|]+ \\| "+value+" \\| .{10,} \\|\n", string(page))
	}

	require.Greater(t, variables, 40)
	require.Equal(t, variables, strings.Count(string(page), "\n| `"))
}

func TestRefusals(t *testing.T) {
	for field, refusal := range map[string]string{
		"\t// A is a number.\n\tA int `env:\"A\"`":         "without a unit",
		"\tA string `env:\"A\"`":                           "comment of its own",
		"\t// A and B are two.\n\tA, B string `env:\"A\"`": "line and a comment",
		"\t// A is odd.\n\tA complex64 `env:\"A\"`":        "no word",
	} {
		path := filepath.Join(t.TempDir(), "config.go")
		require.NoError(t, os.WriteFile(path, []byte("package config\n\ntype Config struct {\n"+field+"\n}\n"), 0o600))
		_, err := render(path)
		require.ErrorContains(t, err, refusal)
	}
}

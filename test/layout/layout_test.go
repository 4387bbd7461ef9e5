// Package layout holds docs/architecture.md, the linter's rules and the imports of
// the product to each other.
package layout

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const module = "github.com/leaderboard-dev/leaderboard-operator"

var root = filepath.Join("..", "..")

// row is what the table says of a package.
type row struct {
	// internal are packages of this module, without its path.
	internal []string
	// others are prefixes of other modules; any says that all are allowed.
	others []string
	any    bool
}

var quoted = regexp.MustCompile("`([^`]+)`")

// table reads the page's table by package; the main package is ".".
func table(t *testing.T) map[string]row {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(page), "\n| package | what is there | imports from this module | other modules |\n|---|---|---|---|\n")
	require.True(t, found, "the table of packages")

	rows := map[string]row{}
	for line := range strings.Lines(after) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 {
			break
		}

		name := names(t, cells[1])[0]
		if name == "main.go" {
			name = "."
		}

		require.NotContains(t, rows, name)
		rows[name] = row{internal: names(t, cells[3]), others: names(t, cells[4]), any: strings.TrimSpace(cells[4]) == "any"}
	}

	require.Greater(t, len(rows), 15)
	return rows
}

// names are the names in backquotes of a cell that says nothing else, or "none" or
// "any".
func names(t *testing.T, cell string) (all []string) {
	t.Helper()
	for _, match := range quoted.FindAllStringSubmatch(cell, -1) {
		all = append(all, match[1])
	}

	rest := strings.Trim(quoted.ReplaceAllString(cell, ""), " ,")
	require.Contains(t, []string{"", "none", "any"}, rest, cell)
	require.Equal(t, rest == "", len(all) > 0, cell)
	return all
}

// Every package of the product is in the table and imports what it says at most.
func TestImports(t *testing.T) {
	rows := table(t)
	list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")
	list.Dir = root
	output, err := list.Output()
	require.NoError(t, err)
	seen := 0

	for line := range strings.Lines(string(output)) {
		imports := strings.Fields(line)
		name := internal(imports[0])
		if name == "hack" || strings.HasPrefix(name, "hack/") || strings.HasPrefix(name, "test/") {
			continue
		}

		seen++
		allowed, known := rows[name]
		require.True(t, known, "%s is not in the table of docs/architecture.md", name)
		for _, imported := range imports[1:] {
			require.True(t, allowed.allows(imported), "%s imports %s: docs/architecture.md does not say that it may", name, imported)
		}
	}

	require.Greater(t, seen, 15)
}

// internal is a package of this module without the module's path.
func internal(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func (r row) allows(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case imported == module || strings.HasPrefix(imported, module+"/"):
		return slices.Contains(r.internal, internal(imported))
	case !strings.Contains(first, "."):
		return true // the standard library
	default:
		return r.any || slices.ContainsFunc(r.others, func(prefix string) bool { return strings.HasPrefix(imported, prefix+"/") })
	}
}

// rule is one of depguard's.
type rule struct {
	Files []string `json:"files"`
	Mode  string   `json:"list-mode"`
	Allow []string `json:"allow"`
	Deny  []struct {
		Pkg string `json:"pkg"`
	} `json:"deny"`
}

// The linter has a rule for each row, which says the same.
func TestLinterHoldsTheTable(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, ".golangci.yaml"))
	require.NoError(t, err)
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct {
					Rules map[string]rule `json:"rules"`
				} `json:"depguard"`
			} `json:"settings"`
		} `json:"linters"`
	}
	require.NoError(t, yaml.Unmarshal(content, &config))

	for name, row := range table(t) {
		expected := rule{Files: []string{"**/" + path.Join(name, "*.go"), "!$test"}}
		key := name
		if name == "." {
			key, expected.Files[0] = "main", "${config-path}/main.go"
		}

		if row.any {
			expected.Mode = "lax"
			expected.Deny = append(expected.Deny, struct {
				Pkg string `json:"pkg"`
			}{module})
		} else {
			expected.Mode, expected.Allow = "strict", []string{"$gostd"}
		}

		for _, prefix := range row.others {
			expected.Allow = append(expected.Allow, prefix+"/")
		}
		for _, imported := range row.internal {
			expected.Allow = append(expected.Allow, module+"/"+imported+"$")
		}

		require.Equal(t, expected, config.Linters.Settings.Depguard.Rules[key], "the rule %s of .golangci.yaml", key)
	}
}

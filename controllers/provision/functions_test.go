package provision

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What ledgers call of PostgreSQL's own functions, but for those that read the catalogue,
// is looked up by the check of a class.
func TestLedgerFunctionsAreAll(t *testing.T) {
	call := regexp.MustCompile(`\b(?:pg_[a-z_]+|hashtextextended)\(`)
	catalogue := map[string]bool{"pg_get_functiondef(": true, "pg_get_userbyid(": true}
	looked := map[string]bool{}
	for _, function := range ledgerFunctions {
		name, _, _ := strings.Cut(function, "(")
		looked[name+"("] = true
	}

	called := map[string]bool{}
	root := filepath.Join("..", "..", "leaderboard-server", "postgres")
	require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(path, "_test.go") || filepath.Ext(path) != ".sql" && filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range call.FindAllString(string(text), -1) {
			if !catalogue[name] {
				called[name] = true
			}
		}
		return err
	}))
	require.Equal(t, called, looked)
}

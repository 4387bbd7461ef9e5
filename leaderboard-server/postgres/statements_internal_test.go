package postgres

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Games without segments run statements that know nothing of them.
func TestStatementsWithoutSegmentsHaveNone(t *testing.T) {
	for _, s := range []appendStatement{appendAny, appendOrdered} {
		_, body, _ := strings.Cut(s.plain, "\nWITH ")
		require.NotContains(t, body, "segment")
		require.NotContains(t, body, "/*")
		require.Contains(t, s.segmented, "board_segments")
		_, body, _ = strings.Cut(s.segmented, "\nWITH ")
		require.NotContains(t, body, "/*")
	}
}

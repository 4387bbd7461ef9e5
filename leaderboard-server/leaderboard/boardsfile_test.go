package leaderboard

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a boards file holds, it is refused, or its boards are within their bounds.
func FuzzParseBoards(f *testing.F) {
	for _, seed := range []string{``, `{"boards": [{"name": "race", "order": "Ascending", "shards": 3}], "global": {"shards": 2}}`,
		`{"boards": [{"name": "race"}, {"name": "race"}]}`, `{"boards": [{"name": "a", "minScore": 5, "maxScore": 1}]}`, `{"boards": null}`, `{} {}`,
		`{"boards": [{"name": "a", "allTime": false, "windows": [{"name": "w", "schedule": "0 6 * * 1", "timeZone": "Europe/Berlin", "keep": 2}]}]}`,
		`{"global": {"windows": [{"name": "cup", "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00+01:00"}]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		boards, err := ParseBoards(content)
		if err != nil {
			return
		}

		names := make(map[string]bool)
		for _, b := range boards.All() {
			require.False(t, names[b.Name], "two boards are named %q", b.Name)
			names[b.Name] = true
			require.True(t, b.MinScore <= b.MaxScore && -MaxScore <= b.MinScore && b.MaxScore <= MaxScore)
			require.True(t, 1 <= b.Shards && b.Shards <= MaxShards)
		}
		require.True(t, names[GlobalBoard])
	})
}

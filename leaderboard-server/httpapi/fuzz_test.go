package httpapi

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Whatever comes as a body is refused, or is a JSON object each of whose fields is
// there once.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"score": 12, "game_id": "race"}`, `{"a":1,"a":2}`, `{"a":[{"b":null}]}`, `{`, `[]`, `{"\ud800": "\ud800"}`, "\x00", `{} {}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		fields, err := parseObject(content)
		if err != nil {
			return
		}

		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(content, &want))
		require.ElementsMatch(t, slices.Collect(maps.Keys(want)), slices.Collect(maps.Keys(fields)))

		b := &body{fields: fields}
		score := b.integer("score")
		require.True(t, -leaderboard.MaxScore <= score && score <= leaderboard.MaxScore)
		b.text("game_id", true)
		_ = b.finish()
	})
}

// Whatever is sealed in a cursor is no walk, or one that is written the same again.
func FuzzCursor(f *testing.F) {
	now := time.UnixMilli(1_700_000_000_000)
	f.Add(formatWalk(&leaderboard.Walk{Board: 1, Season: 1, Snapshot: "A1", Stamp: 7, AsOf: now, Expires: now, WalkPlace: leaderboard.WalkPlace{Order: -12, Key: "\x00\x00\x00\x00\x00\x03"}, Passed: 100}))
	f.Add(formatWalk(&leaderboard.Walk{Board: 1, Season: 1, Snapshot: "A1", AsOf: now, Expires: now, WalkPlace: leaderboard.WalkPlace{Key: "\x81\x02\x00\x00\x00\x00\x00\x03"}, Rank: 2, Score: 5, Passed: 100}))
	f.Add(formatWalk(&leaderboard.Walk{Board: 1, Season: 1, Snapshot: "A1", AsOf: now, Expires: now, Back: true, WalkPlace: leaderboard.WalkPlace{Order: 7, Key: "\x81\x02", Before: true}, Rank: 2, Score: 5, Passed: 100, Tied: 3, TiedFrom: leaderboard.WalkPlace{Order: 7, Key: "\x81", Before: true}}))
	f.Add([]byte{cursorVersion})
	f.Add([]byte{cursorVersion, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, content []byte) {
		w, ok := parseWalk(content)
		if !ok {
			return
		}
		again, ok := parseWalk(formatWalk(w))
		require.True(t, ok)
		require.Equal(t, w, again)
	})
}

// Whatever is sealed in a cursor of a history is none, or one that is written the same
// again.
func FuzzHistoryCursor(f *testing.F) {
	f.Add(formatHistoryCursor(&leaderboard.HistoryCursor{Board: 1, Season: 1, Player: 7, Place: leaderboard.HistoryPlace{At: time.UnixMicro(1_700_000_000_000_000), Event: 12}}))
	f.Add([]byte{historyVersion})
	f.Add([]byte{historyVersion, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, content []byte) {
		c, ok := parseHistoryCursor(content)
		if !ok {
			return
		}
		again, ok := parseHistoryCursor(formatHistoryCursor(c))
		require.True(t, ok)
		require.Equal(t, c, again)
	})
}

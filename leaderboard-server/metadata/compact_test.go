package metadata_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/metadata"
)

// nested is an object so many levels deep.
func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
}

// text is an object of so many bytes.
func text(bytes int) string { return `{"a":"` + strings.Repeat("x", bytes-len(`{"a":""}`)) + `"}` }

func TestCompact(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{`{}`, `{}`},
		{" {\n\t\"car\" : \"gt 86\" , \"laps\":[ 1, 2.50, -0, 1E2, 9007199254740993 ]}\r\n", `{"car":"gt 86","laps":[1,2.50,-0,1E2,9007199254740993]}`},
		{`{"b":1,"a":2,"B":3}`, `{"b":1,"a":2,"B":3}`},
		{`{"html":"<b>&amp;\u2028","slash":"\/","pair":"\ud83d\ude00","nul":"\u0000"}`, `{"html":"<b>&amp;\u2028","slash":"\/","pair":"\ud83d\ude00","nul":"\u0000"}`},
		{`{"ö":"日本語😀"}`, `{"ö":"日本語😀"}`},
		{`{"a":{"b":{}},"c":{"b":null},"d":[{"b":true},{"b":false}]}`, `{"a":{"b":{}},"c":{"b":null},"d":[{"b":true},{"b":false}]}`},
		{`{"a":1.7e308,"b":1e-308}`, `{"a":1.7e308,"b":1e-308}`},
		{nested(metadata.MaxDepth), nested(metadata.MaxDepth)},
		{text(metadata.MaxBytes), text(metadata.MaxBytes)},
		{text(metadata.MaxBytes) + strings.Repeat(" ", 5000), text(metadata.MaxBytes)},
	} {
		compact, err := metadata.Compact([]byte(c.in))
		require.NoError(t, err, c.in)
		require.Equal(t, c.out, compact)
	}
}

func TestCompactRefuses(t *testing.T) {
	for _, c := range []struct{ in, path, message string }{
		{``, "", "is not valid JSON"},
		{`{"a":}`, "", "is not valid JSON"},
		{`{"a":1}{}`, "", "is not valid JSON"},
		{`{"a":NaN}`, "", "is not valid JSON"},
		{"{\"a\":\"\xff\"}", "", "is not valid JSON in UTF-8"},
		{"{\"a\":\"\xed\xa0\x80\"}", "", "is not valid JSON in UTF-8"}, // half of a pair as CESU-8
		{`[]`, "", "must be a JSON object"},
		{`"x"`, "", "must be a JSON object"},
		{`null`, "", "must be a JSON object"},
		{text(metadata.MaxBytes + 1), "", "has 2049 bytes without whitespace: at most 2048 are taken"},
		{nested(metadata.MaxDepth + 1), strings.Repeat(".a", metadata.MaxDepth), "is nested too deep"},
		{`{"a":[[[[[[[[]]]]]]]]}`, ".a[0][0][0][0][0][0][0]", "is nested too deep"},
		{`{"a":1,"b":{"c":1,"c":1}}`, ".b.c", "is there twice"},
		{`{"a":1,"\u0061":1}`, ".a", "is there twice"},
		{`{"cars":[{"id":1},{"id":2,"id":3}]}`, ".cars[1].id", "is there twice"},
		{`{"a":"\ud800"}`, ".a", "not valid Unicode"},
		{`{"a":["x","\udc00\ud800"]}`, ".a[1]", "not valid Unicode"},
		{`{"\ud800":1}`, "", "a name with a character that is not valid Unicode"},
		{`{"a":1e309}`, ".a", "an exponent beyond 308"},
		{`{"a":1e-1000000000}`, ".a", "an exponent beyond 308"},
		{`{"a":1e99999999999999999999}`, ".a", "an exponent beyond 308"},
		{`{"a":` + strings.Repeat("9", 400) + `}`, ".a", "too great for a double"},
		{`{"` + strings.Repeat("n", 100) + `":"\ud800"}`, "." + strings.Repeat("n", 59) + "...", "not valid Unicode"},
	} {
		_, err := metadata.Compact([]byte(c.in))
		var wrong *metadata.Error
		require.ErrorAs(t, err, &wrong, c.in)
		require.Equal(t, c.path, wrong.Path, c.in)
		require.Contains(t, wrong.Message, c.message, c.in)
	}
}

// What is taken is of the bounds, means what was sent, and is compact for good.
func FuzzCompact(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"a":2}`, `{"a":{"\u0061":1,"a":2}}`, nested(8), nested(9), nested(3000), text(2048), text(2049), `{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`,
		`{"a":1e999999999}`, `{"a":-0.0e-0}`, ` { "a" : [ 1 , { } ] } `, "{\"a\":\"\xff\"}", "\ufeff{}", `{"a":"<>&\u2028` + "\u2028" + `"}`, `[]`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		compact, err := metadata.Compact(in)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(compact), metadata.MaxBytes)
		require.True(t, utf8.ValidString(compact))
		again, err := metadata.Compact([]byte(compact))
		require.NoError(t, err)
		require.Equal(t, compact, again)

		var sent, taken map[string]any
		require.NoError(t, json.Unmarshal(in, &sent))
		require.NoError(t, json.Unmarshal([]byte(compact), &taken))
		require.Equal(t, sent, taken)
		require.LessOrEqual(t, depth(taken), metadata.MaxDepth)
	})
}

func depth(value any) int {
	within := 0
	switch v := value.(type) {
	case map[string]any:
		for _, e := range v {
			within = max(within, depth(e))
		}
	case []any:
		for _, e := range v {
			within = max(within, depth(e))
		}
	default:
		return 0
	}
	return within + 1
}

package hack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A contract that breaks clients of an earlier one is refused, with what breaks.
func TestContract(t *testing.T) {
	const document = "../leaderboard-server/httpapi/openapi.yaml"
	_, err := os.Stat("../bin/tools/oasdiff")
	require.NoError(t, err, "run make test, which builds it")
	earlier, err := filepath.Abs(document)
	require.NoError(t, err)
	text, err := os.ReadFile(document)
	require.NoError(t, err)

	boards := between(t, string(text), "  /v1/boards:\n", "  /v1/boards/{board}:\n")
	cursor := between(t, string(text), "        next_cursor:\n", "        expires_at:\n")
	for name, c := range map[string]struct{ old, changed, refused string }{
		"nothing":                             {"", "", ""},
		"an optional field of an answer more": {cursor, cursor + "        hint: {type: string}\n", ""},
		"an optional field of a request more": {"        score: {$ref: '#/components/schemas/Score'}\n        game_id:", "        score: {$ref: '#/components/schemas/Score'}\n        hint: {type: string}\n        game_id:", ""},
		"a parameter more":                    {"        - {$ref: '#/components/parameters/PageQuery'}\n", "        - {$ref: '#/components/parameters/PageQuery'}\n        - {name: hint, in: query, schema: {type: string}}\n", ""},
		"a call more":                         {boards, strings.NewReplacer("/v1/boards", "/v1/boards2", "operationId: boards", "operationId: boards2").Replace(boards) + boards, ""},

		"a call less":                         {boards, "", "API path removed"},
		"a required field of an answer less":  {"        request_id: {type: string}\n", "", "removed the required property `request_id`"},
		"an optional field of an answer less": {cursor, "", "removed the optional property `next_cursor`"},
		"a header less":                       {"            ETag: {$ref: '#/components/headers/ETag'}\n", "", "`etag` removed"},
		"a parameter less":                    {"        - {$ref: '#/components/parameters/PageQuery'}\n", "", "deleted the `query` request parameter `page`"},
		"a field that has to be sent":         {"      required: [score]\n", "      required: [score, game_id]\n", "`game_id` became required"},
		"another default":                     {"maximum: 1000, default: 10", "maximum: 1000, default: 20", "default value was changed"},
		"a lower bound":                       {"maximum: 1000, default: 10", "maximum: 500, default: 10", "max was decreased"},
		"null in an answer":                   {"        page: {type: integer, format: int64}\n", "        page: {type: [integer, 'null'], format: int64}\n", "`page` became nullable"},
		"one more state":                      {"enum: [announced, open, closing, closed]", "enum: [announced, open, closing, closed, void]", "the new `void` enum value"},

		"what OpenAPI 3.1 does not know": {"        page: {type: integer, format: int64}\n", "        page: {type: integer, format: int64, nullable: true}\n", "nullable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, string(text), c.old)
			folder := files(t, map[string]string{"openapi.yaml": strings.Replace(string(text), c.old, c.changed, 1)})
			stdout, stderr, err := run(t, folder, nil, "contract.sh", earlier, "openapi.yaml")
			if c.refused == "" {
				require.NoError(t, err, stdout+stderr)
				return
			}
			require.Error(t, err)
			require.Contains(t, stdout+stderr, c.refused)
		})
	}
}

// between is the text from one mark up to the next.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, from)
	part, _, ends := strings.Cut(rest, to)
	require.True(t, found && ends, from)
	return from + part
}

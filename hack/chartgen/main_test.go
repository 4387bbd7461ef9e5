package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// What is committed is what the sources say: run make generate otherwise.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate(root)
	require.NoError(t, err)
	require.NotEmpty(t, files)

	for path, want := range files {
		got, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "%s differs: run make generate", path)
	}

	crds, err := os.ReadDir(filepath.Join(root, chart, "crds"))
	require.NoError(t, err)
	for _, entry := range crds {
		require.Contains(t, files, filepath.Join(chart, "crds", entry.Name()), "a CRD that is generated no more")
	}
}

// What the generator does not understand it does not drop.
func TestRolesNotUnderstood(t *testing.T) {
	for document, message := range map[string]string{
		"kind: ClusterRole\nmetadata: {name: leaderboard-operator}\naggregationRule: {}":            "aggregationRule",
		"kind: Role\nmetadata: {name: leaderboard-operator, namespace: kube-system}\nrules: []":     "only ClusterRoles, and Roles in leaderboard-system",
		"kind: ClusterRoleBinding\nmetadata: {name: leaderboard-operator}":                          "only ClusterRoles",
		"kind: ClusterRole\nmetadata: {name: something-else}\nrules: []":                            "must begin with leaderboard-",
		"kind: ClusterRole\nmetadata: {name: leaderboard-operator, annotations: {a: b}}\nrules: []": "annotations",
	} {
		require.ErrorContains(t, writeRole(&strings.Builder{}, []byte(document), map[string][]byte{}), message)
	}
}

func TestParseValues(t *testing.T) {
	values, err := parseValues(`
# Not a value's comment.

# How many
# there are.
count: 1
group:
  # A name.
  name: ""
  deeper:
    # Whether.
    flag: true
# Described as a whole.
resources:
  requests:
    cpu: 1
# The last.
last: []
`)
	require.NoError(t, err)
	require.Equal(t, []value{
		{"count", "`1`", "How many there are."},
		{"group.name", "`\"\"`", "A name."},
		{"group.deeper.flag", "`true`", "Whether."},
		{"resources", "see values.yaml", "Described as a whole."},
		{"last", "`[]`", "The last."},
	}, values)

	_, err = parseValues("# A comment.\na: 1\nb: 2\n")
	require.ErrorContains(t, err, "values.yaml:3: b has no comment")
	_, err = parseValues("# A list.\na: []\n- b\n")
	require.ErrorContains(t, err, "no key and no comment")
}

func TestSchemaFollowsTheCRD(t *testing.T) {
	spec, err := classSpec(root)
	require.NoError(t, err)
	_, err = resolve(map[string]any{"a": map[string]any{"$crd": "nothing"}}, spec)
	require.ErrorContains(t, err, "no field nothing")
	postgres := jsonSchema(spec["postgres"]).(map[string]any)
	require.Equal(t, false, postgres["additionalProperties"])
	require.NotContains(t, postgres, "required")
	require.Contains(t, postgres["properties"], "sslMode")
}

package v1alpha1_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// The page of the API names every field, condition and reason that there is.
func TestPageOfTheAPIIsComplete(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	require.NoError(t, err)
	lb, class, found := strings.Cut(string(page), "\n## LeaderboardClass\n")
	require.True(t, found)
	class, both, found := strings.Cut(class, "\n## Pods\n")
	require.True(t, found)

	for file, section := range map[string]string{"leaderboards": lb + both, "leaderboardclasses": class + both} {
		content, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", "games.leaderboard.dev_"+file+".yaml"))
		require.NoError(t, err)
		crd := &apiextensionsv1.CustomResourceDefinition{}
		require.NoError(t, yaml.UnmarshalStrict(content, crd))
		for _, part := range []string{"spec", "status"} {
			requireFields(t, section, part, crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties[part])
		}
	}

	constants, err := os.ReadFile("conditions.go")
	require.NoError(t, err)
	names := regexp.MustCompile(`\t(?:Condition|Reason)\w+ += "(\w+)"`).FindAllSubmatch(constants, -1)
	require.Greater(t, len(names), 30)

	for _, name := range names {
		require.Contains(t, string(page), "`"+string(name[1])+"`")
	}
}

// kubernetesOwn are the fields whose own fields are Kubernetes'.
var kubernetesOwn = []string{"conditions", "selector", "podSelector", "namespaceSelector", "resources", "affinity"}

// requireFields looks for every field beneath a schema, as the end of a path in
// backquotes.
func requireFields(t *testing.T, section, path string, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	for name, property := range schema.Properties {
		if !slices.Contains(kubernetesOwn, name) {
			if property.Items != nil && property.Items.Schema != nil {
				requireFields(t, section, path+"."+name+"[]", *property.Items.Schema)
			}
			if len(property.Properties) > 0 {
				requireFields(t, section, path+"."+name, property)
				continue // its fields are named with or beneath it
			}
		}
		require.Regexp(t, "`([A-Za-z.]+[.])?"+name+"`", section, "%s.%s is not on the page", path, name)
	}
}

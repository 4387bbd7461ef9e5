package v1alpha1_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// What was applied and is in the cluster is in sync: kubectl apply and Argo CD compare custom
// resources by a three-way JSON merge patch, in which a list is one value, so that a default in an
// item of one is a difference for ever.
func TestManifestsStayInSync(t *testing.T) {
	manifest := parse(t, "Leaderboard", "in-sync", `{
		boards: [
			{name: arena, windows: [{name: daily, schedule: daily}, {name: cup, start: "2027-01-01T00:00:00Z", end: "2027-02-01T00:00:00Z"}], columns: [{name: deaths}], metadata: {}, review: {when: Always}},
			{name: laps, limits: {attempts: [{window: all, max: 3}]}},
			{name: clans, owners: External}],
		global: {windows: [{name: weekly, schedule: weekly}]},
		attributes: [{name: country, values: [de, fr]}],
		serviceAccounts: [{name: match-server, scopes: [submit], kubernetes: [{serviceAccount: match}]}],
		webhooks: [{name: results, url: "https://example.com/hooks", events: [SeasonClosed]}],
		auth: {issuers: [{name: store, issuer: "https://id.example.com", audience: race}]},
		http: {allowedOrigins: ["https://play.example.com"]}, resources: {}, retention: {}, exposure: {type: Service}, autoscaling: {maxReplicas: 4}}`)
	applied, err := json.Marshal(manifest)
	require.NoError(t, err)
	create(t, manifest)
	requireInSync(t, applied, manifest)
}

// requireInSync checks that an object is as it was applied, for those who compare it so.
func requireInSync(t *testing.T, applied []byte, object *unstructured.Unstructured) {
	t.Helper()
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(object.GroupVersionKind())
	require.NoError(t, cluster.Get(timeout(t), client.ObjectKeyFromObject(object), stored))
	live, err := json.Marshal(stored)
	require.NoError(t, err)

	difference, err := jsonmergepatch.CreateThreeWayJSONMergePatch(applied, applied, live)
	require.NoError(t, err)
	require.JSONEq(t, "{}", string(difference), object.GetName())
}

// For the same reason no schema has a default in an item of a list of the spec.
func TestNoDefaultsInLists(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "crd", "bases", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, 2)

	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		crd := &apiextensionsv1.CustomResourceDefinition{}
		require.NoError(t, yaml.UnmarshalStrict(content, crd))
		spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		requireNoDefaults(t, crd.Spec.Names.Kind+".spec", spec, false)
	}
}

func requireNoDefaults(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps, inList bool) {
	t.Helper()
	require.False(t, inList && schema.Default != nil, "%s has a default", path)
	for name, property := range schema.Properties {
		requireNoDefaults(t, path+"."+name, property, inList)
	}
	if schema.Items != nil {
		requireNoDefaults(t, path+"[]", *schema.Items.Schema, true)
	}
}

package v1alpha1_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// What the repository shows as examples is accepted as it is.
func TestSamplesAccepted(t *testing.T) {
	counts := map[string]int{}
	for _, object := range samples(t) {
		applied, err := json.Marshal(object)
		require.NoError(t, err)
		create(t, object)
		requireInSync(t, applied, object)
		counts[object.GetKind()]++
	}

	require.Equal(t, map[string]int{"LeaderboardClass": 1, "Namespace": 2, "Leaderboard": 2}, counts)
}

// samples are the objects of config/samples.
func samples(t *testing.T) (list []*unstructured.Unstructured) {
	t.Helper()
	for _, file := range []string{"class.yaml", "games.yaml"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", file))
		require.NoError(t, err)
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)

		for {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(object)
			if errors.Is(err, io.EOF) {
				break
			}

			require.NoError(t, err, file)
			if len(object.Object) > 0 {
				list = append(list, object)
			}
		}
	}
	return list
}

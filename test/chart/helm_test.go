// Package chart tests the Helm chart: what it renders, what it refuses, and
// what becomes of a release in a real API server.
package chart

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

const (
	root      = "../.."
	chartPath = root + "/charts/leaderboard-operator"
	release   = "leaderboard-operator"
	// operatorNamespace is where the tests install.
	operatorNamespace = "leaderboard-system"
	// programTimeout bounds one run of helm, kubectl or the operator.
	programTimeout = 3 * time.Minute
)

// helm runs helm and returns what it printed.
func helm(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	path := os.Getenv("HELM")
	if path == "" {
		path = filepath.Join(root, "bin/tools/helm")
	}

	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no helm: %v: run make test, which builds it", err)
	}

	home := t.TempDir() // nothing of the user's own configuration
	return program(t, []string{"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}, nil, path, args...)
}

// program runs a program; its error tells what it wrote to stderr.
func program(t *testing.T, env []string, stdin []byte, path string, args ...string) (stdout string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	defer cancel()

	var out, stderr bytes.Buffer
	command := exec.CommandContext(ctx, path, args...)
	command.Env = append(os.Environ(), env...)
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(stdin), &out, &stderr
	if err := command.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", filepath.Base(path), err, stderr.String())
	}

	return out.String(), nil
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, games.AddToScheme} {
		require.NoError(t, add(scheme))
	}
	return scheme
}

// objects are decoded manifests by "Kind name".
type objects map[string]client.Object

// decode decodes manifests strictly: a field that its kind does not have is an
// error. Kinds of others (ServiceMonitor) are left as they are.
func decode(t *testing.T, manifests []byte) objects {
	t.Helper()
	scheme := newScheme(t)
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	decoded := objects{}

	for _, document := range bytes.Split(append([]byte("\n"), manifests...), []byte("\n---\n")) {
		content := map[string]any{}
		require.NoError(t, yaml.Unmarshal(document, &content), "%s", document)
		if len(content) == 0 {
			continue
		}

		var object client.Object = &unstructured.Unstructured{Object: content}
		if scheme.Recognizes(object.GetObjectKind().GroupVersionKind()) {
			typed, _, err := decoder.Decode(document, nil, nil)
			require.NoError(t, err, "%s", document)
			object = typed.(client.Object)
		}

		key := content["kind"].(string) + " " + object.GetName()
		require.NotContains(t, decoded, key, "rendered twice")
		decoded[key] = object
	}

	return decoded
}

// find returns the object of T's kind with the name.
func find[T client.Object](t *testing.T, all objects, name string) T {
	t.Helper()
	for _, object := range all {
		if typed, ok := object.(T); ok && object.GetName() == name {
			return typed
		}
	}

	var none T
	require.Failf(t, "not rendered", "no %T %s among %d objects", none, name, len(all))
	return none
}

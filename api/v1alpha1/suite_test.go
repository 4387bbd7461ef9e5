package v1alpha1_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

const (
	// startTimeout is how long the API server may take on a busy machine.
	startTimeout = 2 * time.Minute
	// callTimeout bounds one test's calls of the API server.
	callTimeout = time.Minute

	namespace = "default"
)

// What the tests share: an API server with the CRDs and without controllers,
// and a client that asks it, as kubectl does, to refuse unknown fields.
var (
	cluster    client.Client
	restConfig *rest.Config
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, "KUBEBUILDER_ASSETS must name a folder with kube-apiserver and etcd: run make test, which builds them")
		return 1
	}

	environment := &envtest.Environment{
		CRDDirectoryPaths:        []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: startTimeout,
	}
	defer func() {
		if err := environment.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the API server:", err)
		}
	}()

	var err error
	if restConfig, err = environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start the API server with the CRDs:", err)
		return 1
	}

	restConfig.QPS, restConfig.Burst = 200, 400
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, games.AddToScheme} {
		if err := add(scheme); err != nil {
			fmt.Fprintln(os.Stderr, "register the types:", err)
			return 1
		}
	}

	lenient, err := client.New(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		fmt.Fprintln(os.Stderr, "make a client:", err)
		return 1
	}

	cluster = client.WithFieldValidation(lenient, metav1.FieldValidationStrict)
	return m.Run()
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	t.Cleanup(cancel)
	return ctx
}

// parse makes an object of a kind of this API from its spec in YAML.
func parse(t *testing.T, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if spec != "" {
		var content map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(spec), &content), spec)
		object.Object = map[string]any{"spec": content}
	}

	object.SetGroupVersionKind(games.GroupVersion.WithKind(kind))
	object.SetName(name)
	if kind == "Leaderboard" {
		object.SetNamespace(namespace)
	}

	return object
}

// create creates the object and removes it after the test.
func create(t *testing.T, object client.Object) {
	t.Helper()
	require.NoError(t, cluster.Create(timeout(t), object))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		if err := client.IgnoreNotFound(cluster.Delete(ctx, object)); err != nil {
			t.Errorf("delete %s: %v", object.GetName(), err)
		}
	})
}

// requireRefused asserts that the API server found field invalid and that it
// said so with a message that contains message.
func requireRefused(t *testing.T, err error, field, message string) {
	t.Helper()
	require.Error(t, err, "accepted, but %s must be refused", field)
	var refusal apierrors.APIStatus
	require.ErrorAs(t, err, &refusal)
	require.True(t, apierrors.IsInvalid(err), "not refused as invalid: %v", err)
	var others []error

	for _, cause := range refusal.Status().Details.Causes {
		if cause.Field == field && strings.Contains(cause.Message, message) {
			return
		}
		others = append(others, fmt.Errorf("%s: %s", cause.Field, cause.Message))
	}

	require.Failf(t, "refused for another cause", "want %s: ...%s...\ngot\n%v", field, message, errors.Join(others...))
}

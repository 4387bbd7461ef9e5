package chart

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// startTimeout is how long the API server may take on a busy machine.
const startTimeout = 2 * time.Minute

// apiServer is an API server without controllers and without the CRDs.
type apiServer struct {
	client     client.Client
	kubeconfig string
}

func startAPIServer(t *testing.T) apiServer {
	t.Helper()
	ctrl.SetLogger(logr.Discard())
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS must name a folder with kube-apiserver and etcd: run make test, which builds them")
	}

	environment := &envtest.Environment{ControlPlaneStartTimeout: startTimeout}
	t.Cleanup(func() { require.NoError(t, environment.Stop()) })
	config, err := environment.Start()
	require.NoError(t, err)
	c, err := client.New(config, client.Options{Scheme: newScheme(t)})
	require.NoError(t, err)
	admin, err := environment.AddUser(envtest.User{Name: "platform", Groups: []string{"system:masters"}}, nil)
	require.NoError(t, err)
	content, err := admin.KubeConfig()
	require.NoError(t, err)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, content, 0o600))

	return apiServer{client: c, kubeconfig: kubeconfig}
}

func (s apiServer) helm(t *testing.T, args ...string) error {
	t.Helper()
	_, err := helm(t, append(args, "--namespace", operatorNamespace, "--kubeconfig", s.kubeconfig)...)
	return err
}

func (s apiServer) class(t *testing.T) *games.LeaderboardClass {
	t.Helper()
	class := &games.LeaderboardClass{}
	require.NoError(t, s.client.Get(call(t), client.ObjectKey{Name: "default"}, class))
	return class
}

func call(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// The life of a release: the steps of the chart's README in a real API server.
func TestRelease(t *testing.T) {
	server := startAPIServer(t)
	upgrade := []string{"upgrade", release, chartPath, "--values", "testdata/class.yaml"}

	// One command brings the CRDs, the operator and an object of the CRDs.
	require.NoError(t, server.helm(t, "install", release, chartPath, "--create-namespace", "--values", "testdata/class.yaml"))
	class := server.class(t)
	require.Equal(t, "postgres.databases.svc", class.Spec.Postgres.Host)
	require.EqualValues(t, 20, class.Spec.Limits.MaxReplicas, "the kind's own default")
	deployment := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: operatorNamespace, Name: release}
	require.NoError(t, server.client.Get(call(t), key, deployment))
	lb := &games.Leaderboard{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceDefault, Name: "game"}}
	require.NoError(t, server.client.Create(call(t), lb))

	// Values reach the class.
	require.NoError(t, server.helm(t, append(upgrade, "--set", "defaultClass.limits.maxReplicas=7")...))
	require.EqualValues(t, 7, server.class(t).Spec.Limits.MaxReplicas)
	// What the API server knows better than the schema, it says.
	err := server.helm(t, append(upgrade, "--set", "defaultClass.redis.endpoints={a:1,b:2}")...)
	require.ErrorContains(t, err, "set mode to Sentinel or Cluster")

	t.Run("other CRDs", func(t *testing.T) { upgradeWithOtherCRDs(t, server, upgrade) })

	// What games depend on outlives the release, and the next one finds it.
	require.NoError(t, server.helm(t, "uninstall", release))
	require.True(t, apierrors.IsNotFound(server.client.Get(call(t), key, deployment)))
	require.NoError(t, server.client.Get(call(t), client.ObjectKeyFromObject(lb), lb))
	require.True(t, server.class(t).DeletionTimestamp.IsZero())
	require.NoError(t, server.helm(t, "install", release, chartPath, "--values", "testdata/class.yaml", "--set", "defaultClass.limits.maxReplicas=9"))
	require.EqualValues(t, 9, server.class(t).Spec.Limits.MaxReplicas)
}

// Beside CRDs of another version an upgrade is refused, with what to do; what
// the README says to do then lets it through.
func upgradeWithOtherCRDs(t *testing.T, server apiServer, upgrade []string) {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	key := client.ObjectKey{Name: "leaderboards.games.leaderboard.dev"}
	require.NoError(t, server.client.Get(call(t), key, crd))
	require.NotEmpty(t, crd.Annotations["games.leaderboard.dev/schema-digest"])
	crd.Annotations["games.leaderboard.dev/schema-digest"] = "of-another-version"
	crd.Spec.Names.ShortNames = nil
	require.NoError(t, server.client.Update(call(t), crd))

	err := server.helm(t, upgrade...)
	require.ErrorContains(t, err, key.Name)
	require.ErrorContains(t, err, "kubectl apply --server-side --force-conflicts")
	require.NoError(t, server.helm(t, append(upgrade, "--set", "crds.verify=false")...))

	crds, err := helm(t, "show", "crds", chartPath)
	require.NoError(t, err)
	_, err = program(t, []string{"KUBECONFIG=" + server.kubeconfig}, []byte(crds), filepath.Join(root, "bin/devcluster"),
		"kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-")
	require.NoError(t, err)
	require.NoError(t, server.client.Get(call(t), key, crd))
	require.Equal(t, []string{"lb"}, crd.Spec.Names.ShortNames)
	require.NoError(t, server.helm(t, upgrade...))
}

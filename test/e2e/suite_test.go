package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/contract"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

const (
	// readyTimeout is how long a game may take to become ready.
	readyTimeout = 5 * time.Minute
	// goneTimeout is how long objects may take to disappear.
	goneTimeout = 5 * time.Minute
	poll        = 100 * time.Millisecond
)

var (
	cluster    client.Client
	clientset  *kubernetes.Clientset
	restConfig *rest.Config
	via        string // host:port of the ingress
	api        *contract.Contract
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	kubeconfig, base := os.Getenv("KUBECONFIG"), os.Getenv("E2E_BASE_URL")
	if kubeconfig == "" || base == "" {
		fmt.Fprintln(os.Stderr, "e2e: KUBECONFIG and E2E_BASE_URL (for example http://127.0.0.1:8088) say what to test: run make e2e")
		return 1
	}

	parsed, err := url.Parse(base)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: E2E_BASE_URL:", err)
		return 1
	}

	via = parsed.Host
	if api, err = contract.Load("../../leaderboard-server/httpapi/openapi.yaml"); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := games.AddToScheme(scheme); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}

	restConfig, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}

	restConfig.QPS, restConfig.Burst, restConfig.Timeout = 50, 100, time.Minute
	if cluster, err = client.New(restConfig, client.Options{Scheme: scheme}); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	if clientset, err = kubernetes.NewForConfig(restConfig); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}

	return m.Run()
}

// namespace makes a namespace that enforces restricted Pod Security and goes
// with the test.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   "e2e-" + strings.ToLower(rand.Text()[:8]),
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}

	require.NoError(t, cluster.Create(t.Context(), ns))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), goneTimeout)
		defer cancel()

		if err := dropGames(ctx, ns.Name); err != nil {
			t.Error(err)
		}

		// It is empty now; the namespace controller takes its time.
		if err := cluster.Delete(ctx, ns); err != nil {
			t.Error(err)
		}
	})

	return ns.Name
}

// dropGames deletes the Leaderboards of a namespace with all they have in the
// stores, and waits until they are gone.
func dropGames(ctx context.Context, namespace string) error {
	list := &games.LeaderboardList{}
	if err := cluster.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return err
	}

	for i := range list.Items {
		game := &list.Items[i]
		_, err := patch(ctx, game, func() { game.Spec.DeletionPolicy, game.Spec.Suspend = games.DeletionPolicyDelete, false })
		if err == nil {
			err = cluster.Delete(ctx, game)
		}
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}

	for i := range list.Items {
		if err := waitGone(ctx, &list.Items[i]); err != nil {
			return err
		}
	}

	return nil
}

// create creates a Leaderboard and waits until it is ready.
func create(t *testing.T, game *games.Leaderboard) *games.Leaderboard {
	t.Helper()
	require.NoError(t, cluster.Create(t.Context(), game))
	return ready(t, game)
}

// ready waits until the operator has made the present spec true.
func ready(t *testing.T, game *games.Leaderboard) *games.Leaderboard {
	t.Helper()
	eventually(t, game, func() bool {
		condition := meta.FindStatusCondition(game.Status.Conditions, games.ConditionReady)
		return condition != nil && condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == game.Generation
	})
	return game
}

// eventually reads the object until the condition holds, for readyTimeout at the
// most.
func eventually(t *testing.T, object client.Object, holds func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), poll, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if err := cluster.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		return holds(), nil
	})
	if err != nil {
		t.Fatalf("%T %s: %v\n%s", object, client.ObjectKeyFromObject(object), err, describe(object))
	}
}

func describe(object client.Object) string {
	game, ok := object.(*games.Leaderboard)
	if !ok {
		return ""
	}

	var text strings.Builder
	for _, condition := range game.Status.Conditions {
		fmt.Fprintf(&text, "%s is %s (%s): %s\n", condition.Type, condition.Status, condition.Reason, condition.Message)
	}

	return text.String()
}

// patch changes the object by what change does to it.
func patch[T client.Object](ctx context.Context, object T, change func()) (T, error) {
	base := object.DeepCopyObject().(T)
	change()
	return object, cluster.Patch(ctx, object, client.MergeFrom(base))
}

// waitGone waits until the object no longer exists.
func waitGone(ctx context.Context, object client.Object) error {
	return wait.PollUntilContextTimeout(ctx, poll, goneTimeout, true, func(ctx context.Context) (bool, error) {
		err := cluster.Get(ctx, client.ObjectKeyFromObject(object), object)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
		return err != nil, nil
	})
}

// remove deletes the object and waits until it is gone.
func remove(t *testing.T, object client.Object) {
	t.Helper()
	require.NoError(t, cluster.Delete(t.Context(), object))
	require.NoError(t, waitGone(t.Context(), object))
}

// connect returns a client of the game's endpoint. What it sends, and what the servers
// answer, is held to the contract.
func connect(t *testing.T, game *games.Leaderboard) *gameclient.Client {
	t.Helper()
	require.NotEmpty(t, game.Status.Endpoint)
	c, err := gameclient.New(game.Status.Endpoint, via)
	require.NoError(t, err)
	observer := api.Observer(20, func(err error) { t.Error(err) })
	c.Observe = func(request *http.Request, sent []byte, answer *http.Response, received []byte) {
		if answer.Header.Get("X-Request-Id") != "" { // else it is the ingress controller's
			observer.Observe(request, sent, answer, received)
		}
	}
	t.Cleanup(c.Close)
	return c
}

// deployment returns the game's one Deployment.
func deployment(t *testing.T, game *games.Leaderboard) *appsv1.Deployment {
	t.Helper()
	list := &appsv1.DeploymentList{}
	require.NoError(t, cluster.List(t.Context(), list, client.InNamespace(game.Namespace)))

	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], game) {
			return &list.Items[i]
		}
	}

	t.Fatalf("%s has no Deployment", client.ObjectKeyFromObject(game))
	return nil
}

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

// Every object that the operator made comes back, as another object of the same
// name, when somebody deletes it; and the game can be played afterwards, with
// new credentials where the Secrets were deleted.
func TestDeletedObjectsComeBack(t *testing.T) {
	lb := create(t, game(namespace(t), "race", 1))
	kinds := []client.ObjectList{&corev1.ServiceList{}, &corev1.ConfigMapList{}, &networkingv1.IngressList{},
		&networkingv1.NetworkPolicyList{}, &policyv1.PodDisruptionBudgetList{}, &appsv1.DeploymentList{}, &corev1.SecretList{}}
	for _, kind := range kinds {
		for _, object := range owned(t, lb, kind) {
			uid := object.GetUID()
			require.NoError(t, cluster.Delete(t.Context(), object))
			eventually(t, object, func() bool { return object.GetUID() != uid })
			t.Logf("%T %s came back", object, object.GetName())
		}
	}

	ready(t, lb)
	rolledOut(t, deployment(t, lb), 0)
	awaitKeys(t, lb)
	result, err := match.Match{Client: connect(t, lb), Boards: match.Boards(allBoards), Names: []string{"ada", "bo"}, Rounds: 1, Seed: 4}.Play(t.Context())
	require.NoError(t, err)
	require.NoError(t, result.Verify(t.Context()))
}

// awaitKeys waits until the game's one Pod signs with a key of the Secret: what it signs
// before it has read those of a new one ends once it has.
func awaitKeys(t *testing.T, lb *games.Leaderboard) {
	t.Helper()
	keys := signingKeys(t, lb)
	c := connect(t, lb)
	_, err := c.Register(t.Context(), "eve", "correct horse battery")
	require.NoError(t, err)
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), time.Second, 10*time.Minute, true, func(ctx context.Context) (bool, error) {
		token, err := login(ctx, c, "eve", "correct horse battery")
		if err != nil {
			return false, err
		}
		_, known := keys.Lookup(keyOf(t, token))
		return known, nil
	}))
}

// What somebody changes in an object of the operator's is changed back.
func TestChangedObjectsAreCorrected(t *testing.T) {
	lb := create(t, game(namespace(t), "race", 1))
	d := deployment(t, lb)
	image := d.Spec.Template.Spec.Containers[0].Image
	_, err := patch(t.Context(), d, func() { d.Spec.Template.Spec.Containers[0].Image = "somebody/else:latest" })
	require.NoError(t, err)
	eventually(t, d, func() bool { return d.Spec.Template.Spec.Containers[0].Image == image })
	ready(t, lb)
}

// While suspended, the operator leaves a game's objects as they are.
func TestSuspend(t *testing.T) {
	lb := create(t, game(namespace(t), "race", 1))
	_, err := patch(t.Context(), lb, func() { lb.Spec.Suspend = true })
	require.NoError(t, err)
	eventually(t, lb, func() bool { return lb.Status.ObservedGeneration == lb.Generation })

	services := owned(t, lb, &corev1.ServiceList{})
	require.NotEmpty(t, services)
	gone := services[0]
	uid := gone.GetUID()
	require.NoError(t, cluster.Delete(t.Context(), gone))
	require.NoError(t, waitGone(t.Context(), gone))

	_, err = patch(t.Context(), lb, func() { lb.Spec.Suspend = false })
	require.NoError(t, err)
	eventually(t, gone, func() bool { return gone.GetUID() != uid })
	ready(t, lb)
}

// owned lists the objects of one kind that the game controls.
func owned(t *testing.T, lb *games.Leaderboard, list client.ObjectList) []client.Object {
	t.Helper()
	require.NoError(t, cluster.List(t.Context(), list, client.InNamespace(lb.Namespace)))
	var all []client.Object

	switch l := list.(type) {
	case *corev1.ServiceList:
		all = pointers[corev1.Service](l.Items)
	case *corev1.ConfigMapList:
		all = pointers[corev1.ConfigMap](l.Items)
	case *corev1.SecretList:
		all = pointers[corev1.Secret](l.Items)
	case *networkingv1.IngressList:
		all = pointers[networkingv1.Ingress](l.Items)
	case *networkingv1.NetworkPolicyList:
		all = pointers[networkingv1.NetworkPolicy](l.Items)
	case *policyv1.PodDisruptionBudgetList:
		all = pointers[policyv1.PodDisruptionBudget](l.Items)
	case *appsv1.DeploymentList:
		all = pointers[appsv1.Deployment](l.Items)
	default:
		t.Fatalf("owned does not know %T", list)
	}

	var mine []client.Object
	for _, object := range all {
		if metav1.IsControlledBy(object, lb) {
			mine = append(mine, object)
		}
	}

	require.NotEmpty(t, mine, "%T", list)
	return mine
}

func pointers[T any, P interface {
	*T
	client.Object
}](items []T) []client.Object {
	objects := make([]client.Object, 0, len(items))
	for i := range items {
		objects = append(objects, P(&items[i]))
	}
	return objects
}

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

// podsOf are the game's Pods that are not on their way out.
func podsOf(t *testing.T, game *games.Leaderboard) []corev1.Pod {
	t.Helper()
	list := &corev1.PodList{}
	selector, err := metav1.LabelSelectorAsSelector(deployment(t, game).Spec.Selector)
	require.NoError(t, err)
	require.NoError(t, cluster.List(t.Context(), list, client.InNamespace(game.Namespace), client.MatchingLabelsSelector{Selector: selector}))
	var pods []corev1.Pod

	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
		}
	}

	return pods
}

// awayTimeout is how long Pods may take to come up elsewhere: a node counts as dead
// after 40 s, and Pods leave it after 30 s more.
const awayTimeout = 10 * time.Minute

// waitReadyOff waits until so many Pods of the game are ready, all on other nodes.
func waitReadyOff(t *testing.T, game *games.Leaderboard, node string, count int) {
	t.Helper()
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), 2*poll, awayTimeout, true, func(context.Context) (bool, error) {
		ready := 0
		for _, pod := range podsOf(t, game) {
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.Spec.NodeName != node {
					ready++
				}
			}
		}

		return ready == count, nil
	}))
}

// cordon keeps new Pods off a node until the test ends.
func cordon(t *testing.T, node *corev1.Node) {
	t.Helper()
	set := func(ctx context.Context, off bool) error {
		if err := cluster.Get(ctx, client.ObjectKeyFromObject(node), node); err != nil {
			return err
		}
		_, err := patch(ctx, node, func() { node.Spec.Unschedulable = off })
		return err
	}

	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), goneTimeout)
		defer cancel()
		if err := set(ctx, false); err != nil {
			t.Error(err)
		}
	})
	require.NoError(t, set(t.Context(), true))
}

// evict asks for the Pod's eviction until its disruption budget allows it.
func evict(ctx context.Context, pod *corev1.Pod) (refused int, err error) {
	err = wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		err := clientset.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}})
		if apierrors.IsTooManyRequests(err) {
			refused++
			return false, nil
		}
		return err == nil, client.IgnoreNotFound(err)
	})
	return refused, err
}

// Pods of a game run on different nodes where there are several, so that the game
// outlives the loss of one.
func TestPodsAreSpreadOverNodes(t *testing.T) {
	needNodes(t)
	ns := namespace(t)
	for _, name := range []string{"race", "chess", "golf"} {
		pods := podsOf(t, create(t, game(ns, name, 2)))
		require.Len(t, pods, 2)
		require.NotEqual(t, pods[0].Spec.NodeName, pods[1].Spec.NodeName, name)
	}
}

// Draining every node in turn fails no request: the budget keeps one Pod up.
func TestNodeDrainUnderLoad(t *testing.T) {
	nodes := needNodes(t)
	lb := create(t, game(namespace(t), "race", 2))
	c := connect(t, lb)
	result, err := match.Match{Client: c, Boards: match.Boards(allBoards), Names: []string{"ada", "bo", "carl", "dina"}, Rounds: 1, Seed: 5}.Play(t.Context())
	require.NoError(t, err)
	l := startLoad(t, c, result.Players, loadWorkers, loadPause)
	moved := 0

	for i := range nodes {
		t.Run(nodes[i].Name, func(t *testing.T) {
			cordon(t, &nodes[i])
			for _, pod := range podsOf(t, lb) {
				if pod.Spec.NodeName == nodes[i].Name {
					_, err := evict(t.Context(), &pod)
					require.NoError(t, err)
					moved++
				}
			}

			waitReadyOff(t, lb, nodes[i].Name, 2)
		})
	}

	require.GreaterOrEqual(t, moved, 2, "Pods that had to leave a node")
	l.finish(t)
}

// The budget refuses to take the last Pod that is ready.
func TestDisruptionBudget(t *testing.T) {
	needNodes(t)
	lb := create(t, game(namespace(t), "race", 2))
	pods := podsOf(t, lb)
	require.Len(t, pods, 2)
	evictOnce := func(pod corev1.Pod) error {
		return clientset.PolicyV1().Evictions(pod.Namespace).Evict(t.Context(), &policyv1.Eviction{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}})
	}

	require.NoError(t, evictOnce(pods[0]))
	require.True(t, apierrors.IsTooManyRequests(evictOnce(pods[1])))
	rolledOut(t, deployment(t, lb), 0)
}

// A node that dies takes its Pods along; they come back on another.
func TestNodeDeath(t *testing.T) {
	docker := needKindNodes(t, needNodes(t))
	lb := create(t, game(namespace(t), "race", 2))
	c := connect(t, lb)
	result, err := match.Match{Client: c, Boards: match.Boards(allBoards), Names: []string{"ada", "bo"}, Rounds: 1, Seed: 6}.Play(t.Context())
	require.NoError(t, err)
	dead := podsOf(t, lb)[0].Spec.NodeName
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), goneTimeout)
		defer cancel()

		if err := docker(ctx, "start", dead); err != nil {
			t.Error(err)
		}

		if err := waitFree(ctx, dead); err != nil { // for the tests that follow
			t.Errorf("%s did not come back: %v", dead, err)
		}
	})

	require.NoError(t, docker(t.Context(), "stop", "--time", "1", dead))
	waitReadyOff(t, lb, dead, 2)
	require.NoError(t, result.Verify(t.Context()))
}

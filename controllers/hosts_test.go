package controllers

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// Two games whose names run together to one host: the first one has it, also for an operator
// that knows it by its Ingress alone, and the second one gets it when the first is gone.
func TestAHostIsOneGames(t *testing.T) {
	t.Parallel()
	controllerName := unique("test") + "/operator"
	class := newClass(t, controllerName, postgres, redis, func(class *v1alpha1.LeaderboardClass) {
		class.Spec.Exposure = v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "example.com", HostTemplate: "{name}-{namespace}.{domain}"}
	})
	first := newLeaderboard(namespace(t), class)
	second := newLeaderboard(strings.TrimPrefix(first.Namespace, "games-"), class)
	second.Name = "race-games"
	host := "race-" + first.Namespace + ".example.com"
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: second.Namespace}})
	operator := func(o *ManagerOptions) { o.ControllerName = controllerName }

	t.Run("the first one", func(t *testing.T) {
		startManager(t, operator)
		playDeployments(t, first.Namespace)
		becomes(t, create(t, first), allReady)
		require.Equal(t, "http://"+host, first.Status.Endpoint)
	})

	t.Run("the second one", func(t *testing.T) {
		startManager(t, operator)
		playDeployments(t, first.Namespace)
		playDeployments(t, second.Namespace)
		becomes(t, create(t, second), map[string]string{v1alpha1.ConditionReady: "False HostTaken", v1alpha1.ConditionStalled: "True HostTaken"})
		require.Contains(t, message(second), host)
		require.NotContains(t, message(second), first.Namespace+"/")
		require.Empty(t, second.Status.ClassName)
		require.Empty(t, ownedBy(t, second))

		require.NoError(t, cluster.Delete(t.Context(), first))
		eventuallyGone(t, first)
		left := &networkingv1.Ingress{}
		require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: first.Namespace, Name: workload.Name(first)}, left), "nobody collects garbage here")
		patch(t, second, func() { second.Annotations = map[string]string{"again": "now"} })
		becomes(t, second, allReady)
		require.Equal(t, "http://"+host, second.Status.Endpoint)
	})
}

// A game that changes its host keeps the old one until its objects have the new one.
func TestHostsOfAGameThatMoves(t *testing.T) {
	h := newHosts()
	there := true
	take := func(host, lb string) bool {
		taken, err := h.take(host, types.UID(lb), func() (map[string]types.UID, error) { return map[string]types.UID{"old": "zero"}, nil }, func(types.UID) (bool, error) { return there, nil })
		require.NoError(t, err)
		return taken
	}

	require.False(t, take("old", "one"), "an Ingress of before has it")
	require.True(t, take("new", "zero"))
	require.False(t, take("old", "one"))
	h.serve("new", "zero")
	require.True(t, take("old", "one"))

	require.True(t, take("a", "one"))
	require.True(t, take("a", "one"))
	require.False(t, take("a", "two"))
	h.serve("a", "one")
	require.True(t, take("b", "one"))
	require.False(t, take("a", "two"), "its Ingress still has it")
	h.serve("b", "one")
	require.True(t, take("a", "two"))
	require.False(t, take("b", "two"))
	h.serve("", "one")
	require.True(t, take("b", "two"))

	require.True(t, take("c", "three"))
	there = false
	require.True(t, take("c", "four"), "three is gone without having served it")
}

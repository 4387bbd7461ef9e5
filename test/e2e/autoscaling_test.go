package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

// A game under load gets more Pods, and no request fails meanwhile.
func TestAutoscaling(t *testing.T) {
	needAPI(t, "metrics.k8s.io/v1beta1")
	lb := game(namespace(t), "race", 1)
	// 10 % of the requested 50m: what the load takes many times over.
	lb.Spec.Resources = &games.Resources{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m")}}
	lb.Spec.Replicas, lb.Spec.Autoscaling = nil, &games.AutoscalingSpec{MinReplicas: 1, MaxReplicas: 3, TargetCPUUtilizationPercentage: 10}
	create(t, lb)
	c := connect(t, lb)
	result, err := match.Match{Client: c, Boards: match.Boards(allBoards), Names: []string{"ada", "bo", "carl", "dina"}, Rounds: 1, Seed: 8}.Play(t.Context())
	require.NoError(t, err)
	l := startLoad(t, c, result.Players, loadWorkers, loadPause)

	// metrics-server looks every 15 s, and the autoscaler as often.
	const scalingTimeout = 10 * time.Minute
	require.NoError(t, wait.PollUntilContextTimeout(t.Context(), time.Second, scalingTimeout, true, func(ctx context.Context) (bool, error) {
		return lb.Status.Replicas == 3, cluster.Get(ctx, client.ObjectKeyFromObject(lb), lb)
	}))

	rolledOut(t, deployment(t, lb), 0)
	l.finish(t)
}

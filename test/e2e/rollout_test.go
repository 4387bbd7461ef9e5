package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

// load keeps submitting and reading until it is stopped.
type load struct {
	submissions, reads atomic.Int64
	stop               context.CancelFunc
	done               sync.WaitGroup

	mutex  sync.Mutex
	failed []error
}

// loadWorkers callers with 20 ms between their calls: some 100 calls a second,
// which leaves the machine's cores to the rollout.
const (
	loadWorkers = 4
	loadPause   = 20 * time.Millisecond
)

func startLoad(t *testing.T, c *gameclient.Client, players []match.Player, workers int, pause time.Duration) *load {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	l := &load{stop: cancel}
	for i := range workers {
		player := players[i%len(players)]
		l.done.Go(func() {
			for number := int64(1); ctx.Err() == nil; number++ {
				_, err := c.Submit(ctx, player.Token, "arena", number, "")
				l.note(ctx, "submit", err, &l.submissions)
				_, err = c.Page(ctx, "arena", 1, 10)
				l.note(ctx, "page", err, &l.reads)

				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}

	return l
}

func (l *load) note(ctx context.Context, what string, err error, count *atomic.Int64) {
	switch {
	case err == nil:
		count.Add(1)
	case ctx.Err() == nil: // a call that the end of the load cut short is no failure
		l.mutex.Lock()
		defer l.mutex.Unlock()
		l.failed = append(l.failed, fmt.Errorf("%s at %s: %w", what, time.Now().Format("15:04:05.000"), err))
	}
}

// finish ends the load and fails the test if any call failed.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	require.Empty(t, l.failed)
	l.requireWorked(t)
}

// finishOnSlowStores is finish where Redis may take longer than a server waits for it: this
// machine has everything, and the reads of this moment are refused then.
func (l *load) finishOnSlowStores(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()

	for _, err := range l.failed {
		problem := &gameclient.Problem{}
		require.ErrorAs(t, err, &problem)
		require.True(t, strings.HasSuffix(problem.Type, "/ranking-unavailable"), "%s", err)
	}
	if len(l.failed) > 0 {
		t.Logf("Redis was too slow for %d reads", len(l.failed))
	}
	l.requireWorked(t)
}

func (l *load) requireWorked(t *testing.T) {
	t.Helper()
	t.Logf("%d submissions and %d reads", l.submissions.Load(), l.reads.Load())
	require.Positive(t, l.submissions.Load())
}

// A rollout under load fails no request.
func TestRolloutUnderLoad(t *testing.T) {
	lb := create(t, game(namespace(t), "race", 2))
	c := connect(t, lb)
	result, err := match.Match{Client: c, Boards: match.Boards(allBoards), Names: []string{"ada", "bo", "carl", "dina"}, Rounds: 1, Seed: 3}.Play(t.Context())
	require.NoError(t, err)

	l := startLoad(t, c, result.Players, loadWorkers, loadPause)
	before := deployment(t, lb)
	_, err = patch(t.Context(), lb, func() {
		lb.Spec.Boards = append(lb.Spec.Boards[:len(lb.Spec.Boards):len(lb.Spec.Boards)], games.Board{Name: "added", Order: games.OrderDescending, Scoring: games.ScoringBest})
	})

	require.NoError(t, err)
	rolledOut(t, before, before.Generation)
	ready(t, lb)
	require.Equal(t, int32(len(allBoards)+2), lb.Status.Boards, "the new board and global")

	// Any restart is a rollout, too.
	before = deployment(t, lb)
	restarted := before.DeepCopy()
	restarted.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] = time.Now().Format(time.RFC3339)
	require.NoError(t, cluster.Patch(t.Context(), restarted, client.MergeFrom(before)))
	rolledOut(t, before, before.Generation)
	l.finish(t)

	receipt, err := c.Submit(t.Context(), result.Players[0].Token, "added", 7, "")
	require.NoError(t, err)
	require.NotNil(t, receipt.Rank)
	require.EqualValues(t, 1, *receipt.Rank)
}

// rolledOut waits until the Deployment's latest generation, a newer one than
// the given, runs everywhere and nothing of an older one does.
func rolledOut(t *testing.T, of *appsv1.Deployment, newerThan int64) {
	t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: of.Namespace, Name: of.Name}}
	eventually(t, d, func() bool {
		return d.Generation > newerThan && d.Status.ObservedGeneration == d.Generation &&
			d.Status.UpdatedReplicas == *d.Spec.Replicas && d.Status.AvailableReplicas == *d.Spec.Replicas &&
			d.Status.Replicas == *d.Spec.Replicas && d.Status.TerminatingReplicas != nil && *d.Status.TerminatingReplicas == 0
	})
}

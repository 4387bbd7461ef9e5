package e2e

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

var allBoards = []games.Board{
	{Name: "arena", Order: games.OrderDescending, Scoring: games.ScoringBest},
	{Name: "time-trial", Order: games.OrderAscending, Scoring: games.ScoringBest},
	{Name: "coins", Order: games.OrderDescending, Scoring: games.ScoringSum, CountsTowardGlobal: new(bool)},
	{Name: "mood", Order: games.OrderDescending, Scoring: games.ScoringLatest},
	{Name: "debut", Order: games.OrderDescending, Scoring: games.ScoringFirst},
	{Name: "plays", Order: games.OrderDescending, Scoring: games.ScoringCount},
}

func game(namespace, name string, replicas int32) *games.Leaderboard {
	return &games.Leaderboard{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       games.LeaderboardSpec{Boards: allBoards, Replicas: &replicas},
	}
}

// Apply, play, scale, play again: every board equals what was played.
func TestPlayAndScale(t *testing.T) {
	lb := create(t, game(namespace(t), "race", 1))
	c := connect(t, lb)
	players := match.Match{Client: c, Boards: match.Boards(allBoards), Names: []string{"ada", "bo", "carl", "dina"}, Rounds: 2, Seed: 1}
	first, err := players.Play(t.Context())
	require.NoError(t, err)
	require.NoError(t, first.Verify(t.Context()))

	three := int32(3)
	_, err = patch(t.Context(), lb, func() { lb.Spec.Replicas = &three })
	require.NoError(t, err)
	ready(t, lb)
	require.Equal(t, three, lb.Status.Replicas)
	require.Equal(t, three, lb.Status.ReadyReplicas)

	second, err := players.Play(t.Context())
	require.NoError(t, err)
	require.NoError(t, second.Verify(t.Context()))
	require.NoError(t, first.Verify(t.Context()), "the first match is still there")
}

// The scale subresource is what autoscalers and kubectl scale use. The Pods that there are stay.
func TestScaleSubresource(t *testing.T) {
	lb := create(t, game(namespace(t), "race", 1))
	selector, err := labels.Parse(lb.Status.Selector)
	require.NoError(t, err)
	pods := &corev1.PodList{}
	require.NoError(t, cluster.List(t.Context(), pods, client.InNamespace(lb.Namespace), client.MatchingLabelsSelector{Selector: selector}))
	require.Len(t, pods.Items, 1)

	// More than four Pods have fewer connections each.
	err = cluster.SubResource("scale").Patch(t.Context(), lb.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":5}}`)))
	require.NoError(t, err)
	eventually(t, lb, func() bool { return lb.Status.ReadyReplicas == 5 })
	first := &pods.Items[0]
	uid := first.UID
	require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(first), first))
	require.Equal(t, uid, first.UID)
	require.Nil(t, first.DeletionTimestamp)
}

// A Leaderboard with the policy Retain leaves its scores to the next one of its
// name; one with Delete leaves nothing.
func TestDeletionPolicies(t *testing.T) {
	ns := namespace(t)
	empty := settled(t, ns)
	lb := create(t, game(ns, "race", 1))
	require.Greater(t, len(contents(t.Context(), t, ns)), len(empty)+8, "a game is many objects")
	tenant := lb.Status.Tenant
	result, err := match.Match{Client: connect(t, lb), Boards: match.Boards(allBoards), Names: []string{"ada", "bo"}, Rounds: 1, Seed: 2}.Play(t.Context())
	require.NoError(t, err)

	remove(t, lb)
	requireNothingLeft(t, ns, empty)
	again := game(ns, "race", 1)
	again.Spec.DeletionPolicy = games.DeletionPolicyDelete
	create(t, again)
	require.Equal(t, tenant, again.Status.Tenant)
	require.Error(t, result.Verify(t.Context()), "tokens of the deleted Leaderboard's keys must be refused")
	require.NoError(t, result.LogInAgain(t.Context()))
	ranked(t, again)
	require.NoError(t, result.Verify(t.Context()), "the retained scores are back")

	remove(t, again)
	requireNothingLeft(t, ns, empty)
	fresh := create(t, game(ns, "race", 1))
	require.Zero(t, ranked(t, fresh).TotalEntries, "Delete leaves no score")
	_, err = connect(t, fresh).Login(t.Context(), result.Players[0].Username, result.Players[0].Password)
	requireUnauthorized(t, err)
}

// ranked waits until the rankings of a game are made, and returns a page of global.
func ranked(t *testing.T, lb *games.Leaderboard) (page gameclient.Page) {
	t.Helper()
	c := connect(t, lb)
	for _, board := range append([]games.Board{{}}, lb.Spec.Boards...) {
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			read, err := c.Page(context.Background(), board.Name, 1, 10)
			require.NoError(t, err)
			if board.Name == "" {
				page = read
			}
		}, readyTimeout, poll, "the ranking of %s is made", board.Name)
	}
	return page
}

func requireUnauthorized(t *testing.T, err error) {
	t.Helper()
	var problem *gameclient.Problem
	require.True(t, errors.As(err, &problem), "expected a problem document, got %v", err)
	require.Equal(t, http.StatusUnauthorized, problem.Status)
}

package controllers

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	ledger "github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// The status says how a board is served whose order or scoring was changed, how far that is,
// and that nothing is left to do when it is done.
func TestTheStatusTellsOfRefolds(t *testing.T) {
	t.Parallel()
	lb := readyGame(t, newClass(t, startManager(t), postgres, redis))
	require.Empty(t, lb.Status.Refolds)

	// What a server does, which does not run here.
	secret := credentialsOf(t, lb)
	server, err := ledger.Open(t.Context(), ledger.Options{URL: string(secret.Data[workload.DatabaseURLKey])})
	require.NoError(t, err)
	defer server.Close()
	sync := func(scoring leaderboard.Scoring, columns ...leaderboard.Column) leaderboard.LiveBoard {
		boards, err := leaderboard.NewBoards(leaderboard.Board{Name: "arena", Order: leaderboard.Descending, Scoring: scoring, Shards: 1, Ranks: leaderboard.Ordinal, Columns: columns})
		require.NoError(t, err)
		catalog, err := server.SyncBoards(t.Context(), boards)
		require.NoError(t, err)
		board, err := catalog.Lookup("arena")
		require.NoError(t, err)
		return board
	}
	sync(leaderboard.Best)
	is := func(step v1alpha1.RefoldStep) {
		t.Helper()
		eventually(t, lb, func() bool { return len(lb.Status.Refolds) == 1 && lb.Status.Refolds[0].Step == step })
		require.Equal(t, []any{"arena", v1alpha1.OrderDescending, v1alpha1.ScoringBest},
			[]any{lb.Status.Refolds[0].Board, lb.Status.Refolds[0].Order, lb.Status.Refolds[0].Scoring}, "it is served as it was")
	}

	patch(t, lb, func() {
		lb.Spec.Boards[0].Columns = []v1alpha1.Column{{Name: "deaths", Order: v1alpha1.OrderAscending}}
	})
	is(v1alpha1.RefoldWaiting)
	sync(leaderboard.Best, leaderboard.Column{Name: "deaths", Order: leaderboard.Ascending})
	is(v1alpha1.RefoldRefused)
	require.Contains(t, lb.Status.Refolds[0].Message, "cannot get the column deaths")
	patch(t, lb, func() { lb.Spec.Boards[0].Columns = nil })
	eventually(t, lb, func() bool { return len(lb.Status.Refolds) == 0 })
	sync(leaderboard.Best)

	patch(t, lb, func() { lb.Spec.Boards[0].Scoring = v1alpha1.ScoringSum })
	is(v1alpha1.RefoldWaiting)
	board := sync(leaderboard.Sum)
	work, err := server.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	is(v1alpha1.RefoldRanking) // there are no scores
	_, switched := ledgertest.SwitchRefold(t, server, work, nothingToJoin)
	require.True(t, switched)
	eventually(t, lb, func() bool { return len(lb.Status.Refolds) == 0 })
	becomes(t, lb, allReady)

	conn, err := connectAs(t, secret)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "UPDATE boards SET log_cut = true WHERE name = 'arena'")
	require.NoError(t, err)
	patch(t, lb, func() { lb.Spec.Boards[0].Scoring = v1alpha1.ScoringBest })
	board = sync(leaderboard.Best)
	_, err = server.PrepareRefold(t.Context(), board)
	require.NoError(t, server.RefuseRefold(t.Context(), board, err))
	eventually(t, lb, func() bool { return len(lb.Status.Refolds) == 1 && lb.Status.Refolds[0].Step == v1alpha1.RefoldRefused })
	require.Contains(t, lb.Status.Refolds[0].Message, "retention has dropped scores")
	require.Equal(t, v1alpha1.ScoringSum, lb.Status.Refolds[0].Scoring)
	becomes(t, lb, allReady)

	patch(t, lb, func() { lb.Spec.Boards[0].Scoring = v1alpha1.ScoringSum })
	eventually(t, lb, func() bool { return len(lb.Status.Refolds) == 0 })

	// Fewer columns.
	both := []v1alpha1.Column{{Name: "deaths", Order: v1alpha1.OrderAscending}, {Name: "time", Order: v1alpha1.OrderDescending}}
	syncMatch := func(columns []v1alpha1.Column) leaderboard.LiveBoard {
		match := leaderboard.Board{Name: "match", Order: leaderboard.Descending, Scoring: leaderboard.Best, Shards: 1, Ranks: leaderboard.Ordinal}
		for _, c := range columns {
			match.Columns = append(match.Columns, leaderboard.Column{Name: c.Name, Order: leaderboard.Order(c.Order)})
		}
		boards, err := leaderboard.NewBoards(match)
		require.NoError(t, err)
		catalog, err := server.SyncBoards(t.Context(), boards)
		require.NoError(t, err)
		board, err := catalog.Lookup("match")
		require.NoError(t, err)
		return board
	}
	patch(t, lb, func() { lb.Spec.Boards = append(lb.Spec.Boards, v1alpha1.Board{Name: "match", Columns: both}) })
	syncMatch(both)
	patch(t, lb, func() { lb.Spec.Boards[1].Columns = both[1:] })
	eventually(t, lb, func() bool { return len(lb.Status.Refolds) == 1 && lb.Status.Refolds[0].Step == v1alpha1.RefoldWaiting })
	board = syncMatch(both[1:])
	work, err = server.PrepareRefold(t.Context(), board)
	require.NoError(t, err)
	eventually(t, lb, func() bool { return len(lb.Status.Refolds) == 1 && lb.Status.Refolds[0].Step == v1alpha1.RefoldRanking })
	require.Equal(t, []string{"deaths Ascending", "time Descending"}, lb.Status.Refolds[0].Columns)
	_, switched = ledgertest.SwitchRefold(t, server, work, nothingToJoin)
	require.True(t, switched)
	eventually(t, lb, func() bool { return len(lb.Status.Refolds) == 0 })
	becomes(t, lb, allReady)
}

func nothingToJoin(context.Context, []leaderboard.Standing) error { return nil }

func TestRefoldsOf(t *testing.T) {
	t.Parallel()
	boards := []v1alpha1.Board{{Name: "arena", Order: v1alpha1.OrderDescending, Scoring: v1alpha1.ScoringSum}}
	served := provision.BoardFold{Board: "arena", Order: "Descending", Scoring: "Best", WantedOrder: "Descending", WantedScoring: "Sum", Events: 10}
	for name, test := range map[string]struct {
		change func(*provision.BoardFold)
		step   v1alpha1.RefoldStep
		folded int64
		next   time.Duration
	}{
		"not begun":              {func(*provision.BoardFold) {}, v1alpha1.RefoldWaiting, 0, refoldsLook},
		"another change was":     {func(f *provision.BoardFold) { f.WantedScoring, f.Begun = "Count", true }, v1alpha1.RefoldWaiting, 0, refoldsLook},
		"the servers know of no": {func(f *provision.BoardFold) { f.WantedOrder, f.WantedScoring = "", "" }, v1alpha1.RefoldWaiting, 0, refoldsLook},
		"half way":               {func(f *provision.BoardFold) { f.Begun, f.Folded = true, 5 }, v1alpha1.RefoldFolding, 5, refoldsLook},
		"all was read":           {func(f *provision.BoardFold) { f.Begun, f.Ranking = true, true }, v1alpha1.RefoldRanking, 10, refoldsLook},
		"refused":                {func(f *provision.BoardFold) { f.Refused = "no" }, v1alpha1.RefoldRefused, 0, refusedLook},
		"other columns":          {func(f *provision.BoardFold) { f.Columns = []string{"deaths Ascending"} }, v1alpha1.RefoldWaiting, 0, refoldsLook},
		"columns refused": {func(f *provision.BoardFold) {
			f.Columns, f.MissingColumns, f.Refused = []string{"deaths Ascending"}, true, "no"
		}, v1alpha1.RefoldRefused, 0, refusedLook},
		"other ones were asked": {func(f *provision.BoardFold) { f.MissingColumns, f.Refused = true, "no" }, v1alpha1.RefoldWaiting, 0, refoldsLook},
		"without columns": {func(f *provision.BoardFold) {
			f.Columns, f.Begun, f.Ranking = []string{"deaths Ascending"}, true, true
		}, v1alpha1.RefoldRanking, 10, refoldsLook},
		"columns of an older spec": {func(f *provision.BoardFold) {
			f.Columns = []string{"deaths Ascending", "time Ascending"}
			f.WantedColumns, f.Begun = f.Columns[:1], true
		}, v1alpha1.RefoldWaiting, 0, refoldsLook},
	} {
		f := served
		test.change(&f)
		list := refoldsOf(boards, []provision.BoardFold{f})
		require.Len(t, list, 1, name)
		require.Equal(t, test.step, list[0].Step, name)
		require.Equal(t, test.folded, list[0].Folded, name)
		require.Equal(t, v1alpha1.ScoringBest, list[0].Scoring, name)
		require.Equal(t, f.Columns, list[0].Columns, name)
		require.Equal(t, test.next, untilRefolds(list), name)
	}

	served.Scoring = "Sum"
	require.Empty(t, refoldsOf(boards, []provision.BoardFold{served}), "it is done")
	require.Empty(t, refoldsOf(boards, nil), "no server has stored it yet")
	require.Zero(t, untilRefolds(nil))
}

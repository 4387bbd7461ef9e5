package commit_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/commit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// bulkScore is where the scores of bulk submissions begin, so that they can be told apart.
const bulkScore = 1_000_000

func bulk(n int) []leaderboard.Submission {
	submissions := make([]leaderboard.Submission, n)
	for i := range submissions {
		submissions[i] = leaderboard.Submission{Player: "p", Board: "b", Score: bulkScore + int64(i)}
	}
	return submissions
}

// sendBulk commits so many at once and returns what became of them.
func sendBulk(ctx context.Context, c *commit.Committer, n int) func() []leaderboard.Committed {
	answered := make(chan []leaderboard.Committed, 1)
	go func() { answered <- c.CommitAll(ctx, bulk(n)) }()
	return func() []leaderboard.Committed { return <-answered }
}

func TestCommitAllAnswersInOrder(t *testing.T) {
	refused := leaderboard.NoBoard("chess")
	l := &scripted{outcome: func(_ []leaderboard.Submission, s leaderboard.Submission) error {
		if s.Score == bulkScore+7 {
			return refused
		}
		return nil
	}}
	c := start(t, l, commit.Options{MaxBatch: 10})
	committed := c.CommitAll(t.Context(), bulk(95))
	c.Close()

	require.Len(t, committed, 95)
	for i, got := range committed {
		if i == 7 {
			require.Equal(t, refused, got.Err)
			continue
		}
		require.NoError(t, got.Err)
		require.Equal(t, bulkScore+int64(i), got.Receipt.Score)
	}
	require.Empty(t, c.CommitAll(t.Context(), nil))
}

// However much comes at once, single submissions have most of each batch, and are not refused.
func TestCommitAllLeavesRoom(t *testing.T) {
	gate := newGate()
	l := &scripted{before: gate.pass}
	c := start(t, l, commit.Options{MaxBatch: 8, InFlight: 1, QueueSize: 20})
	first := send(c, 0, 1)
	<-gate.entered
	many := sendBulk(t.Context(), c, 100)
	queued(t, c, 16) // two batches: the others wait outside
	singles := send(c, 1, 21)
	queued(t, c, 36)
	close(gate.open)

	for _, a := range singles() {
		require.NoError(t, a.err)
	}
	for _, committed := range many() {
		require.NoError(t, committed.Err)
	}
	first()
	c.Close()

	waiting := 20
	for i, batch := range l.batches[1:4] {
		single := 0
		for _, s := range batch {
			if s.Score < bulkScore {
				single++
			}
		}
		require.Equal(t, min(waiting, 6), single, "batch %d", i)
		require.Len(t, batch, 8, "and what they leave is used")
		waiting -= single
	}
}

// Where the time is up, what was not sent is known not to be stored.
func TestCommitAllEndsWithItsContext(t *testing.T) {
	gate := newGate()
	l := &scripted{before: gate.pass}
	c := start(t, l, commit.Options{MaxBatch: 4, InFlight: 1})
	ctx, cancel := context.WithCancel(t.Context())
	many := sendBulk(ctx, c, 20)
	<-gate.entered
	queued(t, c, 8)
	cancel()

	stored, codes := int64(0), map[leaderboard.Code]int{}
	for i, committed := range many() {
		code := leaderboard.CodeOf(committed.Err)
		codes[code]++
		if code == leaderboard.CodeUnavailable {
			require.Equal(t, stored, int64(i), "those that were sent come first")
			stored++
		}
	}
	close(gate.open)
	c.Close()
	require.Equal(t, 20, codes[leaderboard.CodeUnavailable]+codes[leaderboard.CodeBusy])
	require.GreaterOrEqual(t, codes[leaderboard.CodeBusy], 8)
	require.Equal(t, stored, l.events)

	for _, committed := range c.CommitAll(t.Context(), bulk(3)) {
		require.Equal(t, leaderboard.CodeBusy, leaderboard.CodeOf(committed.Err), "it is closed")
	}
}

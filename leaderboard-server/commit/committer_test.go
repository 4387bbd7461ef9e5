package commit_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/commit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a ledger and a ranking that do what a test says; the real ones are
// tested with the committer in test/conformance.
type scripted struct {
	mu      sync.Mutex
	events  int64
	batches [][]leaderboard.Submission
	// before is called with every batch; its error is Store's.
	before func(ctx context.Context, batch []leaderboard.Submission) error
	// outcome may replace a submission's outcome.
	outcome func(batch []leaderboard.Submission, s leaderboard.Submission) error
	apply   func(ctx context.Context) error
	applied int
}

func (l *scripted) Store(ctx context.Context, batch []leaderboard.Submission) (leaderboard.Stored, error) {
	if l.before != nil {
		if err := l.before(ctx, batch); err != nil {
			return leaderboard.Stored{}, err
		}
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	l.batches = append(l.batches, append([]leaderboard.Submission(nil), batch...))
	stored := leaderboard.Stored{Outcomes: make([]leaderboard.Outcome, len(batch))}
	for i, s := range batch {
		if l.outcome != nil {
			if err := l.outcome(batch, s); err != nil {
				stored.Outcomes[i].Err = err
				continue
			}
		}
		l.events++
		stored.Outcomes[i] = leaderboard.Outcome{Event: l.events, Entry: leaderboard.EntryKey{Board: 1, Season: 1, Player: s.Score},
			Global: leaderboard.EntryKey{Board: 2, Season: 1, Player: s.Score}}
	}

	return stored, nil
}

// Apply ranks every entry by its player.
func (l *scripted) Apply(ctx context.Context, projection leaderboard.Projection) ([]leaderboard.Applied, error) {
	l.mu.Lock()
	l.applied++
	l.mu.Unlock()

	if l.apply != nil {
		if err := l.apply(ctx); err != nil {
			return nil, err
		}
	}

	results := make([]leaderboard.Applied, len(projection.Changes))
	for i, c := range projection.Changes {
		if c.Ask {
			results[i] = leaderboard.Applied{RankingEntry: leaderboard.RankingEntry{Rank: c.Player + 1, Player: c.Player, Score: c.Player}, Improved: true}
		}
	}

	return results, nil
}

func start(t *testing.T, l *scripted, options commit.Options) *commit.Committer {
	t.Helper()
	options.Ledger, options.Ranking = l, l
	options.QueueSize, options.MaxBatch, options.InFlight = cmp.Or(options.QueueSize, 8192), cmp.Or(options.MaxBatch, 512), cmp.Or(options.InFlight, 2)
	c, err := commit.New(options)
	require.NoError(t, err)
	return c
}

func TestNewNeedsItsBounds(t *testing.T) {
	l := &scripted{}
	for _, options := range []commit.Options{{}, {Ledger: l, Ranking: l}, {Ledger: l, Ranking: l, QueueSize: 1, MaxBatch: 1}, {QueueSize: 1, MaxBatch: 1, InFlight: 1}} {
		_, err := commit.New(options)
		require.Error(t, err)
	}
}

// gate holds batches up until it is opened.
type gate struct{ entered, open chan struct{} }

func newGate() gate { return gate{make(chan struct{}, 1000), make(chan struct{})} }

func (g gate) pass(context.Context, []leaderboard.Submission) error {
	g.entered <- struct{}{}
	<-g.open
	return nil
}

type answer struct {
	receipt leaderboard.Receipt
	err     error
}

// send commits scores from..to-1 at the same time and returns the answers by score.
func send(c *commit.Committer, from, to int64) func() map[int64]answer {
	answers := make(map[int64]answer)
	var mu sync.Mutex
	var group sync.WaitGroup

	for score := from; score < to; score++ {
		group.Go(func() {
			receipt, err := c.Commit(context.Background(), leaderboard.Submission{Player: "p", Board: "b", Score: score})
			mu.Lock()
			defer mu.Unlock()
			answers[score] = answer{receipt, err}
		})
	}

	return func() map[int64]answer { group.Wait(); return answers }
}

func queued(t *testing.T, c *commit.Committer, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return c.QueueDepth() == n }, time.Minute, time.Millisecond)
}

func TestBatchesGrowWhileOneIsBeingStored(t *testing.T) {
	gate := newGate()
	l := &scripted{before: gate.pass}
	c := start(t, l, commit.Options{MaxBatch: 100, InFlight: 1})
	first := send(c, 0, 1)
	<-gate.entered
	rest := send(c, 1, 251)
	queued(t, c, 250)
	close(gate.open)

	for score, a := range rest() {
		require.NoError(t, a.err)
		require.Equal(t, leaderboard.RankingLive, a.receipt.Ranking)
		require.Equal(t, score+1, a.receipt.Rank, "everybody gets their own answer")
		require.Equal(t, score, a.receipt.StandingScore)
		require.Equal(t, score, a.receipt.Score)
		require.True(t, a.receipt.Improved)
	}

	first()
	c.Close()
	var sizes []int

	for _, b := range l.batches {
		sizes = append(sizes, len(b))
	}

	require.Equal(t, []int{1, 100, 100, 50}, sizes)
}

func TestASecondBatchStartsOnlyWhenFull(t *testing.T) {
	gate, entered := make(chan struct{}), make(chan int, 10)
	l := &scripted{before: func(_ context.Context, b []leaderboard.Submission) error { entered <- len(b); <-gate; return nil }}
	c := start(t, l, commit.Options{MaxBatch: 10, InFlight: 2})
	first := send(c, 0, 1)
	require.Equal(t, 1, <-entered)
	some := send(c, 1, 10)
	queued(t, c, 9)
	require.Empty(t, entered)
	last := send(c, 10, 11)
	require.Equal(t, 10, <-entered)
	more := send(c, 11, 31)
	queued(t, c, 20)
	require.Empty(t, entered, "two are in flight")
	close(gate)

	for _, wait := range []func() map[int64]answer{first, some, last, more} {
		for _, a := range wait() {
			require.NoError(t, a.err)
		}
	}

	c.Close()
}

func TestAFullQueueRefuses(t *testing.T) {
	gate := newGate()
	l := &scripted{before: gate.pass}
	c := start(t, l, commit.Options{QueueSize: 5, InFlight: 1})
	first := send(c, 0, 1)
	<-gate.entered
	waiting := send(c, 1, 6)
	queued(t, c, 5)
	_, err := c.Commit(t.Context(), leaderboard.Submission{})
	require.Equal(t, leaderboard.CodeBusy, leaderboard.CodeOf(err))
	var e *leaderboard.Error
	require.ErrorAs(t, err, &e)
	require.Positive(t, e.RetryAfter)
	close(gate.open)

	for _, a := range waiting() {
		require.NoError(t, a.err)
	}

	first()
	c.Close()
	require.Equal(t, int64(6), l.events, "the refused one is not stored")
}

func TestTheGuiltySubmissionEndsAlone(t *testing.T) {
	guilty := leaderboard.Errorf(leaderboard.CodeOutOfRange, "score", "too much")
	gate := newGate()
	l := &scripted{before: func(ctx context.Context, batch []leaderboard.Submission) error {
		_ = gate.pass(ctx, batch)
		for _, s := range batch {
			if s.Score == 77 || s.Score == 13 {
				return fmt.Errorf("%w: %w", leaderboard.ErrRejected, guilty)
			}
		}
		return nil
	}}

	c := start(t, l, commit.Options{InFlight: 1})
	first := send(c, 1000, 1001)
	<-gate.entered
	answers := send(c, 0, 100)
	queued(t, c, 100)
	close(gate.open)

	for score, a := range answers() {
		if score == 77 || score == 13 {
			require.Equal(t, leaderboard.CodeOutOfRange, leaderboard.CodeOf(a.err))
		} else {
			require.NoError(t, a.err)
		}
	}

	first()
	c.Close()
	require.Equal(t, int64(99), l.events)
}

// Of one player and board a batch has one submission where the scoring is ordered: the
// others are in the next batches, in their order, and hold up nobody.
func TestOneOrderedSubmissionOfAnEntryABatch(t *testing.T) {
	gate := newGate()
	l := &scripted{before: gate.pass}
	c := start(t, l, commit.Options{InFlight: 1})
	first := send(c, 1000, 1001)
	<-gate.entered

	var group sync.WaitGroup
	submit := func(player string, score int64, ordered bool) {
		depth := c.QueueDepth()
		group.Go(func() {
			_, err := c.Commit(context.Background(), leaderboard.Submission{Player: leaderboard.PlayerID(player), Board: "coins", Score: score, Ordered: ordered})
			if err != nil {
				t.Error(err)
			}
		})
		queued(t, c, depth+1)
	}
	for score := range int64(4) {
		submit("flood", score, true)
	}
	submit("other", 10, true)
	submit("flood", 11, false)
	submit("flood", 12, false)
	close(gate.open)
	group.Wait()
	first()
	c.Close()

	var got [][]int64
	for _, b := range l.batches[1:] {
		var scores []int64
		for _, s := range b {
			scores = append(scores, s.Score)
		}
		got = append(got, scores)
	}
	require.Equal(t, [][]int64{{0, 10, 11, 12}, {1}, {2}, {3}}, got)
}

// What is held for later batches is bounded, too.
func TestWhatIsHeldIsBounded(t *testing.T) {
	gate := newGate()
	l := &scripted{before: gate.pass}
	c := start(t, l, commit.Options{InFlight: 1, QueueSize: 4})
	first := send(c, 1000, 1001)
	<-gate.entered
	errs := make(chan error, 20)
	var group sync.WaitGroup
	for sent, answered := int64(0), 0; answered < 2; sent++ { // until two were refused: by the queue, or by what is held
		group.Go(func() {
			_, err := c.Commit(context.Background(), leaderboard.Submission{Player: "flood", Board: "coins", Score: sent, Ordered: true})
			errs <- err
		})
		if sent >= 4 {
			require.Equal(t, leaderboard.CodeBusy, leaderboard.CodeOf(<-errs))
			answered++
		} else {
			queued(t, c, int(sent)+1)
		}
	}
	close(gate.open)
	group.Wait()
	first()
	c.Close()
	for range 4 {
		require.NoError(t, <-errs)
	}
}

func TestOutcomesOfTheirOwn(t *testing.T) {
	l := &scripted{outcome: func(_ []leaderboard.Submission, s leaderboard.Submission) error {
		if s.Score == 1 {
			return leaderboard.NoBoard("chess")
		}
		return nil
	}}
	gate := newGate()
	l.before = gate.pass
	c := start(t, l, commit.Options{InFlight: 1})
	first := send(c, 10, 11)
	<-gate.entered
	answers := send(c, 0, 3)
	queued(t, c, 3)
	close(gate.open)
	got := answers()
	require.NoError(t, got[0].err)
	require.Equal(t, leaderboard.CodeNoBoard, leaderboard.CodeOf(got[1].err))
	require.NoError(t, got[2].err)
	require.Equal(t, int64(3), got[2].receipt.Rank, "the answers are by submission, not by change")
	first()
	c.Close()
}

func TestABatchThatMeetsAnotherIsRepeated(t *testing.T) {
	tries := 0
	l := &scripted{before: func(context.Context, []leaderboard.Submission) error {
		if tries++; tries < 3 {
			return fmt.Errorf("%w: deadlock", leaderboard.ErrRepeat)
		}
		return nil
	}}

	c := start(t, l, commit.Options{})
	require.NoError(t, send(c, 0, 1)()[0].err)
	c.Close()
	require.Equal(t, 3, tries)
}

// Whether an interrupted commit happened is not known: never pretended, never
// stored again.
func TestAnUnknownOutcomeIsUnavailable(t *testing.T) {
	tries := 0
	lost := leaderboard.Errorf(leaderboard.CodeUnavailable, "", "the connection broke").WithCause(errors.New("EOF"))
	l := &scripted{before: func(context.Context, []leaderboard.Submission) error { tries++; return lost }}
	c := start(t, l, commit.Options{})
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(send(c, 0, 1)()[0].err))
	c.Close()
	require.Equal(t, 1, tries)
}

func TestStoredWhileTheRankingIsAway(t *testing.T) {
	delayed := make(chan struct{}, 100)
	l := &scripted{apply: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	c := start(t, l, commit.Options{ApplyTimeout: time.Millisecond, Delayed: func() { delayed <- struct{}{} }})

	for range 3 {
		a := send(c, 5, 6)()[5]
		require.NoError(t, a.err)
		require.Equal(t, leaderboard.RankingDelayed, a.receipt.Ranking)
		require.Zero(t, a.receipt.Rank)
	}

	<-delayed
	c.Close()
	require.Equal(t, int64(3), l.events)
}

func TestACallerThatLeavesTakesNobodyAlong(t *testing.T) {
	gate := newGate()
	l := &scripted{before: gate.pass}
	c := start(t, l, commit.Options{InFlight: 1})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := c.Commit(ctx, leaderboard.Submission{Score: 1})
		left <- err
	}()

	<-gate.entered
	other := send(c, 2, 3)
	queued(t, c, 1)
	leave()
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(<-left))
	close(gate.open)
	require.NoError(t, other()[2].err)
	c.Close()
	require.Equal(t, int64(2), l.events)
}

func TestABatchHasADeadline(t *testing.T) {
	l := &scripted{before: func(ctx context.Context, _ []leaderboard.Submission) error { <-ctx.Done(); return ctx.Err() }}
	c := start(t, l, commit.Options{CommitTimeout: time.Millisecond})
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(send(c, 0, 1)()[0].err))
	c.Close()
}

func TestCloseFinishesWhatWasAccepted(t *testing.T) {
	gate := newGate()
	l := &scripted{before: gate.pass}
	c := start(t, l, commit.Options{InFlight: 1, MaxBatch: 10})
	first := send(c, 0, 1)
	<-gate.entered
	answers := send(c, 1, 51)
	queued(t, c, 50)
	closed := make(chan struct{})
	go func() { c.Close(); close(closed) }()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // one that still got in waits in vain
		defer cancel()
		_, err := c.Commit(ctx, leaderboard.Submission{})
		return leaderboard.CodeOf(err) == leaderboard.CodeBusy
	}, time.Minute, time.Millisecond)

	close(gate.open)
	<-closed
	for _, a := range answers() {
		require.NoError(t, a.err)
	}

	first()
}

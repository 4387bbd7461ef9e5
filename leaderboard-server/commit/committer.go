package commit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Ledger stores batches; see [leaderboard.ErrRepeat] and [leaderboard.ErrRejected]
// for its errors.
type Ledger interface {
	Store(ctx context.Context, batch []leaderboard.Submission) (leaderboard.Stored, error)
}

// Ranking joins the changes of a stored batch and answers those that ask, in their
// order, with rank 0 where it cannot. An error says that something was not joined; the
// answers are good all the same. Applying again, or in another order, does no harm.
type Ranking interface {
	Apply(ctx context.Context, projection leaderboard.Projection) ([]leaderboard.Applied, error)
}

// Observer is told what happens, for metrics. Its methods must not block.
type Observer interface {
	// Stored: a batch of size submissions, the oldest of which waited for queued,
	// took took to be stored or to fail.
	Stored(size int, queued, took time.Duration, err error)
	// Applied: a batch took took to be applied to the ranking or to fail.
	Applied(took time.Duration, err error)
	// Split: a rejected batch is stored in two halves.
	Split()
	// Repeated: a batch met another transaction and is stored again.
	Repeated()
	// Refused: a submission found the queue full.
	Refused()
	// Limited: a limit refused a submission; its kind is as [leaderboard.LimitKind] says.
	Limited(kind string)
}

// Options configure a [Committer].
type Options struct {
	Ledger  Ledger
	Ranking Ranking
	// Observer may be nil.
	Observer Observer
	// Delayed is called after standings could not be applied, to hasten catch-up;
	// may be nil. It must not block.
	Delayed func()
	// QueueSize is how many submissions may wait. Required.
	QueueSize int
	// MaxBatch is how many submissions share a transaction. Required.
	MaxBatch int
	// InFlight is how many batches may be stored or applied at the same time. Those
	// after the first are started only when they are full. Required.
	InFlight int
	// CommitTimeout bounds the storing of one batch, and of each part of a split
	// one. Default: 5 s.
	CommitTimeout time.Duration
	// PerSecond is how many submissions a second all servers of the game together take, as
	// Leaser has them; 0: any number.
	PerSecond int
	Leaser    Leaser
	// ApplyTimeout bounds how long receipts wait for the ranking. Default: 500 ms.
	ApplyTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Observer == nil {
		o.Observer = nopObserver{}
	}

	if o.Delayed == nil {
		o.Delayed = func() {}
	}

	if o.CommitTimeout == 0 {
		o.CommitTimeout = 5 * time.Second
	}

	if o.ApplyTimeout == 0 {
		o.ApplyTimeout = 500 * time.Millisecond
	}

	return o
}

// Committer implements [leaderboard.Committer]. Make one with [New] and end it
// with [Committer.Close].
type Committer struct {
	options Options
	queue   chan *request
	bulk    chan *request // those of CommitAll
	// inFlight is how many batches there may be: InFlight, or fewer.
	inFlight atomic.Int64
	full     chan struct{} // told when a full batch is waiting
	held     atomic.Int64  // requests that had no room in the last batch
	rate     *rate         // nil: any number of submissions is taken

	// closing guards the queue: senders hold it for reading.
	closing sync.RWMutex
	closed  bool
	working sync.WaitGroup // dispatch, and the batches that are in flight
}

// request is one submission on its way.
type request struct {
	submission leaderboard.Submission
	queued     time.Time
	index      int         // among those of its caller
	done       chan result // has room for all of its caller: answering never blocks
}

// answer says what became of the request.
func (r *request) answer(receipt leaderboard.Receipt, err error) {
	r.done <- result{r.index, leaderboard.Committed{Receipt: receipt, Err: err}}
}

type result struct {
	index int
	leaderboard.Committed
}

// New starts a committer.
func New(options Options) (*Committer, error) {
	if options.Ledger == nil || options.Ranking == nil {
		return nil, errors.New("a committer needs a ledger and a ranking")
	}
	if options.QueueSize <= 0 || options.MaxBatch <= 0 || options.InFlight <= 0 {
		return nil, errors.New("a committer's queue, batches and their number are 1 or more")
	}
	if options.PerSecond > 0 && options.Leaser == nil {
		return nil, errors.New("a committer that takes so many submissions a second needs a leaser")
	}
	options = options.withDefaults()
	c := &Committer{options: options, queue: make(chan *request, options.QueueSize),
		bulk: make(chan *request, bulkBatches*options.MaxBatch), full: make(chan struct{}, 1)}
	if options.PerSecond > 0 {
		c.rate = &rate{leaser: options.Leaser, perSecond: options.PerSecond, timeout: options.CommitTimeout}
	}
	c.inFlight.Store(int64(options.InFlight))
	c.working.Go(c.dispatch)
	return c, nil
}

// SetInFlight lets fewer batches be stored at the same time than InFlight: 1 or more.
func (c *Committer) SetInFlight(batches int) {
	c.inFlight.Store(int64(min(max(batches, 1), c.options.InFlight)))
}

// QueueDepth is how many submissions wait now.
func (c *Committer) QueueDepth() int { return c.queued() + int(c.held.Load()) }

// queued is how many submissions are in the two queues.
func (c *Committer) queued() int { return len(c.queue) + len(c.bulk) }

// Commit implements [leaderboard.Committer].
func (c *Committer) Commit(ctx context.Context, submission leaderboard.Submission) (leaderboard.Receipt, error) {
	if err := c.admit(ctx, false); err != nil {
		return leaderboard.Receipt{}, err
	}

	r := &request{submission: submission, queued: time.Now(), done: make(chan result, 1)}
	if err := c.enqueue(r); err != nil {
		return leaderboard.Receipt{}, err
	}

	select {
	case result := <-r.done:
		return result.Receipt, result.Err
	case <-ctx.Done():
		// The batch goes on: whoever asks again with the key gets its outcome.
		return leaderboard.Receipt{}, tookTooLong(ctx)
	}
}

// admit counts a submission where the game takes so many a second. One that is patient waits for
// its turn.
func (c *Committer) admit(ctx context.Context, patient bool) error {
	if c.rate == nil {
		return nil
	}

	err := c.rate.take(ctx, patient)
	c.noteLimited(err)
	return err
}

func tookTooLong(ctx context.Context) error {
	return leaderboard.Errorf(leaderboard.CodeUnavailable, "",
		"the submission took too long and may or may not be stored: send it again with the same Idempotency-Key").
		After(time.Second).WithCause(context.Cause(ctx))
}

func (c *Committer) enqueue(r *request) error {
	c.closing.RLock()
	defer c.closing.RUnlock()

	if c.closed {
		return stopping()
	}

	select {
	case c.queue <- r:
		c.noteFull()
		return nil
	default:
		c.options.Observer.Refused()
		return busy("too many submissions are waiting, try again in a moment")
	}
}

// noteFull tells dispatch where a full batch is waiting.
func (c *Committer) noteFull() {
	if c.queued() >= c.options.MaxBatch {
		select {
		case c.full <- struct{}{}:
		default:
		}
	}
}

func stopping() error { return busy("this server is shutting down, try again") }

func busy(message string) *leaderboard.Error {
	return leaderboard.Errorf(leaderboard.CodeBusy, "", "%s", message).After(time.Second)
}

// Close refuses further submissions, stores and answers those that were accepted,
// and returns once all is done. It may be called once.
func (c *Committer) Close() {
	c.closing.Lock()
	c.closed = true
	close(c.queue)
	close(c.bulk)
	c.closing.Unlock()
	c.working.Wait()
}

// nopObserver ignores everything.
type nopObserver struct{}

// Stored implements [Observer].
func (nopObserver) Stored(int, time.Duration, time.Duration, error) {}

// Applied implements [Observer].
func (nopObserver) Applied(time.Duration, error) {}

// Split implements [Observer].
func (nopObserver) Split() {}

// Repeated implements [Observer].
func (nopObserver) Repeated() {}

// Refused implements [Observer].
func (nopObserver) Refused() {}

// Limited implements [Observer].
func (nopObserver) Limited(string) {}

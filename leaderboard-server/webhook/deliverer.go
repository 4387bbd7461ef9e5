package webhook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
)

const (
	// maxRequests bounds the requests of one webhook that are under way in a process.
	maxRequests = 4
	// firstLook is between the first two looks for messages after one was enqueued here: its
	// transaction may still have to commit.
	firstLook = 50 * time.Millisecond
	// queueInterval is how often messages are counted, for metrics.
	queueInterval = 15 * time.Second
	// leaseMargin is how much longer a message is leased than its request may take.
	leaseMargin = 20 * time.Second
	// recordTimeout bounds recording an attempt when the process is about to end.
	recordTimeout = 5 * time.Second
)

// Outbox is where the messages are.
type Outbox interface {
	// ClaimMessages returns messages of a webhook that are due, of each board and type
	// of event at most the first that waits, which nobody else gets for the time of the lease.
	ClaimMessages(ctx context.Context, webhook string, limit int, lease time.Duration) ([]leaderboard.WebhookMessage, error)
	MarkDelivered(ctx context.Context, m leaderboard.WebhookMessage) error
	// MarkFailed says whether the attempt was the last one.
	MarkFailed(ctx context.Context, m leaderboard.WebhookMessage, f leaderboard.WebhookFailure) (dead bool, err error)
	WebhookQueues(ctx context.Context) ([]leaderboard.WebhookQueue, error)
	// Enqueued has a value after this process has enqueued a message.
	Enqueued() <-chan struct{}
}

// Observer is told what happens.
type Observer interface {
	// Attempted is told of an attempt: "delivered", "failed" or "dead".
	Attempted(webhook, result string)
	// Queued is told how many messages of a webhook wait, the oldest of them for age, and how
	// many were given up; Removed that there is no such webhook any more.
	Queued(webhook string, waiting, dead int64, age time.Duration)
	Removed(webhook string)
}

// Options configure a [Deliverer]. All but Resolver are required.
type Options struct {
	Outbox   Outbox
	Policy   endpoint.Policy
	Observer Observer
	Log      *slog.Logger
	// Resolver looks host names up. Nil: as the system does.
	Resolver *net.Resolver
	// Timeout bounds one request.
	Timeout time.Duration
	// RetryFor is for how long a message is tried, and FirstRetry the pause after the first
	// attempt. Each is twice the one before, up to LongestRetry.
	RetryFor, FirstRetry, LongestRetry time.Duration
	// Look is the longest pause between two looks for messages that are due, of which others
	// enqueue some, too.
	Look time.Duration
}

// Deliverer delivers messages. Make one with [New].
type Deliverer struct {
	options Options
	// set and the sender are replaced together.
	current atomic.Pointer[configured]
	changed chan struct{}
	workers sync.WaitGroup

	mu   sync.Mutex
	busy map[string]bool
}

type configured struct {
	set    endpoint.Set
	sender *sender
}

// New makes a deliverer without webhooks. Run starts it.
func New(options Options) *Deliverer {
	d := &Deliverer{options: options, changed: make(chan struct{}, 1), busy: make(map[string]bool)}
	d.current.Store(&configured{})
	return d
}

// SetEndpoints takes the webhooks that there are from now on.
func (d *Deliverer) SetEndpoints(set endpoint.Set) error {
	sender, err := newSender(d.options, set.Authorities)
	if err != nil {
		return err
	}

	before := d.current.Swap(&configured{set: set, sender: sender})
	for _, e := range before.set.Endpoints {
		if _, stays := set.Lookup(e.Name); !stays {
			d.options.Observer.Removed(e.Name)
		}
	}
	select {
	case d.changed <- struct{}{}:
	default: // a look is due already
	}
	return nil
}

// Run delivers until ctx ends. A game without webhooks costs nothing.
func (d *Deliverer) Run(ctx context.Context) {
	defer d.workers.Wait()

	var counted time.Time
	for pause := firstLook; ; pause = min(2*pause, d.options.Look) {
		now := d.current.Load()
		for _, e := range now.set.Endpoints {
			d.begin(ctx, e)
		}
		if len(now.set.Endpoints) > 0 && time.Since(counted) > queueInterval {
			d.count(ctx, now.set)
			counted = time.Now()
		}

		var look <-chan time.Time
		if len(now.set.Endpoints) > 0 {
			look = time.After(pause + rand.N(pause/4)) // replicas not all at once
		}
		select {
		case <-ctx.Done():
			return
		case <-d.changed:
			pause = firstLook / 2
		case <-d.options.Outbox.Enqueued():
			pause = firstLook / 2
		case <-look:
		}
	}
}

// count tells how many messages there are.
func (d *Deliverer) count(ctx context.Context, set endpoint.Set) {
	queues, err := d.options.Outbox.WebhookQueues(ctx)
	if err != nil {
		d.options.Log.DebugContext(ctx, "the messages of webhooks are counted later", "error", err)
		return
	}

	byName := make(map[string]leaderboard.WebhookQueue, len(queues))
	for _, q := range queues {
		byName[q.Webhook] = q
	}
	for _, e := range set.Endpoints {
		q := byName[e.Name]
		d.options.Observer.Queued(e.Name, q.Waiting, q.Dead, q.Age)
	}
}

// begin starts to deliver what is due of a webhook, unless that is under way.
func (d *Deliverer) begin(ctx context.Context, e endpoint.Endpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()

	if d.busy[e.Name] || len(e.Signing(time.Now())) == 0 {
		return
	}
	d.busy[e.Name] = true
	d.workers.Go(func() {
		d.drain(ctx, e.Name)
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.busy, e.Name)
	})
}

// drain delivers what is due of a webhook, some messages at a time.
func (d *Deliverer) drain(ctx context.Context, name string) {
	for ctx.Err() == nil {
		messages, err := d.options.Outbox.ClaimMessages(ctx, name, maxRequests, d.options.Timeout+leaseMargin)
		if err != nil && ctx.Err() == nil {
			d.options.Log.WarnContext(ctx, "the messages of a webhook cannot be read, trying again", "webhook", name, "error", err)
		}
		// As it is now: a message is not to go where the webhook led before.
		now := d.current.Load()
		e, known := now.set.Lookup(name)
		if len(messages) == 0 || !known {
			return
		}

		var requests sync.WaitGroup
		for _, m := range messages {
			requests.Go(func() { d.deliver(ctx, now.sender, e, m) })
		}
		requests.Wait()
	}
}

// deliver makes one attempt and records what became of it, also where ctx ends meanwhile.
func (d *Deliverer) deliver(ctx context.Context, sender *sender, e endpoint.Endpoint, m leaderboard.WebhookMessage) {
	failure := sender.send(ctx, e, m)
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()

	log := d.options.Log.With("webhook", e.Name, "event", m.Event, "message", m.ID, "attempt", m.Attempt)
	if failure == nil {
		if err := d.options.Outbox.MarkDelivered(recording, m); err != nil {
			log.WarnContext(recording, "a message was delivered and is sent again, as that could not be recorded", "error", err)
		}
		d.options.Observer.Attempted(e.Name, "delivered")
		return
	}

	failed := leaderboard.WebhookFailure{Reason: failure.reason, GiveUp: d.options.RetryFor, Final: failure.final}
	if ctx.Err() == nil {
		failed.RetryAfter = max(d.backoff(m.Attempt), min(failure.retryAfter, d.options.LongestRetry))
	}
	dead, err := d.options.Outbox.MarkFailed(recording, m, failed)
	switch {
	case err != nil:
		log.WarnContext(recording, "a message is sent again later, as its failure could not be recorded", "reason", failure.reason, "error", err)
	case dead:
		log.ErrorContext(recording, "a message was given up", "reason", failure.reason)
		d.options.Observer.Attempted(e.Name, "dead")
		return
	default:
		log.InfoContext(recording, "a message was not delivered, trying again", "reason", failure.reason, "after", failed.RetryAfter.String())
	}
	d.options.Observer.Attempted(e.Name, "failed")
}

// backoff is the pause after an attempt: half of it by chance.
func (d *Deliverer) backoff(attempt int) time.Duration {
	pause := d.options.FirstRetry
	for range attempt - 1 {
		if pause = 2 * pause; pause >= d.options.LongestRetry {
			pause = d.options.LongestRetry
			break
		}
	}
	return pause/2 + rand.N(pause/2+1)
}

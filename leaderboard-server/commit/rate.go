package commit

import (
	"context"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Leaser hands out the submissions that a game takes in a second, to all of its servers.
type Leaser interface {
	// LeaseSubmissions asks for so many of the perSecond submissions of the second that it is by
	// the ledger's clock. granted, which may be fewer, are good for left from when they were asked
	// for. If they are fewer, there are no more in that second.
	LeaseSubmissions(ctx context.Context, perSecond, wanted int) (granted int, left time.Duration, err error)
}

const (
	// leasePause is the least time between two leases of a server.
	leasePause = 100 * time.Millisecond
	// leaseShare: a lease is of one part in so many of what a second has, or of as many as wait.
	leaseShare = 10
)

// rate lets as many submissions pass in a second as a game takes. They are leased by the share,
// so that a submission seldom waits for a lease, and a server asks for none while nothing comes.
// What is leased and not used is lost with its second.
type rate struct {
	leaser    Leaser
	perSecond int
	timeout   time.Duration

	mu      sync.Mutex
	tokens  int       // of the second that ends then
	ends    time.Time // by this process's clock, and never later than by the ledger's
	usedUp  bool      // that second has no more
	asked   time.Time // when the last lease was
	waiting int       // for the lease that is under way
	leasing *lease    // the one that is under way; nil: none
}

// lease is one that is under way.
type lease struct {
	done chan struct{}
	err  error // once it is done
}

// take counts one submission, or refuses it. One that is patient waits for another second
// instead, until ctx ends.
func (r *rate) take(ctx context.Context, patient bool) error {
	for {
		if ctx.Err() != nil {
			return busy("too many submissions are waiting, try again in a moment").WithCause(context.Cause(ctx))
		}
		taken, until, err := r.try(ctx, patient)
		if taken || err != nil {
			return err
		}
		if until.IsZero() {
			continue // there was a lease
		}
		if !patient {
			return leaderboard.GameLimitExceeded(r.perSecond)
		}
		_ = sleep(ctx, time.Until(until)) // if ctx has ended, that is all
	}
}

// try takes a token, or says until when there are none, or has waited for a lease.
func (r *rate) try(ctx context.Context, patient bool) (taken bool, until time.Time, err error) {
	r.mu.Lock()
	if time.Now().Before(r.ends) {
		switch {
		case r.tokens > 0:
			r.tokens--
			r.mu.Unlock()
			return true, time.Time{}, nil
		case r.usedUp:
			defer r.mu.Unlock()
			return false, r.ends, nil
		}
	}
	if !patient && r.waiting >= r.perSecond { // no second has as many
		defer r.mu.Unlock()
		return false, time.Now().Add(time.Second), nil
	}

	r.waiting++
	current := r.leasing
	if current == nil {
		current = &lease{done: make(chan struct{})}
		r.leasing = current
		pause := leasePause - time.Since(r.asked)
		r.mu.Unlock()
		r.renew(ctx, current, pause)
		return false, time.Time{}, current.err
	}
	r.mu.Unlock()

	select {
	case <-current.done:
		return false, time.Time{}, current.err
	case <-ctx.Done():
		return false, time.Time{}, nil
	}
}

// renew leases what a share is, or what waits, after a pause. If the caller leaves meanwhile,
// another one that waits leases instead.
func (r *rate) renew(ctx context.Context, current *lease, pause time.Duration) {
	granted, left, wanted := 0, time.Duration(0), 0
	asked, err := time.Time{}, sleep(ctx, pause)
	if err == nil {
		r.mu.Lock()
		wanted = min(max(r.perSecond/leaseShare, r.waiting), r.perSecond)
		r.mu.Unlock()

		// Others wait for it, too: it does not end with its caller.
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
		defer cancel()
		asked = time.Now()
		granted, left, current.err = r.leaser.LeaseSubmissions(bounded, r.perSecond, wanted)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.leasing, r.waiting = nil, 0
	if err == nil && current.err == nil {
		r.tokens, r.ends, r.asked, r.usedUp = granted, asked.Add(left), asked, granted < wanted
	}
	close(current.done)
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}

	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

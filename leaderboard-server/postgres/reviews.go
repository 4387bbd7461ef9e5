package postgres

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// reviews is what this process knows and did of submissions that are held back.
type reviews struct {
	held, accepted, rejected atomic.Int64

	mu      sync.Mutex
	pending int64
	looked  time.Time
}

const (
	// pendingFresh is how old the number of those that wait may be, and pendingTimeout how long it
	// is waited for.
	pendingFresh   = 15 * time.Second
	pendingTimeout = 500 * time.Millisecond
)

// PendingSubmissions is how many submissions wait for a decision, as of some seconds ago. A game
// whose boards hold nothing back is not asked.
func (l *Ledger) PendingSubmissions() int64 {
	catalog := l.Catalog()
	if catalog == nil || !catalog.HasReviews() {
		return 0
	}

	r := &l.reviews
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < pendingFresh {
		return r.pending
	}

	ctx, cancel := context.WithTimeout(context.Background(), pendingTimeout)
	defer cancel()
	var pending int64
	if err := l.pool.QueryRow(ctx, "SELECT count(*) FROM held_submissions WHERE state = 'pending'").Scan(&pending); err == nil {
		r.pending = pending
	}
	r.looked = time.Now()
	return r.pending
}

// HeldBack is how many submissions this process has held back.
func (l *Ledger) HeldBack() int64 { return l.reviews.held.Load() }

// Accepted is how many of those that were held back this process has accepted.
func (l *Ledger) Accepted() int64 { return l.reviews.accepted.Load() }

// Rejected is how many this process has rejected.
func (l *Ledger) Rejected() int64 { return l.reviews.rejected.Load() }

func (r *reviews) count(state leaderboard.HeldState) {
	if state == leaderboard.HeldAccepted {
		r.accepted.Add(1)
	} else {
		r.rejected.Add(1)
	}
}

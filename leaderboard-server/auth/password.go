package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// maxWaiting bounds the requests that wait for their turn to hash. At 50 ms a
// hash and one at a time, the last one waits some 13 s, longer than it may.
const maxWaiting = 256

// Passwords hashes with bcrypt, a few at a time, so that logins leave CPU for
// everything else. It is a [leaderboard.Passwords].
type Passwords struct {
	cost    int
	timeout time.Duration
	slots   chan struct{}
	waiting atomic.Int64
}

// NewPasswords hashes with the cost, up to concurrency at once (0: half of the
// CPUs, at least one). A call that does not get its turn within timeout fails
// with CodeBusy.
func NewPasswords(cost, concurrency int, timeout time.Duration) *Passwords {
	if concurrency <= 0 {
		concurrency = max(1, runtime.GOMAXPROCS(0)/2)
	}
	return &Passwords{cost: cost, timeout: timeout, slots: make(chan struct{}, concurrency)}
}

// Hash returns a salted hash. A password that bcrypt would cut is refused.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if err := leaderboard.CheckPassword(password); err != nil {
		return "", err
	}

	release, err := p.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()

	hash, err := bcrypt.GenerateFromPassword([]byte(password), p.cost)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}

	return string(hash), nil
}

// Verify says whether the password is the one that was hashed.
func (p *Passwords) Verify(ctx context.Context, hash, password string) (bool, error) {
	release, err := p.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()

	err = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	switch {
	case err == nil:
		return len(password) <= leaderboard.MaxPassword, nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	}

	return false, fmt.Errorf("verify a password: %w", err)
}

// Waiting is how many calls wait for their turn.
func (p *Passwords) Waiting() int64 { return p.waiting.Load() }

func (p *Passwords) acquire(ctx context.Context) (release func(), err error) {
	release = func() { <-p.slots }
	select {
	case p.slots <- struct{}{}:
		return release, nil
	default:
	}

	busy := leaderboard.Errorf(leaderboard.CodeBusy, "", "too many logins and registrations are under way: try again in a moment").After(time.Second)
	if p.waiting.Add(1) > maxWaiting {
		p.waiting.Add(-1)
		return nil, busy
	}
	defer p.waiting.Add(-1)

	timer := time.NewTimer(p.timeout)
	defer timer.Stop()

	select {
	case p.slots <- struct{}{}:
		return release, nil
	case <-timer.C:
		return nil, busy
	case <-ctx.Done():
		return nil, busy.WithCause(ctx.Err())
	}
}

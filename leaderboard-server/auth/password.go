package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
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
//
// Passwords are hashed in the form that RFC 8265 calls OpaqueString: composed
// characters (NFC), one kind of space, no control characters. Accounts from before
// that have the hash of what was typed, byte for byte; it is verified as well.
type Passwords struct {
	cost    int
	timeout time.Duration
	slots   chan struct{}
	waiting atomic.Int64
	// refusalCost is the cost of a refusal: the present cost, or that of the dearest
	// hash met so far, where the cost was once higher.
	refusalCost atomic.Int64
}

// NewPasswords hashes with the cost, up to concurrency at once (0: half of the
// CPUs, at least one). A call that does not get its turn within timeout fails
// with CodeBusy.
func NewPasswords(cost, concurrency int, timeout time.Duration) *Passwords {
	if concurrency <= 0 {
		concurrency = max(1, runtime.GOMAXPROCS(0)/2)
	}

	p := &Passwords{cost: cost, timeout: timeout, slots: make(chan struct{}, concurrency)}
	p.refusalCost.Store(int64(cost))
	return p
}

// Hash implements [leaderboard.Passwords].
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	normalized, err := newPassword(password)
	if err != nil {
		return "", err
	}

	release, err := p.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()

	return p.hash(normalized)
}

func (p *Passwords) hash(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), p.cost)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return string(hash), nil
}

// Verify implements [leaderboard.Passwords]. The work of a refusal depends on the
// password alone: neither on whether there is a hash nor on its cost. A hash that
// is dearer than all that this process has met is the exception, once.
func (p *Passwords) Verify(ctx context.Context, hash, password string) (match bool, renewed string, err error) {
	var cost int
	if hash != "" {
		if cost, err = bcrypt.Cost([]byte(hash)); err != nil {
			return false, "", fmt.Errorf("read the hash of a password: %w", err)
		}
	}

	release, err := p.acquire(ctx)
	if err != nil {
		return false, "", err
	}
	defer release()

	forms := passwordForms(password)
	for i, form := range forms {
		match, err := compare(hash, form)
		if err != nil {
			return false, "", err
		}
		if match && (cost != p.cost || i > 0) {
			renewed, err = p.hash(forms[0])
		}
		if match {
			return true, renewed, err
		}
	}

	refuse(cost, p.raiseRefusalCost(cost), len(forms))
	return false, "", nil
}

// compare says whether the hash is that of the password; an empty one is nobody's.
func compare(hash, password string) (bool, error) {
	if hash == "" {
		return false, nil
	}

	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	}

	return false, fmt.Errorf("verify a password: %w", err)
}

// raiseRefusalCost makes refusals at least as much work as a hash of this cost,
// and returns what they cost.
func (p *Passwords) raiseRefusalCost(cost int) int {
	for {
		present := p.refusalCost.Load()
		if int64(cost) <= present {
			return int(present)
		}
		p.refusalCost.CompareAndSwap(present, int64(cost))
	}
}

// refuse does the work that is missing for a refusal at the target's cost, after
// so many forms of a password were compared with a hash of the cost, 0: there was
// no hash.
//
// Each step of the cost doubles the work. So one comparison at cost c and one at
// each cost from c to target-1 are together as much as one at the target.
func refuse(cost, target, forms int) {
	if cost == 0 || forms == 0 {
		for range max(1, forms) {
			work(target)
		}
		return
	}

	for range forms {
		for c := cost; c < target; c++ {
			work(c)
		}
	}
}

// work takes as long as comparing a password with a hash of the cost.
func work(cost int) {
	const saltAndSum = 22 + 31
	hash := fmt.Sprintf("$2a$%02d$%s", cost, strings.Repeat(".", saltAndSum))
	_, _ = compare(hash, "") // the hash of no known password
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

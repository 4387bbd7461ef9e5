package controllers

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
)

// A Leaderboard gets paceBurst passes at once, which is more than it takes to come up or
// to be replaced, and then one a paceInterval: those who may write it, or what it owns,
// must not be able to keep the operator busy.
const (
	paceBurst    = 30
	paceInterval = time.Second
	// pacedLeaderboards bounds what is remembered, some 200 bytes each. Who is forgotten
	// starts with a burst.
	pacedLeaderboards = 10_000
)

// pace bounds how often each Leaderboard is looked at.
type pace struct {
	limiters *lru.Cache[types.UID, *rate.Limiter]
}

func newPace() (*pace, error) {
	limiters, err := lru.New[types.UID, *rate.Limiter](pacedLeaderboards)
	return &pace{limiters: limiters}, err
}

// delay is 0 if the Leaderboard may be looked at now, and otherwise in how long.
func (p *pace) delay(uid types.UID, now time.Time) time.Duration {
	limiter, found := p.limiters.Get(uid)
	if !found {
		limiter = rate.NewLimiter(rate.Every(paceInterval), paceBurst)
		p.limiters.Add(uid, limiter)
	}

	if limiter.AllowN(now, 1) {
		return 0
	}
	return paceInterval
}

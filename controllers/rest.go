package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// A game at rest costs the stores nothing: what they hold of all games of a class is asked
// for at once (the census), and a game whose part has not changed since the last look at
// all that is its own needs no other.

// wholeLook is how often everything of a game is looked at all the same: its passwords are
// in no census.
const wholeLook = time.Hour

// censusAge is how old a census may be: of each resync there is one, which is younger than
// the last look at any game.
func censusAge(resync time.Duration) time.Duration { return resync * 9 / 10 }

// census is what the stores of a class held when it was asked for.
type census struct {
	mutex sync.Mutex
	taken time.Time
	found provision.Inventory
	err   error
}

// inventory returns what the stores hold, and when that was asked for: no longer ago than
// maxAge. Nobody changes what is returned.
func (e *storeEntry) inventory(ctx context.Context, maxAge time.Duration) (found provision.Inventory, taken time.Time, err error) {
	c := &e.census
	c.mutex.Lock()
	defer c.mutex.Unlock()

	if now := time.Now(); now.Sub(c.taken) > maxAge {
		c.taken, c.found = now, provision.Inventory{}
		if c.err = e.postgres.Inventory(ctx, c.found); c.err == nil {
			c.err = e.redis.Inventory(ctx, c.found)
		}
	}
	return c.found, c.taken, c.err
}

// fingerprint is of what the stores hold of a tenant. It is empty if one of them does not
// answer or holds nothing.
func (e *storeEntry) fingerprint(ctx context.Context, t tenant.Tenant, maxAge time.Duration) (fingerprint string, taken time.Time) {
	found, taken, err := e.inventory(ctx, maxAge)
	holding := found[t.ID]
	if err != nil || holding == nil || holding.InPostgres == "" || holding.InRedis == "" {
		return "", taken
	}
	return holding.InPostgres + " " + holding.InRedis, taken
}

// resting remembers with which fingerprint all of a game was last found right.
type resting struct {
	mutex   sync.Mutex
	entries map[types.UID]restingEntry
}

type restingEntry struct {
	key, fingerprint string
	at, until        time.Time
}

func newResting() *resting { return &resting{entries: map[types.UID]restingEntry{}} }

// note takes that all was right at a time, which fingerprint had been taken before, and
// when to look again in any case.
func (r *resting) note(uid types.UID, key, fingerprint string, at, until time.Time) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.entries[uid] = restingEntry{key: key, fingerprint: fingerprint, at: at, until: until}
}

// holds reports whether all is as it was when it was right: a fingerprint that was taken
// later is that of before, so nothing was changed in between, by the operator either.
func (r *resting) holds(uid types.UID, key, fingerprint string, taken, now time.Time) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	entry, found := r.entries[uid]
	return found && fingerprint != "" && entry.key == key && entry.fingerprint == fingerprint && taken.After(entry.at) && now.Before(entry.until)
}

func (r *resting) drop(uid types.UID) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.entries, uid)
}

// rests says whether the stores need not be looked at for this game: they were lately, or
// hold what they held when they were right.
func (r *LeaderboardReconciler) rests(ctx context.Context, p *pass, stores *storeHandle, key string) bool {
	if r.verified.fresh(p.lb.UID, key) {
		return true
	}

	fingerprint, taken := stores.fingerprint(ctx, p.tenant, censusAge(r.Resync))
	p.fingerprint = fingerprint
	return r.resting.holds(p.lb.UID, key, fingerprint, taken, time.Now())
}

package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// freshness remembers for how long what the stores hold for a Leaderboard need
// not be looked at again. Passes come for many reasons, most of them a change
// of the Deployment's status; the stores are asked once per resync, and at once
// when something that they depend on has changed.
type freshness struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[types.UID]freshEntry
}

type freshEntry struct {
	key   string
	until time.Time
}

func newFreshness(now func() time.Time) *freshness {
	return &freshness{now: now, entries: map[types.UID]freshEntry{}}
}

// fresh reports whether the stores were found to be right for this key lately.
func (f *freshness) fresh(uid types.UID, key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry, found := f.entries[uid]
	return found && entry.key == key && f.now().Before(entry.until)
}

// known reports whether the stores were found to be right for this key, however long ago.
func (f *freshness) known(uid types.UID, key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	entry, found := f.entries[uid]
	return found && entry.key == key
}

// mark notes that the stores are right for this key.
func (f *freshness) mark(uid types.UID, key string, lasts time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries[uid] = freshEntry{key: key, until: f.now().Add(lasts)}
}

// drop makes the next pass ask the stores.
func (f *freshness) drop(uid types.UID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.entries, uid)
}

package leaderboard

import (
	"context"
	"sync"
	"time"
)

// maxSnapshots bounds how many first pages are kept: boards times page sizes that
// are in use.
const maxSnapshots = 256

// snapshots shares first pages among concurrent readers for a bounded time: they
// are what most readers ask for, and the same for all of them.
type snapshots struct {
	age   time.Duration
	mu    sync.Mutex
	pages map[snapshotKey]*snapshot
}

type snapshotKey struct {
	board    string
	season   int32
	pageSize int64
}

// snapshot is one page, being read until ready is closed.
type snapshot struct {
	ready chan struct{}
	taken time.Time // before the page was read
	page  Page
	err   error
}

// get returns a page that was read within age, by read if there is none. Whoever
// comes while it is being read waits for it.
func (s *snapshots) get(ctx context.Context, key snapshotKey, read func() (Page, error)) (Page, error) {
	if s.age <= 0 {
		return read()
	}
	now := time.Now()
	s.mu.Lock()
	current := s.pages[key]
	if current != nil && now.Sub(current.taken) < s.age {
		s.mu.Unlock()
		select {
		case <-current.ready:
			return current.page, current.err
		case <-ctx.Done():
			return Page{}, ctx.Err()
		}
	}
	if s.pages == nil || current == nil && len(s.pages) >= maxSnapshots {
		s.pages = make(map[snapshotKey]*snapshot) // rarely full: start again
	}
	mine := &snapshot{ready: make(chan struct{}), taken: now}
	s.pages[key] = mine
	s.mu.Unlock()

	mine.page, mine.err = read()
	if mine.err != nil { // an error is for those who waited for it, and for nobody after
		s.mu.Lock()
		if s.pages[key] == mine {
			delete(s.pages, key)
		}
		s.mu.Unlock()
	}
	close(mine.ready)
	return mine.page, mine.err
}

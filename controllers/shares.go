package controllers

import "sync"

// shares keep half of the workers free of any one class, or of one namespace: passes of
// a class whose stores are slow, or that has many games, must not keep those of another
// one waiting.
type shares struct {
	most int

	mu   sync.Mutex
	busy map[string]int // workers by the name of who has a share
}

func newShares(workers int) *shares {
	return &shares{most: max((workers+1)/2, 1), busy: map[string]int{}}
}

// take reports false if somebody has a whole share. Otherwise the caller gives it back.
func (s *shares) take(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.busy[name] >= s.most {
		return false
	}
	s.busy[name]++

	return true
}

func (s *shares) giveBack(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.busy[name]--; s.busy[name] == 0 {
		delete(s.busy, name)
	}
}

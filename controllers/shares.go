package controllers

import "sync"

// shares keep half of the workers free of any one class: passes of a class whose
// stores are slow, or that has many games, must not keep those of another one waiting.
type shares struct {
	most int

	mu   sync.Mutex
	busy map[string]int // workers by the class's name
}

func newShares(workers int) *shares {
	return &shares{most: max((workers+1)/2, 1), busy: map[string]int{}}
}

// take reports false if the class has its share. Otherwise the caller gives it back.
func (s *shares) take(className string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.busy[className] >= s.most {
		return false
	}
	s.busy[className]++

	return true
}

func (s *shares) giveBack(className string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.busy[className]--; s.busy[className] == 0 {
		delete(s.busy, className)
	}
}

// Package effects numbers what a process changes outside itself, in Kubernetes,
// PostgreSQL and Redis, and lets a fault happen at one of them.
package effects

import (
	"errors"
	"fmt"
	"sync"
)

// Mode is what happens at an effect.
type Mode string

// The modes.
const (
	// Before: the process ends before it.
	Before Mode = "before"
	// After: it is done, and the process ends.
	After Mode = "after"
	// Lost: it is done, and the process hears of a lost connection, and goes on.
	Lost Mode = "lost"
)

// Modes are all of them.
var Modes = []Mode{Before, After, Lost}

// ErrEnded is what a process that has ended gets from everything.
var ErrEnded = errors.New("the process has been ended")

// ErrBefore is what it gets from an effect that did not happen.
var ErrBefore = fmt.Errorf("before it was done: %w", ErrEnded)

// ErrLost is what it gets instead of a lost answer.
var ErrLost = errors.New("the connection was lost before the answer came")

// Sequence numbers the effects of one process, and of those that take its place. It is
// safe for concurrent use.
type Sequence struct {
	mutex sync.Mutex
	names []string
	at    int
	mode  Mode
	ended bool
}

// Arm has the fault happen at an effect, counted from 1; 0: at none.
func (s *Sequence) Arm(at int, mode Mode) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.at, s.mode = at, mode
}

// Names are the effects so far.
func (s *Sequence) Names() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]string(nil), s.names...)
}

// Ended says whether the process has been ended.
func (s *Sequence) Ended() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.ended
}

// Restart begins another process, to which nothing happens.
func (s *Sequence) Restart() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.at, s.ended = 0, false
}

// reach numbers an effect and says what is to happen there; "": nothing.
func (s *Sequence) reach(name string) (Mode, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()

	if s.ended {
		return "", ErrBefore
	}
	s.names = append(s.names, name)
	if len(s.names) != s.at {
		return "", nil
	}
	if s.mode == Before {
		s.ended = true
		return Before, ErrBefore
	}
	return s.mode, nil
}

// end ends the process.
func (s *Sequence) end() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.ended = true
}

// Do does one effect, or what happens at it.
func (s *Sequence) Do(name string, do func() error) error {
	mode, err := s.reach(name)
	if err != nil {
		return err
	}

	err = do()
	switch {
	case mode == After:
		s.end()
		return ErrEnded
	case mode == Lost && err == nil:
		return ErrLost
	}
	return err
}

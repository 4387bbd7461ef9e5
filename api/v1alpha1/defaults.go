package v1alpha1

import "cmp"

// What fields of list items mean that are left out. The API server fills in none of them: tools
// that compare lists as a whole, as Argo CD does, would forever find that they were changed.
const (
	// DefaultUsernameClaim is the usernameClaim of an Issuer.
	DefaultUsernameClaim = "preferred_username"
	// DefaultTop is the top of a Webhook.
	DefaultTop = 10

	defaultTimeZone = "UTC"
	// defaultKeep is of how many closed seasons a Window keeps the results.
	defaultKeep = 10
	// defaultMaxBytes is how long metadata may be, in bytes.
	defaultMaxBytes = 2048
)

// DefaultedBoards returns a copy of the game's boards in which no default is left out.
func (s *LeaderboardSpec) DefaultedBoards() []Board {
	boards := make([]Board, len(s.Boards))
	for i := range s.Boards {
		b := &boards[i]
		s.Boards[i].DeepCopyInto(b)

		b.Order, b.Scoring = cmp.Or(b.Order, OrderDescending), cmp.Or(b.Scoring, ScoringBest)
		for j := range b.Columns {
			b.Columns[j].Order = cmp.Or(b.Columns[j].Order, OrderDescending)
		}
		if b.Metadata != nil {
			b.Metadata.MaxBytes = cmp.Or(b.Metadata.MaxBytes, defaultMaxBytes)
		}
		fillWindows(b.Windows)
	}
	return boards
}

// DefaultedGlobal returns a copy of what configures the board global in which no default is left
// out; nil: nothing does.
func (s *LeaderboardSpec) DefaultedGlobal() *GlobalSpec {
	global := s.Global.DeepCopy()
	if global != nil {
		fillWindows(global.Windows)
	}
	return global
}

func fillWindows(windows []Window) {
	for i := range windows {
		w := &windows[i]
		w.TimeZone, w.Keep = cmp.Or(w.TimeZone, defaultTimeZone), cmp.Or(w.Keep, defaultKeep)
	}
}

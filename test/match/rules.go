package match

import (
	"slices"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// Order and scoring names, as in the Leaderboard manifest.
const (
	Descending = "Descending"
	Ascending  = "Ascending"
	Best       = "Best"
	First      = "First"
	Latest     = "Latest"
	Sum        = "Sum"
	Count      = "Count"
)

// Board is what a match has to know of a board.
type Board struct {
	Name    string
	Order   string
	Scoring string
	// CountsTowardGlobal: a submission here also counts on "global".
	CountsTowardGlobal bool
	// Segments are the attributes that the board is split by.
	Segments []string
}

// Boards are those of a manifest. Left out, countsTowardGlobal is true for a
// Descending board and false for an Ascending one.
func Boards(manifest []games.Board) []Board {
	spec := games.LeaderboardSpec{Boards: manifest}
	boards := make([]Board, 0, len(manifest))
	for _, board := range spec.DefaultedBoards() {
		counts := board.Order == games.OrderDescending
		if board.CountsTowardGlobal != nil {
			counts = *board.CountsTowardGlobal
		}
		boards = append(boards, Board{Name: board.Name, Order: string(board.Order), Scoring: string(board.Scoring), CountsTowardGlobal: counts, Segments: board.Segments})
	}

	return boards
}

// Global is the board that every game has.
var Global = Board{Name: "global", Order: Descending, Scoring: Best}

// Standing is a player's expected entry on a board.
type Standing struct {
	Username string
	Score    int64
	// GameID is the board on which the score was made.
	GameID string
	// reached numbers the submission that reached the score: the earlier one
	// ranks first among equals.
	reached int
}

// standings are a board's expected entries, told from the submissions alone:
// a second, independent statement of the rules that the server implements.
type standings struct {
	board   Board
	entries map[string]Standing
}

func (s *standings) add(username string, score int64, gameID string, number int) {
	current, found := s.entries[username]
	next := Standing{Username: username, Score: score, GameID: gameID, reached: number}
	if s.board.Scoring == Count {
		next.Score = current.Score + 1
	}
	if found {
		switch s.board.Scoring {
		case First:
			return
		case Best:
			if !better(s.board.Order, score, current.Score) {
				return
			}
		case Sum:
			if score == 0 {
				return
			}
			next.Score += current.Score
		}
	}

	s.entries[username] = next
}

func better(order string, a, b int64) bool {
	if order == Ascending {
		return a < b
	}
	return a > b
}

// ranked returns the entries, the best first.
func (s *standings) ranked() []Standing {
	entries := make([]Standing, 0, len(s.entries))
	for _, entry := range s.entries {
		entries = append(entries, entry)
	}

	slices.SortFunc(entries, func(a, b Standing) int {
		switch {
		case a.Score != b.Score && better(s.board.Order, a.Score, b.Score):
			return -1
		case a.Score != b.Score:
			return 1
		default:
			return a.reached - b.reached
		}
	})
	return entries
}

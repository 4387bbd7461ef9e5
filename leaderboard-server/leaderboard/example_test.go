package leaderboard_test

import (
	"fmt"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Events may be joined in any order, and twice.
func ExampleFold_Join() {
	key := leaderboard.EntryKey{Board: 2, Season: 1, Player: 7}
	first := leaderboard.Single(key, 50, 100, 2)
	better := leaderboard.Single(key, 70, 101, 2)
	equal := leaderboard.Single(key, 70, 102, 2)

	fold := leaderboard.Fold{Order: leaderboard.Descending, Scoring: leaderboard.Best}
	standing := leaderboard.Single(key, 0, 99, 2)
	for _, event := range []leaderboard.Standing{equal, first, better, equal} {
		standing = fold.Join(standing, event)
	}
	fmt.Println(standing.Score, "since event", standing.Event)
	// Output: 70 since event 101
}

// A sum depends on the order of a player's events: each is appended to what was there.
func ExampleFold_Append() {
	key := leaderboard.EntryKey{Board: 2, Season: 1, Player: 7}
	fold := leaderboard.Fold{Order: leaderboard.Descending, Scoring: leaderboard.Sum}
	standing := leaderboard.Single(key, 50, 100, 2)

	standing, improved, _ := fold.Append(standing, leaderboard.Single(key, 25, 101, 2))
	fmt.Println(standing.Score, improved, "since event", standing.Event)

	standing, improved, _ = fold.Append(standing, leaderboard.Single(key, 0, 102, 2))
	fmt.Println(standing.Score, improved, "since event", standing.Event)
	// Output:
	// 75 true since event 101
	// 75 false since event 101
}

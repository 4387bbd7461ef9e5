package leaderboard

import (
	"math"
	"time"
)

// Limits of pages.
const (
	// DefaultPageSize is the size of a page when the caller names none.
	DefaultPageSize = 10
	// MaxPageSize bounds the entries of one page.
	MaxPageSize = 1000
)

// RankedEntry is a player's entry on a board with its rank.
type RankedEntry struct {
	// Rank counts from 1; two entries share one only where the board's Ranks say so.
	Rank int64
	// Player and Username are empty where the player cannot be looked up now.
	Player   PlayerID
	Username string
	// OwnerID and OwnerName are as [PlayerName.OwnerID].
	OwnerID, OwnerName string
	Score              int64
	// Columns are by name; nil where the board has none.
	Columns map[string]int64
	// Board is the name of the board where the score was made: on GlobalBoard
	// that of the board that counted toward it.
	Board string
	// ReachedAt is when the score was reached, where that is asked for; zero: it is not
	// known.
	ReachedAt time.Time
	// Metadata is that of the submission that reached the score, where that is asked for;
	// empty: it has none, or it is not known.
	Metadata string
}

// Page is a part of a board in rank order.
type Page struct {
	Of
	Page         int64
	PageSize     int64
	TotalEntries int64
	// Entries is empty for a page past the end.
	Entries []RankedEntry
}

// PageOffset checks a page request and returns the number of entries before
// that page. Pages count from 1. A page so far out that its offset does not fit
// an int64 is past every end: the offset is then the greatest possible.
func PageOffset(page, pageSize int64) (int64, error) {
	if page < 1 {
		return 0, invalid("page", "page must be at least 1")
	}
	if pageSize < 1 || pageSize > MaxPageSize {
		return 0, invalid("page_size", "page_size must be from 1 to %d", MaxPageSize)
	}
	if page-1 > (math.MaxInt64-MaxPageSize)/pageSize {
		return math.MaxInt64 - MaxPageSize, nil
	}

	return (page - 1) * pageSize, nil
}

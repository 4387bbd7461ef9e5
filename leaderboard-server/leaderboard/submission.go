package leaderboard

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

// MaxIdempotencyKey is the longest Idempotency-Key, in bytes.
const MaxIdempotencyKey = 255

// Submission is one score of a player, that the player hands in, or a server of the game.
type Submission struct {
	Player PlayerID
	// Owner is the game's id where Player is an owner that is no account; empty: it is one.
	Owner string
	// TokenVersion is the version in the player's token; the ledger refuses one
	// that is not the player's current version. Without a meaning where there is an Account.
	TokenVersion int32
	// Account names the service account that hands it in; empty: the player does.
	Account string
	// Board names the board; empty: GlobalBoard.
	Board string
	// Signed says that the player signed it, with a key that only its session has.
	Signed bool
	// Ordered says that it is stored after all others of the player to the board, as
	// [Board.ByPlayer] says: a batch has room for one such submission of a player to a board.
	Ordered bool
	Score   int64
	// Values are the further columns as they were sent, by name, and Columns what the board
	// reads of them.
	Values  map[string]int64
	Columns Columns
	// HoldBack is why it is to be held back; empty: it is not.
	HoldBack ReviewReason
	// Metadata is what is kept with the submission, as [CompactMetadata] returns it; empty:
	// nothing.
	Metadata string
	// Refusal, where set, is why the submission is not to be stored. With an
	// IdempotencyKey that came before it is answered with the first outcome all the
	// same.
	Refusal error
	// IdempotencyKey makes repetitions of this submission return the first
	// outcome; empty: none was sent. Keys of players, and of each service account, are
	// different ones.
	IdempotencyKey string
}

// Fingerprint identifies the content of a submission: the same key with another
// fingerprint is a reuse of the key.
func (s Submission) Fingerprint() [16]byte {
	body := make([]byte, 0, 9+MaxBoardName)
	body = append(body, 1) // version of this encoding
	body = binary.BigEndian.AppendUint64(body, uint64(s.Score))
	body = append(body, s.Board...)
	for _, name := range slices.Sorted(maps.Keys(s.Values)) {
		body = append(append(body, 0), name...) // neither has a zero byte
		body = binary.BigEndian.AppendUint64(append(body, 0), uint64(s.Values[name]))
	}

	if s.Metadata != "" {
		body = append(append(body, 0, 0), s.Metadata...) // no column's name is empty
	}

	sum := sha256.Sum256(body)
	return [16]byte(sum[:16])
}

// CheckIdempotencyKey accepts what an HTTP header can carry: printable ASCII. field is what
// the key is called where it came from.
func CheckIdempotencyKey(field, key string) error {
	if len(key) > MaxIdempotencyKey {
		return invalid(field, "%s must have at most %d characters", field, MaxIdempotencyKey)
	}

	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return invalid(field, "%s must be printable ASCII", field)
		}
	}

	return nil
}

// RankingState says whether a receipt's rank is live.
type RankingState string

// The states of a ranking, as receipts tell them.
const (
	// RankingLive: the ranking shows the submission.
	RankingLive RankingState = "live"
	// RankingDelayed: the submission is stored, the ranking will show it later.
	RankingDelayed RankingState = "delayed"
)

// Receipt is the acknowledgement of a submission: it is durable.
type Receipt struct {
	// Held is the submission where it is held back: it has no Event, Ranking and Rank.
	Held *HeldSubmission
	// Event is the submission's place in the ledger's order.
	Event int64
	// Player is who submitted.
	Player PlayerID
	// Board is the board's name, never empty.
	Board string
	// Score is the submitted score as it was recorded.
	Score int64
	// Replayed says that the idempotency key was seen before: Event and Score are
	// those of the first time, the rank is today's.
	Replayed bool
	// Ranking says whether Rank and StandingScore are known.
	Ranking RankingState
	// Improved says that the player's standing on the board got better by this
	// submission; false for a repetition, and where it is not known.
	Improved bool
	// Rank is the player's rank on the board, from 1; 0 while Ranking is delayed.
	Rank int64
	// StandingScore and StandingColumns are those of the player's entry on the board; 0
	// while Ranking is delayed.
	StandingScore   int64
	StandingColumns Columns
	// Allowances are what the limits of the board leave the player; nil: it has none.
	Allowances []Allowance
}

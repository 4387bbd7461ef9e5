package leaderboard

import (
	"crypto/sha256"
	"encoding/binary"
)

// MaxIdempotencyKey is the longest Idempotency-Key, in bytes.
const MaxIdempotencyKey = 255

// Submission is one score that a player hands in.
type Submission struct {
	Player PlayerID
	// TokenVersion is the version in the player's token; the ledger refuses one
	// that is not the player's current version.
	TokenVersion int32
	// Board names the board; empty: GlobalBoard.
	Board string
	Score int64
	// IdempotencyKey makes repetitions of this submission return the first
	// outcome; empty: none was sent.
	IdempotencyKey string
}

// Fingerprint identifies the content of a submission: the same key with another
// fingerprint is a reuse of the key.
func (s Submission) Fingerprint() [16]byte {
	var body [9 + MaxBoardName]byte
	body[0] = 1 // version of this encoding
	binary.BigEndian.PutUint64(body[1:], uint64(s.Score))
	n := copy(body[9:], s.Board)
	sum := sha256.Sum256(body[:9+n])
	return [16]byte(sum[:16])
}

// checkIdempotencyKey accepts what an HTTP header can carry: printable ASCII.
func checkIdempotencyKey(key string) error {
	if len(key) > MaxIdempotencyKey {
		return invalid("Idempotency-Key", "Idempotency-Key must have at most %d characters", MaxIdempotencyKey)
	}

	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return invalid("Idempotency-Key", "Idempotency-Key must be printable ASCII")
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
	// Event is the submission's place in the ledger's order.
	Event int64
	// Player is who submitted.
	Player PlayerID
	// Board is the board's name, never empty.
	Board string
	// Score is the submitted score as it was recorded.
	Score int64
	// Improved says that the player's standing on the board got better by this
	// submission.
	Improved bool
	// Replayed says that the idempotency key was seen before: Event, Score and
	// Improved are those of the first time, the rank is today's.
	Replayed bool
	// Ranking says whether Rank and StandingScore are known.
	Ranking RankingState
	// Rank is the player's rank on the board, from 1; 0 while Ranking is delayed.
	Rank int64
	// StandingScore is the player's score on the board; 0 while Ranking is delayed.
	StandingScore int64
}

// Standing is a player's place in one season of a board, as the ledger has it.
type Standing struct {
	// Board and Season are the numbers of the board and of its season.
	Board, Season int32
	// Player is the player's number.
	Player int64
	Score  int64
	// Event is the event that reached the score: it breaks ties, lower first.
	Event int64
	// Origin is the number of the board where the score was made: on GlobalBoard
	// that of the board that counted toward it, elsewhere the board itself.
	Origin int32
	// Version rises with every change of this standing, from 1.
	Version int64
	// Removed says that the player is no longer on the board. Score, Event and
	// Origin then tell what was removed.
	Removed bool
}

// Before says whether standing a ranks before standing b.
func (o Order) Before(a, b Standing) bool {
	if a.Score != b.Score {
		return o.Better(a.Score, b.Score)
	}
	return a.Event < b.Event
}

// Fold adds an event, later than all that made the standing s (nil: none), and
// returns the new score and tie event, and whether the standing got better. ok
// is false where a sum would leave +-MaxScore: the event must then be refused.
func Fold(order Order, scoring Scoring, s *Standing, score, event int64) (newScore, newEvent int64, improved, ok bool) {
	if s == nil || s.Removed {
		return score, event, true, true
	}
	switch scoring {
	case Latest:
		return score, event, order.Better(score, s.Score), true
	case Sum:
		sum := s.Score + score
		if sum < -MaxScore || sum > MaxScore {
			return s.Score, s.Event, false, false
		}
		return sum, event, order.Better(sum, s.Score), true
	default:
		if order.Better(score, s.Score) {
			return score, event, true, true
		}
		return s.Score, s.Event, false, true
	}
}

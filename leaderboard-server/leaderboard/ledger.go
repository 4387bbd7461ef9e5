package leaderboard

import "errors"

// Errors of storing a batch. In both cases nothing was stored. After any other
// error it is not known whether the batch was stored.
var (
	// ErrRepeat asks to store the same batch again: it met another transaction.
	ErrRepeat = errors.New("nothing was stored; repeat the batch")
	// ErrRejected says that something in the batch is to blame: split it, until
	// the guilty submission is alone.
	ErrRejected = errors.New("nothing was stored; the batch was rejected")
	// ErrAlone is the Err of an outcome: the submission was left out because it
	// can only be judged when it is stored in a batch of its own.
	ErrAlone = errors.New("store this submission alone")
)

// Stored is what became of a batch of submissions in one transaction.
type Stored struct {
	// Identity names the data that Xid is valid in; see [Snapshot].
	Identity string
	// Xid is the transaction.
	Xid uint64
	// Outcomes has one element per submission, in the batch's order.
	Outcomes []Outcome
	// Changed are the standings that the batch changed, each once.
	Changed []Standing
}

// Outcome is what became of one submission.
type Outcome struct {
	// Err is set if the submission was refused: an [Error], or ErrAlone.
	Err error
	// Event is the submission's place in the ledger's order.
	Event int64
	// Entry is the entry that the submission was for.
	Entry EntryKey
	// Improved says that the player's standing on the board got better.
	Improved bool
	// Replayed says that the idempotency key was stored before; Event and
	// Improved are those of the first time.
	Replayed bool
}

// EntryKey names a player's entry in one season of a board, by number.
type EntryKey struct {
	Board, Season int32
	Player        int64
}

// Key names the standing's entry.
func (s Standing) Key() EntryKey {
	return EntryKey{Board: s.Board, Season: s.Season, Player: s.Player}
}

// Snapshot is a point in the ledger's history. Transactions are compared as
// 64-bit numbers, which do not wrap around.
type Snapshot struct {
	// Identity names the data that transaction numbers are valid in: it is another
	// after a failover, a restore or a copy.
	Identity string
	// Xmin: every transaction below it has ended.
	Xmin uint64
	// Xmax: no transaction from it on had ended.
	Xmax uint64
}

// ChangedStanding is a standing with the transaction that wrote it last.
type ChangedStanding struct {
	Standing
	Xid uint64
}

// Projection is what a committed transaction means for the ranking.
type Projection struct {
	// Identity and Xid are those of [Stored].
	Identity string
	Xid      uint64
	// Standings are those that the transaction changed, each once.
	Standings []Standing
	// Ask are entries whose rank is wanted after the standings are applied.
	Ask []Ask
}

// Ask is an entry whose rank is wanted for the receipt of a submission to it: the
// rank is told only of an entry that reflects the submission, by its event and
// score. One that the transaction did not change may be behind in the ranking, as
// after a repetition of what another server has stored and could not apply.
type Ask struct {
	EntryKey
	Event, Score int64
}

// ReflectedBy says whether an entry on the board with this score, which the event
// has reached, came after the submission.
func (a Ask) ReflectedBy(board Board, score, event int64) bool {
	if board.Scoring == Best {
		return !board.Order.Better(a.Score, score)
	}
	return event >= a.Event
}

package leaderboard

import (
	"context"
	"errors"
	"time"
)

// Errors of storing a batch. In both cases nothing was stored. After any other
// error it is not known whether the batch was stored.
var (
	// ErrRepeat asks to store the same batch again: it met another transaction.
	ErrRepeat = errors.New("nothing was stored; repeat the batch")
	// ErrRejected says that something in the batch is to blame: split it, until
	// the guilty submission is alone.
	ErrRejected = errors.New("nothing was stored; the batch was rejected")
)

// Stored is what became of a batch of submissions in one transaction.
type Stored struct {
	// Identity names the ledger that the events are in, and Xid the transaction that
	// appended them; see [Snapshot].
	Identity string
	Xid      uint64
	// Outcomes has one element per submission, in the batch's order.
	Outcomes []Outcome
}

// Outcome is what became of one submission.
type Outcome struct {
	// Err is set if the submission was refused: an [Error].
	Err error
	// Event is the submission's place in the log.
	Event int64
	// Entry is the entry that the submission was for, whose rank the receipt has; without
	// a season if none was open that is known here.
	Entry EntryKey
	// Global is the entry on GlobalBoard that the submission counts toward, too; zero
	// where it does not, or is for it.
	Global EntryKey
	// Standing is the entry after the submission where the board's scoring is
	// ordered; nil elsewhere, and for a repetition.
	Standing *Standing
	// Improved says that Standing is better than what the player had before.
	Improved bool
	// Windows are the standings that the submission makes, or where the scoring is ordered
	// the entries after it, in the other seasons that are open: of the board's windows and
	// those of GlobalBoard.
	Windows []Standing
	// Segments are those in which the submission counts, too. What it means for those of
	// Entry's board is among Windows where the scoring is ordered.
	Segments Segments
	// Replayed says that the idempotency key was stored before; Event is that of
	// the first time.
	Replayed bool
	// Allowances are what the limits of the board leave the player.
	Allowances []Allowance
}

// Event is one row of the log: a score that a player submitted.
type Event struct {
	// Number is the event's place in the ledger's order.
	Number int64
	// Xid is the transaction that appended it, as in [Snapshot].
	Xid uint64
	// Player and Board are numbers.
	Player int64
	Board  int32
	Score  int64
	// Columns are those of Board.
	Columns Columns
	// At is when it came, by the ledger's clock: it says in which seasons it counts.
	At time.Time
	// CountsTowardGlobal says that the event counts on GlobalBoard, too.
	CountsTowardGlobal bool
	// Segments are those in which the event counts, of each season in which it does.
	Segments Segments
	// Excluded are the boards, by number, from whose rankings the player is left out, 0: all. The
	// event counts all the same.
	Excluded []int32
	// Standing is the entry as it is by now, in one of the seasons in which the event
	// counts, where the board's scoring is ordered: such an event is read once for each
	// season. nil elsewhere.
	Standing *Standing
}

// Snapshot is a point in the ledger's history. Transactions are compared as
// 64-bit numbers, which do not wrap around; those of another cluster or table, as
// in a dump that was restored, are never in a range of this one's.
type Snapshot struct {
	// Identity names the data that transaction numbers are valid in: it is another
	// after a failover, a restore or a copy.
	Identity string
	// Xmin: every transaction below it has ended.
	Xmin uint64
	// Xmax: no transaction from it on had ended.
	Xmax uint64
	// LastEvent is the highest event number that was handed out; its transaction may
	// still run, or have failed.
	LastEvent int64
	// Now is the time by the ledger's clock, before the snapshot was taken, and Version that
	// of the boards, as [Catalog.Version].
	Now     time.Time
	Version int64
}

// Checkpoint says how far the standings are behind the log.
type Checkpoint struct {
	// Xid: every event of a transaction below it is in the standings.
	Xid uint64
	// LogStart: every event of a transaction from it on is in the log; retention may
	// have dropped those below.
	LogStart uint64
}

// historyBits is where a transaction's number has the history that it is of: the
// cluster and the table.
const historyBits = 48

// HistoryStart is the lowest number of a transaction of the history that xid is of,
// and HistoryEnd the highest, which none reaches: the one after it may be too great for a
// bigint.
func HistoryStart(xid uint64) uint64 { return xid >> historyBits << historyBits }

// HistoryEnd is described with [HistoryStart].
func HistoryEnd(xid uint64) uint64 { return HistoryStart(xid) + 1<<historyBits - 1 }

// Leadership is the right to fold the log, which one process has at a time.
type Leadership struct {
	// Context ends when the lead is lost.
	Context context.Context
	// Woken has a value after any process asked the leader for a look at the rankings.
	Woken <-chan struct{}
	// Release gives the lead up and waits until it is gone.
	Release func()
}

// Projection is what a committed batch means for the ranking.
type Projection struct {
	// Identity and Xid are those of [Stored].
	Identity string
	Xid      uint64
	// Changes are joined in their order. They are all that the transaction means for the
	// ranking: a shard that has them remembers Xid, and catch-up joins nothing of it
	// again.
	Changes []Change
}

// Changes are what the outcome of a submission with this score means for the ranking.
// Where there is an entry, the first is the one whose rank is for the receipt.
func (o Outcome) Changes(score int64, columns Columns) []Change {
	if o.Err != nil {
		return nil
	}

	changes := make([]Change, 0, 2+len(o.Windows))
	if o.Entry.Season != 0 {
		own := Single(o.Entry, score, o.Event, o.Entry.Board).With(columns)
		if o.Standing != nil {
			own = *o.Standing
		}
		changes = append(changes, Change{Standing: own, Ask: true, Repeated: o.Replayed})
	}
	if o.Replayed {
		return changes
	}

	if o.Global.Season != 0 {
		changes = append(changes, Change{Standing: Single(o.Global, score, o.Event, o.Entry.Board)})
	}
	for _, s := range o.Windows {
		changes = append(changes, Change{Standing: s})
	}
	return o.inSegments(changes)
}

// inSegments adds the changes in segments to those in whole seasons: a shard has both, and
// all of a transaction or nothing.
func (o Outcome) inSegments(changes []Change) []Change {
	if len(o.Segments) == 0 {
		return changes
	}

	own, global := o.Segments.On(false), o.Segments.On(true)
	for _, whole := range changes {
		values := own
		if whole.Board != o.Entry.Board {
			values = global
		}
		for _, value := range values {
			if _, of := SplitSeason(whole.Season); of == 0 {
				changes = append(changes, Change{Standing: whole.InSegment(value)})
			}
		}
	}
	return changes
}

// Change is a standing on its way into the ranking.
type Change struct {
	Standing
	// Ask says that the entry's rank is wanted, after all changes were joined.
	Ask bool
	// Repeated says that Standing is not joined, but is only what a repetition's
	// rank is told of: an entry that reflects it. One that does not is behind, as
	// after a submission that another server has stored and could not apply.
	Repeated bool
}

// Applied is what the ranking says of a [Change] that asked.
type Applied struct {
	// RankingEntry has Rank 0 if the rank is not known.
	RankingEntry
	// Improved says that the change made the entry better, or made it.
	Improved bool
}

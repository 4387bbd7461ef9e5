package leaderboard

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code classifies an [Error] for callers; every code maps to one kind of answer
// of the HTTP API.
type Code string

// The codes of the domain.
const (
	// CodeInvalid is a value that breaks a rule; Field names it.
	CodeInvalid Code = "invalid"
	// CodeUnauthenticated is a wrong username or password, or a token that is no
	// longer good.
	CodeUnauthenticated Code = "unauthenticated"
	// CodeWrongPassword is a password that a caller who is known has to repeat, and that is
	// not the one.
	CodeWrongPassword Code = "wrong-password"
	// CodeForbidden is a caller who is known and may not do this.
	CodeForbidden Code = "forbidden"
	// CodeServersOnly is a player who submits to a board to which only servers do.
	CodeServersOnly Code = "servers-only"
	// CodeSignatureRequired is a player who submits without a signature to a board that takes
	// none like that.
	CodeSignatureRequired Code = "signature-required"
	// CodeNoPlayer is a player that does not exist.
	CodeNoPlayer Code = "no-player"
	// CodeNoBoard is a board that does not exist, or is no longer configured.
	CodeNoBoard Code = "no-board"
	// CodeNoWindow is a window that a board does not have.
	CodeNoWindow Code = "no-window"
	// CodeNoSeason is a season that does not exist, is not open now, or is not closed yet.
	CodeNoSeason Code = "no-season"
	// CodeSeasonDropped is a closed season whose results are no longer kept.
	CodeSeasonDropped Code = "season-dropped"
	// CodeNoEntry is a player who has no entry on a board yet.
	CodeNoEntry Code = "no-entry"
	// CodeConflict is a username that is taken.
	CodeConflict Code = "conflict"
	// CodeLoginConflict is something to log in with that a player cannot have.
	CodeLoginConflict Code = "login-conflict"
	// CodeNoSegment is an attribute by which a board is not split.
	CodeNoSegment Code = "no-segment"
	// CodeNoValue is a player that has no value of an attribute.
	CodeNoValue Code = "no-value"
	// CodeTooManyValues is a value of an attribute that no player had before, in a game
	// whose players have as many as there may be.
	CodeTooManyValues Code = "too-many-values"
	// CodeWalkEnded is a walk through a board that cannot go on: its snapshot is no
	// more, or the season is another.
	CodeWalkEnded Code = "walk-ended"
	// CodeNoEvent is an event that a player has not on a board.
	CodeNoEvent Code = "no-event"
	// CodeLogCut is what takes events that retention has dropped.
	CodeLogCut Code = "log-cut"
	// CodeTooManyEvents is a player with more events than can be gone through at a time.
	CodeTooManyEvents Code = "too-many-events"
	// CodeKeyReused is an idempotency key that came before with another body.
	CodeKeyReused Code = "key-reused"
	// CodeOutOfRange is a score (or a sum of scores) outside the board's bounds.
	CodeOutOfRange Code = "out-of-range"
	// CodeImprovementTooLarge is a score that would improve the player's standing by more than
	// the board allows.
	CodeImprovementTooLarge Code = "improvement-too-large"
	// CodeLimitExceeded is a submission of a player who has made as many to the board as its
	// limits allow; RetryAfter says when the next one is taken, 0: none is.
	CodeLimitExceeded Code = "limit-exceeded"
	// CodeTooManyPending is a submission that is to be held back, where there is no room for more
	// that wait for a decision.
	CodeTooManyPending Code = "too-many-pending"
	// CodeSubmissionRejected repeats a submission that was held back and rejected.
	CodeSubmissionRejected Code = "submission-rejected"
	// CodeHeldBefore repeats a submission that was held back: see [Reviews].
	CodeHeldBefore Code = "held-before"
	// CodeNoHeld is a submission that was not held back, or is no longer kept.
	CodeNoHeld Code = "no-submission"
	// CodeDecided is a decision on a submission that another one has made impossible.
	CodeDecided Code = "submission-decided"
	// CodeRateLimited is a caller who asks too often; RetryAfter says when to
	// come back.
	CodeRateLimited Code = "rate-limited"
	// CodeBusy is a server whose queue is full: nothing was stored.
	CodeBusy Code = "busy"
	// CodeRankingUnavailable is a ranking that cannot be read now: Redis is away,
	// or the ranking is being rebuilt. Submissions are still accepted.
	CodeRankingUnavailable Code = "ranking-unavailable"
	// CodeUnavailable is a ledger that did not answer in time. A submission may
	// or may not have been stored: repeat it with the same idempotency key.
	CodeUnavailable Code = "unavailable"
	// CodeInternal is a defect; details are in the log only.
	CodeInternal Code = "internal"
)

// Error is what the domain and its stores answer with when they refuse or fail.
// Message is written for the API's user; the wrapped cause is for the log and
// never for the user.
type Error struct {
	Code Code
	// Field names the input that is wrong, as the API spells it; empty if none.
	Field string
	// Message says what is wrong and what to do about it.
	Message string
	// RetryAfter is how long to wait before the next attempt; 0: not known.
	RetryAfter time.Duration
	// Limit names the limit that leaves no room, and Allowances are what all of them leave, of
	// CodeLimitExceeded.
	Limit      string
	Allowances []Allowance

	cause error
}

// Errorf makes an error for the user. The format's operands may include values
// that the user sent, never secrets.
func Errorf(code Code, field, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// WithCause returns a copy of e that wraps cause, for the log.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Named returns a copy of e that is about the given input.
func (e *Error) Named(field string) *Error {
	c := *e
	c.Field = field
	return &c
}

// After returns a copy of e that asks the caller to wait for d.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// Error includes the cause: it is for logs. Users get Message.
func (e *Error) Error() string {
	s := string(e.Code) + ": "
	if e.Field != "" {
		s += e.Field + ": "
	}

	s += e.Message
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}

	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// temporary says whether what failed may well be done in a moment.
func temporary(err error) bool {
	code := CodeOf(err)
	return code == CodeUnavailable || code == CodeBusy
}

// CodeOf returns the code of the first [Error] in err's chain, CodeUnavailable
// for a bare deadline or cancellation, CodeInternal for anything else, and ""
// for nil.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return CodeUnavailable
	}

	return CodeInternal
}

// invalid is an [Error] with CodeInvalid.
func invalid(field, format string, args ...any) *Error {
	return Errorf(CodeInvalid, field, format, args...)
}

// NoBoard is an [Error] with CodeNoBoard.
func NoBoard(name string) *Error {
	return Errorf(CodeNoBoard, "board", "there is no board %q: GET /v1/boards lists those that there are", name)
}

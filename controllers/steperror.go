package controllers

import (
	"errors"
	"fmt"
	"time"
)

// stepError says why a step could not be done: to the user in conditions, to
// the operator's log by its cause.
type stepError struct {
	// condition becomes False with Ready; empty: Ready alone.
	condition string
	reason    string
	// message says to the user what is wrong and what to do. No secret in it.
	message string
	// stalled: nothing changes until somebody changes something.
	stalled bool
	// cause is for the log and makes the pass be retried with backoff. Nil when
	// the pass waits for something that is watched, or for the next resync.
	cause error
	// retryAfter is when the pass comes back; zero: with the next resync.
	retryAfter time.Duration
}

func (e *stepError) Error() string {
	if e.cause == nil {
		return e.reason + ": " + e.message
	}
	return e.reason + ": " + e.cause.Error()
}

func (e *stepError) Unwrap() error { return e.cause }

// stalledBy is a step that somebody has to do something about first.
func stalledBy(condition, reason, format string, args ...any) *stepError {
	return &stepError{condition: condition, reason: reason, message: fmt.Sprintf(format, args...), stalled: true}
}

// waitingFor is a step that waits for something that is watched.
func waitingFor(condition, reason, format string, args ...any) *stepError {
	return &stepError{condition: condition, reason: reason, message: fmt.Sprintf(format, args...)}
}

// failedBy is a step that will be tried again on its own.
func failedBy(cause error, condition, reason, format string, args ...any) *stepError {
	return &stepError{condition: condition, reason: reason, message: fmt.Sprintf(format, args...), cause: cause}
}

// asStepError finds the stepError in err, or makes one of an unexpected error.
func asStepError(err error, fallbackReason string) *stepError {
	var step *stepError
	if errors.As(err, &step) {
		return step
	}
	return failedBy(err, "", fallbackReason, "The operator could not go on and tries again on its own: %v", err)
}

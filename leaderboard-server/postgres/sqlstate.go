package postgres

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs, and the first two characters of a class of them:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	stateCardinalityViolation  = "21000"
	stateNumericOutOfRange     = "22003"
	stateUniqueViolation       = "23505"
	stateCheckViolation        = "23514"
	stateReadOnlyTransaction   = "25006"
	stateSerializationFailure  = "40001"
	stateDeadlockDetected      = "40P01"
	stateNotInPrerequisite     = "55000" // recovery is in progress, for example
	stateDuplicateSchema       = "42P06"
	stateDuplicateTable        = "42P07"
	stateLockNotAvailable      = "55P03"
	stateQueryCanceled         = "57014"
	stateAdminShutdown         = "57P01"
	stateCrashShutdown         = "57P02"
	stateBoardsChanged         = "LB001" // boards_changed() in the migrations
	stateCannotConnectNow      = "57P03"
	classDataException         = "22"
	classConstraintViolation   = "23"
	classInsufficientResources = "53"
	classPLpgSQL               = "P0"
)

// sqlState returns the SQLSTATE of an error that the database reported, or "".
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// inClass says whether a SQLSTATE is of one of the classes.
func inClass(state string, classes ...string) bool {
	return slices.ContainsFunc(classes, func(class string) bool { return strings.HasPrefix(state, class) })
}

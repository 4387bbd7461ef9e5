package provision

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
)

// Kind says what somebody has to do about an error.
type Kind string

const (
	// Unreachable means that the store did not answer in time. It is worth trying again.
	Unreachable Kind = "Unreachable"
	// Refused means that the store did not accept the administrator's credentials.
	Refused Kind = "Refused"
	// InsufficientRights means that the administrator lacks a right, which the message names.
	InsufficientRights Kind = "InsufficientRights"
	// OwnershipConflict means that what has the tenant's name belongs to another object.
	OwnershipConflict Kind = "OwnershipConflict"
	// Misconfigured means that the store must not be shared by tenants as it is set up.
	Misconfigured Kind = "Misconfigured"
	// Fenced means that another operator has taken over, and this one must not write.
	Fenced Kind = "Fenced"
	// Missing means that what was made before is not there any more.
	Missing Kind = "Missing"
	// ReadOnly means that the store answers, and takes no writes now.
	ReadOnly Kind = "ReadOnly"
	// Failed means that the store refused something for another cause.
	Failed Kind = "Failed"
)

// Error is a failure of a store, in words for the person who has to act on it. It
// holds no secret.
type Error struct {
	Kind    Kind
	Message string
	Cause   error
	// Approve is the word by which the platform team approves what was refused; empty
	// where that cannot be approved.
	Approve string
}

// Error is the message with its cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of an error of this package; Failed for any other.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Failed
}

// sorted says whether an error has its kind already.
func sorted(err error) bool {
	var known *Error
	return errors.As(err, &known)
}

// SQL states: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	stateInsufficientPrivilege = "42501"
	stateInvalidPassword       = "28P01"
	stateInvalidAuthorization  = "28000"
	stateTooManyConnections    = "53300"
	stateProtocolViolation     = "08P01"
	stateUndefinedTable        = "42P01"
	stateInvalidSchema         = "3F000"
	stateInvalidParameter      = "22023"
	stateUniqueViolation       = "23505"
	stateReadOnly              = "25006"
	stateDuplicateSchema       = "42P06"
	stateDuplicateTable        = "42P07"
	stateDuplicateColumn       = "42701"
	stateDeadlockDetected      = "40P01"
	stateDependentObjects      = "2BP01"
	stateLockNotAvailable      = "55P03"
	stateQueryCanceled         = "57014"
	stateSerializationFailure  = "40001"
)

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// postgresError sorts an error of PostgreSQL. It drops what pgx says about the
// connection, which would be the same in every message.
func postgresError(err error, format string, args ...any) error {
	if err == nil || sorted(err) {
		return err
	}

	message := fmt.Sprintf(format, args...)
	if refused := certificateError("PostgreSQL", err); refused != "" {
		return &Error{Kind: Refused, Message: message + ": " + refused, Cause: short(err)}
	}
	switch sqlState(err) {
	case "":
		if cause := distrust(err); cause != nil {
			return &Error{Kind: Unreachable, Message: message + ": the certificate of PostgreSQL is not trusted; check the host and caSecretRef in the LeaderboardClass, or ca.crt in the admin Secret", Cause: cause}
		}
		return &Error{Kind: Unreachable, Message: message + ": PostgreSQL did not answer", Cause: short(err)}
	case stateInvalidPassword, stateInvalidAuthorization:
		return &Error{Kind: Refused, Message: message + ": PostgreSQL refused the login; check the username and the password in the admin Secret", Cause: short(err)}
	case stateInsufficientPrivilege:
		return &Error{Kind: InsufficientRights, Message: message + ": the administrator needs a LOGIN role with CREATEROLE that owns the database", Cause: short(err)}
	case stateReadOnly:
		return &Error{Kind: ReadOnly, Message: message + ": PostgreSQL takes no writes now; see whether it is a standby, or full", Cause: short(err)}
	case stateProtocolViolation:
		if strings.Contains(err.Error(), "unsupported startup parameter") { // as PgBouncer says it
			return &Error{Kind: Misconfigured, Message: message + ": a connection pooler answered; set postgres.host of the LeaderboardClass to PostgreSQL itself, and postgres.poolerHost to the pooler", Cause: short(err)}
		}
		return &Error{Kind: Failed, Message: message, Cause: short(err)}
	default:
		return &Error{Kind: Failed, Message: message, Cause: short(err)}
	}
}

// distrust is why the server's certificate was not accepted; nil: it was, or the
// error is another one.
func distrust(err error) error {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return verification.Err
	}
	return nil
}

// short is the innermost cause that says something: pgx wraps it in the
// connection's parameters. It is the same text for each attempt, without the port
// that this side had in one of them: conditions hold it, and a condition that changes
// is written and wakes those who watch it.
func short(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg
	}

	var lookup *net.DNSError
	if errors.As(err, &lookup) {
		if lookup.IsNotFound {
			return fmt.Errorf("lookup %s: no such host", lookup.Name)
		}
		return fmt.Errorf("lookup %s: the name server did not answer", lookup.Name)
	}

	var operation *net.OpError
	if errors.As(err, &operation) {
		return &net.OpError{Op: operation.Op, Net: operation.Net, Addr: operation.Addr, Err: operation.Err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}

	return err
}

// redisError sorts an error of Redis.
func redisError(err error, format string, args ...any) error {
	if err == nil || sorted(err) {
		return err
	}

	message := fmt.Sprintf(format, args...)
	if refused := certificateError("Redis", err); refused != "" {
		return &Error{Kind: Refused, Message: message + ": " + refused, Cause: short(err)}
	}

	var answer redis.Error
	switch text := err.Error(); {
	case distrust(err) != nil:
		return &Error{Kind: Unreachable, Message: message + ": the certificate of Redis is not trusted; check the endpoints, serverName and caSecretRef in the LeaderboardClass, or ca.crt in the admin Secret", Cause: distrust(err)}
	case !errors.As(err, &answer):
		return &Error{Kind: Unreachable, Message: message + ": Redis did not answer", Cause: short(err)}
	case strings.HasPrefix(text, "WRONGPASS"), strings.HasPrefix(text, "NOAUTH"):
		return &Error{Kind: Refused, Message: message + ": Redis refused the login; check the username and the password in the admin Secret", Cause: err}
	case strings.HasPrefix(text, "NOPERM"):
		return &Error{Kind: InsufficientRights, Message: message + ": the administrator needs +acl, +client|list, +client|kill, +function|list, +function|load, +info, +role, +scan, +unlink and the keys and channels of all tenants, and +get, +set and +@hash on leaderboard-operator:*", Cause: err}
	case strings.HasPrefix(text, "READONLY"):
		return &Error{Kind: ReadOnly, Message: message + ": Redis is a replica, which takes no writes; name the primary in redis.endpoints (of a managed service, its primary endpoint)", Cause: err}
	case strings.HasPrefix(text, "MISCONF"), strings.HasPrefix(text, "NOREPLICAS"), strings.HasPrefix(text, "OOM"):
		return &Error{Kind: ReadOnly, Message: message + ": Redis takes no writes now", Cause: err}
	case strings.HasPrefix(text, "LOADING"), strings.HasPrefix(text, "MASTERDOWN"), strings.HasPrefix(text, "CLUSTERDOWN"):
		return &Error{Kind: Unreachable, Message: message + ": Redis is starting", Cause: err}
	default:
		return &Error{Kind: Failed, Message: message, Cause: err}
	}
}

package provision

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// Logins says which slots of a tenant can log in.
func (p *Postgres) Logins(ctx context.Context, t tenant.Tenant) (map[tenant.Slot]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	logins := map[tenant.Slot]bool{}
	for _, slot := range tenant.Slots {
		var can bool
		err := p.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND rolcanlogin)", t.LoginRole(slot)).Scan(&can)
		if err != nil {
			return nil, postgresError(err, "look at the logins of %s", t.ID)
		}
		logins[slot] = can
	}

	return logins, nil
}

// Issued is what was issued last as a tenant's credentials: the slot, and a digest by
// which they are known again.
type Issued struct {
	Slot   tenant.Slot
	Digest string
	// Request is the last one that they answered to; empty: none.
	Request string
	// Age is for how long they have been issued, by PostgreSQL's clock.
	Age time.Duration
}

// Issued reads what was issued last; it is zero if nothing was.
func (p *Postgres) Issued(ctx context.Context, t tenant.Tenant) (issued Issued, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	var seconds float64
	err = p.pool.QueryRow(ctx, `SELECT coalesce(issued_slot, ''), coalesce(issued_digest, ''), coalesce(issued_request, ''),
		extract(epoch FROM clock_timestamp() - coalesce(issued_at, 'epoch'))::float8 FROM leaderboard_operator.tenants WHERE id = $1`, t.ID).
		Scan(&issued.Slot, &issued.Digest, &issued.Request, &seconds)
	issued.Age = time.Duration(seconds * float64(time.Second))
	if state := sqlState(err); errors.Is(err, pgx.ErrNoRows) || state == stateUndefinedTable || state == stateInvalidSchema {
		return Issued{}, nil
	}

	return issued, postgresError(err, "read what was issued to %s", t.ID)
}

// Issue writes down what is issued now; Age is not read. It comes before the Secret that
// serves it.
func (p *Postgres) Issue(ctx context.Context, t tenant.Tenant, claim Claim, issued Issued) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	err := p.locked(ctx, t, claim, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE leaderboard_operator.tenants SET issued_slot = $2, issued_digest = $3, issued_request = $4, issued_at = clock_timestamp() WHERE id = $1",
			t.ID, issued.Slot, issued.Digest, issued.Request)
		return err
	})
	return postgresError(err, "write down what is issued to %s", t.ID)
}

// EnsureLogin lets a slot log in with the password. It writes nothing if it can already.
// A login that PostgreSQL refuses for another cause than the password is an error.
func (p *Postgres) EnsureLogin(ctx context.Context, t tenant.Tenant, claim Claim, slot tenant.Slot, password string) error {
	works, err := p.VerifyLogin(ctx, t, slot, password)
	if err != nil || works {
		return err
	}
	if err := p.SetPassword(ctx, t, claim, slot, password); err != nil {
		return err
	}

	works, err = p.VerifyLogin(ctx, t, slot, password)
	if err != nil || works {
		return err
	}

	return &Error{Kind: Refused, Message: fmt.Sprintf("PostgreSQL does not let the role %s in with the password that it was given: "+
		"pg_hba.conf needs a line that lets the roles of games into the database %s with scram-sha-256", t.LoginRole(slot), p.admin.Database)}
}

// LowerConnections bounds the logins of a tenant that may open more connections than
// that. EnsureSchema raises the bound and does not lower it: while a rollout replaces
// Pods that hold more, the new ones would not get any.
func (p *Postgres) LowerConnections(ctx context.Context, t tenant.Tenant, claim Claim, connections int) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	const higherSQL = "SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1) AND (rolconnlimit > $2 OR rolconnlimit < 0)"
	var some bool
	err := p.pool.QueryRow(ctx, "SELECT EXISTS ("+higherSQL+")", t.LoginRoles(), connections).Scan(&some)
	if err != nil || !some {
		return postgresError(err, "look at the logins of %s", t.ID)
	}

	err = p.locked(ctx, t, claim, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, higherSQL, t.LoginRoles(), connections)
		if err != nil {
			return err
		}
		higher, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, role := range higher {
			if _, err := tx.Exec(ctx, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", quote(role), connections)); err != nil {
				return err
			}
		}
		return nil
	})
	return postgresError(err, "bound the connections of %s", t.ID)
}

// SetPassword gives a slot's role a password and lets it log in. PostgreSQL gets
// a SCRAM verifier, from which the password cannot be told.
func (p *Postgres) SetPassword(ctx context.Context, t tenant.Tenant, claim Claim, slot tenant.Slot, password string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	verifier, err := scramVerifier(password)
	if err != nil {
		return err
	}

	err = p.locked(ctx, t, claim, func(tx pgx.Tx) error {
		// Only a superuser may keep the statement out of the log; a verifier in it
		// is no password.
		if err := savepoint(ctx, tx, "SET LOCAL log_statement = 'none'"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "ALTER ROLE "+quote(t.LoginRole(slot))+" LOGIN PASSWORD "+literal(verifier))
		return err
	})
	return postgresError(err, "set the password of %s", t.LoginRole(slot))
}

// savepoint tries a statement whose refusal for lack of rights does not matter.
func savepoint(ctx context.Context, tx pgx.Tx, statement string) error {
	err := pgx.BeginFunc(ctx, tx, func(nested pgx.Tx) error {
		_, err := nested.Exec(ctx, statement)
		return err
	})
	if sqlState(err) == stateInsufficientPrivilege {
		return nil
	}

	return err
}

const (
	scramIterations = 4096 // PostgreSQL's own default
	scramSaltBytes  = 16
)

// scramVerifier makes what PostgreSQL stores for a password, as RFC 5802
// defines it and PostgreSQL writes it:
// https://www.postgresql.org/docs/current/catalog-pg-authid.html
// Passwords of this package are ASCII, which SASLprep leaves as it is.
func scramVerifier(password string) (string, error) {
	salt := make([]byte, scramSaltBytes)
	rand.Read(salt)
	salted, err := pbkdf2.Key(sha256.New, password, salt, scramIterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive the SCRAM key: %w", err)
	}

	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	encode := base64.StdEncoding.EncodeToString

	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", scramIterations, encode(salt), encode(stored[:]), encode(mac("Server Key"))), nil
}

// VerifyLogin says whether a slot can log in with the password.
func (p *Postgres) VerifyLogin(ctx context.Context, t tenant.Tenant, slot tenant.Slot, password string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	config, err := p.gameConfig(t, slot, password)
	if err != nil {
		return false, err
	}

	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		return true, conn.Close(ctx)
	}

	switch state := sqlState(err); {
	case wantsCertificate(err):
		return false, &Error{Kind: Refused, Message: "PostgreSQL asks games for a client certificate: set postgres.clientCertificateSecretRef of the LeaderboardClass, or take clientcert out of the lines of pg_hba.conf for them", Cause: short(err)}
	case state == stateInvalidPassword, state == stateInvalidAuthorization:
		return false, nil
	case state == stateTooManyConnections && refusedByRoleLimit(err):
		return true, nil
	default:
		return false, postgresError(err, "log in as %s", t.LoginRole(slot))
	}
}

// refusedByRoleLimit says whether a login had the connections that its role or database
// may have, which PostgreSQL counts once the password was right. That the server has no
// connection left at all it says before. The function that reports an error is the
// same in every language.
func refusedByRoleLimit(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Routine == "InitializeSessionUserId" || refused.Routine == "CheckMyDatabase")
}

// InUse says whether a slot can log in, and how many sessions of it there are.
func (p *Postgres) InUse(ctx context.Context, t tenant.Tenant, slot tenant.Slot) (login bool, sessions int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	role := t.LoginRole(slot)
	err = p.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND rolcanlogin),
		(SELECT count(*) FROM pg_stat_activity WHERE usename = $1)`, role).Scan(&login, &sessions)
	return login, sessions, postgresError(err, "look at the login %s", role)
}

// DisableLogin takes a slot's right to log in and ends its sessions, which
// would otherwise go on. It writes nothing if neither is left.
func (p *Postgres) DisableLogin(ctx context.Context, t tenant.Tenant, claim Claim, slot tenant.Slot) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	login, sessions, err := p.InUse(ctx, t, slot)
	if err != nil || !login && sessions == 0 {
		return err
	}

	role := t.LoginRole(slot)
	err = p.locked(ctx, t, claim, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "ALTER ROLE "+quote(role)+" NOLOGIN")
		return err
	})
	if err == nil {
		// A session that began just before is caught by the repetition of the reconciler.
		err = p.endSessions(ctx, role, "true")
	}

	return postgresError(err, "end the login %s", role)
}

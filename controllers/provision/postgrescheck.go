package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// PostgresServer is what Check found.
type PostgresServer struct {
	Version string
	ID      PostgresID
	// Connections are those that it accepts from all games together.
	Connections int
	// Lossy are the settings under which it may lose what it has committed.
	Lossy []string
}

// ledgerFunctions are those of PostgreSQL that ledgers call as the logins of games, by
// which an identity, a place in the log and a leader are found.
var ledgerFunctions = []string{
	"hashtextextended(text,bigint)", "pg_advisory_xact_lock(bigint)", "pg_try_advisory_lock(bigint)", "pg_try_advisory_xact_lock(bigint)",
	"pg_backend_pid()", "pg_control_system()", "pg_current_snapshot()", "pg_current_wal_insert_lsn()", "pg_current_xact_id()",
	"pg_notify(text,text)", "pg_snapshot_xmax(pg_snapshot)", "pg_snapshot_xmin(pg_snapshot)", "pg_walfile_name(pg_lsn)",
}

// checkSQL looks at all that can be seen without writing. That a database is read-only by
// ALTER DATABASE or ALTER ROLE is not known to sessions that began before.
const checkSQL = `SELECT current_setting('server_version'), current_setting('server_version_num')::int,
	rolcreaterole OR rolsuper, has_database_privilege(current_database(), 'CREATE'),
	least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
		- coalesce(current_setting('reserved_connections', true)::int, 0), nullif(d.datconnlimit, -1)) - $1::int,
	ARRAY(SELECT name || ' is ' || setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name),
	ARRAY(SELECT name FROM unnest($2::text[]) name WHERE coalesce(NOT has_function_privilege('public', to_regprocedure('pg_catalog.' || name)::oid, 'EXECUTE'), true)),
	pg_is_in_recovery(),
	current_setting('default_transaction_read_only')::bool OR EXISTS (SELECT FROM pg_db_role_setting s, unnest(s.setconfig) one
		WHERE s.setdatabase IN (0, d.oid) AND s.setrole IN (0, r.oid) AND one ~* '^default_transaction_read_only=(on|true|yes|1)$')
	FROM pg_roles r, pg_database d WHERE rolname = current_user AND d.datname = current_database()`

// Check says whether the server can hold tenants and takes writes, and what it is. From
// then on, writes are refused on any other one.
func (p *Postgres) Check(ctx context.Context) (server PostgresServer, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	var number int
	var canCreateRoles, canCreateSchemas, standby, readOnly bool
	var lacking []string
	err = p.pool.QueryRow(ctx, checkSQL, maxConnections, ledgerFunctions).
		Scan(&server.Version, &number, &canCreateRoles, &canCreateSchemas, &server.Connections, &server.Lossy, &lacking, &standby, &readOnly)

	switch {
	case err != nil:
		return PostgresServer{}, postgresError(err, "look at PostgreSQL")
	case number < minPostgres:
		return server, &Error{Kind: Misconfigured, Message: fmt.Sprintf("PostgreSQL %s is too old: 15 or later is needed", server.Version)}
	case len(lacking) > 0:
		return server, &Error{Kind: Misconfigured, Message: fmt.Sprintf("PostgreSQL does not let games call %s, by which their ledgers are kept: "+
			"GRANT EXECUTE ON FUNCTION ... TO PUBLIC as a superuser; a service that only speaks PostgreSQL's protocol, and has no such functions, cannot be used", strings.Join(lacking, ", "))}
	case standby:
		return server, &Error{Kind: ReadOnly, Message: fmt.Sprintf("PostgreSQL at %s is a standby, which takes no writes: set postgres.host to the primary (of a managed service, to its writer endpoint), or wait until it has been promoted", p.admin.Host)}
	case readOnly:
		return server, &Error{Kind: ReadOnly, Message: "PostgreSQL takes no writes, as default_transaction_read_only is on: a managed service sets it when its disk is full or it is under maintenance, so give it room; otherwise ALTER SYSTEM, ALTER DATABASE or ALTER ROLE ... RESET default_transaction_read_only"}
	case !canCreateRoles:
		return server, &Error{Kind: InsufficientRights, Message: "the administrator of PostgreSQL cannot make roles: ALTER ROLE ... CREATEROLE"}
	case !canCreateSchemas:
		return server, &Error{Kind: InsufficientRights, Message: "the administrator of PostgreSQL cannot make schemas: let it own the database, or GRANT CREATE ON DATABASE"}
	}

	if server.ID, err = readID(ctx, p.pool); err != nil {
		return PostgresServer{}, postgresError(err, "identify PostgreSQL")
	}
	p.id.Store(&server.ID)
	return server, nil
}

// ErrBusy is that something could not be tried out, as others were at work in the database.
var ErrBusy = errors.New("others are at work in the database")

// Probe does all that games will need in a transaction that is rolled back: the schema and
// the roles of a tenant, its password, a migration as its owner, and the end of a login. It
// comes after Register.
func (p *Postgres) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	// No Leaderboard has such a tenant, and nobody sees this one.
	t := tenant.Tenant{ID: "probe_" + strings.ToLower(rand.Text())}
	at := "begin"
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if err := p.checkHolder(ctx, tx, "FOR SHARE"); err != nil {
			return err
		}
		if err := p.checkID(ctx, tx); err != nil {
			return err
		}
		if err := lockDatabase(ctx, tx); err != nil {
			return err
		}

		statements, err := p.probeStatements(ctx, tx, t)
		if err != nil {
			return err
		}
		for _, at = range statements {
			if _, err := tx.Exec(ctx, at); err != nil {
				return err
			}
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		return nil
	}
	if errors.Is(err, errNotHolder) {
		return &Error{Kind: Fenced, Message: "another operator leads, so this one changes nothing more", Cause: err}
	}

	return probeError(err, at)
}

// probeStatements are what is done for a game from its first pass to its deletion.
func (p *Postgres) probeStatements(ctx context.Context, tx pgx.Tx, t tenant.Tenant) ([]string, error) {
	statements, err := p.plan(ctx, tx, t, Claim{Owner: Owner{Cluster: p.operator.Cluster, UID: t.ID}}, SchemaOptions{Connections: 1})
	if err != nil {
		return nil, err
	}
	verifier, err := scramVerifier(rand.Text())
	if err != nil {
		return nil, err
	}

	login := quote(t.LoginRole(tenant.SlotA))
	return append(statements,
		"ALTER ROLE "+login+" LOGIN PASSWORD "+literal(verifier),
		"SET LOCAL ROLE "+quote(t.OwnerRole()),
		"SET LOCAL search_path = "+quote(t.Schema()),
		"CREATE TABLE probe (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz) PARTITION BY RANGE (at)",
		"CREATE FUNCTION probe() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
		"RESET ROLE",
		"ALTER ROLE "+login+" NOLOGIN",
		"GRANT "+login+" TO CURRENT_USER",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "+literal(t.LoginRole(tenant.SlotA)),
		"DROP SCHEMA "+quote(t.Schema())+" CASCADE",
		"DROP OWNED BY "+login,
		"DROP ROLE "+login,
	), nil
}

// busy are the states of a statement that waited for too long, or was in the way of another.
var busy = []string{stateLockNotAvailable, stateQueryCanceled, stateDeadlockDetected, stateSerializationFailure}

// probeError words what refused a statement of the probe. The statement's own words are
// named, and no password is in them that anyone has.
func probeError(err error, statement string) error {
	var verb []string
	for word := range strings.FieldsSeq(statement) {
		if strings.HasPrefix(word, `"`) || strings.HasPrefix(word, "(") || len(verb) == 3 {
			break
		}
		verb = append(verb, word)
	}

	doing := strings.Join(verb, " ")
	if strings.HasPrefix(doing, "DO ") { // which puts the name of the database in
		doing = "GRANT CONNECT"
	}
	switch state := sqlState(err); {
	case sorted(err) || state == "" || state == stateReadOnly:
		return postgresError(err, "try out what games need")
	case state == stateInsufficientPrivilege:
		return &Error{Kind: InsufficientRights, Message: fmt.Sprintf("the administrator of PostgreSQL was refused %q, which games need: it has to be a LOGIN role with CREATEROLE that owns the database, "+
			"and in a managed service one of those that may do this (docs/managed-stores.md)", doing), Cause: short(err)}
	case slices.Contains(busy, state):
		return ErrBusy
	case strings.HasPrefix(state, "42"), strings.HasPrefix(state, "0A"), strings.HasPrefix(state, "22"), strings.HasPrefix(state, "28"):
		return &Error{Kind: Misconfigured, Message: fmt.Sprintf("PostgreSQL refused %q, which games need (docs/managed-stores.md)", doing), Cause: short(err)}
	default:
		return postgresError(err, "try out %q, which games need", doing)
	}
}

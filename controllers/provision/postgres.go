package provision

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

const (
	// callTimeout bounds one function of this package on one store.
	callTimeout = 15 * time.Second
	// connectTimeout bounds the making of one connection.
	connectTimeout = 5 * time.Second
	// idleInTransaction ends a session of an operator that was stopped within a transaction:
	// until then its locks keep another one from taking over. It is longer than what is
	// written to Redis under such a lock may take.
	idleInTransaction = time.Minute
	// maxConnections of the operator to one class's database; more passes wait.
	maxConnections = 4
	// minPostgres is the oldest supported server, as server_version_num has it.
	minPostgres = 150000
)

// PostgresAdmin is how a class's administrator reaches PostgreSQL.
type PostgresAdmin struct {
	Host     string
	Port     int
	Database string
	// SSLMode is disable, require, verify-ca or verify-full.
	SSLMode  string
	Username string
	Password string
	// CA holds the authorities' certificates in PEM, for the last two.
	CA []byte
	// Certificate is the client's for PostgreSQL that asks for one, and GameCertificate that
	// of the servers of games. Nil: there is none.
	Certificate, GameCertificate *tls.Certificate
	// PoolerHost and PoolerPort are where the servers of games find a connection
	// pooler, which the administrator never uses. Empty: there is none.
	PoolerHost string
	PoolerPort int
}

// Postgres provisions tenants in one database.
type Postgres struct {
	admin    PostgresAdmin
	operator Operator
	config   *pgx.ConnConfig
	pool     *pgxpool.Pool
	// id is the database as it was identified last; nil until then.
	id atomic.Pointer[PostgresID]
}

// OpenPostgres prepares connections; it does not connect yet. Close ends them.
func OpenPostgres(ctx context.Context, admin PostgresAdmin, operator Operator) (*Postgres, error) {
	config, err := connConfig(admin)
	if err != nil {
		return nil, err
	}

	config.DialFunc = (&breakers{}).dial

	poolConfig, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, fmt.Errorf("configure the pool: %w", err)
	}

	poolConfig.ConnConfig = config
	poolConfig.MaxConns, poolConfig.MinConns = maxConnections, 0
	poolConfig.MaxConnIdleTime = time.Minute
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, postgresError(err, "prepare connections to PostgreSQL")
	}

	return &Postgres{admin: admin, operator: operator, config: config, pool: pool}, nil
}

func connConfig(admin PostgresAdmin) (*pgx.ConnConfig, error) {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(admin.Username, admin.Password), Path: "/" + admin.Database,
		Host: net.JoinHostPort(admin.Host, strconv.Itoa(admin.Port)), RawQuery: "sslmode=disable"}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		// The parser's error would show the password.
		return nil, &Error{Kind: Misconfigured, Message: "the address of PostgreSQL in the LeaderboardClass cannot be understood"}
	}

	config.ConnectTimeout = connectTimeout
	config.RuntimeParams["application_name"] = "leaderboard-operator"
	config.RuntimeParams["statement_timeout"] = strconv.Itoa(int(callTimeout.Milliseconds()))
	config.RuntimeParams["jit"] = "off" // compiling a query on the catalogue takes longer than running it
	config.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.Itoa(int(idleInTransaction.Milliseconds()))
	config.RuntimeParams["lock_timeout"] = strconv.Itoa(int((callTimeout / 2).Milliseconds()))

	// Provisioning is rare: nothing is gained by keeping statements prepared.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.TLSConfig, err = postgresTLS(admin, admin.Host, admin.Certificate)
	return config, err
}

// Close ends the connections.
func (p *Postgres) Close() { p.pool.Close() }

// PrepareDatabase takes from PUBLIC what would let tenants reach each other: the
// right to connect to the database and to create in the schema public, and with
// maintenance the right to connect to the databases that every server has, on which
// others may rely. It returns in words what it was not allowed to take away.
func (p *Postgres) PrepareDatabase(ctx context.Context, maintenance bool) (leftOpen []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	open, err := p.openToPublic(ctx, maintenance)
	if err != nil || len(open) == 0 {
		return nil, err
	}

	for _, object := range open {
		// Where another role owns the object, PostgreSQL warns and does nothing.
		if _, err := p.pool.Exec(ctx, object.revoke); err != nil && sqlState(err) != stateInsufficientPrivilege {
			return nil, postgresError(err, "take %s from PUBLIC", object.what)
		}
	}

	if open, err = p.openToPublic(ctx, maintenance); err != nil {
		return nil, err
	}

	for _, object := range open {
		leftOpen = append(leftOpen, object.what+" (as its owner: "+object.revoke+")")
	}

	return leftOpen, nil
}

type openObject struct{ what, revoke string }

// openToPublic lists what PUBLIC must not have: privileges on databases that can
// be connected to, and CREATE on the schema public.
func (p *Postgres) openToPublic(ctx context.Context, maintenance bool) ([]openObject, error) {
	rows, err := p.pool.Query(ctx, `
		SELECT 'database', datname FROM pg_database WHERE datallowconn AND (datname = current_database() OR $1 AND datname IN ('postgres', 'template1'))
			AND EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0)
		UNION ALL
		SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'public'
			AND EXISTS (SELECT FROM aclexplode(coalesce(nspacl, acldefault('n', nspowner))) WHERE grantee = 0 AND privilege_type = 'CREATE')`, maintenance)
	if err != nil {
		return nil, postgresError(err, "look at the rights of PUBLIC")
	}

	open, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (openObject, error) {
		var kind, name string
		if err := row.Scan(&kind, &name); err != nil {
			return openObject{}, err
		}
		if kind == "schema" {
			return openObject{"CREATE on the schema public", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"}, nil
		}

		return openObject{"the database " + name, "REVOKE ALL ON DATABASE " + quote(name) + " FROM PUBLIC"}, nil
	})
	return open, postgresError(err, "look at the rights of PUBLIC")
}

// MigrationConn connects as the owner of the tenant's schema, which is also the
// search path. The caller closes it.
func (p *Postgres) MigrationConn(ctx context.Context, t tenant.Tenant) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	config := p.config.Copy()
	delete(config.RuntimeParams, "statement_timeout") // migrations have a deadline of their own
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, postgresError(err, "connect for migrations")
	}

	for _, statement := range []string{"SET ROLE " + quote(t.OwnerRole()), "SET search_path = " + quote(t.Schema())} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			_ = conn.Close(ctx)
			return nil, postgresError(err, "become the owner of %s", t.Schema())
		}
	}

	return conn, nil
}

func quote(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

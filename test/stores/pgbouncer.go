package stores

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// PoolMode is how PgBouncer lends out its connections.
type PoolMode string

// The modes that the platform supports.
const (
	PoolSession     PoolMode = "session"
	PoolTransaction PoolMode = "transaction"
)

// PoolerLookup is what lets PgBouncer look up the passwords of games' logins in a
// database, and of nobody else. docs/install.md shows the same.
const PoolerLookup = `CREATE SCHEMA pgbouncer;
CREATE FUNCTION pgbouncer.get_auth(login text) RETURNS TABLE (username text, password text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS
    $$ SELECT rolname::text, rolpassword FROM pg_authid WHERE rolname = login AND rolname LIKE 'lb\_%' AND rolcanlogin $$;
REVOKE ALL ON FUNCTION pgbouncer.get_auth(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA pgbouncer TO pgbouncer;
GRANT EXECUTE ON FUNCTION pgbouncer.get_auth(text) TO pgbouncer;`

// PoolerQuery is PgBouncer's auth_query for PoolerLookup.
const PoolerQuery = "SELECT username, password FROM pgbouncer.get_auth($1)"

const (
	poolerRole     = "pgbouncer"
	poolerPassword = "pooler-of-a-throwaway-server"
)

// PgBouncer is a running connection pooler in front of a PostgreSQL server. It lets
// in roles whose names begin with lb_, to databases that [PgBouncer.Admit] has
// prepared.
type PgBouncer struct {
	Port int

	postgres *Postgres
	binary   string
	dir      string
	process  *process
}

// StartPgBouncer starts a pooler with at most poolSize connections for each login
// and database, and returns once it answers. Where the server asks for client
// certificates, the pooler does, too.
func StartPgBouncer(ctx context.Context, server *Postgres, mode PoolMode, poolSize int) (*PgBouncer, error) {
	b := &PgBouncer{postgres: server}
	var err error
	if b.binary, err = findBinary("", "pgbouncer", "/usr/sbin"); err != nil {
		return nil, err
	}
	if b.Port, err = freePort(); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "pgbouncer-"); err != nil {
		return nil, fmt.Errorf("make the folder of PgBouncer: %w", err)
	}

	if err = b.configure(mode, poolSize); err == nil {
		err = b.createRole(ctx)
	}

	if err == nil {
		err = b.Start(ctx)
	}

	if err != nil {
		b.Close()
		return nil, err
	}

	return b, nil
}

// configure writes PgBouncer's files, which belong to whom it runs as.
func (b *PgBouncer) configure(mode PoolMode, poolSize int) error {
	settings := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
pool_mode = %s
default_pool_size = %d
max_client_conn = 500
auth_type = scram-sha-256
auth_file = userlist.txt
auth_user = %s
auth_query = %s
stats_users = %s
server_login_retry = 1
`, b.postgres.Port, b.Port, mode, poolSize, poolerRole, PoolerQuery, poolerRole)
	if authority := b.postgres.options.Authority; authority != nil && b.postgres.options.ClientCertificates {
		if err := authority.certify(b.certificatePath(), b.postgres.owner); err != nil {
			return err
		}
		for _, side := range []string{"client", "server"} {
			settings += fmt.Sprintf("%[1]s_tls_sslmode = verify-ca\n%[1]s_tls_cert_file = %[2]s\n%[1]s_tls_key_file = %[2]s.key\n%[1]s_tls_ca_file = %[2]s.ca\n", side, b.certificatePath())
		}
	}
	users := fmt.Sprintf("%q %q\n", poolerRole, poolerPassword)

	for name, content := range map[string]string{"pgbouncer.ini": settings, "userlist.txt": users} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("write the configuration of PgBouncer: %w", err)
		}
	}

	if b.postgres.owner == nil {
		return nil
	}

	for _, path := range []string{b.dir, filepath.Join(b.dir, "pgbouncer.ini"), filepath.Join(b.dir, "userlist.txt")} {
		if err := os.Chown(path, int(b.postgres.owner.Uid), int(b.postgres.owner.Gid)); err != nil {
			return fmt.Errorf("hand the folder to the user of PgBouncer: %w", err)
		}
	}

	return nil
}

// createRole makes the role as which PgBouncer looks passwords up. Poolers of one
// server share it.
func (b *PgBouncer) createRole(ctx context.Context) error {
	return b.postgres.Exec(ctx, "postgres", fmt.Sprintf(`DO $do$ BEGIN
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%[1]s') THEN CREATE ROLE %[1]s LOGIN PASSWORD '%[2]s'; END IF;
	END $do$`, poolerRole, poolerPassword))
}

// Start starts a pooler that [PgBouncer.Stop] or [PgBouncer.Kill] has ended, on the
// same port, and returns once it answers.
func (b *PgBouncer) Start(ctx context.Context) error {
	child, err := startProcess(b.binary, []string{filepath.Join(b.dir, "pgbouncer.ini")}, nil, b.LogFile(), b.postgres.owner)
	if err != nil {
		return err
	}

	b.process = child
	console, err := pgx.ParseConfig(b.URL(poolerRole, poolerPassword, "pgbouncer")) // its own, which asks no server
	if err != nil {
		return fmt.Errorf("read the URL of PgBouncer: %w", err)
	}
	if b.postgres.options.ClientCertificates {
		console.TLSConfig = b.postgres.options.Authority.clientConfig()
		console.TLSConfig.ServerName = "127.0.0.1"
	}

	return child.ready(ctx, "PgBouncer", b.LogFile(), func(ctx context.Context) error {
		conn, err := pgx.ConnectConfig(ctx, console)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// Admit lets PgBouncer look up logins of the database.
func (b *PgBouncer) Admit(ctx context.Context, database string) error {
	if err := b.postgres.Exec(ctx, database, "GRANT CONNECT ON DATABASE "+pgx.Identifier{database}.Sanitize()+" TO "+poolerRole); err != nil {
		return err
	}
	return b.postgres.Exec(ctx, database, PoolerLookup)
}

// URL connects to the database through the pooler, as the server of a game does.
func (b *PgBouncer) URL(role, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: b.Address(), Path: "/" + database,
		RawQuery: "sslmode=disable&default_query_exec_mode=cache_describe"}
	return u.String()
}

func (b *PgBouncer) certificatePath() string { return filepath.Join(b.dir, "server.crt") }

// Address is host:port.
func (b *PgBouncer) Address() string { return address(b.Port) }

// LogFile is where the pooler logs.
func (b *PgBouncer) LogFile() string { return filepath.Join(b.dir, "server.log") }

// Stop ends the pooler and cuts the connections of its clients.
func (b *PgBouncer) Stop() { b.process.signal(syscall.SIGTERM) }

// Kill ends the pooler at once (SIGKILL).
func (b *PgBouncer) Kill() { b.process.signal(syscall.SIGKILL) }

// Close ends the pooler and removes its folder.
func (b *PgBouncer) Close() {
	if b.process != nil {
		b.process.signal(syscall.SIGKILL)
	}
	_ = os.RemoveAll(b.dir)
}

package stores

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// PostgresOptions says how a PostgreSQL server is started. The zero value is a
// throwaway server that does not wait for the disk.
type PostgresOptions struct {
	// Dir keeps the data; an existing cluster in it is reused. Empty: a
	// temporary folder that Close removes.
	Dir string
	// Port on 127.0.0.1; 0: a free one.
	Port int
	// Durable turns fsync on, as measurements of durable writes need.
	Durable bool
	// Authority, where set, signs a certificate for the server, which then takes
	// encrypted connections as well.
	Authority *Authority
	// ClientCertificates has all but the superuser connect with TLS and a certificate of the
	// authority.
	ClientCertificates bool
	// Settings are further server settings, e.g. {"log_statement": "all"}.
	Settings map[string]string
}

// Postgres is a running PostgreSQL server with the superuser "postgres".
type Postgres struct {
	Port int
	// LogFile is where the server logs.
	LogFile string

	options   PostgresOptions
	binDir    string
	dir       string
	temporary bool
	owner     *syscall.Credential
	process   *process
	databases atomic.Int64
}

const superuserPassword = "superuser-of-a-throwaway-server"

// StartPostgres initialises a cluster if there is none yet, starts it and
// returns once it answers.
func StartPostgres(ctx context.Context, options PostgresOptions) (*Postgres, error) {
	initdb, err := findBinary("POSTGRES_BIN_DIR", "initdb", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	// The programs beside it (postgres) are found beside the real file.
	if initdb, err = filepath.EvalSymlinks(initdb); err != nil {
		return nil, fmt.Errorf("resolve initdb: %w", err)
	}

	p := &Postgres{options: options, binDir: filepath.Dir(initdb), dir: options.Dir, Port: options.Port}
	if p.owner, err = postgresUser(); err != nil {
		return nil, err
	}

	if p.dir == "" {
		if p.dir, err = os.MkdirTemp("", "postgres-"); err != nil {
			return nil, fmt.Errorf("make the data folder of PostgreSQL: %w", err)
		}
		p.temporary = true
	}

	if p.Port == 0 {
		if p.Port, err = freePort(); err != nil {
			return nil, err
		}
	}

	p.LogFile = filepath.Join(p.dir, "server.log")
	if err := p.initialise(ctx); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.Start(ctx); err != nil {
		p.Close()
		return nil, err
	}

	return p, nil
}

// postgresUser is who the server runs as: PostgreSQL refuses root.
func postgresUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}

	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}

		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read the uid of %s: %w", name, err)
		}

		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read the gid of %s: %w", name, err)
		}

		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}

	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
}

func (p *Postgres) initialise(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(p.dir, "data", "PG_VERSION")); err == nil {
		return nil
	}

	passwordFile := filepath.Join(p.dir, "password")
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder of PostgreSQL: %w", err)
	}
	if err := os.WriteFile(passwordFile, []byte(superuserPassword), 0o600); err != nil {
		return fmt.Errorf("write the password of PostgreSQL: %w", err)
	}

	if p.owner != nil {
		for _, path := range []string{p.dir, passwordFile} {
			if err := os.Chown(path, int(p.owner.Uid), int(p.owner.Gid)); err != nil {
				return fmt.Errorf("hand the data folder to the user of PostgreSQL: %w", err)
			}
		}
	}

	cmd := exec.CommandContext(ctx, filepath.Join(p.binDir, "initdb"), "--pgdata", filepath.Join(p.dir, "data"),
		"--username", "postgres", "--pwfile", passwordFile, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	cmd.SysProcAttr = childAttributes(p.owner)
	cmd.Dir = p.dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}

	return nil
}

// Start starts a server that [Postgres.Stop] or [Postgres.Kill] has ended, on
// the same port with the same data, and returns once it answers.
func (p *Postgres) Start(ctx context.Context) error {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(p.Port),
		"unix_socket_directories": "",
		"max_connections":         "200",
		"shared_buffers":          "256MB",
		"fsync":                   onOff(p.options.Durable),
		"full_page_writes":        onOff(p.options.Durable),
		"max_wal_size":            "4GB",
	}
	if p.options.Authority != nil {
		if err := p.options.Authority.certify(p.certificatePath(), p.owner); err != nil {
			return err
		}
		if p.options.ClientCertificates {
			if err := p.askForCertificates(); err != nil {
				return err
			}
			settings["ssl_ca_file"], settings["hba_file"] = p.certificatePath()+".ca", p.hbaPath()
		}
		settings["ssl"], settings["ssl_cert_file"], settings["ssl_key_file"] = "on", p.certificatePath(), p.certificatePath()+".key"
	}

	for name, value := range p.options.Settings {
		settings[name] = value
	}

	args := []string{"-D", filepath.Join(p.dir, "data")}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}

	child, err := startProcess(filepath.Join(p.binDir, "postgres"), args, nil, p.LogFile, p.owner)
	if err != nil {
		return err
	}

	p.process = child
	return child.ready(ctx, "PostgreSQL", p.LogFile, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

func (p *Postgres) certificatePath() string { return filepath.Join(p.dir, "server.crt") }

func (p *Postgres) hbaPath() string { return filepath.Join(p.dir, "pg_hba.conf") }

// askForCertificates writes who may connect how.
func (p *Postgres) askForCertificates() error {
	lines := "host all postgres 127.0.0.1/32 scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
	if err := os.WriteFile(p.hbaPath(), []byte(lines), 0o644); err != nil { //nolint:gosec // it holds no secret
		return fmt.Errorf("write pg_hba.conf: %w", err)
	}
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// Address is host:port.
func (p *Postgres) Address() string { return address(p.Port) }

// URL connects to the database as the superuser.
func (p *Postgres) URL(database string) string {
	return p.UserURL("postgres", superuserPassword, database)
}

// UserURL connects to the database as the named role.
func (p *Postgres) UserURL(role, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: p.Address(), Path: "/" + database,
		RawQuery: "sslmode=disable"}
	return u.String()
}

// CreateDatabase makes an empty database with a name nobody has used on this
// server and returns that name.
func (p *Postgres) CreateDatabase(ctx context.Context) (string, error) {
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), p.databases.Add(1))
	if err := p.Exec(ctx, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	return name, nil
}

// Exec runs one statement as the superuser in the database.
func (p *Postgres) Exec(ctx context.Context, database, sql string, args ...any) error {
	conn, err := pgx.Connect(ctx, p.URL(database))
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)

	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("run %q: %w", sql, err)
	}

	return nil
}

// Stop ends the server as pg_ctl's fast mode does: sessions are cut, the data
// is flushed. [Postgres.Start] starts it again.
func (p *Postgres) Stop() { p.process.signal(syscall.SIGINT) }

// Kill ends the server as a crash would (pg_ctl's immediate mode: no
// checkpoint; the next start replays the log).
func (p *Postgres) Kill() { p.process.signal(syscall.SIGQUIT) }

// Close ends the server and removes a temporary data folder.
func (p *Postgres) Close() {
	if p.process != nil {
		p.process.signal(syscall.SIGQUIT)
	}
	if p.temporary {
		_ = os.RemoveAll(p.dir)
	}
}

// PID is the process id of the running server; its backends are its children.
func (p *Postgres) PID() int { return p.process.pid() }

// Program is the path of one of the programs that came with the server, for
// example pgbench.
func (p *Postgres) Program(name string) string { return filepath.Join(p.binDir, name) }

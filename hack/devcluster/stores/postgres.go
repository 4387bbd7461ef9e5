package stores

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/config"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/process"
)

// Postgres is what it takes to run the PostgreSQL server.
type Postgres struct {
	config *config.Config
	access *Access
	owner  *syscall.Credential
	dir    string
}

// NewPostgres prepares a server; it does not start it.
func NewPostgres(c *config.Config, access *Access) (*Postgres, error) {
	p := &Postgres{config: c, access: access, dir: PostgresDir(c)}
	for _, name := range []string{"postgres", "nobody"} { // PostgreSQL refuses to run as root
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}

		uid, _ := strconv.ParseUint(account.Uid, 10, 32)
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		p.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}

		return p, nil
	}

	return nil, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody here")
}

// PostgresDir is where the data is: beneath the state directory where another
// user than root can get there, else beneath /var/tmp.
func PostgresDir(c *config.Config) string {
	for dir := c.StateDir; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o001 == 0 {
			sum := sha256.Sum256([]byte(c.StateDir))
			return "/var/tmp/devcluster-" + hex.EncodeToString(sum[:6])
		}
	}
	return c.Path("postgres")
}

// Initialise makes the database cluster, once, and says who may connect, which
// follows the Pods' network.
func (p *Postgres) Initialise(ctx context.Context) error {
	data := filepath.Join(p.dir, "data")
	if _, err := os.Stat(data); errors.Is(err, fs.ErrNotExist) {
		// Under another name until it is whole: initdb may be interrupted.
		unfinished := data + ".unfinished"
		if err := p.initdb(ctx, unfinished); err != nil {
			return err
		}
		if err := os.Rename(unfinished, data); err != nil {
			return fmt.Errorf("move the data folder of PostgreSQL to its place: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("look for the data folder of PostgreSQL: %w", err)
	}

	// Passwords only, and only the cluster's own network.
	hba := fmt.Sprintf("host all all %s scram-sha-256\n", p.config.PodCIDR)
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return fmt.Errorf("write pg_hba.conf: %w", err)
	}

	return nil
}

func (p *Postgres) initdb(ctx context.Context, target string) error {
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("remove what an interrupted initdb left: %w", err)
	}

	initdb, err := find("initdb", "postgresql")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder of PostgreSQL: %w", err)
	}

	passwordFile := filepath.Join(p.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(p.access.PostgresSuperuserPassword), 0o600); err != nil {
		return fmt.Errorf("write the password of PostgreSQL: %w", err)
	}
	defer func() { _ = os.Remove(passwordFile) }()

	for _, path := range []string{p.dir, passwordFile} {
		if err := os.Chown(path, int(p.owner.Uid), int(p.owner.Gid)); err != nil {
			return fmt.Errorf("hand the data folder to the user of PostgreSQL: %w", err)
		}
	}

	cmd := exec.CommandContext(ctx, initdb, "--pgdata", target, "--username=postgres",
		"--pwfile", passwordFile, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death signal is that of the thread
	defer runtime.UnlockOSThread()

	cmd.Dir = p.dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}

	return nil
}

// Spec is the process to run.
func (p *Postgres) Spec() (process.Spec, error) {
	binary, err := find("postgres", "postgresql")
	if err != nil {
		return process.Spec{}, err
	}

	log, err := process.OpenLog(p.config.Path("logs", "postgres.log"))
	if err != nil {
		return process.Spec{}, err
	}

	return process.Spec{Path: binary, Dir: p.dir, Output: log, Attributes: &syscall.SysProcAttr{Credential: p.owner},
		Args: []string{"postgres", "-D", filepath.Join(p.dir, "data"),
			"-c", "listen_addresses=" + p.access.PostgresHost, "-c", "port=" + strconv.Itoa(p.access.PostgresPort),
			"-c", "unix_socket_directories=", "-c", "max_connections=300"}}, nil
}

// Ready says whether the server answers, and makes the administrator and the
// database, once.
func (p *Postgres) Ready(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.superuserURL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)

	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", p.access.PostgresDatabase).Scan(&exists); err != nil || exists {
		return err
	}

	admin, database := pgx.Identifier{p.access.PostgresUser}.Sanitize(), pgx.Identifier{p.access.PostgresDatabase}.Sanitize()
	// The password is of letters and digits: see rand.Text.
	for _, statement := range []string{
		"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '" + p.access.PostgresUser + "') THEN " +
			"CREATE ROLE " + admin + " LOGIN CREATEROLE PASSWORD '" + p.access.PostgresPassword + "'; END IF; END $$",
		"CREATE DATABASE " + database + " OWNER " + admin,
		"REVOKE ALL ON DATABASE postgres, template1, " + database + " FROM PUBLIC",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("set PostgreSQL up: %w", err)
		}
	}

	return p.grantInside(ctx, admin)
}

// grantInside gives the administrator the schema public of its database, whose
// CREATE it takes from everybody else.
func (p *Postgres) grantInside(ctx context.Context, admin string) error {
	conn, err := pgx.Connect(ctx, p.superuserURL(p.access.PostgresDatabase))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)

	if _, err := conn.Exec(ctx, "ALTER SCHEMA public OWNER TO "+admin+"; REVOKE CREATE ON SCHEMA public FROM PUBLIC"); err != nil {
		return fmt.Errorf("set the database up: %w", err)
	}

	return nil
}

func (p *Postgres) superuserURL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", p.access.PostgresSuperuserPassword),
		Host: p.config.On(p.access.PostgresPort), Path: "/" + database, RawQuery: "sslmode=disable&connect_timeout=2"}
	return u.String()
}

package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// maxDeadlocks is how often a migration is tried again that met statements which lock
// its tables in another order, or for longer than it waits: once a second at most, as
// PostgreSQL finds them, and migrations that bound their waits do so by a second or more.
const maxDeadlocks = 30

// maxRaces is how often one is tried again whose caller was not the first to make the
// schema or the table of versions.
const maxRaces = 5

// migrationTimeout bounds one migration, its wait for the lock included.
const migrationTimeout = 10 * time.Minute

type migration struct {
	version int
	name    string
	sql     string
	// admits is the oldest version that may work with the schema from then on, by its
	// RequiredVersion; 0: only this one, as before migrations said it.
	admits int
}

// admitsMark begins the first line of a migration that says which programs it admits.
const admitsMark = "-- admits: "

// parseAdmits reads the first line of a migration.
func parseAdmits(sql string) (int, error) {
	line, _, _ := strings.Cut(sql, "\n")
	text, says := strings.CutPrefix(line, admitsMark)
	if !says {
		return 0, nil
	}
	return strconv.Atoi(strings.TrimSpace(text))
}

// migrations returns the embedded migrations in order. Their files are named
// NNNN_name.sql and numbered from 0001 without gaps.
func migrations() ([]migration, error) {
	entries, err := fs.ReadDir(migrationFiles, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}

	list := make([]migration, 0, len(entries))
	for _, entry := range entries {
		number, name, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".sql"), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("the migration %s has no number: %w", entry.Name(), err)
		}

		sql, err := migrationFiles.ReadFile("migrations/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read the embedded migrations: %w", err)
		}

		admits, err := parseAdmits(string(sql))
		if err != nil {
			return nil, fmt.Errorf("the migration %s does not say which version it admits: %w", entry.Name(), err)
		}

		list = append(list, migration{version, name, string(sql), admits})
	}

	sort.Slice(list, func(i, j int) bool { return list[i].version < list[j].version })
	for i, m := range list {
		if m.version != i+1 {
			return nil, fmt.Errorf("migration %d is missing", i+1)
		}
	}

	return list, nil
}

// RequiredVersion is the schema version that this program works with: the
// number of its last migration.
func RequiredVersion() int {
	list, err := migrations()
	if err != nil {
		panic(err) // embedded files are wrong: no test has passed
	}
	return len(list)
}

// querier is what a connection, a pool and a transaction have in common.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// CurrentVersion returns the version of the schema, 0 for a fresh one. Only a
// missing table schema_migrations means fresh: whatever else goes wrong is an
// error.
func CurrentVersion(ctx context.Context, conn *pgx.Conn, schema string) (int, error) {
	return currentVersion(ctx, conn, pgx.Identifier{schema, "schema_migrations"}.Sanitize())
}

func currentVersion(ctx context.Context, conn querier, table string) (int, error) {
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&exists); err != nil {
		return 0, fmt.Errorf("look for the schema's version: %w", err)
	}
	if !exists {
		return 0, nil
	}

	var version int
	if err := conn.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+table).Scan(&version); err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}

	return version, nil
}

// ErrNewerSchema says that the schema was migrated by a newer program than this.
var ErrNewerSchema = errors.New("the schema is newer than this program: use the program's newer version")

// checkNewer returns ErrNewerSchema unless the migrations that a program of the version
// required does not know all admit it.
func checkNewer(ctx context.Context, conn querier, table string, version, required int) error {
	var admits int
	err := conn.QueryRow(ctx, "SELECT max(coalesce(admits, version)) FROM "+table+" WHERE version > $1", required).Scan(&admits)
	if err != nil {
		return fmt.Errorf("read which versions the schema admits: %w", err)
	}
	if admits > required {
		return fmt.Errorf("version %d is known, and the schema has version %d, which admits programs from version %d on: %w", required, version, admits, ErrNewerSchema)
	}
	return nil
}

// Migrate brings the schema to RequiredVersion, one transaction a migration. It leaves
// a newer schema as it is, and refuses one that does not admit this version. The connection's current role becomes the
// owner of what is made. The schema is created if it does not exist and the role
// may. Several callers at once are safe: each step is taken by the one that is the first to
// lock the table of versions.
func Migrate(ctx context.Context, conn *pgx.Conn, schema string) error {
	return MigrateTo(ctx, conn, schema, RequiredVersion())
}

// MigrateTo is Migrate to an older version, from 1 to RequiredVersion: for tests of what
// an upgrade does.
func MigrateTo(ctx context.Context, conn *pgx.Conn, schema string, version int) error {
	list, err := migrations()
	if err != nil {
		return err
	}

	list = list[:version]
	for deadlocks, races := 0, 0; ; {
		done, err := migrateOne(ctx, conn, schema, list)
		switch state := sqlState(err); {
		case (state == stateDeadlockDetected || state == stateLockNotAvailable) && deadlocks < maxDeadlocks:
			deadlocks++ // with what servers of the version before are storing or reading
			continue
		case (state == stateUniqueViolation || state == stateDuplicateSchema || state == stateDuplicateTable) && races < maxRaces:
			races++ // another caller has just made the schema or the table of versions
			continue
		}
		if err != nil {
			return fmt.Errorf("migrate schema %s: %w", schema, err)
		}
		if done {
			return nil
		}
	}
}

func migrateOne(ctx context.Context, conn *pgx.Conn, schema string, list []migration) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()

	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("begin: %w", err)
	}

	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after Commit it does nothing
	quoted := pgx.Identifier{schema}.Sanitize()
	// A role's statement_timeout is meant for requests. pg_temp is named last, as
	// it would otherwise be searched first by the functions that are made here.
	if _, err := tx.Exec(ctx, "SELECT set_config('statement_timeout', '0', true), set_config('search_path', $1, true)", quoted+", pg_temp"); err != nil {
		return false, fmt.Errorf("set the search path: %w", err)
	}
	if err := ensureSchema(ctx, tx, schema); err != nil {
		return false, err
	}

	table := pgx.Identifier{schema, "schema_migrations"}.Sanitize()
	if err := lockVersions(ctx, tx, table); err != nil {
		return false, err
	}
	version, err := currentVersion(ctx, tx, table)
	if err != nil {
		return false, err
	}
	if version > len(list) {
		return true, checkNewer(ctx, tx, table, version, len(list))
	}
	if version == len(list) {
		return true, nil
	}

	next := list[version]
	if _, err := tx.Exec(ctx, next.sql); err != nil {
		return false, fmt.Errorf("migration %d (%s): %w", next.version, next.name, err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO "+table+" (version, name) VALUES ($1, $2)", next.version, next.name); err != nil {
		return false, fmt.Errorf("record migration %d: %w", next.version, err)
	}
	if next.admits > 0 {
		if _, err := tx.Exec(ctx, "UPDATE "+table+" SET admits = $2 WHERE version = $1", next.version, next.admits); err != nil {
			return false, fmt.Errorf("record which versions migration %d admits: %w", next.version, err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return false, fmt.Errorf("commit migration %d: %w", next.version, err)
	}

	return false, nil
}

// lockVersions excludes other callers until the transaction ends.
func lockVersions(ctx context.Context, tx pgx.Tx, table string) error {
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&exists); err != nil {
		return fmt.Errorf("look for the table of versions: %w", err)
	}
	if !exists {
		if _, err := tx.Exec(ctx, "CREATE TABLE "+table+" (version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"); err != nil {
			return fmt.Errorf("make the table of versions: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+table+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}

	return nil
}

func ensureSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema).Scan(&exists); err != nil {
		return fmt.Errorf("look for the schema: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{schema}.Sanitize()); err != nil {
		return fmt.Errorf("the schema does not exist and could not be made: %w", err)
	}

	return nil
}

// CheckVersion fails unless the schema in the connection's search path has
// RequiredVersion, or a newer one that admits it.
func (l *Ledger) CheckVersion(ctx context.Context) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	version, err := currentVersion(ctx, l.pool, "schema_migrations")
	switch required := RequiredVersion(); {
	case err != nil:
		return err
	case version > required:
		return checkNewer(ctx, l.pool, "schema_migrations", version, required)
	case version < required:
		return fmt.Errorf("the schema has version %d, and this program needs %d: run its command migrate first", version, required)
	}

	return nil
}

package provision

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// restoreWithoutOwners drops the tenant's schema and restores it from a dump, so that all
// of it belongs to the role that does it.
func restoreWithoutOwners(t *testing.T, admin PostgresAdmin, one tenant.Tenant, url string) {
	t.Helper()
	dump := filepath.Join(t.TempDir(), "dump")
	run := func(program string, args ...string) {
		output, err := exec.CommandContext(t.Context(), postgres.Program(program), args...).CombinedOutput()
		require.NoError(t, err, "%s", output)
	}
	run("pg_dump", "--format=custom", "--schema="+one.Schema(), "--file="+dump, postgres.URL(admin.Database))
	require.FileExists(t, dump)
	superuser(t, admin.Database, "DROP SCHEMA "+quote(one.Schema())+" CASCADE")
	run("pg_restore", "--no-owner", "--exit-on-error", "--dbname="+url, dump)
	require.NoError(t, os.Remove(dump))
}

// After a restore without owners the tenant gets back what the administrator may give, and
// otherwise the error says what has to be run.
func TestRestoreWithoutOwners(t *testing.T) {
	p, admin := database(t)
	one, claim, password := provisioned(t, p)
	migrates := func() {
		conn, err := p.MigrationConn(t.Context(), one)
		require.NoError(t, err)
		defer conn.Close(t.Context())

		for _, statement := range []string{"ALTER TABLE scores ADD COLUMN IF NOT EXISTS more int", "ALTER SEQUENCE events RESTART"} {
			_, err = conn.Exec(t.Context(), statement)
			require.NoError(t, err)
		}
		_, err = login(t, admin, one, password).Exec(t.Context(), "INSERT INTO scores (score) VALUES (nextval('events'))")
		require.NoError(t, err)
	}
	ensured := func(changes bool) {
		changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
		require.NoError(t, err)
		require.Equal(t, changes, changed)
	}
	migrates()

	restoreWithoutOwners(t, admin, one, postgres.UserURL(admin.Username, admin.Password, admin.Database))
	ensured(true)
	migrates()
	ensured(false)

	restoreWithoutOwners(t, admin, one, postgres.URL(admin.Database))
	_, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.Equal(t, InsufficientRights, KindOf(err), "%v", err)
	require.ErrorContains(t, err, "belongs to postgres")
	_, statement, found := strings.Cut(err.Error(), "as a superuser: ")
	require.True(t, found)
	superuser(t, admin.Database, statement)
	_, err = p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	migrates()
	foreign, err := p.Foreign(t.Context(), one)
	require.NoError(t, err)
	require.Empty(t, foreign)

	// What somebody made there besides is told, and keeps nobody from anything.
	superuser(t, admin.Database, "CREATE TABLE "+quote(one.Schema())+".notes ()")
	ensured(false)
	foreign, err = p.Foreign(t.Context(), one)
	require.NoError(t, err)
	statement, _, found = strings.Cut(foreign, " (as a superuser")
	require.True(t, found)
	superuser(t, admin.Database, statement)
	foreign, err = p.Foreign(t.Context(), one)
	require.NoError(t, err)
	require.Empty(t, foreign)
}

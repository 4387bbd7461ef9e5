package provision

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// checkAll is what a class's check of PostgreSQL does, with connections of its own.
func checkAll(t *testing.T, admin PostgresAdmin) error {
	t.Helper()
	p, err := OpenPostgres(t.Context(), admin, testOperator)
	require.NoError(t, err)
	defer p.Close()

	if _, err := p.Check(t.Context()); err != nil {
		return err
	}
	if err := p.Register(t.Context(), nil); err != nil {
		return err
	}
	return p.Probe(t.Context())
}

// What games need is tried out before there is any, and what is missing is named.
func TestPostgresIsTriedOut(t *testing.T) {
	_, admin := database(t)
	require.NoError(t, checkAll(t, admin))
	conn, err := pgx.Connect(t.Context(), postgres.URL(admin.Database))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var left int
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_roles WHERE starts_with(rolname::text, 'lb_probe')) +
		(SELECT count(*) FROM pg_namespace WHERE starts_with(nspname::text, 'lb_probe'))`).Scan(&left))
	require.Zero(t, left)

	refuse := func(tag string) string {
		return `CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE insufficient_privilege USING MESSAGE = ''only platform_owner may''; END';
			CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('` + tag + `') EXECUTE FUNCTION refuse()`
	}
	name, role := quote(admin.Database), quote(admin.Username)
	for _, test := range []struct {
		name, spoil, restore string
		elsewhere            bool // sessions of the database could not write
		kind                 Kind
		message              string
	}{
		{"no CREATEROLE", "ALTER ROLE " + role + " NOCREATEROLE", "ALTER ROLE " + role + " CREATEROLE", false,
			InsufficientRights, "CREATEROLE"},
		{"a function that games call", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", "GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC", false,
			Misconfigured, "does not let games call pg_control_system(), by which"},
		{"a database that is read-only", "ALTER DATABASE " + name + " SET default_transaction_read_only = on", "ALTER DATABASE " + name + " RESET default_transaction_read_only", true,
			ReadOnly, "default_transaction_read_only is on"},
		{"an administrator that only reads", "ALTER ROLE " + role + " SET default_transaction_read_only = true", "ALTER ROLE " + role + " RESET default_transaction_read_only", true,
			ReadOnly, "default_transaction_read_only is on"},
		{"functions are refused", refuse("CREATE FUNCTION"), "DROP EVENT TRIGGER refuse; DROP FUNCTION refuse()", false,
			InsufficientRights, `was refused "CREATE FUNCTION probe()", which games need`},
		{"schemas are refused", refuse("CREATE SCHEMA"), "DROP EVENT TRIGGER refuse; DROP FUNCTION refuse()", false,
			InsufficientRights, `was refused "CREATE SCHEMA", which games need`},
		{"no language", "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC", false,
			InsufficientRights, "permission denied for language plpgsql"},
	} {
		t.Run(test.name, func(t *testing.T) {
			where := admin.Database
			if test.elsewhere {
				where = "postgres"
			}
			superuser(t, where, test.spoil)
			err := checkAll(t, admin)
			superuser(t, where, test.restore)
			require.ErrorContains(t, err, test.message)
			require.Equal(t, test.kind, KindOf(err))
			require.NoError(t, checkAll(t, admin))
		})
	}
}

// A transaction that is in the way is nothing that the class is to blame for.
func TestPostgresIsBusy(t *testing.T) {
	p, admin := database(t)
	require.NoError(t, checkAll(t, admin))
	_, err := p.Check(t.Context())
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), postgres.URL(admin.Database))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "BEGIN; LOCK TABLE leaderboard_operator.database_grants")
	require.NoError(t, err)

	done := make(chan error, 1)
	go func() { done <- p.Probe(t.Context()) }()
	eventually(t, "it waits for the lock, and is ended as by its time limit", func() error {
		var ended int
		err := conn.QueryRow(t.Context(), `SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
			WHERE usename = $1 AND wait_event_type = 'Lock'`, admin.Username).Scan(&ended)
		if err == nil && ended == 0 {
			err = errors.New("nothing waits")
		}
		return err
	})
	require.ErrorIs(t, <-done, ErrBusy)
	_, err = conn.Exec(t.Context(), "ROLLBACK")
	require.NoError(t, err)
	require.NoError(t, p.Probe(t.Context()))
}

// A standby answers, and takes no writes.
func TestPostgresIsAStandby(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // the server may run as another user
	server, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL("postgres"))
	require.NoError(t, err)
	password, _ := u.User.Password()
	admin := PostgresAdmin{Host: "127.0.0.1", Port: server.Port, Database: "postgres", SSLMode: "disable", Username: "postgres", Password: password}
	require.NoError(t, checkAll(t, admin))

	server.Stop()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "standby.signal"), nil, 0o644))
	require.NoError(t, server.Start(t.Context()))
	err = checkAll(t, admin)
	require.ErrorContains(t, err, "is a standby, which takes no writes")
	require.Equal(t, ReadOnly, KindOf(err))
}

// What tenants need of Redis is tried out, and what is missing is named.
func TestRedisIsTriedOut(t *testing.T) {
	server, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	root := server.Client()
	defer root.Close()

	admin := RedisAdmin{Mode: Standalone, Endpoints: []string{server.Address()}, Username: "platform", Password: "secret"}
	as := func(rules ...string) {
		require.NoError(t, root.Do(t.Context(), arguments("ACL", "SETUSER", admin.Username, append([]string{"reset", "on", ">" + admin.Password}, rules...))...).Err())
	}
	try := func() error {
		r, err := OpenRedis(admin)
		require.NoError(t, err)
		defer r.Close()
		if _, err := r.Check(t.Context()); err != nil {
			return err
		}
		return r.Prepare(t.Context())
	}
	config := func(name, value string) { require.NoError(t, root.ConfigSet(t.Context(), name, value).Err()) }
	documented := []string{"~*", "&*", "-@all", "+ping", "+hello", "+acl", "+client|list", "+client|kill", "+client|setname", "+function|list", "+function|load", "+info", "+role", "+scan", "+unlink", "+get", "+set", "+@hash"}

	as(documented...)
	require.NoError(t, root.Do(t.Context(), "ACL", "SETUSER", probeUser, "on", ">left", "~*", "+@all").Err()) // of one that was ended
	require.NoError(t, try(), "the documented rights suffice")
	users, err := root.Do(t.Context(), "ACL", "USERS").StringSlice()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"default", stores.AdminUser, admin.Username}, users)

	for _, test := range []struct {
		name           string
		spoil, restore func()
		kind           Kind
		message        string
	}{
		{"users are kept from it", func() { as(append(documented, "-acl|setuser")...) }, func() { as(documented...) },
			InsufficientRights, "refused the administrator ACL SETUSER, and every game gets a user of its own"},
		{"users cannot be removed", func() { as(append(documented, "-acl|deluser")...) }, func() { as(documented...) },
			InsufficientRights, "refused the administrator ACL DELUSER"},
		{"users are not its business at all", func() { as(append(documented, "-acl")...) }, func() { as(documented...) },
			InsufficientRights, "refused the administrator ACL GETUSER"},
		{"the memory is full", func() { config("maxmemory", "1") }, func() { config("maxmemory", "0") },
			ReadOnly, "its memory is full: raise maxmemory"},
		{"replicas are missing", func() { config("min-replicas-to-write", "1") }, func() { config("min-replicas-to-write", "0") },
			ReadOnly, "without more replicas"},
		{"a replica", func() { require.NoError(t, root.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err()) }, func() { require.NoError(t, root.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err()) },
			ReadOnly, "is a replica, which takes no writes: set redis.endpoints to the primary"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.spoil()
			err := try()
			test.restore()
			require.ErrorContains(t, err, test.message)
			require.Equal(t, test.kind, KindOf(err))
			require.NoError(t, try())
		})
	}

	keys, err := root.Keys(t.Context(), probePrefix+"*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		require.Positive(t, root.PTTL(t.Context(), key).Val(), "the key expires")
	}
}

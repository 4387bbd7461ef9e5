package provision

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// Who another administrator has let into a role is told; before PostgreSQL 16 it is taken
// back.
func TestStrangersAreTold(t *testing.T) {
	p, admin := database(t)
	one, claim, _ := provisioned(t, p)
	second, stranger := admin.Database+"_second", admin.Database+"_stranger"
	for _, statement := range []string{"CREATE ROLE " + quote(second) + " LOGIN CREATEROLE PASSWORD 'second'", "CREATE ROLE " + quote(stranger),
		"GRANT " + quote(one.GroupRole()) + " TO " + quote(second) + " WITH ADMIN OPTION",
		"SET ROLE " + quote(second) + "; GRANT " + quote(one.GroupRole()) + " TO " + quote(stranger)} {
		superuser(t, admin.Database, statement)
	}

	_, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	told, err := p.Strangers(t.Context(), one)
	require.NoError(t, err)
	var version int
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT current_setting('server_version_num')::int").Scan(&version))
	if version < 160000 {
		require.Empty(t, told)
		return
	}
	require.Len(t, told, 2)
	require.Contains(t, told, fmt.Sprintf("REVOKE %s FROM %s (as %s)", one.GroupRole(), stranger, second))
}

// A server without a connection left tells nothing about a password.
func TestAFullServerVerifiesNoLogin(t *testing.T) {
	small, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{Settings: map[string]string{"max_connections": "6", "superuser_reserved_connections": "1"}})
	require.NoError(t, err)
	t.Cleanup(small.Close)
	require.NoError(t, small.Exec(t.Context(), "postgres", "CREATE ROLE lb_full_a LOGIN PASSWORD 'right' CONNECTION LIMIT 1"))
	p, err := OpenPostgres(t.Context(), PostgresAdmin{Host: "127.0.0.1", Port: small.Port, Database: "postgres", SSLMode: "disable"}, testOperator)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	full, ok := tenant.OfRole("lb_full_a")
	require.True(t, ok)

	// The role has all that it may have: only who knows the password learns that.
	held, err := pgx.Connect(t.Context(), small.UserURL("lb_full_a", "right", "postgres"))
	require.NoError(t, err)
	defer func() { _ = held.Close(context.Background()) }()
	for password, right := range map[string]bool{"right": true, "wrong": false} {
		works, err := p.VerifyLogin(t.Context(), full, tenant.SlotA, password)
		require.NoError(t, err)
		require.Equal(t, right, works)
	}

	for {
		conn, err := pgx.Connect(t.Context(), small.URL("postgres"))
		if err != nil {
			break
		}
		defer func() { _ = conn.Close(context.Background()) }()
	}
	for _, password := range []string{"right", "wrong"} {
		_, err := p.VerifyLogin(t.Context(), full, tenant.SlotA, password)
		require.Error(t, err, password)
	}
}

func TestConnectionsAreLowered(t *testing.T) {
	p, _ := database(t)
	one, claim, _ := provisioned(t, p)
	for _, limit := range []int{-1, schemaOptions.Connections + 1} {
		superuser(t, p.admin.Database, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", quote(one.LoginRole(tenant.SlotA)), limit))
		changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
		require.NoError(t, err)
		require.False(t, changed, "Pods may hold more while they are replaced")
		require.NoError(t, p.LowerConnections(t.Context(), one, claim, schemaOptions.Connections))

		var limits []int
		require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT array_agg(rolconnlimit) FROM pg_roles WHERE rolname = ANY ($1)",
			[]string{one.LoginRole(tenant.SlotA), one.LoginRole(tenant.SlotB)}).Scan(&limits))
		require.Equal(t, []int{schemaOptions.Connections, schemaOptions.Connections}, limits)
	}
}

func TestCheckAndPrepare(t *testing.T) {
	p, _ := database(t)
	server, err := p.Check(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, server.Version)
	require.Equal(t, 200-3-maxConnections, server.Connections)
	require.Equal(t, []string{"fsync is off", "full_page_writes is off"}, server.Lossy)

	leftOpen, err := p.PrepareDatabase(t.Context(), false)
	require.NoError(t, err)
	require.Empty(t, leftOpen, "the administrator owns what is looked at")
}

// The databases that every server has are others' as well: they are closed to PUBLIC only
// where that is asked for.
func TestMaintenanceDatabasesAreLeftAlone(t *testing.T) {
	own, err := stores.StartPostgres(t.Context(), stores.PostgresOptions{})
	require.NoError(t, err)
	t.Cleanup(own.Close)
	name, err := own.CreateDatabase(t.Context())
	require.NoError(t, err)
	require.NoError(t, own.Exec(t.Context(), name, "CREATE ROLE admin LOGIN SUPERUSER PASSWORD 'admin'"))
	require.NoError(t, own.Exec(t.Context(), name, "CREATE ROLE monitoring LOGIN PASSWORD 'monitoring'"))
	p, err := OpenPostgres(t.Context(), PostgresAdmin{Host: "127.0.0.1", Port: own.Port, Database: name, SSLMode: "disable", Username: "admin", Password: "admin"}, testOperator)
	require.NoError(t, err)
	defer p.Close()

	connects := func(database string) bool {
		conn, err := pgx.Connect(t.Context(), own.UserURL("monitoring", "monitoring", database))
		if err != nil {
			require.Equal(t, stateInsufficientPrivilege, sqlState(err), "%v", err)
			return false
		}
		require.NoError(t, conn.Close(t.Context()))
		return true
	}
	for _, restrict := range []bool{false, true} {
		leftOpen, err := p.PrepareDatabase(t.Context(), restrict)
		require.NoError(t, err)
		require.Empty(t, leftOpen)
		require.False(t, connects(name))
		require.Equal(t, !restrict, connects("postgres"))
		require.Equal(t, !restrict, connects("template1"))
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	_, admin := database(t)
	superuser(t, admin.Database, "ALTER ROLE "+quote(admin.Username)+" NOCREATEROLE")
	open := func(change func(*PostgresAdmin)) error {
		changed := admin
		change(&changed)
		p, err := OpenPostgres(t.Context(), changed, testOperator)
		if err != nil {
			return err
		}
		defer p.Close()

		_, err = p.Check(t.Context())
		return err
	}

	for name, tt := range map[string]struct {
		change func(*PostgresAdmin)
		kind   Kind
		says   string
	}{
		"no CREATEROLE":  {func(*PostgresAdmin) {}, InsufficientRights, "CREATEROLE"},
		"wrong password": {func(a *PostgresAdmin) { a.Password = "hunter2hunter2" }, Refused, "admin Secret"},
		"nobody listens": {func(a *PostgresAdmin) { a.Port = 1 }, Unreachable, "did not answer"},
		"no certificate": {func(a *PostgresAdmin) { a.SSLMode, a.CA = "verify-full", []byte("x") }, Misconfigured, "ca.crt"},
		"unknown mode":   {func(a *PostgresAdmin) { a.SSLMode = "prefer" }, Misconfigured, "verify-full"},
	} {
		t.Run(name, func(t *testing.T) {
			err := open(tt.change)
			require.Error(t, err)
			require.Equal(t, tt.kind, KindOf(err), err)
			require.ErrorContains(t, err, tt.says)
			require.NotContains(t, err.Error(), admin.Password)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// A second run writes nothing: no transaction gets an id.
func TestSecondRunWritesNothing(t *testing.T) {
	p, admin := database(t)
	one, claim, _ := provisioned(t, p)
	before := nextTransaction(t, admin.Database)

	for range 3 {
		changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
		require.NoError(t, err)
		require.False(t, changed)
	}

	require.NoError(t, p.DisableLogin(t.Context(), one, claim, tenant.SlotB))
	require.Equal(t, before, nextTransaction(t, admin.Database))
}

// nextTransaction is the id that the next writing transaction of the server
// will get; asking does not use one up.
func nextTransaction(t *testing.T, database string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), postgres.URL(database))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var id string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT pg_snapshot_xmax(pg_current_snapshot())::text").Scan(&id))
	return id
}

func TestDriftIsCorrected(t *testing.T) {
	p, admin := database(t)
	one, claim, password := provisioned(t, p)
	owner, group, a, schema := quote(one.OwnerRole()), quote(one.GroupRole()), quote(one.LoginRole(tenant.SlotA)), quote(one.Schema())
	superuser(t, admin.Database, "CREATE ROLE stranger_"+admin.Database)
	stranger := "stranger_" + admin.Database

	for name, drift := range map[string]string{
		"membership taken":         "REVOKE " + group + " FROM " + a,
		"membership added":         "GRANT pg_read_all_data TO " + a,
		"stranger in the group":    "GRANT " + group + " TO " + stranger,
		"stranger owns":            "GRANT " + owner + " TO " + stranger,
		"owner can log in":         "ALTER ROLE " + owner + " LOGIN",
		"login may create roles":   "ALTER ROLE " + a + " CREATEROLE",
		"search path":              "ALTER ROLE " + a + " SET search_path = public",
		"a further setting":        "ALTER ROLE " + a + " SET work_mem = '1GB'",
		"no timeout":               "ALTER ROLE " + a + " RESET statement_timeout",
		"connection limit":         "ALTER ROLE " + a + " CONNECTION LIMIT 1",
		"usage taken":              "REVOKE USAGE ON SCHEMA " + schema + " FROM " + group,
		"create given":             "GRANT CREATE ON SCHEMA " + schema + " TO " + group,
		"schema open to everybody": "GRANT USAGE ON SCHEMA " + schema + " TO PUBLIC",
		"schema open to a role":    "GRANT ALL ON SCHEMA " + schema + " TO " + stranger,
		"schema of another role":   "ALTER SCHEMA " + schema + " OWNER TO postgres",
		"defaults on tables":       "ALTER DEFAULT PRIVILEGES FOR ROLE " + owner + " IN SCHEMA " + schema + " REVOKE INSERT ON TABLES FROM " + group,
		"defaults on sequences":    "ALTER DEFAULT PRIVILEGES FOR ROLE " + owner + " IN SCHEMA " + schema + " REVOKE USAGE ON SEQUENCES FROM " + group,
		"table open to a role":     "GRANT SELECT ON " + schema + ".scores TO " + stranger,
		"table open to everybody":  "GRANT SELECT ON " + schema + ".scores TO PUBLIC",
		"a column open to a role":  "GRANT SELECT (score) ON " + schema + ".scores TO " + stranger,
		"more than rows":           "GRANT TRUNCATE ON " + schema + ".scores TO " + group,
		"rows taken":               "REVOKE UPDATE ON " + schema + ".scores FROM " + group,
		"sequence taken":           "REVOKE USAGE ON SEQUENCE " + schema + ".events FROM " + group,
		"table of another role":    "ALTER TABLE " + schema + ".scores OWNER TO " + quote(admin.Username),
		"defaults for a role":      "ALTER DEFAULT PRIVILEGES FOR ROLE " + owner + " IN SCHEMA " + schema + " GRANT SELECT ON TABLES TO " + stranger,
		"defaults for everybody":   "ALTER DEFAULT PRIVILEGES FOR ROLE " + owner + " GRANT SELECT ON TABLES TO PUBLIC",
		"login that expires":       "ALTER ROLE " + a + " VALID UNTIL '2030-01-01'",
		"settings in the database": "ALTER ROLE " + a + " IN DATABASE " + quote(admin.Database) + " SET search_path = public",
		"member of a login":        "GRANT " + a + " TO " + stranger,
		"connect taken":            "REVOKE CONNECT ON DATABASE " + quote(admin.Database) + " FROM " + group,
		"other slot gone":          "DROP OWNED BY " + quote(one.LoginRole(tenant.SlotB)) + "; DROP ROLE " + quote(one.LoginRole(tenant.SlotB)),
	} {
		t.Run(name, func(t *testing.T) {
			// A superuser of the same cluster did it, which the administrator can
			// undo only where it granted it itself; so the administrator does it
			// where it can.
			if _, err := p.pool.Exec(t.Context(), drift); err != nil {
				superuser(t, admin.Database, drift)
			}

			changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
			if strings.Contains(drift, "pg_read_all_data") || strings.Contains(drift, "OWNER TO postgres") {
				// Depending on the version the administrator has the right, or the
				// error names what lacks; never does it go unnoticed.
				if err != nil {
					require.Equal(t, InsufficientRights, KindOf(err), err)
					superuser(t, admin.Database, "REVOKE pg_read_all_data FROM "+a)
					superuser(t, admin.Database, "ALTER SCHEMA "+schema+" OWNER TO "+owner)
					return
				}
			}

			require.NoError(t, err)
			require.True(t, changed, "the drift was not noticed")
			changed, err = p.EnsureSchema(t.Context(), one, claim, schemaOptions)
			require.NoError(t, err)
			require.False(t, changed, "the correction does not last")
			ok, err := p.VerifyLogin(t.Context(), one, tenant.SlotA, password)
			require.NoError(t, err)
			require.True(t, ok)
		})
	}
}

// What only a superuser could change is left as it is: it neither stops a game nor
// costs a write each time.
func TestDriftOfOthersIsLeft(t *testing.T) {
	p, admin := database(t)
	one, claim, _ := provisioned(t, p)
	superuser(t, admin.Database, "CREATE TABLE "+quote(one.Schema())+".audit (); CREATE FUNCTION "+quote(one.Schema())+".f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
	superuser(t, admin.Database, "CREATE ROLE analyst_"+admin.Database)
	superuser(t, admin.Database, "GRANT "+quote(one.GroupRole())+" TO analyst_"+admin.Database+" GRANTED BY postgres")
	_, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	before := nextTransaction(t, admin.Database)
	changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, before, nextTransaction(t, admin.Database))
}

func TestLoginsAlternate(t *testing.T) {
	p, admin := database(t)
	one, claim, old := provisioned(t, p)
	session := login(t, admin, one, old)
	logins, err := p.Logins(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, map[tenant.Slot]bool{tenant.SlotA: true, tenant.SlotB: false}, logins)

	password := rand.Text()
	ok, err := p.VerifyLogin(t.Context(), one, tenant.SlotB, password)
	require.NoError(t, err)
	require.False(t, ok)
	require.NoError(t, p.SetPassword(t.Context(), one, claim, tenant.SlotB, password))
	ok, err = p.VerifyLogin(t.Context(), one, tenant.SlotB, password)
	require.NoError(t, err)
	require.True(t, ok)

	require.NoError(t, p.DisableLogin(t.Context(), one, claim, tenant.SlotA))
	_, err = session.Exec(t.Context(), "SELECT 1")
	require.Error(t, err, "the session must have been ended")
	ok, err = p.VerifyLogin(t.Context(), one, tenant.SlotA, old)
	require.NoError(t, err)
	require.False(t, ok)
	changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	require.False(t, changed, "membership for the ending of sessions must not stay")
}

// A login that PostgreSQL refuses although the password is right is told, with what to
// look at.
func TestLoginThatIsNotLetIn(t *testing.T) {
	p, admin := database(t)
	one, claim, password := provisioned(t, p)
	require.NoError(t, p.EnsureLogin(t.Context(), one, claim, tenant.SlotA, password))

	conn, err := pgx.Connect(t.Context(), postgres.URL(admin.Database))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var file string
	require.NoError(t, conn.QueryRow(t.Context(), "SHOW hba_file").Scan(&file))
	before, err := os.ReadFile(file)
	require.NoError(t, err)
	rules := func(content string) {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		_, err := conn.Exec(t.Context(), "SELECT pg_reload_conf()")
		require.NoError(t, err)
	}

	rules("host all " + one.LoginRole(tenant.SlotA) + " 0.0.0.0/0 reject\n" + string(before))
	require.Eventually(t, func() bool { err = p.EnsureLogin(t.Context(), one, claim, tenant.SlotA, password); return err != nil },
		time.Minute, 50*time.Millisecond)
	require.Equal(t, Refused, KindOf(err), "%v", err)
	require.ErrorContains(t, err, "pg_hba.conf")
	require.NotContains(t, err.Error(), password)
	rules(string(before))
	require.Eventually(t, func() bool { return p.EnsureLogin(t.Context(), one, claim, tenant.SlotA, password) == nil }, time.Minute, 50*time.Millisecond)
}

func TestDrop(t *testing.T) {
	p, admin := database(t)
	one, claim, password := provisioned(t, p)
	session := login(t, admin, one, password)

	for range 2 { // safe to run twice
		drop(t, p, one, claim)
	}

	_, err := session.Exec(t.Context(), "SELECT 1")
	require.Error(t, err)
	require.Equal(t, 0, count(t, admin.Database, "SELECT count(*) FROM pg_roles WHERE rolname LIKE '"+one.Schema()+"%'"))
	require.Equal(t, 0, count(t, admin.Database, "SELECT count(*) FROM pg_namespace WHERE nspname = '"+one.Schema()+"'"))
}

func count(t *testing.T, database, query string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), postgres.URL(database))
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), query).Scan(&n))
	return n
}

// Wherever a run ends, the next one goes on: here each is cut off a little later
// than the one before.
func TestInterruptedRunsConverge(t *testing.T) {
	p, _ := database(t)
	for delay := time.Duration(0); delay < 40*time.Millisecond; delay += 2 * time.Millisecond {
		one, claim := newTenant()
		ctx, cancel := context.WithTimeout(t.Context(), delay)
		_, _ = p.EnsureSchema(ctx, one, claim, schemaOptions)
		_ = p.SetPassword(ctx, one, claim, tenant.SlotA, rand.Text())
		_, _ = p.Drop(ctx, one, claim)
		cancel()
		_, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
		require.NoError(t, err)
		changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
		require.NoError(t, err)
		require.False(t, changed)
		drop(t, p, one, claim)
	}
}

// Grants of all tenants on the database are in one row of the catalogue.
func TestManyTenantsAtOnce(t *testing.T) {
	p, _ := database(t)
	const tenants = 8
	failed := make(chan error, tenants)

	for range tenants {
		go func() {
			one, claim := newTenant()
			_, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
			if err == nil {
				_, err = p.Drop(t.Context(), one, claim)
			}
			failed <- err
		}()
	}

	for range tenants {
		require.NoError(t, <-failed)
	}
}

func TestNamesAreQuoted(t *testing.T) {
	p, admin := database(t)
	one := tenant.Tenant{ID: `x"; DROP TABLE y; --`}
	claim := Claim{Owner: Owner{Namespace: `a'b\c"d`, Name: "e", UID: "f"}}
	_, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	require.Equal(t, 1, count(t, admin.Database, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%DROP TABLE%'"))
	drop(t, p, one, claim)
	require.Equal(t, 0, count(t, admin.Database, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%DROP TABLE%'"))
}

// The server of these tests logs every statement.
func TestPasswordsAreNotLogged(t *testing.T) {
	p, _ := database(t)
	one, _, password := provisioned(t, p)
	ok, err := p.VerifyLogin(t.Context(), one, tenant.SlotA, password)
	require.NoError(t, err)
	require.True(t, ok)
	content, err := os.ReadFile(postgres.LogFile)
	require.NoError(t, err)
	require.Contains(t, string(content), one.Schema(), "the log does hold statements")
	require.NotContains(t, string(content), password)
}

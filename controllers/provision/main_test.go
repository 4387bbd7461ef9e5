package provision

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

var postgres *stores.Postgres

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	// Tests count transactions, of which autovacuum would have some.
	server, err := stores.StartPostgres(ctx, stores.PostgresOptions{Settings: map[string]string{"log_statement": "all", "autovacuum": "off"}})
	if err != nil {
		panic(err)
	}
	defer server.Close()

	postgres = server
	return m.Run()
}

// database makes a database owned by an administrator as a platform team would
// have one: CREATEROLE, no superuser.
func database(t *testing.T) (*Postgres, PostgresAdmin) {
	t.Helper()
	name, err := postgres.CreateDatabase(t.Context())
	require.NoError(t, err)
	admin := PostgresAdmin{Host: "127.0.0.1", Port: postgres.Port, Database: name, SSLMode: "disable",
		Username: "admin_" + name, Password: rand.Text()}
	superuser(t, name, "CREATE ROLE "+quote(admin.Username)+" LOGIN CREATEROLE PASSWORD '"+admin.Password+"'")
	superuser(t, name, "ALTER DATABASE "+quote(name)+" OWNER TO "+quote(admin.Username))
	superuser(t, name, "ALTER SCHEMA public OWNER TO "+quote(admin.Username))
	p, err := OpenPostgres(t.Context(), admin, testOperator)
	require.NoError(t, err)
	t.Cleanup(p.Close)

	return p, admin
}

func superuser(t *testing.T, database, statement string) {
	t.Helper()
	require.NoError(t, postgres.Exec(t.Context(), database, statement))
}

// testOperator is the operator of most tests.
var testOperator = Operator{Cluster: "cluster-of-tests", ClusterID: "test", ControllerName: "test/operator", Namespace: "leaderboard-system", Holder: "holder"}

var schemaOptions = SchemaOptions{Connections: 8}

func newTenant() (tenant.Tenant, Claim) {
	name := strings.ToLower(rand.Text()[:8])
	return tenant.For("test", "games", name), Claim{Owner: Owner{Cluster: testOperator.Cluster, Namespace: "games", NamespaceUID: "games-1", Name: name, UID: rand.Text()}}
}

// drop drops the tenant with all its roles.
func drop(t *testing.T, p *Postgres, one tenant.Tenant, claim Claim) {
	t.Helper()
	left, err := p.Drop(t.Context(), one, claim)
	require.NoError(t, err)
	require.Empty(t, left)
}

// provisioned makes a tenant whose slot a can log in, with a table of its own.
func provisioned(t *testing.T, p *Postgres) (tenant.Tenant, Claim, string) {
	t.Helper()
	one, claim := newTenant()
	changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	require.True(t, changed)
	password := rand.Text()
	require.NoError(t, p.SetPassword(t.Context(), one, claim, tenant.SlotA, password))
	conn, err := p.MigrationConn(t.Context(), one)
	require.NoError(t, err)
	defer conn.Close(t.Context())

	for _, statement := range []string{"CREATE TABLE scores (id bigint GENERATED ALWAYS AS IDENTITY, score bigint)", "CREATE SEQUENCE events"} {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}

	return one, claim, password
}

// login connects as the tenant's role.
func login(t *testing.T, admin PostgresAdmin, one tenant.Tenant, password string) *pgx.Conn {
	t.Helper()
	u := url.URL{Scheme: "postgres", User: url.UserPassword(one.LoginRole(tenant.SlotA), password), Host: postgres.Address(),
		Path: "/" + admin.Database, RawQuery: "sslmode=disable"}
	conn, err := pgx.Connect(t.Context(), u.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

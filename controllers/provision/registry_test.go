package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// open connects another operator to the same database.
func open(t *testing.T, admin PostgresAdmin, operator Operator) *Postgres {
	t.Helper()
	p, err := OpenPostgres(t.Context(), admin, operator)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// One that led before can write nothing once another has taken over, whatever it
// still believes.
func TestFencing(t *testing.T) {
	_, admin := database(t)
	leader := "old"
	operator := func(holder string) Operator {
		o := testOperator
		o.Holder = holder
		o.Leads = func(context.Context) error {
			if holder != leader {
				return errors.New("the lease is another's")
			}
			return nil
		}
		return o
	}

	before := open(t, admin, operator("old"))
	one, claim, password := provisioned(t, before)
	leader = "new"
	after := open(t, admin, operator("new"))
	require.NoError(t, after.Register(t.Context(), nil))

	other, otherClaim := newTenant()
	for name, write := range map[string]func() error{
		"make a schema":    func() error { _, err := before.EnsureSchema(t.Context(), other, otherClaim, schemaOptions); return err },
		"set a password":   func() error { return before.SetPassword(t.Context(), one, claim, tenant.SlotB, rand.Text()) },
		"disable a login":  func() error { return before.DisableLogin(t.Context(), one, claim, tenant.SlotA) },
		"release a schema": func() error { return before.Release(t.Context(), one, claim) },
		"drop a schema":    func() error { _, err := before.Drop(t.Context(), one, claim); return err },
		"register":         func() error { return before.Register(t.Context(), nil) },
		"write elsewhere": func() error {
			return before.WhileLeading(t.Context(), func(context.Context) error { return errors.New("it was done") })
		},
	} {
		err := write()
		require.Equal(t, Fenced, KindOf(err), "%s: %v", name, err)
	}

	works, err := after.VerifyLogin(t.Context(), one, tenant.SlotA, password)
	require.NoError(t, err)
	require.True(t, works)
	require.NoError(t, after.SetPassword(t.Context(), one, claim, tenant.SlotB, rand.Text()))

	// The one that has the lease gets the database back.
	leader = "old"
	require.NoError(t, before.SetPassword(t.Context(), one, claim, tenant.SlotB, rand.Text()))
	require.Equal(t, Fenced, KindOf(after.SetPassword(t.Context(), one, claim, tenant.SlotB, rand.Text())))
}

// While one that leads writes elsewhere, nobody takes over; where PostgreSQL does not
// answer, the lease alone is asked.
func TestNobodyTakesOverMeanwhile(t *testing.T) {
	p, admin := database(t)
	require.NoError(t, p.Register(t.Context(), nil))
	next := testOperator
	next.Holder = "next"
	after := open(t, admin, next)

	taken := make(chan error, 1)
	require.NoError(t, p.WhileLeading(t.Context(), func(ctx context.Context) error {
		go func() { taken <- after.Register(ctx, nil) }()
		require.Eventually(t, func() bool {
			var waits bool
			require.NoError(t, p.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple'))").Scan(&waits))
			return waits
		}, time.Minute, watchInterval)
		require.Empty(t, taken)
		return nil
	}))
	require.NoError(t, <-taken)

	leads := errors.New("another's")
	operator := testOperator
	operator.Leads = func(context.Context) error { return leads }
	away := open(t, PostgresAdmin{Host: "127.0.0.1", Port: 1, Database: "x", SSLMode: "disable"}, operator)
	done := 0
	do := func(context.Context) error { done++; return nil }
	require.Equal(t, Fenced, KindOf(away.WhileLeading(t.Context(), do)))
	require.Zero(t, done)
	leads = nil
	require.NoError(t, away.WhileLeading(t.Context(), do))
	require.Equal(t, 1, done)
}

// Two operators that would take each other's games for their own are told.
func TestOperatorsAreApart(t *testing.T) {
	p, admin := database(t)
	require.NoError(t, p.Register(t.Context(), nil))
	for name, test := range map[string]struct {
		change func(*Operator)
		says   string
	}{
		"another cluster with the same id":                       {func(o *Operator) { o.Cluster = "another" }, "clusterID"},
		"another release with the same controllerName":           {func(o *Operator) { o.Namespace = "elsewhere" }, "controllerName"},
		"another cluster with an id of its own":                  {func(o *Operator) { o.Cluster, o.ClusterID = "another", "b" }, ""},
		"another release with a controllerName of its own":       {func(o *Operator) { o.Namespace, o.ControllerName = "elsewhere", "b/operator" }, ""},
		"the next process of the same release, without a leader": {func(*Operator) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			operator := testOperator
			operator.Holder = name
			test.change(&operator)
			q := open(t, admin, operator)
			err := q.Register(t.Context(), nil)
			if test.says == "" {
				require.NoError(t, err)
				return
			}

			word := refused(t, err)
			require.ErrorContains(t, err, test.says)
			one, claim := newTenant()
			_, err = q.EnsureSchema(t.Context(), one, claim, schemaOptions)
			refused(t, err)
			require.NoError(t, q.Register(t.Context(), Approvals{word}))
			_, err = q.EnsureSchema(t.Context(), one, claim, schemaOptions)
			require.NoError(t, err)
			require.NoError(t, p.Register(t.Context(), Approvals{refused(t, p.Register(t.Context(), nil))}), "and back")
		})
	}
}

// A server that answers at the same address and is another one gets nothing.
func TestAnotherServerAtTheAddress(t *testing.T) {
	p, admin := database(t)
	one, claim, _ := provisioned(t, p)
	id, err := p.ID(t.Context())
	require.NoError(t, err)
	p.id.Store(&PostgresID{Server: "1", Database: id.Database})
	before := nextTransaction(t, admin.Database)

	_, err = p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.ErrorContains(t, err, "a moment ago")
	require.ErrorContains(t, p.SetPassword(t.Context(), one, claim, tenant.SlotA, rand.Text()), "a moment ago")
	_, err = p.Drop(t.Context(), one, claim)
	require.ErrorContains(t, err, "a moment ago")
	require.NotEmpty(t, before)
	require.Equal(t, 1, count(t, admin.Database, "SELECT count(*) FROM pg_namespace WHERE nspname = '"+one.Schema()+"'"))

	found, err := p.Identify(t.Context())
	require.NoError(t, err)
	require.Equal(t, id, found)
	_, err = p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
}

// The locks of the operator are out of a tenant's reach.
func TestTenantsCannotHoldTheOperatorsLocks(t *testing.T) {
	p, admin := database(t)
	one, claim, password := provisioned(t, p)
	conn := login(t, admin, one, password)
	for _, statement := range []string{
		"SELECT * FROM leaderboard_operator.operators", "SELECT FROM leaderboard_operator.tenants FOR UPDATE",
		"LOCK TABLE leaderboard_operator.database_grants", "INSERT INTO leaderboard_operator.tenants VALUES ('x')",
	} {
		err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		require.Equal(t, stateInsufficientPrivilege, sqlState(err), "%s: %v", statement, err)
	}

	// The advisory locks that an operator took once, held for good.
	_, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock(hashtextextended('leaderboard-operator', 0)), pg_advisory_lock(hashtextextended($1, 0))", "leaderboard-operator "+one.ID)
	require.NoError(t, err)
	other, _, _ := provisioned(t, p)
	require.NotEqual(t, one, other)
	require.NoError(t, p.SetPassword(t.Context(), one, claim, tenant.SlotB, rand.Text()))
}

// A Redis user and the keys under its prefix are written on behalf of one owner.
func TestRedisOwnership(t *testing.T) {
	server, r := redisServer(t, true)
	one, claim := newTenant()
	password := rand.Text()
	changed, err := r.EnsureUser(t.Context(), one, claim, password)
	require.NoError(t, err)
	require.True(t, changed)
	admin := server.Client()
	defer admin.Close()
	require.NoError(t, admin.Set(t.Context(), one.KeyPrefix()+"key", "value", 0).Err())

	theirs := claim
	theirs.Owner.Cluster = "another-cluster"
	_, err = r.EnsureUser(t.Context(), one, theirs, rand.Text())
	word := refused(t, err)
	refused(t, r.DropUser(t.Context(), one, theirs))
	refused(t, r.DropKeys(t.Context(), one, theirs))
	require.EqualValues(t, 1, admin.Exists(t.Context(), one.KeyPrefix()+"key").Val())
	client := redis.NewClient(&redis.Options{Addr: server.Address(), Username: one.RedisUser(), Password: password, DisableIdentity: true, MaxRetries: -1})
	defer client.Close()
	require.NoError(t, client.Ping(t.Context()).Err(), "its password is the one it was")

	_, err = r.EnsureUser(t.Context(), one, approve(theirs, word), password)
	require.NoError(t, err)
	require.NoError(t, r.DropUser(t.Context(), one, theirs))
	require.NoError(t, r.DropKeys(t.Context(), one, theirs))
	require.Zero(t, admin.HLen(t.Context(), redisOwnersKey).Val(), "nobody owns what is gone")
	_, err = r.EnsureUser(t.Context(), one, claim, password)
	require.NoError(t, err)

	// A Redis that was emptied belongs to the first that asks, and has another identity.
	id, err := r.Identify(t.Context())
	require.NoError(t, err)
	again, err := r.Identify(t.Context())
	require.NoError(t, err)
	require.Equal(t, id, again)
	require.NoError(t, admin.FlushAll(t.Context()).Err())
	_, err = r.EnsureUser(t.Context(), one, claim, password)
	require.NoError(t, err)
	again, err = r.Identify(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, id, again)
	for _, key := range []string{redisOwnersKey, redisIDKey} {
		require.Error(t, client.Type(t.Context(), key).Err(), "a tenant does not reach %s", key)
	}
}

// Keys that could not all be removed in the time of one call are removed by the next
// ones, each of which goes on where the last one ended.
func TestDropKeysGoesOn(t *testing.T) {
	server, r := redisServer(t, true)
	one, claim := newTenant()
	_, err := r.EnsureUser(t.Context(), one, claim, rand.Text())
	require.NoError(t, err)
	admin := server.Client()
	defer admin.Close()

	const keys = 5 * scanCount
	pipe := admin.Pipeline()
	for i := range keys {
		pipe.Set(t.Context(), fmt.Sprintf("%s%d", one.KeyPrefix(), i), i, 0)
		pipe.Set(t.Context(), fmt.Sprintf("of-another:%d", i), i, 0)
	}
	_, err = pipe.Exec(t.Context())
	require.NoError(t, err)

	node := r.client(server.Address())
	interrupted, cancel := context.WithCancel(t.Context())
	node.AddHook(&afterScans{n: 3, then: cancel})
	require.Error(t, r.dropKeysOf(interrupted, one, node))
	left := admin.DBSize(t.Context()).Val()
	require.Less(t, left, int64(2*keys))
	resumed := 0
	r.scans.Range(func(_, cursor any) bool {
		require.NotZero(t, cursor)
		resumed++
		return true
	})
	require.Equal(t, 1, resumed)

	require.NoError(t, r.DropKeys(t.Context(), one, claim))
	require.EqualValues(t, keys, admin.DBSize(t.Context()).Val(), "another's keys, and nothing else")
	r.scans.Range(func(any, any) bool { resumed--; return true })
	require.Equal(t, 1, resumed, "no cursor is left")
}

// afterScans calls then after the nth SCAN.
type afterScans struct {
	n    int
	then func()
}

func (a *afterScans) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a *afterScans) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (a *afterScans) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == "scan" {
			if a.n--; a.n == 0 {
				a.then()
			}
		}
		return err
	}
}

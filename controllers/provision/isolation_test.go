package provision

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// A tenant's login reaches its own tables and nothing else.
func TestPostgresTenantsAreApart(t *testing.T) {
	p, admin := database(t)
	superuser(t, admin.Database, "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
	_, err := p.PrepareDatabase(t.Context(), true)
	require.NoError(t, err)
	mine, _, password := provisioned(t, p)
	other, _, _ := provisioned(t, p)
	conn := login(t, admin, mine, password)

	for _, allowed := range []string{
		"INSERT INTO scores (score) VALUES (1)", "SELECT * FROM scores", "UPDATE scores SET score = 2", "DELETE FROM scores", "SELECT nextval('events')",
	} {
		_, err := conn.Exec(t.Context(), allowed)
		require.NoError(t, err, allowed)
	}

	theirs := quote(other.Schema())
	refused := []string{
		"SELECT * FROM " + theirs + ".scores",
		"INSERT INTO " + theirs + ".scores (score) VALUES (1)",
		"SELECT nextval('" + other.Schema() + ".events')",
		"CREATE TABLE " + theirs + ".x ()",
		"CREATE TABLE x ()",
		"CREATE TEMP TABLE x ()",
		"CREATE TABLE public.x ()",
		"CREATE SCHEMA x",
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"DROP TABLE scores",
		"ALTER TABLE scores ADD COLUMN y int",
		"TRUNCATE scores",
		"SET ROLE " + quote(mine.OwnerRole()),
		"SET ROLE " + quote(other.GroupRole()),
		"SET ROLE " + quote(other.LoginRole(tenant.SlotA)),
		"SET ROLE " + quote(admin.Username),
		"SET SESSION AUTHORIZATION " + quote(other.LoginRole(tenant.SlotA)),
		"GRANT " + quote(other.GroupRole()) + " TO CURRENT_USER",
		"ALTER ROLE " + quote(other.LoginRole(tenant.SlotA)) + " PASSWORD 'x'",
		"CREATE ROLE x",
		"CREATE DATABASE x",
		"SELECT rolpassword FROM pg_authid",
		"SELECT pg_read_file('/etc/passwd')",
		"COPY scores TO PROGRAM 'true'",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + other.LoginRole(tenant.SlotA) + "' UNION ALL SELECT pg_terminate_backend(1) WHERE pg_reload_conf()",
		"SELECT * FROM leaderboard_operator.tenants",
		"DO $$ BEGIN LOCK TABLE leaderboard_operator.database_grants IN ACCESS SHARE MODE; END $$",
		"SELECT FROM leaderboard_operator.operators FOR SHARE",
		"COMMENT ON SCHEMA " + quote(mine.Schema()) + " IS 'x'",
		"COMMENT ON ROLE " + quote(mine.LoginRole(tenant.SlotA)) + " IS 'x'",
		"ALTER ROLE " + quote(mine.LoginRole(tenant.SlotA)) + " CONNECTION LIMIT -1",
		"ALTER ROLE " + quote(mine.LoginRole(tenant.SlotB)) + " LOGIN",
		"ALTER DEFAULT PRIVILEGES FOR ROLE " + quote(mine.OwnerRole()) + " GRANT ALL ON TABLES TO PUBLIC",
		"ALTER SYSTEM SET fsync = off",
		"ALTER DATABASE " + quote(admin.Database) + " SET statement_timeout = 1",
		"SET session_replication_role = replica",
		"CREATE EXTENSION dblink",
		"CREATE PUBLICATION p",
		"CREATE TABLESPACE x LOCATION '/tmp/x'",
		"SELECT pg_create_physical_replication_slot('x')",
		"SELECT pg_switch_wal()",
		"SELECT pg_stat_reset()",
		"DO $$ BEGIN LOCK TABLE " + theirs + ".scores IN ACCESS SHARE MODE; END $$",
		"DO $$ BEGIN LOCK TABLE pg_catalog.pg_authid IN ACCESS SHARE MODE; END $$",
	}
	for _, attempt := range refused {
		_, err := conn.Exec(t.Context(), attempt)
		require.Error(t, err, attempt)
		require.Contains(t, []string{"42501", "42704", "0A000"}, sqlState(err), "%s: %v", attempt, err)
		attack.Refused(t, "a game's login of PostgreSQL: "+attempt, err.Error())
	}
	t.Logf("%d attempts in PostgreSQL were refused", len(refused))

	for _, database := range []string{"postgres", "template1"} {
		elsewhere := admin
		elsewhere.Database, elsewhere.Username, elsewhere.Password = database, mine.LoginRole(tenant.SlotA), password
		q, err := OpenPostgres(t.Context(), elsewhere, testOperator)
		require.NoError(t, err)
		_, err = q.Check(t.Context())
		require.Equal(t, InsufficientRights, KindOf(err), "%s: %v", database, err)
		q.Close()
	}
}

// A transaction of a login that stays open is ended, and nobody else's.
func TestTransactionsAreBounded(t *testing.T) {
	p, admin := database(t)
	one, claim, password := provisioned(t, p)
	writing, reading, idle := login(t, admin, one, password), login(t, admin, one, password), login(t, admin, one, password)
	operators, err := p.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = operators.Rollback(context.Background()) }()

	_, err = operators.Exec(t.Context(), "SELECT pg_current_xact_id()")
	require.NoError(t, err)
	for conn, statement := range map[*pgx.Conn]string{writing: "SELECT pg_current_xact_id()", reading: "SELECT FROM scores"} {
		for _, sql := range []string{"SET idle_in_transaction_session_timeout = 0", "BEGIN ISOLATION LEVEL REPEATABLE READ", statement} {
			_, err := conn.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
	}

	watching, stop := context.WithCancel(t.Context())
	roles := make(chan string, 2)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		p.WatchTransactions(watching, watchInterval, TransactionBounds{Writing: watchInterval, Reading: time.Hour}, func(role string, after time.Duration) {
			if after >= watchInterval {
				roles <- role
			}
		})
	})
	defer watcher.Wait()
	defer stop()

	select {
	case role := <-roles:
		require.Equal(t, one.LoginRole(tenant.SlotA), role)
	case <-time.After(time.Minute):
		t.Fatal("the transaction was not ended")
	}
	_, err = writing.Exec(t.Context(), "SELECT 1")
	require.Error(t, err)
	for _, conn := range []*pgx.Conn{reading, idle} {
		_, err = conn.Exec(t.Context(), "SELECT 1")
		require.NoError(t, err)
	}
	_, err = operators.Exec(t.Context(), "SELECT 1")
	require.NoError(t, err)

	// Nothing is left of what it took to end a session.
	seen, err := p.Logins(t.Context(), one)
	require.NoError(t, err)
	require.True(t, seen[tenant.SlotA])
	changed, err := p.EnsureSchema(t.Context(), one, claim, schemaOptions)
	require.NoError(t, err)
	require.False(t, changed)
	var members int
	require.NoError(t, p.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_auth_members WHERE pg_get_userbyid(roleid) = $1 AND pg_get_userbyid(member) = current_user AND current_setting('server_version_num')::int < 160000",
		one.LoginRole(tenant.SlotA)).Scan(&members))
	require.Zero(t, members)
}

// watchInterval is short, so that the test waits little.
const watchInterval = 50 * time.Millisecond

func redisServer(t *testing.T, acl bool) (*stores.Redis, *Redis) {
	t.Helper()
	server, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: acl})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	r, err := OpenRedis(RedisAdmin{Mode: Standalone, Endpoints: []string{server.Address()}, Username: adminName(acl), Password: server.AdminPassword()})
	require.NoError(t, err)
	t.Cleanup(r.Close)

	return server, r
}

func adminName(acl bool) string {
	if acl {
		return stores.AdminUser
	}
	return ""
}

// A tenant's Redis user reaches its own keys and channels and nothing else.
func TestRedisTenantsAreApart(t *testing.T) {
	server, r := redisServer(t, true)
	mine, myClaim := newTenant()
	other, otherClaim := newTenant()
	password := rand.Text()

	for one, claim := range map[tenant.Tenant]Claim{mine: myClaim, other: otherClaim} {
		changed, err := r.EnsureUser(t.Context(), one, claim, password)
		require.NoError(t, err)
		require.True(t, changed)
	}

	client := redis.NewClient(&redis.Options{Addr: server.Address(), Username: mine.RedisUser(), Password: password, DisableIdentity: true, MaxRetries: -1})
	defer client.Close()

	own, theirs := mine.KeyPrefix(), other.KeyPrefix()
	admin := server.Client()
	defer admin.Close()

	require.NoError(t, admin.Set(t.Context(), theirs+"secret", "1", 0).Err())

	for _, allowed := range [][]any{
		{"ZADD", own + "z", 1, "m"}, {"ZRANK", own + "z", "m"}, {"HSET", own + "h", "f", 1}, {"SET", own + "s", 1}, {"GET", own + "s"},
		{"FCALL", functions.TakeRate.Name, 1, own + "rate", 0, 1000, 5}, {"FCALL_RO", functions.Page.Name, 2, own + "z", own + "h", 0, 1, 0, "o"},
		{"PING"}, {"UNLINK", own + "s"},
	} {
		require.NoError(t, client.Do(t.Context(), allowed...).Err(), "%v", allowed)
	}

	refused := [][]any{
		{"GET", theirs + "secret"}, {"SET", theirs + "x", 1}, {"ZADD", theirs + "z", 1, "m"}, {"UNLINK", theirs + "secret"},
		{"RENAME", own + "z", theirs + "z"}, {"GET", "lb:*"}, {"GET", "anything"}, {"GET", "leaderboard-operator:id"}, {"HGET", "leaderboard-operator:owners", mine.RedisUser()},
		{"FCALL_RO", functions.Page.Name, 2, theirs + "z", theirs + "h", 0, 1, 0, "o"}, {"FCALL", functions.TakeRate.Name, 1, theirs + "rate", 0, 1000, 5},
		{"FCALL", functions.Snapshot.Name, 2, own + "z", theirs + "m", "n", "", 1, 1, 1, 1, 1},
		{"EVAL", "while true do end", 0}, {"EVAL", "while true do redis.call('SET', KEYS[1], 1) end", 1, own + "x"}, {"EVAL_RO", "while true do end", 0},
		{"EVALSHA", strings.Repeat("0", 40), 0}, {"EVALSHA_RO", strings.Repeat("0", 40), 0}, {"SCRIPT", "LOAD", "return 1"}, {"SCRIPT", "EXISTS", strings.Repeat("0", 40)},
		{"SCRIPT", "FLUSH"}, {"SCRIPT", "KILL"}, {"SCRIPT", "DEBUG", "YES"}, {"FUNCTION", "FLUSH"}, {"FUNCTION", "LIST"}, {"FUNCTION", "DELETE", functions.Library}, {"FUNCTION", "KILL"}, {"FUNCTION", "DUMP"},
		{"FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('x', function() while true do end end)"},
		{"MULTI"}, {"EXEC"}, {"WATCH", own + "z"}, {"WAIT", 1, 0}, {"BLPOP", own + "l", 0}, {"BZPOPMIN", own + "z", 0}, {"XREAD", "BLOCK", 0, "STREAMS", own + "x", 0}, {"CLIENT", "PAUSE", 1000},
		{"SUBSCRIBE", own + "c"}, {"SUBSCRIBE", theirs + "c"}, {"PSUBSCRIBE", "*"}, {"SSUBSCRIBE", theirs + "c"}, {"PUBLISH", theirs + "c", "x"}, {"CLIENT", "TRACKING", "ON", "BCAST"},
		{"SCAN", 0}, {"KEYS", "*"}, {"RANDOMKEY"}, {"DBSIZE"}, {"SELECT", 1}, {"FLUSHALL"}, {"FLUSHDB"}, {"SWAPDB", 0, 1}, {"COPY", own + "z", own + "y"},
		{"CONFIG", "GET", "*"}, {"CONFIG", "SET", "maxmemory", 1}, {"CONFIG", "RESETSTAT"}, {"ACL", "LIST"}, {"ACL", "SETUSER", mine.RedisUser(), "allkeys"}, {"ACL", "WHOAMI"}, {"ACL", "LOG"},
		{"CLIENT", "LIST"}, {"CLIENT", "KILL", "USER", other.RedisUser()}, {"CLIENT", "NO-EVICT", "ON"}, {"MONITOR"}, {"SHUTDOWN"}, {"SAVE"}, {"BGSAVE"}, {"BGREWRITEAOF"}, {"MODULE", "LIST"},
		{"REPLICAOF", "NO", "ONE"}, {"PSYNC", "?", -1}, {"FAILOVER"}, {"INFO"}, {"SLOWLOG", "GET"}, {"LATENCY", "LATEST"}, {"MEMORY", "USAGE", own + "z"}, {"MEMORY", "PURGE"},
		{"MIGRATE", "127.0.0.1", 1, own + "z", 0, 1}, {"RESTORE", own + "r", 0, "x"}, {"DUMP", own + "z"}, {"SORT", own + "l", "BY", theirs + "*"}, {"OBJECT", "FREQ", own + "z"},
		{"SETRANGE", own + "s", 536870000, "x"}, {"SETBIT", own + "s", 4294967295, 1}, {"ZUNIONSTORE", own + "u", 1, own + "z"}, {"LCS", own + "a", own + "b"}, {"ZRANGEBYLEX", own + "z", "-", "+"},
	}
	for _, attempt := range refused {
		err := client.Do(t.Context(), attempt...).Err()
		require.Error(t, err, "%v", attempt)
		// Inside a function 7.0 and 8 word it differently, each in its own way.
		require.Regexp(t, "NOPERM|The user executing the script can't|ACL failure in script", err.Error(), "%v", attempt)
		attack.Refused(t, "a game's login of Redis: "+fmt.Sprintln(attempt...), err.Error())
	}
	t.Logf("%d attempts in Redis were refused", len(refused))

	// RESET falls back to the user default, which is off.
	require.NoError(t, client.Do(t.Context(), "RESET").Err())
}

// Whatever a login writes where functions look, each of their calls comes to an end.
func TestFunctionsAreBounded(t *testing.T) {
	server, r := redisServer(t, true)
	mine, claim := newTenant()
	password := rand.Text()
	_, err := r.EnsureUser(t.Context(), mine, claim, password)
	require.NoError(t, err)

	client := redis.NewClient(&redis.Options{Addr: server.Address(), Username: mine.RedisUser(), Password: password, DisableIdentity: true, MaxRetries: -1})
	defer client.Close()

	entries, state, applied := mine.KeyPrefix()+"{b}:2e", mine.KeyPrefix()+"{b}:2m", mine.KeyPrefix()+"{b}:2a"
	long := strings.Repeat("a ", 1<<20)
	require.NoError(t, client.ZAdd(t.Context(), entries, redis.Z{Member: "short"}).Err())
	require.NoError(t, client.HSet(t.Context(), state, "x", long, "c", 1, "w", "1", "id", "i", "s", "s", "n", "0").Err())

	wide, fields := mine.KeyPrefix()+"{b}:2w", make([]any, 0, 20_000)
	for i := range cap(fields) / 2 {
		fields = append(fields, "c/"+strconv.Itoa(i), 1)
	}
	require.NoError(t, client.HSet(t.Context(), wide, append(fields, "id", "another")...).Err())

	for _, call := range []struct {
		function *functions.Function
		keys     []string
		args     []any
		says     string
	}{
		{functions.Page, []string{entries, state}, []any{0, 0, 1e9, "c"}, "compare"},
		{functions.Apply, []string{entries, state, applied}, []any{"i", "", "", -1, 0, "", 0, "o", ""}, "too long"},
		{functions.Snapshot, []string{entries, state}, []any{"n", "", 1000, 1000, 4, 10, ""}, "too long"},
		{functions.Walk, []string{entries, state}, []any{"n", 0, "", 1e9, 0}, "too long"},
		{functions.Finish, []string{entries, state, applied}, []any{"s", 0, "1", 1, 0, ""}, "too long"},
		{functions.Wipe, []string{entries, state}, []any{"s", long}, "too long"},
		{functions.Wipe, []string{entries, state}, []any{"s", "identity"}, "too long"},
		{functions.State, []string{entries, wide, applied}, []any{1}, "too many fields"},
		{functions.Begin, []string{entries, wide, applied}, []any{"i", "s", "", 1, 1}, "too many fields"},
	} {
		err := client.FCall(t.Context(), call.function.Name, call.keys, call.args...).Err()
		require.ErrorContains(t, err, call.says, call.function.Name)
	}
}

// One tenant does not keep others out by taking all connections.
func TestConnectionsToRedisAreShared(t *testing.T) {
	const most = 40
	server, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true, Args: []string{"--maxclients", strconv.Itoa(most)}})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	r, err := OpenRedis(RedisAdmin{Mode: Standalone, Endpoints: []string{server.Address()}, Username: stores.AdminUser, Password: server.AdminPassword()})
	require.NoError(t, err)
	t.Cleanup(r.Close)

	greedy, greedyClaim := newTenant()
	other, otherClaim := newTenant()
	password := rand.Text()
	open := func(one tenant.Tenant) *redis.Conn {
		client := redis.NewClient(&redis.Options{Addr: server.Address(), Username: one.RedisUser(), Password: password, DisableIdentity: true, MaxRetries: -1})
		t.Cleanup(func() { _ = client.Close() })
		conn := client.Conn()
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	for one, claim := range map[tenant.Tenant]Claim{greedy: greedyClaim, other: otherClaim} {
		_, err := r.EnsureUser(t.Context(), one, claim, password)
		require.NoError(t, err)
	}

	modest := open(other)
	require.NoError(t, modest.Ping(t.Context()).Err())
	var taken []*redis.Conn
	for range most {
		conn := open(greedy)
		if conn.Ping(t.Context()).Err() != nil {
			break // there are no more
		}
		taken = append(taken, conn)
	}
	require.Greater(t, len(taken), most/2)

	watching, stop := context.WithCancel(t.Context())
	var watcher sync.WaitGroup
	watcher.Go(func() { r.Watch(watching, watchInterval, func() {}) })
	defer watcher.Wait()
	defer stop()

	require.Eventually(t, func() bool { return open(other).Ping(t.Context()).Err() == nil }, time.Minute, watchInterval)
	require.Error(t, taken[0].Ping(t.Context()).Err())
	require.NoError(t, modest.Ping(t.Context()).Err())
}

// A node that has lost the functions has them again, without a look at any game.
func TestFunctionsAreLoadedAgain(t *testing.T) {
	server, r := redisServer(t, true)
	admin := server.Client()
	defer admin.Close()

	watching, stop := context.WithCancel(t.Context())
	var watcher sync.WaitGroup
	watcher.Go(func() { r.Watch(watching, watchInterval, func() {}) })
	defer watcher.Wait()
	defer stop()

	has := func() bool {
		found, err := admin.FunctionList(t.Context(), redis.FunctionListQuery{LibraryNamePattern: functions.Library}).Result()
		require.NoError(t, err)
		return len(found) == 1
	}
	require.Eventually(t, has, time.Minute, watchInterval)
	require.NoError(t, admin.FunctionFlush(t.Context()).Err())
	require.Eventually(t, has, time.Minute, watchInterval)
}

func TestRedisUserOfAServerWithoutItsUsers(t *testing.T) {
	server, r := redisServer(t, true)
	one, claim := newTenant()
	password, next := rand.Text(), rand.Text()
	ensure := func(want bool, passwords ...string) {
		t.Helper()
		changed, err := r.EnsureUser(t.Context(), one, claim, passwords...)
		require.NoError(t, err)
		require.Equal(t, want, changed)
	}

	ensure(true, password)
	ensure(false, password)
	ensure(true, password, next)
	ensure(false, password, next)
	ensure(true, next)

	admin := server.Client()
	defer admin.Close()

	for _, drift := range [][]any{
		{"ACL", "SETUSER", one.RedisUser(), "allkeys"}, {"ACL", "SETUSER", one.RedisUser(), "off"}, {"ACL", "SETUSER", one.RedisUser(), "+@all"},
		{"ACL", "SETUSER", one.RedisUser(), "allchannels"}, {"ACL", "SETUSER", one.RedisUser(), "nopass"}, {"ACL", "SETUSER", one.RedisUser(), ">another"},
		{"ACL", "SETUSER", one.RedisUser(), "(~* +get)"},
		{"ACL", "DELUSER", one.RedisUser()},
	} {
		require.NoError(t, admin.Do(t.Context(), drift...).Err())
		ensure(true, next)
		ensure(false, next)
	}

	// The file keeps users over a restart ...
	server.Kill()
	require.NoError(t, server.Start(t.Context()))
	ensure(false, next)

	// ... and where it is lost, they are made again.
	lost := make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		r.Watch(ctx, watchInterval, func() {
			select {
			case lost <- struct{}{}:
			default: // it has been noticed
			}
		})
	})
	defer watching.Wait()
	defer stop()

	server.Kill()
	require.NoError(t, os.Remove(server.ACLPath()))
	require.NoError(t, server.Start(t.Context()))

	select {
	case <-lost:
	case <-time.After(time.Minute):
		t.Fatal("the restart was not noticed")
	}

	ensure(true, next)

	require.NoError(t, admin.Set(t.Context(), one.KeyPrefix()+"a", 1, 0).Err())
	require.NoError(t, admin.Set(t.Context(), "lb:another:a", 1, 0).Err())
	for range 2 {
		require.NoError(t, r.DropUser(t.Context(), one, claim))
		require.NoError(t, r.DropKeys(t.Context(), one, claim))
	}

	require.EqualValues(t, 1, admin.DBSize(t.Context()).Val(), "the other's key")
}

func TestRedisCheck(t *testing.T) {
	server, r := redisServer(t, true)
	version, err := r.Check(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^(Redis|Valkey) [78]\.`, version)

	_, open := redisServer(t, false)
	err = open.Prepare(t.Context())
	require.Equal(t, Misconfigured, KindOf(err), err)
	require.ErrorContains(t, err, "default")

	wrong, err := OpenRedis(RedisAdmin{Mode: Standalone, Endpoints: []string{server.Address()}, Username: stores.AdminUser, Password: "wrong"})
	require.NoError(t, err)
	defer wrong.Close()

	_, err = wrong.Check(t.Context())
	require.Equal(t, Refused, KindOf(err), err)

	for _, policy := range []string{"allkeys-lru", "volatile-ttl"} {
		t.Run(policy, func(t *testing.T) { checkRefusesEviction(t, policy) })
	}

	gone, err := OpenRedis(RedisAdmin{Mode: Standalone, Endpoints: []string{"127.0.0.1:1"}})
	require.NoError(t, err)
	defer gone.Close()

	_, err = gone.Check(t.Context())
	require.Equal(t, Unreachable, KindOf(err), err)
}

// checkRefusesEviction starts a Redis with the policy, whose administrator may not
// read its configuration, as on managed services.
func checkRefusesEviction(t *testing.T, policy string) {
	server, err := stores.StartRedis(t.Context(), stores.RedisOptions{ACLFile: true, Args: []string{"--maxmemory-policy", policy}})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	admin := server.Client()
	defer admin.Close()

	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "managed", "on", ">secret", "allkeys", "allchannels", "+@all", "-config").Err())
	r, err := OpenRedis(RedisAdmin{Mode: Standalone, Endpoints: []string{server.Address()}, Username: "managed", Password: "secret"})
	require.NoError(t, err)
	t.Cleanup(r.Close)

	_, err = r.Check(t.Context())
	require.Equal(t, Misconfigured, KindOf(err), err)
	for _, part := range []string{server.Address(), policy, "set maxmemory-policy noeviction"} {
		require.ErrorContains(t, err, part)
	}

	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	_, err = r.Check(t.Context())
	require.NoError(t, err)
}

package provision

import (
	"context"
	"crypto/rand"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// A tenant's login reaches its own tables and nothing else.
func TestPostgresTenantsAreApart(t *testing.T) {
	p, admin := database(t)
	superuser(t, admin.Database, "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
	_, err := p.PrepareDatabase(t.Context())
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
	for _, refused := range []string{
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
	} {
		_, err := conn.Exec(t.Context(), refused)
		require.Error(t, err, refused)
		require.Contains(t, []string{"42501", "42704", "0A000"}, sqlState(err), "%s: %v", refused, err)
	}

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
		{"EVAL", "return redis.call('ZCARD', KEYS[1])", 1, own + "z"}, {"EXPIRE", own + "s", 10}, {"RENAME", own + "s", own + "t"},
		{"PUBLISH", own + "c", "x"}, {"PING"}, {"UNLINK", own + "t"}, {"SCRIPT", "LOAD", "return 1"},
	} {
		require.NoError(t, client.Do(t.Context(), allowed...).Err(), "%v", allowed)
	}

	for _, refused := range [][]any{
		{"GET", theirs + "secret"}, {"SET", theirs + "x", 1}, {"ZADD", theirs + "z", 1, "m"}, {"UNLINK", theirs + "secret"},
		{"RENAME", own + "z", theirs + "z"}, {"GET", "lb:*"}, {"GET", "anything"},
		{"EVAL", "return redis.call('GET', KEYS[1])", 1, theirs + "secret"},
		{"EVAL", "return redis.call('GET', ARGV[1])", 0, theirs + "secret"},
		{"EVAL", "return redis.call('SCAN', 0)", 0},
		{"EVAL", "return redis.call('PUBLISH', ARGV[1], 'x')", 0, theirs + "c"},
		{"PUBLISH", theirs + "c", "x"}, {"PSUBSCRIBE", "*"}, {"SUBSCRIBE", theirs + "c"},
		{"SCAN", 0}, {"KEYS", "*"}, {"RANDOMKEY"}, {"DBSIZE"}, {"SELECT", 1}, {"FLUSHALL"}, {"FLUSHDB"}, {"SWAPDB", 0, 1},
		{"SCRIPT", "FLUSH"}, {"SCRIPT", "KILL"}, {"FUNCTION", "FLUSH"}, {"FUNCTION", "LIST"}, {"FUNCTION", "LOAD", "#!lua name=x\nredis.register_function('x', function() end)"},
		{"CONFIG", "GET", "*"}, {"CONFIG", "SET", "maxmemory", 1}, {"ACL", "LIST"}, {"ACL", "SETUSER", mine.RedisUser(), "allkeys"}, {"ACL", "WHOAMI"},
		{"CLIENT", "LIST"}, {"CLIENT", "KILL", "USER", other.RedisUser()}, {"MONITOR"}, {"SHUTDOWN"}, {"SAVE"},
		{"REPLICAOF", "NO", "ONE"}, {"INFO"}, {"SLOWLOG", "GET"}, {"LATENCY", "LATEST"}, {"MEMORY", "USAGE", own + "z"}, {"MIGRATE", "127.0.0.1", 1, own + "z", 0, 1},
		{"BLPOP", own + "l", 1}, {"SORT", own + "l", "BY", theirs + "*"},
	} {
		err := client.Do(t.Context(), refused...).Err()
		require.Error(t, err, "%v", refused)
		// Inside a script 7.0 and 8 word it differently, each in its own way.
		require.Regexp(t, "NOPERM|The user executing the script can't|ACL failure in script", err.Error(), "%v", refused)
	}

	// RESET falls back to the user default, which is off.
	require.NoError(t, client.Do(t.Context(), "RESET").Err())
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
	_, err = open.Check(t.Context())
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

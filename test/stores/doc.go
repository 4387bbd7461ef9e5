// Package stores starts throwaway PostgreSQL and Redis servers (alone, as a Redis
// Cluster, or with Sentinels) for tests and
// benchmarks: real ones, on free loopback ports, with their data in temporary
// folders, ended with the process that started them. It never touches a server
// that already runs.
//
// The binaries are found in this order: the environment (POSTGRES_BIN_DIR, a
// folder with initdb and postgres; REDIS_SERVER, a path to redis-server or
// valkey-server), PATH, and the folders where Debian puts PostgreSQL.
//
// A test package usually starts its servers once, in TestMain, and gives every
// test a database ([Postgres.CreateDatabase]) or a key prefix of its own:
//
//	func TestMain(m *testing.M) { os.Exit(stores.Main(m, &postgres, &redis)) }
package stores

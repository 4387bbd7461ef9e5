package stores

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// startTimeout bounds the start of one server: initdb takes 1 to 2 s on an idle
// core and several times that while a build runs beside it.
const startTimeout = 3 * time.Minute

// Main starts a PostgreSQL server and a Redis server with default options,
// stores them behind pg and rdb (either may be nil: that server is not
// started), runs the tests of m, stops the servers and returns the exit code
// for os.Exit.
func Main(m *testing.M, pg **Postgres, rdb **Redis) int {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()

	if pg != nil {
		server, err := StartPostgres(ctx, PostgresOptions{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Close()
		*pg = server
	}

	if rdb != nil {
		server, err := StartRedis(ctx, RedisOptions{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Close()
		*rdb = server
	}

	return m.Run()
}

package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// footprint is what a replica holds on to.
type footprint struct{ goroutines, postgres, redis int }

const (
	// moreGoroutines is how many goroutines a replica may have over those that it had
	// when nobody had asked it anything: one for each connection of the operations
	// port and of a client that is being closed, and what pools do now and then. One
	// that leaks with each fault, or each call that failed, is far beyond that.
	moreGoroutines = 12
	// mostPostgres is the default limit of a replica's pool.
	mostPostgres = 8
	// leads is how many sessions beside the pools: each replica leads or waits to.
	leads = 2
)

var metricLine = regexp.MustCompile(`(?m)^(go_goroutines|leaderboard_postgres_connections|leaderboard_redis_connections) (\d+)$`)

func (r *replica) footprint(ctx context.Context) (f footprint, err error) {
	body, err := r.ops(ctx, "/metrics")
	if err != nil {
		return f, err
	}

	lines := metricLine.FindAllSubmatch(body, -1)
	if len(lines) != 3 {
		return f, fmt.Errorf("the metrics of %s have %d of 3 lines", r.name, len(lines))
	}

	for _, match := range lines {
		n, err := strconv.Atoi(string(match[2]))
		if err != nil {
			return f, err
		}
		switch string(match[1]) {
		case "go_goroutines":
			f.goroutines = n
		case "leaderboard_postgres_connections":
			f.postgres = n
		default:
			f.redis = n
		}
	}

	return f, nil
}

// checkFootprint checks that each replica is down to its goroutines from before, and
// that the stores have no connection that no pool knows of.
func (w *world) checkFootprint(ctx context.Context, conn *pgx.Conn) error {
	var total footprint
	for _, r := range w.replicas {
		r.client.Close() // idle connections
		f, err := r.footprint(ctx)
		if err != nil {
			return err
		}
		if most := w.fresh.goroutines + moreGoroutines; f.goroutines > most {
			return fmt.Errorf("%s has %d goroutines, more than %d", r.name, f.goroutines, most)
		}
		if f.postgres > mostPostgres {
			return fmt.Errorf("%s has %d connections to PostgreSQL, more than %d", r.name, f.postgres, mostPostgres)
		}

		total.postgres, total.redis = total.postgres+f.postgres, total.redis+f.redis
	}

	var sessions int
	if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()").Scan(&sessions); err != nil {
		return err
	}
	if sessions > total.postgres+leads {
		return fmt.Errorf("PostgreSQL has %d sessions; the replicas know of %d", sessions, total.postgres+leads)
	}

	admin := w.Redis.Client()
	defer admin.Close()

	clients, err := admin.ClientList(ctx).Result()
	if err != nil {
		return err
	}
	if n := strings.Count(clients, "\n") - 1; n > total.redis {
		return fmt.Errorf("Redis has %d clients; the replicas know of %d", n, total.redis)
	}

	return nil
}

// keepGoroutines appends to the logs what each replica's goroutines are doing.
func (w *world) keepGoroutines() error {
	ctx, cancel := context.WithTimeout(context.Background(), recovery)
	defer cancel()

	var failed error
	for _, r := range w.replicas {
		dump, err := r.ops(ctx, "/debug/pprof/goroutine?debug=1")
		if err == nil {
			var log *os.File
			if log, err = os.OpenFile(r.Log, os.O_APPEND|os.O_WRONLY, 0); err == nil {
				_, err = log.Write(dump)
				err = errors.Join(err, log.Close())
			}
		}
		failed = errors.Join(failed, err)
	}

	return failed
}

var defect = regexp.MustCompile(`(?m)^(WARNING: DATA RACE|panic: |fatal error: ).*$`)

// quietLogs says whether a server ended by a defect of its own: a fault that
// restarts it would hide that.
func (w *world) quietLogs() error {
	for _, r := range w.replicas {
		content, err := os.ReadFile(r.Log)
		if err != nil {
			return err
		}
		if line := defect.Find(content); line != nil {
			return fmt.Errorf("%s: %s", r.name, line)
		}
	}
	return nil
}

// Bench measures the server on this machine: it starts a PostgreSQL that waits
// for the disk, a Redis and the server as processes of their own, drives them with
// vegeta, and prints ratios that were taken in one run, with the absolute figures
// beside them.
//
// Why vegeta: it is a Go library with an open loop (a fixed rate, whatever the
// answers do) and a closed one (as fast as N connections go), and it needs no
// installation. It uses net/http's client, which costs as much as the server's
// half; both sides of every ratio pay it. The CPU time of each process is printed,
// so that the server's own cost can be told apart.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"
)

// options are the command's flags.
type options struct {
	server   string
	out      string
	markdown string
	only     string
	calls    string
	before   string
	sizes    []int
	duration time.Duration
	events   int
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == bareCommand {
		exit(bare(os.Args[2:]))
	}

	var o options
	size := flag.String("size", "1m", "the most players of the growth table: 10k, 100k, 1m or 10m")
	flag.StringVar(&o.server, "server", "bin/leaderboard-server", "the server's program")
	flag.StringVar(&o.out, "out", "bin/bench.json", "where the rows go as JSON; empty: nowhere")
	flag.StringVar(&o.markdown, "markdown", "", "where the tables of a whole run go as Markdown; empty: nowhere")
	flag.StringVar(&o.only, "only", "", "measure only these parts, comma-separated: "+strings.Join(partNames(), ", "))
	flag.StringVar(&o.calls, "calls", "", "of the part http measure only the calls whose names begin so, and not the stores")
	flag.StringVar(&o.before, "before", "", "the program of an earlier version that the part before compares the server with; empty: the part is left out")
	flag.DurationVar(&o.duration, "duration", 8*time.Second, "how long each load lasts")
	flag.IntVar(&o.events, "events", 10_000_000, "events of the reports, and of the board that is refolded")
	flag.Parse()
	n, ok := map[string]int{"10k": 10_000, "100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}[strings.ToLower(*size)]
	if !ok {
		exit(fmt.Errorf("-size must be 10k, 100k, 1m or 10m, not %q", *size))
	}

	for players := 10_000; players <= n; players *= 10 {
		o.sizes = append(o.sizes, players)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	exit(measure(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// part is one group of rows.
type part struct {
	name string
	run  func(ctx context.Context, o options, r *report) error
}

// parts in the order in which they run.
var parts = []part{
	{"http", measureHTTP},
	{"batch", measureBatch},
	{"bulk", measureBulk},
	{"standings", measureStandings},
	{"queries", measureQueries},
	{"windows", measureWindows},
	{"columns", measureColumns},
	{"segments", measureSegments},
	{"metadata", measureMetadata},
	{"limits", measureLimits},
	{"ban", measureBan},
	{"refold", measureRefold},
	{"growth", measureGrowth},
	{"year", measureYear},
	{"history", measureHistory},
	{"today", measureToday},
	{"idle", measureIdle},
	{"before", measureBefore},
}

func partNames() []string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	return names
}

func measure(ctx context.Context, o options) error {
	var only []string
	if o.only != "" {
		only = strings.Split(o.only, ",")
		for _, name := range only {
			if !slices.Contains(partNames(), name) {
				return fmt.Errorf("-only: there is no part %q, but %s", name, strings.Join(partNames(), ", "))
			}
		}
	}

	server, err := filepath.Abs(o.server)
	if err != nil {
		return err
	}

	o.server = server
	logging.Disable() // go-redis tells of every attempt to reach a Redis that has only been started
	r := newReport(ctx)
	started := time.Now()

	for _, p := range parts {
		if len(only) > 0 && !slices.Contains(only, p.name) {
			continue
		}
		if err := p.run(ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}

	r.Took = time.Since(started).Round(time.Second)
	return r.write(o)
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// insertScript is the least that makes a score durable: one row, one commit.
const insertScript = `\set player random(1, 100000)
INSERT INTO pgbench_events (player, score) VALUES (:player, :player);
`

// pgbenchStart is what of a run of pgbench does not count: its connections have
// only just been made.
const pgbenchStart = time.Second

// pgbench runs single-row inserts and adds their latencies to the sum; rate 0: as
// fast as they go. The duration counts in whole seconds.
func (s *game) pgbench(ctx context.Context, connections, rate int, duration time.Duration, sum *inserts) error {
	if err := s.Postgres.Exec(ctx, s.Database, `CREATE TABLE IF NOT EXISTS pgbench_events
		(id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(), player bigint NOT NULL, score bigint NOT NULL)`); err != nil {
		return err
	}

	dir, err := os.MkdirTemp("", "pgbench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	script := filepath.Join(dir, "insert.sql")
	if err := os.WriteFile(script, []byte(insertScript), 0o644); err != nil {
		return err
	}

	args := []string{"--no-vacuum", "--protocol=prepared", "--log", "--log-prefix=" + filepath.Join(dir, "log"), "--file=" + script,
		"--client=" + strconv.Itoa(connections), "--jobs=2", "--time=" + strconv.Itoa(int((max(time.Second, duration.Truncate(time.Second)) + pgbenchStart).Seconds()))}
	if rate > 0 {
		args = append(args, "--rate="+strconv.Itoa(rate))
	}

	cmd := exec.CommandContext(ctx, s.Postgres.Program("pgbench"), append(args, s.Postgres.URL(s.Database))...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench: %w\n%s", err, output)
	}

	return sum.add(dir)
}

// inserts are the latencies that runs of pgbench showed in a time.
type inserts struct {
	latencies []time.Duration
	elapsed   time.Duration
}

func (sum *inserts) figures() figures {
	slices.Sort(sum.latencies)
	at := func(q float64) time.Duration { return sum.latencies[int(q*float64(len(sum.latencies)-1))] }
	return figures{Requests: uint64(len(sum.latencies)), Rate: float64(len(sum.latencies)) / sum.elapsed.Seconds(), P50: at(0.5), P99: at(0.99), P999: at(0.999)}
}

// add reads a run's logs: a line a transaction, the third field its latency in
// microseconds, which at a fixed rate counts from when it was due, the fifth and
// sixth when it ended. Those of the run's beginning are left out.
func (sum *inserts) add(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil {
		return err
	}

	type transaction struct{ latency, ended time.Duration }
	var all []transaction
	for _, path := range logs {
		file, err := os.Open(path)
		if err != nil {
			return err
		}

		lines := bufio.NewScanner(file)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 6 {
				return fmt.Errorf("pgbench logged %q", lines.Text())
			}

			var numbers [3]int64
			for i, column := range []int{2, 4, 5} {
				if numbers[i], err = strconv.ParseInt(fields[column], 10, 64); err != nil {
					return fmt.Errorf("pgbench logged %q", lines.Text())
				}
			}

			all = append(all, transaction{time.Duration(numbers[0]) * time.Microsecond, time.Duration(numbers[1])*time.Second + time.Duration(numbers[2])*time.Microsecond})
		}

		if err := errors.Join(lines.Err(), file.Close()); err != nil {
			return err
		}
	}

	if len(all) == 0 {
		return errors.New("pgbench logged no transaction")
	}

	slices.SortFunc(all, func(a, b transaction) int { return cmp.Compare(a.ended, b.ended) })
	counts := all[0].ended + pgbenchStart
	for _, t := range all {
		if t.ended >= counts {
			sum.latencies = append(sum.latencies, t.latency)
		}
	}

	sum.elapsed += all[len(all)-1].ended - counts
	return nil
}

// redisBenchmark runs one command, in which __rand_int__ is a random number, and
// returns its rate.
func (s *game) redisBenchmark(ctx context.Context, connections int, command ...string) (figures, error) {
	const requests = 200_000
	args := append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(s.Redis.Port), "-c", strconv.Itoa(connections),
		"-n", strconv.Itoa(requests), "-r", "100000", "--csv"}, command...)
	output, err := exec.CommandContext(ctx, "redis-benchmark", args...).Output()
	if err != nil {
		return figures{}, fmt.Errorf("redis-benchmark: %w", err)
	}

	records, err := csv.NewReader(strings.NewReader(string(output))).ReadAll()
	if err != nil || len(records) < 2 || len(records[1]) < 8 {
		return figures{}, fmt.Errorf("redis-benchmark printed %q", output)
	}

	var values [8]float64
	for i := 1; i < len(values); i++ { // test, rps, avg, min, p50, p95, p99, max; in ms
		if values[i], err = strconv.ParseFloat(records[1][i], 64); err != nil {
			return figures{}, fmt.Errorf("redis-benchmark printed %q", output)
		}
	}

	milliseconds := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
	return figures{Requests: requests, Rate: values[1], P50: milliseconds(values[4]), P99: milliseconds(values[6]), P999: milliseconds(values[7])}, nil
}

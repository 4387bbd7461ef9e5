package main

import (
	"bufio"
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

// pgbench runs single-row inserts; rate 0: as fast as they go.
func (s *game) pgbench(ctx context.Context, connections, rate int, duration time.Duration) (figures, error) {
	if err := s.Postgres.Exec(ctx, s.Database, `CREATE TABLE IF NOT EXISTS pgbench_events
		(id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT now(), player bigint NOT NULL, score bigint NOT NULL)`); err != nil {
		return figures{}, err
	}
	dir, err := os.MkdirTemp("", "pgbench-")
	if err != nil {
		return figures{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	script := filepath.Join(dir, "insert.sql")
	if err := os.WriteFile(script, []byte(insertScript), 0o644); err != nil {
		return figures{}, err
	}
	seconds := max(1, int(duration.Seconds()))
	args := []string{"--no-vacuum", "--protocol=prepared", "--log", "--log-prefix=" + filepath.Join(dir, "log"), "--file=" + script,
		"--client=" + strconv.Itoa(connections), "--jobs=2", "--time=" + strconv.Itoa(seconds)}
	if rate > 0 {
		args = append(args, "--rate="+strconv.Itoa(rate))
	}
	cmd := exec.CommandContext(ctx, s.Postgres.Program("pgbench"), append(args, s.Postgres.URL(s.Database))...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return figures{}, fmt.Errorf("pgbench: %w\n%s", err, output)
	}
	latencies, err := pgbenchLatencies(dir)
	if err != nil {
		return figures{}, err
	}
	at := func(q float64) time.Duration { return latencies[int(q*float64(len(latencies)-1))] }
	return figures{Requests: uint64(len(latencies)), Rate: float64(len(latencies)) / float64(seconds), P50: at(0.5), P99: at(0.99), P999: at(0.999)}, nil
}

// pgbenchLatencies reads the log: a line a transaction, the third field its
// latency in microseconds, which at a fixed rate counts from when it was due.
func pgbenchLatencies(dir string) ([]time.Duration, error) {
	logs, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil {
		return nil, err
	}
	var latencies []time.Duration
	for _, path := range logs {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) < 3 {
				continue
			}
			microseconds, err := strconv.ParseInt(fields[2], 10, 64)
			if err != nil {
				continue // "skipped": never with an unlimited lag
			}
			latencies = append(latencies, time.Duration(microseconds)*time.Microsecond)
		}
		if err := errors.Join(lines.Err(), file.Close()); err != nil {
			return nil, err
		}
	}
	if len(latencies) == 0 {
		return nil, errors.New("pgbench logged no transaction")
	}
	slices.Sort(latencies)
	return latencies, nil
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

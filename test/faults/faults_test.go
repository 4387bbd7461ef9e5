package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
)

// target is what a fault breaks. Two faults at once break different things.
type target int

const (
	atServers target = 1 << iota
	atRedis
	atPostgres
	// atWays: between the replicas and the stores.
	atWays
	// atClients breaks nothing: clients ask for too much.
	atClients
)

// fault breaks something, holds it for a while, and mends it. What it breaks by
// killing comes back at its end; that everything else recovers is the server's.
type fault struct {
	name   string
	target target
	// rollback says that Redis comes back with an earlier state.
	rollback bool
	run      func(ctx context.Context, w *world, random *rand.Rand) error
}

var faults = []fault{
	{name: "seasons end", target: atClients | atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		defer pause(ctx, hold(random))
		return endSeasons(ctx, w)
	}},
	{name: "seasons end while a server is killed", target: atServers | atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		if err := endSeasons(ctx, w); err != nil {
			return err
		}
		pause(ctx, time.Duration(random.Int64N(int64(5*time.Second)))) // before, at or after the end, or while it is closed
		r := w.one(random)
		r.Kill()
		return r.Restart()
	}},
	{name: "boards get another fold", target: atClients | atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		defer pause(ctx, hold(random))
		return w.shift(random)
	}},
	{name: "boards get another fold while a server is killed", target: atServers | atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		if err := w.shift(random); err != nil {
			return err
		}
		pause(ctx, time.Duration(random.Int64N(int64(5*time.Second)))) // before it is taken up, in the middle, or after
		r := w.one(random)
		r.Kill()
		return r.Restart()
	}},
	{name: "kill -9 a server", target: atServers, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		r := w.one(random)
		r.Kill()
		pause(ctx, hold(random))
		return r.Restart()
	}},
	{name: "kill -9 both servers", target: atServers, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		for _, r := range w.replicas {
			r.Kill()
		}
		pause(ctx, hold(random))
		return errors.Join(w.replicas[0].Restart(), w.replicas[1].Restart())
	}},
	{name: "stop a server in order", target: atServers, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		r := w.one(random)
		if status := r.Stop(); status != 0 {
			return fmt.Errorf("%s stopped with status %d", r.name, status)
		}
		pause(ctx, hold(random))
		return r.Restart()
	}},
	{name: "a server is suspended", target: atServers, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		r := w.one(random)
		r.Pause()
		defer r.Resume()
		pause(ctx, hold(random))
		return nil
	}},
	{name: "Redis comes back empty", target: atRedis, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.restartRedis(ctx, hold(random), "")
	}},
	{name: "Redis comes back with an older snapshot", target: atRedis, rollback: true, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.restartRedis(ctx, hold(random), w.snapshot)
	}},
	{name: "Redis comes back with its last snapshot", target: atRedis, rollback: true, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		if err := w.saveRedis(ctx); err != nil {
			return err
		}
		return w.restartRedis(ctx, hold(random), w.snapshot)
	}},
	{name: "Redis loses its data while it runs", target: atRedis, run: func(ctx context.Context, w *world, _ *rand.Rand) error {
		return w.redisCommand(ctx, "FLUSHALL")
	}},
	// What commits meanwhile is above the watermark that the rebuild ends with.
	{name: "Redis loses its data beside a transaction that stays open", target: atRedis | atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		lose := func() error {
			pause(ctx, hold(random)/2)
			return w.redisCommand(ctx, "FLUSHALL")
		}
		return w.sqlBeside(ctx, hold(random), "SELECT pg_current_xact_id()", lose)
	}},
	// As one that evicts keys would.
	{name: "Redis loses the entries of a board", target: atRedis, run: losesKey("*}:[23]e")},
	{name: "Redis loses the entries of a segment", target: atRedis, run: losesKey("*}:[23]e/*")},
	{name: "Redis loses the state of a board", target: atRedis, run: losesKey("*}:[23]m")},
	{name: "Redis loses what the ranks of a board are counted by", target: atRedis, run: losesKey("*}:[23]d")},
	{name: "Redis forgets its functions", target: atRedis, run: func(ctx context.Context, w *world, _ *rand.Rand) error {
		return w.redisCommand(ctx, "FUNCTION", "FLUSH")
	}},
	{name: "Redis closes its connections", target: atRedis, run: func(ctx context.Context, w *world, _ *rand.Rand) error {
		return w.redisCommand(ctx, "CLIENT", "KILL", "TYPE", "normal")
	}},
	{name: "Redis hangs", target: atRedis, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		long := hold(random)
		err := w.redisCommand(ctx, "CLIENT", "PAUSE", long.Milliseconds(), "ALL")
		pause(ctx, long)
		return err
	}},
	{name: "PostgreSQL stops at once", target: atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		w.Postgres.Kill()
		pause(ctx, hold(random))
		return w.Postgres.Start(ctx)
	}},
	{name: "PostgreSQL stops at once after transactions that left nothing", target: atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		if err := w.emptyTransactions(ctx, 300); err != nil {
			return err
		}
		pause(ctx, hold(random)/4) // catch-up may look in the meantime
		w.Postgres.Kill()
		return w.Postgres.Start(ctx)
	}},
	{name: "PostgreSQL is read-only", target: atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		if err := w.alterSystem(ctx, "ALTER SYSTEM SET default_transaction_read_only = on"); err != nil {
			return err
		}
		pause(ctx, hold(random))
		return w.alterSystem(context.WithoutCancel(ctx), "ALTER SYSTEM RESET default_transaction_read_only")
	}},
	{name: "PostgreSQL ends its sessions", target: atPostgres, run: func(ctx context.Context, w *world, _ *rand.Rand) error {
		return w.sql(ctx, 0, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	}},
	{name: "kill -9 a session of PostgreSQL", target: atPostgres, run: killSession},
	{name: "somebody locks the standings", target: atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.sql(ctx, hold(random), "LOCK TABLE standings IN EXCLUSIVE MODE")
	}},
	{name: "a transaction stays open", target: atPostgres, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.sql(ctx, hold(random), "SELECT pg_current_xact_id()")
	}},
	{name: "the way to a store is cut", target: atWays, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		chosen := w.someWays(random)
		for _, p := range chosen {
			p.Stop()
		}

		pause(ctx, hold(random))
		var err error
		for _, p := range chosen {
			err = errors.Join(err, p.Start())
		}

		return err
	}},
	{name: "the way to a store is slow", target: atWays, run: poisoned("latency", `{"latency": 150, "jitter": 100}`)},
	// Longer than any timeout of the server: what it has given up arrives later.
	{name: "the way to a store delivers late", target: atWays, run: poisoned("latency", `{"latency": 6000}`)},
	{name: "the way to a store is narrow", target: atWays, run: poisoned("bandwidth", `{"rate": 20}`)},
	{name: "the way to a store swallows everything", target: atWays, run: poisoned("timeout", `{"timeout": 0}`)},
	{name: "the way to a store closes late", target: atWays, run: poisoned("slow_close", `{"delay": 1000}`)},
	{name: "the way to a store resets connections", target: atWays, run: poisoned("reset_peer", `{"timeout": 100}`)},
	{name: "the way to a store ends in the middle", target: atWays, run: poisoned("limit_data", `{"bytes": 3000}`)},
}

// hold is for how long something stays broken: shorter than the server's timeouts
// most of the time, and now and then longer than all of them (5 s for a batch).
func hold(random *rand.Rand) time.Duration {
	if random.IntN(8) == 0 {
		return time.Duration(5500+random.IntN(2000)) * time.Millisecond
	}
	return time.Duration(50+random.IntN(1200)) * time.Millisecond
}

// pause waits, as a fault takes time; it is no wait for something to happen.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (w *world) one(random *rand.Rand) *replica { return w.replicas[random.IntN(len(w.replicas))] }

// someWays are the proxies to one store: of one replica or, now and then, of both.
func (w *world) someWays(random *rand.Rand) []*toxiproxy.Proxy {
	way := func(r *replica) *toxiproxy.Proxy { return r.redis }
	if random.IntN(2) == 0 {
		way = func(r *replica) *toxiproxy.Proxy { return r.postgres }
	}

	if random.IntN(4) == 0 {
		return []*toxiproxy.Proxy{way(w.replicas[0]), way(w.replicas[1])}
	}

	return []*toxiproxy.Proxy{way(w.one(random))}
}

// killSession ends one session of PostgreSQL by force, upon which PostgreSQL ends
// all of them and recovers, as it does not trust its memory any more.
func killSession(ctx context.Context, w *world, random *rand.Rand) error {
	conn, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	rows, err := conn.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	if err != nil {
		return err
	}

	sessions, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(sessions) == 0 {
		return err
	}

	return syscall.Kill(sessions[random.IntN(len(sessions))], syscall.SIGKILL)
}

// restartRedis kills Redis and starts it with the snapshot ("": empty).
func (w *world) restartRedis(ctx context.Context, down time.Duration, snapshot string) error {
	w.Redis.Kill()
	pause(ctx, down)
	dump := filepath.Join(w.Redis.Dir, "dump.rdb")
	if err := os.Remove(dump); err != nil && !os.IsNotExist(err) {
		return err
	}

	if snapshot != "" {
		content, err := os.ReadFile(snapshot)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dump, content, 0o600); err != nil {
			return err
		}
	}

	return w.Redis.Start(ctx)
}

// saveRedis keeps a copy of Redis' data for a later fault.
func (w *world) saveRedis(ctx context.Context) error {
	if err := w.redisCommand(ctx, "SAVE"); err != nil {
		return err
	}

	content, err := os.ReadFile(filepath.Join(w.Redis.Dir, "dump.rdb"))
	if err != nil {
		return err
	}

	w.snapshot = filepath.Join(w.Redis.Dir, "earlier.rdb")
	return os.WriteFile(w.snapshot, content, 0o600)
}

func (w *world) redisCommand(ctx context.Context, command ...any) error {
	client := w.Redis.Client()
	defer client.Close()
	return client.Do(ctx, command...).Err()
}

// losesKey makes a fault that deletes one key of those that match.
func losesKey(pattern string) func(context.Context, *world, *rand.Rand) error {
	return func(ctx context.Context, w *world, random *rand.Rand) error {
		client := w.Redis.Client()
		defer client.Close()

		keys, err := client.Keys(ctx, pattern).Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		return client.Del(ctx, keys[random.IntN(len(keys))]).Err()
	}
}

// emptyTransactions uses up transaction numbers that a crash hands out again, as no
// one of them is flushed.
func (w *world) emptyTransactions(ctx context.Context, n int) error {
	conn, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	for range n {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SELECT pg_current_xact_id()"); err != nil {
			return err
		}
		if err := tx.Rollback(ctx); err != nil {
			return err
		}
	}
	return nil
}

// alterSystem changes a setting of the server, and has it take effect.
func (w *world) alterSystem(ctx context.Context, statement string) error {
	conn, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	if _, err := conn.Exec(ctx, statement); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "SELECT pg_reload_conf()")
	return err
}

// sql runs a statement in a transaction that stays open for a while.
func (w *world) sql(ctx context.Context, open time.Duration, statement string) error {
	return w.sqlBeside(ctx, open, statement, func() error { return nil })
}

// sqlBeside does something more before the transaction's while.
func (w *world) sqlBeside(ctx context.Context, open time.Duration, statement string, do func() error) error {
	conn, err := w.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, statement); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}

	pause(ctx, open)
	return tx.Rollback(ctx)
}

// poisoned makes a fault of one of toxiproxy's toxics, in either direction.
func poisoned(toxic, attributes string) func(context.Context, *world, *rand.Rand) error {
	return func(ctx context.Context, w *world, random *rand.Rand) error {
		chosen, stream := w.someWays(random), "downstream"
		if random.IntN(2) == 0 {
			stream = "upstream"
		}

		for _, p := range chosen {
			if _, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"type": %q, "stream": %q, "attributes": %s}`, toxic, stream, attributes))); err != nil {
				return err
			}
		}

		pause(ctx, hold(random))
		for _, p := range chosen {
			p.Toxics.ResetToxics(ctx)
		}

		return nil
	}
}

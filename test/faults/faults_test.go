package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
)

// fault breaks something, holds it for a while, and mends it. What it breaks by
// killing comes back at its end; that everything else recovers is the server's.
type fault struct {
	name string
	// way says that the fault is on the way to a store: it can be combined with one
	// that is not.
	way bool
	run func(ctx context.Context, w *world, random *rand.Rand) error
}

var faults = []fault{
	{"kill -9 a server", false, func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.replaceServer(ctx, w.one(random), (*replica).kill, hold(random))
	}},
	{"kill -9 both servers", false, func(ctx context.Context, w *world, random *rand.Rand) error {
		for _, r := range w.replicas {
			r.kill()
		}
		pause(ctx, hold(random))
		return errors.Join(w.replicas[0].Restart(), w.replicas[1].Restart())
	}},
	{"stop a server in order", false, func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.replaceServer(ctx, w.one(random), (*replica).stop, hold(random))
	}},
	{"Redis comes back empty", false, func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.restartRedis(ctx, hold(random), "")
	}},
	{"Redis comes back with an older snapshot", false, func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.restartRedis(ctx, hold(random), w.snapshot)
	}},
	{"Redis loses its data while it runs", false, func(ctx context.Context, w *world, _ *rand.Rand) error {
		return w.redisCommand(ctx, "FLUSHALL")
	}},
	{"Redis forgets its scripts", false, func(ctx context.Context, w *world, _ *rand.Rand) error {
		return w.redisCommand(ctx, "SCRIPT", "FLUSH")
	}},
	{"Redis closes its connections", false, func(ctx context.Context, w *world, _ *rand.Rand) error {
		return w.redisCommand(ctx, "CLIENT", "KILL", "TYPE", "normal")
	}},
	{"Redis hangs", false, func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.redisCommand(ctx, "CLIENT", "PAUSE", hold(random).Milliseconds(), "ALL")
	}},
	{"PostgreSQL stops at once", false, func(ctx context.Context, w *world, random *rand.Rand) error {
		w.Postgres.Kill()
		pause(ctx, hold(random))
		return w.Postgres.Start(ctx)
	}},
	{"PostgreSQL ends its sessions", false, func(ctx context.Context, w *world, _ *rand.Rand) error {
		return w.sql(ctx, 0, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	}},
	{"somebody locks the standings", false, func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.sql(ctx, hold(random), "LOCK TABLE standings IN EXCLUSIVE MODE")
	}},
	{"a transaction stays open", false, func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.sql(ctx, hold(random), "SELECT pg_current_xact_id()")
	}},
	{"the way to a store is cut", true, func(ctx context.Context, w *world, random *rand.Rand) error {
		p := w.way(random)
		p.Stop()
		pause(ctx, hold(random))
		return p.Start()
	}},
	{"the way to a store is slow", true, poisoned("latency", `{"latency": 150, "jitter": 100}`)},
	{"the way to a store is narrow", true, poisoned("bandwidth", `{"rate": 20}`)},
	{"the way to a store swallows everything", true, poisoned("timeout", `{"timeout": 0}`)},
	{"the way to a store resets connections", true, poisoned("reset_peer", `{"timeout": 100}`)},
	{"the way to a store ends in the middle", true, poisoned("limit_data", `{"bytes": 3000}`)},
}

// hold is for how long something stays broken.
func hold(random *rand.Rand) time.Duration {
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

// way is the proxy between a replica and a store.
func (w *world) way(random *rand.Rand) *toxiproxy.Proxy {
	r := w.one(random)
	if random.IntN(2) == 0 {
		return r.postgres
	}
	return r.redis
}

func (r *replica) kill() { r.Kill() }
func (r *replica) stop() { r.Stop() }

func (w *world) replaceServer(ctx context.Context, r *replica, end func(*replica), down time.Duration) error {
	end(r)
	pause(ctx, down)
	return r.Restart()
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
	w.snapshot = filepath.Join(w.t.TempDir(), "snapshot.rdb")
	return os.WriteFile(w.snapshot, content, 0o600)
}

func (w *world) redisCommand(ctx context.Context, command ...any) error {
	client := w.Redis.Client()
	defer client.Close()
	return client.Do(ctx, command...).Err()
}

// sql runs a statement in a transaction that stays open for a while.
func (w *world) sql(ctx context.Context, open time.Duration, statement string) error {
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
	pause(ctx, open)
	return tx.Rollback(ctx)
}

// poisoned makes a fault of one of toxiproxy's toxics, in either direction.
func poisoned(toxic, attributes string) func(context.Context, *world, *rand.Rand) error {
	return func(ctx context.Context, w *world, random *rand.Rand) error {
		p, stream := w.way(random), "downstream"
		if random.IntN(2) == 0 {
			stream = "upstream"
		}
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name": "%d", "type": %q, "stream": %q, "attributes": %s}`, random.Uint64(), toxic, stream, attributes))); err != nil {
			return err
		}
		pause(ctx, hold(random))
		p.Toxics.ResetToxics(ctx)
		return nil
	}
}

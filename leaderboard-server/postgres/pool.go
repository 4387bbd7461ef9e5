package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pool is a pool of connections whose greatest number can be changed while it is used: then a
// [pgxpool.Pool], which cannot do that, takes the place of another one, which is closed once what
// uses it has ended.
type pool struct {
	current atomic.Pointer[generation]
	resize  sync.Mutex
	closing sync.WaitGroup // generations that are no longer the current one
}

// generation is a pool of a fixed size. Calls hold entered for reading until they have their
// connection, and closing it holds that for good.
type generation struct {
	*pgxpool.Pool
	entered sync.RWMutex
}

func newPool(ctx context.Context, config *pgxpool.Config) (*pool, error) {
	opened, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}

	p := &pool{}
	p.current.Store(&generation{Pool: opened})
	return p, nil
}

// setMax lets there be at most so many connections. For as long as something runs on those of
// before there may be as many more.
func (p *pool) setMax(ctx context.Context, connections int32) error {
	p.resize.Lock()
	defer p.resize.Unlock()

	before := p.current.Load()
	config := before.Config()
	if config.MaxConns == connections {
		return nil
	}

	config.MaxConns = connections
	opened, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("make a pool of %d connections: %w", connections, err)
	}

	p.current.Store(&generation{Pool: opened})
	before.Reset() // what is idle, or about to be
	p.closing.Go(func() {
		before.entered.Lock()
		before.Close()
	})
	return nil
}

// enter returns the present generation, for a call that ends with entered.RUnlock.
func (p *pool) enter() *generation {
	for {
		if g := p.current.Load(); g.entered.TryRLock() {
			return g
		}
	}
}

// Acquire is that of [pgxpool.Pool].
func (p *pool) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	g := p.enter()
	defer g.entered.RUnlock()
	return g.Acquire(ctx)
}

// Exec is that of [pgxpool.Pool].
func (p *pool) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	g := p.enter()
	defer g.entered.RUnlock()
	return g.Exec(ctx, sql, args...)
}

// Query is that of [pgxpool.Pool].
func (p *pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	g := p.enter()
	defer g.entered.RUnlock()
	return g.Query(ctx, sql, args...) //nolint:sqlclosecheck // the caller closes them
}

// QueryRow is that of [pgxpool.Pool].
func (p *pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	g := p.enter()
	defer g.entered.RUnlock()
	return g.QueryRow(ctx, sql, args...)
}

// SendBatch is that of [pgxpool.Pool].
func (p *pool) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	g := p.enter()
	defer g.entered.RUnlock()
	return g.SendBatch(ctx, batch)
}

// Begin is that of [pgxpool.Pool].
func (p *pool) Begin(ctx context.Context) (pgx.Tx, error) { return p.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx is that of [pgxpool.Pool].
func (p *pool) BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error) {
	g := p.enter()
	defer g.entered.RUnlock()
	return g.BeginTx(ctx, options)
}

// Reset is that of [pgxpool.Pool].
func (p *pool) Reset() { p.current.Load().Reset() }

// Stat is that of [pgxpool.Pool].
func (p *pool) Stat() *pgxpool.Stat { return p.current.Load().Stat() }

// Config is that of [pgxpool.Pool].
func (p *pool) Config() *pgxpool.Config { return p.current.Load().Config() }

// Close ends all connections and waits for what runs on them. It may be called more than once.
func (p *pool) Close() {
	p.current.Load().Close()
	p.closing.Wait()
}

package provision

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// firstProbe and lastProbe bound how long an address that did not answer is left
	// alone: twice as long after each attempt. Games stand still from when Redis is back
	// without its users until that is noticed, so the pauses stay short.
	firstProbe = 500 * time.Millisecond
	lastProbe  = 2 * time.Second
	// maxBreakers bounds the addresses that are remembered: name servers may hand out
	// new ones for ever.
	maxBreakers = 256
)

// breakers make connections to the addresses of one store. While one does not answer,
// a single caller at a time tries it and all others get the last attempt's error at
// once: a store that is away costs one worker of the operator's, however many games it
// has.
type breakers struct {
	mu        sync.Mutex
	byAddress map[string]*breaker
}

// breaker is the state of one address (a circuit breaker:
// https://martinfowler.com/bliki/CircuitBreaker.html).
type breaker struct {
	mu      sync.Mutex
	err     error // of the last attempt; nil: the address answers
	wait    time.Duration
	next    time.Time
	probing bool
}

func (b *breakers) of(address string) *breaker {
	b.mu.Lock()
	defer b.mu.Unlock()

	if len(b.byAddress) >= maxBreakers || b.byAddress == nil {
		b.byAddress = map[string]*breaker{}
	}
	one := b.byAddress[address]
	if one == nil {
		one = &breaker{}
		b.byAddress[address] = one
	}

	return one
}

// dial connects. An address answers once its first bytes have been read: one that
// takes connections and says nothing is as good as away.
func (b *breakers) dial(ctx context.Context, network, address string) (net.Conn, error) {
	one := b.of(address)
	if err := one.allow(time.Now()); err != nil {
		return nil, err
	}

	dialer := net.Dialer{Timeout: connectTimeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		one.note(time.Now(), err)
		return nil, err
	}

	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		one.note(time.Now(), nil) // a Unix socket
		return conn, nil
	}

	return &firstRead{TCPConn: tcp, note: one.note}, nil
}

// allow returns nil if the caller may try, and then has to note the result; else the
// error of the last attempt.
func (b *breaker) allow(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.err == nil {
		return nil
	}
	if b.probing || now.Before(b.next) {
		return b.err
	}

	b.probing = true
	return nil
}

// note takes the result of an attempt.
func (b *breaker) note(now time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	b.probing = false
	switch {
	case err == nil:
		b.err, b.wait = nil, 0
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF):
		// Given up by this side, or closed by the other one, which was quick: as it is
		// when a query is cancelled.
	default:
		b.err = err
		b.wait = min(max(2*b.wait, firstProbe), lastProbe)
		b.next = now.Add(b.wait)
	}
}

// firstRead notes whether the other side says anything. It is a TCP connection in
// everything else: go-redis looks at its file descriptor for an end that came while the
// connection was idle.
type firstRead struct {
	*net.TCPConn
	once sync.Once
	note func(time.Time, error)
}

func (c *firstRead) Read(into []byte) (int, error) {
	n, err := c.TCPConn.Read(into)
	c.once.Do(func() {
		if n > 0 {
			c.note(time.Now(), nil)
		} else {
			c.note(time.Now(), err)
		}
	})
	return n, err
}

// Close implements [net.Conn]. A connection that was closed before anything was read
// says nothing about the address.
func (c *firstRead) Close() error {
	c.once.Do(func() { c.note(time.Now(), net.ErrClosed) })
	return c.TCPConn.Close()
}

package effects

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Proxy is a server in front of a store, on loopback, which sees the effects in what
// passes through it.
type Proxy struct {
	sequence *Sequence
	store    Store
	target   string
	listener net.Listener

	messages atomic.Int64

	mutex   sync.Mutex
	conns   map[net.Conn]bool
	running sync.WaitGroup
}

// parser splits what a client sends into messages, and knows which are effects.
type parser interface {
	// next reads one message. name is "" if it is no effect.
	next(from io.Reader) (message []byte, name string, err error)
	// answer reads from the server until the answer to the last message is whole.
	answer(from io.Reader) ([]byte, error)
}

// StartProxy starts a proxy in front of PostgreSQL or Redis at an address. Close ends it.
func StartProxy(ctx context.Context, sequence *Sequence, store Store, target string) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	p := &Proxy{sequence: sequence, store: store, target: target, listener: listener, conns: map[net.Conn]bool{}}
	p.running.Go(func() { p.serve(ctx) })
	return p, nil
}

// Store is a kind of store.
type Store string

// The stores that a proxy understands.
const (
	Postgres Store = "PostgreSQL"
	Redis    Store = "Redis"
)

var parsers = map[Store]func() parser{
	Postgres: func() parser { return &postgresParser{} },
	Redis:    func() parser { return &redisParser{} },
}

// Address is host:port of the proxy.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Port is its port.
func (p *Proxy) Port() int32 { return int32(p.listener.Addr().(*net.TCPAddr).Port) }

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.Cut()
	p.running.Wait()
}

// Messages is how many messages have passed: each is a statement, a command, or a step of
// a login.
func (p *Proxy) Messages() int64 { return p.messages.Load() }

// Cut ends its connections, as the end of the process would.
func (p *Proxy) Cut() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *Proxy) serve(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.relay(ctx, client) })
	}
}

// track has Cut close a connection; the returned function closes it now.
func (p *Proxy) track(conn net.Conn) (closeIt func()) {
	p.mutex.Lock()
	p.conns[conn] = true
	p.mutex.Unlock()

	return func() {
		_ = conn.Close()
		p.mutex.Lock()
		delete(p.conns, conn)
		p.mutex.Unlock()
	}
}

// relay passes one connection on until it ends or a fault ends it.
func (p *Proxy) relay(ctx context.Context, client net.Conn) {
	defer p.track(client)()
	if p.sequence.Ended() {
		return
	}

	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return
	}
	defer p.track(server)()

	parse := parsers[p.store]()
	for {
		message, name, err := parse.next(client)
		if err != nil {
			return
		}
		p.messages.Add(1)
		if name == "" {
			if p.sequence.Ended() {
				return
			}
			_, err = server.Write(message)
		} else {
			err = p.sequence.Do(string(p.store)+": "+name, func() error {
				_, err := server.Write(message)
				return err
			})
		}
		if errors.Is(err, ErrBefore) || err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, ErrEnded) {
			return
		}

		// The server is done with it when it has answered.
		answer, answerErr := parse.answer(server)
		if answerErr != nil || err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds of a connection.
const (
	headerTimeout  = 5 * time.Second
	bodyTimeout    = 15 * time.Second // headers included
	idleTimeout    = 2 * time.Minute  // longer than proxies keep theirs, so that they close first
	maxHeaderBytes = 16 << 10
	// opsConnections bounds the connections of the ops port.
	opsConnections = 64
	// profileTimeout bounds an answer of the ops port: a profile takes 30 s.
	profileTimeout = 5 * time.Minute
)

// listener is an HTTP server on its port.
type listener struct {
	name   string
	net    net.Listener
	server *http.Server
	busy   busy
	closed atomic.Bool
	served chan struct{} // closed once serve has returned
}

// listen opens the port; requests wait in its queue until serve.
func listen(ctx context.Context, name, address string, maxConnections int, handler http.Handler, answerTimeout time.Duration, log *slog.Logger) (*listener, error) {
	opened, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}

	l := &listener{name: name, net: netutil.LimitListener(opened, maxConnections), served: make(chan struct{})}
	l.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      bodyTimeout + answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         l.busy.change,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong below HTTP
	}

	return l, nil
}

func (l *listener) address() string { return l.net.Addr().String() }

// serve answers until shutdown. It is to be called once, and before shutdown
// returns.
func (l *listener) serve() error {
	defer close(l.served)
	if err := l.server.Serve(l.net); !l.closed.Load() {
		return fmt.Errorf("serve %s: %w", l.name, err)
	}
	return nil
}

// shutdown stops accepting and waits until everything that was accepted has
// been answered, as long as ctx allows.
//
// http.Server.Shutdown alone drops the requests of connections that were
// accepted and whose headers it has not read yet. So it comes last, once those
// connections have been answered or have had the time to send their headers.
func (l *listener) shutdown(ctx context.Context) error {
	l.closed.Store(true)
	_ = l.net.Close() // whatever is wrong with it, nothing more is accepted
	select {
	case <-l.served: // Shutdown would close the port a second time before that
	case <-ctx.Done():
	}

	l.busy.wait(ctx, headerTimeout)
	if err := l.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s: not everything was answered in time: %w", l.name, err), l.server.Close())
	}

	return nil
}

// busy counts the connections that are not idle: those that are new or have a
// request that is being answered.
type busy struct {
	mu          sync.Mutex
	connections map[net.Conn]struct{}
}

// change is an [http.Server.ConnState].
func (b *busy) change(conn net.Conn, state http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()

	if b.connections == nil {
		b.connections = make(map[net.Conn]struct{})
	}

	if state == http.StateNew || state == http.StateActive {
		b.connections[conn] = struct{}{}
	} else {
		delete(b.connections, conn)
	}
}

func (b *busy) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.connections)
}

// wait returns once all connections are idle or closed, at the latest after most.
func (b *busy) wait(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()

	const look = 5 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()

	for b.count() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Bounds of a connection.
const (
	headerTimeout  = 5 * time.Second
	bodyTimeout    = 15 * time.Second // headers included
	maxHeaderBytes = 16 << 10
	// opsConnections bounds the connections of the ops port.
	opsConnections = 64
	// opsIdleTimeout is longer than the time between two probes or scrapes.
	opsIdleTimeout = 2 * time.Minute
	// profileTimeout bounds an answer of the ops port: a profile takes 30 s.
	profileTimeout = 5 * time.Minute
)

// listener is an HTTP server on its port.
type listener struct {
	name        string
	connections *connections
	server      *http.Server
	closed      atomic.Bool
	served      chan struct{} // closed once serve has returned
}

// listenOptions say how a listener listens.
type listenOptions struct {
	name, address string
	// maxConnections bounds the open connections.
	maxConnections int
	// answerTimeout bounds the time from a request's body to the end of its answer.
	answerTimeout time.Duration
	// idleTimeout is how long a connection is kept open between two requests.
	idleTimeout time.Duration
}

// listen opens the port; requests wait in its queue until serve.
func listen(ctx context.Context, options listenOptions, handler http.Handler, log *slog.Logger) (*listener, error) {
	opened, err := new(net.ListenConfig).Listen(ctx, "tcp", options.address)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", options.name, err)
	}

	l := &listener{name: options.name, connections: limitConnections(opened, options.maxConnections), served: make(chan struct{})}
	l.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      bodyTimeout + options.answerTimeout,
		IdleTimeout:       options.idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         l.connections.change,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong below HTTP
	}

	return l, nil
}

func (l *listener) address() string { return l.connections.Addr().String() }

// serve answers until shutdown. It is to be called once, and before shutdown
// returns.
func (l *listener) serve() error {
	defer close(l.served)
	if err := l.server.Serve(l.connections); !l.closed.Load() {
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
	_ = l.connections.Close() // whatever is wrong with it, nothing more is accepted
	select {
	case <-l.served: // Shutdown would close the port a second time before that
	case <-ctx.Done():
	}

	l.connections.waitIdle(ctx, headerTimeout)
	if err := l.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s: not everything was answered in time: %w", l.name, err), l.server.Close())
	}

	return nil
}

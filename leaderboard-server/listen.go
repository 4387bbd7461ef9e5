package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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
}

// listen opens the port; requests wait in its queue until serve.
func listen(ctx context.Context, name, address string, maxConnections int, handler http.Handler, answerTimeout time.Duration, log *slog.Logger) (*listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", name, err)
	}
	return &listener{
		name: name,
		net:  netutil.LimitListener(l, maxConnections),
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       bodyTimeout,
			WriteTimeout:      bodyTimeout + answerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong below HTTP
		},
	}, nil
}

func (l *listener) address() string { return l.net.Addr().String() }

// serve answers until shutdown.
func (l *listener) serve() error {
	if err := l.server.Serve(l.net); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.name, err)
	}
	return nil
}

// shutdown stops accepting and waits until everything that was accepted has
// been answered, as long as ctx allows.
func (l *listener) shutdown(ctx context.Context) error {
	if err := l.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s: not everything was answered in time: %w", l.name, err), l.server.Close())
	}
	return nil
}

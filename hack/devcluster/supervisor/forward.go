package supervisor

import (
	"context"
	"io"
	"net"
	"sync"
)

// forward passes connections on to the target until ctx ends, and then closes
// them.
func forward(ctx context.Context, listener net.Listener, target string) {
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()

	var connections sync.WaitGroup
	defer connections.Wait()

	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		connections.Go(func() {
			defer client.Close()

			server, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
			if err != nil {
				return // the client sees its connection closed
			}
			defer server.Close()

			stop := context.AfterFunc(ctx, func() {
				_ = client.Close()
				_ = server.Close()
			})
			defer stop()

			var both sync.WaitGroup
			both.Go(func() { pass(server, client) })
			both.Go(func() { pass(client, server) })
			both.Wait()
		})
	}
}

// pass copies one direction and tells the other side of its end.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from) // either side may close at any time
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

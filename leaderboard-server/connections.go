package main

import (
	idlelist "container/list"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connections is a [net.Listener] that bounds the open connections. At the bound a
// new connection takes the place of the one that has been idle for longest. If all
// are busy it waits until one is not: their requests have deadlines.
//
// A client that keeps a connection open must expect it to be closed while it is
// idle, so room is made without an answer being lost, but for a request that is on
// its way at that very moment.
type connections struct {
	net.Listener
	most   int
	room   chan struct{} // of capacity 1: a connection has become idle or closed
	closed chan struct{} // closed with the listener
	close  func() error

	mu   sync.Mutex
	open int
	idle *idlelist.List // of *connection, the longest idle first

	waiting       atomic.Bool  // a connection waits for room
	waits         atomic.Int64 // how many had to
	closedForRoom atomic.Int64
}

func limitConnections(listener net.Listener, most int) *connections {
	c := &connections{Listener: listener, most: most, room: make(chan struct{}, 1), closed: make(chan struct{}), idle: idlelist.New()}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		return listener.Close()
	})
	return c
}

// connection is an open connection. The fields are guarded by connections.mu.
type connection struct {
	net.Conn
	of      *connections
	element *idlelist.Element // in idle; nil: busy
	gone    bool              // no longer counted
	// isIdle is element != nil, for Read to see without the lock.
	isIdle atomic.Bool
}

// Accept implements [net.Listener]. One goroutine may call it at a time.
func (c *connections) Accept() (net.Conn, error) {
	accepted, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}

	conn := &connection{Conn: accepted, of: c}
	if c.admit(false) {
		return conn, nil
	}

	c.waits.Add(1)
	c.waiting.Store(true)
	defer c.waiting.Store(false)

	for {
		select {
		case <-c.room:
			if c.admit(false) {
				return conn, nil
			}
		case <-c.closed: // the last one that is accepted is still answered
			c.admit(true)
			return conn, nil
		}
	}
}

// Close implements [net.Listener]: no further connection is accepted. The open ones
// stay.
func (c *connections) Close() error { return c.close() }

// admit counts a new connection if there is room or room can be made.
func (c *connections) admit(always bool) bool {
	victim, ok := c.take(always)
	if victim != nil {
		c.closedForRoom.Add(1)
		_ = victim.Conn.Close() // nothing was being sent on it
	}
	return ok
}

// take takes the place of a new connection, in return for victim's if it is not nil.
func (c *connections) take(always bool) (victim *connection, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	longest := c.idle.Front()
	switch {
	case c.open < c.most || always:
		c.open++
		return nil, true
	case longest == nil:
		return nil, false
	}

	victim = longest.Value.(*connection)
	victim.setBusy()
	victim.gone = true
	return victim, true
}

// change is an [http.Server.ConnState].
func (c *connections) change(conn net.Conn, state http.ConnState) {
	changed, ok := conn.(*connection)
	if !ok {
		return
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	switch {
	case changed.gone:
	case state == http.StateIdle && changed.element == nil:
		changed.element = c.idle.PushBack(changed)
		changed.isIdle.Store(true)
		c.hasRoom()
	case state == http.StateActive:
		changed.setBusy()
	}
}

func (conn *connection) setBusy() {
	if conn.element != nil {
		conn.of.idle.Remove(conn.element)
		conn.element = nil
		conn.isIdle.Store(false)
	}
}

func (c *connections) hasRoom() {
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// Read implements [net.Conn]. What arrives on an idle connection is the beginning
// of a request, and the server says so only once it has all headers: until then the
// connection is the last to be closed for room.
func (conn *connection) Read(p []byte) (int, error) {
	n, err := conn.Conn.Read(p)
	if n > 0 && conn.isIdle.Load() {
		conn.of.mu.Lock()
		defer conn.of.mu.Unlock()

		if conn.element != nil {
			conn.of.idle.MoveToBack(conn.element)
		}
	}
	return n, err
}

// Close implements [net.Conn].
func (conn *connection) Close() error {
	conn.of.mu.Lock()
	if !conn.gone {
		conn.setBusy()
		conn.gone = true
		conn.of.open--
		conn.of.hasRoom()
	}
	conn.of.mu.Unlock()

	return conn.Conn.Close()
}

// count returns how many connections are idle, and how many are not: those that
// are new or have a request that is being answered.
func (c *connections) count() (idle, busy int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle.Len(), c.open - c.idle.Len()
}

// check fails while a connection waits because all others are busy.
func (c *connections) check(context.Context) error {
	if c.waiting.Load() {
		return errors.New("every connection that there may be is busy: new ones wait")
	}
	return nil
}

// waitIdle returns once no connection is busy, at the latest after most.
func (c *connections) waitIdle(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()

	const pollInterval = 5 * time.Millisecond
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()

	for {
		if _, busy := c.count(); busy == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

package provision

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errAway = errors.New("connection refused")

func TestBreaker(t *testing.T) {
	now := time.Now()
	b := &breaker{}
	for range 3 { // while it answers, any number may try
		require.NoError(t, b.allow(now))
	}

	b.note(now, nil)
	b.note(now, errAway)
	require.Equal(t, errAway, b.allow(now.Add(firstProbe-1)))
	require.NoError(t, b.allow(now.Add(firstProbe)))
	require.Equal(t, errAway, b.allow(now.Add(firstProbe)), "one at a time")

	// The pauses double up to the last one.
	now = now.Add(firstProbe)
	for wait := 2 * firstProbe; wait < 4*lastProbe; wait *= 2 {
		b.note(now, errAway)
		pause := min(wait, lastProbe)
		require.Error(t, b.allow(now.Add(pause-1)))
		now = now.Add(pause)
		require.NoError(t, b.allow(now))
	}

	// What was given up lets the next one try.
	b.note(now, context.Canceled)
	require.NoError(t, b.allow(now))
	b.note(now, io.EOF)
	require.NoError(t, b.allow(now))
	b.note(now, nil)
	require.NoError(t, b.allow(now))
	require.NoError(t, b.allow(now), "it answers")
}

// An address answers once something was read from it.
func TestBreakerOfAnAddressThatSaysNothing(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()

	b := &breakers{}
	conn, err := b.dial(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now()))
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, conn.Close())
	_, denied := b.dial(t.Context(), "tcp", listener.Addr().String())
	require.Equal(t, err, denied, "the last attempt's error, at once")
}

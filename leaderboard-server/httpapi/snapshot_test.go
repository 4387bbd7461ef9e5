package httpapi

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Readings follow each other under load without anybody waiting for one, and
// nobody gets one that began more than ttl ago.
func TestASnapshotIsRenewedBeforeItIsTooOld(t *testing.T) {
	const ttl, takes = 20 * time.Millisecond, 4 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		cache, err := newPageCache(ttl, time.Second)
		require.NoError(t, err)
		start := time.Now()
		var readings atomic.Int64
		get := func() (age, waited time.Duration) {
			asked := time.Now()
			body, err := cache.get(t.Context(), pageKey{board: "b"}, func(context.Context) ([]byte, error) {
				readings.Add(1)
				begun := time.Since(start)
				time.Sleep(takes)
				return []byte(strconv.FormatInt(int64(begun), 10)), nil
			})

			require.NoError(t, err)
			begun, err := strconv.ParseInt(string(body), 10, 64)
			require.NoError(t, err)

			return time.Since(start) - time.Duration(begun), time.Since(asked)
		}

		_, waited := get()
		require.Equal(t, takes, waited, "there was none")
		for range 300 {
			time.Sleep(time.Millisecond)
			age, waited := get()
			require.Zero(t, waited)
			require.Less(t, age, ttl)
		}

		require.InDelta(t, 300*time.Millisecond/(ttl/2), readings.Load(), 2, "one in half of ttl")
		time.Sleep(ttl) // nobody asks
		age, waited := get()
		require.Equal(t, takes, waited, "too old")
		require.Equal(t, takes, age)
	})
}

// While the ranking cannot be read the last snapshot is shown until it is too old.
func TestAFailedRenewalShowsInTheEnd(t *testing.T) {
	const ttl = 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		cache, err := newPageCache(ttl, time.Second)
		require.NoError(t, err)
		var broken error
		get := func() error {
			_, err := cache.get(t.Context(), pageKey{board: "b"}, func(context.Context) ([]byte, error) { return []byte("page"), broken })
			return err
		}

		require.NoError(t, get())
		broken = errors.New("Redis is away")
		time.Sleep(ttl - time.Millisecond)
		require.NoError(t, get())
		synctest.Wait()
		time.Sleep(time.Millisecond)
		require.ErrorIs(t, get(), broken)
	})
}

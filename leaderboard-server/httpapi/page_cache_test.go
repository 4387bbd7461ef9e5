package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Readings follow each other under load without a request waiting for one, and no
// request gets one that began more than ttl ago.
func TestAPageIsRenewedBeforeItIsTooOld(t *testing.T) {
	const ttl, takes = 20 * time.Millisecond, 4 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		cache, err := newPageCache(ttl, time.Second, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		start := time.Now()
		var readings atomic.Int64
		get := func() (age, waited time.Duration) {
			asked := time.Now()
			page, err := cache.get(t.Context(), pageKey{board: "b"}, func(context.Context) ([]byte, error) {
				readings.Add(1)
				begun := time.Since(start)
				time.Sleep(takes)
				return []byte(strconv.FormatInt(int64(begun), 10)), nil
			})

			require.NoError(t, err)
			begun, err := strconv.ParseInt(string(page.body), 10, 64)
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

// A reading that takes long is for those who came within ttl of its beginning; who comes later
// waits for the next one.
func TestASlowReadingIsNotForThoseWhoComeLater(t *testing.T) {
	const ttl, takes = 20 * time.Millisecond, 200 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		cache, err := newPageCache(ttl, time.Second, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		start := time.Now()
		get := func() (asked, begun time.Duration) {
			asked = time.Since(start)
			page, err := cache.get(t.Context(), pageKey{board: "b"}, func(context.Context) ([]byte, error) {
				begun := time.Since(start)
				time.Sleep(takes)
				return []byte(strconv.FormatInt(int64(begun), 10)), nil
			})
			require.NoError(t, err)
			read, err := strconv.ParseInt(string(page.body), 10, 64)
			require.NoError(t, err)
			return asked, time.Duration(read)
		}

		var readers sync.WaitGroup
		for range 50 {
			readers.Go(func() {
				asked, begun := get()
				require.LessOrEqual(t, asked-begun, ttl)
			})
			time.Sleep(7 * time.Millisecond)
		}
		readers.Wait()
	})
}

// While the ranking cannot be read the last page is shown until it is too old.
func TestAFailedRenewalShowsInTheEnd(t *testing.T) {
	const ttl = 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		cache, err := newPageCache(ttl, time.Second, slog.New(slog.DiscardHandler))
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

// A panic while a page is read is answered to all that wait, and logged though no
// request may wait; the process and the cache go on.
func TestAPanicIsAnsweredToAllThatWait(t *testing.T) {
	const ttl = 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		var logs strings.Builder
		cache, err := newPageCache(ttl, time.Second, slog.New(slog.NewTextHandler(&logs, nil)))
		require.NoError(t, err)
		panics := func(context.Context) ([]byte, error) {
			time.Sleep(time.Millisecond)
			panic("a defect with secrets in it")
		}
		reads := func(context.Context) ([]byte, error) { return []byte("page"), nil }
		get := func(read pageReader) error {
			_, err := cache.get(t.Context(), pageKey{board: "b"}, read)
			return err
		}

		errs := make(chan error, 3)
		for range cap(errs) {
			go func() { errs <- get(panics) }()
		}

		for range cap(errs) {
			w := httptest.NewRecorder()
			fail(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), <-errs)
			require.Equal(t, http.StatusInternalServerError, w.Code)
			require.NotContains(t, w.Body.String(), "secrets")
		}

		require.Equal(t, 1, strings.Count(logs.String(), "reading a shared page panicked"))
		require.Contains(t, logs.String(), "page_cache_test.go", "the stack")

		require.NoError(t, get(reads), "the next reading is a new one")
		time.Sleep(ttl / 2)
		require.NoError(t, get(panics), "renewed for a page that is still good")
		synctest.Wait()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, 2, strings.Count(logs.String(), "reading a shared page panicked"))
	})
}

// Pages together take a bounded number of bytes, however long they are.
func TestCachedPagesAreBounded(t *testing.T) {
	cache, err := newPageCache(time.Hour, time.Second, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	get := func(page int64, size int) {
		_, err := cache.get(t.Context(), pageKey{page: page}, func(context.Context) ([]byte, error) { return make([]byte, size), nil })
		require.NoError(t, err)
	}
	kept := func() (bytes int) {
		for _, page := range cache.pages.Values() {
			bytes += len(page.body)
		}
		require.Equal(t, bytes, cache.bytes)
		return bytes
	}

	const long = 1 << 20
	for page := range int64(20) {
		get(page, long)
		require.LessOrEqual(t, kept(), maxCachedBytes)
	}
	require.Equal(t, maxCachedBytes, kept())
	for page := range int64(2 * maxCachedPages) {
		get(100+page, 10)
	}
	require.Equal(t, 10*maxCachedPages, kept(), "the latest ones")
	get(1000, maxCachedBytes+1)
	require.Zero(t, kept(), "there is no room for it")

	// One that is renewed takes the place of the last one.
	cache.ttl = 0
	for range 10 {
		get(1, long)
	}
	require.Equal(t, long, kept())
}

package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// sharedPages: pages beyond these are asked for too seldom to be shared.
	sharedPages = 3
	// maxCachedPages bounds the pages that are kept, some 20 KiB each, and maxCachedBytes
	// what they take together, as one with metadata may have 2 MiB.
	maxCachedPages = 256
	maxCachedBytes = 8 << 20
)

type pageKey struct {
	board      string
	page, size int64
	include    leaderboard.Include
}

type cachedPage struct {
	document
	// begun is the time before the reading: the content is never older.
	begun time.Time
}

// pageReader reads a page and encodes it.
type pageReader func(context.Context) ([]byte, error)

// pageCache shares one reading of a page among the requests for it that come
// without a token within ttl.
type pageCache struct {
	ttl     time.Duration
	timeout time.Duration
	log     *slog.Logger
	pages   *lru.Cache[pageKey, cachedPage]
	flight  singleflight.Group

	mu    sync.Mutex // held to add pages
	bytes int        // of the pages that are kept
}

func newPageCache(ttl, timeout time.Duration, log *slog.Logger) (*pageCache, error) {
	c := &pageCache{ttl: ttl, timeout: timeout, log: log}
	var err error
	c.pages, err = lru.NewWithEvict(maxCachedPages, func(_ pageKey, page cachedPage) { c.bytes -= len(page.body) })
	if err != nil {
		return nil, fmt.Errorf("make the cache of pages: %w", err)
	}
	return c, nil
}

// keep keeps a page, and as many others as there is room for.
func (c *pageCache) keep(key pageKey, page cachedPage) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.pages.Remove(key) // else it would be replaced without a word
	c.pages.Add(key, page)
	for c.bytes += len(page.body); c.bytes > maxCachedBytes; {
		c.pages.RemoveOldest()
	}
}

func (c *pageCache) covers(key pageKey) bool { return c.ttl > 0 && key.page <= sharedPages }

// get returns the page, reading it unless a reading is younger than ttl. A request
// that finds it half as old starts the next reading and still gets the last one, so
// that under load no request waits.
func (c *pageCache) get(ctx context.Context, key pageKey, read pageReader) (document, error) {
	page, ok := c.pages.Get(key)
	age := time.Since(page.begun)
	if ok && age < c.ttl/2 {
		return page.document, nil
	}

	for asked := time.Now(); ; {
		result := c.flight.DoChan(fmt.Sprint(key), func() (any, error) {
			return c.renew(ctx, key, read)
		})
		if ok && age < c.ttl {
			return page.document, nil
		}

		select {
		case r := <-result:
			if r.Err != nil {
				return document{}, r.Err
			}
			// A reading that takes long may have begun long before this request came.
			if renewed := r.Val.(cachedPage); asked.Sub(renewed.begun) <= c.ttl {
				return renewed.document, nil
			}
		case <-ctx.Done():
			return document{}, ctx.Err()
		}
	}
}

// renew reads the page. It outlives the request that started it, as others wait for
// it too.
//
// It runs in a goroutine of its own, where a panic would end the process: the panic
// becomes the error of all that wait. There may be none, so it is logged here.
func (c *pageCache) renew(ctx context.Context, key pageKey, read pageReader) (page cachedPage, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()

	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic while reading a page: %v", cause)
			c.log.ErrorContext(ctx, "reading a shared page panicked", "board", key.board, "page", key.page,
				"error", err, "stack", string(debug.Stack()))
		}
	}()

	begun := time.Now()
	body, err := read(ctx)
	if err != nil {
		return cachedPage{}, err
	}

	page = cachedPage{document: newDocument(body), begun: begun}
	c.keep(key, page)
	return page, nil
}

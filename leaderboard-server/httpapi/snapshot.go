package httpapi

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// snapshotPages: pages beyond these are asked for too seldom to be shared.
	snapshotPages = 3
	// snapshots bounds the pages that are kept, some 20 KiB each.
	snapshots = 256
)

type pageKey struct {
	board      string
	page, size int64
}

type snapshot struct {
	body []byte
	// begun is from before the reading: what is told is never older.
	begun time.Time
}

// pageCache shares one reading of a page among those who ask for it without a
// token within ttl.
type pageCache struct {
	ttl     time.Duration
	timeout time.Duration
	pages   *lru.Cache[pageKey, snapshot]
	flight  singleflight.Group
}

func newPageCache(ttl, timeout time.Duration) (*pageCache, error) {
	pages, err := lru.New[pageKey, snapshot](snapshots)
	if err != nil {
		return nil, fmt.Errorf("make the cache of pages: %w", err)
	}
	return &pageCache{ttl: ttl, timeout: timeout, pages: pages}, nil
}

func (c *pageCache) covers(key pageKey) bool { return c.ttl > 0 && key.page <= snapshotPages }

// get returns the page, reading it unless a reading is younger than ttl. Whoever
// finds it half as old starts the next reading and still gets the last: under load
// nobody waits. A reading outlives the one request that started it, as others wait
// for it.
func (c *pageCache) get(ctx context.Context, key pageKey, read func(context.Context) ([]byte, error)) ([]byte, error) {
	s, ok := c.pages.Get(key)
	age := time.Since(s.begun)
	if ok && age < c.ttl/2 {
		return s.body, nil
	}

	result := c.flight.DoChan(fmt.Sprintf("%s/%d/%d", key.board, key.page, key.size), func() (any, error) {
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
		defer cancel()

		begun := time.Now()
		body, err := read(detached)
		if err != nil {
			return nil, err
		}

		c.pages.Add(key, snapshot{body: body, begun: begun})
		return body, nil
	})
	if ok && age < c.ttl {
		return s.body, nil
	}

	select {
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]byte), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

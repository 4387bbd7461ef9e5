package postgres

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// cachedReports bounds the reports that are kept, up to 150 KB each.
	cachedReports = 64
	// reportQueue bounds the reports that wait for a connection.
	reportQueue = 32
)

// reportKey is the question that a report answers.
type reportKey struct {
	board    int32
	from, to int64 // Unix microseconds
	limit    int
}

type cachedReport struct {
	rows []leaderboard.ReportRow
	// begun is from before the reading.
	begun time.Time
}

// reportCache answers the same question within ttl once, and one at a time.
type reportCache struct {
	ttl, timeout time.Duration
	recent       *lru.Cache[reportKey, cachedReport]
	flight       singleflight.Group
}

func newReportCache(ttl, timeout time.Duration) (*reportCache, error) {
	recent, err := lru.New[reportKey, cachedReport](cachedReports)
	if err != nil {
		return nil, fmt.Errorf("make the cache of reports: %w", err)
	}
	return &reportCache{ttl: ttl, timeout: timeout, recent: recent}, nil
}

// get returns the report, from memory if it is younger than ttl. A reading outlives
// the request that started it, as others wait for it. Callers must not change rows.
func (c *reportCache) get(ctx context.Context, key reportKey, read func(context.Context) ([]leaderboard.ReportRow, error)) ([]leaderboard.ReportRow, error) {
	if c.ttl <= 0 {
		return read(ctx)
	}
	if cached, ok := c.recent.Get(key); ok && time.Since(cached.begun) < c.ttl {
		return cached.rows, nil
	}

	rows, err, _ := c.flight.Do(fmt.Sprint(key), func() (any, error) {
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
		defer cancel()

		begun := time.Now()
		rows, err := read(detached)
		if err == nil {
			c.recent.Add(key, cachedReport{rows, begun})
		}
		return rows, err
	})
	if err != nil {
		return nil, err
	}

	return rows.([]leaderboard.ReportRow), nil
}

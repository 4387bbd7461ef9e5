package functions

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Ensure loads the library on a node that does not have it. A replica gets it from its
// primary.
func Ensure(ctx context.Context, node goredis.Cmdable) error {
	found, err := node.FunctionList(ctx, goredis.FunctionListQuery{LibraryNamePattern: Library}).Result()
	if err != nil {
		return fmt.Errorf("look for the functions %s: %w", Library, err)
	}
	if len(found) > 0 {
		return nil
	}

	if err := load(ctx, node); err != nil && !goredis.IsReadOnlyError(err) {
		return err
	}
	return nil
}

func load(ctx context.Context, primary goredis.Cmdable) error {
	err := primary.FunctionLoad(ctx, Source).Err()
	if err != nil && !strings.Contains(err.Error(), "already exists") { // somebody else was faster
		return fmt.Errorf("load the functions %s: %w", Library, err)
	}
	return nil
}

// IsMissing says whether a call failed since the node does not have the library.
func IsMissing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Function not found")
}

// loadInterval is how often a Loader tries: the text has some 20 KB.
const loadInterval = time.Second

// ErrNotLoaded is that the library is missing and this user may not load it, which the
// operator does within seconds.
var ErrNotLoaded = errors.New("the function library is not on Redis, and the operator has to load it")

// Loader loads the library for a server that nobody provides for, as on a laptop. It is
// safe for concurrent use.
type Loader struct {
	client goredis.UniversalClient

	mutex   sync.Mutex
	last    error
	nextTry time.Time
}

// NewLoader loads on the primaries of the client's Redis.
func NewLoader(client goredis.UniversalClient) *Loader { return &Loader{client: client} }

// Load loads the library on every primary. After a failure it does not ask again for a
// second, and returns the same error.
func (l *Loader) Load(ctx context.Context) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()

	if l.last != nil && time.Now().Before(l.nextTry) {
		return l.last
	}

	l.last = l.loadAll(ctx)
	l.nextTry = time.Now().Add(loadInterval)
	return l.last
}

func (l *Loader) loadAll(ctx context.Context) error {
	var err error
	if cluster, ok := l.client.(*goredis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error { return load(ctx, master) })
	} else {
		err = load(ctx, l.client)
	}

	if err != nil && strings.Contains(err.Error(), "NOPERM") {
		return fmt.Errorf("%w: %s", ErrNotLoaded, Library)
	}
	return err
}

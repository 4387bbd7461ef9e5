package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// errReadOnly is a server that answers and takes no writes.
var errReadOnly = errors.New("PostgreSQL is read-only: it is a standby, or default_transaction_read_only is on")

// refusalMemory is for how long a refused write counts as the server's state: longer
// than what readiness is asked in.
const refusalMemory = 15 * time.Second

// Errors after which no connection of the pool is worth keeping: the server became
// read-only, is going down or coming up, or is in recovery.
var lostServer = []string{stateReadOnlyTransaction, stateAdminShutdown, stateCrashShutdown, stateCannotConnectNow, stateNotInPrerequisite}

// writable remembers whether the server took the last write, and gives up the
// connections to one that cannot.
type writable struct {
	reset func()
	last  atomic.Pointer[refusedWrite]
}

type refusedWrite struct {
	at  time.Time
	err error
}

// observe takes the result of a write, or of a read that only a primary answers, over
// a connection (nil: it is not known).
func (w *writable) observe(conn *pgx.Conn, err error) {
	state := sqlState(err)
	switch {
	case err == nil:
		if w.last.Load() != nil {
			w.last.Store(nil)
		}
	case slices.Contains(lostServer, state):
		w.last.Store(&refusedWrite{time.Now(), err})
		if conn != nil {
			// The pool destroys what is released closed. A goodbye is not waited for.
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = conn.Close(ctx)
		}
		w.reset()
	case inClass(state, classInsufficientResources): // disk, memory or connections
		w.last.Store(&refusedWrite{time.Now(), err})
	}
}

// refused is why the server takes no writes now; nil if it did, or was not asked
// lately.
func (w *writable) refused() error {
	if last := w.last.Load(); last != nil && time.Since(last.at) < refusalMemory {
		return fmt.Errorf("PostgreSQL refused to store a score %s ago: %w", time.Since(last.at).Round(time.Second), last.err)
	}
	return nil
}

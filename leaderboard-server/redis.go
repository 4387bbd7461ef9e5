package main

import (
	"context"
	"fmt"
	"log/slog"
)

// redisLog takes what the Redis library would print. Whatever matters of it
// also comes back as an error.
type redisLog struct{ log *slog.Logger }

// Printf implements the library's interface.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis library", "message", fmt.Sprintf(format, v...))
}

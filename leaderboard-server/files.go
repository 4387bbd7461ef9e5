package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// filePoll is how often files are looked at. Reading two small files beats being
// told of changes: it works the same for a file, a link that is swapped as
// kubelet does it, and a network file system.
const filePoll = 2 * time.Second

// watchedFile is a file whose content takes effect without a restart.
type watchedFile struct {
	path  string
	apply func(ctx context.Context, content []byte) error
	log   *slog.Logger

	applied []byte // nil: nothing yet
	failure string // the last one that was logged
}

// check applies the file if it has changed since it was last applied.
func (f *watchedFile) check(ctx context.Context) error {
	content, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("read a file of the configuration: %w", err)
	}
	if f.applied != nil && bytes.Equal(content, f.applied) {
		return nil
	}
	if err := f.apply(ctx, content); err != nil {
		return fmt.Errorf("apply %s: %w", f.path, err)
	}

	if f.applied != nil {
		f.log.InfoContext(ctx, "a file of the configuration was read again", "file", f.path)
	}

	f.applied = append([]byte{}, content...)
	return nil
}

// watch checks the file until ctx ends. What cannot be applied is logged once,
// and what was applied before goes on.
func (f *watchedFile) watch(ctx context.Context) {
	ticker := time.NewTicker(filePoll)
	defer ticker.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := f.check(ctx)
		switch {
		case err == nil:
			f.failure = ""
		case ctx.Err() == nil && err.Error() != f.failure:
			f.failure = err.Error()
			f.log.ErrorContext(ctx, "a file of the configuration cannot be used, what was read before goes on", "error", err)
		}
	}
}

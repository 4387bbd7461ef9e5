package telemetry

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// NewLogger writes lines of JSON or text, from a level on.
func NewLogger(w io.Writer, settings config.Log) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(settings.Level)); err != nil {
		return nil, fmt.Errorf("%s: %w", config.EnvLogLevel, err)
	}

	options := &slog.HandlerOptions{Level: level}
	if settings.Format == "text" {
		return slog.New(slog.NewTextHandler(w, options)), nil
	}

	return slog.New(slog.NewJSONHandler(w, options)), nil
}

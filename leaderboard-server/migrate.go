package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

const connectTimeout = 10 * time.Second

func migrate(ctx context.Context, environ []string, stdout io.Writer) error {
	settings, err := config.FromEnvironment(environ)
	if err == nil {
		err = settings.ValidateDatabase()
	}

	if err != nil {
		return fmt.Errorf("the configuration is wrong:\n%w", err)
	}

	schema, err := migrateDatabase(ctx, settings.Database.SessionURL())
	if err != nil {
		return err
	}

	fmt.Fprintf(stdout, "schema %s has version %d\n", schema, postgres.RequiredVersion())
	return nil
}

// migrateDatabase migrates the schema that the URL's connections work in.
func migrateDatabase(ctx context.Context, url config.Secret) (schema string, err error) {
	conn, settings, err := connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, goodbye(ctx, conn)) }()

	// A search_path in the URL may name a schema that does not exist yet.
	path, _, _ := strings.Cut(settings.RuntimeParams["search_path"], ",")
	if schema = strings.Trim(strings.TrimSpace(path), `"`); schema == "" {
		attempt, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()

		if err := conn.QueryRow(attempt, "SELECT coalesce(current_schema(), '')").Scan(&schema); err != nil {
			return "", fmt.Errorf("find the schema to migrate: %w", err)
		}
	}

	if schema == "" {
		return "", errors.New("the role's search_path names no schema that exists: add ?search_path=NAME to " + config.EnvDatabaseURL)
	}

	return schema, postgres.Migrate(ctx, conn, schema)
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

const (
	// auditPurpose is that of the seal of the audit.
	auditPurpose = "audit"
	// sealInterval is how often it is looked whether the key of the audit's seal was
	// superseded: keys are kept for longer.
	sealInterval = 10 * time.Minute
)

// audit runs the commands about the audit: verify is all that there is.
func audit(ctx context.Context, arguments, environ []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("leaderboard-server audit verify", flag.ContinueOnError)
	flags.SetOutput(stderr)
	head := flags.String("head", "", "`NUMBER:HASH` of a record that is known from elsewhere, such as an answer of the API or a log of the server")
	if len(arguments) == 0 || arguments[0] != "verify" {
		flags.Usage()
		return errors.New("the command audit takes verify")
	}
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("audit verify takes no argument %q", flags.Arg(0))
	}

	settings, err := config.FromEnvironment(environ)
	if err == nil {
		err = settings.ValidateDatabase()
	}
	if err != nil {
		return fmt.Errorf("the configuration is wrong:\n%w", err)
	}
	return verifyAudit(ctx, settings, *head, stdout)
}

func verifyAudit(ctx context.Context, settings config.Config, head string, stdout io.Writer) (err error) {
	var vouched *leaderboard.AuditHead
	if head != "" {
		known, err := leaderboard.ParseAuditHead(head)
		if err != nil {
			return err
		}
		vouched = &known
	}

	file, err := os.ReadFile(settings.Auth.KeySetFile)
	if err != nil {
		return fmt.Errorf("read the signing keys, which %s names: %w", config.EnvKeySetFile, err)
	}
	keys, err := keyset.Parse(file)
	if err != nil {
		return err
	}
	tokens, err := auth.NewTokens(settings.Tenant, settings.Auth.TokenTTL, time.Now)
	if err != nil {
		return err
	}
	tokens.SetKeys(keys)

	conn, _, err := connect(ctx, settings.Database.SessionURL())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, goodbye(ctx, conn)) }()

	last, err := postgres.VerifyAudit(ctx, conn, tokens.Sealer(auditPurpose), vouched)
	if broken := (*postgres.BrokenAuditError)(nil); errors.As(err, &broken) {
		fmt.Fprintln(stdout, broken.Number)
		return fmt.Errorf("the audit is broken: %w", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "the audit is sound, its head is %s\n", last)
	return nil
}

// sealAudit keeps the seal of the audit one of a key that is there for long.
func (s *server) sealAudit(ctx context.Context) {
	for {
		if err := s.ledger.SealAudit(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "the audit could not be sealed again", "error", err)
		}
		if !sleep(ctx, sealInterval) {
			return
		}
	}
}

// connect makes one connection to the database.
func connect(ctx context.Context, url config.Secret) (*pgx.Conn, *pgx.ConnConfig, error) {
	settings, err := pgx.ParseConfig(url.Reveal())
	if err != nil {
		return nil, nil, fmt.Errorf("%s is not a valid PostgreSQL URL", config.EnvDatabaseURL) // pgx' error may quote it
	}

	attempt, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()

	conn, err := pgx.ConnectConfig(attempt, settings)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the database: %w", err)
	}
	return conn, settings, nil
}

// goodbye ends a connection that connect made.
func goodbye(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return conn.Close(ctx)
}

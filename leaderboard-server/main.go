// Command leaderboard-server serves one game's leaderboards over HTTP. It is
// configured by environment variables alone: package config says which.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
	_ "golang.org/x/crypto/x509roots/fallback" // public authorities, for images that have none

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// version is set when the program is built.
var version = "dev"

const usage = `usage: leaderboard-server COMMAND

Commands:
  serve      serve the API until SIGTERM or SIGINT
  migrate    bring the database's schema up to this program's version
  audit verify [-head NUMBER:HASH]
             check that nobody has changed the audit; if somebody has, print the
             number of the first bad record and exit with 1
  keys       print a fresh set of signing keys, for the file LEADERBOARD_KEY_SET_FILE
  version    print the version

All settings are environment variables that begin with LEADERBOARD_.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()

	if err != nil {
		fmt.Fprintln(os.Stderr, "leaderboard-server:", err)
		os.Exit(1)
	}
}

// run executes one command.
func run(ctx context.Context, arguments, environ []string, stdout, stderr io.Writer) error {
	if len(arguments) > 0 && arguments[0] == "audit" {
		return audit(ctx, arguments[1:], environ, stdout, stderr)
	}
	if len(arguments) != 1 {
		fmt.Fprint(stderr, usage)
		return errors.New("exactly one command is needed")
	}

	switch arguments[0] {
	case "serve":
		return serve(ctx, environ, stderr)
	case "migrate":
		return migrate(ctx, environ, stdout)
	case "keys":
		keys, err := keyset.New(time.Now())
		if err != nil {
			return err
		}
		file, err := keys.Marshal()
		if err != nil {
			return err
		}
		_, err = stdout.Write(file)
		return err
	case "version":
		fmt.Fprintln(stdout, version)
		return nil
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	}

	fmt.Fprint(stderr, usage)
	return fmt.Errorf("there is no command %q", arguments[0])
}

func serve(ctx context.Context, environ []string, stderr io.Writer) error {
	settings, err := config.FromEnvironment(environ)
	if err == nil {
		err = settings.Validate()
	}

	if err != nil {
		return fmt.Errorf("the configuration is wrong:\n%w", err)
	}

	server, err := newServer(settings, stderr)
	if err != nil {
		return err
	}

	goredis.SetLogger(redisLog{server.log})
	return server.Run(ctx)
}

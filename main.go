// Command leaderboard-operator reconciles Leaderboards and LeaderboardClasses.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/redis/go-redis/v9"
	_ "golang.org/x/crypto/x509roots/fallback" // public authorities, for images that have none
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "leaderboard-operator:", err)
		}
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "version" {
		fmt.Fprintln(stdout, version)
		return nil
	}

	options := controllers.ManagerOptions{Version: version, SecretOverlap: controllers.DefaultSecretOverlap}
	flags := flag.NewFlagSet("leaderboard-operator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bind(flags, &options)
	level := flags.String("log-level", "info", "debug, info, warn or error")
	format := flags.String("log-format", "json", "json or text")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: the only command is version, everything else is a flag", flags.Arg(0))
	}

	logger, err := newLogger(stderr, *level, *format)
	if err != nil {
		return err
	}

	ctrl.SetLogger(logger)
	klog.SetLogger(logger) // client-go's
	redis.SetLogger(redisLogger{logger})
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}

	manager, err := controllers.NewManager(config, options)
	if err != nil {
		return err
	}

	logger.Info("Starting", "version", version, "controllerName", options.ControllerName, "namespace", options.Namespace)
	if err := manager.Start(ctx); err != nil {
		return fmt.Errorf("run the manager: %w", err)
	}

	return nil
}

// bind makes the flags that set the options.
func bind(flags *flag.FlagSet, o *controllers.ManagerOptions) {
	flags.StringVar(&o.Namespace, "namespace", os.Getenv("POD_NAMESPACE"),
		"the operator's namespace, where the admin Secrets of classes and the lease are; default: $POD_NAMESPACE")
	flags.StringVar(&o.ControllerName, "controller-name", v1alpha1.DefaultControllerName,
		"serve the classes whose controllerName this is")
	flags.Func("watch-namespaces", "see to the Leaderboards of these namespaces, separated by commas, and no others; default: all", func(value string) error {
		if o.WatchNamespaces = nil; value != "" {
			o.WatchNamespaces = strings.Split(value, ",")
		}
		return nil
	})
	flags.StringVar(&o.ClusterID, "cluster-id", "",
		"tells clusters that share stores apart; part of the names of new tenants; default: the UID of the namespace kube-system")
	flags.DurationVar(&o.Resync, "resync", controllers.DefaultResync,
		"how often everything is compared with what it should be, from 1s to 1h")
	flags.DurationVar(&o.Retirement.Least, "retire-logins-after", controllers.DefaultRetirement.Least,
		"how long a login still works that was replaced: as long as nodes take to give Pods a Secret that has changed")
	flags.DurationVar(&o.Retirement.Most, "retire-logins-by", controllers.DefaultRetirement.Most,
		"when such a login ends although there are sessions of it")
	flags.IntVar(&o.MaxConcurrentReconciles, "max-concurrent-reconciles", controllers.DefaultMaxConcurrentReconciles,
		"how many Leaderboards are reconciled at the same time")
	flags.StringVar(&o.MetricsAddress, "metrics-address", ":8080", "where metrics are served; 0 turns them off")
	flags.BoolVar(&o.MetricsSecure, "metrics-secure", false, "serve metrics over TLS")
	flags.StringVar(&o.MetricsCertDir, "metrics-cert-dir", "",
		"folder with tls.crt and tls.key for -metrics-secure; default: a self-signed certificate")
	flags.StringVar(&o.ProbeAddress, "probe-address", ":8081", "where /healthz and /readyz are served")
	flags.StringVar(&o.PprofAddress, "pprof-address", "", "where profiles are served; default: nowhere")
	flags.BoolVar(&o.LeaderElection, "leader-elect", true, "only one of several operators works at a time")
	flags.DurationVar(&o.Election.Lease, "leader-election-lease", controllers.DefaultElection.Lease,
		"for how long a leader that is not heard of keeps the lead")
	flags.DurationVar(&o.Election.Renew, "leader-election-renew", controllers.DefaultElection.Renew,
		"when a leader stops that cannot renew its lease")
	flags.DurationVar(&o.Election.Retry, "leader-election-retry", controllers.DefaultElection.Retry,
		"how often the lease is asked for and renewed")
	flags.BoolVar(&o.MetricsOfGames, "metrics-of-games", true, "serve the conditions of every game as metrics, four series each")
	flags.DurationVar(&o.ShutdownTimeout, "shutdown-timeout", 30*time.Second, "how long passes under way may go on after SIGTERM")
}

// redisLogger takes what go-redis logs, which conditions say better.
type redisLogger struct{ logger logr.Logger }

// Printf implements go-redis' logger.
func (l redisLogger) Printf(_ context.Context, format string, values ...any) {
	l.logger.V(1).Info(fmt.Sprintf(format, values...))
}

func newLogger(w io.Writer, level, format string) (logr.Logger, error) {
	var parsed slog.Level
	if err := parsed.UnmarshalText([]byte(level)); err != nil {
		return logr.Logger{}, fmt.Errorf("-log-level is %q: use debug, info, warn or error", level)
	}

	options := &slog.HandlerOptions{Level: parsed}
	switch format {
	case "json":
		return logr.FromSlogHandler(slog.NewJSONHandler(w, options)), nil
	case "text":
		return logr.FromSlogHandler(slog.NewTextHandler(w, options)), nil
	default:
		return logr.Logger{}, fmt.Errorf("-log-format is %q: use json or text", format)
	}
}

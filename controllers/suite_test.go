package controllers

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

const (
	// operatorNamespace is where the managers of the tests look for admin Secrets.
	operatorNamespace = "leaderboard-system"
	// patience is how long a condition may take to come true on a busy machine.
	patience = 5 * time.Minute
	poll     = 50 * time.Millisecond
)

// What the tests of this package share: an API server without any controllers
// (the tests play them, see playDeployments), PostgreSQL and Redis.
var (
	cluster    client.WithWatch // reads and writes past any cache, as an administrator
	restConfig *rest.Config
	postgres   *stores.Postgres
	redis      *stores.Redis
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	log := io.Discard
	if testing.Verbose() {
		log = os.Stderr
	}

	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo})))
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		assets = filepath.Join("..", "bin", "envtest")
	}

	environment := &envtest.Environment{
		BinaryAssetsDirectory:    assets,
		CRDDirectoryPaths:        []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: patience,
	}
	var err error
	if restConfig, err = environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start the API server (make bin/envtest builds it):", err)
		return 1
	}
	defer func() {
		if err := environment.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the API server:", err)
		}
	}()

	restConfig.QPS, restConfig.Burst = 200, 400
	scheme, err := NewScheme()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if cluster, err = client.NewWithWatch(restConfig, client.Options{Scheme: scheme}); err != nil {
		fmt.Fprintln(os.Stderr, "make a client:", err)
		return 1
	}

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	if postgres, err = stores.StartPostgres(ctx, stores.PostgresOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer postgres.Close()

	if redis, err = stores.StartRedis(ctx, stores.RedisOptions{ACLFile: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer redis.Close()

	return m.Run()
}

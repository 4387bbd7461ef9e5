// Command demo applies the sample games to a cluster where the platform is
// installed, waits until they are ready, plays a short match in each through
// the public API, and prints what the API says. Its status is 0 only if every
// board equals the match that was played.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/log"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

type options struct {
	kubeconfig string
	via        string
	samples    string
	ready      time.Duration
	seed       uint64
}

func main() {
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", os.Getenv("KUBECONFIG"), "kubeconfig of the cluster")
	flag.StringVar(&o.via, "via", "127.0.0.1:8088", "host:port at which the cluster's ingress is reached")
	flag.StringVar(&o.samples, "samples", "config/samples/games.yaml", "manifests of the games")
	flag.DurationVar(&o.ready, "ready-timeout", 5*time.Minute, "how long the games may take to become ready")
	flag.Uint64Var(&o.seed, "seed", 2026, "seed of the match's scores")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()

	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	log.SetLogger(logr.Discard()) // the client logs nothing of interest here
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig %s: %w", o.kubeconfig, err)
	}

	cluster, err := newCluster(config)
	if err != nil {
		return err
	}

	manifests, err := os.ReadFile(o.samples)
	if err != nil {
		return fmt.Errorf("read the games: %w", err)
	}

	start := time.Now()
	applied, err := cluster.apply(ctx, manifests)
	if err != nil {
		return err
	}

	for _, key := range applied {
		fmt.Printf("applied Leaderboard %s\n", key)
	}

	ctxReady, cancel := context.WithTimeout(ctx, o.ready)
	defer cancel()

	var failed error
	for i, key := range applied {
		game, err := cluster.waitReady(ctxReady, key)
		if err != nil {
			return err
		}
		fmt.Printf("%s is ready after %.1f s: %s\n", key, time.Since(start).Seconds(), game.Status.Endpoint)
		failed = errors.Join(failed, play(ctx, o, cluster, game, o.seed+uint64(i)))
	}

	return failed
}

// play plays a match in one game, prints the boards and compares them.
func play(ctx context.Context, o options, cluster *cluster, game *games.Leaderboard, seed uint64) error {
	client, err := gameclient.New(game.Status.Endpoint, o.via)
	if err != nil {
		return err
	}
	defer client.Close()

	season, err := openSeason(ctx, client, game)
	if err != nil {
		return err
	}

	start := time.Now()
	result, err := match.Match{
		Client:     client,
		Boards:     match.Boards(game.Spec.Boards),
		Attributes: game.Spec.Attributes,
		Names:      []string{"ada", "bo", "carl", "dina", "emil", "fay", "gus", "hana"},
		Rounds:     3,
		Seed:       seed,
	}.Play(ctx)
	if err != nil {
		return fmt.Errorf("%s/%s: %w", game.Namespace, game.Name, err)
	}

	fmt.Printf("\n%s: %d players submitted %d scores in %.1f s\n", game.Name, len(result.Players), result.Submissions,
		time.Since(start).Seconds())
	if err := print(ctx, client, game, o.via, result); err != nil {
		return err
	}
	if err := result.Verify(ctx); err != nil {
		return fmt.Errorf("%s: the boards differ from the match:\n%w", game.Name, err)
	}

	fmt.Printf("every board, rank and report of %s equals the match that was played\n", game.Name)
	if season == nil {
		return nil
	}
	return season.end(ctx, cluster, game, result)
}

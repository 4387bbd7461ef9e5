// Command devcluster is a Kubernetes cluster on one Linux machine, without a
// container runtime: a real control plane, a node that runs Pods as local
// processes, an ingress, PostgreSQL and Redis.
//
// The one binary is also each program of the control plane, by the name under
// which it is called (kube-apiserver, etcd, ...), and kubectl.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register" // for --logging-format=json
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/config"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/supervisor"
)

const usage = `devcluster: a Kubernetes cluster on this machine, Pods as processes

  up [--fresh] [--stores=false] [--image NAME=PATH]...
                      start it; --fresh throws earlier data away
  down                stop it; its data stays
  status              what runs, and how to reach it
  logs [NAME]         list the logs, or print one
  kubectl ...         kubectl with the cluster's kubeconfig
  store stop|start|restart postgres|redis [--lose-users]
                      for tests: end or start a store; --lose-users makes
                      Redis forget every user but its administrator

Where it keeps its data, and its ports, come from the environment:
  DEVCLUSTER_STATE (.devcluster/dev), DEVCLUSTER_API_PORT (26443),
  DEVCLUSTER_INGRESS_PORT (8088), DEVCLUSTER_POSTGRES_PORT (25432),
  DEVCLUSTER_REDIS_PORT (26379), DEVCLUSTER_POD_CIDR (10.244.0.0/24)
`

func main() {
	switch filepath.Base(os.Args[0]) {
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "etcd":
		etcdmain.Main(os.Args)
	case "kubectl":
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err := run(ctx, os.Args[1:])
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, "devcluster:", err)
			os.Exit(1)
		}
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		fmt.Print(usage)
		return nil
	}

	c, err := config.Default()
	if err != nil {
		return err
	}

	switch command, rest := args[0], args[1:]; command {
	case "up":
		return supervisor.Up(ctx, c, rest)
	case "down":
		return supervisor.Down(c)
	case "status":
		return supervisor.Status(c)
	case "logs":
		return supervisor.Logs(c, rest)
	case "store":
		return supervisor.Store(ctx, c, rest)
	case "kubectl":
		if os.Getenv("KUBECONFIG") == "" {
			if err := os.Setenv("KUBECONFIG", c.Kubeconfig()); err != nil {
				return err
			}
		}
		os.Args = append([]string{"kubectl"}, rest...)
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
		return nil
	case supervisor.Command: // what up starts
		return supervisor.Run(ctx, c, rest)
	default:
		return fmt.Errorf("there is no command %q\n\n%s", command, usage)
	}
}

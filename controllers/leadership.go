package controllers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

const (
	leaseName = "leaderboard-operator"
	// startTimeout bounds what is asked of the API server before the manager starts.
	startTimeout = 30 * time.Second
)

// Election says when the lead passes from one operator to another.
type Election struct {
	// Lease is for how long a leader that is not heard of keeps the lead, as the others wait.
	Lease time.Duration
	// Renew is when a leader that cannot renew its lease stops leading; less than Lease.
	Renew time.Duration
	// Retry is between two tries to get or renew the lease; less than Renew by a fifth.
	Retry time.Duration
}

// DefaultElection is that of Kubernetes' own controllers.
var DefaultElection = Election{Lease: 15 * time.Second, Renew: 10 * time.Second, Retry: 2 * time.Second}

func (e Election) validate() error {
	if e.Retry < time.Second || e.Renew < e.Retry+e.Retry/5 || e.Lease <= e.Renew {
		return fmt.Errorf("-leader-election-lease is %s, -leader-election-renew %s and -leader-election-retry %s: set the last to 1s or more, the second to more than that by a fifth, and the first to more than the second", e.Lease, e.Renew, e.Retry)
	}
	return nil
}

// newOperator says who this process is: its cluster, and a name of its own.
func newOperator(restConfig *rest.Config, scheme *runtime.Scheme, o *ManagerOptions) (provision.Operator, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()

	live, err := client.New(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		return provision.Operator{}, fmt.Errorf("make a client: %w", err)
	}

	system := &corev1.Namespace{}
	if err := live.Get(ctx, client.ObjectKey{Name: "kube-system"}, system); err != nil {
		return provision.Operator{}, fmt.Errorf("read the namespace kube-system, whose UID identifies the cluster: %w", err)
	}

	host, err := os.Hostname()
	if err != nil {
		return provision.Operator{}, fmt.Errorf("read the host name: %w", err)
	}

	operator := provision.Operator{Cluster: string(system.UID), ClusterID: o.ClusterID, ControllerName: o.ControllerName,
		Namespace: o.Namespace, Holder: host + "_" + rand.Text()}
	if operator.ClusterID == "" {
		operator.ClusterID = operator.Cluster
	}
	if o.LeaderElection {
		operator.Leads = func(ctx context.Context) error { return checkLease(ctx, live, o.Namespace, operator.Holder) }
	}

	return operator, nil
}

// checkLease asks the API server whether the holder has the lease.
func checkLease(ctx context.Context, live client.Reader, namespace, holder string) error {
	lease := &coordinationv1.Lease{}
	if err := live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: leaseName}, lease); err != nil {
		return fmt.Errorf("read the lease: %w", err)
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity != holder {
		return errors.New("the lease is another's")
	}
	return nil
}

// newLock is the lease of the leader election, held under the operator's name. A request for it is
// given half of renewDeadline.
func newLock(restConfig *rest.Config, operator provision.Operator, renewDeadline time.Duration) (resourcelock.Interface, error) {
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, operator.Namespace, leaseName,
		resourcelock.ResourceLockConfig{Identity: operator.Holder}, restConfig, renewDeadline)
	if err != nil {
		return nil, fmt.Errorf("prepare the lease: %w", err)
	}
	return lock, nil
}

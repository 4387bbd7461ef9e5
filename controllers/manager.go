package controllers

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// What the operator itself needs in its own namespace: the lease and the admin Secrets
// of classes.
//
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=leaderboard-system,resources=leases,verbs=get;create;update
// +kubebuilder:rbac:groups="",namespace=leaderboard-system,resources=secrets,verbs=get;list;watch

const (
	// DefaultResync is how often everything is compared with what it should be.
	DefaultResync = 30 * time.Second
	// DefaultMaxConcurrentReconciles is more than there are cores: a pass mostly
	// waits for stores.
	DefaultMaxConcurrentReconciles = 16

	// reconciliationTimeout bounds one pass. Each call to a store has its own,
	// shorter deadline; a migration, with 10 minutes, is what may take longest.
	reconciliationTimeout = 12 * time.Minute
)

// ManagerOptions are the operator's settings; main binds them to flags, which
// say what each is for.
type ManagerOptions struct {
	Version                 string
	Namespace               string
	WatchNamespaces         []string
	ControllerName          string
	ClusterID               string
	Resync                  time.Duration
	Retirement              Retirement
	SecretOverlap           time.Duration
	MaxConcurrentReconciles int
	MetricsAddress          string
	MetricsSecure           bool
	MetricsCertDir          string
	MetricsOfGames          bool
	ProbeAddress            string
	PprofAddress            string
	LeaderElection          bool
	Election                Election
	ShutdownTimeout         time.Duration
	// SkipNameValidation lets tests run several managers in one process.
	SkipNameValidation bool
}

func (o *ManagerOptions) validate() error {
	switch {
	case o.Namespace == "":
		return errors.New("-namespace is empty: set it, or POD_NAMESPACE, to the namespace of the admin Secrets")
	case o.ControllerName == "":
		return errors.New("-controller-name is empty: set it to the controllerName of the classes to serve")
	case o.Resync < time.Second || o.Resync > time.Hour:
		return fmt.Errorf("-resync is %s: set it from 1s to 1h", o.Resync)
	case o.Retirement.Least < 0 || o.Retirement.Most < o.Retirement.Least:
		return fmt.Errorf("-retire-logins-after is %s and -retire-logins-by is %s: set the first to 0s or more, and the second to no less", o.Retirement.Least, o.Retirement.Most)
	case o.MaxConcurrentReconciles < 1:
		return fmt.Errorf("-max-concurrent-reconciles is %d: set it to 1 or more", o.MaxConcurrentReconciles)
	}
	if err := watched(o.WatchNamespaces).validate(); err != nil {
		return err
	}
	if o.LeaderElection {
		return o.Election.validate()
	}
	return nil
}

// NewScheme knows the kinds that the operator reads and writes.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("build the scheme: %w", err)
		}
	}
	return scheme, nil
}

// NewManager makes a manager with both reconcilers; the caller starts it.
func NewManager(restConfig *rest.Config, o ManagerOptions) (ctrl.Manager, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}

	scheme, err := NewScheme()
	if err != nil {
		return nil, err
	}

	restConfig = rest.AddUserAgent(rest.CopyConfig(restConfig), "leaderboard-operator/"+o.Version)
	operator, err := newOperator(restConfig, scheme, &o)
	if err != nil {
		return nil, err
	}

	lock, err := newLock(restConfig, operator, o.Election.Renew)
	if err != nil {
		return nil, err
	}

	manager, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme: scheme,
		Cache:  cacheOptions(o.Namespace, o.WatchNamespaces),
		Client: client.Options{FieldOwner: string(fieldOwner)},
		Metrics: metricsserver.Options{
			BindAddress: o.MetricsAddress, SecureServing: o.MetricsSecure, CertDir: o.MetricsCertDir,
		},
		HealthProbeBindAddress:              o.ProbeAddress,
		PprofBindAddress:                    o.PprofAddress,
		LeaderElection:                      o.LeaderElection,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true, // main ends right after the manager
		LeaseDuration:                       &o.Election.Lease,
		RenewDeadline:                       &o.Election.Renew,
		RetryPeriod:                         &o.Election.Retry,
		GracefulShutdownTimeout:             &o.ShutdownTimeout,
		Controller: config.Controller{
			ReconciliationTimeout: reconciliationTimeout,
			SkipNameValidation:    &o.SkipNameValidation,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	if err := manager.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add the health check: %w", err)
	}
	if err := manager.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("add the readiness check: %w", err)
	}

	return manager, setUp(manager, operator, o)
}

// setUp adds both reconcilers, which share the connections to the stores.
func setUp(manager ctrl.Manager, operator provision.Operator, o ManagerOptions) error {
	// Without the check of names several managers run in one process, which has
	// one registry: the first one's metrics are there.
	operatorMetrics, err := NewMetrics(manager.GetCache(), metrics.Registry, operator, o.MetricsOfGames)
	if err != nil && !o.SkipNameValidation {
		return fmt.Errorf("register metrics: %w", err)
	}

	stores := NewStores(manager.GetClient(), manager.GetAPIReader(), operator)
	if err := manager.Add(stores); err != nil {
		return fmt.Errorf("add the connections to the stores: %w", err)
	}

	keys, err := newClusterKeys(manager.GetConfig())
	if err != nil {
		return err
	}

	leaderboards := &LeaderboardReconciler{
		Client: manager.GetClient(), Live: manager.GetAPIReader(), Stores: stores,
		Recorder: manager.GetEventRecorder("leaderboard-operator"), Metrics: operatorMetrics,
		ControllerName: o.ControllerName, ClusterID: operator.ClusterID, Resync: o.Resync, Retirement: o.Retirement, SecretOverlap: o.SecretOverlap,
		clusterKeys: keys,
	}

	if err := leaderboards.SetupWithManager(manager, o.MaxConcurrentReconciles); err != nil {
		return fmt.Errorf("set up the reconciler of Leaderboards: %w", err)
	}

	classes := &LeaderboardClassReconciler{
		Client: manager.GetClient(), Live: manager.GetAPIReader(), Stores: stores,
		Recorder:       manager.GetEventRecorder("leaderboard-operator"),
		ControllerName: o.ControllerName, Namespace: o.Namespace, Watched: o.WatchNamespaces, Resync: o.Resync,
	}

	if err := classes.SetupWithManager(manager); err != nil {
		return fmt.Errorf("set up the reconciler of LeaderboardClasses: %w", err)
	}

	return nil
}

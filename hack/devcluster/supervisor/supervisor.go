package supervisor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/config"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/controlplane"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/ingress"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/network"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/node"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/process"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/stores"
)

const (
	// readyLine ends the progress that the supervisor reports.
	readyLine = "ready"
	// startTimeout bounds the start of one part.
	startTimeout = 4 * time.Minute
	kubeletPort  = 10250
)

// supervisor owns the processes and goroutines of one devcluster.
type supervisor struct {
	config   *config.Config
	progress *os.File
	begun    time.Time

	group sync.WaitGroup

	stops []func() // end the parts that keep started, in their order

	mutex sync.Mutex
	pids  map[string]int
	names []string
}

// Run is the supervisor: it starts everything, tells of its progress on file
// descriptor 3, and runs until ctx ends.
func Run(ctx context.Context, c *config.Config, args []string) error {
	if _, err := parse(c, args); err != nil {
		return err
	}

	lock, err := takeLock(c)
	if err != nil {
		return err
	}
	defer lock.Close()

	s := &supervisor{config: c, progress: os.NewFile(3, "progress"), begun: time.Now(), pids: map[string]int{}}
	if err := s.run(ctx); err != nil {
		log.Print(err)
		s.report("failed: %v", err)
		return err
	}

	return nil
}

func takeLock(c *config.Config) (*os.File, error) {
	lock, err := os.OpenFile(c.Path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("another devcluster uses %s: %w", c.StateDir, err)
	}
	if err := lock.Truncate(0); err != nil {
		return nil, fmt.Errorf("write the lock: %w", err)
	}
	if _, err := fmt.Fprintln(lock, os.Getpid()); err != nil {
		return nil, fmt.Errorf("write the lock: %w", err)
	}

	return lock, nil
}

func (s *supervisor) report(format string, args ...any) {
	if s.progress != nil {
		fmt.Fprintf(s.progress, "  %5.1f s  %s\n", time.Since(s.begun).Seconds(), fmt.Sprintf(format, args...))
	}
}

// run starts the parts in order and stops them in the opposite order: Pods
// while the API server still runs, the control plane and the stores last.
func (s *supervisor) run(ctx context.Context) error {
	c := s.config
	if err := os.RemoveAll(c.Path("pods")); err != nil { // of processes that died with an earlier supervisor
		return fmt.Errorf("remove earlier Pods' files: %w", err)
	}

	bridge, err := network.Up(c.ID(), c.PodCIDR, config.ServiceCIDR)
	if err != nil {
		return err
	}
	defer network.Down(c.ID(), config.ServiceCIDR)

	s.report("network %s", c.PodCIDR)

	base, stopBase := context.WithCancel(context.WithoutCancel(ctx))
	defer s.group.Wait()
	defer stopBase()
	defer s.stopParts()

	var storeSet *storeSet
	if c.Stores {
		if storeSet, err = s.startStores(ctx, base); err != nil {
			return err
		}
	}

	client, err := s.startControlPlane(ctx, base)
	if err != nil {
		return err
	}

	upper, stopUpper := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	defer group.Wait()
	defer stopUpper()

	failed := make(chan error, 4)
	if err := s.startNode(upper, &group, client, bridge, failed); err != nil {
		return err
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.IngressAddress())
	if err != nil {
		return fmt.Errorf("listen for the ingress: %w", err)
	}

	group.Go(func() { failed <- ingress.New(client).Run(upper, listener) })
	s.report("node and ingress on %s", c.IngressAddress())
	control, err := (&net.ListenConfig{}).Listen(ctx, "unix", s.controlPath())
	if err != nil {
		return fmt.Errorf("listen for orders: %w", err)
	}
	defer control.Close()

	group.Go(func() { serveControl(control, storeSet) })
	fmt.Fprintln(s.progress, readyLine)
	_ = s.progress.Close()
	s.progress = nil

	select {
	case <-ctx.Done():
		_ = control.Close()
		return nil
	case err := <-failed:
		_ = control.Close()
		return err
	}
}

func (s *supervisor) controlPath() string {
	path := s.config.Path("control")
	_ = os.Remove(path) // of a killed supervisor
	return path
}

func (s *supervisor) startControlPlane(ctx, base context.Context) (kubernetes.Interface, error) {
	c := s.config
	components, err := controlplane.Prepare(c)
	if err != nil {
		return nil, err
	}

	restConfig, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}

	restConfig.QPS, restConfig.Burst = 200, 400
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.APIAddress())
	if err != nil {
		return nil, fmt.Errorf("listen for the API server: %w", err)
	}

	s.group.Go(func() { forward(base, listener, c.On(c.APIPort)) })
	for _, component := range components {
		s.keep(base, component.Name, syscall.SIGTERM, func() (process.Spec, error) {
			output, err := process.OpenLog(c.Path("logs", component.Name+".log"))
			return process.Spec{Path: self, Args: append([]string{component.Name}, component.Args...), Env: os.Environ(), Output: output}, err
		})

		if component.HealthURL == "" {
			continue
		}
		if err := s.waitHealthy(ctx, component.Name, component.HealthURL); err != nil {
			return nil, err
		}
	}

	s.report("Kubernetes API https://%s", c.APIAddress())
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}

	return client, nil
}

// keep runs a process until stopParts.
func (s *supervisor) keep(base context.Context, name string, stop syscall.Signal, spec func() (process.Spec, error)) {
	life, end := context.WithCancel(base)
	ended := make(chan struct{})
	s.stops = append(s.stops, func() {
		end()
		<-ended
	})

	s.group.Go(func() {
		defer close(ended)
		process.Keep(life, spec, stop, func(p *process.Process, err error) {
			if err != nil {
				log.Printf("%s: %v", name, err)
				return
			}
			s.note(name, p.PID())
		})
	})
}

// stopParts ends what keep started one after another, the last one first: an
// API server whose etcd has gone does not end before it is killed.
func (s *supervisor) stopParts() {
	for _, stop := range slices.Backward(s.stops) {
		stop()
	}
}

// note writes down the process of a part, for devcluster status.
func (s *supervisor) note(name string, pid int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()

	if _, known := s.pids[name]; !known {
		s.names = append(s.names, name)
	}

	s.pids[name] = pid
	var text strings.Builder
	for _, name := range s.names {
		fmt.Fprintf(&text, "%s %d\n", name, s.pids[name])
	}

	if err := os.WriteFile(s.config.Path("processes"), []byte(text.String()), 0o644); err != nil {
		log.Print(err)
	}
}

func (s *supervisor) waitHealthy(ctx context.Context, name, url string) error {
	certificates, err := s.tlsConfig()
	if err != nil {
		return err
	}

	transport := &http.Transport{TLSClientConfig: certificates}
	defer transport.CloseIdleConnections()

	client := &http.Client{Transport: transport, Timeout: 2 * time.Second}
	return wait(ctx, name, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}

		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()

		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}

		return nil
	})
}

// wait asks until the answer is good, for startTimeout at the most.
func wait(ctx context.Context, name string, check func(context.Context) error) error {
	const period = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	for {
		attempt, done := context.WithTimeout(ctx, 2*time.Second)
		err := check(attempt)
		done()
		if err == nil {
			return nil
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w", name, startTimeout, err)
		case <-time.After(period):
		}
	}
}

// tlsConfig is that of the administrator, and of a server that believes only
// certificates of this cluster.
func (s *supervisor) tlsConfig() (*tls.Config, error) {
	dir := s.config.Path("pki")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, "admin.crt"), filepath.Join(dir, "admin.key"))
	if err != nil {
		return nil, fmt.Errorf("load the administrator's certificate: %w", err)
	}

	authority, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("load the authority: %w", err)
	}

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: pool, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}, nil
}

func (s *supervisor) startNode(ctx context.Context, group *sync.WaitGroup, client kubernetes.Interface, bridge *network.Bridge, failed chan<- error) error {
	c := s.config
	agent := node.NewAgent(node.Options{
		Client: client, Bridge: bridge, Name: controlplane.NodeName, IP: c.NodeIP(), APIPort: c.APIPort, KubeletPort: kubeletPort,
		Dir: c.Path("pods"), LogDir: c.Path("logs", "pods"), Images: c.Images,
	})

	certificates, err := s.tlsConfig()
	if err != nil {
		return err
	}

	report := func(run func() error) {
		if err := run(); err != nil {
			failed <- err
		}
	}
	group.Go(func() { report(func() error { return agent.Run(ctx) }) })
	group.Go(func() { report(func() error { return agent.ServeAPI(ctx, c.On(kubeletPort), certificates) }) })

	return nil
}

func (s *supervisor) startStores(ctx, base context.Context) (*storeSet, error) {
	access, err := stores.LoadAccess(s.config)
	if err != nil {
		return nil, err
	}

	postgres, err := stores.NewPostgres(s.config, access)
	if err != nil {
		return nil, err
	}

	initialise, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()

	if err := postgres.Initialise(initialise); err != nil {
		return nil, err
	}

	set := &storeSet{supervisor: s, base: base, redis: stores.NewRedis(s.config, access)}
	set.stores = map[string]*store{
		"postgres": {spec: postgres.Spec, ready: postgres.Ready, stop: syscall.SIGINT},
		"redis":    {spec: set.redis.Spec, ready: set.redis.Ready, stop: syscall.SIGTERM},
	}

	for _, name := range []string{"postgres", "redis"} {
		if err := set.start(ctx, name); err != nil {
			return nil, err
		}
		s.report("%s", name)
	}

	return set, nil
}

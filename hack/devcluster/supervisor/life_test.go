package supervisor

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/config"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/stores"
)

// cluster is a devcluster of a test's own, driven by the built binary.
type cluster struct {
	binary string
	env    []string
	config *config.Config
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	binary := os.Getenv("DEVCLUSTER_BIN")
	if binary == "" || os.Geteuid() != 0 {
		t.Skip("this starts a devcluster: run make test as root, or set DEVCLUSTER_BIN to the built binary")
	}

	state, err := os.MkdirTemp("", "devcluster-") // not beneath root's own folder: PostgreSQL runs as another user
	if err != nil {
		t.Fatal(err)
	}

	for name, value := range map[string]string{"DEVCLUSTER_STATE": state, "DEVCLUSTER_API_PORT": "26643", "DEVCLUSTER_INGRESS_PORT": "8288",
		"DEVCLUSTER_POSTGRES_PORT": "25632", "DEVCLUSTER_REDIS_PORT": "26579", "DEVCLUSTER_POD_CIDR": "10.244.2.0/24"} {
		t.Setenv(name, value)
	}

	c, err := config.Default()
	if err != nil {
		t.Fatal(err)
	}

	one := &cluster{binary: binary, env: os.Environ(), config: c}
	t.Cleanup(func() {
		one.run(t, true, "down")
		for _, dir := range []string{state, stores.PostgresDir(c)} {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	})

	return one
}

// run runs a command and fails the test if its success is not as expected.
func (c *cluster) run(t *testing.T, succeeds bool, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()

	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Env = c.env
	output, err := cmd.CombinedOutput()
	if (err == nil) != succeeds {
		t.Fatalf("devcluster %s: %v\n%s", strings.Join(args, " "), err, output)
	}

	return string(output)
}

// stateFile is what a file of the cluster's state holds, once it holds something: the
// supervisor may be writing it.
func (c *cluster) stateFile(t *testing.T, name string) []byte {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		content, err := os.ReadFile(filepath.Join(c.config.StateDir, name))
		if err == nil && len(content) > 0 && content[len(content)-1] == '\n' {
			return content
		}
		if time.Now().After(deadline) {
			t.Fatalf("the file %s of the cluster's state: %q, %v", name, content, err)
		}
	}
}

// pids are the processes of the cluster, the supervisor among them.
func (c *cluster) pids(t *testing.T) []int {
	t.Helper()
	var pids []int
	for _, name := range []string{"lock", "processes"} {
		content := c.stateFile(t, name)
		for _, line := range strings.Split(strings.TrimSpace(string(content)), "\n") {
			fields := strings.Fields(line)
			pid, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}

	return pids
}

// requireEnded waits a moment for the kernel to end the processes.
func requireEnded(t *testing.T, pids []int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for _, pid := range pids {
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is left", pid)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// kill kills the supervisor, whose processes go with it and whose bridge stays, and
// returns their ids.
func (c *cluster) kill(t *testing.T) []int {
	t.Helper()
	pids := c.pids(t)
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil { // the supervisor, which is first
		t.Fatal(err)
	}

	requireEnded(t, pids)
	if _, err := net.InterfaceByName(c.config.ID()); err != nil {
		t.Fatalf("a killed devcluster's bridge: %v", err)
	}

	return pids
}

func (c *cluster) requireNothingLeft(t *testing.T, pids []int) {
	t.Helper()
	requireEnded(t, pids)
	if _, err := net.InterfaceByName(c.config.ID()); err == nil {
		t.Errorf("the bridge %s is left", c.config.ID())
	}

	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}

	if bytes.Contains(mounts, []byte(c.config.StateDir)) {
		t.Error("mounts are left")
	}
}

// alive says whether a process runs; one that nobody has waited for does not.
func alive(pid int) bool {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	return err == nil && !bytes.Contains(status, []byte("State:\tZ"))
}

func TestNothingIsLeft(t *testing.T) {
	c := newCluster(t)
	c.run(t, true, "up")
	if output := c.run(t, true, "up"); !strings.Contains(output, "up already") {
		t.Errorf("a second up said %s", output)
	}

	c.run(t, true, "kubectl", "create", "namespace", "kept")
	pids := c.pids(t)
	if len(pids) < 7 {
		t.Fatalf("there are %d processes", len(pids))
	}

	other := *c.config
	other.StateDir = t.TempDir()
	if err := checkNetwork(&other); err == nil || !strings.Contains(err.Error(), "DEVCLUSTER_POD_CIDR") {
		t.Errorf("a running devcluster's network was told as %v", err)
	}

	c.run(t, true, "down")
	c.requireNothingLeft(t, pids)
	c.run(t, false, "status")

	c.run(t, true, "up")
	c.run(t, true, "kubectl", "get", "namespace", "kept")
	pids = c.kill(t)

	// Whoever comes next must not stumble over it, in another directory either.
	if err := checkNetwork(&other); err != nil {
		t.Fatal(err)
	}

	c.requireNothingLeft(t, pids)

	c.run(t, true, "up")
	pids = c.kill(t)
	c.run(t, true, "down")
	c.requireNothingLeft(t, pids)

	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", c.config.IngressAddress())
	if err != nil {
		t.Fatal(err)
	}

	if output := c.run(t, false, "up"); !strings.Contains(output, "DEVCLUSTER_INGRESS_PORT") {
		t.Errorf("a taken port was told as %s", output)
	}

	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}

	c.requireNothingLeft(t, nil)

	c.run(t, true, "up", "--fresh")
	c.run(t, false, "kubectl", "get", "namespace", "kept")
}

// An interrupted up takes down what it had started.
func TestInterruptedUp(t *testing.T) {
	c := newCluster(t)
	cmd := exec.CommandContext(t.Context(), c.binary, "up")
	cmd.Env = c.env
	output := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output

	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	for { // until the first process of the cluster is there
		if content, err := os.ReadFile(c.config.Path("processes")); err == nil && len(content) > 0 {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("nothing was started")
		}
		time.Sleep(5 * time.Millisecond)
	}

	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}

	if err := cmd.Wait(); err == nil {
		t.Fatal("an interrupted up must fail")
	}

	if !strings.Contains(output.String(), "nothing was left running") {
		t.Errorf("it said %s", output)
	}

	c.requireNothingLeft(t, c.pids(t))
}

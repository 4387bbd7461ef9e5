// Package supervisor starts a devcluster, keeps its parts running, and stops
// it. One process, the supervisor, owns all the others: they die with it,
// however it dies.
package supervisor

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/config"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/network"
	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/stores"
)

// Command is the hidden command under which the supervisor itself runs.
const Command = "supervise"

// maxSocketPath is what the kernel takes (unix(7)), without the final zero.
const maxSocketPath = 107

// stopTimeout bounds the end of everything: Pods get their grace period.
const stopTimeout = 60 * time.Second

// arguments are those of up, which passes them on to the supervisor.
type arguments struct {
	fresh bool
}

func parse(c *config.Config, args []string) (*arguments, error) {
	a := &arguments{}
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&a.fresh, "fresh", false, "")
	flags.BoolVar(&c.Stores, "stores", true, "")
	flags.Func("image", "", c.AddImage)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("up takes no %q", flags.Arg(0))
	}

	return a, nil
}

// Up starts a devcluster and returns once it is ready. If ctx ends before that,
// or a part does not start, nothing stays behind.
func Up(ctx context.Context, c *config.Config, args []string) error {
	a, err := parse(c, args)
	if err != nil {
		return err
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return errors.New("this takes root on Linux, as Pods get network namespaces of their own. On such a machine type: sudo make demo")
	}
	if err := os.MkdirAll(c.StateDir, 0o755); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	if running(c) {
		fmt.Println("it is up already")
		return Status(c)
	}

	if a.fresh {
		if err := clean(c); err != nil {
			return err
		}
	}

	if len(c.Path("control")) > maxSocketPath {
		return fmt.Errorf("the path %s is too long for a socket. Choose another directory: DEVCLUSTER_STATE=/var/tmp/devcluster", c.Path("control"))
	}
	if err := checkNetwork(c); err != nil {
		return err
	}
	if err := checkPorts(ctx, c); err != nil {
		return err
	}

	return launch(ctx, c, args)
}

// launch starts the supervisor in the background and prints its progress.
func launch(ctx context.Context, c *config.Config, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}

	log, err := os.OpenFile(c.Path("supervisor.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer log.Close()

	progress, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer progress.Close()

	// It outlives this command and its context.
	cmd := exec.Command(self, append([]string{Command}, args...)...) //nolint:noctx // see above
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}

	_ = write.Close() // the supervisor has its own
	interrupted := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer interrupted()

	lines := bufio.NewScanner(progress)
	for lines.Scan() {
		if lines.Text() == readyLine {
			return nil // the supervisor goes on; init will wait for it
		}
		fmt.Println(lines.Text())
	}

	_ = cmd.Wait()
	if ctx.Err() != nil {
		return errors.New("interrupted; nothing was left running")
	}

	return fmt.Errorf("it did not start; nothing was left running. The logs are in %s", c.StateDir)
}

// checkPorts complains of a port that somebody else listens on.
func checkPorts(ctx context.Context, c *config.Config) error {
	ports := map[string]string{c.IngressAddress(): "DEVCLUSTER_INGRESS_PORT", c.APIAddress(): "DEVCLUSTER_API_PORT", c.On(c.APIPort): "DEVCLUSTER_API_PORT"}
	if c.Stores {
		ports[c.On(c.PostgresPort)], ports[c.On(c.RedisPort)] = "DEVCLUSTER_POSTGRES_PORT", "DEVCLUSTER_REDIS_PORT"
	}

	for address, variable := range ports {
		listener, err := (&net.ListenConfig{Control: freeBind}).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("%s is taken. Choose another port: %s=18088 (%w)", address, variable, err)
		}
		if err := listener.Close(); err != nil {
			return err
		}
	}

	return nil
}

// freeBind lets a socket take the bridge's address before there is a bridge.
func freeBind(_, _ string, socket syscall.RawConn) error {
	var failed error
	if err := socket.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_IP, syscall.IP_FREEBIND, 1)
	}); err != nil {
		return err
	}
	return failed
}

// checkNetwork complains of a network of this machine that the Pods' overlaps,
// another devcluster's among them; those of killed devclusters it removes.
func checkNetwork(c *config.Config) error {
	if err := network.Clean(config.ServiceCIDR); err != nil {
		return err
	}

	interfaces, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list the networks of this machine: %w", err)
	}

	for _, one := range interfaces {
		addresses, err := one.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, address := range addresses {
			prefix, err := netip.ParsePrefix(address.String())
			if err == nil && prefix.Overlaps(c.PodCIDR) {
				return fmt.Errorf("%s has %s, which overlaps the Pods' network %s. Choose another: DEVCLUSTER_POD_CIDR=10.244.7.0/24", one.Name, prefix, c.PodCIDR)
			}
		}
	}

	return nil
}

// clean removes what an earlier devcluster of this state directory left.
func clean(c *config.Config) error {
	for _, path := range []string{c.Path("etcd"), c.Path("pki"), c.Path("pods"), c.Path("redis"), c.Path("logs"), stores.PostgresDir(c),
		c.Path("stores.json"), c.Kubeconfig()} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove earlier data: %w", err)
		}
	}
	return nil
}

// Down stops a devcluster and returns once nothing of it runs any more.
func Down(c *config.Config) error {
	if os.Geteuid() != 0 && running(c) {
		return errors.New("it runs as root: type sudo before this command")
	}

	defer network.Down(c.ID(), config.ServiceCIDR) // a supervisor that was killed could not remove it
	pid := supervisorPID(c)
	if pid == 0 || !running(c) {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal the supervisor: %w", err)
	}

	for deadline := time.Now().Add(stopTimeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if !running(c) {
			return nil
		}
	}

	return fmt.Errorf("process %d did not end within %s; its log is %s", pid, stopTimeout, c.Path("supervisor.log"))
}

// running says whether a supervisor holds the lock of the state directory.
func running(c *config.Config) bool {
	file, err := os.Open(c.Path("lock")) // which every user may
	if err != nil {
		return false
	}
	defer file.Close()

	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return true
	}

	return false
}

func supervisorPID(c *config.Config) int {
	content, err := os.ReadFile(c.Path("lock"))
	if err != nil {
		return 0
	}

	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}

	return pid
}

// Status prints what runs and how to reach it; it is an error if nothing does.
func Status(c *config.Config) error {
	if !running(c) {
		return fmt.Errorf("nothing runs (state directory %s). Type: devcluster up", c.StateDir)
	}

	fmt.Printf("kubeconfig  %s\ningress     http://%s\n", c.Kubeconfig(), c.IngressAddress())
	if _, err := os.Stat(c.Path("stores.json")); err == nil {
		fmt.Printf("PostgreSQL  %s\nRedis       %s\npasswords   %s\n", c.On(c.PostgresPort), c.On(c.RedisPort), c.Path("stores.json"))
	}

	content, err := os.ReadFile(c.Path("processes"))
	if err != nil {
		return fmt.Errorf("read the list of processes: %w", err)
	}

	total := 0
	for line := range strings.Lines(string(content)) {
		name, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
		kib := residentKiB(pid)
		total += kib
		fmt.Printf("%-24s process %-8s %4d MiB\n", name, pid, kib>>10)
	}

	own := residentKiB(strconv.Itoa(supervisorPID(c)))
	fmt.Printf("%-24s process %-8d %4d MiB\n%-41s %4d MiB\n", "node and ingress", supervisorPID(c), own>>10, "all of it, without Pods", (total+own)>>10)
	return nil
}

// residentKiB is the memory of a process, by /proc.
func residentKiB(pid string) int {
	content, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		return 0
	}

	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(value)[0])
			return kib
		}
	}

	return 0
}

// Logs lists the logs or prints one, by its name or by a part of it.
func Logs(c *config.Config, args []string) error {
	return filepath.WalkDir(c.StateDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".log" {
			return nil // a folder that has just gone has no logs
		}

		name, _ := filepath.Rel(c.StateDir, path)
		if len(args) == 0 {
			fmt.Println(name)
			return nil
		}
		if !strings.Contains(name, args[0]) {
			return nil
		}

		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("open the log: %w", err)
		}
		defer file.Close()

		fmt.Printf("==> %s\n", name)
		_, err = io.Copy(os.Stdout, file)
		return err
	})
}

// Store tells the supervisor to stop or start a store.
func Store(ctx context.Context, c *config.Config, args []string) error {
	if len(args) < 2 {
		return errors.New("store takes stop, start or restart, and postgres or redis")
	}

	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Path("control"))
	if err != nil {
		return fmt.Errorf("nothing runs: %w", err)
	}
	defer conn.Close()

	if err := conn.SetDeadline(time.Now().Add(stopTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, strings.Join(args, " ")); err != nil {
		return fmt.Errorf("ask the supervisor: %w", err)
	}

	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("ask the supervisor: %w", err)
	}
	if answer = strings.TrimSpace(answer); answer != "ok" {
		return errors.New(answer)
	}

	return nil
}

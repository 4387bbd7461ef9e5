package stores

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// stopTimeout is how long a server gets to end after a signal before it is killed;
// ours finishes within 20 s by default.
const stopTimeout = time.Minute

// process is one child with an owner: the goroutine that started it waits for it.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the child has been waited for
}

// startProcess runs the command with its output appended to the file at log. A nil
// environment is this process's. On Linux the child is killed when this process
// dies, however it dies.
func startProcess(path string, args, environment []string, log string, user *syscall.Credential) (*process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", filepath.Base(path), err)
	}

	cmd := exec.Command(path, args...) //nolint:noctx // the server outlives the call that starts it; signal ends it
	cmd.Env, cmd.Stdout, cmd.Stderr = environment, output, output
	cmd.SysProcAttr = childAttributes(user)
	cmd.Dir = filepath.Dir(log)

	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The parent-death signal follows the thread that forked, so that
		// thread is kept until the child has ended.
		runtime.LockOSThread()
		defer close(p.done)
		defer output.Close()

		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // a signalled server's exit status says nothing new
		}
	}()

	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}

	return p, nil
}

// signal sends s and waits for the end of the process, killing it after stopTimeout.
func (p *process) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // fails only if it has ended already
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// ready polls check until it succeeds, the process ends or ctx does. log is
// quoted in the error.
func (p *process) ready(ctx context.Context, name, log string, check func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()

	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := check(attempt)
		cancel()
		if err == nil {
			return nil
		}

		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("%s ended while starting: %w\n%s", name, err, tail(log))
		case <-ctx.Done():
			p.signal(syscall.SIGKILL)
			return fmt.Errorf("%s did not become ready: %w\n%s", name, errors.Join(ctx.Err(), err), tail(log))
		}
	}
}

// tail returns the last 2 KiB of a log file.
func tail(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()

	const size = 2 << 10
	if info, err := file.Stat(); err == nil && info.Size() > size {
		_, _ = file.Seek(-size, io.SeekEnd)
	}

	content, _ := io.ReadAll(file)
	return string(content)
}

// Ports of servers are below those that systems give to outgoing connections
// (from 32768 on Linux, 49152 elsewhere): while a server is down, its port would
// be given away, or a client that keeps dialing it would meet itself.
const firstPort, lastPort = 15000, 32000

// freePort finds a TCP port that nobody listens on now.
func freePort() (int, error) {
	var failed error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address(port))
		if err != nil {
			failed = err
			continue
		}
		return port, listener.Close()
	}

	return 0, fmt.Errorf("find a free port: %w", failed)
}

// findBinary looks for name in the folder that the environment names, in PATH
// and in the further folders given as glob patterns (the last match wins: the
// highest version).
func findBinary(envDir, name string, patterns ...string) (string, error) {
	if dir := os.Getenv(envDir); envDir != "" && dir != "" {
		return filepath.Join(dir, name), nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}

	for _, pattern := range patterns {
		if matches, _ := filepath.Glob(filepath.Join(pattern, name)); len(matches) > 0 {
			return matches[len(matches)-1], nil
		}
	}

	return "", fmt.Errorf("%s was not found: install it (Debian: apt-get install postgresql redis-server pgbouncer)", name)
}

func address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// pid is the process's id.
func (p *process) pid() int { return p.cmd.Process.Pid }

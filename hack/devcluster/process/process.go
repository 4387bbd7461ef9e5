// Package process runs child processes that end with their owner.
package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Spec is what to run.
type Spec struct {
	Path string
	// Args are the arguments, argv[0] included.
	Args []string
	Env  []string
	Dir  string
	// Output gets what the process prints.
	Output io.Writer
	// Attributes of the process; the parent-death signal is added.
	Attributes *syscall.SysProcAttr
	// Prepare runs on the thread that starts the process, for example to enter
	// a network namespace. The thread is not used for anything else.
	Prepare func() error
}

// Process is a running child.
type Process struct {
	cmd *exec.Cmd
	// Done is closed once the process has ended and has been waited for.
	Done chan struct{}
	// State tells how it ended; it may be read after Done.
	State *os.ProcessState
}

// Start starts the process. It is killed when this process dies, however that
// happens.
func Start(spec Spec) (*Process, error) {
	cmd := &exec.Cmd{Path: spec.Path, Args: spec.Args, Env: spec.Env, Dir: spec.Dir, Stdout: spec.Output, Stderr: spec.Output}
	// A grandchild that keeps the output open must not keep Wait from returning.
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = spec.Attributes
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}

	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p := &Process{cmd: cmd, Done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The parent-death signal follows the thread that forked; Prepare may have
		// changed it. It is never unlocked, so it ends with this goroutine.
		runtime.LockOSThread()
		defer close(p.Done)

		if spec.Prepare != nil {
			if err := spec.Prepare(); err != nil {
				started <- err
				return
			}
		}

		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says how it ended
			p.State = cmd.ProcessState
		}
	}()

	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(spec.Path), err)
	}

	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal; to a process that has ended, nothing.
func (p *Process) Signal(signal syscall.Signal) { _ = p.cmd.Process.Signal(signal) }

// Stop sends the signal and waits; after grace it kills.
func (p *Process) Stop(signal syscall.Signal, grace time.Duration) {
	p.Signal(signal)
	select {
	case <-p.Done:
	case <-time.After(grace):
		p.Signal(syscall.SIGKILL)
		<-p.Done
	}
}

// Keep runs a process until ctx ends, starting it anew when it ends by itself,
// and then stops it with the signal. onStart is told of every start.
func Keep(ctx context.Context, spec func() (Spec, error), stop syscall.Signal, onStart func(*Process, error)) {
	const grace, minPause, maxPause = 20 * time.Second, 200 * time.Millisecond, 10 * time.Second
	pause := minPause
	for ctx.Err() == nil {
		started := time.Now()
		var p *Process
		s, err := spec()
		if err == nil {
			p, err = Start(s)
			if file, ok := s.Output.(*os.File); ok {
				_ = file.Close() // the process has its own
			}
		}

		onStart(p, err)
		if err == nil {
			select {
			case <-ctx.Done():
				p.Stop(stop, grace)
				return
			case <-p.Done:
			}
		}

		if time.Since(started) > maxPause {
			pause = minPause
		}

		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}

		pause = min(2*pause, maxPause)
	}
}

// OpenLog opens a log file to append to, making its folder.
func OpenLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the log %s: %w", path, err)
	}

	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}

	return file, nil
}

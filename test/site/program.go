package site

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// stopTimeout is how long a program may take to stop; a server finishes within 20 s
// by default.
const stopTimeout = 30 * time.Second

// Program is a server as a process. It can be ended and started again, on the same
// ports.
type Program struct {
	// URL is where its API answers, Ops where probes and metrics do.
	URL, Ops string
	// Log is the file that it writes to.
	Log string

	path        string
	args        []string
	environment []string
	cmd         *exec.Cmd
	ended       chan struct{}
}

// Start starts a program as the server of the site. args gets the address that it
// is to listen at. changes are variables of the environment. It does not wait: see
// [Program.Await].
func (s *Site) Start(name, path string, args func(listen string) []string, changes map[string]string) (*Program, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	ops, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &Program{URL: "http://" + listen, Ops: "http://" + ops, Log: s.file(name + ".log"),
		path: path, args: args(listen), environment: s.environment(listen, ops, changes)}
	if err := p.Restart(); err != nil {
		return nil, err
	}
	s.programs = append(s.programs, p)
	return p, nil
}

// Restart starts a program that has ended.
func (p *Program) Restart() error {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open a server's log: %w", err)
	}
	defer log.Close()
	cmd, ended := exec.Command(p.path, p.args...), make(chan struct{}) //nolint:noctx // Stop and Kill end it
	cmd.Env, cmd.Stdout, cmd.Stderr = p.environment, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process, which then stops it
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a server: %w", err)
	}
	go func() {
		_ = cmd.Wait() // whoever asked for its end, or Await, notices
		close(ended)
	}()
	p.cmd, p.ended = cmd, ended
	return nil
}

// Await waits until a page of global can be read.
func (p *Program) Await(ctx context.Context) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/v1/leaderboard/global", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the server has ended:\n%s", p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("the server did not become ready: %w\n%s", errors.Join(ctx.Err(), err), p.Tail())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// PID is the process's id.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Stop ends the program in an orderly way.
func (p *Program) Stop() { p.signal(syscall.SIGTERM) }

// Kill ends the program at once.
func (p *Program) Kill() { p.signal(syscall.SIGKILL) }

func (p *Program) signal(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal) // fails only if it has ended already
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// Tail is the end of the log.
func (p *Program) Tail() string {
	content, _ := os.ReadFile(p.Log)
	return string(content[max(0, len(content)-2000):])
}

func freeAddress() (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

package site

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// Program is a server as a process. It can be ended and started again, on the same
// ports.
type Program struct {
	*stores.Program
	// URL is where its API answers, Ops where probes and metrics do.
	URL, Ops string
	// Log is the file that it writes to.
	Log string

	path        string
	args        []string
	environment []string
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
	program, err := stores.StartProgram(p.path, p.args, p.environment, p.Log)
	if err != nil {
		return fmt.Errorf("start a server: %w", err)
	}
	p.Program = program
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
		case <-p.Ended():
			return fmt.Errorf("the server has ended:\n%s", p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("the server did not become ready: %w\n%s", errors.Join(ctx.Err(), err), p.Tail())
		case <-time.After(10 * time.Millisecond):
		}
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

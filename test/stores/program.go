package stores

import "syscall"

// Program is another program that a test starts and ends, with the same owner and
// the same end as the stores.
type Program struct{ process *process }

// StartProgram starts the program at path in the environment (NAME=value), with its
// output appended to the file at log. It does not wait until the program answers.
func StartProgram(path string, args, environment []string, log string) (*Program, error) {
	child, err := startProcess(path, args, environment, log, nil)
	if err != nil {
		return nil, err
	}
	return &Program{process: child}, nil
}

// PID is the process's id.
func (p *Program) PID() int { return p.process.cmd.Process.Pid }

// Ended is closed once the program has ended.
func (p *Program) Ended() <-chan struct{} { return p.process.done }

// Stop asks the program to end (SIGTERM), waits until it has, and returns its exit
// status: 0, or -1 if it took too long and was killed.
func (p *Program) Stop() int {
	p.process.signal(syscall.SIGTERM)
	return p.process.cmd.ProcessState.ExitCode()
}

// Kill ends the program at once (SIGKILL).
func (p *Program) Kill() { p.process.signal(syscall.SIGKILL) }

// Pause stops the program from running until [Program.Resume], as a machine does
// that is suspended or moved (SIGSTOP).
func (p *Program) Pause() { _ = p.process.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused program go on.
func (p *Program) Resume() { _ = p.process.cmd.Process.Signal(syscall.SIGCONT) }

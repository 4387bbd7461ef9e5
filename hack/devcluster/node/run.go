package node

import (
	"context"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/process"
)

// runOnce runs an init container to its success.
func (c *container) runOnce(ctx context.Context) bool {
	for backoff := newBackoff(); ; {
		code := c.run(ctx)
		if ctx.Err() != nil || c.isStopping() {
			return false
		}
		if code == 0 {
			return true
		}
		if !backoff.wait(ctx, c) {
			return false
		}
	}
}

// runForever runs the container until ctx ends, starting it anew as the Pod's
// restart policy says.
func (c *container) runForever(ctx context.Context) {
	backoff := newBackoff()
	for {
		started := time.Now()
		code := c.run(ctx)
		policy := c.worker.current().Spec.RestartPolicy
		if ctx.Err() != nil || c.isStopping() || policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && code == 0 {
			return
		}

		backoff.ran(time.Since(started))
		if !backoff.wait(ctx, c) {
			return
		}
	}
}

// startEventually starts the process; where that fails, as for want of a Secret,
// it tries again, whatever the restart policy is: the container has not run. It
// returns nil if ctx ends or the Pod is to be deleted.
func (c *container) startEventually(ctx context.Context) *process.Process {
	const pause = time.Second
	reported := ""
	for {
		p, err := c.start(ctx)
		if err == nil {
			return p
		}
		if reported != err.Error() { // an event for every new cause, not for every try
			reported = err.Error()
			c.setState(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: reported}})
			c.worker.agent.events.Event(c.worker.current(), corev1.EventTypeWarning, "Failed", reported)
		}
		if !c.worker.pause(ctx, pause) {
			return nil
		}
	}
}

// run runs the process once and returns its exit code.
func (c *container) run(ctx context.Context) int {
	p := c.startEventually(ctx)
	if p == nil {
		return -1
	}

	started := metav1.Now()
	c.mutex.Lock()
	c.process = p
	c.ready, c.startup = c.spec.ReadinessProbe == nil && c.spec.StartupProbe == nil, c.spec.StartupProbe == nil
	stopping := c.stopping
	c.mutex.Unlock()

	if stopping { // the order to stop came while it was being started
		p.Signal(syscall.SIGKILL)
	}

	c.setState(corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}})
	probing, stop := context.WithCancel(ctx)
	var probes sync.WaitGroup
	probes.Go(func() { c.probe(probing) })
	<-p.Done
	stop()
	probes.Wait()
	code, signal := exitStatus(p.State)
	terminated := &corev1.ContainerStateTerminated{ExitCode: int32(code), Signal: int32(signal), StartedAt: started, FinishedAt: metav1.Now(),
		Reason: "Completed", ContainerID: "process://" + strconv.Itoa(p.PID())}
	if code != 0 {
		terminated.Reason = "Error"
	}

	c.mutex.Lock()
	c.process, c.ready = nil, false
	c.mutex.Unlock()
	c.setState(corev1.ContainerState{Terminated: terminated})

	return code
}

// exitStatus is the code, as a shell tells it, and the signal.
func exitStatus(state *os.ProcessState) (code, signal int) {
	if state == nil {
		return -1, 0
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), int(status.Signal())
	}
	return state.ExitCode(), 0
}

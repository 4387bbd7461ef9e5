package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/process"
)

// defaultUID is who a container runs as where nothing says so: nobody's own
// user, as in images made from scratch.
const defaultUID = 65532

// container runs one container of a Pod, again and again as its policy says.
type container struct {
	worker *worker
	spec   *corev1.Container
	root   string
	tokens map[string]token // by volume path

	mutex    sync.Mutex
	process  *process.Process
	state    corev1.ContainerState
	last     corev1.ContainerState
	earlier  int32 // restarts before the node itself restarted
	runs     int32
	ready    bool
	startup  bool // the startup probe has succeeded, or there is none
	stopping bool // no restart any more
}

func newContainer(w *worker, spec *corev1.Container, statuses []corev1.ContainerStatus) *container {
	c := &container{worker: w, spec: spec, root: filepath.Join(w.dir, spec.Name), tokens: map[string]token{}}
	for _, status := range statuses { // from before the node restarted
		if status.Name == spec.Name && (status.State.Running != nil || status.State.Terminated != nil) {
			c.earlier, c.last = status.RestartCount+1, status.State
			if running := status.State.Running; running != nil { // as the kubelet tells of an end that it did not see
				c.last = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown",
					Message: "the node stopped while the container ran", StartedAt: running.StartedAt, ContainerID: status.ContainerID}}
			}
		}
	}

	return c
}

// image finds the binary of an image by the last part of its repository.
func (a *Agent) image(name string) (string, bool) {
	repository, _, _ := strings.Cut(name, "@")
	repository = path.Base(repository)
	repository, _, _ = strings.Cut(repository, ":")
	binary, ok := a.Images[repository]
	return binary, ok
}

// prepare makes the container's file tree: its binary, what every container
// finds in /etc, and folders for its volumes.
func (c *container) prepare() error {
	binary, ok := c.worker.agent.image(c.spec.Image)
	if !ok {
		c.setState(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull",
			Message: "this devcluster has no image of this name"}})
		return fmt.Errorf("there is no image %s here: start the devcluster with --image NAME=PATH", c.spec.Image)
	}

	for _, dir := range []string{"etc", "dev", "proc"} {
		if err := os.MkdirAll(filepath.Join(c.root, dir), 0o755); err != nil {
			return fmt.Errorf("make the file tree of %s: %w", c.spec.Name, err)
		}
	}

	entry := filepath.Join(c.root, filepath.Base(binary))
	if _, err := os.Stat(entry); err != nil {
		if err := unpack(binary, entry); err != nil {
			return err
		}
	}

	hosts := "127.0.0.1 localhost\n" + c.worker.podIP() + " " + c.worker.current().Name + "\n"
	for name, content := range map[string]string{"hosts": hosts, "resolv.conf": "", "nsswitch.conf": "hosts: files dns\n"} {
		if err := os.WriteFile(filepath.Join(c.root, "etc", name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("make the file tree of %s: %w", c.spec.Name, err)
		}
	}

	return nil
}

// unpack puts a copy of the binary, which may be rebuilt meanwhile, at target.
func unpack(binary, target string) error {
	content, err := os.ReadFile(binary)
	if err != nil {
		return fmt.Errorf("read the image: %w", err)
	}
	if err := os.WriteFile(target, content, 0o755); err != nil {
		return fmt.Errorf("unpack the image: %w", err)
	}

	return nil
}

// start starts the process of the container.
func (c *container) start(ctx context.Context) (*process.Process, error) {
	env, err := c.environment(ctx)
	if err != nil {
		return nil, err
	}

	uid, gid, err := c.user()
	if err != nil {
		return nil, err
	}

	binary, _ := c.worker.agent.image(c.spec.Image)
	args := append(expandAll(c.spec.Command, env), expandAll(c.spec.Args, env)...)
	if len(c.spec.Command) == 0 {
		args = append([]string{"/" + filepath.Base(binary)}, args...)
	}

	pod := c.worker.current()
	log, err := process.OpenLog(c.worker.agent.logPath(pod.Namespace, pod.Name, c.spec.Name))
	if err != nil {
		return nil, err
	}

	defer log.Close() // the process has its own
	dir := c.spec.WorkingDir
	if dir == "" {
		dir = "/"
	}

	return process.Start(process.Spec{
		Path: args[0], Args: args, Env: list(env), Dir: dir, Output: log,
		Attributes: &syscall.SysProcAttr{
			Chroot:     c.root,
			Credential: &syscall.Credential{Uid: uid, Gid: gid},
			Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC,
			Setsid:     true,
		},
		Prepare: func() error {
			if err := c.worker.network.Enter(); err != nil {
				return err
			}
			return setHostName(hostName(pod))
		},
	})
}

// hostName is what a Pod's processes see as the name of their machine.
func hostName(pod *corev1.Pod) string {
	name := pod.Name
	if pod.Spec.Hostname != "" {
		name = pod.Spec.Hostname
	}
	const limit = 63 // bytes; the kubelet cuts longer ones off, too
	return strings.TrimRight(name[:min(len(name), limit)], "-.")
}

// setHostName names the machine for the calling thread and what it starts; the
// thread must be locked and be thrown away.
func setHostName(name string) error {
	if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("make a namespace of host names: %w", err)
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return nil
}

// user is who the container runs as, by its own security context or its Pod's.
func (c *container) user() (uid, gid uint32, err error) {
	user, group, nonRoot := int64(defaultUID), int64(-1), false
	if p := c.worker.current().Spec.SecurityContext; p != nil {
		set(&user, p.RunAsUser)
		set(&group, p.RunAsGroup)
		nonRoot = p.RunAsNonRoot != nil && *p.RunAsNonRoot
	}

	if s := c.spec.SecurityContext; s != nil {
		set(&user, s.RunAsUser)
		set(&group, s.RunAsGroup)
		nonRoot = nonRoot || s.RunAsNonRoot != nil && *s.RunAsNonRoot
	}

	if user == 0 && nonRoot {
		return 0, 0, errors.New("container has runAsNonRoot and would run as root")
	}

	if group < 0 {
		group = user
	}

	return uint32(user), uint32(group), nil
}

func set(target, value *int64) {
	if value != nil {
		*target = *value
	}
}

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
		select {
		case <-ctx.Done():
			return nil
		case <-c.worker.deleting:
			return nil
		case <-time.After(pause):
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

// terminate runs the preStop hook, asks the process to end and, after grace,
// kills it; at once if killed is closed.
func (c *container) terminate(grace time.Duration, killed <-chan struct{}) {
	c.mutex.Lock()
	c.stopping = true
	p := c.process
	c.mutex.Unlock()
	if p == nil {
		return
	}

	deadline := time.Now().Add(grace)
	if grace > 0 {
		c.preStop(deadline, p.Done, killed)
	}

	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Done:
		return
	case <-killed:
	case <-time.After(time.Until(deadline)):
	}

	p.Signal(syscall.SIGKILL)
	<-p.Done
}

// preStop runs the container's hook, until the deadline at the longest.
func (c *container) preStop(deadline time.Time, ended, killed <-chan struct{}) {
	if c.spec.Lifecycle == nil || c.spec.Lifecycle.PreStop == nil {
		return
	}

	hook := c.spec.Lifecycle.PreStop
	switch {
	case hook.Sleep != nil:
		select {
		case <-time.After(min(time.Duration(hook.Sleep.Seconds)*time.Second, time.Until(deadline))):
		case <-ended:
		case <-killed:
		}
	case hook.HTTPGet != nil:
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		request, err := c.probeRequest(ctx, hook.HTTPGet)
		if err != nil {
			return
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
	}
}

func (c *container) isRunning() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.process != nil
}

func (c *container) isStopping() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.stopping
}

// setState records a new state and has it reported.
func (c *container) setState(state corev1.ContainerState) {
	c.mutex.Lock()
	if c.state.Terminated != nil {
		c.last = corev1.ContainerState{Terminated: c.state.Terminated}
	}

	if state.Running != nil {
		c.runs++
	}

	c.state = state
	c.mutex.Unlock()
	c.worker.notify()
}

// status is the container's status as the API has it.
func (c *container) status(waiting string) corev1.ContainerStatus {
	c.mutex.Lock()
	defer c.mutex.Unlock()

	state := c.state
	if state == (corev1.ContainerState{}) {
		if waiting == "" {
			waiting = "PodInitializing"
		}
		state.Waiting = &corev1.ContainerStateWaiting{Reason: waiting}
	}

	started := state.Running != nil && c.startup
	status := corev1.ContainerStatus{Name: c.spec.Name, Image: c.spec.Image, ImageID: "process://" + c.spec.Image, State: state,
		LastTerminationState: c.last, RestartCount: c.earlier + max(c.runs-1, 0), Ready: c.ready && state.Running != nil, Started: &started}
	if c.process != nil {
		status.ContainerID = "process://" + strconv.Itoa(c.process.PID())
	}

	return status
}

// token is a service account token in a volume.
type token struct {
	value string
	renew time.Time
}

// backoff is the kubelet's: 10 s, doubled at every restart up to 5 min, from
// the beginning again after 10 min of running.
type backoff struct {
	next time.Duration
}

const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute
	backoffReset = 10 * time.Minute
)

func newBackoff() *backoff { return &backoff{} }

// ran notes how long the container ran.
func (b *backoff) ran(duration time.Duration) {
	if duration > backoffReset {
		b.next = 0
	}
}

// following is the pause after the next one.
func (b *backoff) following() time.Duration {
	return min(max(2*b.next, firstBackoff), lastBackoff)
}

// wait waits for the next start; the first restart is at once. It returns false
// if there is to be none.
func (b *backoff) wait(ctx context.Context, c *container) bool {
	pause := b.next
	b.next = b.following()
	if pause > 0 {
		c.setState(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off %s restarting failed container", pause)}})
	}

	select {
	case <-ctx.Done():
		return false
	case <-c.worker.deleting:
		return false
	case <-time.After(pause):
		return true
	}
}

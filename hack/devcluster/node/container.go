package node

import (
	"context"
	"errors"
	"fmt"
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

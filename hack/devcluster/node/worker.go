package node

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/hack/devcluster/network"
)

func logf(format string, args ...any) { log.Printf("node: "+format, args...) }

// requestTimeout bounds one call of the API server.
const requestTimeout = 10 * time.Second

// worker runs one Pod, from its arrival on the node until its object is deleted.
type worker struct {
	agent *Agent
	dir   string

	mutex   sync.Mutex
	pod     *corev1.Pod // the latest version seen
	started metav1.Time
	network *network.Namespace
	waiting string // why no container runs yet
	inits   []*container
	mains   []*container

	changed  chan struct{} // the Pod or a container's state changed
	deleting chan struct{} // closed when the Pod is to be deleted
	killed   chan struct{} // closed when the Pod's object is gone already
	once     struct{ deleting, killed sync.Once }
}

func newWorker(agent *Agent, pod *corev1.Pod) *worker {
	w := &worker{agent: agent, pod: pod, dir: filepath.Join(agent.Dir, string(pod.UID)), started: metav1.Now(), waiting: "ContainerCreating",
		changed: make(chan struct{}, 1), deleting: make(chan struct{}), killed: make(chan struct{})}
	for i := range pod.Spec.InitContainers {
		w.inits = append(w.inits, newContainer(w, &pod.Spec.InitContainers[i], pod.Status.InitContainerStatuses))
	}

	for i := range pod.Spec.Containers {
		w.mains = append(w.mains, newContainer(w, &pod.Spec.Containers[i], pod.Status.ContainerStatuses))
	}

	return w
}

// update tells the worker of a newer version of the Pod.
func (w *worker) update(pod *corev1.Pod) {
	w.mutex.Lock()
	w.pod = pod
	w.mutex.Unlock()
	if pod.DeletionTimestamp != nil {
		w.once.deleting.Do(func() { close(w.deleting) })
	}
	w.notify()
}

// kill ends the Pod without grace.
func (w *worker) kill() {
	w.once.killed.Do(func() { close(w.killed) })
	w.once.deleting.Do(func() { close(w.deleting) })
}

func (w *worker) notify() {
	select {
	case w.changed <- struct{}{}:
	default: // a look is due already
	}
}

func (w *worker) current() *corev1.Pod {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.pod
}

// run runs the Pod until it is deleted or ctx, the node's life, ends.
func (w *worker) run(ctx context.Context) {
	alive, stop := context.WithCancel(ctx) // ends with the Pod's deletion
	var tasks sync.WaitGroup
	tasks.Go(func() { w.reportStatus(alive) })
	tasks.Go(func() { w.live(alive) })

	select {
	case <-ctx.Done():
	case <-w.deleting:
	}

	pod := w.current()
	grace := time.Duration(0)
	if ctx.Err() == nil {
		grace = gracePeriod(pod)
	}

	w.terminate(grace)
	stop()
	tasks.Wait()

	if w.network != nil {
		w.network.Close()
	}

	if err := os.RemoveAll(w.dir); err != nil {
		logf("remove the files of %s/%s: %v", pod.Namespace, pod.Name, err)
	}

	if ctx.Err() == nil {
		w.deleteObject(ctx, pod)
	}
}

func gracePeriod(pod *corev1.Pod) time.Duration {
	if pod.DeletionGracePeriodSeconds != nil {
		return time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	}
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		return time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	return 30 * time.Second
}

// live sets the Pod up and runs its containers; it returns when ctx ends and
// every container has ended.
func (w *worker) live(ctx context.Context) {
	if !w.setUp(ctx) {
		return
	}

	for _, c := range w.inits {
		if !c.runOnce(ctx) {
			return
		}
	}

	w.setWaiting("")
	var containers sync.WaitGroup
	for _, c := range w.mains {
		containers.Go(func() { c.runForever(ctx) })
	}

	w.refreshVolumes(ctx)
	containers.Wait()
}

// setUp gives the Pod its network and its volumes, trying again until it works.
func (w *worker) setUp(ctx context.Context) bool {
	const pause = time.Second
	reported := ""
	for {
		reason, err := w.trySetUp(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}

		if reported != err.Error() { // an event for every new cause, not for every try
			reported = err.Error()
			w.agent.events.Event(w.current(), corev1.EventTypeWarning, reason, err.Error())
		}

		if !w.pause(ctx, pause) {
			return false
		}
	}
}

// pause waits for a time; false: ctx ended before, or the Pod is to be deleted.
func (w *worker) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-w.deleting:
		return false
	case <-time.After(d):
		return true
	}
}

func (w *worker) trySetUp(ctx context.Context) (reason string, err error) {
	if w.network == nil {
		attached, err := w.agent.Bridge.Attach()
		if err != nil {
			return "FailedCreatePodSandBox", err
		}
		w.mutex.Lock()
		w.network = attached
		w.mutex.Unlock()
	}

	for _, c := range w.containers() {
		if err := supported(c.spec); err != nil {
			return "Failed", err
		}
		if err := c.prepare(); err != nil {
			return "Failed", err
		}
	}

	if err := w.writeVolumes(ctx); err != nil {
		return "FailedMount", err
	}

	return "", nil
}

// refreshVolumes keeps Secrets, ConfigMaps and tokens in volumes up to date
// until ctx ends or the Pod is to be deleted.
func (w *worker) refreshVolumes(ctx context.Context) {
	const period = time.Second
	tick := time.NewTicker(period)
	defer tick.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-w.deleting:
			return
		case <-tick.C:
			if err := w.writeVolumes(ctx); err != nil && ctx.Err() == nil {
				pod := w.current()
				logf("refresh the volumes of %s/%s: %v", pod.Namespace, pod.Name, err)
			}
		}
	}
}

// terminate ends every container within the grace period.
func (w *worker) terminate(grace time.Duration) {
	var ending sync.WaitGroup
	for _, c := range w.containers() {
		ending.Go(func() { c.terminate(grace, w.killed) })
	}
	ending.Wait()
}

// deleteObject removes the Pod's object, whose processes have ended.
func (w *worker) deleteObject(ctx context.Context, pod *corev1.Pod) {
	zero := int64(0)
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, requestTimeout)
		err := w.agent.Client.CoreV1().Pods(pod.Namespace).Delete(attempt, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &zero, Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
		cancel()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}

		logf("delete the object of %s/%s: %v", pod.Namespace, pod.Name, err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// containers are all of the Pod's, those of its initialisation first.
func (w *worker) containers() []*container {
	return append(append([]*container(nil), w.inits...), w.mains...)
}

func (w *worker) setWaiting(reason string) {
	w.mutex.Lock()
	w.waiting = reason
	w.mutex.Unlock()
	w.notify()
}

// podIP is the Pod's address, or empty as long as it has none.
func (w *worker) podIP() string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.network == nil {
		return ""
	}
	return w.network.IP.String()
}

// supported complains of what a container asks for and would not get.
func supported(spec *corev1.Container) error {
	if spec.RestartPolicy != nil {
		return unsupported("restart policy of a single container")
	}

	for _, probe := range []*corev1.Probe{spec.StartupProbe, spec.LivenessProbe, spec.ReadinessProbe} {
		if probe != nil && probe.HTTPGet == nil && probe.TCPSocket == nil {
			return unsupported("exec or gRPC probe")
		}
	}

	if hooks := spec.Lifecycle; hooks != nil {
		if hooks.PostStart != nil {
			return unsupported("postStart hook")
		}
		if hooks.PreStop != nil && hooks.PreStop.Sleep == nil && hooks.PreStop.HTTPGet == nil {
			return unsupported("preStop hook but sleep and httpGet")
		}
	}

	return nil
}

func unsupported(what string) error {
	return fmt.Errorf("a devcluster has no %s", what)
}

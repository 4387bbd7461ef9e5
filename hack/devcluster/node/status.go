package node

import (
	"context"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// reportStatus writes the Pod's status whenever it changes, until ctx ends.
func (w *worker) reportStatus(ctx context.Context) {
	const retry = 200 * time.Millisecond
	for {
		again := w.writeStatus(ctx)
		var timer <-chan time.Time
		if again {
			timer = time.After(retry)
		}
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
		case <-timer:
		}
	}
}

// writeStatus writes the status if it differs from the latest version seen, and
// says whether to try again.
func (w *worker) writeStatus(ctx context.Context) (again bool) {
	pod := w.current().DeepCopy()
	before := pod.Status.DeepCopy()
	w.fillStatus(pod)
	if reflect.DeepEqual(before, &pod.Status) {
		return false
	}

	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	written, err := w.agent.Client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	switch {
	case err == nil:
		w.mutex.Lock()
		if w.pod.ResourceVersion == pod.ResourceVersion { // else a newer version has come in
			w.pod = written
		}
		w.mutex.Unlock()
		return false
	case apierrors.IsNotFound(err):
		return false
	case !apierrors.IsConflict(err) && ctx.Err() == nil:
		logf("write the status of %s/%s: %v", pod.Namespace, pod.Name, err)
	}

	return ctx.Err() == nil
}

// fillStatus puts what the worker knows into the Pod.
func (w *worker) fillStatus(pod *corev1.Pod) {
	w.mutex.Lock()
	waiting, started := w.waiting, w.started
	w.mutex.Unlock()
	status := &pod.Status
	status.HostIP, status.HostIPs = w.agent.IP.String(), []corev1.HostIP{{IP: w.agent.IP.String()}}

	if ip := w.podIP(); ip != "" {
		status.PodIP, status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	}

	if status.StartTime == nil {
		status.StartTime = &started
	}

	initialized := true
	status.InitContainerStatuses = nil
	for _, c := range w.inits {
		s := c.status(waiting)
		initialized = initialized && s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		status.InitContainerStatuses = append(status.InitContainerStatuses, s)
	}

	status.ContainerStatuses = nil
	ready := initialized
	for _, c := range w.mains {
		s := c.status(waiting)
		ready = ready && s.Ready
		status.ContainerStatuses = append(status.ContainerStatuses, s)
	}

	status.Phase = phase(pod, initialized)
	setCondition(status, corev1.PodReadyToStartContainers, w.podIP() != "", "")
	setCondition(status, corev1.PodInitialized, initialized, "ContainersNotInitialized")
	setCondition(status, corev1.ContainersReady, ready, "ContainersNotReady")
	setCondition(status, corev1.PodReady, ready, "ContainersNotReady")
}

// phase is the Pod's phase by its containers' states.
func phase(pod *corev1.Pod, initialized bool) corev1.PodPhase {
	running, failed := 0, 0
	for _, s := range pod.Status.ContainerStatuses {
		switch {
		case s.State.Terminated != nil && !podutil.ContainerShouldRestart(containerNamed(pod, s.Name), pod.Spec, s.State.Terminated.ExitCode):
			if s.State.Terminated.ExitCode != 0 {
				failed++
			}
		case s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil:
			running++
		default:
			return corev1.PodPending
		}
	}

	switch {
	case !initialized:
		return corev1.PodPending
	case running > 0:
		return corev1.PodRunning
	case failed > 0:
		return corev1.PodFailed
	default:
		return corev1.PodSucceeded
	}
}

func containerNamed(pod *corev1.Pod, name string) corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return pod.Spec.Containers[i]
		}
	}
	return corev1.Container{}
}

func setCondition(status *corev1.PodStatus, kind corev1.PodConditionType, holds bool, reason string) {
	condition := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason}
	if holds {
		condition.Status, condition.Reason = corev1.ConditionTrue, ""
	}

	if _, old := podutil.GetPodCondition(status, kind); old != nil && old.Status == condition.Status && old.Reason == condition.Reason {
		return
	}

	podutil.UpdatePodCondition(status, &condition)
}

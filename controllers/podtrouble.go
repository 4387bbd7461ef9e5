package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=list

const (
	// troubledPods is how many Pods of a game are looked at: more than a class allows, but
	// those that were evicted stay until they are collected.
	troubledPods = 200
	// troubleRetry is how soon the Pods are looked at again. What is wrong with a Pod changes
	// nothing that is watched.
	troubleRetry = 10 * time.Second
	// startingFor is for how long a Pod may be on its way without anything being wrong.
	startingFor = time.Minute
	// troubleText bounds what a kubelet says, in bytes; the last lines of a log may be part
	// of it.
	troubleText = 512
)

// trouble is why a Pod does not serve.
type trouble struct {
	// rank says which of several is told: the lowest.
	rank int
	// what is the cause, which Pods share.
	what string
	pod  string
}

// Ranks of troubles, from those that pass the least by themselves.
const (
	rankStart = iota
	rankCrash
	rankSchedule
	rankProbe
	rankStarting
	rankEnded
)

// podTrouble reads the Pods of a game past the cache, which keeps none, and says in words
// why they do not serve; empty: nothing is known to be wrong.
func (r *LeaderboardReconciler) podTrouble(ctx context.Context, lb *v1alpha1.Leaderboard) (string, error) {
	pods := &corev1.PodList{}
	if err := r.Live.List(ctx, pods, client.InNamespace(lb.Namespace), client.MatchingLabels(workload.Selector(lb)), client.Limit(troubledPods)); err != nil {
		return "", fmt.Errorf("list the Pods: %w", err)
	}
	return worstTrouble(pods.Items, time.Now()), nil
}

// worstTrouble words what keeps most of the Pods with the worst trouble from serving.
func worstTrouble(pods []corev1.Pod, now time.Time) string {
	var all []trouble
	count := map[string]int{}
	for i := range pods {
		if found := troubleOf(&pods[i], now); found != nil {
			all = append(all, *found)
			count[found.what]++
		}
	}
	if len(all) == 0 {
		return ""
	}

	worst := slices.MinFunc(all, func(a, b trouble) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(count[b.what], count[a.what]), cmp.Compare(a.what, b.what), cmp.Compare(a.pod, b.pod))
	})
	return fmt.Sprintf("%d of %d Pods do not serve, such as %s: %s", count[worst.what], len(pods), worst.pod, worst.what)
}

// troubleOf says why a Pod does not serve; nil: it does, or nothing is known to be wrong.
func troubleOf(pod *corev1.Pod, now time.Time) *trouble {
	found := func(rank int, format string, args ...any) *trouble {
		return &trouble{rank: rank, pod: pod.Name, what: fmt.Sprintf(format, args...)}
	}

	switch {
	case !pod.DeletionTimestamp.IsZero():
		return nil
	case pod.Status.Phase == corev1.PodFailed:
		return found(rankEnded, "%s%s", cmp.Or(pod.Status.Reason, "Failed"), said(pod.Status.Message))
	}

	if scheduled := podCondition(pod, corev1.PodScheduled); scheduled != nil && scheduled.Status == corev1.ConditionFalse {
		return found(rankSchedule, "%s: no node takes the Pod%s", cmp.Or(scheduled.Reason, "Unschedulable"), said(scheduled.Message))
	}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			if rank, what := containerTrouble(&statuses[i], pod.CreationTimestamp.Time, now); what != "" {
				return found(rank, "%s", what)
			}
		}
	}

	return nil
}

// containerTrouble says why a container does not serve; empty: it does, or nothing is
// known to be wrong.
func containerTrouble(status *corev1.ContainerStatus, created, now time.Time) (rank int, what string) {
	last := status.LastTerminationState.Terminated
	switch state := status.State; {
	case state.Waiting != nil:
		return waitingTrouble(state.Waiting, status, created, now)
	case state.Terminated != nil && state.Terminated.ExitCode != 0:
		return rankCrash, "the container " + status.Name + " " + ended(state.Terminated)
	case state.Running == nil || status.Ready:
		return 0, ""
	case last != nil && now.Sub(state.Running.StartedAt.Time) < startingFor:
		return rankCrash, fmt.Sprintf("the container %s was started %d times and is not ready; before, it %s", status.Name, status.RestartCount+1, ended(last))
	case now.Sub(state.Running.StartedAt.Time) >= startingFor:
		return rankProbe, fmt.Sprintf("the container %s runs and its %s fails: kubectl describe pod shows with what, and /readyz says why", status.Name, failingProbe(status))
	}

	return 0, ""
}

func failingProbe(status *corev1.ContainerStatus) string {
	if status.Started != nil && !*status.Started {
		return "startup probe"
	}
	return "readiness probe"
}

// waitingTrouble is of a container that is not started.
func waitingTrouble(waiting *corev1.ContainerStateWaiting, status *corev1.ContainerStatus, created, now time.Time) (rank int, what string) {
	switch waiting.Reason {
	case "ContainerCreating", "PodInitializing", "":
		if now.Sub(created) < startingFor {
			return 0, ""
		}
		return rankStarting, fmt.Sprintf("the container %s is still not made (%s): kubectl describe pod shows which volume or network it waits for", status.Name, cmp.Or(waiting.Reason, "Waiting"))
	case "CrashLoopBackOff":
		what := "CrashLoopBackOff: the container " + status.Name + " ends again and again"
		if last := status.LastTerminationState.Terminated; last != nil {
			what = "CrashLoopBackOff: the container " + status.Name + " " + ended(last)
		}
		return rankCrash, what
	case "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable":
		return rankStart, fmt.Sprintf("%s: the image %s cannot be had%s", waiting.Reason, status.Image, said(waiting.Message))
	default: // CreateContainerConfigError, for example
		return rankStart, fmt.Sprintf("%s: the container %s cannot be made%s", waiting.Reason, status.Name, said(waiting.Message))
	}
}

// ended words how a container has ended.
func ended(state *corev1.ContainerStateTerminated) string {
	how := fmt.Sprintf("ended with status %d", state.ExitCode)
	if state.Signal != 0 {
		how = fmt.Sprintf("was ended by signal %d", state.Signal)
	}
	if state.Reason != "" {
		how += " (" + state.Reason + ")"
	}
	return how + said(state.Message)
}

// said is ": " and what a kubelet or scheduler says, on one line; empty if that is nothing.
// Of a long text the end is kept, where a log has its error.
func said(message string) string {
	text := strings.Join(strings.Fields(message), " ")
	if text == "" {
		return ""
	}
	if len(text) > troubleText {
		text = "..." + strings.ToValidUTF8(text[len(text)-troubleText:], "")
	}
	return ": " + text
}

func podCondition(pod *corev1.Pod, conditionType corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == conditionType {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func server(state corev1.ContainerState, last ...corev1.ContainerStateTerminated) corev1.PodStatus {
	status := corev1.ContainerStatus{Name: "server", Image: "leaderboard-server:test", State: state}
	for i := range last {
		status.LastTerminationState.Terminated, status.RestartCount = &last[i], 1
	}
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{status}}
}

func running(since time.Time) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(since)}}
}

// A Pod that does not serve is told with its cause.
func TestPodTrouble(t *testing.T) {
	now := time.Now()
	ready := server(running(now.Add(-time.Hour)))
	ready.ContainerStatuses[0].Ready = true
	starting := server(running(now.Add(-2 * time.Minute)))
	starting.ContainerStatuses[0].Started = new(false)

	for name, test := range map[string]struct {
		status corev1.PodStatus
		age    time.Duration
		want   string
	}{
		"a Pod that serves":  {status: ready},
		"no status yet":      {status: corev1.PodStatus{Phase: corev1.PodPending}},
		"a Pod that starts":  {status: server(waiting("ContainerCreating", ""))},
		"one that is not up": {status: server(running(now.Add(-time.Second)))},
		"an image that does not exist": {
			status: server(waiting("ErrImagePull", "not found:\n  leaderboard-server:test")),
			want:   "ErrImagePull: the image leaderboard-server:test cannot be had: not found: leaderboard-server:test"},
		"and after that": {
			status: server(waiting("ImagePullBackOff", `Back-off pulling image "leaderboard-server:test"`)),
			want:   `ImagePullBackOff: the image leaderboard-server:test cannot be had: Back-off pulling image "leaderboard-server:test"`},
		"a Secret is missing": {
			status: server(waiting("CreateContainerConfigError", `secret "race" not found`)),
			want:   `CreateContainerConfigError: the container server cannot be made: secret "race" not found`},
		"memory": {
			status: server(waiting("CrashLoopBackOff", "back-off 40s"), corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}),
			want:   "CrashLoopBackOff: the container server ended with status 137 (OOMKilled)"},
		"a server that ends": {
			status: server(waiting("CrashLoopBackOff", "back-off 40s"), corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", Message: "LEADERBOARD_X is wrong\n"}),
			want:   "CrashLoopBackOff: the container server ended with status 1 (Error): LEADERBOARD_X is wrong"},
		"one that has just ended": {
			status: server(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error", Message: strings.Repeat("log ", 500)}}),
			want:   "the container server ended with status 2 (Error): ..." + strings.Repeat(" log", 127)},
		"one that was started again": {
			status: server(running(now.Add(-time.Second)), corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error"}),
			want:   "the container server was started 2 times and is not ready; before, it ended with status 1 (Error)"},
		"a probe": {
			status: server(running(now.Add(-2 * time.Minute))), want: "the container server runs and its readiness probe fails"},
		"a startup probe": {status: starting, want: "the container server runs and its startup probe fails"},
		"a volume": {
			status: server(waiting("ContainerCreating", "")), age: 2 * time.Minute, want: "the container server is still not made (ContainerCreating)"},
		"no node": {
			status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
				Reason: corev1.PodReasonUnschedulable, Message: "0/3 nodes are available: 3 Insufficient cpu."}}},
			want: "Unschedulable: no node takes the Pod: 0/3 nodes are available: 3 Insufficient cpu."},
		"evicted": {
			status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: memory."},
			want:   "Evicted: The node was low on resource: memory."},
	} {
		t.Run(name, func(t *testing.T) {
			pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "race-1", CreationTimestamp: metav1.NewTime(now.Add(-test.age))}, Status: test.status}
			got := worstTrouble([]corev1.Pod{pod}, now)
			if test.want == "" {
				require.Empty(t, got)
				return
			}
			require.True(t, strings.HasPrefix(got, "1 of 1 Pods do not serve, such as race-1: "+test.want), got)
			pod.DeletionTimestamp = new(metav1.NewTime(now))
			require.Empty(t, worstTrouble([]corev1.Pod{pod}, now), "it is being ended")
		})
	}

	var pods []corev1.Pod
	for name, status := range map[string]corev1.PodStatus{"race-1": ready, "race-2": server(running(now.Add(-time.Hour))),
		"race-3": server(waiting("ErrImagePull", "")), "race-4": server(waiting("ImagePullBackOff", "")), "race-5": server(waiting("ImagePullBackOff", ""))} {
		pods = append(pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: status})
	}
	require.True(t, strings.HasPrefix(worstTrouble(pods, now), "2 of 5 Pods do not serve, such as race-4: ImagePullBackOff"), worstTrouble(pods, now))
}

// The conditions of a game name what keeps its Pods from serving, and follow it, although
// nothing of its Deployment changes.
func TestPodsThatCannotStart(t *testing.T) {
	class := newClass(t, startManager(t), postgres, redis)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	ns := namespace(t)
	lb := create(t, newLeaderboard(ns, class))
	becomes(t, lb, map[string]string{v1alpha1.ConditionWorkloadAvailable: "False Progressing"})
	deployment := deploymentOf(t, lb)

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: workload.Name(lb) + "-1", Labels: deployment.Spec.Template.Labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "leaderboard-server:test"}}}}
	create(t, pod)
	setPod := func(status corev1.PodStatus) {
		require.NoError(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(pod), pod))
		pod.Status = status
		require.NoError(t, cluster.Status().Update(t.Context(), pod))
	}
	told := func(cause string) {
		t.Helper()
		becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False WorkloadUnavailable", v1alpha1.ConditionWorkloadAvailable: "False WorkloadUnavailable"})
		eventually(t, lb, func() bool { return strings.Contains(message(lb), cause) })
		t.Log(row(t, lb))
	}

	for _, test := range []struct {
		status corev1.PodStatus
		cause  string
	}{
		{server(waiting("ImagePullBackOff", `Back-off pulling image "leaderboard-server:test"`)), "ImagePullBackOff: the image leaderboard-server:test"},
		{server(waiting("CreateContainerConfigError", "container has runAsNonRoot")), "CreateContainerConfigError"},
		{server(waiting("CrashLoopBackOff", ""), corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", FinishedAt: metav1.Now()}), "OOMKilled"},
		{corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: corev1.PodReasonUnschedulable, Message: "0/1 nodes are available"}}}, "Unschedulable"},
		{server(running(time.Now().Add(-time.Hour))), "readiness probe fails"},
	} {
		setPod(test.status)
		told(test.cause)
	}

	// What keeps Pods from being made is said by the Deployment.
	base := deployment.DeepCopy()
	deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Conditions: []appsv1.DeploymentCondition{
		{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: `pods "race-1" is forbidden: exceeded quota: games`}}}
	require.NoError(t, cluster.Status().Patch(t.Context(), deployment, client.MergeFrom(base)))
	told("exceeded quota: games")

	playDeployments(t, ns)
	base = deployment.DeepCopy()
	deployment.Status.Conditions = nil
	require.NoError(t, cluster.Status().Patch(t.Context(), deployment, client.MergeFrom(base)))
	becomes(t, lb, allReady)
}

package workload

import (
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

const (
	// httpPort and opsPort are where the server listens in its Pod.
	httpPort = 8080
	opsPort  = 9090

	// userID is the numeric user of distroless images' "nonroot".
	userID = 65532

	// defaultDrain is how long a Pod that is to end goes on serving before it is
	// told, unless the class says otherwise: proxies and ingress controllers need that
	// long to learn that the endpoint is gone, and would otherwise still send requests.
	defaultDrain = 5 * time.Second
	// defaultRequestTimeout is the server's own bound of a request.
	defaultRequestTimeout = 15 * time.Second
	// graceMargin is for the server to notice and the node to act.
	graceMargin = 5 * time.Second

	// progressDeadline is when a rollout that makes no progress counts as failed.
	// Pulling the image is what takes longest.
	progressDeadline = 5 * time.Minute

	revisionHistory = 3

	containerName = "server"
)

// Annotations of the Pods, which are replaced when one changes.
const (
	credentialsChecksumAnnotation = "games.leaderboard.dev/credentials-checksum"
	boardsChecksumAnnotation      = "games.leaderboard.dev/boards-checksum"
	// connectionLimitAnnotation has the tenant's limit, by which its login is bounded: a lower
	// one once no Pod has the pool of a higher one.
	connectionLimitAnnotation = "games.leaderboard.dev/connection-limit"
)

func deployment(in Input) (*appsv1ac.DeploymentApplyConfiguration, error) {
	lb := in.Leaderboard
	boards, err := boardsFile(lb)
	if err != nil {
		return nil, err
	}

	pod, err := podSpec(in)
	if err != nil {
		return nil, err
	}

	spec := appsv1ac.DeploymentSpec().
		WithSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(lb))).
		WithRevisionHistoryLimit(revisionHistory).
		WithProgressDeadlineSeconds(int32(progressDeadline.Seconds())).
		WithStrategy(appsv1ac.DeploymentStrategy().
			WithType(appsv1.RollingUpdateDeploymentStrategyType).
			WithRollingUpdate(rollout(in.Class.Spec.Pods.Rollout))).
		WithTemplate(corev1ac.PodTemplateSpec().
			WithLabels(podLabels(in)).
			WithAnnotations(podAnnotations(in)).
			WithAnnotations(map[string]string{
				credentialsChecksumAnnotation: in.CredentialsChecksum,
				boardsChecksumAnnotation:      Checksum(map[string][]byte{boardsKey: boards}),
				connectionLimitAnnotation:     strconv.Itoa(int(ConnectionLimit(in.Class))),
			}).
			WithSpec(pod))
	if in.SetReplicas {
		spec.WithReplicas(Replicas(lb, in.Class))
	}

	return ofGame(appsv1ac.Deployment(Name(lb), lb.Namespace), lb, in.Class).
		WithSpec(spec), nil
}

func podSpec(in Input) (*corev1ac.PodSpecApplyConfiguration, error) {
	lb := in.Leaderboard
	container, err := container(in)
	if err != nil {
		return nil, err
	}

	spec := corev1ac.PodSpec().
		WithServiceAccountName(Name(lb)).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(int64((drain(in.Class) + shutdownTimeout(in.Class) + graceMargin).Seconds())).
		WithSecurityContext(podSecurityContext(in.Class)).
		WithContainers(container).
		WithVolumes(volumes(in)...)

	return spec, schedule(in, spec)
}

func container(in Input) (*corev1ac.ContainerApplyConfiguration, error) {
	resources := resourcesOf(in.Leaderboard, in.Class)
	environment, err := environment(in, resources)
	if err != nil {
		return nil, err
	}

	container := corev1ac.Container().
		WithName(containerName).
		WithImage(in.Class.Spec.Image).
		WithArgs("serve").
		WithEnv(environment...).
		WithEnv(furtherVariables(in.Class)...).
		WithPorts(
			corev1ac.ContainerPort().WithName(httpPortName).WithContainerPort(httpPort).WithProtocol(corev1.ProtocolTCP),
			corev1ac.ContainerPort().WithName(opsPortName).WithContainerPort(opsPort).WithProtocol(corev1.ProtocolTCP)).
		WithResources(resourceRequirements(resources)).
		WithTerminationMessagePolicy(corev1.TerminationMessageFallbackToLogsOnError). // the conditions say why a Pod ends
		// 60 s for a start on a busy node; the others begin only after it.
		WithStartupProbe(probe("/livez").WithPeriodSeconds(1).WithFailureThreshold(60)).
		WithLivenessProbe(probe("/livez").WithPeriodSeconds(10).WithFailureThreshold(3)).
		WithReadinessProbe(probe("/readyz").WithPeriodSeconds(2).WithFailureThreshold(3)).
		WithLifecycle(corev1ac.Lifecycle().WithPreStop(corev1ac.LifecycleHandler().
			WithSleep(corev1ac.SleepAction().WithSeconds(int64(drain(in.Class).Seconds()))))).
		WithSecurityContext(corev1ac.SecurityContext().
			WithAllowPrivilegeEscalation(false).
			WithReadOnlyRootFilesystem(true).
			WithCapabilities(corev1ac.Capabilities().WithDrop("ALL"))).
		WithVolumeMounts(volumeMounts(in)...)

	if policy := in.Class.Spec.ImagePullPolicy; policy != "" {
		container.WithImagePullPolicy(policy)
	}

	return container, nil
}

func probe(path string) *corev1ac.ProbeApplyConfiguration {
	return corev1ac.Probe().
		WithHTTPGet(corev1ac.HTTPGetAction().WithPath(path).WithPort(intstr.FromString(opsPortName))).
		WithTimeoutSeconds(5)
}

// resourcesOf is what the Leaderboard says or, if it says nothing, the class.
func resourcesOf(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) v1alpha1.Resources {
	switch {
	case lb.Spec.Resources != nil:
		return *lb.Spec.Resources
	case class.Spec.Defaults.Resources != nil:
		return *class.Spec.Defaults.Resources
	default:
		return v1alpha1.Resources{}
	}
}

// RequestsCPU says whether the Pods request CPU. A limit alone counts as a
// request of as much.
func RequestsCPU(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) bool {
	resources := resourcesOf(lb, class)
	_, requested := resources.Requests[corev1.ResourceCPU]
	_, limited := resources.Limits[corev1.ResourceCPU]
	return requested || limited
}

func resourceRequirements(resources v1alpha1.Resources) *corev1ac.ResourceRequirementsApplyConfiguration {
	requirements := corev1ac.ResourceRequirements()
	if len(resources.Requests) > 0 {
		requirements.WithRequests(resources.Requests.DeepCopy())
	}

	if len(resources.Limits) > 0 {
		requirements.WithLimits(resources.Limits.DeepCopy())
	}

	return requirements
}

// memoryLimitVariable is what Go's runtime reads.
const memoryLimitVariable = "GOMEMLIMIT"

// memoryLimit is the value of GOMEMLIMIT: nine tenths of the container's limit,
// so that the collector works harder before the kernel ends the process. (The
// runtime finds the CPU limit by itself.)
func memoryLimit(resources v1alpha1.Resources) string {
	limit, found := resources.Limits[corev1.ResourceMemory]
	if !found || limit.Value() <= 0 {
		return ""
	}
	return fmt.Sprintf("%dB", limit.Value()/10*9)
}

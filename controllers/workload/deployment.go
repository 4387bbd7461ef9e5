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

	// preStopDelay is how long a Pod that is to end goes on serving before it is
	// told: proxies and ingress controllers need that long to learn that the
	// endpoint is gone, and would otherwise still send requests.
	preStopDelay = 5 * time.Second
	// shutdownTimeout is how long the server may then take to finish what it has
	// accepted; it is rendered into the server's configuration.
	shutdownTimeout = 20 * time.Second
	// graceMargin is for the server to notice and the node to act.
	graceMargin = 5 * time.Second
	// TerminationGracePeriod of the Pods: all of the above, 30 s.
	TerminationGracePeriod = preStopDelay + shutdownTimeout + graceMargin

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
			WithRollingUpdate(appsv1ac.RollingUpdateDeployment().
				WithMaxUnavailable(intstr.FromInt32(0)).
				WithMaxSurge(intstr.FromString("25%")))).
		WithTemplate(corev1ac.PodTemplateSpec().
			WithLabels(Labels(lb)).
			WithAnnotations(map[string]string{
				credentialsChecksumAnnotation: in.CredentialsChecksum,
				boardsChecksumAnnotation:      Checksum(map[string][]byte{boardsKey: boards}),
				connectionLimitAnnotation:     strconv.Itoa(int(ConnectionLimit(in.Class))),
			}).
			WithSpec(pod))
	if in.SetReplicas {
		spec.WithReplicas(Replicas(lb, in.Class))
	}

	return appsv1ac.Deployment(Name(lb), lb.Namespace).
		WithLabels(Labels(lb)).
		WithOwnerReferences(ownerReference(lb)).
		WithSpec(spec), nil
}

func podSpec(in Input) (*corev1ac.PodSpecApplyConfiguration, error) {
	lb := in.Leaderboard
	container, err := container(in)
	if err != nil {
		return nil, err
	}

	return corev1ac.PodSpec().
		WithServiceAccountName(Name(lb)).
		WithAutomountServiceAccountToken(false).
		WithEnableServiceLinks(false).
		WithTerminationGracePeriodSeconds(int64(TerminationGracePeriod.Seconds())).
		WithSecurityContext(corev1ac.PodSecurityContext().
			WithRunAsNonRoot(true).
			WithRunAsUser(userID).
			WithRunAsGroup(userID).
			WithSeccompProfile(corev1ac.SeccompProfile().WithType(corev1.SeccompProfileTypeRuntimeDefault))).
		WithTolerations(leave(corev1.TaintNodeNotReady), leave(corev1.TaintNodeUnreachable)).
		WithTopologySpreadConstraints(spreadOverNodes(lb)).
		WithAffinity(corev1ac.Affinity().WithPodAntiAffinity(spreadOverZones(lb))).
		WithContainers(container).
		WithVolumes(volumes(in)...), nil
}

// deadNodePatience is for how long a Pod stays on a node that does not answer. It
// keeps nothing that another Pod lacks, so it need not wait for the default of
// five minutes.
const deadNodePatience = 30 * time.Second

// leave makes the Pod go to another node soon once its own has the taint.
func leave(taint string) *corev1ac.TolerationApplyConfiguration {
	return corev1ac.Toleration().
		WithKey(taint).
		WithOperator(corev1.TolerationOpExists).
		WithEffect(corev1.TaintEffectNoExecute).
		WithTolerationSeconds(int64(deadNodePatience.Seconds()))
}

// spreadOverNodes keeps Pods of one revision apart where that is possible. A game
// with more Pods than nodes still runs.
func spreadOverNodes(lb *v1alpha1.Leaderboard) *corev1ac.TopologySpreadConstraintApplyConfiguration {
	return corev1ac.TopologySpreadConstraint().
		WithMaxSkew(1).
		WithTopologyKey(corev1.LabelHostname).
		WithWhenUnsatisfiable(corev1.ScheduleAnyway).
		WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(lb))).
		WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey)
}

// spreadOverZones does so for zones. It is no second spread constraint, as the
// scheduler weighs those only for nodes that have the labels of all of them: where
// nodes have no zone, Pods would not be spread over nodes either.
func spreadOverZones(lb *v1alpha1.Leaderboard) *corev1ac.PodAntiAffinityApplyConfiguration {
	const weight = 100 // of 100
	return corev1ac.PodAntiAffinity().WithPreferredDuringSchedulingIgnoredDuringExecution(
		corev1ac.WeightedPodAffinityTerm().WithWeight(weight).WithPodAffinityTerm(corev1ac.PodAffinityTerm().
			WithTopologyKey(corev1.LabelTopologyZone).
			WithLabelSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(lb))).
			WithMatchLabelKeys(appsv1.DefaultDeploymentUniqueLabelKey)))
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
			WithSleep(corev1ac.SleepAction().WithSeconds(int64(preStopDelay.Seconds()))))).
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

package workload

import (
	"k8s.io/apimachinery/pkg/runtime"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// Input is everything that the objects of one Leaderboard depend on. Nothing in
// it is modified or kept.
type Input struct {
	Leaderboard *v1alpha1.Leaderboard
	Class       *v1alpha1.LeaderboardClass
	// Tenant is the tenant's id, and KeyPrefix what its Redis keys begin with.
	Tenant, KeyPrefix string
	// CredentialsChecksum changes with what of the credentials Secret Pods read at their
	// start only, which is all but the logins: the Pods are then replaced.
	CredentialsChecksum string
	// PostgresCA and RedisCA say whether the credentials Secret holds an
	// authority for that store.
	PostgresCA, RedisCA bool
	// SetReplicas says whether the Deployment's spec.replicas is ours to set.
	// It is not while an autoscaler owns it.
	SetReplicas bool
}

// Objects returns the objects that the Leaderboard's server consists of, in the
// order in which they are to be applied. The Secrets that the Deployment refers
// to are not among them: they are made before, see [CredentialsSecret],
// [SigningKeysSecret], [AccountsSecret] and [WebhooksSecret].
func Objects(in Input) ([]runtime.ApplyConfiguration, error) {
	boards, err := boardsConfigMap(in)
	if err != nil {
		return nil, err
	}

	deployment, err := deployment(in)
	if err != nil {
		return nil, err
	}

	objects := []runtime.ApplyConfiguration{serviceAccount(in), boards}
	if HasNetworkPolicy(in.Class) {
		policy, err := networkPolicy(in)
		if err != nil {
			return nil, err
		}
		objects = append(objects, policy)
	}

	objects = append(objects, service(in), deployment, podDisruptionBudget(in))
	if in.Leaderboard.Spec.Autoscaling != nil {
		objects = append(objects, horizontalPodAutoscaler(in))
	}

	if ExposureOf(in.Leaderboard, in.Class) == v1alpha1.ExposureIngress {
		objects = append(objects, ingress(in))
	}

	return objects, nil
}

// serviceAccount has no rights and no token in the Pods: the server does not
// know Kubernetes. It exists so that the Pods do not run as "default", which
// others in the namespace may have given rights to.
func serviceAccount(in Input) *corev1ac.ServiceAccountApplyConfiguration {
	lb := in.Leaderboard
	return ofGame(corev1ac.ServiceAccount(Name(lb), lb.Namespace), lb, in.Class).
		WithAutomountServiceAccountToken(false)
}

// described is an object whose metadata is to be set.
type described[T any] interface {
	WithLabels(map[string]string) T
	WithAnnotations(map[string]string) T
	WithOwnerReferences(...*metav1ac.OwnerReferenceApplyConfiguration) T
}

// ofGame gives an object what every one of a Leaderboard has.
func ofGame[T described[T]](object T, lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) T {
	return object.
		WithLabels(Labels(lb, class)).
		WithAnnotations(class.Spec.Objects.Annotations).
		WithOwnerReferences(ownerReference(lb))
}

// ownerReference makes the garbage collector remove the object with its
// Leaderboard.
func ownerReference(lb *v1alpha1.Leaderboard) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).
		WithKind("Leaderboard").
		WithName(lb.Name).
		WithUID(lb.UID).
		WithController(true).
		WithBlockOwnerDeletion(true)
}

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// LabelValue is a value of a label.
// +kubebuilder:validation:MaxLength=63
type LabelValue string

// PodField is a field of pods that a Leaderboard may set where its class allows it.
// +kubebuilder:validation:Enum=labels;annotations;nodeSelector;tolerations;affinity;topologySpreadConstraints;priorityClassName
type PodField string

// The fields, by their names.
const (
	PodFieldLabels            PodField = "labels"
	PodFieldAnnotations       PodField = "annotations"
	PodFieldNodeSelector      PodField = "nodeSelector"
	PodFieldTolerations       PodField = "tolerations"
	PodFieldAffinity          PodField = "affinity"
	PodFieldTopologySpread    PodField = "topologySpreadConstraints"
	PodFieldPriorityClassName PodField = "priorityClassName"
)

// PodsSpec is what a game may say of its Pods, where the class allows it. It is no template
// of a Pod: the security context, the volumes, the probes and how a Pod ends belong together,
// and are the operator's.
type PodsSpec struct {
	// labels are added to the Pods. Those of app.kubernetes.io and games.leaderboard.dev are
	// the operator's.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$'))",message="each must be the name of a label, for example team or example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('games.leaderboard.dev/') && k != 'pod-template-hash')",message="app.kubernetes.io/, games.leaderboard.dev/ and pod-template-hash are the operator's and Kubernetes': use another name, for example example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(k, self[k].matches('^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$'))",message="each value must be letters, digits, -, _ and ., with a letter or digit at both ends"
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations are added to the Pods, for what reads them, such as a service mesh. Those of
	// games.leaderboard.dev are the operator's.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$'))",message="each must be the name of an annotation, for example example.com/scrape"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('games.leaderboard.dev/'))",message="games.leaderboard.dev/ is the operator's: use another name, for example example.com/scrape"
	Annotations map[string]string `json:"annotations,omitempty"`

	// nodeSelector are labels that a node has to have for Pods to run there.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$'))",message="each must be the name of a label of nodes, for example kubernetes.io/arch"
	// +kubebuilder:validation:XValidation:rule="self.all(k, self[k].matches('^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$'))",message="each value must be letters, digits, -, _ and ., with a letter or digit at both ends"
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// tolerations are the taints of nodes on which Pods may run all the same. Without one of
	// node.kubernetes.io/not-ready or node.kubernetes.io/unreachable, Pods leave a node that
	// does not answer after 30 s.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Tolerations []Toleration `json:"tolerations,omitempty"`

	// affinity is as that of a Pod. podAntiAffinity takes the place of the spreading over zones
	// that games have otherwise.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints take the place of the spreading over nodes and zones that
	// games have otherwise. They are about the Pods of the game.
	// +optional
	// +listType=map
	// +listMapKey=topologyKey
	// +listMapKey=whenUnsatisfiable
	// +kubebuilder:validation:MaxItems=8
	TopologySpreadConstraints []TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName is the PriorityClass of the Pods. Left out, the cluster's default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="must be the name of a PriorityClass: lower-case letters, digits, - and ., for example games"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('system-')",message="the classes of the system are for what a cluster cannot do without: make a PriorityClass for games"
	PriorityClassName string `json:"priorityClassName,omitempty"`
}

// Toleration lets Pods run on nodes with a taint.
//
// +kubebuilder:validation:XValidation:rule="has(self.key) || (has(self.operator) && self.operator == 'Exists')",fieldPath=".key",message="a toleration without a key is of every taint, and takes operator Exists: set key, or set operator to Exists"
// +kubebuilder:validation:XValidation:rule="!has(self.value) || !has(self.operator) || self.operator == 'Equal'",fieldPath=".value",message="with operator Exists any value will do: remove value, or set operator to Equal"
// +kubebuilder:validation:XValidation:rule="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",fieldPath=".tolerationSeconds",message="tolerationSeconds takes effect NoExecute, by which Pods are removed from a node: set effect, or remove tolerationSeconds"
type Toleration struct {
	// key of the taint. Left out, with operator Exists, every taint.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$')",message="must be the key of a taint, for example example.com/games"
	Key string `json:"key,omitempty"`

	// operator is Equal, for taints with the value, or Exists, for any value. Left out: Equal.
	// +optional
	// +kubebuilder:validation:Enum=Equal;Exists
	Operator corev1.TolerationOperator `json:"operator,omitempty"`

	// value of the taint, with operator Equal.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$')",message="must be letters, digits, -, _ and ., with a letter or digit at both ends"
	Value string `json:"value,omitempty"`

	// effect of the taint. Left out, any.
	// +optional
	// +kubebuilder:validation:Enum=NoSchedule;PreferNoSchedule;NoExecute
	Effect corev1.TaintEffect `json:"effect,omitempty"`

	// tolerationSeconds is for how long Pods stay on a node that gets the taint, with effect
	// NoExecute. Left out, for good.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty"`
}

// TopologySpreadConstraint spreads the Pods of a game over nodes, zones or other domains.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",fieldPath=".minDomains",message="minDomains takes whenUnsatisfiable DoNotSchedule: set it, or remove minDomains"
type TopologySpreadConstraint struct {
	// maxSkew is by how many Pods two domains may differ.
	// +required
	// +kubebuilder:validation:Minimum=1
	MaxSkew int32 `json:"maxSkew,omitempty"`

	// topologyKey is the label of nodes whose values are the domains.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$')",message="must be the name of a label of nodes, for example topology.kubernetes.io/zone"
	TopologyKey string `json:"topologyKey,omitempty"`

	// whenUnsatisfiable is DoNotSchedule, or ScheduleAnyway.
	// +required
	// +kubebuilder:validation:Enum=DoNotSchedule;ScheduleAnyway
	WhenUnsatisfiable corev1.UnsatisfiableConstraintAction `json:"whenUnsatisfiable,omitempty"`

	// minDomains is how many domains there have to be; with fewer, the least number of Pods
	// counts as 0.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MinDomains *int32 `json:"minDomains,omitempty"`

	// nodeAffinityPolicy is whether nodes that nodeSelector and affinity rule out count: Honor,
	// they do not, or Ignore. Left out: Honor.
	// +optional
	// +kubebuilder:validation:Enum=Honor;Ignore
	NodeAffinityPolicy *corev1.NodeInclusionPolicy `json:"nodeAffinityPolicy,omitempty"`

	// nodeTaintsPolicy is whether nodes with taints that Pods do not tolerate count: Honor, they
	// do not, or Ignore. Left out: Ignore.
	// +optional
	// +kubebuilder:validation:Enum=Honor;Ignore
	NodeTaintsPolicy *corev1.NodeInclusionPolicy `json:"nodeTaintsPolicy,omitempty"`
}

// RunAsUser says as which user Pods run.
// +kubebuilder:validation:Enum=Nonroot;FromPlatform
type RunAsUser string

const (
	// RunAsNonroot is the user and group 65532, which images call nonroot.
	RunAsNonroot RunAsUser = "Nonroot"
	// RunAsFromPlatform is what the platform gives: nothing is asked for but that it is not root.
	RunAsFromPlatform RunAsUser = "FromPlatform"
)

// ClassPods are the Pods of all games of a class, and what a game may say of its own.
type ClassPods struct {
	PodsSpec `json:",inline"`

	// allow are the fields that a Leaderboard may set in its own spec.pods. Left out, none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=7
	Allow []PodField `json:"allow,omitempty"`

	// imagePullSecrets are Secrets in the namespace of each game with which the image is pulled.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ImagePullSecrets []ImagePullSecret `json:"imagePullSecrets,omitempty"`

	// runtimeClassName is the RuntimeClass of the Pods. Left out, the cluster's default.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="must be the name of a RuntimeClass: lower-case letters, digits, - and ., for example gvisor"
	RuntimeClassName *string `json:"runtimeClassName,omitempty"`

	// runAsUser is Nonroot, the user and group 65532, or FromPlatform: none is named, for
	// platforms that give each namespace its own, such as OpenShift. Left out: Nonroot.
	// +optional
	RunAsUser RunAsUser `json:"runAsUser,omitempty"`

	// env are further variables of the servers, for libraries in them. Settings of the server
	// itself, LEADERBOARD_..., are the operator's.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Env []PodVariable `json:"env,omitempty"`

	// rollout says how Pods are replaced by new ones.
	// +optional
	Rollout *PodRollout `json:"rollout,omitempty"`

	// drainSeconds is for how long a Pod that is to end goes on serving before it is told,
	// since balancers still send to it. After it, the server has 20 s to finish what it has
	// accepted. Left out: 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	DrainSeconds *int32 `json:"drainSeconds,omitempty"`
}

// ImagePullSecret names a Secret in the namespace of each game.
type ImagePullSecret struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="must be the name of a Secret without a namespace: lower-case letters, digits, - and ., for example registry"
	Name string `json:"name,omitempty"`
}

// PodVariable is a variable of the servers' environment.
//
// +kubebuilder:validation:XValidation:rule="(has(self.value) ? 1 : 0) + (has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0) == 1",message="set exactly one of value, secretKeyRef and configMapKeyRef"
type PodVariable struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",message="must be the name of a variable: letters, digits and _, for example SSL_CERT_DIR"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('LEADERBOARD_') && self != 'GOMEMLIMIT'",message="LEADERBOARD_... and GOMEMLIMIT are set by the operator: remove it"
	Name string `json:"name,omitempty"`

	// value of the variable.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value *string `json:"value,omitempty"`

	// secretKeyRef is a key of a Secret in the namespace of each game.
	// +optional
	SecretKeyRef *KeyReference `json:"secretKeyRef,omitempty"`

	// configMapKeyRef is a key of a ConfigMap in the namespace of each game.
	// +optional
	ConfigMapKeyRef *KeyReference `json:"configMapKeyRef,omitempty"`
}

// KeyReference names a key of a Secret or ConfigMap in the namespace of each game.
type KeyReference struct {
	// name of the Secret or ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",message="must be a name without a namespace: lower-case letters, digits, - and ."
	Name string `json:"name,omitempty"`

	// key in it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._-]+$')",message="must be letters, digits, -, _ and ."
	Key string `json:"key,omitempty"`

	// optional lets Pods start without it.
	// +optional
	Optional bool `json:"optional,omitempty"`
}

// PodRollout says how Pods are replaced by new ones, as in a Deployment.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.maxSurge) && string(self.maxSurge) in ['0', '0%'] && (!has(self.maxUnavailable) || string(self.maxUnavailable) in ['0', '0%']))",fieldPath=".maxUnavailable",message="nothing could be replaced: with maxSurge 0, set maxUnavailable to 1 or more"
type PodRollout struct {
	// maxSurge is how many Pods there may be more than were asked for, as a number or in
	// percent. Left out: 25%.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 100 : self.matches('^(100|[1-9]?[0-9])%$')",message="must be a number from 0 to 100, or from 0% to 100%"
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`

	// maxUnavailable is how many Pods there may be fewer than were asked for, as a number or in
	// percent. Left out: 0.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 && self <= 100 : self.matches('^(100|[1-9]?[0-9])%$')",message="must be a number from 0 to 100, or from 0% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// ObjectMetadata is what every object of a game has, its Pods too.
type ObjectMetadata struct {
	// labels of the objects. Those of app.kubernetes.io and games.leaderboard.dev are the
	// operator's.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$'))",message="each must be the name of a label, for example team or example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('app.kubernetes.io/') && !k.startsWith('games.leaderboard.dev/') && k != 'pod-template-hash')",message="app.kubernetes.io/, games.leaderboard.dev/ and pod-template-hash are the operator's and Kubernetes': use another name, for example example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(k, self[k].matches('^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$'))",message="each value must be letters, digits, -, _ and ., with a letter or digit at both ends"
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations of the objects. Those of games.leaderboard.dev are the operator's.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$'))",message="each must be the name of an annotation, for example example.com/owner"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('games.leaderboard.dev/'))",message="games.leaderboard.dev/ is the operator's: use another name, for example example.com/owner"
	Annotations map[string]string `json:"annotations,omitempty"`
}

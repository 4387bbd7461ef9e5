package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClassNetworkPolicy is what the Pods of games may be reached from and may reach, next to what
// they need.
//
// +kubebuilder:validation:XValidation:rule="!has(self.enabled) || self.enabled || !(has(self.clients) || has(self.ingressFrom) || has(self.egressTo) || has(self.dnsPorts))",fieldPath=".enabled",message="without a NetworkPolicy all else in networkPolicy means nothing: remove it, or set enabled to true"
type ClassNetworkPolicy struct {
	// enabled says whether games have a NetworkPolicy. Left out, they have.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// clients are what may call the API. Left out, everything that reaches the Pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Clients []NetworkPeer `json:"clients,omitempty"`

	// ingressFrom are further ways to the Pods, such as those of a service mesh.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	IngressFrom []NetworkRule `json:"ingressFrom,omitempty"`

	// egressTo are further ways from the Pods, such as to a service mesh, or to the ports of
	// Pods behind a Service of the stores.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	EgressTo []NetworkRule `json:"egressTo,omitempty"`

	// dnsPorts are the ports of the Pods of the cluster's DNS. Left out: 53.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=65535
	DNSPorts []int32 `json:"dnsPorts,omitempty"`
}

// NetworkRule is a way from or to Pods.
//
// +kubebuilder:validation:XValidation:rule="has(self.peers) || has(self.ports)",message="a rule without peers and ports would open everything: set one, or set enabled of networkPolicy to false"
type NetworkRule struct {
	// peers are where the way begins or leads. Left out, anywhere.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Peers []NetworkPeer `json:"peers,omitempty"`

	// ports that it has: of the games' Pods, or of what these reach. Left out, all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Ports []NetworkPort `json:"ports,omitempty"`
}

// NetworkPeer is Pods, or a network.
//
// +kubebuilder:validation:XValidation:rule="has(self.cidr) != (has(self.podSelector) || has(self.namespaceSelector))",message="set either cidr, or podSelector and namespaceSelector, of which one may be left out"
// +kubebuilder:validation:XValidation:rule="!has(self.except) || has(self.cidr)",fieldPath=".except",message="except is of a cidr: set cidr, or remove except"
type NetworkPeer struct {
	// podSelector matches labels of Pods. Without namespaceSelector, of the game's namespace.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`

	// namespaceSelector matches labels of namespaces. Without podSelector, all Pods there.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// cidr is a network, for example 10.20.0.0/16.
	// +optional
	// +kubebuilder:validation:MaxLength=43
	// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a network without bits behind its prefix, for example 10.20.0.0/16"
	CIDR string `json:"cidr,omitempty"`

	// except are networks in the cidr that are not meant.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=43
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a network without bits behind its prefix, for example 10.20.30.0/24"
	Except []string `json:"except,omitempty"`
}

// NetworkPort is a port, or several in a row.
//
// +kubebuilder:validation:XValidation:rule="!has(self.endPort) || self.endPort >= self.port",fieldPath=".endPort",message="endPort must not be less than port: raise it, or remove it"
type NetworkPort struct {
	// protocol is TCP, UDP or SCTP. Left out: TCP.
	// +optional
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	Protocol corev1.Protocol `json:"protocol,omitempty"`

	// port is the port, or the first of several.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// endPort is the last of several.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	EndPort *int32 `json:"endPort,omitempty"`
}

// ClassService is the Service of each game.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.externalTrafficPolicy) || has(self.loadBalancerClass)) || has(self.type) && self.type == 'LoadBalancer' || has(self.type) && self.type == 'NodePort' && !has(self.loadBalancerClass)",fieldPath=".type",message="externalTrafficPolicy and loadBalancerClass are of a Service that is reached from outside: set type to LoadBalancer, or remove them"
type ClassService struct {
	// type is ClusterIP, LoadBalancer or NodePort. Those that are reached from outside have the
	// port of the API alone. Left out: ClusterIP.
	// +optional
	// +kubebuilder:validation:Enum=ClusterIP;LoadBalancer;NodePort
	Type corev1.ServiceType `json:"type,omitempty"`

	// annotations of the Services, for balancers and DNS.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('games.leaderboard.dev/'))",message="games.leaderboard.dev/ is the operator's: use another name"
	Annotations map[string]string `json:"annotations,omitempty"`

	// externalTrafficPolicy is Cluster, or Local, which keeps the addresses of clients. Left
	// out: Cluster.
	// +optional
	// +kubebuilder:validation:Enum=Cluster;Local
	ExternalTrafficPolicy corev1.ServiceExternalTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// loadBalancerClass is who makes the balancers. Left out, the cluster's default. It cannot
	// be changed of a Service that there is.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty"`

	// ipFamilyPolicy is SingleStack, PreferDualStack or RequireDualStack. Left out, the
	// cluster's default.
	// +optional
	// +kubebuilder:validation:Enum=SingleStack;PreferDualStack;RequireDualStack
	IPFamilyPolicy *corev1.IPFamilyPolicy `json:"ipFamilyPolicy,omitempty"`

	// ipFamilies are IPv4, IPv6 or both, in their order. The first one cannot be changed of a
	// Service that there is. Left out, the cluster's default.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +kubebuilder:validation:items:Enum=IPv4;IPv6
	IPFamilies []corev1.IPFamily `json:"ipFamilies,omitempty"`
}

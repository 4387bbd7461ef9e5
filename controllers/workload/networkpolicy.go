package workload

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// HasNetworkPolicy says whether the games of a class have a NetworkPolicy.
func HasNetworkPolicy(class *v1alpha1.LeaderboardClass) bool {
	enabled := class.Spec.NetworkPolicy.Enabled
	return enabled == nil || *enabled
}

// ingressRules let the class's clients reach the API, or anyone; monitoring the metrics; and
// what the class lists besides.
func ingressRules(spec v1alpha1.ClassNetworkPolicy) ([]*networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration, error) {
	clients, err := peers(spec.Clients)
	if err != nil {
		return nil, err
	}

	rules := []*networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration{
		networkingv1ac.NetworkPolicyIngressRule().
			WithPorts(policyPort(corev1.ProtocolTCP, intstr.FromString(httpPortName))).
			WithFrom(clients...),
		networkingv1ac.NetworkPolicyIngressRule().
			WithPorts(policyPort(corev1.ProtocolTCP, intstr.FromString(opsPortName))).
			WithFrom(networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(
				metav1ac.LabelSelector().WithMatchLabels(map[string]string{ScrapeNamespaceLabel: "true"}))),
	}
	for _, rule := range spec.IngressFrom {
		from, err := peers(rule.Peers)
		if err != nil {
			return nil, err
		}
		rules = append(rules, networkingv1ac.NetworkPolicyIngressRule().WithFrom(from...).WithPorts(policyPorts(rule.Ports)...))
	}

	return rules, nil
}

// furtherEgress are the ways that the class lists.
func furtherEgress(spec v1alpha1.ClassNetworkPolicy) ([]*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration, error) {
	var rules []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration
	for _, rule := range spec.EgressTo {
		to, err := peers(rule.Peers)
		if err != nil {
			return nil, err
		}
		rules = append(rules, networkingv1ac.NetworkPolicyEgressRule().WithTo(to...).WithPorts(policyPorts(rule.Ports)...))
	}
	return rules, nil
}

// dnsRule lets the Pods reach the cluster's DNS, wherever it is.
func dnsRule(spec v1alpha1.ClassNetworkPolicy) *networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	const dnsPort = 53
	ports := spec.DNSPorts
	if len(ports) == 0 {
		ports = []int32{dnsPort}
	}

	rule := networkingv1ac.NetworkPolicyEgressRule()
	for _, port := range ports {
		rule.WithPorts(policyPort(corev1.ProtocolUDP, intstr.FromInt32(port)), policyPort(corev1.ProtocolTCP, intstr.FromInt32(port)))
	}
	return rule
}

func peers(specs []v1alpha1.NetworkPeer) ([]*networkingv1ac.NetworkPolicyPeerApplyConfiguration, error) {
	var list []*networkingv1ac.NetworkPolicyPeerApplyConfiguration
	for _, spec := range specs {
		p := networkingv1ac.NetworkPolicyPeer()
		if spec.CIDR != "" {
			list = append(list, p.WithIPBlock(networkingv1ac.IPBlock().WithCIDR(spec.CIDR).WithExcept(slices.Clone(spec.Except)...)))
			continue
		}

		pods, err := selector(spec.PodSelector)
		if err != nil {
			return nil, err
		}
		namespaces, err := selector(spec.NamespaceSelector)
		if err != nil {
			return nil, err
		}
		p.PodSelector, p.NamespaceSelector = pods, namespaces
		list = append(list, p)
	}
	return list, nil
}

// selector is nil where there is none, which is not one that matches all.
func selector(spec *metav1.LabelSelector) (*metav1ac.LabelSelectorApplyConfiguration, error) {
	if spec == nil {
		return nil, nil
	}
	return converted[metav1ac.LabelSelectorApplyConfiguration](spec)
}

func policyPorts(specs []v1alpha1.NetworkPort) []*networkingv1ac.NetworkPolicyPortApplyConfiguration {
	var list []*networkingv1ac.NetworkPolicyPortApplyConfiguration
	for _, spec := range specs {
		protocol := spec.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		port := policyPort(protocol, intstr.FromInt32(spec.Port))
		if spec.EndPort != nil {
			port.WithEndPort(*spec.EndPort)
		}
		list = append(list, port)
	}
	return list
}

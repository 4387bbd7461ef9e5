package workload_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// everyWay is all that a class may say of the network.
var everyWay = v1alpha1.ClassNetworkPolicy{
	Clients: []v1alpha1.NetworkPeer{
		{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "ingress-nginx"}}},
		{PodSelector: &metav1.LabelSelector{}},
		{CIDR: "10.128.0.0/20", Except: []string{"10.128.1.0/24"}},
	},
	IngressFrom: []v1alpha1.NetworkRule{{Ports: []v1alpha1.NetworkPort{{Port: 15008}}}},
	EgressTo: []v1alpha1.NetworkRule{
		{Peers: []v1alpha1.NetworkPeer{{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "istio-system"}},
			PodSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"istiod"}}}}}},
			Ports: []v1alpha1.NetworkPort{{Port: 15010, EndPort: new(int32(15012))}, {Protocol: corev1.ProtocolUDP, Port: 15010}}},
	},
	DNSPorts: []int32{53, 5353},
}

// Without clients anyone may call the API; a selector that matches everything stays one.
func TestNetworkPolicyOfTheClass(t *testing.T) {
	plain := find[networkingv1.NetworkPolicy](t, input())
	require.Len(t, plain.Spec.Ingress, 2)
	require.Empty(t, plain.Spec.Ingress[0].From)

	policy := find[networkingv1.NetworkPolicy](t, input(func(in *workload.Input) { in.Class.Spec.NetworkPolicy = everyWay }))
	clients := policy.Spec.Ingress[0].From
	require.Len(t, clients, 3)
	require.Nil(t, clients[0].PodSelector)
	require.Equal(t, &metav1.LabelSelector{}, clients[1].PodSelector)
	require.Nil(t, clients[1].NamespaceSelector)
	require.Equal(t, []string{"10.128.1.0/24"}, clients[2].IPBlock.Except)
	require.Equal(t, plain.Spec.Ingress[1], policy.Spec.Ingress[1], "monitoring is let in as before")
	require.Empty(t, policy.Spec.Ingress[2].From)

	require.Len(t, policy.Spec.Egress[0].Ports, 4, "DNS on each port, by UDP and TCP")
	last := policy.Spec.Egress[len(policy.Spec.Egress)-1]
	require.Equal(t, int32(15012), *last.Ports[0].EndPort)
	require.Equal(t, corev1.ProtocolTCP, *last.Ports[0].Protocol)
	require.Equal(t, plain.Spec.Egress[1:], policy.Spec.Egress[1:len(policy.Spec.Egress)-1], "the ways to the stores stay")
}

// What is reached from outside the cluster has no port for metrics and profiles.
func TestMetricsStayInside(t *testing.T) {
	for serviceType, ports := range map[corev1.ServiceType]int{"": 2, corev1.ServiceTypeClusterIP: 2, corev1.ServiceTypeLoadBalancer: 1, corev1.ServiceTypeNodePort: 1} {
		service := find[corev1.Service](t, input(func(in *workload.Input) { in.Class.Spec.Exposure.Service.Type = serviceType }))
		require.Len(t, service.Spec.Ports, ports, serviceType)
		require.Equal(t, "http", service.Spec.Ports[0].Name)
	}
}

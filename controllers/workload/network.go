package workload

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

const (
	// servicePort is where the Service answers, so that its URL needs no port.
	servicePort = 80

	// Names of the container's ports.
	httpPortName = "http"
	opsPortName  = "ops"
)

// ExposureOf is how the Leaderboard is reached: what it says or, if it says
// nothing, what the class says.
func ExposureOf(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) v1alpha1.ExposureType {
	if lb.Spec.Exposure != nil {
		return lb.Spec.Exposure.Type
	}
	return class.Spec.Exposure.Type
}

// defaultHostTemplate makes hosts of which no two games have the same.
const defaultHostTemplate = "{name}.{namespace}.{domain}"

// Host is the Ingress's host name.
func Host(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) string {
	template := class.Spec.Exposure.HostTemplate
	if template == "" {
		template = defaultHostTemplate
	}
	return strings.NewReplacer("{name}", lb.Name, "{namespace}", lb.Namespace, "{domain}", class.Spec.Exposure.Domain).Replace(template)
}

// HostOf is the host name that the Leaderboard has outside the cluster, or "".
func HostOf(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) string {
	if ExposureOf(lb, class) != v1alpha1.ExposureIngress {
		return ""
	}
	return Host(lb, class)
}

// CheckHost returns why the host of a Leaderboard cannot be one.
func CheckHost(host string) error {
	if len(host) > validation.DNS1123SubdomainMaxLength {
		return fmt.Errorf("the host name %s has %d characters, and at most %d are possible: use a shorter name for the Leaderboard or its namespace", host, len(host), validation.DNS1123SubdomainMaxLength)
	}
	for label := range strings.SplitSeq(host, ".") {
		if len(label) > validation.DNS1123LabelMaxLength {
			return fmt.Errorf("the part %s of the host name %s has %d characters, and at most %d are possible between two dots: use a shorter name for the Leaderboard or its namespace", label, host, len(label), validation.DNS1123LabelMaxLength)
		}
	}
	return nil
}

// Endpoint is the base URL at which clients reach the Leaderboard.
func Endpoint(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) string {
	if ExposureOf(lb, class) != v1alpha1.ExposureIngress {
		return "http://" + Name(lb) + "." + lb.Namespace + ".svc"
	}

	exposure := class.Spec.Exposure
	scheme, own := "http", int32(80)
	if exposure.TLSSecretName != nil {
		scheme, own = "https", 443
	}

	host := Host(lb, class)
	if exposure.Port != 0 && exposure.Port != own {
		host = net.JoinHostPort(host, strconv.Itoa(int(exposure.Port)))
	}

	return scheme + "://" + host
}

func service(in Input) *corev1ac.ServiceApplyConfiguration {
	lb, settings := in.Leaderboard, in.Class.Spec.Exposure.Service
	spec := corev1ac.ServiceSpec().
		WithType(corev1.ServiceTypeClusterIP).
		WithSelector(Selector(lb)).
		WithPorts(corev1ac.ServicePort().WithName(httpPortName).WithProtocol(corev1.ProtocolTCP).
			WithPort(servicePort).WithTargetPort(intstr.FromString(httpPortName))).
		WithIPFamilies(settings.IPFamilies...)
	if settings.IPFamilyPolicy != nil {
		spec.WithIPFamilyPolicy(*settings.IPFamilyPolicy)
	}

	// Metrics and profiles are for the cluster: what is reached from outside has no port for them.
	if settings.Type == "" || settings.Type == corev1.ServiceTypeClusterIP {
		spec.WithPorts(corev1ac.ServicePort().WithName(opsPortName).WithProtocol(corev1.ProtocolTCP).
			WithPort(opsPort).WithTargetPort(intstr.FromString(opsPortName)))
	} else {
		spec.WithType(settings.Type)
	}
	if settings.ExternalTrafficPolicy != "" {
		spec.WithExternalTrafficPolicy(settings.ExternalTrafficPolicy)
	}
	if settings.LoadBalancerClass != nil {
		spec.WithLoadBalancerClass(*settings.LoadBalancerClass)
	}

	return ofGame(corev1ac.Service(Name(lb), lb.Namespace), lb, in.Class).
		WithAnnotations(settings.Annotations).
		WithSpec(spec)
}

func ingress(in Input) *networkingv1ac.IngressApplyConfiguration {
	lb, exposure := in.Leaderboard, in.Class.Spec.Exposure
	host := Host(lb, in.Class)
	spec := networkingv1ac.IngressSpec().WithRules(networkingv1ac.IngressRule().
		WithHost(host).
		WithHTTP(networkingv1ac.HTTPIngressRuleValue().WithPaths(networkingv1ac.HTTPIngressPath().
			WithPath("/").
			WithPathType(networkingv1.PathTypePrefix).
			WithBackend(networkingv1ac.IngressBackend().WithService(networkingv1ac.IngressServiceBackend().
				WithName(Name(lb)).
				WithPort(networkingv1ac.ServiceBackendPort().WithName(httpPortName)))))))
	if exposure.IngressClassName != nil {
		spec.WithIngressClassName(*exposure.IngressClassName)
	}

	if exposure.TLSSecretName != nil {
		spec.WithTLS(networkingv1ac.IngressTLS().WithHosts(host).WithSecretName(strings.ReplaceAll(*exposure.TLSSecretName, "{name}", lb.Name)))
	}

	return ofGame(networkingv1ac.Ingress(Name(lb), lb.Namespace), lb, in.Class).
		WithAnnotations(exposure.Annotations).
		WithSpec(spec)
}

// networkPolicy lets clients reach the API and monitoring the metrics, and lets
// the Pods reach DNS, the stores and the receivers of webhooks, nothing else. Stores given as addresses
// are matched by address and port. A NetworkPolicy cannot match host names, so
// stores given by name are matched by port alone, and the nodes behind Sentinels
// or of a cluster, which are found at run time, by no more than a range of ports.
func networkPolicy(in Input) (*networkingv1ac.NetworkPolicyApplyConfiguration, error) {
	lb := in.Leaderboard
	ingress, err := ingressRules(in.Class.Spec.NetworkPolicy)
	if err != nil {
		return nil, err
	}
	further, err := furtherEgress(in.Class.Spec.NetworkPolicy)
	if err != nil {
		return nil, err
	}

	return ofGame(networkingv1ac.NetworkPolicy(Name(lb), lb.Namespace), lb, in.Class).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(metav1ac.LabelSelector().WithMatchLabels(Selector(lb))).
			WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
			WithIngress(ingress...).
			WithEgress(egressRules(in)...).
			WithEgress(further...)), nil
}

func egressRules(in Input) []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	rules := []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration{
		dnsRule(in.Class.Spec.NetworkPolicy),
		storeRule(in.Class.Spec.Postgres.Host, in.Class.Spec.Postgres.Port),
	}
	if len(in.Leaderboard.Spec.Webhooks) > 0 {
		rules = append(rules, webhookRule(in))
	}
	if pooler := in.Class.Spec.Postgres; pooler.PoolerHost != "" {
		rules = append(rules, storeRule(pooler.PoolerHost, pooler.PoolerPortOrDefault()))
	}

	rules = append(rules, issuerRules(in.Leaderboard)...)

	if in.Class.Spec.Redis.Mode != v1alpha1.RedisStandalone {
		// Clients are sent on to nodes at addresses that change with a failover.
		const firstUnprivileged, last = 1024, 65535
		return append(rules, networkingv1ac.NetworkPolicyEgressRule().WithPorts(
			policyPort(corev1.ProtocolTCP, intstr.FromInt32(firstUnprivileged)).WithEndPort(last)))
	}

	for _, endpoint := range in.Class.Spec.Redis.Endpoints {
		host, text, err := net.SplitHostPort(endpoint)
		if err != nil {
			continue // validation of the class refuses it
		}
		if port, err := strconv.ParseUint(text, 10, 16); err == nil {
			rules = append(rules, storeRule(host, int32(port)))
		}
	}

	return rules
}

// issuerRules let the Pods fetch keys of those who know players elsewhere, at any address: each
// port once.
func issuerRules(lb *v1alpha1.Leaderboard) []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	var ports []int32
	for _, i := range lb.Spec.Auth.Issuers {
		u, err := url.Parse(i.Issuer)
		if err != nil {
			continue // validation refuses it
		}

		port := int32(443)
		if u.Scheme == "http" {
			port = 80
		}
		if named, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
			port = int32(named)
		}
		if !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}

	rules := make([]*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration, len(ports))
	for i, port := range ports {
		rules[i] = networkingv1ac.NetworkPolicyEgressRule().WithPorts(policyPort(corev1.ProtocolTCP, intstr.FromInt32(port)))
	}
	return rules
}

func storeRule(host string, port int32) *networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	rule := networkingv1ac.NetworkPolicyEgressRule().WithPorts(policyPort(corev1.ProtocolTCP, intstr.FromInt32(port)))
	if address, err := netip.ParseAddr(host); err == nil {
		rule.WithTo(networkingv1ac.NetworkPolicyPeer().WithIPBlock(
			networkingv1ac.IPBlock().WithCIDR(netip.PrefixFrom(address, address.BitLen()).String())))
	}
	return rule
}

func policyPort(protocol corev1.Protocol, port intstr.IntOrString) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(port)
}

package workload

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"code.dny.dev/ssrf"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
)

// CheckWebhooks returns why the class, or the server, would refuse a webhook.
func CheckWebhooks(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) error {
	policy := webhookPolicy(class.Spec.Webhooks)
	for _, w := range lb.Spec.Webhooks {
		if err := policy.CheckURL(w.URL); err != nil {
			return fmt.Errorf("url of webhook %s: %w", w.Name, err)
		}
	}
	return nil
}

// webhookPolicy is where webhooks of the class may lead. Its CIDRs are valid: the API server
// has seen to it.
func webhookPolicy(spec v1alpha1.ClassWebhooks) endpoint.Policy {
	policy := endpoint.Policy{AllowHTTP: spec.AllowHTTP, Allowed: prefixes(spec.AllowedCIDRs), Denied: prefixes(spec.DeniedCIDRs)}
	for _, port := range spec.Ports {
		policy.Ports = append(policy.Ports, uint16(port))
	}
	return policy
}

func prefixes(cidrs []string) []netip.Prefix {
	var list []netip.Prefix
	for _, cidr := range cidrs {
		if prefix, err := netip.ParsePrefix(cidr); err == nil {
			list = append(list, prefix)
		}
	}
	return list
}

// webhooks sets what servers know of the class's webhooks. It is no part of the Secret with the
// webhooks, which the game's team may be able to write.
func (v *variables) webhooks(spec v1alpha1.ClassWebhooks) {
	v.set(config.EnvWebhooksFile, path.Join(webhooksDir, WebhooksKey))
	if spec.AllowHTTP {
		v.set(config.EnvWebhookAllowHTTP, "true")
	}

	var ports []string
	for _, port := range spec.Ports {
		ports = append(ports, strconv.Itoa(int(port)))
	}
	v.setAll([]setting{
		{config.EnvWebhookTimeout, duration(spec.Timeout)},
		{config.EnvWebhookRetryFor, duration(spec.RetryFor)},
		{config.EnvWebhookFirstRetry, duration(spec.FirstRetry)},
		{config.EnvWebhookAllowedCIDRs, strings.Join(spec.AllowedCIDRs, ",")},
		{config.EnvWebhookDeniedCIDRs, strings.Join(spec.DeniedCIDRs, ",")},
		{config.EnvWebhookPorts, strings.Join(ports, ",")},
	})
}

// publicV4 is all of IPv4; what is not public is excepted from it.
var publicV4 = netip.MustParsePrefix("0.0.0.0/0")

// webhookRule lets the Pods reach what the servers may connect to for webhooks: the same
// networks, and those of the class's ports that the webhooks have.
func webhookRule(in Input) *networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	policy := webhookPolicy(in.Class.Spec.Webhooks)
	rule := networkingv1ac.NetworkPolicyEgressRule().WithTo(
		peer(publicV4, append(slices.Clone(ssrf.IPv4DeniedPrefixes), policy.Denied...)),
		peer(ssrf.IPv6GlobalUnicast, append(slices.Clone(ssrf.IPv6DeniedPrefixes), policy.Denied...)))
	for _, allowed := range policy.Allowed {
		if !slices.ContainsFunc(policy.Denied, func(denied netip.Prefix) bool { return within(allowed, denied) }) {
			rule.WithTo(peer(allowed, policy.Denied))
		}
	}

	var ports []uint16
	for _, w := range in.Leaderboard.Spec.Webhooks {
		ports = append(ports, endpoint.Port(w.URL))
	}
	slices.Sort(ports)
	for _, port := range slices.Compact(ports) {
		rule.WithPorts(policyPort(corev1.ProtocolTCP, intstr.FromInt32(int32(port))))
	}
	return rule
}

// peer is a network without those of the others that are in it.
func peer(network netip.Prefix, without []netip.Prefix) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	block := networkingv1ac.IPBlock().WithCIDR(network.String())
	for _, other := range without {
		if other != network && within(other, network) {
			block.WithExcept(other.String())
		}
	}
	return networkingv1ac.NetworkPolicyPeer().WithIPBlock(block)
}

// within says whether all of a network is in another one.
func within(network, other netip.Prefix) bool {
	return network.Bits() >= other.Bits() && other.Contains(network.Addr())
}

package endpoint_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
)

// notPublic are addresses that no message may go to unless the class says so, by what they
// are.
var notPublic = map[string][]string{
	"this network":             {"0.0.0.0", "0.0.0.1", "0.255.255.255"},
	"loopback":                 {"127.0.0.1", "127.0.0.53", "127.255.255.254", "::1"},
	"private":                  {"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"},
	"link-local":               {"169.254.0.1", "169.254.169.254", "169.254.170.2", "fe80::1", "febf::1"},
	"shared by carriers":       {"100.64.0.1", "100.100.100.200", "100.127.255.255"},
	"protocol assignments":     {"192.0.0.1", "192.0.0.170", "192.0.0.192", "2001::1", "2001:1ff::1"},
	"documentation":            {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"},
	"benchmarks":               {"198.18.0.1", "198.19.255.255", "2001:2::1"},
	"multicast":                {"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"},
	"reserved":                 {"240.0.0.1", "255.255.255.255", "4000::1", "8000::1", "::"},
	"relays and AS112":         {"192.88.99.1", "192.31.196.1", "192.175.48.1", "192.52.193.1", "2620:4f:8000::1"},
	"unique-local":             {"fc00::1", "fd00::1", "fd00:ec2::254", "fdff::1"},
	"site-local":               {"fec0::1"},
	"IPv4-mapped":              {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:192.168.1.1", "::ffff:93.184.215.14"},
	"IPv4-compatible":          {"::127.0.0.1", "::10.0.0.1"},
	"IPv4-translated":          {"::ffff:0:127.0.0.1"},
	"NAT64":                    {"64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1"},
	"6to4":                     {"2002:7f00:1::1", "2002:a00:1::1", "2002:c0a8:101::1"},
	"Teredo":                   {"2001:0:a00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"},
	"discard and segments":     {"100::1", "5f00::1"},
	"Kubernetes' usual ranges": {"10.96.0.1", "10.43.0.1", "10.244.0.7", "172.20.0.1", "100.64.0.10"},
}

var public = []string{"1.1.1.1", "8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.169.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.255",
	"2606:4700:4700::1111", "2a00:1450:4001:800::200e", "2001:4860:4860::8888"}

func at(t *testing.T, address string, port uint16) netip.AddrPort {
	t.Helper()
	parsed, err := netip.ParseAddr(address)
	require.NoError(t, err)
	return netip.AddrPortFrom(parsed, port)
}

func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	refused := 0
	for kind, addresses := range notPublic {
		for _, address := range addresses {
			require.ErrorIs(t, endpoint.Policy{}.Check(at(t, address, 443)), endpoint.ErrAddress, "%s: %s", kind, address)
			target := at(t, address, 443)
			require.ErrorIs(t, endpoint.Policy{}.Control("tcp"+map[bool]string{true: "4", false: "6"}[target.Addr().Is4()], target.String(), nil), endpoint.ErrAddress)
			attack.Refused(t, "a webhook to "+address+" ("+kind+")", endpoint.ErrAddress.Error())
			refused++
		}
	}
	for _, address := range public {
		require.NoError(t, endpoint.Policy{}.Check(at(t, address, 443)), address)
	}
	t.Logf("%d addresses are refused, %d allowed", refused, len(public))
	require.Greater(t, refused, 75)

	for _, port := range []uint16{0, 22, 80, 5432, 6379, 6443, 8443, 10250} {
		require.ErrorIs(t, endpoint.Policy{}.Check(at(t, public[0], port)), endpoint.ErrAddress, "port %d", port)
	}
	for network, address := range map[string]string{"tcp": "1.1.1.1:443", "udp4": "1.1.1.1:443", "unix": "/run/docker.sock", "tcp4": "1.1.1.1", "tcp6": "[fe80::1%eth0]:443"} {
		require.ErrorIs(t, endpoint.Policy{}.Control(network, address, nil), endpoint.ErrAddress, network+" "+address)
	}
}

func prefixes(t *testing.T, texts ...string) (list []netip.Prefix) {
	t.Helper()
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		require.NoError(t, err)
		list = append(list, prefix)
	}
	return list
}

// A class opens networks one by one, and what it denies stays closed.
func TestAClassAllowsAndDeniesNetworks(t *testing.T) {
	p := endpoint.Policy{Allowed: prefixes(t, "10.0.0.0/8", "fd00::/8"), Denied: prefixes(t, "10.96.0.1/32", "34.118.0.0/16", "fd00:1::/32"), Ports: []uint16{443, 8443}}
	for address, allowed := range map[string]bool{
		"10.1.2.3": true, "10.96.0.2": true, "fd01::1": true, "1.1.1.1": true,
		"10.96.0.1": false, "34.118.1.1": false, "fd00:1::1": false, "127.0.0.1": false, "192.168.0.1": false, "169.254.169.254": false, "fc00::1": false,
		"::ffff:10.1.2.3": false, "::ffff:10.96.0.1": false, "64:ff9b::a01:203": false,
	} {
		for _, port := range p.Ports {
			require.Equal(t, allowed, p.Check(at(t, address, port)) == nil, "%s %d", address, port)
		}
		require.Error(t, p.Check(at(t, address, 22)))
	}
}

func TestURLs(t *testing.T) {
	accepted := []string{"https://example.com", "https://example.com/", "https://EXAMPLE.com:443/hooks?game=race&key=a%20b", "https://hooks.svc.cluster.local/x", "https://receiver/", "https://xn--bcher-kva.example/", "https://1.1.1.1/x",
		"https://[2606:4700:4700::1111]/x", "https://a_b.example.com/", "https://1password.com/"}
	for _, url := range accepted {
		require.NoError(t, endpoint.Policy{}.CheckURL(url), url)
	}

	refused := map[string][]string{
		"must begin with https://": {"http://example.com/", "ftp://example.com/", "gopher://example.com/", "HTTPS2://example.com", "//example.com/x", "ws://example.com/"},
		"must be a URL":            {"", "example.com", "https:example.com", "https:///x", "https://", "https://exa mple.com/", "https://example.com/\n", "https://[::1", "https://%zz/", "https://example.com/" + strings.Repeat("a", endpoint.MaxURL), "file:///etc/passwd", "mailto:a@b"},
		"without a username":       {"https://user:password@example.com/", "https://user@example.com/", "https://1.1.1.1@127.0.0.1/", "https://@example.com/", "https://example.com:443@127.0.0.1:443/"},
		"without a fragment":       {"https://example.com/#x", "https://example.com/#", "https://example.com#@127.0.0.1/"},
		"its port must be":         {"https://example.com:80/", "https://example.com:22/", "https://example.com:0/", "https://example.com:65536/", "https://example.com:6443/"},
		"must be a public one":     {"https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[0:0:0:0:0:ffff:127.0.0.1]/", "https://169.254.169.254/latest/meta-data/", "https://10.96.0.1/api", "https://[64:ff9b::7f00:1]/", "https://[fe80::1%25eth0]/", "https://0.0.0.0/", "https://[::]/", "https://192.168.1.1/"},
		"ends in a number":         {"https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://017700000001/", "https://127.1/", "https://127.0.1/", "https://0177.0.0.1/", "https://127.0.0.0x1/", "https://example.com.1/", "https://0x7F.0.0.1/", "https://0/", "https://256.256.256.256/", "https://127.0.0.08/", "https://0x/"},
		"must be a name such as":   {"https://example.com./", "https://localhost./", "https://127.0.0.1./", "https://.example.com/", "https://a..b/", "https://-a.example/", "https://exämple.com/", "https://１２７.0.0.1/", "https://127。0。0。1/", "https://example.com%00.evil/", "https://ⓛocalhost/", "https://a%2eb/", "https://" + strings.Repeat("a", 64) + ".com/"},
		"at most 253":              {"https://" + strings.Repeat("a.", 130) + "com/"},
	}
	count := 0
	for message, urls := range refused {
		for _, url := range urls {
			require.Condition(t, func() bool {
				err := endpoint.Policy{}.CheckURL(url)
				return err != nil && (strings.Contains(err.Error(), message) || strings.Contains(err.Error(), "must be a URL"))
			}, "%s: %s", url, message)
			attack.Refused(t, "a webhook with the URL "+url[:min(len(url), 80)], message)
			count++
		}
	}
	t.Logf("%d URLs are refused, %d accepted", count, len(accepted))

	open := endpoint.Policy{AllowHTTP: true, Allowed: prefixes(t, "127.0.0.0/8"), Ports: []uint16{80, 8080}}
	for _, url := range []string{"http://example.com/", "http://127.0.0.1:8080/x", "https://example.com:8080/"} {
		require.NoError(t, open.CheckURL(url), url)
	}
	require.ErrorContains(t, open.CheckURL("https://example.com/"), "its port must be one of [80 8080]")
}

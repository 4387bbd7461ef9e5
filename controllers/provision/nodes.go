package provision

import (
	"net"
	"slices"
	"strings"
)

// unusable are the flags, by CLUSTER NODES, of a node that cannot be written to now. Such a
// node gets its users when it is back.
var unusable = []string{"fail", "fail?", "handshake", "noaddr"}

// clusterAddresses reads the answer to CLUSTER NODES of the node at an endpoint: the
// addresses, as host:port, of the nodes that can be used, and whether any of them is a
// master. A line is
//
//	id host:port@bus-port[,hostname[,name=value...]] flags master ...
//
// as https://redis.io/docs/latest/commands/cluster-nodes/ has it, where flags are words
// separated by commas, and the host may be an IPv6 address without brackets. With byName,
// for TLS, a host name that the node announces goes before its address: certificates name
// hosts.
func clusterAddresses(answer, endpoint string, byName bool) (addresses []string, master bool) {
	for line := range strings.Lines(answer) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}

		flags := strings.Split(fields[2], ",")
		if hasAny(flags, unusable) {
			continue
		}

		own := ""
		if slices.Contains(flags, "myself") {
			own, _, _ = net.SplitHostPort(endpoint)
		}
		address := clusterAddress(fields[1], own, byName)
		if address == "" {
			continue
		}

		addresses = append(addresses, address)
		master = master || slices.Contains(flags, "master")
	}

	return addresses, master
}

// clusterAddress is where a node is, by the second field of its line; empty: it is not
// said. own is the host by which the node itself was asked; empty: it is another one.
func clusterAddress(field, own string, byName bool) string {
	parts := strings.Split(field, ",")
	place, _, _ := strings.Cut(parts[0], "@")
	colon := strings.LastIndexByte(place, ':')
	if colon < 0 {
		return ""
	}

	name := ""
	if len(parts) > 1 && parts[1] != "?" && !strings.Contains(parts[1], "=") {
		name = parts[1]
	}

	host, port := strings.Trim(place[:colon], "[]"), place[colon+1:]
	if byName && name != "" {
		host = name
	}
	for _, other := range []string{name, own} { // a cluster of one knows no address of its own
		if host == "" || host == "?" {
			host = other
		}
	}

	if host == "" || port == "" || port == "0" {
		return ""
	}
	return net.JoinHostPort(host, port)
}

// away are the flags of a replica that a Sentinel does not reach.
var away = []string{"s_down", "o_down", "disconnected"}

// sentinelAddresses is the master, and those of its replicas that the Sentinel reaches: one
// that is down gets its users when it is back.
func sentinelAddresses(master []string, replicas []map[string]string) []string {
	nodes := []string{net.JoinHostPort(master[0], master[1])}
	for _, replica := range replicas {
		if !hasAny(strings.Split(replica["flags"], ","), away) {
			nodes = append(nodes, net.JoinHostPort(replica["ip"], replica["port"]))
		}
	}
	return nodes
}

// hasAny says whether any of the words is among the flags.
func hasAny(flags, words []string) bool {
	return slices.ContainsFunc(flags, func(flag string) bool { return slices.Contains(words, flag) })
}

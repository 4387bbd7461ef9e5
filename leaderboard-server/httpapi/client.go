package httpapi

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// clientOf finds the address of who made the request: the peer, or, where that
// is a trusted proxy, the last address in X-Forwarded-For that is not one, of as many as
// there may be (0: any number). Whatever stands before that may have been made up.
func clientOf(r *http.Request, trusted config.Prefixes, most int) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}

	client := peer.Addr().Unmap()
	if !trusted.Contain(client) {
		return client
	}

	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && (most == 0 || len(hops)-i <= most); i-- {
		hop := strings.TrimSpace(hops[i])
		address, err := netip.ParseAddr(hop)
		if err != nil {
			withPort, err := netip.ParseAddrPort(hop)
			if err != nil {
				return client
			}
			address = withPort.Addr()
		}

		client = address.Unmap().WithZone("")
		if !trusted.Contain(client) {
			return client
		}
	}

	return client
}

// clientBucket is what the attempts of a client are counted under: an IPv4
// address, or the /64 that an IPv6 subscriber has to choose from.
func clientBucket(client netip.Addr) string {
	if client.Is6() {
		prefix, err := client.Prefix(64)
		if err == nil {
			return prefix.Addr().String()
		}
	}
	return client.String()
}

package httpapi

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// Addresses are read from the right end, past trusted proxies, and no further than one that a
// client can have written itself.
func TestClientOf(t *testing.T) {
	const private, pods = "10.0.0.0/8,127.0.0.0/8", "10.244.0.0/16"
	for name, c := range map[string]struct {
		trusted string
		most    int
		peer    string
		header  []string
		client  string
	}{
		"no proxy is trusted":                      {"", 0, "10.244.0.9:1", []string{"6.6.6.6"}, "10.244.0.9"},
		"a peer that is no proxy":                  {pods, 0, "192.0.2.1:1", []string{"6.6.6.6"}, "192.0.2.1"},
		"a proxy that says nothing":                {pods, 0, "10.244.0.9:1", nil, "10.244.0.9"},
		"the proxy's word":                         {pods, 0, "10.244.0.9:1", []string{"192.0.2.1"}, "192.0.2.1"},
		"the client's own word before it":          {pods, 0, "10.244.0.9:1", []string{"6.6.6.6, 192.0.2.1"}, "192.0.2.1"},
		"a client inside, which is no proxy":       {pods, 0, "10.244.0.9:1", []string{"6.6.6.6, 10.128.0.7"}, "10.128.0.7"},
		"two proxies":                              {pods + ",10.128.0.0/16", 0, "10.244.0.9:1", []string{"6.6.6.6, 192.0.2.1, 10.128.0.7"}, "192.0.2.1"},
		"two headers":                              {pods + ",10.128.0.0/16", 0, "10.244.0.9:1", []string{"6.6.6.6, 192.0.2.1", "10.128.0.7"}, "192.0.2.1"},
		"a client inside, all of which is trusted": {private, 0, "10.244.0.9:1", []string{"6.6.6.6, 10.128.0.7"}, "6.6.6.6"},
		"the same with one hop":                    {private, 1, "10.244.0.9:1", []string{"6.6.6.6, 10.128.0.7"}, "10.128.0.7"},
		"one hop":                                  {private, 1, "10.244.0.9:1", []string{"6.6.6.6, 192.0.2.1"}, "192.0.2.1"},
		"two hops":                                 {private, 2, "10.244.0.9:1", []string{"6.6.6.6, 192.0.2.1, 10.128.0.7"}, "192.0.2.1"},
		"two hops of proxies alone":                {private, 2, "10.244.0.9:1", []string{"6.6.6.6, 10.128.0.8, 10.128.0.7"}, "10.128.0.8"},
		"a port":                                   {pods, 1, "10.244.0.9:1", []string{"192.0.2.1:4711"}, "192.0.2.1"},
		"no address":                               {pods, 0, "10.244.0.9:1", []string{"192.0.2.1, unknown"}, "10.244.0.9"},
		"an address of IPv6":                       {"fd00::/8", 0, "[fd00::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		"an address of IPv4 in IPv6":               {pods, 0, "[::ffff:10.244.0.9]:1", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			var trusted config.Prefixes
			require.NoError(t, trusted.UnmarshalText([]byte(c.trusted)))
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.header}}
			require.Equal(t, c.client, clientOf(r, trusted, c.most).String())
		})
	}
}

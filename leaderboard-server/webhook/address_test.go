package webhook_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
	"github.com/leaderboard-dev/leaderboard-operator/test/attack"
)

// names is a name server on loopback. Each look-up of a name takes the next answer, and the
// last one stays.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
	asked   map[string]int
	conn    net.PacketConn
}

func newNames(t *testing.T, answers map[string][][]string) *names {
	t.Helper()
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	require.NoError(t, err)
	n := &names{answers: answers, asked: map[string]int{}, conn: conn}
	var group sync.WaitGroup
	group.Go(n.serve)
	t.Cleanup(func() { _ = conn.Close(); group.Wait() })
	return n
}

func (n *names) serve() {
	buffer := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buffer[:size]) != nil || len(query.Questions) != 1 {
			continue
		}
		if answer, err := n.answer(query).Pack(); err == nil {
			_, _ = n.conn.WriteTo(answer, from)
		}
	}
}

func (n *names) answer(query dnsmessage.Message) *dnsmessage.Message {
	n.mu.Lock()
	defer n.mu.Unlock()

	q := query.Questions[0]
	name := strings.TrimSuffix(q.Name.String(), ".")
	reply := &dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true}, Questions: query.Questions}
	answers := n.answers[name]
	if len(answers) == 0 {
		reply.RCode = dnsmessage.RCodeNameError
		return reply
	}
	addresses := answers[min(n.asked[name], len(answers)-1)]
	if q.Type == dnsmessage.TypeA {
		n.asked[name]++
	}
	for _, text := range addresses {
		address := netip.MustParseAddr(text)
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
		switch {
		case address.Is4() && q.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
		case address.Is6() && q.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	return reply
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp4", n.conn.LocalAddr().String())
	}}
}

// internal is a plain server that must not be reached, with the port of a receiver.
func internal(t *testing.T, address string) *httptest.Server {
	t.Helper()
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			t.Errorf("%s was connected to", c.LocalAddr())
		}
	}
	s.Listener = listener
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// However a host is written and whatever it leads to, nothing but what is allowed is connected
// to. 127.0.0.2 stands for a public address, where the receiver is; the same port of 127.0.0.1
// and of ::1 is not to be reached.
func TestNothingElseIsConnectedTo(t *testing.T) {
	t.Parallel()
	g, r := newGame(t), newReceiver(t, "127.0.0.2:0")
	_, port, err := net.SplitHostPort(r.Listener.Addr().String())
	require.NoError(t, err)
	internal(t, "127.0.0.1:"+port)
	internal(t, "[::1]:"+port)
	n := newNames(t, map[string][][]string{
		"example.com": {{"127.0.0.2"}}, "loopback.example.com": {{"127.0.0.1"}}, "six.example.com": {{"::1"}},
		"mapped.example.com": {{"::ffff:127.0.0.1"}}, "nat64.example.com": {{"64:ff9b::7f00:1"}}, "sixtofour.example.com": {{"2002:7f00:1::1"}},
		"unspecified.example.com": {{"0.0.0.0"}}, "unspecified6.example.com": {{"::"}}, "metadata.example.com": {{"169.254.169.254"}}, "api.example.com": {{"10.96.0.1"}},
		"private.example.com": {{"192.168.1.1", "fd00::1"}}, "kubernetes": {{"10.96.0.1"}}, "localtest.example.com": {{"127.0.0.1", "::1"}},
		"both.example.com": {{"127.0.0.1", "127.0.0.2"}}, "rebound.example.com": {{"127.0.0.2"}, {"127.0.0.1"}},
	})
	options := g.options(endpoint.Policy{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, Ports: []uint16{r.port(t)}})
	options.Resolver, options.RetryFor = n.resolver(), time.Nanosecond // one attempt each
	e := endpointOf("results", r)
	d, _ := run(t, options, g.subscribe(r.authority(), e))

	// deliver has one message go to a host, and says why it was not delivered.
	deliver := func(scheme, host string) (failure string) {
		e.URL = scheme + "://" + host + ":" + port + "/"
		require.NoError(t, d.SetEndpoints(g.subscribe(r.authority(), e)))
		g.enqueue(t, "speed", host)
		require.Eventually(t, func() bool { return g.count(t, "delivered_at IS NULL AND dead_at IS NULL") == 0 }, patience, time.Millisecond, host)
		require.NoError(t, g.conn.QueryRow(t.Context(), "SELECT coalesce(failure, '') FROM webhook_messages ORDER BY number DESC LIMIT 1").Scan(&failure))
		return failure
	}

	require.Empty(t, deliver("https", "example.com"))
	refused := 0
	for _, host := range []string{"loopback.example.com", "six.example.com", "mapped.example.com", "nat64.example.com", "sixtofour.example.com", "unspecified.example.com", "unspecified6.example.com",
		"metadata.example.com", "api.example.com", "private.example.com", "kubernetes", "localtest.example.com", "localhost", "LOCALHOST"} {
		reason := deliver("https", host)
		require.Contains(t, reason, "an address that is not allowed", host)
		attack.Refused(t, "a message to "+host, reason)
		refused++
	}
	for _, host := range []string{"127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "localhost.", "127.0.0.1.",
		"example.com@127.0.0.1", "user:password@127.0.0.1", "[64:ff9b::7f00:1]", "[fe80::1%25lo]", "10.96.0.1", "169.254.169.254"} {
		reason := deliver("https", host)
		require.Contains(t, reason, "the URL is not allowed", host)
		attack.Refused(t, "a message to "+host, reason)
		refused++
	}
	require.Contains(t, deliver("http", "example.com"), "it must begin with https://")
	require.Contains(t, deliver("https", "missing.example.com"), "could not be looked up")
	t.Logf("%d hosts are refused", refused)

	// A name is looked up once for each connection, which goes to the address that was checked.
	require.Empty(t, deliver("https", "example.com"))
	r.does(func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, "https://127.0.0.1:"+port+"/", http.StatusFound)
	})
	require.Contains(t, deliver("https", "example.com"), "redirects are not followed")
	r.answers(http.StatusOK)
	require.Empty(t, deliver("https", "both.example.com"), "the allowed one of two was connected to")
	require.Empty(t, deliver("https", "rebound.example.com"), "the first answer was the allowed one")
	require.Contains(t, deliver("https", "rebound.example.com"), "an address that is not allowed", "the second one was not")
	n.mu.Lock()
	defer n.mu.Unlock()
	require.Equal(t, 2, n.asked["rebound.example.com"])
}

// A proxy of the environment is not asked: it would connect in the server's place.
func TestNoProxyIsUsed(t *testing.T) {
	proxy := internal(t, "127.0.0.1:0")
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	g, r := newGame(t), newReceiver(t, "127.0.0.2:0")
	options := g.options(endpoint.Policy{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, Ports: []uint16{r.port(t)}})
	e := endpointOf("results", r)
	run(t, options, g.subscribe("", e))
	g.enqueue(t, "speed", 1)
	require.Eventually(t, func() bool { return g.count(t, "failure LIKE '%certificate is not trusted%'") == 1 }, patience, 5*time.Millisecond, "of an authority that is not the system's")
	require.Empty(t, r.got)
}

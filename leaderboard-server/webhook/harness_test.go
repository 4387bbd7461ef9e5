package webhook_test

import (
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

var server *stores.Postgres

func TestMain(m *testing.M) { os.Exit(stores.Main(m, &server, nil)) }

// patience is how long tests wait for what should take a moment.
const patience = time.Minute

// request is one that a receiver got.
type request struct {
	http.Header
	id, body string
}

// receiver is an HTTPS server on loopback.
type receiver struct {
	*httptest.Server
	// got has every request, before it is answered.
	got chan request

	mu     sync.Mutex
	answer http.HandlerFunc
}

// newReceiver makes a receiver that answers 204 until it is told otherwise. address is of
// loopback, and the port 0 for any.
func newReceiver(t *testing.T, address string) *receiver {
	t.Helper()
	r := &receiver{got: make(chan request, 1000)}
	r.answers(http.StatusNoContent)
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		answer := r.answer
		r.mu.Unlock()
		r.got <- request{Header: q.Header, id: q.Header.Get("webhook-id"), body: string(body)}
		answer(w, q)
	}))
	var lc net.ListenConfig
	listener, err := lc.Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	r.Listener = listener
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(status int) {
	r.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

func (r *receiver) does(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// next is the next request that arrives.
func (r *receiver) next(t *testing.T) request {
	t.Helper()
	select {
	case got := <-r.got:
		return got
	case <-time.After(patience):
		require.Fail(t, "no message has come")
		panic("unreachable")
	}
}

func (r *receiver) port(t *testing.T) uint16 {
	t.Helper()
	u, err := url.Parse(r.URL)
	require.NoError(t, err)
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	require.NoError(t, err)
	return uint16(port)
}

// authority is the certificate of all receivers.
func (r *receiver) authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}))
}

// attempts counts what the deliverer tells.
type attempts struct {
	mu      sync.Mutex
	results map[string]int
	queues  map[string][2]int64
}

func (a *attempts) Attempted(webhook, result string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.results == nil {
		a.results = map[string]int{}
	}
	a.results[webhook+" "+result]++
}

func (a *attempts) Queued(webhook string, waiting, dead int64, _ time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.queues == nil {
		a.queues = map[string][2]int64{}
	}
	a.queues[webhook] = [2]int64{waiting, dead}
}

func (a *attempts) Removed(webhook string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.queues, webhook)
}

func (a *attempts) of(result string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.results[result]
}

// game is a ledger with webhooks.
type game struct {
	*ledgertest.Fixture
	conn *pgx.Conn
}

func newGame(t *testing.T) *game {
	t.Helper()
	f := ledgertest.New(t, server, ledgertest.Boards(t, 1), postgres.Options{})
	return &game{Fixture: f, conn: f.Connect(t)}
}

// enqueue enqueues an event of a board for the webhooks of the ledger.
func (g *game) enqueue(t *testing.T, board string, data any) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), g.conn, func(tx pgx.Tx) error {
		return g.Ledger.Enqueue(t.Context(), tx, leaderboard.WebhookEvent{Type: leaderboard.EventSeasonClosed, Board: g.Board(t, board).Number, At: time.Now(), Data: func(int) any { return data }})
	})
	require.NoError(t, err)
}

// count counts messages.
func (g *game) count(t *testing.T, where string) (n int) {
	t.Helper()
	require.NoError(t, g.conn.QueryRow(t.Context(), "SELECT count(*) FROM webhook_messages WHERE "+where).Scan(&n))
	return n
}

// endpointOf is the webhook that goes to a receiver.
func endpointOf(name string, r *receiver) endpoint.Endpoint {
	return endpoint.Endpoint{Name: name, URL: r.URL + "/hook", Events: []string{string(leaderboard.EventSeasonClosed)}, Top: 3}.Issue(time.Now())
}

// policyFor lets messages go to the receivers and nowhere else.
func policyFor(t *testing.T, receivers ...*receiver) endpoint.Policy {
	t.Helper()
	p := endpoint.Policy{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	for _, r := range receivers {
		p.Ports = append(p.Ports, r.port(t))
	}
	return p
}

// options of a deliverer that tries soon again, and for long.
func (g *game) options(policy endpoint.Policy) webhook.Options {
	return webhook.Options{Outbox: g.Ledger, Policy: policy, Observer: &attempts{}, Log: slog.New(slog.DiscardHandler),
		Timeout: 10 * time.Second, RetryFor: time.Hour, FirstRetry: 20 * time.Millisecond, LongestRetry: 100 * time.Millisecond, Look: 50 * time.Millisecond}
}

// subscribe has the ledger enqueue for webhooks, and returns the set of them.
func (g *game) subscribe(authority string, endpoints ...endpoint.Endpoint) endpoint.Set {
	var list []leaderboard.Subscription
	for _, e := range endpoints {
		list = append(list, leaderboard.Subscription{Webhook: e.Name, Events: []leaderboard.EventType{leaderboard.EventSeasonClosed}, Top: e.Top})
	}
	g.Ledger.SetSubscriptions(list)
	return endpoint.Set{Authorities: authority, Endpoints: endpoints}
}

// run runs a deliverer until the test ends or stop is called.
func run(t *testing.T, options webhook.Options, set endpoint.Set) (d *webhook.Deliverer, stop func()) {
	t.Helper()
	d = webhook.New(options)
	require.NoError(t, d.SetEndpoints(set))
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { d.Run(ctx) })
	stop = func() { cancel(); group.Wait() }
	t.Cleanup(stop)
	return d, stop
}

// verify verifies a request with the library of Standard Webhooks.
func verify(t *testing.T, secret string, got request) {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	require.NoError(t, verifier.Verify([]byte(got.body), got.Header))
}

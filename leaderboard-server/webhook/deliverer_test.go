package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
)

// Two replicas deliver a closed season once, with its first entries, and signed.
func TestASeasonThatClosesIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	g, r := newGame(t), newReceiver(t, "127.0.0.1:0")
	e := endpointOf("results", r)
	set := g.subscribe(r.authority(), e)
	players := g.Players(t, 5)
	board := g.Board(t, "podium")
	_, err := g.conn.Exec(t.Context(), `INSERT INTO window_seasons (board, number, name, ordinal, opens_at, closes_at) VALUES ($1, 101, 'daily', 100, now() - interval '2 hours', now() - interval '1 hour')`, board.Number)
	require.NoError(t, err)
	for i, p := range players {
		_, err := g.conn.Exec(t.Context(), `INSERT INTO score_events (id, at, player, score, board, columns) VALUES (nextval('event_ids'), now() - interval '90 minutes', $1, $2, $3, ARRAY[$4::bigint])`,
			p.Number, 10*(i/2), board.Number, 7+i%2)
		require.NoError(t, err)
	}

	// Who is left out of rankings is in no message.
	_, err = g.conn.Exec(t.Context(), "INSERT INTO exclusions (player, board, kind) VALUES ($1, 0, 'shadow'), ($2, $3, 'hidden')", players[0].Number, players[4].Number, board.Number)
	require.NoError(t, err)

	run(t, g.options(policyFor(t, r)), set)
	run(t, g.options(policyFor(t, r)), set)
	catalog, err := g.Ledger.LoadCatalog(t.Context())
	require.NoError(t, err)
	live, err := catalog.Lookup("podium")
	require.NoError(t, err)
	for range 2 { // as two leaders may
		entries, err := g.Ledger.CloseSeason(t.Context(), live.In(101))
		require.NoError(t, err)
		require.Equal(t, int64(len(players)), entries)
	}

	got := r.next(t)
	verify(t, e.Newest().Value, got)
	require.Equal(t, "application/json", got.Get("Content-Type"))
	require.Regexp(t, `^msg_[0-9a-f-]{36}$`, got.id)
	var message struct {
		Type      string
		Timestamp time.Time
		Data      leaderboard.SeasonClosed
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &message))
	require.Equal(t, []any{"SeasonClosed", "podium", "daily", int32(100), int64(3)}, []any{message.Type, message.Data.Board, message.Data.Window, message.Data.Season, message.Data.TotalEntries})
	require.Equal(t, message.Timestamp, message.Data.ClosedAt)
	require.Len(t, message.Data.Top, 3)
	require.Equal(t, leaderboard.WebhookResult{Rank: 1, UserID: players[1].ID, Username: players[1].Username, Score: 0, GameID: "podium", Columns: map[string]int64{"column-0": 8}}, message.Data.Top[0])
	require.Equal(t, []string{players[2].Username, players[3].Username}, []string{message.Data.Top[1].Username, message.Data.Top[2].Username})

	require.Eventually(t, func() bool { return g.count(t, "delivered_at IS NOT NULL") == 1 }, patience, time.Millisecond)
	require.Equal(t, 1, g.count(t, "true"))
	require.Empty(t, r.got)
}

// What fails is tried again: whatever the receiver does, with the same id, until it takes it.
func TestAMessageIsTriedUntilItIsTaken(t *testing.T) {
	t.Parallel()
	g, r, elsewhere := newGame(t), newReceiver(t, "127.0.0.1:0"), newReceiver(t, "127.0.0.1:0")
	e := endpointOf("results", r)
	set := g.subscribe(r.authority(), e)
	hijack := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = conn.Write([]byte(answer))
				_ = conn.Close()
			}
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	options := g.options(policyFor(t, r, elsewhere))
	options.Timeout = time.Second
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		reason string
	}{
		"500": {status(500), "the receiver answered 500"},
		"404": {status(404), "the receiver answered 404"},
		"429 for long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "the receiver answered 429"},
		"a redirect": {func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "redirects are not followed"},
		"garbage":         {hijack("no HTTP at all\r\n\r\n"), "did not speak HTTP"},
		"nothing":         {hijack(""), "did not speak HTTP"},
		"endless headers": {hijack("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"), "did not speak HTTP"},
		"no answer":       {func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }, "did not answer within 1s"},
	} {
		r.does(test.answer)
		_, stop := run(t, options, set)
		g.enqueue(t, "speed", name)
		id := r.next(t).id
		reason := ""
		require.Eventually(t, func() bool {
			err := g.conn.QueryRow(t.Context(), "SELECT coalesce(failure, '') FROM webhook_messages WHERE delivered_at IS NULL").Scan(&reason)
			return err == nil && strings.Contains(reason, test.reason)
		}, patience, 5*time.Millisecond, "%s: %s", name, reason)
		require.NotContains(t, reason, "127.0.0.1")

		r.answers(http.StatusOK)
		require.Eventually(t, func() bool { return g.count(t, "delivered_at IS NOT NULL") == 1 }, patience, time.Millisecond, name)
		for len(r.got) > 0 {
			require.Equal(t, id, r.next(t).id, name)
		}
		stop()
		_, err := g.conn.Exec(t.Context(), "DELETE FROM webhook_messages")
		require.NoError(t, err)
	}
	require.Empty(t, elsewhere.got)

	// An answer of which there is no end is taken as soon as its status is there.
	r.does(func(w http.ResponseWriter, q *http.Request) {
		for q.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	run(t, options, set)
	g.enqueue(t, "speed", "endless")
	require.Eventually(t, func() bool { return g.count(t, "delivered_at IS NOT NULL") == 1 }, patience, time.Millisecond)
}

// The messages of a board arrive in their order; those of other boards do not wait for them.
func TestMessagesOfABoardKeepTheirOrder(t *testing.T) {
	t.Parallel()
	g, r := newGame(t), newReceiver(t, "127.0.0.1:0")
	set := g.subscribe(r.authority(), endpointOf("results", r))
	const messages = 20
	var mu sync.Mutex
	taken, tries := map[string][]int{}, 0
	r.does(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if tries++; tries%3 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	for i := range messages {
		g.enqueue(t, "speed", i)
		g.enqueue(t, "race", i)
	}
	for range 3 {
		run(t, g.options(policyFor(t, r)), set)
	}
	require.Eventually(t, func() bool { return g.count(t, "delivered_at IS NOT NULL") == 2*messages }, patience, 5*time.Millisecond)

	ids := map[string]string{}
	rows, err := g.conn.Query(t.Context(), "SELECT 'msg_' || m.id, b.name FROM webhook_messages m JOIN boards b ON b.number = m.board")
	require.NoError(t, err)
	var id, board string
	_, err = pgx.ForEachRow(rows, []any{&id, &board}, func() error { ids[id] = board; return nil })
	require.NoError(t, err)
	for len(r.got) > 0 {
		got := r.next(t)
		var body struct{ Data int }
		require.NoError(t, json.Unmarshal([]byte(got.body), &body))
		board := ids[got.id]
		if n := len(taken[board]); n == 0 || taken[board][n-1] != body.Data {
			taken[board] = append(taken[board], body.Data)
		}
	}
	for _, board := range []string{"speed", "race"} {
		require.Len(t, taken[board], messages)
		for i, is := range taken[board] {
			require.Equal(t, i, is, board)
		}
	}

	// One that is not taken holds up its own board only.
	var stuck atomic.Value // until it is known, nothing is taken
	r.does(func(w http.ResponseWriter, q *http.Request) {
		if known := stuck.Load(); known == nil || q.Header.Get("webhook-id") == known {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	g.enqueue(t, "speed", "stuck")
	require.NoError(t, g.conn.QueryRow(t.Context(), "SELECT 'msg_' || id FROM webhook_messages WHERE delivered_at IS NULL").Scan(&id))
	stuck.Store(id)
	g.enqueue(t, "speed", "behind")
	g.enqueue(t, "race", "of another board")
	require.Eventually(t, func() bool { return g.count(t, "delivered_at IS NOT NULL") == 2*messages+1 }, patience, 5*time.Millisecond)
	require.Equal(t, 1, g.count(t, `delivered_at IS NULL AND payload LIKE '%behind%' AND attempts = 0`))
	r.answers(http.StatusOK)
	require.Eventually(t, func() bool { return g.count(t, "delivered_at IS NULL") == 0 }, patience, 5*time.Millisecond)
}

// A receiver that does not answer holds up neither another webhook nor the transaction that
// enqueues.
func TestASlowReceiverHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	g, slow, fast := newGame(t), newReceiver(t, "127.0.0.1:0"), newReceiver(t, "127.0.0.1:0")
	hold := make(chan struct{})
	slow.does(func(http.ResponseWriter, *http.Request) { <-hold })
	t.Cleanup(func() { close(hold) })
	options := g.options(policyFor(t, slow, fast))
	options.Timeout = patience
	set := g.subscribe(slow.authority(), endpointOf("slow", slow), endpointOf("fast", fast))
	_, stop := run(t, options, set)
	for i := range 10 {
		g.enqueue(t, "speed", i)
		g.enqueue(t, "race", i)
	}
	require.Eventually(t, func() bool { return g.count(t, "webhook = 'fast' AND delivered_at IS NOT NULL") == 20 }, patience, 5*time.Millisecond)
	require.Len(t, slow.got, 2, "one of each board is under way")
	require.Equal(t, 2, g.count(t, "webhook = 'slow' AND attempts = 1"))
	stop()

	// What was under way when the server stopped is due at once.
	require.Equal(t, 20, g.count(t, "webhook = 'slow' AND due_at <= clock_timestamp() AND dead_at IS NULL"))
}

// dying is the outbox of a process that ends before it has recorded a delivery.
type dying struct {
	webhook.Outbox
	died chan struct{}
}

func (d *dying) MarkDelivered(context.Context, leaderboard.WebhookMessage) error {
	close(d.died)
	return context.Canceled
}

func (d *dying) ClaimMessages(ctx context.Context, webhook string, limit int, _ time.Duration) ([]leaderboard.WebhookMessage, error) {
	select {
	case <-d.died:
		return nil, context.Canceled
	default:
		return d.Outbox.ClaimMessages(ctx, webhook, limit, 100*time.Millisecond)
	}
}

// A process that ends between a delivery and its record sends twice, with the same id and
// body, and in the order of the board.
func TestADeliveryThatWasNotRecordedIsRepeated(t *testing.T) {
	t.Parallel()
	g, r := newGame(t), newReceiver(t, "127.0.0.1:0")
	e := endpointOf("results", r)
	set := g.subscribe(r.authority(), e)
	g.enqueue(t, "speed", 1)
	g.enqueue(t, "speed", 2)
	first, second := g.options(policyFor(t, r)), g.options(policyFor(t, r))
	dead := &dying{Outbox: g.Ledger, died: make(chan struct{})}
	first.Outbox = dead
	_, stop := run(t, first, set)
	<-dead.died
	stop()
	run(t, second, set)

	require.Eventually(t, func() bool { return g.count(t, "delivered_at IS NOT NULL") == 2 }, patience, 5*time.Millisecond)
	once, again, next := r.next(t), r.next(t), r.next(t)
	require.Equal(t, []string{once.id, once.body}, []string{again.id, again.body})
	require.NotEqual(t, once.id, next.id)
	verify(t, e.Newest().Value, again)
	require.Empty(t, r.got)
}

// What nobody takes is given up after its time, or at once where the receiver wants no more,
// and can be sent again.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	g, r := newGame(t), newReceiver(t, "127.0.0.1:0")
	r.answers(http.StatusInternalServerError)
	options := g.options(policyFor(t, r))
	options.RetryFor = 2 * time.Second
	observer := &attempts{}
	options.Observer = observer
	run(t, options, g.subscribe(r.authority(), endpointOf("results", r)))
	g.enqueue(t, "speed", "first")
	g.enqueue(t, "speed", "second")
	require.Eventually(t, func() bool { return g.count(t, "dead_at IS NOT NULL") == 2 }, patience, 5*time.Millisecond)
	require.Equal(t, 2, g.count(t, "failure = 'the receiver answered 500' AND attempts > 0"))
	require.Eventually(t, func() bool { return observer.of("results dead") == 2 }, patience, 5*time.Millisecond)
	require.Greater(t, observer.of("results failed"), 1)

	r.answers(http.StatusGone)
	g.enqueue(t, "race", "unwanted")
	require.Eventually(t, func() bool { return g.count(t, "dead_at IS NOT NULL AND failure LIKE '%410%' AND attempts = 1") == 1 }, patience, 5*time.Millisecond)

	r.answers(http.StatusOK)
	var again int
	for name, want := range map[string]int{"others": 0, "results": 3} {
		require.NoError(t, g.conn.QueryRow(t.Context(), "SELECT resend_webhook_messages($1, clock_timestamp())", name).Scan(&again))
		require.Equal(t, want, again)
	}
	require.NoError(t, g.conn.QueryRow(t.Context(), "SELECT resend_webhook_messages('results', clock_timestamp())").Scan(&again))
	require.Zero(t, again)
	require.Eventually(t, func() bool { return g.count(t, "delivered_at IS NOT NULL") == 3 }, patience, 5*time.Millisecond)
}

// While a secret takes the place of another, receivers verify with either.
func TestASecretIsRotated(t *testing.T) {
	t.Parallel()
	g, r := newGame(t), newReceiver(t, "127.0.0.1:0")
	e := endpointOf("results", r)
	old := e.Newest().Value
	both, _ := e.Issue(time.Now()).Supersede(time.Now().Add(time.Hour))
	d, _ := run(t, g.options(policyFor(t, r)), g.subscribe(r.authority(), both))
	g.enqueue(t, "speed", 1)
	got := r.next(t)
	require.Len(t, strings.Fields(got.Get("webhook-signature")), 2)
	verify(t, old, got)
	verify(t, both.Newest().Value, got)

	both.Secrets[0].ExpiresAt = time.Now()
	require.NoError(t, d.SetEndpoints(g.subscribe(r.authority(), both)))
	g.enqueue(t, "speed", 2)
	got = r.next(t)
	verify(t, both.Newest().Value, got)
	verifier, err := standardwebhooks.NewWebhook(old)
	require.NoError(t, err)
	require.ErrorIs(t, verifier.Verify([]byte(got.body), got.Header), standardwebhooks.ErrNoMatchingSignature)
}

// A webhook's queue is bounded, and what was delivered is not kept.
func TestTheOutboxIsBounded(t *testing.T) {
	t.Parallel()
	g := newGame(t)
	g.subscribe("", endpoint.Endpoint{Name: "results"})
	board := g.Board(t, "speed").Number
	_, err := g.conn.Exec(t.Context(), `INSERT INTO webhook_messages (webhook, board, event, payload) SELECT 'results', $1, 'SeasonClosed', '{}' FROM generate_series(1, 999)`, board)
	require.NoError(t, err)
	g.enqueue(t, "speed", "the thousandth")
	g.enqueue(t, "speed", "one too many")
	require.Equal(t, 1000, g.count(t, "dead_at IS NULL"))
	require.Equal(t, 1, g.count(t, `dead_at IS NOT NULL AND payload LIKE '%one too many%' AND failure LIKE '1000 messages%'`))

	_, err = g.conn.Exec(t.Context(), "UPDATE webhook_messages SET dead_at = NULL, delivered_at = now() - CASE WHEN number % 2 = 0 THEN interval '23 hours' ELSE interval '25 hours' END WHERE webhook = 'results'")
	require.NoError(t, err)
	_, err = g.conn.Exec(t.Context(), `INSERT INTO webhook_messages (webhook, board, event, payload, dead_at) SELECT CASE i WHEN 0 THEN 'old' ELSE 'dead' END, $1, 'SeasonClosed', i::text, now() - CASE i WHEN 0 THEN interval '31 days' ELSE i * interval '1 minute' END FROM generate_series(0, 1500) i`, board)
	require.NoError(t, err)
	require.NoError(t, g.Ledger.Maintain(t.Context()))
	require.Equal(t, 0, g.count(t, "webhook = 'old'"))
	require.Equal(t, 1000, g.count(t, "webhook = 'dead' AND payload::int <= 1000"))
	require.Equal(t, 0, g.count(t, "webhook = 'dead' AND payload::int > 1000"))
	require.InDelta(t, 500, g.count(t, "webhook = 'results'"), 1)
}

// A message is short however long names are, and fewer entries are told where it would not be.
func TestMessagesAreBounded(t *testing.T) {
	t.Parallel()
	g := newGame(t)
	g.subscribe("", endpoint.Endpoint{Name: "results", Top: 100})
	for size, want := range map[int]int{500: 100, 1000: 50, 100_000: 0} {
		err := pgx.BeginFunc(t.Context(), g.conn, func(tx pgx.Tx) error {
			return g.Ledger.Enqueue(t.Context(), tx, leaderboard.WebhookEvent{Type: leaderboard.EventSeasonClosed, Board: g.Board(t, "speed").Number, At: time.Now(), Data: func(top int) any {
				entries := make([]string, top)
				for i := range entries {
					entries[i] = fmt.Sprintf("%0*d", size, i)
				}
				return entries
			}})
		})
		require.NoError(t, err)
		var payload string
		require.NoError(t, g.conn.QueryRow(t.Context(), "SELECT payload FROM webhook_messages ORDER BY number DESC LIMIT 1").Scan(&payload))
		require.LessOrEqual(t, len(payload), 64<<10)
		var body struct{ Data []string }
		require.NoError(t, json.Unmarshal([]byte(payload), &body))
		require.Len(t, body.Data, want)
	}
}

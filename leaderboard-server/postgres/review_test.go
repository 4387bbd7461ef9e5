package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// reviewed is a board that holds all submissions of players back.
func reviewed(name string, scoring leaderboard.Scoring) leaderboard.Board {
	return leaderboard.Board{Name: name, Order: leaderboard.Descending, Scoring: scoring, MinScore: -1000, MaxScore: 1000, CountsTowardGlobal: true,
		Shards: 1, Ranks: leaderboard.Ordinal, Review: leaderboard.Review{When: leaderboard.ReviewAlways}}
}

func newReviewed(t *testing.T, options postgres.Options) *ledgertest.Fixture {
	t.Helper()
	list, err := leaderboard.NewBoards(reviewed("arena", leaderboard.Best), reviewed("coins", leaderboard.Sum))
	require.NoError(t, err)
	return ledgertest.New(t, server, list, options)
}

// held is a submission that the ledger is asked to hold back.
func held(player leaderboard.PlayerName, board string, score int64, key string) leaderboard.Submission {
	return leaderboard.Submission{Player: player.ID, TokenVersion: 1, Board: board, Score: score, IdempotencyKey: key, HoldBack: leaderboard.ReviewedAlways}
}

func decision(action leaderboard.AuditAction) leaderboard.Moderation {
	return leaderboard.Moderation{Action: action, Actor: "moderators", Reason: "looked at"}
}

// accept accepts a submission as the service does.
func accept(t *testing.T, l *postgres.Ledger, h leaderboard.HeldSubmission) (leaderboard.AuditRecord, leaderboard.HeldSubmission, error) {
	board, err := l.Catalog().Lookup(h.Board)
	if err != nil {
		return leaderboard.AuditRecord{}, leaderboard.HeldSubmission{}, err
	}
	return l.Accept(t.Context(), decision(leaderboard.AcceptSubmission), h.ID,
		leaderboard.Submission{Player: h.Player, Account: "moderators", Board: h.Board, Score: h.Score, Ordered: board.ByPlayer()})
}

func countRows(t *testing.T, f *ledgertest.Fixture, from string) (n int) {
	t.Helper()
	require.NoError(t, f.Connect(t).QueryRow(t.Context(), "SELECT count(*) FROM "+from).Scan(&n))
	return n
}

// Whoever decides first has decided, whatever others ask for at the same time, by whichever
// replica: each submission counts once, or never.
func TestSubmissionsAreDecidedOnOnce(t *testing.T) {
	f := newReviewed(t, postgres.Options{})
	ledgers := []*postgres.Ledger{f.Ledger, f.Open(t, postgres.Options{})}
	const submissions = 24
	var mu sync.Mutex
	states := map[int64]map[leaderboard.HeldState]bool{}
	changes := map[int64]int{}

	var deciding sync.WaitGroup
	for i, p := range f.Players(t, submissions) {
		board := []string{"arena", "coins"}[i%2]
		h, err := f.Ledger.HoldBack(t.Context(), held(p, board, int64(i+1), fmt.Sprint("key ", i)))
		require.NoError(t, err)
		mu.Lock()
		states[h.ID] = map[leaderboard.HeldState]bool{}
		mu.Unlock()
		for _, l := range ledgers {
			for _, action := range []leaderboard.AuditAction{leaderboard.AcceptSubmission, leaderboard.RejectSubmission} {
				deciding.Go(func() {
					var record leaderboard.AuditRecord
					var is leaderboard.HeldSubmission
					var err error
					if action == leaderboard.AcceptSubmission {
						record, is, err = accept(t, l, *h)
					} else {
						record, is, err = l.Reject(t.Context(), decision(action), h.ID)
					}

					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						if leaderboard.CodeOf(err) != leaderboard.CodeDecided {
							t.Errorf("%s of submission %d: %v", action, h.ID, err)
						}
						return
					}
					states[h.ID][is.State] = true
					if record.Changed {
						changes[h.ID]++
					}
				})
			}
		}
	}
	deciding.Wait()

	accepted := 0
	for id, is := range states {
		require.Len(t, is, 1, "submission %d", id)
		require.Equal(t, 1, changes[id], "submission %d", id)
		if is[leaderboard.HeldAccepted] {
			accepted++
		}
	}
	require.Equal(t, accepted, countRows(t, f, "score_events"))
	require.Equal(t, accepted, countRows(t, f, "held_submissions h JOIN score_events e ON e.id = h.event AND e.player = h.player AND e.score = h.score AND e.board = h.board"))
	require.Equal(t, submissions, countRows(t, f, "audit WHERE changed"))
	_, err := verifyAudit(t, f, nil)
	require.NoError(t, err)
	requireSound(t, f.Ledger)
}

// failingSealer fails, as a server that ends while it writes.
type failingSealer struct {
	ledgertest.Sealer
	fails bool
}

func (s *failingSealer) Seal(content string) (string, error) {
	if s.fails {
		return "", errors.New("the server ended")
	}
	return s.Sealer.Seal(content)
}

// A decision is whole or not there at all.
func TestADecisionThatFails(t *testing.T) {
	sealer := &failingSealer{Sealer: ledgertest.TestSealer, fails: true}
	f := newReviewed(t, postgres.Options{Sealer: sealer})
	p := f.Players(t, 1)[0]
	h, err := f.Ledger.HoldBack(t.Context(), held(p, "coins", 5, "once"))
	require.NoError(t, err)

	_, _, err = accept(t, f.Ledger, *h)
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err), "%v", err)
	_, _, err = f.Ledger.Reject(t.Context(), decision(leaderboard.RejectSubmission), h.ID)
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err), "%v", err)
	is, err := f.Ledger.Held(t.Context(), h.ID)
	require.NoError(t, err)
	require.Equal(t, *h, is)
	require.Zero(t, countRows(t, f, "score_events")+countRows(t, f, "standings")+countRows(t, f, "audit"))
	require.Equal(t, 1, countRows(t, f, fmt.Sprintf("idempotency_keys WHERE event = %d AND expires_at = 'infinity'", h.ID)))

	sealer.fails = false
	_, is, err = accept(t, f.Ledger, *h)
	require.NoError(t, err)
	require.Equal(t, 1, countRows(t, f, fmt.Sprintf("idempotency_keys WHERE event = %d AND expires_at BETWEEN now() + interval '23 hours' AND now() + interval '24 hours'", is.Event)))
}

// However many are submitted at the same time, a player has no more than may wait, and a key holds
// one back.
func TestHeldSubmissionsAreBounded(t *testing.T) {
	f := newReviewed(t, postgres.Options{})
	ledgers := []*postgres.Ledger{f.Ledger, f.Open(t, postgres.Options{})}
	p := f.Players(t, 1)[0]
	const submissions = leaderboard.MaxHeldOfPlayer + 10
	var mu sync.Mutex
	var kept, refused int
	ids := map[int64]bool{}

	var submitting sync.WaitGroup
	for i := range submissions {
		submitting.Go(func() {
			h, err := ledgers[i%2].HoldBack(t.Context(), held(p, "coins", 7, "the same"))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("hold a repetition back: %v", err)
				return
			}
			ids[h.ID] = true
		})
		submitting.Go(func() {
			_, err := ledgers[i%2].HoldBack(t.Context(), held(p, "arena", int64(i), ""))
			mu.Lock()
			defer mu.Unlock()
			switch leaderboard.CodeOf(err) {
			case "":
				kept++
			case leaderboard.CodeTooManyPending:
				refused++
			default:
				t.Errorf("hold a submission back: %v", err)
			}
		})
	}
	submitting.Wait()
	require.Len(t, ids, 1)
	require.Equal(t, []int{leaderboard.MaxHeldOfPlayer, 10}, []int{kept, refused})
}

// One that is accepted by a server that does not know the newest windows counts in them, too.
func TestAcceptWithAnOldCatalog(t *testing.T) {
	f := newReviewed(t, postgres.Options{})
	behind := f.Open(t, postgres.Options{})
	players := f.Players(t, 2)
	weekly := reviewed("arena", leaderboard.Best)
	weekly.Windows = []leaderboard.Window{ledgertest.Window("weekly", "weekly")}
	boards, err := leaderboard.NewBoards(weekly, reviewed("coins", leaderboard.Sum))
	require.NoError(t, err)
	_, err = f.Ledger.SyncBoards(t.Context(), boards)
	require.NoError(t, err)

	for i, board := range []string{"arena", "coins"} {
		h, err := behind.HoldBack(t.Context(), held(players[i], board, 5, ""))
		require.NoError(t, err)
		_, is, err := accept(t, behind, *h)
		require.NoError(t, err)
		require.NotZero(t, is.Event)
	}
	requireSound(t, f.Ledger)
}

// What was decided on is deleted after a while, what waits is not, and the key of that neither.
func TestDecidedSubmissionsAreDeleted(t *testing.T) {
	f := newReviewed(t, postgres.Options{})
	p := f.Players(t, 1)[0]
	for i := range 5 {
		h, err := f.Ledger.HoldBack(t.Context(), held(p, "arena", int64(i), fmt.Sprint(i)))
		require.NoError(t, err)
		switch i {
		case 0, 1, 4:
			_, _, err = f.Ledger.Reject(t.Context(), decision(leaderboard.RejectSubmission), h.ID)
		case 2:
			_, _, err = accept(t, f.Ledger, *h)
		}
		require.NoError(t, err)
	}
	_, err := f.Connect(t).Exec(t.Context(), "UPDATE held_submissions SET at = at - interval '90 days', decided_at = decided_at - CASE score WHEN 1 THEN interval '29 days' ELSE interval '31 days' END")
	require.NoError(t, err)
	_, err = f.Connect(t).Exec(t.Context(), "UPDATE idempotency_keys k SET expires_at = expires_at - interval '2 days' WHERE NOT EXISTS (SELECT FROM held_submissions h WHERE h.id = k.event AND score = 4)")
	require.NoError(t, err)

	require.NoError(t, f.Ledger.Maintain(t.Context()))
	require.Equal(t, 1, countRows(t, f, "held_submissions WHERE score = 1 AND state = 'rejected'"))
	require.Equal(t, 1, countRows(t, f, "held_submissions WHERE score = 3 AND state = 'pending'"))
	require.Equal(t, 1, countRows(t, f, "held_submissions WHERE score = 4 AND state = 'rejected'"), "its key is there")
	require.Equal(t, 3, countRows(t, f, "held_submissions"))
	require.Equal(t, 2, countRows(t, f, "idempotency_keys"))
}

// Webhooks are told of what is held back, in its transaction; however many that are, the closing
// of a season is told, too.
func TestWebhooksAreToldOfReviews(t *testing.T) {
	f := newReviewed(t, postgres.Options{})
	f.Ledger.SetSubscriptions([]leaderboard.Subscription{{Webhook: "team", Events: []leaderboard.EventType{leaderboard.EventEntryUnderReview, leaderboard.EventSeasonClosed}}})
	p := f.Players(t, 1)[0]
	h, err := f.Ledger.HoldBack(t.Context(), held(p, "arena", 5, "key"))
	require.NoError(t, err)
	_, err = f.Ledger.HoldBack(t.Context(), held(p, "arena", 5, "key"))
	require.NoError(t, err, "a repetition, of which nobody is told")

	messages, err := f.Ledger.ClaimMessages(t.Context(), "team", 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, messages, 1)
	var body struct {
		Type string
		Data map[string]any
	}
	require.NoError(t, json.Unmarshal(messages[0].Payload, &body))
	require.Equal(t, "EntryUnderReview", body.Type)
	require.Equal(t, map[string]any{"id": float64(h.ID), "board": "arena", "user_id": string(p.ID), "username": p.Username, "score": 5.0, "reason": "always"}, body.Data)

	conn, board := f.Connect(t), f.Board(t, "arena").Number
	_, err = conn.Exec(t.Context(), "INSERT INTO webhook_messages (webhook, board, event, payload) SELECT 'team', $1, 'EntryUnderReview', '{}' FROM generate_series(1, 999)", board)
	require.NoError(t, err)
	_, err = f.Ledger.HoldBack(t.Context(), held(p, "arena", 6, ""))
	require.NoError(t, err)
	require.Equal(t, 1, countRows(t, f, "webhook_messages WHERE dead_at IS NOT NULL"), "there is no room for its message")
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, f.Ledger.Enqueue(t.Context(), tx, leaderboard.WebhookEvent{Type: leaderboard.EventSeasonClosed, Board: board, At: time.Now(), Data: func(int) any { return nil }}))
	require.NoError(t, tx.Commit(t.Context()))
	messages, err = f.Ledger.ClaimMessages(t.Context(), "team", 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, messages, 1, "the first of the others is under way")
	require.Equal(t, leaderboard.EventSeasonClosed, messages[0].Event)
}

// What holding a submission back costs, and deciding on it.
func BenchmarkReview(b *testing.B) {
	boards, err := leaderboard.NewBoards(reviewed("arena", leaderboard.Best))
	require.NoError(b, err)
	f := ledgertest.New(b, server, boards, postgres.Options{})
	players := f.Players(b, 1+1_000/leaderboard.MaxHeldOfPlayer)
	next := 0
	hold := func() leaderboard.HeldSubmission {
		h, err := f.Ledger.HoldBack(b.Context(), held(players[next/leaderboard.MaxHeldOfPlayer%len(players)], "arena", 5, fmt.Sprint(next)))
		require.NoError(b, err)
		next++
		return *h
	}
	accepts := func(h leaderboard.HeldSubmission) {
		_, _, err := f.Ledger.Accept(b.Context(), decision(leaderboard.AcceptSubmission), h.ID, leaderboard.Submission{Player: h.Player, Account: "moderators", Board: h.Board, Score: h.Score})
		require.NoError(b, err)
	}

	b.Run("hold back and accept", func(b *testing.B) {
		for b.Loop() {
			accepts(hold())
		}
	})
	b.Run("hold back and reject", func(b *testing.B) {
		for b.Loop() {
			_, _, err := f.Ledger.Reject(b.Context(), decision(leaderboard.RejectSubmission), hold().ID)
			require.NoError(b, err)
		}
	})
	b.Run("hold back", func(b *testing.B) {
		var pending []leaderboard.HeldSubmission
		for b.Loop() {
			if pending = append(pending, hold()); len(pending) == leaderboard.MaxHeldOfPlayer {
				b.StopTimer()
				for _, h := range pending {
					accepts(h)
				}
				pending = pending[:0]
				b.StartTimer()
			}
		}
		for _, h := range pending {
			accepts(h)
		}
	})
}

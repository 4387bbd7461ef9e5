package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// maxWaiting bounds the messages of a webhook that wait, of each type of event: many of one
	// leave room for the others. Further ones are dead at once.
	maxWaiting = 1_000
	// maxDead bounds the dead letters of a webhook that are kept, of each type of event, and keepDead for how long.
	maxDead  = 1_000
	keepDead = 30 * 24 * time.Hour
	// keepDelivered is for how long messages are kept that were delivered.
	keepDelivered = 24 * time.Hour
	// messageChunk is how many old messages are deleted in one statement.
	messageChunk = 1_000
	// maxPayload bounds a message, in bytes. A hundred entries with the longest names and columns
	// take some 50 KB.
	maxPayload = 64 << 10
)

// outbox is what this process knows of webhooks.
type outbox struct {
	subscriptions atomic.Pointer[[]leaderboard.Subscription]
	enqueued      chan struct{}
}

// SetSubscriptions says which webhooks there are from now on.
func (l *Ledger) SetSubscriptions(list []leaderboard.Subscription) {
	l.outbox.subscriptions.Store(&list)
}

// Enqueued has a value after this process has enqueued a message, which its transaction may
// not have committed yet.
func (l *Ledger) Enqueued() <-chan struct{} { return l.outbox.enqueued }

// subscribers are the webhooks that are told of events of a type, and top the most entries
// that one of them is told.
func (l *Ledger) subscribers(event leaderboard.EventType) (list []leaderboard.Subscription, top int) {
	all := l.outbox.subscriptions.Load()
	if all == nil {
		return nil, 0
	}
	for _, s := range *all {
		if slices.Contains(s.Events, event) {
			list, top = append(list, s), max(top, s.Top)
		}
	}
	return list, top
}

// Enqueue writes the messages of an event in the transaction that makes it true, one for each
// webhook that is told of it. A transaction with events of several boards enqueues them in
// the order of the boards' numbers, as it locks their rows.
func (l *Ledger) Enqueue(ctx context.Context, tx pgx.Tx, event leaderboard.WebhookEvent) error {
	subscribers, _ := l.subscribers(event.Type)
	if len(subscribers) == 0 {
		return nil
	}

	batch := &pgx.Batch{}
	// Messages get their numbers in the order in which their transactions commit.
	batch.Queue("SELECT FROM boards WHERE number = $1 FOR NO KEY UPDATE", event.Board)
	for _, s := range subscribers {
		payload, err := encodeEvent(event, s.Top)
		if err != nil {
			return err
		}
		batch.Queue(`
			INSERT INTO webhook_messages (webhook, board, event, payload, dead_at, failed_at, failure)
			SELECT $1, $2, $3, $4, CASE WHEN at_bound THEN clock_timestamp() END, CASE WHEN at_bound THEN clock_timestamp() END, CASE WHEN at_bound THEN $6::text END
			FROM (SELECT count(*) >= $5 FROM (
				SELECT FROM webhook_messages WHERE webhook = $1 AND event = $3 AND delivered_at IS NULL AND dead_at IS NULL LIMIT $5) waiting) bound (at_bound)`,
			s.Webhook, event.Board, event.Type, payload, maxWaiting, fmt.Sprintf("%d messages %s of the webhook were waiting", maxWaiting, event.Type))
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("enqueue an event %s: %w", event.Type, err)
	}

	select {
	case l.outbox.enqueued <- struct{}{}:
	default: // a look is due already
	}
	return nil
}

// encodeEvent makes the body of a message, with fewer entries than asked for where it would
// be too long.
func encodeEvent(event leaderboard.WebhookEvent, top int) (string, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	for {
		body.Reset()
		err := encoder.Encode(struct {
			Type      leaderboard.EventType `json:"type"`
			Timestamp time.Time             `json:"timestamp"`
			Data      any                   `json:"data"`
		}{event.Type, event.At.UTC(), event.Data(top)})
		if err != nil {
			return "", fmt.Errorf("encode an event %s: %w", event.Type, err)
		}
		if body.Len() <= maxPayload || top == 0 {
			return string(bytes.TrimSuffix(body.Bytes(), []byte("\n"))), nil
		}
		top /= 2
	}
}

// ClaimMessages returns messages of a webhook that are due, of each board and type of event at
// most the first that waits. They are the caller's for the time of the lease: nobody else gets them, nor
// those after them.
func (l *Ledger) ClaimMessages(ctx context.Context, webhook string, limit int, lease time.Duration) (messages []leaderboard.WebhookMessage, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	rows, err := l.pool.Query(ctx, `
		WITH heads AS MATERIALIZED (
			SELECT DISTINCT ON (board, event) number, due_at FROM webhook_messages
			WHERE webhook = $1 AND delivered_at IS NULL AND dead_at IS NULL ORDER BY board, event, number
		), due AS (
			SELECT m.number FROM webhook_messages m JOIN heads h USING (number)
			WHERE h.due_at <= clock_timestamp() AND m.due_at <= clock_timestamp() AND m.delivered_at IS NULL AND m.dead_at IS NULL
			ORDER BY m.due_at LIMIT $2 FOR UPDATE OF m SKIP LOCKED
		)
		UPDATE webhook_messages m SET attempts = attempts + 1, due_at = clock_timestamp() + $3
		FROM due WHERE m.number = due.number
		RETURNING m.number, 'msg_' || m.id, m.event, m.payload, m.attempts`, webhook, limit, lease)
	if err == nil {
		messages, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m leaderboard.WebhookMessage, err error) {
			var payload string
			err = row.Scan(&m.Number, &m.ID, &m.Event, &payload, &m.Attempt)
			m.Payload = []byte(payload)
			return m, err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("claim the messages of webhook %s: %w", webhook, err)
	}
	return messages, nil
}

// MarkDelivered records that a message was delivered, by whichever attempt.
func (l *Ledger) MarkDelivered(ctx context.Context, m leaderboard.WebhookMessage) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	_, err := l.pool.Exec(ctx, "UPDATE webhook_messages SET delivered_at = clock_timestamp(), dead_at = NULL WHERE number = $1 AND delivered_at IS NULL", m.Number)
	if err != nil {
		return fmt.Errorf("record that a message was delivered: %w", err)
	}
	return nil
}

// MarkFailed records that an attempt failed, unless another one was begun since, and says
// whether it was the last one.
func (l *Ledger) MarkFailed(ctx context.Context, m leaderboard.WebhookMessage, f leaderboard.WebhookFailure) (dead bool, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	err = l.pool.QueryRow(ctx, `
		WITH failed AS (
			UPDATE webhook_messages SET failure = $3, failed_at = clock_timestamp(), due_at = clock_timestamp() + $4,
				dead_at = CASE WHEN $6 OR clock_timestamp() + $4 > since + $5 THEN clock_timestamp() END
			WHERE number = $1 AND attempts = $2 AND delivered_at IS NULL AND dead_at IS NULL
			RETURNING dead_at IS NOT NULL AS dead)
		SELECT coalesce((SELECT dead FROM failed), false)`, m.Number, m.Attempt, f.Reason, f.RetryAfter, f.GiveUp, f.Final).Scan(&dead)
	if err != nil {
		return false, fmt.Errorf("record that a message was not delivered: %w", err)
	}
	return dead, nil
}

// WebhookQueues says how far the messages are, of webhooks that have any that were not
// delivered.
func (l *Ledger) WebhookQueues(ctx context.Context) (queues []leaderboard.WebhookQueue, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	rows, err := l.pool.Query(ctx, `
		SELECT webhook, count(*) FILTER (WHERE dead_at IS NULL), count(*) FILTER (WHERE dead_at IS NOT NULL),
			coalesce(greatest(clock_timestamp() - min(since) FILTER (WHERE dead_at IS NULL), '0'), '0')
		FROM webhook_messages WHERE delivered_at IS NULL GROUP BY webhook`)
	if err == nil {
		queues, err = pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.WebhookQueue])
	}
	if err != nil {
		return nil, fmt.Errorf("count the messages of webhooks: %w", err)
	}
	return queues, nil
}

// collectMessages deletes messages that were delivered, and dead letters beyond those that
// are kept. Those that wait for a webhook that is gone go as dead letters do.
func (l *Ledger) collectMessages(ctx context.Context) error {
	for {
		deleted, err := l.collectSomeMessages(ctx)
		if err != nil || deleted < messageChunk {
			return err
		}
	}
}

func (l *Ledger) collectSomeMessages(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, maintenanceTimeout)
	defer cancel()

	tag, err := l.aside.Exec(ctx, `
		WITH old AS (
			SELECT number FROM webhook_messages WHERE delivered_at < now() - $1::interval OR delivered_at IS NULL AND coalesce(dead_at, greatest(since, due_at)) < now() - $2::interval
			UNION ALL
			SELECT number FROM (
				SELECT number, row_number() OVER (PARTITION BY webhook, event ORDER BY dead_at DESC, number DESC) AS place FROM webhook_messages WHERE dead_at IS NOT NULL
			) dead WHERE place > $3
			LIMIT $4)
		DELETE FROM webhook_messages WHERE number IN (SELECT number FROM old)`, keepDelivered, keepDead, maxDead, messageChunk)
	if err != nil {
		return 0, fmt.Errorf("delete old messages of webhooks: %w", err)
	}
	return tag.RowsAffected(), nil
}

package provision

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// WebhookMessages says how far the messages of a webhook are.
type WebhookMessages struct {
	Webhook string
	// Waiting are not delivered yet, and Dead were given up. LastFailure is why the last of
	// their attempts failed; empty: none has.
	Waiting, Dead int64
	LastFailure   string
}

// WebhookMessages reads how far the messages are, of webhooks that have any that were not
// delivered.
func (p *Postgres) WebhookMessages(ctx context.Context, t tenant.Tenant) (list []WebhookMessages, err error) {
	err = p.readAsOwner(ctx, t, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT webhook, count(*) FILTER (WHERE dead_at IS NULL), count(*) FILTER (WHERE dead_at IS NOT NULL),
				coalesce((array_agg(failure ORDER BY failed_at DESC) FILTER (WHERE failure IS NOT NULL))[1], '')
			FROM webhook_messages WHERE delivered_at IS NULL GROUP BY webhook`)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[WebhookMessages])
		return err
	})
	if err != nil {
		return nil, postgresError(err, "read how far the messages of webhooks of %s are", t.ID)
	}
	return list, nil
}

// ResendWebhook has the messages to a webhook sent again that were given up before a time,
// and returns how many there are.
func (p *Postgres) ResendWebhook(ctx context.Context, t tenant.Tenant, claim Claim, webhook string, before time.Time) (messages int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	err = p.locked(ctx, t, claim, func(tx pgx.Tx) error {
		if err := becomeOwner(ctx, tx, t); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT resend_webhook_messages($1, $2)", webhook, before).Scan(&messages)
	})
	if err != nil {
		return 0, postgresError(err, "send the messages of webhook %s of %s again", webhook, t.ID)
	}
	return messages, nil
}

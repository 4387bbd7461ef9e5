package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/telemetry"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
)

const (
	// longestWebhookRetry is the longest pause between two attempts to deliver a message.
	longestWebhookRetry = time.Hour
	// webhookLook is the longest pause between two looks for messages that are due.
	webhookLook = 5 * time.Second
)

func newDeliverer(settings config.Webhooks, ledger *postgres.Ledger, metrics *telemetry.Metrics, log *slog.Logger) *webhook.Deliverer {
	return webhook.New(webhook.Options{Outbox: ledger, Observer: metrics.Webhooks(), Log: log,
		Policy:  endpoint.Policy{AllowHTTP: settings.AllowHTTP, Allowed: settings.AllowedCIDRs, Denied: settings.DeniedCIDRs, Ports: settings.Ports},
		Timeout: settings.Timeout, RetryFor: settings.RetryFor, FirstRetry: settings.FirstRetry, LongestRetry: longestWebhookRetry, Look: webhookLook})
}

// applyWebhooks has events enqueued for the webhooks of the file from now on, and messages
// delivered.
func (s *server) applyWebhooks(_ context.Context, content []byte) error {
	set, err := endpoint.Parse(content)
	if err != nil {
		return err
	}
	if err := s.deliverer.SetEndpoints(set); err != nil {
		return err
	}

	subscriptions := make([]leaderboard.Subscription, len(set.Endpoints))
	for i, e := range set.Endpoints {
		subscriptions[i] = leaderboard.Subscription{Webhook: e.Name, Top: e.Top}
		for _, event := range e.Events {
			subscriptions[i].Events = append(subscriptions[i].Events, leaderboard.EventType(event))
		}
	}
	s.ledger.SetSubscriptions(subscriptions)
	return nil
}

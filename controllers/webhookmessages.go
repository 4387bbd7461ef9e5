package controllers

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// readWebhooks tells in the status how far the messages of webhooks are, with every pass over
// a game that has any: what a receiver does changes nothing else.
func (r *LeaderboardReconciler) readWebhooks(ctx context.Context, p *pass) error {
	if len(p.lb.Status.Webhooks) == 0 {
		return nil
	}
	messages, err := p.stores.postgres.WebhookMessages(ctx, p.tenant)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}

	of := make(map[string]provision.WebhookMessages, len(messages))
	for _, m := range messages {
		of[m.Webhook] = m
	}
	for i := range p.lb.Status.Webhooks {
		status := &p.lb.Status.Webhooks[i]
		m := of[status.Name]
		status.Waiting, status.DeadLetters, status.LastFailure = m.Waiting, m.Dead, m.LastFailure
	}
	return nil
}

// parseResend reads the annotation's value; false: it is not one.
func parseResend(value string) (webhook string, before time.Time, ok bool) {
	webhook, at, _ := strings.Cut(value, "@")
	before, err := time.Parse(time.RFC3339, at)
	return webhook, before, err == nil
}

// resendWebhooks does what the annotation asks for, once for each value. An operator that has
// just been started does it again, which changes nothing: the value has a time, and what was
// sent again and given up again was so after it.
func (r *LeaderboardReconciler) resendWebhooks(ctx context.Context, p *pass) error {
	value := p.lb.Annotations[v1alpha1.ResendWebhooksAnnotation]
	asked := value != "" && p.later == nil && !r.webhooksResent.known(p.lb.UID, value)
	if !asked {
		return nil
	}

	tell := func(kind, reason, format string, args ...any) {
		r.webhooksResent.mark(p.lb.UID, value, wholeLook)
		r.Recorder.Eventf(p.lb, nil, kind, reason, "ResendWebhooks", format, args...)
	}
	name, before, ok := parseResend(value)
	if is := func(w v1alpha1.Webhook) bool { return w.Name == name }; !ok || !slices.ContainsFunc(p.lb.Spec.Webhooks, is) {
		tell(corev1.EventTypeWarning, "WebhookNotResent", "The annotation %s is %q: it must be the name of one of spec.webhooks, @ and a time, for example results@2026-12-01T20:00:00Z",
			v1alpha1.ResendWebhooksAnnotation, value)
		return nil
	}

	messages, err := p.stores.postgres.ResendWebhook(ctx, p.tenant, p.claim, name, before)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	tell(corev1.EventTypeNormal, "WebhookResent", "%d messages to the webhook %s that were given up before %s are sent again", messages, name, before.UTC().Format(time.RFC3339))
	return nil
}

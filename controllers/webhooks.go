package controllers

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
)

// Webhooks are in a Secret for the servers, with the secrets that messages are signed with,
// and each has a Secret of its own for its receiver, with the newest of these:
//
//	        issue: messages are signed         publish: it is in the webhook's Secret;
//	        with both                          those before it get an end
//	served ────────────────────────────► both ─────────────────────────────────────► served
//
// A receiver may have either from the first moment to the end of the one before. A secret is
// published once the servers have read it, unless what the webhook's Secret has is good for
// nothing. Wherever the operator is ended, the next one goes on from what it finds.

// ensureWebhooks makes the Secrets of webhooks what the spec says.
func (r *LeaderboardReconciler) ensureWebhooks(ctx context.Context, p *pass) error {
	if len(p.lb.Spec.Webhooks) == 0 && len(p.lb.Status.Webhooks) == 0 {
		return nil
	}
	if err := r.recordWebhooks(ctx, p); err != nil {
		return err
	}

	secret, err := r.getSecret(ctx, p.lb, workload.WebhooksName(p.lb))
	if err != nil {
		return secretFailure(err)
	}
	// What is damaged is as if it were not there: secrets that receivers have are taken then.
	known, _ := endpoint.Parse(ownData(p.lb, secret, workload.WebhooksKey))
	if err := r.removeWebhooks(ctx, p); err != nil {
		return secretFailure(err)
	}

	served := map[string]*corev1.Secret{}
	set := endpoint.Set{Authorities: p.class.Spec.Webhooks.CABundle}
	for _, spec := range p.lb.Spec.Webhooks {
		if served[spec.Name], err = r.getSecret(ctx, p.lb, workload.WebhookName(p.lb, spec.Name)); err != nil {
			return secretFailure(err)
		}
		set.Endpoints = append(set.Endpoints, r.endpointFor(p, spec, known, signingSecret(p.lb, served[spec.Name])))
	}
	if len(set.Endpoints) > 0 || secret != nil {
		if err := r.serveWebhooks(ctx, p, secret, served, set); err != nil {
			return secretFailure(err)
		}
	}

	p.lb.Status.Webhooks = webhookStatus(p.lb, p.lb.Spec.Webhooks)
	return nil
}

// recordWebhooks writes down the webhooks of the spec before anything is made for them: without
// one of them in the status or the spec, nobody would look for its Secret.
func (r *LeaderboardReconciler) recordWebhooks(ctx context.Context, p *pass) error {
	recorded := map[string]bool{}
	for _, webhook := range p.lb.Status.Webhooks {
		recorded[webhook.Name] = true
	}

	var added []v1alpha1.Webhook
	for _, spec := range p.lb.Spec.Webhooks {
		if !recorded[spec.Name] {
			added = append(added, spec)
		}
	}
	p.lb.Status.Webhooks = append(p.lb.Status.Webhooks, webhookStatus(p.lb, added)...)
	return r.writeStatus(ctx, p)
}

// webhookStatus is the status of webhooks, with what is known of their messages.
func webhookStatus(lb *v1alpha1.Leaderboard, specs []v1alpha1.Webhook) []v1alpha1.WebhookStatus {
	known := map[string]v1alpha1.WebhookStatus{}
	for _, webhook := range lb.Status.Webhooks {
		known[webhook.Name] = webhook
	}

	var list []v1alpha1.WebhookStatus
	for _, spec := range specs {
		status := known[spec.Name]
		status.Name, status.SecretName = spec.Name, workload.WebhookName(lb, spec.Name)
		list = append(list, status)
	}
	return list
}

// removeWebhooks deletes the Secrets of webhooks that the spec no longer has.
func (r *LeaderboardReconciler) removeWebhooks(ctx context.Context, p *pass) error {
	wanted := map[string]bool{}
	for _, spec := range p.lb.Spec.Webhooks {
		wanted[spec.Name] = true
	}
	for _, webhook := range p.lb.Status.Webhooks {
		if wanted[webhook.Name] {
			continue
		}
		if err := r.deleteSecret(ctx, p.lb, workload.WebhookName(p.lb, webhook.Name)); err != nil {
			return err
		}
	}
	return nil
}

// endpointFor is the webhook as the servers are to know it, with a secret that is new where
// there is none, or where credentials were issued since the newest was made.
func (r *LeaderboardReconciler) endpointFor(p *pass, spec v1alpha1.Webhook, known endpoint.Set, served string) endpoint.Endpoint {
	now := time.Now()
	e, _ := known.Lookup(spec.Name)
	e = e.Prune(now)
	e.Name, e.URL, e.Events, e.Top = spec.Name, spec.URL, nil, v1alpha1.DefaultTop
	if spec.Top != nil {
		e.Top = int(*spec.Top)
	}
	for _, event := range spec.Events {
		e.Events = append(e.Events, string(event))
	}

	switch {
	case len(e.Secrets) == 0 && endpoint.WellFormed(served): // what was known is lost
		return e.Adopt(served, now)
	case len(e.Secrets) == 0:
		return e.Issue(now)
	case issuedSince(p, now, e.Newest().IssuedAt) && len(e.Secrets) < endpoint.MaxSecrets:
		return e.Issue(now)
	}
	return e
}

// serveWebhooks writes the Secret for the servers, those of the webhooks, and the first one
// again where a secret was published, so that those before it end.
func (r *LeaderboardReconciler) serveWebhooks(ctx context.Context, p *pass, current *corev1.Secret, served map[string]*corev1.Secret, set endpoint.Set) error {
	if err := r.writeWebhooks(ctx, p, current, set); err != nil {
		return err
	}

	now, published := time.Now(), false
	for i, e := range set.Endpoints {
		before := served[e.Name]
		secret := signingSecret(p.lb, before)
		if !slices.Contains(e.Signing(now), secret) || !now.Before(e.Newest().IssuedAt.Add(r.Retirement.Least)) {
			secret = e.Newest().Value
		}
		if err := r.applier.applySecret(ctx, p.lb.UID, workload.WebhookSecret(p.lb, p.class, e.Name, secret), before); err != nil {
			return err
		}

		superseded, changed := e.Supersede(now.Add(r.SecretOverlap))
		if secret == e.Newest().Value && changed {
			set.Endpoints[i], published = superseded, true
			r.Recorder.Eventf(p.lb, nil, corev1.EventTypeNormal, "WebhookSecretRotated", "Provision",
				"A new signing secret is served in the Secret %s; messages are signed with the one before, too, for another %s", workload.WebhookName(p.lb, e.Name), r.SecretOverlap)
		}
	}
	if !published {
		return nil
	}

	current, err := r.getSecret(ctx, p.lb, workload.WebhooksName(p.lb))
	if err != nil {
		return err
	}
	return r.writeWebhooks(ctx, p, current, set)
}

func (r *LeaderboardReconciler) writeWebhooks(ctx context.Context, p *pass, current *corev1.Secret, set endpoint.Set) error {
	file, err := set.Marshal()
	if err != nil {
		return err
	}
	return r.applier.applySecret(ctx, p.lb.UID, workload.WebhooksSecret(p.lb, p.class, file), current)
}

// signingSecret is what a webhook's Secret has; empty: nothing that counts.
func signingSecret(lb *v1alpha1.Leaderboard, secret *corev1.Secret) string {
	return string(ownData(lb, secret, workload.SigningSecretKey))
}

package controllers

import (
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	ledger "github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/telemetry"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook/endpoint"
	"github.com/leaderboard-dev/leaderboard-operator/test/effects"
)

// webhookNamed is a webhook of a spec.
func webhookNamed(name, url string) v1alpha1.Webhook {
	return v1alpha1.Webhook{Name: name, URL: url, Events: []v1alpha1.WebhookEvent{v1alpha1.WebhookSeasonClosed}}
}

// signingSecretOf is what the Secret of a webhook has; empty: there is none.
func signingSecretOf(t *testing.T, lb *v1alpha1.Leaderboard, webhook string) string {
	t.Helper()
	secret := secretNamed(t, lb, workload.WebhookName(lb, webhook))
	if secret == nil {
		return ""
	}
	return string(secret.Data[workload.SigningSecretKey])
}

// webhooksOf is what the servers are given.
func webhooksOf(t *testing.T, lb *v1alpha1.Leaderboard) endpoint.Set {
	t.Helper()
	secret := secretNamed(t, lb, workload.WebhooksName(lb))
	require.NotNil(t, secret)
	set, err := endpoint.Parse(secret.Data[workload.WebhooksKey])
	require.NoError(t, err)
	return set
}

// gameWithWebhooks makes a game that has webhooks.
func gameWithWebhooks(t *testing.T, class *v1alpha1.LeaderboardClass, list ...v1alpha1.Webhook) *v1alpha1.Leaderboard {
	t.Helper()
	lb := readyGame(t, class)
	patch(t, lb, func() { lb.Spec.Webhooks = list })
	becomes(t, lb, allReady)
	return lb
}

// A webhook gets a Secret, the servers get what is in it, and what is not used is not there.
func TestWebhooksGetSecrets(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	require.Nil(t, secretNamed(t, lb, workload.WebhooksName(lb)))
	require.Nil(t, lb.Status.Webhooks)

	patch(t, lb, func() {
		lb.Spec.Webhooks = []v1alpha1.Webhook{webhookNamed("results", "https://example.com/a"), webhookNamed("audit", "https://example.com/b")}
	})
	becomes(t, lb, allReady)
	require.Equal(t, []v1alpha1.WebhookStatus{{Name: "results", SecretName: "race-leaderboard-webhook-results"}, {Name: "audit", SecretName: "race-leaderboard-webhook-audit"}}, lb.Status.Webhooks)
	set := webhooksOf(t, lb)
	require.Equal(t, []any{"results", "https://example.com/a", []string{"SeasonClosed"}, 10}, []any{set.Endpoints[0].Name, set.Endpoints[0].URL, set.Endpoints[0].Events, set.Endpoints[0].Top})
	for i, name := range []string{"results", "audit"} {
		require.True(t, endpoint.WellFormed(signingSecretOf(t, lb, name)))
		require.Equal(t, []string{signingSecretOf(t, lb, name)}, set.Endpoints[i].Signing(time.Now()))
		require.True(t, metav1.IsControlledBy(secretNamed(t, lb, workload.WebhookName(lb, name)), lb))
	}
	require.NotEqual(t, signingSecretOf(t, lb, "results"), signingSecretOf(t, lb, "audit"))

	// Another webhook, or another URL, replaces no Pod and no secret.
	generation, before := deploymentOf(t, lb).Generation, signingSecretOf(t, lb, "results")
	patch(t, lb, func() {
		lb.Spec.Webhooks = []v1alpha1.Webhook{webhookNamed("results", "https://example.com/c"), webhookNamed("third", "https://example.com/d")}
	})
	eventually(t, lb, func() bool { return len(lb.Status.Webhooks) == 2 && lb.Status.Webhooks[1].Name == "third" })
	becomes(t, lb, allReady)
	require.Equal(t, generation, deploymentOf(t, lb).Generation)
	require.Equal(t, []string{"https://example.com/c", before, ""}, []string{webhooksOf(t, lb).Endpoints[0].URL, signingSecretOf(t, lb, "results"), signingSecretOf(t, lb, "audit")})

	// Nothing is written when nothing has changed.
	version := secretNamed(t, lb, workload.WebhooksName(lb)).ResourceVersion
	settle(t, lb)
	require.Equal(t, version, secretNamed(t, lb, workload.WebhooksName(lb)).ResourceVersion)

	patch(t, lb, func() { lb.Spec.Webhooks = nil })
	eventually(t, lb, func() bool { return lb.Status.Webhooks == nil })
	require.Empty(t, webhooksOf(t, lb).Endpoints)
	require.Empty(t, signingSecretOf(t, lb, "results"))
}

// What somebody writes or deletes is made good, and receivers keep the secret that they have
// as long as one of the two Secrets is there.
func TestSecretsOfWebhooksAreKept(t *testing.T) {
	t.Parallel()
	lb := gameWithWebhooks(t, newClass(t, startManager(t), postgres, redis), webhookNamed("results", "https://example.com/"))
	first := signingSecretOf(t, lb, "results")
	own := secretNamed(t, lb, workload.WebhookName(lb, "results"))
	own.Data[workload.SigningSecretKey] = []byte("whsec_bXkgb3duIHNlY3JldCB3aGljaCBpcyBub3QgaXNzdWVk")
	require.NoError(t, cluster.Update(t.Context(), own))
	require.Eventually(t, func() bool { return signingSecretOf(t, lb, "results") == first }, patience, poll)

	for _, name := range []string{workload.WebhookName(lb, "results"), workload.WebhooksName(lb)} {
		require.NoError(t, cluster.Delete(t.Context(), secretNamed(t, lb, name)))
		require.Eventually(t, func() bool { return secretNamed(t, lb, name) != nil }, patience, poll)
		require.Equal(t, first, signingSecretOf(t, lb, "results"))
		require.Equal(t, []string{first}, webhooksOf(t, lb).Endpoints[0].Signing(time.Now()))
	}

	given := secretNamed(t, lb, workload.WebhooksName(lb))
	given.Data[workload.WebhooksKey] = []byte("{")
	require.NoError(t, cluster.Update(t.Context(), given))
	require.Eventually(t, func() bool {
		set, err := endpoint.Parse(secretNamed(t, lb, workload.WebhooksName(lb)).Data[workload.WebhooksKey])
		return err == nil && len(set.Endpoints) == 1
	}, patience, poll)
	require.Equal(t, first, webhooksOf(t, lb).Endpoints[0].Newest().Value)
}

// Of a rotation, messages are signed with both secrets before a receiver has the new one, and
// for the overlap after it.
func TestSecretsOfWebhooksAreRotated(t *testing.T) {
	t.Parallel()
	const least = 3 * time.Second
	controller := startManager(t, func(o *ManagerOptions) {
		o.Retirement, o.SecretOverlap = Retirement{Least: least, Most: time.Minute}, time.Hour
	})
	lb := gameWithWebhooks(t, newClass(t, controller, postgres, redis), webhookNamed("results", "https://example.com/"))
	old := signingSecretOf(t, lb, "results")
	// The credentials and the secret are of the same time, as far as the operator knows: this one is
	// from before.
	given := secretNamed(t, lb, workload.WebhooksName(lb))
	set := webhooksOf(t, lb)
	set.Endpoints[0].Secrets[0].IssuedAt = time.Now().Add(-time.Hour)
	file, err := set.Marshal()
	require.NoError(t, err)
	given.Data[workload.WebhooksKey] = file
	require.NoError(t, cluster.Update(t.Context(), given))

	patch(t, lb, func() { metav1.SetMetaDataAnnotation(&lb.ObjectMeta, v1alpha1.RotateAnnotation, "1") })
	require.Eventually(t, func() bool { return len(webhooksOf(t, lb).Endpoints[0].Secrets) == 2 }, patience, poll)
	next := webhooksOf(t, lb).Endpoints[0].Newest()
	require.NotEqual(t, old, next.Value)
	require.Eventually(t, func() bool { return signingSecretOf(t, lb, "results") == next.Value }, patience, poll)
	require.False(t, time.Now().Before(next.IssuedAt.Add(least)), "it was published once the servers had it")
	told(t, lb, "WebhookSecretRotated", "race-leaderboard-webhook-results")
	require.Eventually(t, func() bool { return !webhooksOf(t, lb).Endpoints[0].Secrets[0].ExpiresAt.IsZero() }, patience, poll)
	now := webhooksOf(t, lb).Endpoints[0]
	require.Equal(t, []string{old, next.Value}, now.Signing(time.Now()))
	require.WithinDuration(t, time.Now().Add(time.Hour), now.Secrets[0].ExpiresAt, patience)
	require.Equal(t, []string{next.Value}, now.Signing(time.Now().Add(2*time.Hour)))
}

// The class bounds where webhooks lead, and how many there are.
func TestAClassBoundsWebhooks(t *testing.T) {
	t.Parallel()
	class := newClass(t, startManager(t), postgres, redis, func(c *v1alpha1.LeaderboardClass) {
		c.Spec.Limits.MaxWebhooks = new(int32(1))
		c.Spec.Webhooks = v1alpha1.ClassWebhooks{AllowedCIDRs: []string{"10.20.0.0/16"}, DeniedCIDRs: []string{"10.20.0.1/32"}, Ports: []int32{443, 8443}}
	})
	lb := gameWithWebhooks(t, class, webhookNamed("results", "https://10.20.0.7:8443/"))
	for url, message := range map[string]string{
		"http://example.com/": "url of webhook results: it must begin with https://", "https://example.com:9443/": "its port must be one of [443 8443]",
		"https://10.20.0.1/": "its address must be a public one, or one that the class allows", "https://10.96.0.1/": "its address must be a public one", "https://2130706433/": "its host ends in a number",
	} {
		patch(t, lb, func() { lb.Spec.Webhooks[0].URL = url })
		becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False InvalidSpec", v1alpha1.ConditionStalled: "True InvalidSpec"})
		require.Contains(t, describe(lb), message)
		require.Equal(t, "https://10.20.0.7:8443/", webhooksOf(t, lb).Endpoints[0].URL, "what runs goes on")
	}
	patch(t, lb, func() {
		lb.Spec.Webhooks = []v1alpha1.Webhook{webhookNamed("results", "https://example.com/"), webhookNamed("audit", "https://example.com/")}
	})
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False LimitExceeded"})
	require.Contains(t, describe(lb), "raise limits.maxWebhooks")
}

// webhookServer is the part of a game's servers that delivers, with what the operator has made
// for them.
func webhookServer(t *testing.T, lb *v1alpha1.Leaderboard, policy endpoint.Policy) *ledger.Ledger {
	t.Helper()
	server, err := ledger.Open(t.Context(), ledger.Options{URL: string(credentialsOf(t, lb).Data[workload.DatabaseURLKey])})
	require.NoError(t, err)
	t.Cleanup(server.Close)
	boards, err := leaderboard.NewBoards(leaderboard.Board{Name: "arena", Order: leaderboard.Descending, Scoring: leaderboard.Best, Shards: 1, Ranks: leaderboard.Ordinal})
	require.NoError(t, err)
	_, err = server.SyncBoards(t.Context(), boards)
	require.NoError(t, err)
	server.SetSubscriptions([]leaderboard.Subscription{{Webhook: "results", Events: []leaderboard.EventType{leaderboard.EventSeasonClosed}}})

	d := webhook.New(webhook.Options{Outbox: server, Policy: policy, Observer: telemetry.NewMetrics("test").Webhooks(), Log: slog.New(slog.DiscardHandler),
		Timeout: 10 * time.Second, RetryFor: time.Second, FirstRetry: 50 * time.Millisecond, LongestRetry: time.Second, Look: 100 * time.Millisecond})
	require.NoError(t, d.SetEndpoints(webhooksOf(t, lb)))
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { d.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	return server
}

// The status tells of messages that were given up, and an annotation sends them again.
func TestDeadLettersAreToldAndSentAgain(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	status.Store(http.StatusInternalServerError)
	bodies, headers := make(chan []byte, 100), make(chan http.Header, 100)
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if body, err := io.ReadAll(q.Body); err == nil && status.Load() == http.StatusOK {
			headers <- q.Header
			bodies <- body
		}
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(receiver.Close)
	u, err := url.Parse(receiver.URL)
	require.NoError(t, err)
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	require.NoError(t, err)
	class := newClass(t, startManager(t), postgres, redis, func(c *v1alpha1.LeaderboardClass) {
		c.Spec.Webhooks = v1alpha1.ClassWebhooks{AllowedCIDRs: []string{"127.0.0.1/32"}, Ports: []int32{int32(port)},
			CABundle: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw}))}
	})
	lb := gameWithWebhooks(t, class, webhookNamed("results", receiver.URL+"/hook"))
	server := webhookServer(t, lb, endpoint.Policy{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Ports: []uint16{uint16(port)}})

	conn, err := pgx.Connect(t.Context(), string(credentialsOf(t, lb).Data[workload.DatabaseURLKey]))
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	board, err := server.Catalog().Lookup("arena")
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		return server.Enqueue(t.Context(), tx, leaderboard.WebhookEvent{Type: leaderboard.EventSeasonClosed, Board: board.Number, At: time.Now(), Data: func(int) any { return "done" }})
	}))
	eventually(t, lb, func() bool { return lb.Status.Webhooks[0].DeadLetters == 1 && lb.Status.Webhooks[0].Waiting == 0 })
	require.Equal(t, "the receiver answered 500", lb.Status.Webhooks[0].LastFailure)
	require.Equal(t, allReady[v1alpha1.ConditionReady], describeReady(lb), "it is the receiver's matter")

	ask := func(value string) {
		patch(t, lb, func() { metav1.SetMetaDataAnnotation(&lb.ObjectMeta, v1alpha1.ResendWebhooksAnnotation, value) })
	}
	for _, value := range []string{"results", "others@2026-12-01T20:00:00Z", "results@tomorrow"} {
		ask(value)
		told(t, lb, "WebhookNotResent", strconv.Quote(value))
	}
	ask("results@2020-01-01T00:00:00Z")
	told(t, lb, "WebhookResent", "0 messages to the webhook results")
	status.Store(http.StatusOK)
	ask("results@" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	told(t, lb, "WebhookResent", "1 messages to the webhook results")
	verifier, err := standardwebhooks.NewWebhook(signingSecretOf(t, lb, "results"))
	require.NoError(t, err)
	select {
	case header := <-headers:
		require.NoError(t, verifier.Verify(<-bodies, header))
	case <-time.After(patience):
		require.Fail(t, "the message has not come")
	}
	eventually(t, lb, func() bool { return lb.Status.Webhooks[0].DeadLetters == 0 && lb.Status.Webhooks[0].LastFailure == "" })
}

// describeReady is the status and the reason of Ready.
func describeReady(lb *v1alpha1.Leaderboard) string {
	for _, c := range lb.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return string(c.Status) + " " + c.Reason
		}
	}
	return ""
}

// The operator is killed at every one of its writes while it makes, replaces and removes: the
// next one makes the webhooks whole, and what a receiver has is signed with all the time.
func TestWebhooksSurviveACrash(t *testing.T) {
	t.Parallel()
	class, controllerName := acceptedClass(t)
	atEveryWrite(t, func(t *testing.T, n int, mode effects.Mode) (reached bool) {
		lb := newLeaderboard(namespace(t), class)
		lb.Spec.Webhooks = []v1alpha1.Webhook{webhookNamed("results", "https://example.com/"), webhookNamed("audit", "https://example.com/")}
		create(t, lb)
		driveToReady(t, newReconciler(t, controllerName, cluster), lb)
		served := signingSecretOf(t, lb, "results")

		// A secret is to take the place of another one, one webhook is removed, and one added.
		given := secretNamed(t, lb, workload.WebhooksName(lb))
		set := webhooksOf(t, lb)
		set.Endpoints[0] = set.Endpoints[0].Issue(time.Now())
		file, err := set.Marshal()
		require.NoError(t, err)
		given.Data[workload.WebhooksKey] = file
		require.NoError(t, cluster.Update(t.Context(), given))
		patch(t, lb, func() {
			lb.Spec.Webhooks = []v1alpha1.Webhook{webhookNamed("results", "https://example.com/"), webhookNamed("added", "https://example.com/")}
		})
		reached = reconcileUntilCrash(t, controllerName, n, mode, lb)
		require.Contains(t, webhooksOf(t, lb).Endpoints[0].Signing(time.Now()), served)
		require.Contains(t, webhooksOf(t, lb).Endpoints[0].Signing(time.Now()), signingSecretOf(t, lb, "results"))

		driveToReady(t, newReconciler(t, controllerName, cluster), lb)
		whole := webhooksOf(t, lb)
		require.Equal(t, set.Endpoints[0].Newest().Value, signingSecretOf(t, lb, "results"))
		require.False(t, whole.Endpoints[0].Secrets[0].ExpiresAt.IsZero(), "the one before has an end")
		require.Equal(t, []string{signingSecretOf(t, lb, "added")}, whole.Endpoints[1].Signing(time.Now()))
		require.Empty(t, signingSecretOf(t, lb, "audit"))
		require.Len(t, lb.Status.Webhooks, 2)
		return reached
	})
}

package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// WebhookMetrics counts the messages of webhooks.
type WebhookMetrics struct {
	attempts             *prometheus.CounterVec
	waiting, dead, delay *prometheus.GaugeVec
}

// Webhooks makes the metrics of webhooks.
func (m *Metrics) Webhooks() *WebhookMetrics {
	const subsystem = "webhook"
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, []string{"webhook"})
	}

	w := &WebhookMetrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: "attempts_total",
			Help: "Attempts to deliver a message: delivered, failed, or dead where it was the last one."}, []string{"webhook", "result"}),
		waiting: gauge("waiting", "Messages that are not delivered yet, of the whole game."),
		dead:    gauge("dead_letters", "Messages that were given up, of the whole game."),
		delay:   gauge("oldest_seconds", "For how long the oldest message that is not delivered yet has been tried."),
	}
	m.registry.MustRegister(w.attempts, w.waiting, w.dead, w.delay)
	return w
}

// Attempted counts an attempt.
func (w *WebhookMetrics) Attempted(webhook, result string) {
	w.attempts.WithLabelValues(webhook, result).Inc()
}

// Queued takes how many messages of a webhook wait, the oldest of them for age, and how many
// were given up.
func (w *WebhookMetrics) Queued(webhook string, waiting, dead int64, age time.Duration) {
	for _, result := range []string{"delivered", "failed", "dead"} {
		w.attempts.WithLabelValues(webhook, result) // 0 from the beginning on
	}
	w.waiting.WithLabelValues(webhook).Set(float64(waiting))
	w.dead.WithLabelValues(webhook).Set(float64(dead))
	w.delay.WithLabelValues(webhook).Set(age.Seconds())
}

// Removed forgets a webhook that is gone.
func (w *WebhookMetrics) Removed(webhook string) {
	w.attempts.DeletePartialMatch(prometheus.Labels{"webhook": webhook})
	for _, vector := range []*prometheus.GaugeVec{w.waiting, w.dead, w.delay} {
		vector.DeleteLabelValues(webhook)
	}
}

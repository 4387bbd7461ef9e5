package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// CommitMetrics counts what happens to submissions on their way. It is told of
// it as an observer of the group commit.
type CommitMetrics struct {
	batchSize                  prometheus.Histogram
	queued                     prometheus.Histogram
	store, apply               *prometheus.HistogramVec
	splits, repeats, refusions prometheus.Counter
	limited                    *prometheus.CounterVec
}

// Commit makes the metrics of the group commit.
func (m *Metrics) Commit() *CommitMetrics {
	const subsystem = "commit"
	durations := prometheus.ExponentialBuckets(0.0005, 2, 14) // 0.5 ms to 4 s
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: buckets})
	}

	vector := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: durations}, []string{"result"})
	}

	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help})
	}

	c := &CommitMetrics{
		batchSize: histogram("batch_size", "Submissions that shared a transaction.", prometheus.ExponentialBuckets(1, 2, 12)),
		queued:    histogram("queue_duration_seconds", "How long the oldest submission of a batch waited.", durations),
		store:     vector("store_duration_seconds", "Time that a transaction took."),
		apply:     vector("apply_duration_seconds", "Time that bringing a stored batch into the ranking took."),
		splits:    counter("splits_total", "Rejected batches that were stored in two halves."),
		repeats:   counter("repeats_total", "Batches that met another transaction and were stored again."),
		refusions: counter("refused_total", "Submissions that found the queue full."),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: "limited_total",
			Help: "Submissions that a limit refused: of their board (per-minute, cooldown, attempts), or of the class (game)."}, []string{"limit"}),
	}
	for _, limit := range []string{"per-minute", "cooldown", "attempts", "game"} {
		c.limited.WithLabelValues(limit) // 0 from the beginning on
	}
	m.registry.MustRegister(c.batchSize, c.queued, c.store, c.apply, c.splits, c.repeats, c.refusions, c.limited)
	return c
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// Stored counts a batch that was stored or failed to be.
func (c *CommitMetrics) Stored(size int, queued, took time.Duration, err error) {
	c.batchSize.Observe(float64(size))
	c.queued.Observe(queued.Seconds())
	c.store.WithLabelValues(result(err)).Observe(took.Seconds())
}

// Applied counts a batch that was brought into the ranking or failed to be.
func (c *CommitMetrics) Applied(took time.Duration, err error) {
	c.apply.WithLabelValues(result(err)).Observe(took.Seconds())
}

// Split counts a rejected batch.
func (c *CommitMetrics) Split() { c.splits.Inc() }

// Repeated counts a batch that is stored again.
func (c *CommitMetrics) Repeated() { c.repeats.Inc() }

// Refused counts a submission that found the queue full.
func (c *CommitMetrics) Refused() { c.refusions.Inc() }

// Limited counts a submission that a limit refused.
func (c *CommitMetrics) Limited(kind string) { c.limited.WithLabelValues(kind).Inc() }

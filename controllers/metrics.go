package controllers

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// Metrics are the operator's own, beside those of controller-runtime.
type Metrics struct {
	// unreadySeconds is how long Leaderboards were not ready before they became so.
	unreadySeconds prometheus.Histogram
	// stepSeconds is how long each step of a pass took.
	stepSeconds *prometheus.HistogramVec
	reader      client.Reader
	operator    provision.Operator
	// ofGames: the conditions of every game are told.
	ofGames bool
}

// collectTimeout bounds a scrape's look into the cache, which does not wait for
// anything but its own lock.
const collectTimeout = 5 * time.Second

var (
	leaderboardsDesc = prometheus.NewDesc("leaderboard_operator_leaderboards",
		"Leaderboards by the status of their condition Ready.", []string{"class", "ready"}, nil)
	conditionDesc = prometheus.NewDesc("leaderboard_operator_game_condition",
		"1 for the status that a condition of a Leaderboard has.", []string{"namespace", "name", "condition", "status"}, nil)
	classConditionDesc = prometheus.NewDesc("leaderboard_operator_class_condition",
		"1 for the status that a condition of a LeaderboardClass has.", []string{"class", "condition", "status"}, nil)
	classContestedDesc = prometheus.NewDesc("leaderboard_operator_class_contested",
		"1 for a LeaderboardClass that names this operator's controllerName and is served by one in another namespace.", []string{"class"}, nil)
)

// NewMetrics makes the metrics and registers them. The reader is the manager's
// cache, from which objects are counted when a scrape asks; ofGames tells the conditions of every
// game, in as many series as gameConditions.
func NewMetrics(reader client.Reader, registerer prometheus.Registerer, operator provision.Operator, ofGames bool) (*Metrics, error) {
	m := &Metrics{
		unreadySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "leaderboard_operator_unready_seconds",
			Help:    "How long a Leaderboard was not ready before it became ready, the first time or again.",
			Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600},
		}),
		stepSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "leaderboard_operator_step_seconds",
			Help:    "Duration of the steps of a reconciliation.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"step", "result"}),
		reader: reader, operator: operator, ofGames: ofGames,
	}

	for _, collector := range []prometheus.Collector{m.unreadySeconds, m.stepSeconds, m} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}

	return m, nil
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- leaderboardsDesc
	descriptions <- conditionDesc
	descriptions <- classConditionDesc
	descriptions <- classContestedDesc
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()

	games := &v1alpha1.LeaderboardList{}
	if err := m.reader.List(ctx, games); err != nil {
		return // the cache is not there yet, or no more
	}

	type key struct{ class, ready string }
	count := map[key]float64{}
	for i := range games.Items {
		count[key{games.Items[i].Status.ClassName, statusOf(games.Items[i].Status.Conditions, v1alpha1.ConditionReady)}]++
		if m.ofGames {
			collectConditions(&games.Items[i], metrics)
		}
	}

	for k, n := range count {
		metrics <- prometheus.MustNewConstMetric(leaderboardsDesc, prometheus.GaugeValue, n, k.class, k.ready)
	}

	classes := &v1alpha1.LeaderboardClassList{}
	if err := m.reader.List(ctx, classes); err != nil {
		return
	}

	for i := range classes.Items {
		if classes.Items[i].Spec.ControllerName == m.operator.ControllerName && !serves(m.operator, &classes.Items[i]) {
			metrics <- prometheus.MustNewConstMetric(classContestedDesc, prometheus.GaugeValue, 1, classes.Items[i].Name)
		}
		for _, condition := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionAccepted, v1alpha1.ConditionReachable} {
			metrics <- prometheus.MustNewConstMetric(classConditionDesc, prometheus.GaugeValue, 1,
				classes.Items[i].Name, condition, statusOf(classes.Items[i].Status.Conditions, condition))
		}
	}
}

// gameConditions are those that every game always has.
var gameConditions = []string{v1alpha1.ConditionReady, v1alpha1.ConditionSchemaReady, v1alpha1.ConditionKeyspaceReady, v1alpha1.ConditionWorkloadAvailable}

func collectConditions(lb *v1alpha1.Leaderboard, metrics chan<- prometheus.Metric) {
	for _, condition := range gameConditions {
		metrics <- prometheus.MustNewConstMetric(conditionDesc, prometheus.GaugeValue, 1,
			lb.Namespace, lb.Name, condition, statusOf(lb.Status.Conditions, condition))
	}
}

func statusOf(list []metav1.Condition, conditionType string) string {
	if condition := meta.FindStatusCondition(list, conditionType); condition != nil {
		return string(condition.Status)
	}
	return string(metav1.ConditionUnknown)
}

// step notes how long a step took. A nil receiver notes nothing.
func (m *Metrics) step(name string, start time.Time, err error) {
	if m == nil {
		return
	}

	result := "ok"
	if err != nil {
		result = "error"
	}

	m.stepSeconds.WithLabelValues(name, result).Observe(time.Since(start).Seconds())
}

// becameReady notes how long a Leaderboard had not been ready, which is since the
// last change of the condition that was false until now.
func (m *Metrics) becameReady(was *metav1.Condition) {
	if m != nil && was != nil {
		m.unreadySeconds.Observe(time.Since(was.LastTransitionTime.Time).Seconds())
	}
}

package controllers

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// The metrics count what there is, by class and readiness.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := NewMetrics(cluster, registry, testOperator("other/operator"), true)
	require.NoError(t, err)
	m.step("schema", time.Now(), nil)
	m.becameReady(&metav1.Condition{LastTransitionTime: metav1.Now()})
	var none *Metrics
	none.step("schema", time.Now(), nil)
	none.becameReady(nil)

	class := newClass(t, startManager(t), postgres, redis)
	lb := readyGame(t, class)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")

	families, err := registry.Gather()
	require.NoError(t, err)
	found := map[string]float64{}

	for _, family := range families {
		for _, metric := range family.GetMetric() {
			key := family.GetName()
			for _, label := range metric.GetLabel() {
				key += " " + label.GetName() + "=" + label.GetValue()
			}
			found[key] = metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}

	require.EqualValues(t, 1, found["leaderboard_operator_leaderboards class="+class.Name+" ready=True"])
	require.EqualValues(t, 1, found["leaderboard_operator_class_condition class="+class.Name+" condition=Reachable status=True"])
	for _, condition := range gameConditions {
		require.EqualValues(t, 1, found[fmt.Sprintf("leaderboard_operator_game_condition condition=%s name=race namespace=%s status=True", condition, lb.Namespace)])
	}
	require.EqualValues(t, 1, found["leaderboard_operator_step_seconds result=ok step=schema"])
	require.EqualValues(t, 1, found["leaderboard_operator_unready_seconds"])

	page, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	for _, family := range families {
		kind := strings.ToLower(family.GetType().String())
		require.Regexp(t, fmt.Sprintf(`\| .%s. \| %s \| .*%s \|`, family.GetName(), kind, regexp.QuoteMeta(family.GetHelp())), string(page))
	}
}

// The names of steps are values of a metric's label, on which dashboards and
// alerts rest.
func TestStepNamesArePublic(t *testing.T) {
	var names []string
	for _, step := range (&LeaderboardReconciler{}).steps() {
		names = append(names, step.name)
	}

	require.Equal(t, []string{"init-conditions", "class", "connect", "placement", "defaults", "check-freshness", "schema", "credentials", "login", "migrations",
		"keyspace", "rotate", "mark-verified", "signing-keys", "service-accounts", "webhooks", "workload", "retire-login", "end-season", "seasons", "refolds", "resend-webhooks", "webhook-messages", "check-rollout", "lower-connections"}, names)
}

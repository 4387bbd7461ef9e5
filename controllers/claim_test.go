package controllers

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// Of two operators in two namespaces with one controllerName, the first one serves a class
// and its games, whatever the other one sees, until the platform team approves the change.
func TestTwoOperatorsWithOneName(t *testing.T) {
	first := startManager(t)
	class := newClass(t, first, postgres, redis)
	lb := readyGame(t, class)
	require.Equal(t, operatorNamespace, class.Status.OperatorNamespace)

	second := unique("second")
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: second}})
	for _, name := range []string{class.Spec.Postgres.AdminSecretRef.Name, class.Spec.Redis.AdminSecretRef.Name} {
		secret := &corev1.Secret{}
		require.NoError(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: operatorNamespace, Name: name}, secret))
		create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: second, Name: name}, Data: secret.Data})
	}
	startManager(t, func(o *ManagerOptions) { o.ControllerName, o.Namespace, o.ClusterID = first, second, "test" })

	contested := &eventsv1.Event{}
	require.Eventually(t, func() bool {
		list := &eventsv1.EventList{}
		require.NoError(t, cluster.List(t.Context(), list))
		for i := range list.Items {
			if list.Items[i].Reason == "OperatorConflict" && list.Items[i].Regarding.Name == class.Name {
				contested = &list.Items[i]
				return true
			}
		}
		return false
	}, patience, poll)
	require.Contains(t, contested.Note, "The operator in the namespace "+operatorNamespace+" serves this class; that in "+second)
	t.Log(contested.Note)
	require.Equal(t, 1.0, contestedMetric(t, first, second, class.Name))
	require.Zero(t, contestedMetric(t, first, operatorNamespace, class.Name))

	// What the game's team changes is done by the first one alone, and nothing is undone.
	touch(t, lb)
	classIs(t, class, v1alpha1.ConditionReady, "True Ready")
	require.Equal(t, operatorNamespace, class.Status.OperatorNamespace)
	for _, entry := range class.ManagedFields {
		require.NotContains(t, entry.Manager, second)
	}

	word := provision.ApprovalOfOperator(first, operatorNamespace, second)
	require.Contains(t, contested.Note, v1alpha1.ApproveAnnotation+"="+word)
	patch(t, class, func() { class.Annotations = map[string]string{v1alpha1.ApproveAnnotation: word} })
	eventually(t, class, func() bool { return class.Status.OperatorNamespace == second })
	classIs(t, class, v1alpha1.ConditionReady, "True Ready")

	// Now the first one leaves it alone, although it still runs: who is in charge changes once.
	deployment := deploymentOf(t, lb)
	touch(t, lb)
	require.Equal(t, second, eventually(t, class, func() bool { return true }).Status.OperatorNamespace)
	require.Equal(t, deployment.UID, deploymentOf(t, lb).UID)
	require.Equal(t, 1.0, contestedMetric(t, first, operatorNamespace, class.Name))
	require.Equal(t, workload.Name(lb), deployment.Name)
}

// contestedMetric is what the operator in a namespace exports of a class.
func contestedMetric(t *testing.T, controllerName, namespace, class string) float64 {
	t.Helper()
	operator := testOperator(controllerName)
	operator.Namespace = namespace
	registry := prometheus.NewRegistry()
	_, err := NewMetrics(cluster, registry, operator, false)
	require.NoError(t, err)
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "leaderboard_operator_class_contested" && metric.GetLabel()[0].GetValue() == class {
				return metric.GetGauge().GetValue()
			}
		}
	}
	return 0
}

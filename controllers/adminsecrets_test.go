package controllers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

// An admin's login is sent to no host that its Secret does not name.
func TestAdminSecretNamesItsHosts(t *testing.T) {
	t.Parallel()
	controller := startManager(t)
	port, connections := resettingServer(t)
	class := newClass(t, controller, postgres, redis)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	limit := func(name, hosts string) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}}
		patch(t, secret, func() { secret.Annotations = map[string]string{v1alpha1.HostsAnnotation: hosts} })
	}

	limit(class.Spec.Postgres.AdminSecretRef.Name, "postgres.example.net, 127.0.0.1")
	limit(class.Spec.Redis.AdminSecretRef.Name, "127.0.0.1")
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	patch(t, class, func() { class.Spec.Postgres.Host, class.Spec.Postgres.Port = "localhost", port })
	classIs(t, class, v1alpha1.ConditionAccepted, "False SecretInvalid")
	require.Contains(t, describe(class), "localhost")
	lb := create(t, newLeaderboard(namespace(t), class))
	becomes(t, lb, map[string]string{v1alpha1.ConditionReady: "False ClassNotReady"})

	patch(t, class, func() {
		class.Spec.Postgres.Host, class.Spec.Postgres.Port = "127.0.0.1", int32(postgres.Port)
		class.Spec.Redis.Endpoints = []string{fmt.Sprintf("localhost:%d", port)}
	})
	eventually(t, class, func() bool { return strings.Contains(describe(class), class.Spec.Redis.AdminSecretRef.Name+" in") })
	require.Zero(t, connections.Load())
}

// An administrator's username and password may end as the lines of a file do, and in no
// other way.
func TestAdminSecretOfAFile(t *testing.T) {
	t.Parallel()
	for _, test := range [][2]string{{"secret", "secret"}, {"secret\n", "secret"}, {"secret\r\n", "secret"}, {"secret\n\n", "secret\n"},
		{"secret\r", "secret\r"}, {" secret ", " secret "}, {"\n", ""}, {"", ""}} {
		value, want := test[0], test[1]
		require.Equal(t, want, lineOf(&corev1.Secret{Data: map[string][]byte{"key": []byte(value)}}, "key"), "%q", value)
	}

	class := newClass(t, startManager(t), postgres, redis)
	classIs(t, class, v1alpha1.ConditionReachable, "True Reachable")
	reached := class.Status.ReachedGeneration
	for name, end := range map[string]string{class.Spec.Postgres.AdminSecretRef.Name: "\n", class.Spec.Redis.AdminSecretRef.Name: "\r\n"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}}
		patch(t, secret, func() {
			for key, value := range secret.Data {
				secret.Data[key] = append(value, end...)
			}
		})
	}
	patch(t, class, func() { class.Spec.Limits.MaxReplicas++ }) // so that another generation is reached
	eventually(t, class, func() bool { return class.Status.ReachedGeneration > reached })

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: class.Spec.Postgres.AdminSecretRef.Name}}
	patch(t, secret, func() { secret.Data[corev1.BasicAuthPasswordKey] = []byte("\n") })
	classIs(t, class, v1alpha1.ConditionAccepted, "False SecretInvalid")
}

package v1alpha1_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
)

func get[T any, P interface {
	*T
	client.Object
}](t *testing.T, key client.ObjectKey) P {
	t.Helper()
	object := P(new(T))
	require.NoError(t, cluster.Get(timeout(t), key, object))
	return object
}

// The least that a game team can write means what the documentation says.
func TestLeaderboardDefaults(t *testing.T) {
	create(t, parse(t, "Leaderboard", "defaults", `{boards: [{name: arena}], autoscaling: {maxReplicas: 4}}`))
	got := get[games.Leaderboard](t, client.ObjectKey{Namespace: namespace, Name: "defaults"})
	require.Equal(t, games.LeaderboardSpec{
		Boards:         []games.Board{{Name: "arena"}},
		Autoscaling:    &games.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 4, TargetCPUUtilizationPercentage: 70},
		Auth:           games.AuthSpec{TokenTTL: metav1.Duration{Duration: time.Hour}, PasswordCost: 10},
		DeletionPolicy: games.DeletionPolicyRetain,
	}, got.Spec)
	require.Equal(t, []games.Board{{Name: "arena", Order: games.OrderDescending, Scoring: games.ScoringBest}}, got.Spec.DefaultedBoards())
	require.Empty(t, got.Spec.Boards[0].Order, "it is a copy")
}

func TestClassDefaults(t *testing.T) {
	create(t, parse(t, "LeaderboardClass", "defaults", validClass))
	got := get[games.LeaderboardClass](t, client.ObjectKey{Name: "defaults"})
	boards, perNamespace, webhooks := int32(64), int32(200), int32(8)
	want := games.LeaderboardClassSpec{
		ControllerName:    games.DefaultControllerName,
		AllowedNamespaces: games.AllowedNamespaces{From: games.NamespacesFromAll},
		Postgres: games.PostgresSpec{Host: "postgres.databases.svc", Port: 5432, Database: "leaderboard",
			SSLMode: games.SSLModeVerifyFull, AdminSecretRef: games.AdminSecretReference{Name: "postgres-admin"}},
		Redis: games.RedisSpec{Mode: games.RedisStandalone, Endpoints: []string{"redis.databases.svc:6379"},
			AdminSecretRef: games.AdminSecretReference{Name: "redis-admin"}},
		Image: "leaderboard-server:v1",
		Defaults: games.ClassDefaults{Replicas: 2, Resources: &games.Resources{
			Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{"memory": resource.MustParse("256Mi")},
		}},
		Limits:   games.ClassLimits{MaxReplicas: 20, MaxBoards: &boards, MaxLeaderboardsPerNamespace: &perNamespace, MaxWebhooks: &webhooks, PostgresConnections: 120},
		Exposure: games.ClassExposure{Type: games.ExposureService},
	}

	wantJSON, err := json.Marshal(want)
	require.NoError(t, err)
	gotJSON, err := json.Marshal(got.Spec)
	require.NoError(t, err)
	require.JSONEq(t, string(wantJSON), string(gotJSON))
}

// Go clients send no zero value that the API would refuse.
func TestGoTypesSendNoZeroValues(t *testing.T) {
	lb := &games.Leaderboard{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "zero"}, Spec: games.LeaderboardSpec{
		Boards:      []games.Board{{Name: "arena"}},
		Autoscaling: &games.AutoscalingSpec{MaxReplicas: 2},
		Auth:        games.AuthSpec{PasswordCost: 12},
		Resources:   &games.Resources{},
	}}
	create(t, lb)
	require.Equal(t, time.Hour, lb.Spec.Auth.TokenTTL.Duration)
	class := &games.LeaderboardClass{ObjectMeta: metav1.ObjectMeta{Name: "zero"}, Spec: games.LeaderboardClassSpec{
		Postgres: games.PostgresSpec{Host: "pg", Database: "d", AdminSecretRef: games.AdminSecretReference{Name: "a"}},
		Redis:    games.RedisSpec{Endpoints: []string{"redis:6379"}, AdminSecretRef: games.AdminSecretReference{Name: "b"}},
		Image:    "leaderboard-server",
		Defaults: games.ClassDefaults{Replicas: 3},
	}}

	create(t, class)
	require.EqualValues(t, 20, class.Spec.Limits.MaxReplicas)
}

// Before an operator has looked, an object says so.
func TestConditionsAreUnknownAtFirst(t *testing.T) {
	create(t, parse(t, "Leaderboard", "fresh", `{}`))
	create(t, parse(t, "LeaderboardClass", "fresh", validClass))
	lb := get[games.Leaderboard](t, client.ObjectKey{Namespace: namespace, Name: "fresh"})
	class := get[games.LeaderboardClass](t, client.ObjectKey{Name: "fresh"})
	status := map[string]metav1.ConditionStatus{}

	for _, condition := range append(lb.Status.Conditions, class.Status.Conditions...) {
		status[condition.Type] = condition.Status
		require.Equal(t, games.ReasonPending, condition.Reason)
		require.Equal(t, "Waiting for the operator", condition.Message)
	}

	require.Equal(t, map[string]metav1.ConditionStatus{
		games.ConditionReady:     metav1.ConditionUnknown,
		games.ConditionAccepted:  metav1.ConditionUnknown,
		games.ConditionReachable: metav1.ConditionUnknown,
	}, status)
}

// A game team cannot write what the operator says.
func TestStatusIsTheOperators(t *testing.T) {
	object := parse(t, "Leaderboard", "status", `{}`)
	object.Object["status"] = map[string]any{"tenant": "somebody-else", "endpoint": "http://example.com"}
	create(t, object)
	lb := get[games.Leaderboard](t, client.ObjectKey{Namespace: namespace, Name: "status"})
	require.Empty(t, lb.Status.Tenant)
	require.Empty(t, lb.Status.Endpoint)
}

// kubectl scale and an autoscaler of the game team's own use this subresource.
func TestScaleSubresource(t *testing.T) {
	create(t, parse(t, "Leaderboard", "scale", `{replicas: 2}`))
	lb := get[games.Leaderboard](t, client.ObjectKey{Namespace: namespace, Name: "scale"})
	lb.Status.Replicas, lb.Status.Selector = 2, "app.kubernetes.io/instance=scale"
	require.NoError(t, cluster.Status().Update(timeout(t), lb))

	scale := &autoscalingv1.Scale{}
	require.NoError(t, cluster.SubResource("scale").Get(timeout(t), lb, scale))
	require.EqualValues(t, 2, scale.Spec.Replicas)
	require.EqualValues(t, 2, scale.Status.Replicas)
	require.Equal(t, "app.kubernetes.io/instance=scale", scale.Status.Selector)

	scale.Spec.Replicas = 5
	require.NoError(t, cluster.SubResource("scale").Update(timeout(t), lb, client.WithSubResourceBody(scale)))
	lb = get[games.Leaderboard](t, client.ObjectKeyFromObject(lb))
	require.EqualValues(t, 5, *lb.Spec.Replicas)

	scale = &autoscalingv1.Scale{}
	require.NoError(t, cluster.SubResource("scale").Get(timeout(t), lb, scale))
	scale.Spec.Replicas = 101
	err := cluster.SubResource("scale").Update(timeout(t), lb, client.WithSubResourceBody(scale))
	require.ErrorContains(t, err, "should be less than or equal to 100")
}

// What kubectl get shows, wide and not.
func TestPrinterColumns(t *testing.T) {
	create(t, parse(t, "Leaderboard", "columns", `{boards: [{name: arena}]}`))
	create(t, parse(t, "LeaderboardClass", "columns", validClass))
	for _, test := range []struct {
		path          []string
		columns, wide []string
		cells         map[string]any
	}{
		{
			path:    []string{"namespaces", namespace, "leaderboards", "columns"},
			columns: []string{"Name", "Ready", "Reason", "Endpoint", "Boards", "Replicas", "Age"},
			wide:    []string{"Class", "Tenant", "Message"},
			cells:   map[string]any{"Name": "columns", "Ready": "Unknown", "Reason": "Pending", "Message": "Waiting for the operator"},
		}, {
			path:    []string{"leaderboardclasses", "columns"},
			columns: []string{"Name", "Ready", "Reason", "Accepted", "Reachable", "Leaderboards", "Default", "Age"},
			wide:    []string{"Postgres", "Redis", "Message"},
			cells:   map[string]any{"Name": "columns", "Accepted": "Unknown", "Reachable": "Unknown"},
		},
	} {
		table := serverTable(t, test.path...)
		require.Len(t, table.Rows, 1)
		var columns, wide []string

		for i, column := range table.ColumnDefinitions {
			if column.Priority == 0 {
				columns = append(columns, column.Name)
			} else {
				wide = append(wide, column.Name)
			}
			if want, ok := test.cells[column.Name]; ok {
				require.Equal(t, want, table.Rows[0].Cells[i], column.Name)
			}
		}

		require.Equal(t, test.columns, columns)
		require.Equal(t, test.wide, wide)
	}
}

// serverTable asks for an object as kubectl get does.
func serverTable(t *testing.T, path ...string) *metav1.Table {
	t.Helper()
	config := rest.CopyConfig(restConfig)
	config.GroupVersion, config.APIPath = &games.GroupVersion, "/apis"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	rests, err := rest.RESTClientFor(config)
	require.NoError(t, err)
	body, err := rests.Get().AbsPath("/apis/"+games.GroupVersion.String()).Suffix(path...).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(timeout(t))
	require.NoError(t, err)
	table := &metav1.Table{}
	require.NoError(t, json.Unmarshal(body, table))
	require.Equal(t, "Table", table.Kind)

	return table
}

func TestNamesOfTheKinds(t *testing.T) {
	client, err := discovery.NewDiscoveryClientForConfig(restConfig)
	require.NoError(t, err)
	resources, err := client.ServerResourcesForGroupVersion(games.GroupVersion.String())
	require.NoError(t, err)
	names := map[string][]string{}

	for _, served := range resources.APIResources {
		if len(served.ShortNames) > 0 {
			names[served.Name] = append(served.ShortNames, served.Categories...)
		}
	}

	require.Equal(t, map[string][]string{"leaderboards": {"lb", "games"}, "leaderboardclasses": {"lbc", "games"}}, names)
}

package workload_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func input(change ...func(*workload.Input)) workload.Input {
	in := workload.Input{
		Leaderboard: &v1alpha1.Leaderboard{
			ObjectMeta: metav1.ObjectMeta{Namespace: "games", Name: "race", UID: "c0ffee"},
			Spec: v1alpha1.LeaderboardSpec{
				Boards: []v1alpha1.Board{
					{Name: "arena", Order: v1alpha1.OrderDescending, Scoring: v1alpha1.ScoringBest, MinScore: new(int64), MaxScore: new(int64(1000))},
					{Name: "time-trial", Order: v1alpha1.OrderAscending, Scoring: v1alpha1.ScoringBest, CountsTowardGlobal: new(bool)},
				},
				Auth: v1alpha1.AuthSpec{TokenTTL: metav1.Duration{Duration: time.Hour}, PasswordCost: 10},
			},
		},
		Class: &v1alpha1.LeaderboardClass{
			ObjectMeta: metav1.ObjectMeta{Name: "standard"},
			Spec: v1alpha1.LeaderboardClassSpec{
				Postgres: v1alpha1.PostgresSpec{Host: "postgres.databases.svc", Port: 5432, Database: "games", SSLMode: v1alpha1.SSLModeDisable},
				Redis:    v1alpha1.RedisSpec{Mode: v1alpha1.RedisStandalone, Endpoints: []string{"redis.databases.svc:6379"}},
				Image:    "leaderboard-server:v1",
				Defaults: v1alpha1.ClassDefaults{Replicas: 2, Resources: &v1alpha1.Resources{
					Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")},
					Limits:   corev1.ResourceList{"memory": resource.MustParse("256Mi")},
				}},
				Limits:   v1alpha1.ClassLimits{MaxReplicas: 20, PostgresConnections: 40},
				Exposure: v1alpha1.ClassExposure{Type: v1alpha1.ExposureService},
			},
		},
		Tenant: "race-0a1b2c3d4e", KeyPrefix: "lb:race-0a1b2c3d4e:", CredentialsChecksum: "0123abcd", SetReplicas: true,
	}

	for _, c := range change {
		c(&in)
	}

	return in
}

// everything turns every option on.
func everything(in *workload.Input) {
	in.Leaderboard.Spec.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 3, MaxReplicas: 6, TargetCPUUtilizationPercentage: 70}
	in.Leaderboard.Spec.Resources = &v1alpha1.Resources{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("1")},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("1Gi")},
	}

	in.Leaderboard.Spec.Global = &v1alpha1.GlobalSpec{MaxScore: new(int64(1_000_000)), Direct: new(false)}
	in.Leaderboard.Spec.Global.Submitters = v1alpha1.SubmittersServers
	in.Leaderboard.Spec.Boards[0].Submitters, in.Leaderboard.Spec.Boards[0].Owners = v1alpha1.SubmittersServers, v1alpha1.OwnersExternal
	in.Leaderboard.Spec.Boards[1].Signatures, in.Leaderboard.Spec.Boards[1].MaxImprovement = v1alpha1.SignaturesRequired, new(int64(250))
	in.Leaderboard.Spec.Boards[1].Limits = &v1alpha1.BoardLimits{PerMinute: new(int32(6)), CooldownSeconds: new(int32(2)), Attempts: []v1alpha1.BoardAttempts{{Window: "all", Max: 100}}}
	in.Class.Spec.Limits.SubmissionsPerSecond = new(int32(500))
	in.Leaderboard.Spec.Boards[1].Review = &v1alpha1.Review{When: v1alpha1.ReviewSuspicious, BetterThan: new(int64(30_000))}
	in.Leaderboard.Spec.ServiceAccounts = []v1alpha1.ServiceAccount{{Name: "match-server", Scopes: []v1alpha1.Scope{v1alpha1.ScopeSubmit}}}
	in.Leaderboard.Spec.Retention.Events.Duration = 90 * 24 * time.Hour
	in.Leaderboard.Spec.Webhooks = []v1alpha1.Webhook{{Name: "results", URL: "https://example.com/hooks", Events: []v1alpha1.WebhookEvent{v1alpha1.WebhookSeasonClosed}},
		{Name: "inside", URL: "http://10.20.0.7:8080/", Events: []v1alpha1.WebhookEvent{v1alpha1.WebhookSeasonClosed, v1alpha1.WebhookEntryUnderReview}}}
	in.Class.Spec.Webhooks = v1alpha1.ClassWebhooks{AllowHTTP: true, AllowedCIDRs: []string{"10.20.0.0/16", "fd00:20::/32"}, DeniedCIDRs: []string{"10.20.0.1/32", "34.118.224.0/20", "fd00::/8"}, Ports: []int32{443, 8080, 9443}}
	in.Leaderboard.Spec.ServiceAccounts[0].Kubernetes = []v1alpha1.KubernetesServiceAccount{{ServiceAccount: "match"}}
	in.Leaderboard.Spec.Auth.RefreshTokenTTL, in.Leaderboard.Spec.Auth.RenameEvery = metav1.Duration{Duration: 168 * time.Hour}, metav1.Duration{Duration: 24 * time.Hour}
	in.Leaderboard.Spec.Auth.Issuers = []v1alpha1.Issuer{{Name: "store", Issuer: "https://id.example.com", Audience: "race", UsernameClaim: "nickname"},
		{Name: "test", Issuer: "http://id.test.svc:8080", Audience: "race", UsernameClaim: "preferred_username"}}
	in.Class.Spec.AllowInsecureIssuers, in.Class.Spec.ServiceAccountIssuer = true, &v1alpha1.ServiceAccountIssuer{Audience: "leaderboard"}
	in.Leaderboard.Spec.HTTP.AllowedOrigins = []string{"https://play.example.com", "http://localhost:8060"}
	everySetting(in)
	in.Class.Spec.NetworkPolicy = everyWay
	in.Class.Spec.Pods, in.Class.Spec.Objects, in.Leaderboard.Spec.Pods = everyPod()
	in.SetReplicas = false
	in.Class.Spec.ImagePullPolicy = corev1.PullIfNotPresent
	in.Class.Spec.Postgres.Host, in.Class.Spec.Postgres.SSLMode = "10.1.2.3", v1alpha1.SSLModeVerifyFull
	in.Class.Spec.Postgres.PoolerHost = "10.4.5.6"
	in.Class.Spec.Redis = v1alpha1.RedisSpec{Mode: v1alpha1.RedisSentinel, MasterName: "main", TLS: true,
		Endpoints: []string{"sentinel-0.databases.svc:26379", "sentinel-1.databases.svc:26379", "[fd00::7]:26379"}}
	in.PostgresCA, in.RedisCA = true, true
	in.Class.Spec.Exposure = v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "games.example.com", Port: 8443,
		IngressClassName: new("nginx"), TLSSecretName: new("{name}-tls"), HostTemplate: "{name}-{namespace}.{domain}", TrustedProxies: []string{"10.244.0.0/16", "fd00::/8"},
		Service: v1alpha1.ClassService{Type: corev1.ServiceTypeLoadBalancer, Annotations: map[string]string{"example.com/internal": "true"}, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
			LoadBalancerClass: new("example.com/internal"), IPFamilyPolicy: new(corev1.IPFamilyPolicyPreferDualStack), IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}},
		Annotations: map[string]string{"example.com/timeout": "30s"}}
}

func TestGolden(t *testing.T) {
	for name, in := range map[string]workload.Input{
		"plain":      input(),
		"everything": input(everything),
		"cluster": input(func(in *workload.Input) {
			in.Class.Spec.Redis = v1alpha1.RedisSpec{Mode: v1alpha1.RedisCluster, Endpoints: []string{"redis-0.databases.svc:6379", "redis-1.databases.svc:6380"}}
			in.Leaderboard.Spec.Boards = nil
			in.Leaderboard.Spec.Replicas = new(int32(6))
			in.Leaderboard.Spec.Exposure = &v1alpha1.ExposureSpec{Type: v1alpha1.ExposureIngress}
			in.Class.Spec.Exposure.Domain = "localhost"
		}),
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := workload.Objects(in)
			require.NoError(t, err)
			objects = append(objects,
				workload.CredentialsSecret(in.Leaderboard, in.Class, map[string][]byte{workload.SlotKey: []byte("a")}),
				workload.SigningKeysSecret(in.Leaderboard, in.Class, []byte("{}")))
			for _, account := range in.Leaderboard.Spec.ServiceAccounts {
				objects = append(objects, workload.AccountsSecret(in.Leaderboard, in.Class, map[string][]byte{workload.AccountsKey: []byte("{}")}),
					workload.AccountSecret(in.Leaderboard, in.Class, account.Name, "a secret"))
			}

			for _, webhook := range in.Leaderboard.Spec.Webhooks {
				objects = append(objects, workload.WebhooksSecret(in.Leaderboard, in.Class, []byte("{}")), workload.WebhookSecret(in.Leaderboard, in.Class, webhook.Name, "a secret"))
			}

			var rendered bytes.Buffer
			for _, object := range objects {
				document, err := yaml.Marshal(object)
				require.NoError(t, err)
				rendered.WriteString("---\n")
				rendered.Write(document)
			}

			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				require.NoError(t, os.WriteFile(golden, rendered.Bytes(), 0o600))
			}

			expected, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(expected), rendered.String(), "run the test with -update if this change is meant")
		})
	}
}

// The input is the cache's and must stay as it is, also when what was returned
// is written to, as applying it does.
func TestObjectsShareNothingWithTheInput(t *testing.T) {
	in, same := input(everything), input(everything)
	objects, err := workload.Objects(in)
	require.NoError(t, err)

	for _, object := range objects {
		require.NoError(t, json.Unmarshal([]byte(`{"metadata":{"labels":{"x":"y"},"annotations":{"x":"y"}},
			"spec":{"selector":{"x":"y"},"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"9"}}}]}}}}`), object))
	}

	require.Equal(t, same, in)
}

// The environment is a configuration that the server accepts and that means
// what the resource says.
func TestEnvironmentIsTheServersConfiguration(t *testing.T) {
	for name, change := range map[string]func(*workload.Input){"plain": func(*workload.Input) {}, "everything": everything,
		"many replicas": func(in *workload.Input) { in.Leaderboard.Spec.Replicas = new(int32(6)) }} {
		t.Run(name, func(t *testing.T) {
			in := input(change)
			deployment := find[appsv1.Deployment](t, in)
			var environ []string

			for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
				value := variable.Value
				if variable.ValueFrom != nil {
					value = map[string]string{
						workload.DatabaseURLKey:       "postgres://race_a:secret@pool:6432/games?sslmode=disable",
						workload.DatabaseDirectURLKey: "postgres://race_a:secret@postgres:5432/games?sslmode=disable",
						workload.RedisUsernameKey:     "race", workload.RedisPasswordKey: "secret",
						"token": "a token",
					}[variable.ValueFrom.SecretKeyRef.Key]
				}
				environ = append(environ, variable.Name+"="+value)
			}

			c, err := config.FromEnvironment(environ)
			require.NoError(t, err)
			require.NoError(t, c.Validate())
			require.Equal(t, in.Tenant, c.Tenant)
			require.Contains(t, c.Database.URL.Reveal(), "@pool:6432")
			require.Equal(t, in.Class.Spec.Postgres.PoolerHost != "", strings.Contains(c.Database.DirectURL.Reveal(), "@postgres:5432"))
			require.Equal(t, in.KeyPrefix, c.Redis.KeyPrefix)
			require.Equal(t, in.Class.Spec.Redis.Endpoints, c.Redis.Addresses)
			require.Equal(t, time.Hour, c.Auth.TokenTTL)
			require.Equal(t, in.Leaderboard.Spec.Retention.Events.Duration, c.EventRetention)
			grace := time.Duration(*deployment.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
			preStop := time.Duration(deployment.Spec.Template.Spec.Containers[0].Lifecycle.PreStop.Sleep.Seconds) * time.Second
			require.Greater(t, grace, preStop+c.ShutdownTimeout+c.DrainDelay)
			require.Equal(t, "/etc/leaderboard/boards/database-connections", c.Database.ConnectionsFile)
			connections, err := config.ParseConnections([]byte(find[corev1.ConfigMap](t, in).Data["database-connections"]))
			require.NoError(t, err)
			pods := 2 * int(workload.MaxReplicas(in.Leaderboard, in.Class))
			require.LessOrEqual(t, pods*(connections+1), int(in.Class.Spec.Limits.PostgresConnections))
		})
	}
}

// The server has its own list unless the game has one, which may be empty.
func TestReservedNames(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{{nil, ""}, {[]string{}, "-"}, {[]string{"admin", "管理者"}, "admin,管理者"}} {
		deployment := find[appsv1.Deployment](t, input(func(in *workload.Input) { in.Leaderboard.Spec.Auth.ReservedNames = c.names }))
		got := ""
		for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
			if variable.Name == config.EnvReservedNames {
				got = variable.Value
			}
		}
		require.Equal(t, c.want, got)
	}
}

func TestBoardsFileIsTheServersFormat(t *testing.T) {
	in := input()
	boards := find[corev1.ConfigMap](t, in)
	parsed, err := leaderboard.ParseBoards([]byte(boards.Data["boards.json"]))
	require.NoError(t, err)
	byName := map[string]leaderboard.Board{}

	for _, board := range parsed.All() {
		byName[board.Name] = board
	}

	require.NotContains(t, boards.Data["boards.json"], "attributes", "servers of the version before refuse the field")
	require.NotContains(t, boards.Data["boards.json"], "segments")
	require.NotContains(t, boards.Data["boards.json"], "owners")
	require.NotContains(t, boards.Data["boards.json"], "submitters")
	require.NotContains(t, boards.Data["boards.json"], "signatures")
	require.NotContains(t, boards.Data["boards.json"], "maxImprovement")
	require.NotContains(t, boards.Data["boards.json"], "limits")
	require.NotContains(t, boards.Data["boards.json"], "review")
	require.Len(t, byName, 3, "with global")
	require.Equal(t, int64(1000), byName["arena"].MaxScore)
	require.True(t, byName["arena"].CountsTowardGlobal)
	require.Equal(t, leaderboard.Ascending, byName["time-trial"].Order)
	require.False(t, byName["time-trial"].CountsTowardGlobal)
	require.NotContains(t, boards.Data["boards.json"], "metadata", "which servers of the version before do not know")

	in.Leaderboard.Spec.Attributes = []v1alpha1.Attribute{{Name: "country", Values: []string{"DE"}}, {Name: "platform", Pattern: "pc"}}
	in.Leaderboard.Spec.Boards[0].Segments = []string{"country"}
	in.Leaderboard.Spec.Global = &v1alpha1.GlobalSpec{Segments: []string{"platform"}}
	parsed, err = leaderboard.ParseBoards([]byte(find[corev1.ConfigMap](t, in).Data["boards.json"]))
	require.NoError(t, err)
	require.Equal(t, []leaderboard.Attribute{{Name: "country", Values: []string{"DE"}}, {Name: "platform", Pattern: "pc"}}, parsed.Attributes())
	require.Equal(t, []string{"platform"}, parsed.All()[0].Segments)
	require.Equal(t, []string{"country"}, parsed.All()[1].Segments)

	in.Leaderboard.Spec.Attributes[1].Pattern = "["
	require.ErrorContains(t, workload.CheckBoards(in.Leaderboard), "pattern of attribute platform is not a regular expression")
}

// However a schema is nested, the file is not much longer than it.
// What is left out is in the file all the same: whether a manifest says it replaces no Pod.
func TestDefaultsAreInTheBoardsFile(t *testing.T) {
	windows := []v1alpha1.Window{{Name: "daily", Schedule: "daily"}}
	file := func(board v1alpha1.Board, global *v1alpha1.GlobalSpec) string {
		in := input(func(in *workload.Input) {
			in.Leaderboard.Spec.Boards, in.Leaderboard.Spec.Global = []v1alpha1.Board{board}, global
		})
		return find[corev1.ConfigMap](t, in).Data["boards.json"]
	}
	short := file(v1alpha1.Board{Name: "arena", Windows: windows, Columns: []v1alpha1.Column{{Name: "deaths"}}, Metadata: &v1alpha1.BoardMetadata{}}, &v1alpha1.GlobalSpec{Windows: windows})
	require.Empty(t, windows[0].TimeZone)

	windows = []v1alpha1.Window{{Name: "daily", Schedule: "daily", TimeZone: "UTC", Keep: 10}}
	require.Equal(t, file(v1alpha1.Board{Name: "arena", Order: v1alpha1.OrderDescending, Scoring: v1alpha1.ScoringBest, Windows: windows,
		Columns: []v1alpha1.Column{{Name: "deaths", Order: v1alpha1.OrderDescending}}, Metadata: &v1alpha1.BoardMetadata{MaxBytes: 2048}}, &v1alpha1.GlobalSpec{Windows: windows}), short)
}

func TestBoardsFileWithASchema(t *testing.T) {
	schema := strings.Repeat(`{"not":`, 1000) + `{}` + strings.Repeat("}", 1000)
	in := input(func(in *workload.Input) {
		in.Leaderboard.Spec.Boards[0].Metadata = &v1alpha1.BoardMetadata{MaxBytes: 100, Schema: &runtime.RawExtension{Raw: []byte(`{"enum":["gt", null]}`)}}
	})
	parsed, err := leaderboard.ParseBoards([]byte(find[corev1.ConfigMap](t, in).Data["boards.json"]))
	require.NoError(t, err)
	require.Equal(t, leaderboard.MetadataRules{MaxBytes: 100, Schema: `{"enum":["gt",null]}`}, parsed.All()[1].Metadata)

	in.Leaderboard.Spec.Boards[0].Metadata.Schema.Raw = []byte(schema)
	require.Less(t, len(find[corev1.ConfigMap](t, in).Data["boards.json"]), len(schema)+1000)
	require.ErrorContains(t, workload.CheckBoards(in.Leaderboard), "metadata.schema")
}

func TestReplicasAreLeftOutWhereTheAutoscalerOwnsThem(t *testing.T) {
	in := input(everything)
	require.Nil(t, find[appsv1.Deployment](t, in).Spec.Replicas)
	in.SetReplicas = true
	require.Equal(t, int32(3), *find[appsv1.Deployment](t, in).Spec.Replicas)
}

// Scaling replaces no Pod: what depends on how many there are reaches them as a file.
func TestScalingLeavesTheTemplateAlone(t *testing.T) {
	scaled := func(replicas int32) workload.Input {
		return input(func(in *workload.Input) { in.Leaderboard.Spec.Replicas = &replicas })
	}
	template := func(replicas int32) corev1.PodTemplateSpec {
		return find[appsv1.Deployment](t, scaled(replicas)).Spec.Template
	}
	connections := func(replicas int32) string {
		return find[corev1.ConfigMap](t, scaled(replicas)).Data["database-connections"]
	}

	require.Equal(t, template(4), template(5))
	require.NotEqual(t, connections(4), connections(5))
	require.Equal(t, fmt.Sprintln(workload.PoolSize(40, 5)), connections(5))
}

func TestPoolSize(t *testing.T) {
	for _, test := range []struct{ limit, replicas, size int32 }{
		{40, 0, 4}, {40, 1, 4}, {40, 4, 4}, {40, 5, 2}, {40, 6, 2}, {40, 7, 0}, {40, 20, 0},
		{6, 1, 2}, {6, 2, 0}, {4, 1, 0}, {4, 0, 0}, {1000, 1, 16}, {1000, 100, 2}, {12, 2, 2}, {120, 20, 2},
	} {
		require.Equal(t, test.size, workload.PoolSize(test.limit, test.replicas), "%+v", test)
		if test.size > 0 {
			require.LessOrEqual(t, 2*test.replicas*(test.size+1), test.limit, "%+v", test)
		}
		require.Equal(t, test.size > 0, max(test.replicas, 1) <= workload.MaxPods(test.limit), "%+v", test)
	}
}

func TestEndpoint(t *testing.T) {
	for _, test := range []struct {
		exposure v1alpha1.ClassExposure
		own      *v1alpha1.ExposureSpec
		endpoint string
	}{
		{v1alpha1.ClassExposure{Type: v1alpha1.ExposureService}, nil, "http://race-leaderboard.games.svc"},
		{v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "localhost", Port: 8088}, nil, "http://race.games.localhost:8088"},
		{v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "localhost", HostTemplate: "{namespace}-{name}.play.{domain}"}, nil, "http://games-race.play.localhost"},
		{v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "localhost", Port: 80}, nil, "http://race.games.localhost"},
		{v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "example.com", TLSSecretName: new("t")}, nil, "https://race.games.example.com"},
		{v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "example.com", TLSSecretName: new("t"), Port: 80}, nil, "https://race.games.example.com:80"},
		{v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "example.com"}, &v1alpha1.ExposureSpec{Type: v1alpha1.ExposureService}, "http://race-leaderboard.games.svc"},
	} {
		in := input(func(in *workload.Input) {
			in.Class.Spec.Exposure, in.Leaderboard.Spec.Exposure = test.exposure, test.own
		})
		require.Equal(t, test.endpoint, workload.Endpoint(in.Leaderboard, in.Class))
	}
}

func TestChecksumTellsKeysFromValues(t *testing.T) {
	require.NotEqual(t, workload.Checksum(map[string][]byte{"ab": []byte("c")}), workload.Checksum(map[string][]byte{"a": []byte("bc")}))
	require.NotEqual(t, workload.Checksum(map[string][]byte{"a": []byte("b"), "c": nil}), workload.Checksum(map[string][]byte{"a": nil, "c": []byte("b")}))
}

// find returns the one object of a kind, as the API server would read it.
func find[T any](t *testing.T, in workload.Input) *T {
	t.Helper()
	objects, err := workload.Objects(in)
	require.NoError(t, err)
	var found *T

	for _, object := range objects {
		encoded, err := json.Marshal(object)
		require.NoError(t, err)
		var meta metav1.TypeMeta
		require.NoError(t, json.Unmarshal(encoded, &meta))
		candidate := new(T)
		if kindOf(candidate) != meta.Kind {
			continue
		}

		require.Nil(t, found, "more than one %s", meta.Kind)
		decoder := json.NewDecoder(bytes.NewReader(encoded))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(candidate))
		found = candidate
	}

	require.NotNil(t, found)
	return found
}

func kindOf(object any) string {
	switch object.(type) {
	case *appsv1.Deployment:
		return "Deployment"
	case *corev1.ConfigMap:
		return "ConfigMap"
	case *networkingv1.NetworkPolicy:
		return "NetworkPolicy"
	case *corev1.Service:
		return "Service"
	}
	return ""
}

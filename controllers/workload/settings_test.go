package workload_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// everySetting has another value than the server's own for each setting.
func everySetting(in *workload.Input) {
	in.Leaderboard.Spec.HTTP.MaxPageSize, in.Leaderboard.Spec.HTTP.PageMaxAge = new(int32(500)), lasts(0)
	in.Leaderboard.Spec.Retention.IdempotencyKeys, in.Leaderboard.Spec.LogLevel = *lasts(48 * time.Hour), "debug"
	in.Class.Spec.Webhooks.Timeout, in.Class.Spec.Webhooks.RetryFor, in.Class.Spec.Webhooks.FirstRetry = lasts(5*time.Second), lasts(72*time.Hour), lasts(time.Second)
	in.Class.Spec.Server = v1alpha1.ClassServer{
		LogLevel: "warn", LogFormat: "text", RequestTimeout: lasts(30 * time.Second), IdleTimeout: lasts(15 * time.Minute), HashingTimeout: lasts(2 * time.Second),
		PageSnapshotTTL: lasts(0), ReportTTL: lasts(10 * time.Second), CatchUpInterval: lasts(time.Second),
		HashingConcurrency: new(int32(3)), MaxConnections: new(int32(5000)), BodyBudgetBytes: new(int64(1 << 20)),
		MaxInFlightPerPlayer: new(int32(8)), MaxBatchesPerAccount: new(int32(4)), MaxListsPerClient: new(int32(16)), CommitQueue: new(int32(1000)), CommitMaxBatch: new(int32(512)),
		Rates: v1alpha1.ServerRates{LoginPerClient: "1/s burst 2", LoginPerUsernameAndClient: "3/m burst 4", LoginPerUsername: "off", RegisterPerClient: "5/s burst 6",
			RegisterPerUsername: "7/m burst 8", ReportPerPlayer: "9/s burst 10", HistoryPerPlayer: "11/s burst 12", AttributesPerPlayer: "13/h burst 14", ExportPerPlayer: "15/h burst 16"},
	}
}

func lasts(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }

// elsewhere are the settings of the server that no manifest has, and why.
var elsewhere = map[string]string{
	config.EnvDrainDelay:             "pods.drainSeconds, for which Pods wait before they are told to end, does the same",
	config.EnvDatabaseMaxConnections: "the file with the number of connections takes its place",
	config.EnvCommitInFlight:         "by the same number",
	config.EnvMigrateOnStart:         "the operator migrates",
}

// Each setting of the server is reached by a manifest, or it is said why not.
func TestEverySettingIsReached(t *testing.T) {
	var set []string
	for _, change := range []func(*workload.Input){everything, func(in *workload.Input) {
		in.Leaderboard.Spec.Auth.ReservedNames = []string{"boss"}
		in.Class.Spec.Exposure = v1alpha1.ClassExposure{Type: v1alpha1.ExposureIngress, Domain: "example.com"}
		in.Class.Spec.Redis = v1alpha1.RedisSpec{Mode: v1alpha1.RedisSentinel, MasterName: "m", Endpoints: []string{"sentinel:26379"}, TLS: true, ServerName: "redis.example.com",
			ClientCertificateSecretRef: &v1alpha1.SecretReference{Name: "client"}, SentinelSecretRef: &v1alpha1.SecretReference{Name: "sentinels"}}
	}} {
		for _, variable := range find[appsv1.Deployment](t, input(change)).Spec.Template.Spec.Containers[0].Env {
			set = append(set, variable.Name)
		}
	}

	names := settingsOf(reflect.TypeFor[config.Config]())
	require.Greater(t, len(names), 60)
	for _, name := range names {
		require.Equal(t, elsewhere[name] == "", slices.Contains(set, name), name)
	}
}

func settingsOf(structure reflect.Type) (names []string) {
	for i := range structure.NumField() {
		field := structure.Field(i)
		if name := field.Tag.Get("env"); name != "" {
			names = append(names, name)
		} else if field.Type.Kind() == reflect.Struct {
			names = append(names, settingsOf(field.Type)...)
		}
	}
	return names
}

// A game that says nothing leaves everything to the server, and gets as long to end as a request
// may take.
func TestSettings(t *testing.T) {
	plain := find[appsv1.Deployment](t, input()).Spec.Template.Spec
	for _, variable := range plain.Containers[0].Env {
		require.NotContains(t, []string{config.EnvLogLevel, config.EnvRequestTimeout, config.EnvMaxPageSize, config.EnvIdempotencyTTL}, variable.Name)
	}
	require.EqualValues(t, 30, *plain.TerminationGracePeriodSeconds)

	changed := find[appsv1.Deployment](t, input(everySetting)).Spec.Template.Spec
	value := func(name string) string {
		i := slices.IndexFunc(changed.Containers[0].Env, func(v corev1.EnvVar) bool { return v.Name == name })
		require.GreaterOrEqual(t, i, 0, name)
		return changed.Containers[0].Env[i].Value
	}
	require.EqualValues(t, 45, *changed.TerminationGracePeriodSeconds)
	require.Equal(t, "35s", value(config.EnvShutdownTimeout))
	require.Equal(t, "debug", value(config.EnvLogLevel), "the game's goes before the class's")
	require.Equal(t, "0s", value(config.EnvPageMaxAge))
	require.Equal(t, "off", value(config.EnvLoginRatePerUsername))
}

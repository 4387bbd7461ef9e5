package workload

import (
	"cmp"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// settings sets what the class or the game says of the server. What is left out is left to the
// server.
func (v *variables) settings(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) {
	server := class.Spec.Server
	v.setAll([]setting{
		{config.EnvLogLevel, string(cmp.Or(lb.Spec.LogLevel, server.LogLevel))},
		{config.EnvLogFormat, server.LogFormat},
		{config.EnvRequestTimeout, duration(server.RequestTimeout)},
		{config.EnvIdleTimeout, duration(server.IdleTimeout)},
		{config.EnvHashingTimeout, duration(server.HashingTimeout)},
		{config.EnvHashingConcurrency, number(server.HashingConcurrency)},
		{config.EnvMaxConnections, number(server.MaxConnections)},
		{config.EnvBodyBudget, number(server.BodyBudgetBytes)},
		{config.EnvMaxInFlightPerPlayer, number(server.MaxInFlightPerPlayer)},
		{config.EnvMaxBatchesPerAccount, number(server.MaxBatchesPerAccount)},
		{config.EnvMaxListsPerClient, number(server.MaxListsPerClient)},
		{config.EnvMaxPageSize, number(lb.Spec.HTTP.MaxPageSize)},
		{config.EnvPageMaxAge, duration(lb.Spec.HTTP.PageMaxAge)},
		{config.EnvPageSnapshotTTL, duration(server.PageSnapshotTTL)},
		{config.EnvReportTTL, duration(server.ReportTTL)},
		{config.EnvCatchUpInterval, duration(server.CatchUpInterval)},
		{config.EnvCommitQueue, number(server.CommitQueue)},
		{config.EnvCommitMaxBatch, number(server.CommitMaxBatch)},
		{config.EnvIdempotencyTTL, nonzero(lb.Spec.Retention.IdempotencyKeys)},
	})

	rates := server.Rates
	v.setAll([]setting{
		{config.EnvLoginRatePerClient, string(rates.LoginPerClient)},
		{config.EnvLoginRatePerUserClient, string(rates.LoginPerUsernameAndClient)},
		{config.EnvLoginRatePerUsername, string(rates.LoginPerUsername)},
		{config.EnvRegisterRatePerClient, string(rates.RegisterPerClient)},
		{config.EnvRegisterRatePerUsername, string(rates.RegisterPerUsername)},
		{config.EnvReportRatePerPlayer, string(rates.ReportPerPlayer)},
		{config.EnvHistoryRatePerPlayer, string(rates.HistoryPerPlayer)},
		{config.EnvAttributeRatePerPlayer, string(rates.AttributesPerPlayer)},
		{config.EnvExportRatePerPlayer, string(rates.ExportPerPlayer)},
	})
}

// setting is a variable; an empty value: it is left to the server.
type setting struct{ name, value string }

func (v *variables) setAll(settings []setting) {
	for _, s := range settings {
		if s.value != "" {
			v.set(s.name, s.value)
		}
	}
}

func duration(d *metav1.Duration) string {
	if d == nil {
		return ""
	}
	return d.Duration.String()
}

// nonzero is a duration that is left out where it is zero.
func nonzero(d metav1.Duration) string {
	if d.Duration == 0 {
		return ""
	}
	return d.Duration.String()
}

func number[N int32 | int64](n *N) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(int64(*n), 10)
}

// shutdownTimeout is how long a server may take to finish what it has accepted, after it has been
// told to stop: longer than any request; it is rendered into the server's configuration.
func shutdownTimeout(class *v1alpha1.LeaderboardClass) time.Duration {
	if timeout := class.Spec.Server.RequestTimeout; timeout != nil {
		return timeout.Duration + graceMargin
	}
	return defaultRequestTimeout + graceMargin
}

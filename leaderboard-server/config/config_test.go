package config_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

var least = []string{
	config.EnvDatabaseURL + "=postgres://u:secret-of-postgres@db:5432/games",
	config.EnvRedisAddresses + "=redis:6379",
	config.EnvKeySetFile + "=/keys/keys.json",
}

func TestDefaultsServe(t *testing.T) {
	c, err := config.FromEnvironment(least)
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	require.Equal(t, "local", c.Tenant)
	require.Equal(t, "lb:local:", c.Redis.KeyPrefix)
	require.Equal(t, config.Rate{Events: 10, Per: time.Second, Burst: 100}, c.Auth.LoginRatePerClient)
	require.Equal(t, 100*time.Millisecond, c.Auth.LoginRatePerClient.Interval())
	require.Greater(t, c.HTTP.IdleTimeout, 10*time.Minute, "load balancers keep idle connections that long, and must close first")
}

func TestListsAndNetworks(t *testing.T) {
	c, err := config.FromEnvironment(append(slices.Clone(least),
		config.EnvRedisMode+"=cluster", config.EnvRedisAddresses+"=a:1, b:2",
		config.EnvTrustedProxies+"=10.0.0.0/8, 192.0.2.7", config.EnvTenant+"=game-1"))
	require.NoError(t, err)
	require.NoError(t, c.Validate())
	require.Equal(t, []string{"a:1", "b:2"}, c.Redis.Addresses)
	require.Equal(t, "lb:game-1:", c.Redis.KeyPrefix)
	require.True(t, c.HTTP.TrustedProxies.Contain(netip.MustParseAddr("10.1.2.3")))
	require.True(t, c.HTTP.TrustedProxies.Contain(netip.MustParseAddr("::ffff:192.0.2.7")))
	require.False(t, c.HTTP.TrustedProxies.Contain(netip.MustParseAddr("192.0.2.8")))
}

func TestReservedNames(t *testing.T) {
	for given, want := range map[string]config.Names{"": nil, "-": nil, "admin": {"admin"}, "admin, 管理者 ,,": {"admin", "管理者"}} {
		c, err := config.FromEnvironment(append(slices.Clone(least), config.EnvReservedNames+"="+given))
		require.NoError(t, err)
		require.NoError(t, c.Validate())
		if given == "" {
			require.Contains(t, c.Auth.ReservedNames, "admin")
			continue
		}
		require.Equal(t, want, c.Auth.ReservedNames)
		text, err := c.Auth.ReservedNames.MarshalText()
		require.NoError(t, err)
		var again config.Names
		require.NoError(t, again.UnmarshalText(text))
		require.Equal(t, want, again)
	}
}

// A wrong value is refused with the name of its variable.
func TestWrongValues(t *testing.T) {
	for _, entry := range []string{
		config.EnvTenant + "=Up", config.EnvTenant + "=a*", config.EnvDatabaseURL + "=mysql://x", config.EnvDatabaseDirectURL + "=x", config.EnvDatabaseURL + "=:secret\x01",
		config.EnvDatabaseMaxConnections + "=1", config.EnvDatabaseMaxConnections + "=many", config.EnvMaxConnections + "=many", config.EnvMaxConnections + "=-1", config.EnvIdleTimeout + "=0s", config.EnvMaxInFlightPerPlayer + "=0", config.EnvBodyBudget + "=65535", config.EnvBodyBudget + "=-1",
		config.EnvCommitInFlight + "=8", config.EnvCommitMaxPerSecond + "=-1", config.EnvCommitQueue + "=0", config.EnvCommitMaxBatch + "=0",
		config.EnvRedisMode + "=pair", config.EnvRedisAddresses + "=redis", config.EnvRedisAddresses + "=a:1,b:2",
		config.EnvRedisSentinelMaster + "=m", config.EnvRedisMode + "=sentinel", config.EnvRedisCAFile + "=/ca", config.EnvRedisTLS + "=perhaps",
		config.EnvRedisKeyPrefix + "=lb:{x}:", config.EnvKeySetFile + "=", config.EnvTokenTTL + "=25h", config.EnvTokenTTL + "=3600", config.EnvReservedNames + "=" + strings.Repeat("name,", 101), config.EnvReservedNames + "=" + strings.Repeat("n", 129),
		config.EnvPasswordCost + "=9", config.EnvPasswordCost + "=15", config.EnvHashingConcurrency + "=-1", config.EnvHashingTimeout + "=0s",
		config.EnvMaxPageSize + "=1001", config.EnvPageSnapshotTTL + "=-1s", config.EnvTrustedProxies + "=ten", config.EnvTrustedHops + "=-1", config.EnvCORSAllowedOrigins + "=example.com",
		config.EnvListenAddress + "=8080", config.EnvOpsListenAddress + "=x", config.EnvRequestTimeout + "=0s",
		config.EnvLoginRatePerClient + "=10", config.EnvLoginRatePerUsername + "=0/s burst 1", config.EnvLoginRatePerUserClient + "=1", config.EnvRegisterRatePerClient + "=1/d burst 1",
		config.EnvRegisterRatePerUsername + "=1/s burst 0", config.EnvLogLevel + "=loud", config.EnvLogFormat + "=xml",
		config.EnvCatchUpInterval + "=1ns", config.EnvIdempotencyTTL + "=1s", config.EnvEventRetention + "=23h", config.EnvEventRetention + "=-1s", config.EnvShutdownTimeout + "=0s", config.EnvDrainDelay + "=-1s",
		config.EnvMigrateOnStart + "=maybe",
		config.EnvWebhookAllowHTTP + "=perhaps", config.EnvWebhookAllowedCIDRs + "=ten", config.EnvWebhookDeniedCIDRs + "=10.0.0.0/33", config.EnvWebhookPorts + "=0", config.EnvWebhookPorts + "=65536", config.EnvWebhookPorts + "=https",
		config.EnvWebhookTimeout + "=0s", config.EnvWebhookRetryFor + "=8d", config.EnvWebhookRetryFor + "=169h", config.EnvWebhookFirstRetry + "=1ms",
	} {
		t.Run(entry, func(t *testing.T) {
			name, _, _ := strings.Cut(entry, "=")
			c, err := config.FromEnvironment(append(slices.Clone(least), entry))
			if err == nil {
				err = c.Validate()
			}

			if entry == config.EnvRedisMode+"=sentinel" {
				name = config.EnvRedisSentinelMaster
			}

			require.ErrorContains(t, err, name)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestRate(t *testing.T) {
	for _, text := range []string{"off", "10/s burst 100", "30/m burst 10", "5/h burst 1"} {
		var r config.Rate
		require.NoError(t, r.UnmarshalText([]byte(text)))
		require.Equal(t, text, r.String())
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	c, err := config.FromEnvironment(append(slices.Clone(least), config.EnvRedisPassword+"=secret-of-redis"))
	require.NoError(t, err)
	require.Equal(t, "secret-of-redis", c.Redis.Password.Reveal())
	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "config", c, "url", c.Database.URL)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "config", c, "url", c.Database.URL)

	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %q", c, c, c.Database.URL), string(encoded), logged.String()} {
		require.NotContains(t, shown, "secret-of")
		require.Contains(t, shown, "[redacted]")
	}
}

// The constants are exactly the variables that Config reads.
func TestNamesAreComplete(t *testing.T) {
	params, err := env.GetFieldParams(&config.Config{})
	require.NoError(t, err)
	var read []string

	for _, p := range params {
		if p.Key != "" {
			read = append(read, p.Key)
		}
	}

	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	require.NoError(t, err)
	var named []string
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok {
			value, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			named = append(named, value)
		}
		return true
	})

	require.ElementsMatch(t, read, named)
}

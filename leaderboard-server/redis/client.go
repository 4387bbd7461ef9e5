package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// slotsInterval is how old what a client knows of a Cluster's slots may get: a
// pipeline that cannot reach a master tries that one again and again, and learns
// in no other way that a replica has taken over.
const slotsInterval = time.Second

// NewClient makes a pool of connections to Redis in any of its modes. It does not
// connect yet. login is asked for each new connection; nil: the login of the settings
// stays.
func NewClient(settings config.Redis, login func() config.Login) (goredis.UniversalClient, error) {
	if login == nil {
		login = func() config.Login {
			return config.Login{Username: settings.Username, Password: settings.Password.Reveal()}
		}
	}
	options := &goredis.UniversalOptions{
		Addrs: settings.Addresses,
		CredentialsProviderContext: func(context.Context) (username, password string, err error) {
			now := login()
			return now.Username, now.Password, nil
		},
		MasterName:            settings.SentinelMaster,
		SentinelUsername:      settings.SentinelUsername,
		SentinelPassword:      settings.SentinelPassword.Reveal(),
		DialTimeout:           2 * time.Second,
		ReadTimeout:           2 * time.Second,
		WriteTimeout:          2 * time.Second,
		ContextTimeoutEnabled: true,
		DialerRetries:         1, // commands are repeated; dialing on top of that hides why it fails
		// Neither is within a tenant's rights, nor of use here.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if settings.TLS {
		dial, err := secureDialer(settings, options.DialTimeout)
		if err != nil {
			return nil, err
		}
		options.Dialer = dial
	}

	if settings.Mode == config.RedisCluster {
		cluster := options.Cluster()
		cluster.ClusterStateReloadInterval = slotsInterval
		return goredis.NewClusterClient(cluster), nil
	}

	return goredis.NewUniversalClient(options), nil
}

// Pools adds up the counters of a client's pools: the library keeps pipelines, by
// which the ranking is read and written, in one of their own.
func Pools(client goredis.UniversalClient) goredis.PoolStats {
	stats := *client.PoolStats()
	if pipelines := stats.PipelineStats; pipelines != nil {
		stats.TotalConns += pipelines.TotalConns
		stats.IdleConns += pipelines.IdleConns
		stats.Timeouts += pipelines.Timeouts
	}
	return stats
}

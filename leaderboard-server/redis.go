package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// newRedisClient makes a pool of connections. It does not connect yet.
func newRedisClient(settings config.Redis) (redis.UniversalClient, error) {
	options := &redis.UniversalOptions{
		Addrs:                 settings.Addresses,
		Username:              settings.Username,
		Password:              settings.Password.Reveal(),
		MasterName:            settings.SentinelMaster,
		SentinelUsername:      settings.SentinelUsername,
		SentinelPassword:      settings.SentinelPassword.Reveal(),
		IsClusterMode:         settings.Mode == config.RedisCluster,
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
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if settings.CAFile != "" {
			file, err := os.ReadFile(settings.CAFile)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", config.EnvRedisCAFile, err)
			}
			options.TLSConfig.RootCAs = x509.NewCertPool()
			if !options.TLSConfig.RootCAs.AppendCertsFromPEM(file) {
				return nil, fmt.Errorf("%s: the file has no certificate in PEM", config.EnvRedisCAFile)
			}
		}
	}
	return redis.NewUniversalClient(options), nil
}

// redisLog takes what the Redis library would print. Whatever matters of it
// also comes back as an error.
type redisLog struct{ log *slog.Logger }

// Printf implements the library's interface.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "redis library", "message", fmt.Sprintf(format, v...))
}

package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/tlsclient"
)

// keepAlive is between two probes of a connection on which nothing is said, as the library
// has it for connections that it makes itself.
const keepAlive = 5 * time.Minute

// secureDialer makes connections with TLS, to Sentinels as well. The client certificate is
// read for each of them, so that it can be renewed.
func secureDialer(settings config.Redis, timeout time.Duration) (func(context.Context, string, string) (net.Conn, error), error) {
	options := tlsclient.Options{ServerName: settings.ServerName}
	var err error
	if settings.CAFile != "" {
		if options.CA, err = os.ReadFile(settings.CAFile); err != nil {
			return nil, fmt.Errorf("%s: %w", config.EnvRedisCAFile, err)
		}
	}
	if settings.CertFile != "" {
		options.Certificate = tlsclient.Files(settings.CertFile, settings.KeyFile)
		if _, err := options.Certificate(); err != nil {
			return nil, fmt.Errorf("%s, %s: %w", config.EnvRedisCertFile, config.EnvRedisKeyFile, err)
		}
	}

	secure, err := tlsclient.Config(options)
	if errors.Is(err, tlsclient.ErrNoAuthority) {
		return nil, fmt.Errorf("%s: the file has no certificate in PEM", config.EnvRedisCAFile)
	}
	if err != nil {
		return nil, err
	}

	dialer := &net.Dialer{Timeout: timeout, KeepAlive: keepAlive}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()

		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}

		host, _, err := net.SplitHostPort(address)
		if err != nil {
			host = address
		}
		return tlsclient.Handshake(ctx, conn, secure, host)
	}, nil
}

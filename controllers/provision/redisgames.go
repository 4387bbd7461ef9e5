package provision

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Servers of games have neither the administrator's certificate nor its logins: that they
// reach Redis is looked at with what they have.

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// triedOnce are options for a client that tries everything once: its callers try again.
func triedOnce(address string, dial dialFunc) *redis.Options {
	return &redis.Options{Addr: address, Dialer: dial, MaxRetries: -1, DialerRetries: 1,
		DisableIdentity: true} // CLIENT SETINFO is of 7.2
}

func sentinelOptions(endpoint string, login SentinelLogin, dial dialFunc) *redis.Options {
	options := triedOnce(endpoint, dial)
	options.Username, options.Password = login.Username, login.Password
	return options
}

// CheckGames says whether the servers of games will reach the nodes and the Sentinels. They
// must not be able to change the latter.
func (r *Redis) CheckGames(ctx context.Context) error {
	dial := r.dial
	if r.tls != nil {
		secure, err := redisTLS(r.admin, r.admin.GameCertificate)
		if err != nil {
			return err
		}
		dial = r.dialer(secure)
		if err := r.checkGameCertificate(ctx, dial); err != nil {
			return err
		}
	}
	if r.admin.Mode != Sentinel {
		return nil
	}

	return r.checkGameSentinels(ctx, dial)
}

func (r *Redis) dialer(secure *tls.Config) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return r.dialWith(ctx, secure, network, address)
	}
}

// checkGameCertificate connects to each node without a login, so that any answer is one.
func (r *Redis) checkGameCertificate(ctx context.Context, dial dialFunc) error {
	return r.each(ctx, func(ctx context.Context, address string, _ *redis.Client) error {
		options := triedOnce(address, dial)
		options.ReadTimeout, options.WriteTimeout = connectTimeout, connectTimeout
		client := redis.NewClient(options)
		defer client.Close()

		err := client.Ping(ctx).Err()
		var answer redis.Error
		switch {
		case err == nil, errors.As(err, &answer):
			return nil
		case certificateError("Redis", err) != "":
			return &Error{Kind: Refused, Message: "Redis on " + address + " takes no connections of games: set redis.clientCertificateSecretRef of the LeaderboardClass to a certificate that it accepts, or tls-auth-clients no on every node", Cause: short(err)}
		default:
			return err
		}
	})
}

// checkGameSentinels asks the first Sentinel that answers, as servers of games do.
func (r *Redis) checkGameSentinels(ctx context.Context, dial dialFunc) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	var last error
	for _, endpoint := range r.admin.Endpoints {
		err := r.checkGameSentinel(ctx, endpoint, dial)
		if err == nil || KindOf(err) != Unreachable {
			return err
		}
		last = err
	}
	return last
}

func (r *Redis) checkGameSentinel(ctx context.Context, endpoint string, dial dialFunc) error {
	sentinel := redis.NewSentinelClient(sentinelOptions(endpoint, r.admin.GameSentinels, dial))
	defer sentinel.Close()

	err := sentinel.GetMasterAddrByName(ctx, r.admin.MasterName).Err()
	if err == nil {
		err = sentinel.Sentinels(ctx, r.admin.MasterName).Err()
	}
	if loginRefused(err) {
		return &Error{Kind: Refused, Message: "the Sentinel " + endpoint + " does not answer games: set redis.sentinelSecretRef of the LeaderboardClass to a login that may run what docs/stores.md lists", Cause: err}
	}
	if err != nil || r.admin.GameSentinels == (SentinelLogin{}) {
		return sentinelError(err, "ask the Sentinel %s as games do", endpoint)
	}

	// A master of this name is not there, so that nothing is removed by those who may.
	err = sentinel.Remove(ctx, "leaderboard-probe-"+rand.Text()).Err()
	if err != nil && strings.HasPrefix(err.Error(), "NOPERM") {
		return nil
	}
	return &Error{Kind: Misconfigured, Message: "the login of redis.sentinelSecretRef, which all games have, may change the Sentinels and so lead every game elsewhere: give it a user of its own with the rights that docs/stores.md lists"}
}

// loginRefused says whether a server wants a login, another one, or one with more rights.
func loginRefused(err error) bool {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return false
	}
	text := answer.Error()
	return strings.HasPrefix(text, "NOAUTH") || strings.HasPrefix(text, "WRONGPASS") || strings.HasPrefix(text, "NOPERM")
}

// sentinelError is redisError for what Sentinels answer.
func sentinelError(err error, format string, args ...any) error {
	if !loginRefused(err) {
		return redisError(err, format, args...)
	}
	return &Error{Kind: Refused, Message: fmt.Sprintf(format, args...) + ": the Sentinel refused the login; check sentinelUsername and sentinelPassword in the admin Secret of Redis, or redis.sentinelSecretRef", Cause: err}
}

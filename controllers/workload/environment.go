package workload

import (
	"cmp"
	"fmt"
	"path"
	"strconv"
	"strings"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
)

// privateNetworks are where an ingress controller reaches Pods from, unless the class
// names its proxies: the last address in its X-Forwarded-For is believed, so that each client
// has a rate limit of its own. What stands before that is not, as clients may be at private
// addresses, too. Behind an Ingress nobody else outside the cluster reaches the Pods.
const privateNetworks = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,127.0.0.0/8,fc00::/7,::1/128"

var redisModes = map[v1alpha1.RedisMode]config.RedisMode{
	v1alpha1.RedisStandalone: config.RedisStandalone,
	v1alpha1.RedisSentinel:   config.RedisSentinel,
	v1alpha1.RedisCluster:    config.RedisCluster,
}

// environment is the configuration of leaderboard-server.
func environment(in Input, resources v1alpha1.Resources) ([]*corev1ac.EnvVarApplyConfiguration, error) {
	lb, class := in.Leaderboard, in.Class
	mode, known := redisModes[class.Spec.Redis.Mode]
	if !known {
		return nil, fmt.Errorf("unknown Redis mode %q", class.Spec.Redis.Mode)
	}

	e := &variables{}
	e.set(config.EnvTenant, in.Tenant)
	e.set(config.EnvListenAddress, ":"+strconv.Itoa(httpPort))
	e.set(config.EnvOpsListenAddress, ":"+strconv.Itoa(opsPort))
	e.set(config.EnvShutdownTimeout, shutdownTimeout(class).String())
	e.set(config.EnvBoardsFile, path.Join(boardsDir, boardsKey))
	e.set(config.EnvKeySetFile, path.Join(signingKeysDir, SigningKeysKey))
	e.set(config.EnvLoginsFile, path.Join(loginsDir, LoginsKey))

	if len(lb.Spec.ServiceAccounts) > 0 {
		e.set(config.EnvServiceAccountsFile, path.Join(accountsDir, AccountsKey))
	}

	if len(lb.Spec.Webhooks) > 0 {
		e.webhooks(class.Spec.Webhooks)
	}

	if len(Mappings(lb)) > 0 {
		e.set(config.EnvWorkloadsFile, path.Join(accountsDir, WorkloadsKey))
	}

	switch proxies := class.Spec.Exposure.TrustedProxies; {
	case len(proxies) > 0:
		e.set(config.EnvTrustedProxies, strings.Join(proxies, ","))
	case ExposureOf(lb, class) == v1alpha1.ExposureIngress:
		e.set(config.EnvTrustedProxies, privateNetworks)
		e.set(config.EnvTrustedHops, "1")
	}

	auth := lb.Spec.Auth
	e.setAll([]setting{
		{config.EnvTokenTTL, nonzero(auth.TokenTTL)},
		{config.EnvRefreshTokenTTL, nonzero(auth.RefreshTokenTTL)},
		{config.EnvRenameEvery, nonzero(auth.RenameEvery)},
	})

	if len(auth.Issuers) > 0 {
		text, err := issuers(auth.Issuers).MarshalText()
		if err != nil {
			return nil, fmt.Errorf("encode the issuers: %w", err)
		}
		e.set(config.EnvIssuers, string(text))
		if class.Spec.AllowInsecureIssuers {
			e.set(config.EnvInsecureIssuers, "true")
		}
	}

	if cost := auth.PasswordCost; cost != 0 {
		e.set(config.EnvPasswordCost, strconv.Itoa(int(cost)))
	}

	if reserved := auth.ReservedNames; reserved != nil {
		e.set(config.EnvReservedNames, reservedNames(reserved))
	}

	e.setAll([]setting{
		{config.EnvEventRetention, nonzero(lb.Spec.Retention.Events)},
		{config.EnvCORSAllowedOrigins, strings.Join(lb.Spec.HTTP.AllowedOrigins, ",")},
	})
	e.settings(lb, class)
	e.secret(config.EnvDatabaseURL, CredentialsName(lb), DatabaseURLKey)
	if class.Spec.Postgres.PoolerHost != "" {
		e.secret(config.EnvDatabaseDirectURL, CredentialsName(lb), DatabaseDirectURLKey)
	}

	e.set(config.EnvDatabaseConnectionsFile, path.Join(boardsDir, connectionsKey))

	e.setAll([]setting{{config.EnvCommitMaxPerSecond, number(class.Spec.Limits.SubmissionsPerSecond)}})

	e.set(config.EnvRedisMode, string(mode))
	e.set(config.EnvRedisAddresses, strings.Join(class.Spec.Redis.Endpoints, ","))
	if mode == config.RedisSentinel {
		e.set(config.EnvRedisSentinelMaster, class.Spec.Redis.MasterName)
	}
	if class.Spec.Redis.SentinelSecretRef != nil {
		e.optional(config.EnvRedisSentinelUsername, CredentialsName(lb), SentinelUsernameKey)
		e.secret(config.EnvRedisSentinelPassword, CredentialsName(lb), SentinelPasswordKey)
	}

	e.set(config.EnvRedisKeyPrefix, in.KeyPrefix)
	e.secret(config.EnvRedisUsername, CredentialsName(lb), RedisUsernameKey)
	e.secret(config.EnvRedisPassword, CredentialsName(lb), RedisPasswordKey)

	if class.Spec.Redis.TLS {
		e.set(config.EnvRedisTLS, "true")
		if in.RedisCA {
			e.set(config.EnvRedisCAFile, path.Join(authoritiesDir, RedisCAKey))
		}
		e.setAll([]setting{{config.EnvRedisServerName, class.Spec.Redis.ServerName}})
		if class.Spec.Redis.ClientCertificateSecretRef != nil {
			e.set(config.EnvRedisCertFile, path.Join(authoritiesDir, RedisCertKey))
			e.set(config.EnvRedisKeyFile, path.Join(authoritiesDir, RedisKeyKey))
		}
	}

	e.setAll([]setting{{memoryLimitVariable, memoryLimit(resources)}})
	return e.list, nil
}

// issuers are those of players as the server reads them.
func issuers(specs []v1alpha1.Issuer) config.Issuers {
	list := make(config.Issuers, len(specs))
	for i, spec := range specs {
		list[i] = config.Issuer{Name: spec.Name, Issuer: spec.Issuer, Audience: spec.Audience, UsernameClaim: cmp.Or(spec.UsernameClaim, v1alpha1.DefaultUsernameClaim)}
	}
	return list
}

// CheckIssuers returns why the server would refuse the issuers, as the class has it.
func CheckIssuers(lb *v1alpha1.Leaderboard, class *v1alpha1.LeaderboardClass) error {
	for _, i := range lb.Spec.Auth.Issuers {
		if !strings.HasPrefix(i.Issuer, "https://") && !class.Spec.AllowInsecureIssuers {
			return fmt.Errorf("spec.auth.issuers: the issuer %s is not an https URL, and the class allows no others", i.Name)
		}
	}
	return nil
}

// reservedNames is the list as the server reads it.
func reservedNames(names []string) string {
	if len(names) == 0 {
		return config.NoNames
	}
	return strings.Join(names, ",")
}

type variables struct {
	list []*corev1ac.EnvVarApplyConfiguration
}

func (v *variables) set(name, value string) {
	v.list = append(v.list, corev1ac.EnvVar().WithName(name).WithValue(value))
}

func (v *variables) secret(name, secret, key string) {
	v.fromSecret(name, corev1ac.SecretKeySelector().WithName(secret).WithKey(key))
}

// optional is secret for a key that need not be there.
func (v *variables) optional(name, secret, key string) {
	v.fromSecret(name, corev1ac.SecretKeySelector().WithName(secret).WithKey(key).WithOptional(true))
}

func (v *variables) fromSecret(name string, selector *corev1ac.SecretKeySelectorApplyConfiguration) {
	v.list = append(v.list, corev1ac.EnvVar().WithName(name).WithValueFrom(corev1ac.EnvVarSource().WithSecretKeyRef(selector)))
}

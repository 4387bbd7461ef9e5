package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

var tenantPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`)

// FromEnvironment reads the configuration from variables given as "name=value"
// (see [os.Environ]). The error names every variable that is wrong.
func FromEnvironment(environ []string) (Config, error) {
	variables := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		delete(variables, name) // the last of several is the one that counts
		if value != "" {
			variables[name] = value
		}
	}

	c, err := env.ParseAsWithOptions[Config](env.Options{Environment: variables})
	if err != nil {
		return Config{}, describe(err, variables)
	}

	trim(c.Redis.Addresses)
	trim(c.HTTP.CORSAllowedOrigins)
	if c.Redis.KeyPrefix == "" {
		c.Redis.KeyPrefix = "lb:" + c.Tenant + ":"
	}

	return c, nil
}

func trim(list []string) {
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
}

// describe finds the variables that an error is about. The parser's own errors
// name fields of Go structs, so it is asked about each variable alone.
func describe(all error, variables map[string]string) error {
	var described []error
	for name, value := range variables {
		if !strings.HasPrefix(name, "LEADERBOARD_") {
			continue
		}
		_, err := env.ParseAsWithOptions[Config](env.Options{Environment: map[string]string{name: value}})
		var parse env.ParseError

		if errors.As(err, &parse) {
			described = append(described, fmt.Errorf("%s: %w", name, parse.Err))
		}
	}

	if described == nil {
		return fmt.Errorf("read the configuration: %w", all)
	}

	slices.SortFunc(described, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(described...)
}

// Validate checks what `serve` needs. The error names every variable that is
// wrong.
func (c Config) Validate() error {
	v := &validation{}
	v.check(tenantPattern.MatchString(c.Tenant), EnvTenant, "must be 1 to 63 lower-case letters, digits, dashes and underscores")
	c.HTTP.validate(v)
	c.Database.validate(v)
	c.Redis.validate(v)
	c.Auth.validate(v)
	v.between(c.Commit.Queue, 1, 1_000_000, EnvCommitQueue)
	v.between(c.Commit.MaxBatch, 1, 10_000, EnvCommitMaxBatch)
	v.between(c.Commit.InFlight, 1, 64, EnvCommitInFlight)
	v.between(c.Commit.MaxPerSecond, 0, 1_000_000, EnvCommitMaxPerSecond)
	v.check(c.Commit.InFlight < c.Database.MaxConnections, EnvCommitInFlight, "must be less than "+EnvDatabaseMaxConnections+", so that a connection is left for everything else")
	c.Webhooks.validate(v)
	v.oneOf(c.Log.Level, EnvLogLevel, "debug", "info", "warn", "error")
	v.oneOf(c.Log.Format, EnvLogFormat, "json", "text")
	v.duration(c.CatchUpInterval, 10*time.Millisecond, time.Minute, EnvCatchUpInterval)
	v.duration(c.IdempotencyTTL, time.Minute, 30*24*time.Hour, EnvIdempotencyTTL)

	if c.EventRetention != 0 {
		v.duration(c.EventRetention, 24*time.Hour, 100*365*24*time.Hour, EnvEventRetention)
	}

	v.duration(c.ShutdownTimeout, time.Second, time.Hour, EnvShutdownTimeout)
	v.duration(c.DrainDelay, 0, time.Hour, EnvDrainDelay)
	return errors.Join(v.errs...)
}

// ValidateDatabase checks what `migrate` needs.
func (c Config) ValidateDatabase() error {
	v := &validation{}
	c.Database.validate(v)
	return errors.Join(v.errs...)
}

func (h HTTP) validate(v *validation) {
	v.listenAddress(h.ListenAddress, EnvListenAddress)
	v.listenAddress(h.OpsListenAddress, EnvOpsListenAddress)
	v.between(h.MaxConnections, 0, 1_000_000, EnvMaxConnections)
	v.between(h.MaxInFlightPerPlayer, 1, 1_000_000, EnvMaxInFlightPerPlayer)
	v.between(h.MaxBatchesPerAccount, 1, 1_000_000, EnvMaxBatchesPerAccount)
	v.between(h.MaxListsPerClient, 1, 1_000_000, EnvMaxListsPerClient)
	v.check(h.BodyBudget == 0 || h.BodyBudget >= 64<<10, EnvBodyBudget, fmt.Sprintf("must be at least 65536, the size of one body, or 0, not %d", h.BodyBudget))
	v.duration(h.IdleTimeout, time.Second, 24*time.Hour, EnvIdleTimeout)
	v.between(h.TrustedHops, 0, 100, EnvTrustedHops)
	v.between(h.MaxPageSize, 1, 1000, EnvMaxPageSize)
	v.duration(h.RequestTimeout, time.Second, 10*time.Minute, EnvRequestTimeout)
	v.duration(h.PageSnapshotTTL, 0, time.Minute, EnvPageSnapshotTTL)
	v.duration(h.PageMaxAge, 0, time.Hour, EnvPageMaxAge)
	v.check(h.PageMaxAge%time.Second == 0, EnvPageMaxAge, "must be whole seconds")
	v.duration(h.ReportTTL, 0, time.Minute, EnvReportTTL)

	for _, origin := range h.CORSAllowedOrigins {
		u, err := url.Parse(origin)
		ok := err == nil && u.Scheme != "" && u.Host != "" && u.Path == "" && u.RawQuery == "" && origin == strings.ToLower(origin)
		v.check(origin == "*" || ok, EnvCORSAllowedOrigins, fmt.Sprintf("%q is not an origin such as https://play.example.com", origin))
	}
}

func (d Database) validate(v *validation) {
	v.check(isPostgresURL(d.URL), EnvDatabaseURL, "must be set to a URL such as postgres://user:password@host:5432/database")
	v.check(d.DirectURL == "" || isPostgresURL(d.DirectURL), EnvDatabaseDirectURL, "must be a URL such as postgres://user:password@host:5432/database")
	v.between(d.MaxConnections, minDatabaseConnections, maxDatabaseConnections, EnvDatabaseMaxConnections)
}

// isPostgresURL says no more than that: the parser's error would repeat the URL,
// and with it the password.
func isPostgresURL(text Secret) bool {
	u, err := url.Parse(text.Reveal())
	return err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql")
}

func (r Redis) validate(v *validation) {
	v.oneOf(string(r.Mode), EnvRedisMode, string(RedisStandalone), string(RedisSentinel), string(RedisCluster))
	v.check(len(r.Addresses) > 0, EnvRedisAddresses, "must be set to host:port, several separated by commas")
	v.check(r.Mode != RedisStandalone || len(r.Addresses) <= 1, EnvRedisAddresses, "must be one address unless "+EnvRedisMode+" is sentinel or cluster")

	for _, address := range r.Addresses {
		host, port, err := net.SplitHostPort(address)
		v.check(err == nil && host != "" && port != "", EnvRedisAddresses, fmt.Sprintf("%q is not host:port", address))
	}

	v.check((r.Mode == RedisSentinel) == (r.SentinelMaster != ""), EnvRedisSentinelMaster, "must be set if, and only if, "+EnvRedisMode+" is sentinel")
	for name, value := range map[string]string{EnvRedisCAFile: r.CAFile, EnvRedisServerName: r.ServerName, EnvRedisCertFile: r.CertFile} {
		v.check(value == "" || r.TLS, name, "is set, but "+EnvRedisTLS+" is not true")
	}
	v.check((r.CertFile == "") == (r.KeyFile == ""), EnvRedisKeyFile, "must be set if, and only if, "+EnvRedisCertFile+" is")
	// Braces would make a hash tag, and glob characters another tenant's keys.
	v.check(!strings.ContainsAny(r.KeyPrefix, "{}*?[]\\ \t\r\n"), EnvRedisKeyPrefix, "must not contain white space or any of {}*?[]\\")
}

// Bounds of the reserved names, the second one in bytes: usernames have no more.
const (
	maxReservedNames = 100
	maxReservedName  = 128
)

func (a Auth) validate(v *validation) {
	v.check(a.KeySetFile != "", EnvKeySetFile, "must be set to the file with the signing keys; `leaderboard-server keys` makes one")
	v.duration(a.TokenTTL, time.Minute, 24*time.Hour, EnvTokenTTL)
	v.duration(a.RefreshTokenTTL, time.Hour, 365*24*time.Hour, EnvRefreshTokenTTL)
	v.duration(a.RenameEvery, time.Hour, 365*24*time.Hour, EnvRenameEvery)
	a.validateIssuers(v)
	v.between(a.PasswordCost, 10, 14, EnvPasswordCost)
	v.between(a.HashingConcurrency, 0, 1024, EnvHashingConcurrency)
	v.duration(a.HashingTimeout, 10*time.Millisecond, time.Minute, EnvHashingTimeout)
	v.check(len(a.ReservedNames) <= maxReservedNames, EnvReservedNames, fmt.Sprintf("must be at most %d names, not %d", maxReservedNames, len(a.ReservedNames)))
	for _, name := range a.ReservedNames {
		v.check(len(name) <= maxReservedName, EnvReservedNames, fmt.Sprintf("%q has more than %d bytes, so it is no username", name, maxReservedName))
	}
}

// longestRetryFor bounds for how long a message is tried: those that wait are deleted after 30
// days.
const longestRetryFor = 7 * 24 * time.Hour

func (w Webhooks) validate(v *validation) {
	v.check(len(w.Ports) > 0 && !slices.Contains(w.Ports, 0), EnvWebhookPorts, "must be ports from 1 to 65535, for example 443,8443")
	v.duration(w.Timeout, time.Second, time.Minute, EnvWebhookTimeout)
	v.duration(w.RetryFor, time.Second, longestRetryFor, EnvWebhookRetryFor)
	v.duration(w.FirstRetry, 10*time.Millisecond, time.Hour, EnvWebhookFirstRetry)
}

// validation collects errors.
type validation struct{ errs []error }

func (v *validation) check(ok bool, variable, problem string) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf("%s %s", variable, problem))
	}
}

func (v *validation) between(value, least, most int, variable string) {
	v.check(value >= least && value <= most, variable, fmt.Sprintf("must be from %d to %d, not %d", least, most, value))
}

func (v *validation) duration(value, least, most time.Duration, variable string) {
	v.check(value >= least && value <= most, variable, fmt.Sprintf("must be from %s to %s, not %s", least, most, value))
}

func (v *validation) oneOf(value, variable string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	v.check(false, variable, fmt.Sprintf("must be one of %s, not %q", strings.Join(allowed, ", "), value))
}

func (v *validation) listenAddress(address, variable string) {
	_, port, err := net.SplitHostPort(address)
	v.check(err == nil && port != "", variable, fmt.Sprintf("must be host:port or :port, not %q", address))
}

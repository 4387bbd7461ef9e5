// Package config is the server's configuration: the settings with their units,
// defaults and meanings, and the names of the environment variables under which
// they are given. The operator renders exactly these names.
// docs/configuration.md is generated from the fields of Config, their tags and their
// comments: a number's unit is in its tag.
package config

//go:generate go run ../../hack/configdoc -out ../../docs/configuration.md

import (
	"time"
)

// Config is the server's complete configuration. Every field is one environment
// variable; a variable that is set to nothing counts as not set.
type Config struct {
	// Tenant names the game that this server serves: the audience of its tokens.
	// 1 to 63 lower-case letters, digits and dashes.
	Tenant string `env:"LEADERBOARD_TENANT" envDefault:"local"`

	HTTP     HTTP
	Database Database
	Redis    Redis
	Auth     Auth
	Commit   Commit
	Webhooks Webhooks
	Log      Log

	// LoginsFile is a file with the logins to PostgreSQL and Redis, read again when it
	// changes: {"postgres": {"username": ..., "password": ...}, "redis": {...}}. They
	// take the place of those in the other settings. Empty: those are used.
	LoginsFile string `env:"LEADERBOARD_LOGINS_FILE"`
	// BoardsFile is the file with the game's boards, read again when it changes.
	// Empty: the game has the board global alone.
	BoardsFile string `env:"LEADERBOARD_BOARDS_FILE"`
	// CatchUpInterval is how often the ranking is compared with the ledger.
	CatchUpInterval time.Duration `env:"LEADERBOARD_CATCH_UP_INTERVAL" envDefault:"250ms"`
	// IdempotencyTTL is how long the outcome of a submission is kept under its
	// Idempotency-Key.
	IdempotencyTTL time.Duration `env:"LEADERBOARD_IDEMPOTENCY_TTL" envDefault:"24h"`
	// EventRetention is how long score events are kept at least: reports reach no
	// further back. They are dropped by the month; standings stay. 0: for ever,
	// otherwise at least 24 hours.
	EventRetention time.Duration `env:"LEADERBOARD_EVENT_RETENTION" envDefault:"0s"`
	// ShutdownTimeout is how long requests and submissions that were accepted may
	// take to finish once the server has been told to stop.
	ShutdownTimeout time.Duration `env:"LEADERBOARD_SHUTDOWN_TIMEOUT" envDefault:"20s"`
	// DrainDelay is how long the server goes on accepting connections after it
	// was told to stop, while readiness already says no: proxies and load
	// balancers need that long to notice. Answers close their connections
	// during that time. 0: not at all.
	DrainDelay time.Duration `env:"LEADERBOARD_DRAIN_DELAY" envDefault:"1s"`
}

// HTTP is how the server listens.
type HTTP struct {
	// ListenAddress is where the API listens, host:port.
	ListenAddress string `env:"LEADERBOARD_LISTEN_ADDRESS" envDefault:":8080"`
	// OpsListenAddress is where /livez, /readyz, /metrics and /debug/pprof
	// listen, host:port. It must not be reachable for the game's clients.
	OpsListenAddress string `env:"LEADERBOARD_OPS_LISTEN_ADDRESS" envDefault:":9090"`
	// MaxConnections bounds the open connections of the API. A new one beyond it
	// takes the place of the one that has been idle for longest; if all are busy it
	// waits. 0: what a share of the memory limit (GOMEMLIMIT, or that of the
	// container) holds, at most 10,000.
	MaxConnections int `env:"LEADERBOARD_MAX_CONNECTIONS" envDefault:"0" unit:"connections"`
	// IdleTimeout is how long a connection is kept open between two requests. It
	// should be longer than that of the proxies and load balancers in front, so that
	// they close first: some keep theirs for 10 minutes.
	IdleTimeout time.Duration `env:"LEADERBOARD_IDLE_TIMEOUT" envDefault:"11m"`
	// BodyBudget bounds, in bytes, what the bodies of all requests under way take
	// together, beyond 4 KiB each, and their answers, where they are of more than 32
	// KiB; a request that needs more is answered 503. 0: an eighth of the memory
	// limit, or 64 MiB where there is none.
	BodyBudget int64 `env:"LEADERBOARD_BODY_BUDGET" envDefault:"0" unit:"bytes"`
	// MaxInFlightPerPlayer bounds the submissions that one player has under way in
	// this server; further ones are answered 429.
	MaxInFlightPerPlayer int `env:"LEADERBOARD_MAX_IN_FLIGHT_PER_PLAYER" envDefault:"32" unit:"submissions"`
	// MaxBatchesPerAccount bounds the batches of scores that one service account has under
	// way in this server; further ones are answered 429.
	MaxBatchesPerAccount int `env:"LEADERBOARD_MAX_BATCHES_PER_ACCOUNT" envDefault:"8" unit:"batches"`
	// MaxListsPerClient bounds the requests of one client for the entries of several
	// players, or of one player on several boards, that are under way in this server;
	// further ones are answered 429.
	MaxListsPerClient int `env:"LEADERBOARD_MAX_LISTS_PER_CLIENT" envDefault:"64" unit:"requests"`
	// RequestTimeout bounds the work on one request.
	RequestTimeout time.Duration `env:"LEADERBOARD_REQUEST_TIMEOUT" envDefault:"15s"`
	// MaxPageSize is the largest page_size, from 1 to 1000 entries.
	MaxPageSize int `env:"LEADERBOARD_MAX_PAGE_SIZE" envDefault:"100" unit:"entries"`
	// PageSnapshotTTL is how old a page that was read without a token may be:
	// the first pages are shared by all who ask for them within that
	// time. 0: every request reads the ranking.
	PageSnapshotTTL time.Duration `env:"LEADERBOARD_PAGE_SNAPSHOT_TTL" envDefault:"20ms"`
	// PageMaxAge is for how long clients and proxies may keep a page that was read
	// without a token, in whole seconds. 0: they ask each time whether it is still the
	// same.
	PageMaxAge time.Duration `env:"LEADERBOARD_PAGE_MAX_AGE" envDefault:"1s"`
	// ReportTTL is how old a report may be: the same question is answered once
	// within that time. 0: every report is read when it is asked for.
	ReportTTL time.Duration `env:"LEADERBOARD_REPORT_TTL" envDefault:"5s"`
	// ReportRatePerPlayer bounds the reports of one player, across all replicas:
	// "2/s burst 60", or "off".
	ReportRatePerPlayer Rate `env:"LEADERBOARD_REPORT_RATE_PER_PLAYER" envDefault:"2/s burst 60"`
	// HistoryRatePerPlayer bounds the parts of histories that one player reads, its own
	// and those of others, across all replicas: "2/s burst 60", or "off".
	HistoryRatePerPlayer Rate `env:"LEADERBOARD_HISTORY_RATE_PER_PLAYER" envDefault:"2/s burst 60"`
	// AttributeRatePerPlayer bounds how often a player changes its attributes, across all
	// replicas, as new values are known to the whole game: "10/h burst 30", or "off".
	AttributeRatePerPlayer Rate `env:"LEADERBOARD_ATTRIBUTE_RATE_PER_PLAYER" envDefault:"10/h burst 30"`
	// ExportRatePerPlayer bounds the exports of all that is kept of a player, per player.
	ExportRatePerPlayer Rate `env:"LEADERBOARD_EXPORT_RATE_PER_PLAYER" envDefault:"3/h burst 3"`
	// TrustedProxies are the networks (CIDRs, comma-separated) of the proxies
	// whose X-Forwarded-For names the client. Empty: the peer is the client.
	TrustedProxies Prefixes `env:"LEADERBOARD_TRUSTED_PROXIES"`
	// TrustedHops is how many addresses of X-Forwarded-For, from its right end, are read at
	// the most: 1 where each client comes through one proxy. 0: all of trusted proxies and the
	// one before them, which a client can choose if its own address is in those networks.
	TrustedHops int `env:"LEADERBOARD_TRUSTED_HOPS" envDefault:"0" unit:"addresses"`
	// CORSAllowedOrigins are the origins (comma-separated, such as
	// https://play.example.com) whose pages may call the API; * means any.
	// Empty: none.
	CORSAllowedOrigins []string `env:"LEADERBOARD_CORS_ALLOWED_ORIGINS"`
}

// Database is where the ledger is.
type Database struct {
	// URL is a libpq URL, such as postgres://user:password@host:5432/db. Its
	// role's search_path, or its parameter of that name, is the schema. Through a
	// pooler in transaction mode it has no other parameters than the ones of TLS
	// and default_query_exec_mode=cache_describe.
	URL Secret `env:"LEADERBOARD_DATABASE_URL"`
	// DirectURL is LEADERBOARD_DATABASE_URL past a connection pooler, for what needs
	// a session of its own: the lead of catch-up, and migrations. Empty: the same
	// URL.
	DirectURL Secret `env:"LEADERBOARD_DATABASE_DIRECT_URL"`
	// MaxConnections bounds the connections of this server. A quarter of them, at
	// most 2, is for reports and maintenance alone, so that those cannot keep
	// submissions waiting. The replica that leads catch-up has one more.
	MaxConnections int `env:"LEADERBOARD_DATABASE_MAX_CONNECTIONS" envDefault:"8" unit:"connections"`
	// ConnectionsFile is a file with a number that takes the place of
	// LEADERBOARD_DATABASE_MAX_CONNECTIONS, and with few of them lowers
	// LEADERBOARD_COMMIT_IN_FLIGHT. It is read again when it changes. Empty: those settings
	// hold.
	ConnectionsFile string `env:"LEADERBOARD_DATABASE_CONNECTIONS_FILE"`
	// MigrateOnStart applies pending migrations before serving. The role then
	// has to own the schema. For use without an operator.
	MigrateOnStart bool `env:"LEADERBOARD_MIGRATE_ON_START" envDefault:"false"`
}

// SessionURL is where a session of PostgreSQL lasts as long as its connection:
// DirectURL or, without a pooler, URL.
func (d Database) SessionURL() Secret {
	if d.DirectURL != "" {
		return d.DirectURL
	}
	return d.URL
}

// Redis is where the ranking is.
type Redis struct {
	// Mode says how Redis is deployed: standalone, sentinel or cluster.
	Mode RedisMode `env:"LEADERBOARD_REDIS_MODE" envDefault:"standalone"`
	// Addresses say where the server, the Sentinels, or some nodes of the
	// cluster are: host:port, comma-separated.
	Addresses []string `env:"LEADERBOARD_REDIS_ADDRESSES"`
	// SentinelMaster is the name of the master that the Sentinels watch.
	SentinelMaster string `env:"LEADERBOARD_REDIS_SENTINEL_MASTER"`
	// SentinelUsername is the user of the Sentinels. Empty: their user default.
	SentinelUsername string `env:"LEADERBOARD_REDIS_SENTINEL_USERNAME"`
	// SentinelPassword is that user's password. Empty: the Sentinels ask for none.
	SentinelPassword Secret `env:"LEADERBOARD_REDIS_SENTINEL_PASSWORD"`
	// Username is the user of Redis. Empty: its user default.
	Username string `env:"LEADERBOARD_REDIS_USERNAME"`
	// Password is that user's password. Empty: Redis asks for none.
	Password Secret `env:"LEADERBOARD_REDIS_PASSWORD"`
	// TLS encrypts the connections and verifies the server's certificate.
	TLS bool `env:"LEADERBOARD_REDIS_TLS" envDefault:"false"`
	// CAFile is a PEM file with the authorities that may have signed that
	// certificate. Empty: those of the system.
	CAFile string `env:"LEADERBOARD_REDIS_CA_FILE"`
	// ServerName is the name that the certificates of all nodes and Sentinels have. Empty:
	// each has the host by which it is reached.
	ServerName string `env:"LEADERBOARD_REDIS_SERVER_NAME"`
	// CertFile is a PEM file with the client certificate for servers that ask for one, read
	// for each connection. PostgreSQL's is named in its URL (sslcert, sslkey) and read as
	// often. Empty: there is none.
	CertFile string `env:"LEADERBOARD_REDIS_CERT_FILE"`
	// KeyFile is a PEM file with that certificate's key.
	KeyFile string `env:"LEADERBOARD_REDIS_KEY_FILE"`
	// KeyPrefix is what every key begins with. Empty: lb:<tenant>:.
	KeyPrefix string `env:"LEADERBOARD_REDIS_KEY_PREFIX"`
}

// Auth is how accounts and tokens work.
type Auth struct {
	// KeySetFile is the file with the keys that sign tokens, read again when it
	// changes.
	KeySetFile string `env:"LEADERBOARD_KEY_SET_FILE"`
	// ServiceAccountsFile is the file with the service accounts with which servers of the
	// game log in, read again when it changes. Empty: there are none.
	ServiceAccountsFile string `env:"LEADERBOARD_SERVICE_ACCOUNTS_FILE"`
	// WorkloadsFile is the file with the ServiceAccounts of a Kubernetes cluster that are
	// service accounts, and with the cluster's keys, read again when it changes. Empty: none
	// are.
	WorkloadsFile string `env:"LEADERBOARD_WORKLOADS_FILE"`
	// TokenTTL is how long a player's access token is good for, from 1 minute to 24 hours.
	TokenTTL time.Duration `env:"LEADERBOARD_TOKEN_TTL" envDefault:"1h"`
	// RefreshTokenTTL is how long a player's refresh token is good for, from 1 hour to 365
	// days; refreshing gives the next one the whole time.
	RefreshTokenTTL time.Duration `env:"LEADERBOARD_REFRESH_TOKEN_TTL" envDefault:"720h"`
	// Issuers are those elsewhere whose ID tokens log players in: a JSON list of objects with
	// name, issuer (the URL under which it is discovered), audience, and usernameClaim. Empty:
	// none.
	Issuers Issuers `env:"LEADERBOARD_ISSUERS"`
	// InsecureIssuers allows issuers without TLS, for tests: whoever is between them and this
	// server can be any player.
	InsecureIssuers bool `env:"LEADERBOARD_INSECURE_ISSUERS" envDefault:"false"`
	// RenameEvery is how long a player keeps a new username at least, from 1 hour to 365 days.
	RenameEvery time.Duration `env:"LEADERBOARD_RENAME_EVERY" envDefault:"720h"`
	// PasswordCost is the cost of bcrypt, from 10 to 14: each step doubles the
	// work of a login.
	PasswordCost int `env:"LEADERBOARD_PASSWORD_COST" envDefault:"10" unit:"doublings"`
	// HashingConcurrency is how many passwords are hashed at once. 0: as many as
	// half of the CPUs, at least one.
	HashingConcurrency int `env:"LEADERBOARD_HASHING_CONCURRENCY" envDefault:"0" unit:"passwords"`
	// HashingTimeout is how long a registration or a login waits for its turn to
	// hash before it is told to come back later.
	HashingTimeout time.Duration `env:"LEADERBOARD_HASHING_TIMEOUT" envDefault:"5s"`
	// LoginRatePerClient bounds the logins that one client attempts, for players and for
	// service accounts, across all replicas. A client is an address, or the /64 of an IPv6
	// address.
	LoginRatePerClient Rate `env:"LEADERBOARD_LOGIN_RATE_PER_CLIENT" envDefault:"10/s burst 100"`
	// LoginRatePerUsernameAndClient bounds the failed logins of one client for one
	// username, or one service account, across all replicas.
	LoginRatePerUsernameAndClient Rate `env:"LEADERBOARD_LOGIN_RATE_PER_USERNAME_AND_CLIENT" envDefault:"30/m burst 10"`
	// LoginRatePerUsername bounds the failed logins for one username from all clients,
	// across all replicas. It has to be much looser: a client that reaches it keeps the
	// player out.
	LoginRatePerUsername Rate `env:"LEADERBOARD_LOGIN_RATE_PER_USERNAME" envDefault:"300/m burst 100"`
	// RegisterRatePerClient bounds the registrations that one client attempts,
	// across all replicas.
	RegisterRatePerClient Rate `env:"LEADERBOARD_REGISTER_RATE_PER_CLIENT" envDefault:"10/s burst 100"`
	// RegisterRatePerUsername bounds the registrations attempted for one username,
	// across all replicas.
	RegisterRatePerUsername Rate `env:"LEADERBOARD_REGISTER_RATE_PER_USERNAME" envDefault:"30/m burst 10"`
	// ReservedNames are up to 100 usernames (comma-separated) that nobody can register, nor
	// others that look like them. Players who have one keep it. -: none.
	ReservedNames Names `env:"LEADERBOARD_RESERVED_NAMES" envDefault:"admin,administrator,developer,gamemaster,mod,moderator,null,official,owner,root,security,server,staff,support,system,undefined"`
}

// Commit is how submissions are grouped into transactions.
type Commit struct {
	// Queue bounds the submissions that wait for a transaction; further ones are
	// answered 503.
	Queue int `env:"LEADERBOARD_COMMIT_QUEUE" envDefault:"4096" unit:"submissions"`
	// MaxBatch bounds the submissions of one transaction.
	MaxBatch int `env:"LEADERBOARD_COMMIT_MAX_BATCH" envDefault:"256" unit:"submissions"`
	// InFlight is how many transactions may run at once; fewer than
	// LEADERBOARD_DATABASE_MAX_CONNECTIONS.
	InFlight int `env:"LEADERBOARD_COMMIT_IN_FLIGHT" envDefault:"2" unit:"transactions"`
	// MaxPerSecond bounds the submissions that all servers of the game together take in a
	// second; further ones are answered 429, and those of batches and streams wait. 0: any
	// number.
	MaxPerSecond int `env:"LEADERBOARD_COMMIT_MAX_PER_SECOND" envDefault:"0" unit:"submissions"`
}

// Webhooks is where messages about the game may go.
type Webhooks struct {
	// File is the file with the webhooks and their signing secrets, read again when it
	// changes. Empty: there are none.
	File string `env:"LEADERBOARD_WEBHOOKS_FILE"`
	// AllowHTTP lets URLs of webhooks begin with http, without encryption.
	AllowHTTP bool `env:"LEADERBOARD_WEBHOOK_ALLOW_HTTP" envDefault:"false"`
	// AllowedCIDRs are networks (comma-separated) to which messages may go although they are
	// not public, such as 10.20.0.0/16. Empty: public addresses only.
	AllowedCIDRs Prefixes `env:"LEADERBOARD_WEBHOOK_ALLOWED_CIDRS"`
	// DeniedCIDRs are networks (comma-separated) to which no message may go, whatever
	// LEADERBOARD_WEBHOOK_ALLOWED_CIDRS says.
	DeniedCIDRs Prefixes `env:"LEADERBOARD_WEBHOOK_DENIED_CIDRS"`
	// Ports are the ports (comma-separated) to which messages may go.
	Ports []uint16 `env:"LEADERBOARD_WEBHOOK_PORTS" envDefault:"443"`
	// Timeout bounds one request.
	Timeout time.Duration `env:"LEADERBOARD_WEBHOOK_TIMEOUT" envDefault:"10s"`
	// RetryFor is for how long a message is tried before it is given up.
	RetryFor time.Duration `env:"LEADERBOARD_WEBHOOK_RETRY_FOR" envDefault:"24h"`
	// FirstRetry is the pause after the first attempt that failed. Each is twice the one
	// before, up to an hour, and up to half of it is left out by chance.
	FirstRetry time.Duration `env:"LEADERBOARD_WEBHOOK_FIRST_RETRY" envDefault:"5s"`
}

// Log is what is logged, to standard error.
type Log struct {
	// Level is the least that is logged: debug, info, warn or error.
	Level string `env:"LEADERBOARD_LOG_LEVEL" envDefault:"info"`
	// Format is how lines are written: json or text.
	Format string `env:"LEADERBOARD_LOG_FORMAT" envDefault:"json"`
}

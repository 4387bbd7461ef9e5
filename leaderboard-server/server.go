package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/oidc"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/workloads"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/commit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/httpapi/ratelimit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/telemetry"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/webhook"
)

// directorySize is how many players' names are kept in memory, some 300 bytes each.
const directorySize = 100_000

// besidesBatches is how many connections to PostgreSQL store no batches of submissions: one for
// everything else that players ask for, and one for reports.
const besidesBatches = 2

// server is everything that one process is made of.
type server struct {
	settings  config.Config
	log       *slog.Logger
	metrics   *telemetry.Metrics
	probes    *telemetry.Probes
	tokens    *auth.Tokens
	issuers   *oidc.Verifier
	passwords *auth.Passwords
	redis     goredis.UniversalClient
	ledger    *postgres.Ledger
	bans      *postgres.Bans
	ranking   *redis.Ranking
	directory *postgres.Directory
	catchUp   *catchup.CatchUp
	committer *commit.Committer
	deliverer *webhook.Deliverer
	// keys and those after it take effect without a restart.
	keys, boards, logins, connections, accounts, workloads, webhooks *watchedFile
	// redisLogin is what new connections to Redis log in with.
	redisLogin atomic.Pointer[config.Login]
	configured atomic.Pointer[leaderboard.Boards]
	service    atomic.Pointer[leaderboard.Service]
	api, ops   *listener
	// requests counts those of the API.
	requests atomic.Uint64
	stopping chan struct{} // closed once it is to stop
}

// newServer makes a server whose ports are open; Run makes it answer. It does
// not wait for the stores. After an error nothing is left open.
func newServer(settings config.Config, logs io.Writer) (s *server, err error) {
	settings.HTTP = withinMemory(settings.HTTP, memoryLimit(os.DirFS("/")))
	s = &server{settings: settings, stopping: make(chan struct{}), probes: &telemetry.Probes{}, metrics: telemetry.NewMetrics(version)}
	if s.log, err = telemetry.NewLogger(logs, settings.Log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.closeStores()
		}
	}()

	if s.tokens, err = auth.NewTokens(settings.Tenant, settings.Auth.TokenTTL, time.Now); err != nil {
		return nil, err
	}
	if err := s.openStores(); err != nil {
		return nil, err
	}

	s.issuers = oidc.New(oidc.Options{Issuers: settings.Auth.Issuers, Insecure: settings.Auth.InsecureIssuers, Now: time.Now, Log: s.log})
	s.passwords = auth.NewPasswords(settings.Auth.PasswordCost, settings.Auth.HashingConcurrency, settings.Auth.HashingTimeout)
	s.keys = &watchedFile{path: settings.Auth.KeySetFile, apply: s.applyKeys, log: s.log}
	s.boards = &watchedFile{path: settings.BoardsFile, apply: s.applyBoards, log: s.log}
	s.logins = &watchedFile{path: settings.LoginsFile, apply: s.applyLogins, log: s.log}
	s.connections = &watchedFile{path: settings.Database.ConnectionsFile, apply: s.applyConnections, log: s.log}
	s.accounts = &watchedFile{path: settings.Auth.ServiceAccountsFile, apply: s.applyAccounts, log: s.log}
	s.webhooks = &watchedFile{path: settings.Webhooks.File, apply: s.applyWebhooks, log: s.log}
	s.deliverer = newDeliverer(settings.Webhooks, s.ledger, s.metrics, s.log)
	s.workloads = &watchedFile{path: settings.Auth.WorkloadsFile, apply: s.applyWorkloads, log: s.log}
	limiter, err := ratelimit.New(s.redis, settings.Redis.KeyPrefix, s.log)
	if err != nil {
		return nil, err
	}

	handler, err := httpapi.New(httpapi.Options{Service: s.service.Load, Tokens: s.tokens, Issuers: s.issuers, Banned: s.bans.Banned, Limiter: limiter, Observer: s.metrics,
		Log: s.log, Stopping: s.stopping, HTTP: settings.HTTP, Auth: settings.Auth, IdempotencyTTL: settings.IdempotencyTTL})
	if err != nil {
		return nil, err
	}

	s.observe()
	s.metrics.Gauge("http", "body_bytes", "What the bodies of requests under way take, beyond 4 KiB each, and answers of more than 32 KiB.", func() float64 { return float64(handler.BodyBytes()) })
	ctx := context.Background()
	s.ops, err = listen(ctx, listenOptions{name: "operations", address: settings.HTTP.OpsListenAddress, maxConnections: opsConnections,
		answerTimeout: profileTimeout, idleTimeout: opsIdleTimeout}, telemetry.OpsHandler(s.probes, s.metrics), s.log)
	if err != nil {
		return nil, err
	}
	s.api, err = listen(ctx, listenOptions{name: "the API", address: settings.HTTP.ListenAddress, maxConnections: settings.HTTP.MaxConnections,
		answerTimeout: settings.HTTP.RequestTimeout, idleTimeout: settings.HTTP.IdleTimeout}, s.drain(handler), s.log)
	if err != nil {
		return nil, errors.Join(err, s.ops.connections.Close())
	}

	return s, nil
}

// drain counts requests, and lets answers close their connections once the server is stopping, so
// that clients that keep theirs open go elsewhere with the next request. Idle
// connections stay: closing one while a request is on its way would lose it.
func (s *server) drain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		select {
		case <-s.stopping:
			w.Header().Set("Connection", "close")
		default:
		}
		next.ServeHTTP(w, r)
	})
}

// openStores makes the pools and what works on them; nothing connects yet.
func (s *server) openStores() (err error) {
	s.redisLogin.Store(&config.Login{Username: s.settings.Redis.Username, Password: s.settings.Redis.Password.Reveal()})
	if s.redis, err = redis.NewClient(s.settings.Redis, func() config.Login { return *s.redisLogin.Load() }); err != nil {
		return err
	}

	s.ledger, err = postgres.Open(context.Background(), postgres.Options{URL: s.settings.Database.URL.Reveal(),
		DirectURL: s.settings.Database.DirectURL.Reveal(), MaxConnections: int32(s.settings.Database.MaxConnections), IdempotencyTTL: s.settings.IdempotencyTTL,
		EventRetention: s.settings.EventRetention, ReportTimeout: s.settings.HTTP.RequestTimeout, ReportTTL: s.settings.HTTP.ReportTTL,
		Skeleton: names.Skeleton, Sealer: s.tokens.Sealer(auditPurpose)})
	if err != nil {
		return err
	}
	s.bans = postgres.NewBans(s.ledger, s.settings.Auth.TokenTTL+auth.ClockTolerance)
	if s.directory, err = postgres.NewDirectory(s.ledger, directorySize); err != nil {
		return err
	}
	if s.ranking, err = redis.New(redis.Options{Client: s.redis, Prefix: s.settings.Redis.KeyPrefix, Boards: s.ledger,
		Damaged: func() { s.catchUp.Wake() }}); err != nil {
		return err
	}

	s.catchUp = catchup.New(s.ranking, s.ledger, s.settings.CatchUpInterval, s.log)
	s.committer, err = commit.New(commit.Options{Ledger: s.ledger, Ranking: s.ranking, Observer: s.metrics.Commit(), Delayed: s.catchUp.Wake,
		QueueSize: s.settings.Commit.Queue, MaxBatch: s.settings.Commit.MaxBatch, InFlight: s.settings.Commit.InFlight,
		PerSecond: s.settings.Commit.MaxPerSecond, Leaser: s.ledger})
	return err
}

// closeStores ends the pools, after what was accepted has been stored, and what is under way to
// issuers of players' tokens.
func (s *server) closeStores() {
	if s.issuers != nil {
		s.issuers.Close()
	}
	if s.committer != nil {
		s.committer.Close()
	}

	if s.ledger != nil {
		s.ledger.Close()
	}

	if s.redis != nil {
		if err := s.redis.Close(); err != nil {
			s.log.Warn("closing the connections to Redis", "error", err)
		}
	}
}

// observe registers what is read when metrics or probes are.
func (s *server) observe() {
	s.probes.Watch(telemetry.Dependency{Name: "signing keys", Essential: true, Check: func(context.Context) error { return s.tokens.Ready() }})
	s.probes.Watch(telemetry.Dependency{Name: "postgres", Check: s.ledger.Ping})
	s.probes.Watch(telemetry.Dependency{Name: "redis", Check: s.ranking.Ping})

	// Every replica has the same ranking: taking this one out would help nobody.
	s.probes.Watch(telemetry.Dependency{Name: "ranking", Informative: true, Check: s.checkRanking})
	s.probes.Watch(telemetry.Dependency{Name: "connections", Informative: true, Check: func(ctx context.Context) error { return s.api.connections.check(ctx) }})
	s.observeConnections()
	s.observeReviews()
	s.metrics.Gauge("commit", "queue", "Submissions that wait to be stored.", func() float64 { return float64(s.committer.QueueDepth()) })
	s.metrics.Gauge("auth", "hashing_queue", "Logins and registrations that wait to hash.", func() float64 { return float64(s.passwords.Waiting()) })
	s.metrics.Gauge("postgres", "connections", "Connections that are open.", func() float64 { return float64(s.ledger.Stat().TotalConns()) })
	s.metrics.Gauge("postgres", "connections_in_use", "Connections that are in use.", func() float64 { return float64(s.ledger.Stat().AcquiredConns()) })
	s.metrics.Counter("postgres", "connection_waits_total", "How often no connection was free.", func() float64 { return float64(s.ledger.Stat().EmptyAcquireCount()) })
	s.metrics.Gauge("postgres", "report_connections", "Connections for reports and maintenance that are open.", func() float64 { return float64(s.ledger.StatAside().TotalConns()) })
	s.metrics.Gauge("redis", "connections", "Connections that are open.", func() float64 { return float64(redis.Pools(s.redis).TotalConns) })
	s.metrics.Gauge("redis", "connections_idle", "Connections that are open and not in use.", func() float64 { return float64(redis.Pools(s.redis).IdleConns) })
	s.metrics.Counter("redis", "connection_timeouts_total", "How often no connection was free in time.", func() float64 { return float64(redis.Pools(s.redis).Timeouts) })
	s.metrics.Gauge("catch_up", "leading", "1 on the replica that compares the ranking with the ledger.", func() float64 {
		if s.catchUp.Status().Leading {
			return 1
		}
		return 0
	})

	s.metrics.Gauge("catch_up", "behind_seconds", "The age of the oldest score that is not known to be in every ranking, whoever leads.", func() float64 { return s.catchUp.Status().Behind.Seconds() })
	s.metrics.Gauge("catch_up", "rebuilding", "Shards of rankings that are being rebuilt.", func() float64 { return float64(s.catchUp.Status().Rebuilding) })
	s.metrics.Counter("catch_up", "applied_total", "Standings that catch-up applied.", func() float64 { return float64(s.catchUp.Status().Applied) })
	s.metrics.Counter("catch_up", "saved_total", "Standings that were written to their checkpoint.", func() float64 { return float64(s.catchUp.Status().Saved) })
	s.metrics.Counter("catch_up", "rebuilds_total", "Shards that were rebuilt from nothing.", func() float64 { return float64(s.catchUp.Status().Rebuilds) })
	s.metrics.Counter("catch_up", "seasons_closed_total", "Seasons that were closed.", func() float64 { return float64(s.catchUp.Status().Closed) })
	s.metrics.Gauge("catch_up", "refolding", "Boards that are to get another order, scoring or columns, those included of which that was refused; of the replica that leads.", func() float64 { return float64(s.catchUp.Status().Refolding) })
	s.metrics.Gauge("catch_up", "refold_events", "Scores to be folded for the board that is refolded now; of the replica that leads.", func() float64 { return float64(s.catchUp.Status().RefoldEvents) })
	s.metrics.Gauge("catch_up", "refold_events_folded", "How many of them were folded.", func() float64 { return float64(s.catchUp.Status().RefoldedEvents) })
	s.metrics.Counter("catch_up", "refolds_total", "Boards that got another order, scoring or columns.", func() float64 { return float64(s.catchUp.Status().Refolds) })
	s.metrics.Counter("catch_up", "moderated_total", "Players whose entries were replaced in rankings, as moderators asked for.", func() float64 { return float64(s.catchUp.Status().Moderated) })
	s.metrics.Counter("catch_up", "errors_total", "Attempts of catch-up that failed.", func() float64 { return float64(s.catchUp.Status().Errors) })
}

// observeConnections registers what is known about the API's connections.
func (s *server) observeConnections() {
	s.metrics.Gauge("http", "max_connections", "Connections of the API that may be open at once.", func() float64 { return float64(s.settings.HTTP.MaxConnections) })
	s.metrics.Gauge("http", "busy_connections", "Connections of the API that are new or have a request that is being answered.", func() float64 {
		_, busy := s.api.connections.count()
		return float64(busy)
	})
	s.metrics.Gauge("http", "idle_connections", "Connections of the API that are open between two requests.", func() float64 {
		idle, _ := s.api.connections.count()
		return float64(idle)
	})
	s.metrics.Counter("http", "connections_closed_for_room_total", "Connections that were closed, as the longest idle, to make room for a new one.", func() float64 {
		return float64(s.api.connections.closedForRoom.Load())
	})
	s.metrics.Counter("http", "connection_waits_total", "New connections that waited because all others were busy.", func() float64 { return float64(s.api.connections.waits.Load()) })
}

// observeReviews registers what is known about submissions that are held back.
func (s *server) observeReviews() {
	s.metrics.Gauge("review", "pending", "Submissions that are held back and wait for a decision, of the whole game.", func() float64 { return float64(s.ledger.PendingSubmissions()) })
	s.metrics.Counter("review", "held_total", "Submissions that were held back.", func() float64 { return float64(s.ledger.HeldBack()) })
	s.metrics.Counter("review", "accepted_total", "Submissions that were held back and accepted.", func() float64 { return float64(s.ledger.Accepted()) })
	s.metrics.Counter("review", "rejected_total", "Submissions that were held back and rejected.", func() float64 { return float64(s.ledger.Rejected()) })
}

// checkRanking fails while Redis answers and a board cannot be read, as it is
// being built. While the server starts or Redis is away, that is the reason.
func (s *server) checkRanking(ctx context.Context) error {
	if s.service.Load() == nil {
		return nil
	}
	if err := s.ranking.Ping(ctx); err != nil {
		return nil //nolint:nilerr // the dependency redis tells it
	}
	return s.ranking.Ready(ctx)
}

// applyLogins takes logins into use that PostgreSQL lets in: until then the ones before
// are used. Connections to Redis that are open stay, as its user does.
func (s *server) applyLogins(ctx context.Context, content []byte) error {
	logins, err := config.ParseLogins(content)
	if err != nil {
		return err
	}
	if err := s.ledger.SetLogin(ctx, logins.Postgres.Username, logins.Postgres.Password); err != nil {
		return err
	}

	s.redisLogin.Store(&logins.Redis)
	return nil
}

// applyConnections changes how many connections to PostgreSQL there may be. Of those of the pool
// that stores batches, one is left for everything else where there are two or more.
func (s *server) applyConnections(ctx context.Context, content []byte) error {
	connections, err := config.ParseConnections(content)
	if err != nil {
		return err
	}
	if err := s.ledger.SetMaxConnections(ctx, int32(connections)); err != nil {
		return err
	}

	s.committer.SetInFlight(connections - besidesBatches)
	return nil
}

func (s *server) applyKeys(_ context.Context, content []byte) error {
	keys, err := keyset.Parse(content)
	if err != nil {
		return err
	}
	s.tokens.SetKeys(keys)
	return nil
}

func (s *server) applyAccounts(_ context.Context, content []byte) error {
	set, err := accounts.Parse(content)
	if err != nil {
		return err
	}
	s.tokens.SetAccounts(set)
	return nil
}

func (s *server) applyWorkloads(_ context.Context, content []byte) error {
	file, err := workloads.Parse(content)
	if err != nil {
		return err
	}
	return s.tokens.SetWorkloads(file)
}

// applyBoards brings the ledger in line with the file, once there is a service.
func (s *server) applyBoards(ctx context.Context, content []byte) error {
	boards, err := leaderboard.ParseBoards(content)
	if err != nil {
		return err
	}

	if service := s.service.Load(); service != nil {
		if err := service.Reload(ctx, boards); err != nil {
			return err
		}
		s.catchUp.Wake() // for the rankings of those that are new
	}

	s.configured.Store(&boards)
	return nil
}

// Run serves until ctx ends, and then finishes what was accepted. It returns nil
// if nothing was left unanswered.
func (s *server) Run(ctx context.Context) error {
	s.log.Info("listening", "version", version, "tenant", s.settings.Tenant, "api", s.api.address(), "operations", s.ops.address(),
		"max_connections", s.settings.HTTP.MaxConnections)
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	failed := make(chan error, 2)

	for _, l := range []*listener{s.api, s.ops} {
		group.Go(func() {
			if err := l.serve(); err != nil {
				failed <- err
			}
		})
	}

	group.Go(func() { s.work(work) })

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}

	err = errors.Join(err, s.stop(stopWork, &group))
	s.log.Info("stopped", "clean", err == nil)
	return err
}

// stop ends the server in the order that loses nothing.
func (s *server) stop(stopWork context.CancelFunc, group *sync.WaitGroup) error {
	s.log.Info("stopping", "drain_delay", s.settings.DrainDelay.String())
	s.probes.Stopping()
	close(s.stopping)
	time.Sleep(s.settings.DrainDelay)
	ctx, cancel := context.WithTimeout(context.Background(), s.settings.ShutdownTimeout)
	defer cancel()

	err := s.api.shutdown(ctx)
	stopWork()

	const opsGrace = time.Second // somebody may be reading a profile
	opsCtx, cancelOps := context.WithTimeout(context.Background(), opsGrace)
	defer cancelOps()

	if opsErr := s.ops.shutdown(opsCtx); opsErr != nil {
		s.log.Debug("operations", "error", opsErr)
	}

	group.Wait()
	s.closeStores()
	return err
}

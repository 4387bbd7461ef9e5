package conformance

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/catchup"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/commit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// Interval is how often the tenants of this package catch up: short, as tests wait
// for it.
const Interval = 20 * time.Millisecond

// watchInterval is how often an operator looks after Redis.
const watchInterval = time.Second

// Deployment is a Redis that tenants share.
type Deployment struct {
	Mode provision.RedisMode
	// Endpoints are what clients are told: the server, the Sentinels, or nodes of
	// the cluster.
	Endpoints []string
	// Nodes are all servers, whatever their roles.
	Nodes []*stores.Redis
}

// Standalone is a deployment of one server, which has an ACL file.
func Standalone(server *stores.Redis) Deployment {
	return Deployment{provision.Standalone, []string{server.Address()}, []*stores.Redis{server}}
}

// Clustered is a Redis Cluster.
func Clustered(cluster *stores.RedisCluster) Deployment {
	return Deployment{provision.Cluster, cluster.Addresses(), cluster.Nodes}
}

// Watched is a master with replicas that Sentinels watch.
func Watched(watched *stores.Sentinel) Deployment {
	return Deployment{provision.Sentinel, watched.Addresses(), watched.Nodes}
}

// master is the name that Sentinels know the master by; empty without Sentinels.
func (d Deployment) master() string {
	if d.Mode == provision.Sentinel {
		return stores.SentinelMaster
	}
	return ""
}

// Tenant is a tenant's ledger and ranking with the rights that the operator gives
// it, and any number of replicas of a server's inner parts.
type Tenant struct {
	*ledgertest.Fixture
	Redis  Deployment
	Prefix string
	// Client reaches Redis as the tenant's user, with the server's settings.
	Client goredis.UniversalClient
	// SnapshotLifetime and SnapshotSharing are of the replicas that are started from
	// now on; 0: the server's.
	SnapshotLifetime, SnapshotSharing time.Duration
	names                             tenant.Tenant
	// oldRules are those that boards had before they were refolded, by their names: seasons
	// that were closed by then are by them.
	oldRules map[string][]leaderboard.Rules
	// compared are the closed seasons whose results were found to be the model's.
	compared map[leaderboard.ShardID]bool
	// turns is how many times segments were compared: each time another one in every way.
	turns int
}

// Replica is one server without its API.
type Replica struct {
	Ledger    *postgres.Ledger
	Ranking   *redis.Ranking
	Committer *commit.Committer
	CatchUp   *catchup.CatchUp
	client    goredis.UniversalClient
	// Drop makes this replica forget to apply what it stored, as one does that is
	// killed in between.
	Drop atomic.Bool
}

// NewTenant makes a tenant whose boards are spread over the given number of shards
// of a standalone Redis.
func NewTenant(tb testing.TB, pg *stores.Postgres, rdb *stores.Redis, shards int) *Tenant {
	tb.Helper()
	return NewTenantOn(tb, pg, Standalone(rdb), shards)
}

// tenantPassword is of the tenants' Redis users.
const tenantPassword = "tenant"

// NewTenantOn makes a tenant on any deployment.
func NewTenantOn(tb testing.TB, pg *stores.Postgres, rdb Deployment, shards int) *Tenant {
	tb.Helper()
	return NewTenantOf(tb, ledgertest.New(tb, pg, ledgertest.Boards(tb, shards), postgres.Options{}), rdb)
}

// NewTenantOf makes a tenant of a ledger.
func NewTenantOf(tb testing.TB, f *ledgertest.Fixture, rdb Deployment) *Tenant {
	tb.Helper()
	t := &Tenant{Fixture: f, Redis: rdb, names: tenant.For("test", "conformance", f.Database), compared: make(map[leaderboard.ShardID]bool)}
	t.Prefix = t.names.KeyPrefix()
	t.Allow(tb)
	t.watch(tb)
	t.Client = t.NewClient(tb)
	return t
}

// NewClient makes another client like Client.
func (t *Tenant) NewClient(tb testing.TB) goredis.UniversalClient {
	tb.Helper()
	client, err := redis.NewClient(config.Redis{Mode: config.RedisMode(strings.ToLower(string(t.Redis.Mode))), Addresses: t.Redis.Endpoints,
		SentinelMaster: t.Redis.master(), Username: t.names.RedisUser(), Password: tenantPassword}, nil)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = client.Close() }) // a test may have closed it
	return client
}

// Allow gives the tenant its Redis user, as the operator does. A Redis that lost
// its users needs it again.
func (t *Tenant) Allow(tb testing.TB) {
	tb.Helper()
	admin := t.admin(tb)
	defer admin.Close()
	_, err := admin.EnsureUser(tb.Context(), t.names, provision.Claim{Owner: provision.Owner{Namespace: "conformance", Name: t.Database, UID: t.Database}}, tenantPassword)
	require.NoError(tb, err)
}

// watch looks after the functions as an operator does, until the test ends.
func (t *Tenant) watch(tb testing.TB) {
	tb.Helper()
	admin := t.admin(tb)
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { admin.Watch(ctx, watchInterval, func() {}) })
	tb.Cleanup(func() {
		stop()
		watching.Wait()
		admin.Close()
	})
}

// admin reaches the tenant's Redis as its administrator.
func (t *Tenant) admin(tb testing.TB) *provision.Redis {
	tb.Helper()
	admin, err := provision.OpenRedis(provision.RedisAdmin{Mode: t.Redis.Mode, Endpoints: t.Redis.Endpoints, MasterName: t.Redis.master(),
		Username: stores.AdminUser, Password: t.Redis.Nodes[0].AdminPassword()})
	require.NoError(tb, err)
	return admin
}

// Start starts a replica; it ends with the test.
func (t *Tenant) Start(tb testing.TB) *Replica {
	tb.Helper()
	return t.StartWith(tb, t.Client)
}

// StartWith starts a replica that reaches Redis by a client of its own.
func (t *Tenant) StartWith(tb testing.TB, client goredis.UniversalClient) *Replica {
	tb.Helper()
	r := &Replica{Ledger: t.Open(tb, postgres.Options{}), client: client}
	_, err := r.Ledger.LoadCatalog(tb.Context())
	require.NoError(tb, err)

	const patience = 5 * time.Second // other tests take the processors
	r.Ranking, err = redis.New(redis.Options{Client: client, Prefix: t.Prefix, Boards: r.Ledger, Timeout: patience,
		SnapshotLifetime: t.SnapshotLifetime, SnapshotSharing: t.SnapshotSharing, Damaged: func() { r.CatchUp.Wake() }})
	require.NoError(tb, err)
	r.CatchUp = catchup.New(r.Ranking, r.Ledger, Interval, slog.New(slog.NewTextHandler(io.Discard, nil)))
	r.Committer, err = commit.New(commit.Options{Ledger: r.Ledger, Ranking: dropping{r}, Delayed: r.CatchUp.Wake, QueueSize: 4096, MaxBatch: 256, InFlight: 2})
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.CatchUp.Run(ctx) })
	running.Go(func() {
		catchup.FollowSeasons(ctx, r.Ledger, r.Ranking.ForgetSeasons, slog.New(slog.DiscardHandler))
	})
	tb.Cleanup(func() {
		r.Committer.Close()
		cancel()
		running.Wait()
	})

	return r
}

// dropping is a ranking whose applications get lost while Drop is set.
type dropping struct{ *Replica }

// Apply implements [commit.Ranking].
func (d dropping) Apply(ctx context.Context, projection leaderboard.Projection) ([]leaderboard.Applied, error) {
	if d.Drop.Load() {
		return nil, context.DeadlineExceeded
	}
	return d.Ranking.Apply(ctx, projection)
}

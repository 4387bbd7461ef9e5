package provision

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/tlsclient"
)

// RedisMode is the kind of deployment.
type RedisMode string

// The modes.
const (
	Standalone RedisMode = "Standalone"
	Sentinel   RedisMode = "Sentinel"
	Cluster    RedisMode = "Cluster"
)

// RedisAdmin is how a class's administrator reaches Redis.
type RedisAdmin struct {
	Mode      RedisMode
	Endpoints []string
	// MasterName is the name that Sentinels know the primary by.
	MasterName string
	Username   string
	Password   string
	TLS        bool
	// CA holds the authorities' certificates in PEM; empty: the system's.
	CA []byte
	// ServerName is the name that the certificates of all nodes have; empty: their hosts.
	ServerName string
	// Certificate is the client's for Redis that asks for one, and GameCertificate that of
	// the servers of games. Nil: there is none.
	Certificate, GameCertificate *tls.Certificate
	// Sentinels is the administrator's login to Sentinels, and GameSentinels that of the
	// servers of games. Zero: they ask for none.
	Sentinels, GameSentinels SentinelLogin
}

// SentinelLogin is a user of Sentinels. Without a name it is their user default.
type SentinelLogin struct{ Username, Password string }

// Redis provisions tenants' users on every node of one deployment: users are
// kept by each node for itself.
type Redis struct {
	admin    RedisAdmin
	tls      *tls.Config
	breakers breakers

	// scans are the cursors of DropKeys that have not come to their end, by the run id of
	// the node and the tenant.
	scans sync.Map
	// id is the identity of the deployment as it was found last; nil until then.
	id atomic.Pointer[string]

	mutex   sync.Mutex
	clients map[string]*redis.Client // by address
	cluster *redis.ClusterClient     // for the operator's own keys; nil until it is needed
	// rights is how each node, by address, words the commands of a tenant's user.
	// Redis 7.0 lists them in an order of its own, so they are learnt from it: the
	// first user of a new operator is set once more, which disturbs nobody.
	rights map[string]string
}

// OpenRedis prepares connections; it does not connect yet. Close ends them.
func OpenRedis(admin RedisAdmin) (*Redis, error) {
	r := &Redis{admin: admin, clients: map[string]*redis.Client{}, rights: map[string]string{}}
	if !admin.TLS {
		return r, nil
	}

	var err error
	r.tls, err = redisTLS(admin, admin.Certificate)
	return r, err
}

// Close ends the connections.
func (r *Redis) Close() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, client := range r.clients {
		_ = client.Close()
	}
	r.clients = map[string]*redis.Client{}
	if r.cluster != nil {
		_ = r.cluster.Close()
		r.cluster = nil
	}
}

const clientName = "leaderboard-operator"

func (r *Redis) client(address string) *redis.Client {
	r.mutex.Lock()
	defer r.mutex.Unlock()

	client := r.clients[address]
	if client == nil {
		options := triedOnce(address, r.dial)
		options.Username, options.Password, options.ClientName = r.admin.Username, r.admin.Password, clientName
		options.ReadTimeout, options.WriteTimeout, options.PoolSize = connectTimeout, connectTimeout, 2
		client = redis.NewClient(options)
		r.clients[address] = client
	}

	return client
}

// dial connects to a node, with TLS where the class says so.
func (r *Redis) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return r.dialWith(ctx, r.tls, network, address)
}

func (r *Redis) dialWith(ctx context.Context, secure *tls.Config, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()

	conn, err := r.breakers.dial(ctx, network, address)
	if err != nil || secure == nil {
		return conn, err
	}

	host, _, _ := net.SplitHostPort(address)
	return tlsclient.Handshake(ctx, conn, secure, host)
}

// nodes returns the addresses of every node, primaries and replicas.
func (r *Redis) nodes(ctx context.Context) ([]string, error) {
	switch r.admin.Mode {
	case Sentinel:
		return r.sentinelNodes(ctx)
	case Cluster:
		return r.clusterNodes(ctx)
	default:
		return r.admin.Endpoints[:1], nil
	}
}

func (r *Redis) sentinelNodes(ctx context.Context) ([]string, error) {
	var last error
	for _, endpoint := range r.admin.Endpoints {
		sentinel := redis.NewSentinelClient(sentinelOptions(endpoint, r.admin.Sentinels, r.dial))
		master, err := sentinel.GetMasterAddrByName(ctx, r.admin.MasterName).Result()
		var replicas []map[string]string

		if err == nil {
			replicas, err = sentinel.Replicas(ctx, r.admin.MasterName).Result()
		}

		_ = sentinel.Close()
		if errors.Is(err, redis.Nil) {
			last = &Error{Kind: Misconfigured, Message: fmt.Sprintf("the Sentinel %s knows no primary by the name %s: set redis.masterName of the LeaderboardClass to what its configuration has after \"sentinel monitor\"", endpoint, r.admin.MasterName)}
			continue
		}
		if err != nil {
			last = sentinelError(err, "ask the Sentinel %s", endpoint)
			continue
		}

		return sentinelAddresses(master, replicas), nil
	}

	return nil, last
}

func (r *Redis) clusterNodes(ctx context.Context) ([]string, error) {
	var last error
	for _, endpoint := range r.admin.Endpoints {
		text, err := r.client(endpoint).ClusterNodes(ctx).Result()
		if err != nil {
			last = redisError(err, "ask the node %s", endpoint)
			continue
		}

		nodes, master := clusterAddresses(text, endpoint, r.tls != nil)
		if !master {
			last = &Error{Kind: Unreachable, Message: fmt.Sprintf("the node %s of the Redis Cluster lists no master that can be used; look at CLUSTER NODES there", endpoint)}
			continue
		}

		return nodes, nil
	}

	return nil, last
}

// each runs do on every node, also after it has failed on one of them. It returns an
// error that somebody has to do something about rather than that a node did not answer.
func (r *Redis) each(ctx context.Context, do func(ctx context.Context, address string, node *redis.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	nodes, err := r.nodes(ctx)
	if err != nil {
		return err
	}

	var failed error
	for _, address := range nodes {
		err := redisError(do(ctx, address, r.client(address)), "provision on the node %s", address)
		if err != nil && (failed == nil || KindOf(failed) == Unreachable) {
			failed = err
		}
	}

	return failed
}

// commands are what a tenant's user may do: what its server does, on its own keys and
// channels. Nothing of it runs code of the tenant's, waits, or looks at the server or at
// other keys.
var commands = append(append([]string{"-@all"}, functions.Rights...), "+hello", "+ping")

// clusterCommands are what a client of a Redis Cluster needs besides.
var clusterCommands = []string{"+cluster|slots", "+cluster|shards", "+cluster|nodes", "+readonly", "+readwrite", "+asking", "+command"}

// tenantCommands are the rules for what a tenant's user may do.
func (r *Redis) tenantCommands() []string {
	if r.admin.Mode == Cluster {
		return append(slices.Clone(commands), clusterCommands...)
	}
	return commands
}

// EnsureUser makes the tenant's user, with these passwords, what it should be
// on every node. It writes nothing, and returns false, where it is that already. A
// user that belongs to another object is an OwnershipConflict.
func (r *Redis) EnsureUser(ctx context.Context, t tenant.Tenant, claim Claim, passwords ...string) (changed bool, err error) {
	return r.ensureUser(ctx, t, claim, passwords, false)
}

// AddPassword is EnsureUser for one password, next to which those that the user has
// still work: Pods that are being replaced know one of them.
func (r *Redis) AddPassword(ctx context.Context, t tenant.Tenant, claim Claim, password string) (changed bool, err error) {
	return r.ensureUser(ctx, t, claim, []string{password}, true)
}

func (r *Redis) ensureUser(ctx context.Context, t tenant.Tenant, claim Claim, passwords []string, others bool) (changed bool, err error) {
	if err := r.claimUser(ctx, t, claim); err != nil {
		return false, err
	}

	hashes := make([]string, 0, len(passwords))
	for _, password := range passwords {
		sum := sha256.Sum256([]byte(password))
		hashes = append(hashes, hex.EncodeToString(sum[:]))
	}

	keys, channels := "~"+t.KeyPrefix()+"*", "&"+t.KeyPrefix()+"*"
	err = r.each(ctx, func(ctx context.Context, address string, node *redis.Client) error {
		if err := functions.Ensure(ctx, node); err != nil {
			return err
		}
		user, err := aclUser(ctx, node, t.RedisUser())
		if err != nil {
			return err
		}

		accepted := hashes
		if others {
			accepted = user.withPasswords(hashes)
		}
		if known := r.knownRights(address); known != "" && user.is(accepted, keys, channels, known) {
			return nil
		}

		changed = true
		rules := []string{"reset", "on"}
		for _, hash := range accepted {
			rules = append(rules, "#"+hash)
		}
		rules = append(append(rules, keys, "resetchannels", channels), r.tenantCommands()...)
		if err := node.Do(ctx, arguments("ACL", "SETUSER", t.RedisUser(), rules)...).Err(); err != nil {
			return err
		}
		if user, err = aclUser(ctx, node, t.RedisUser()); err != nil {
			return err
		}

		r.learnRights(address, user.commands)
		return saveACL(ctx, node)
	})

	return changed, err
}

func (r *Redis) knownRights(address string) string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.rights[address]
}

func (r *Redis) learnRights(address, commands string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.rights[address] = commands
}

// DropUser removes the tenant's user from every node, which also ends its
// connections. A user that belongs to another object is an OwnershipConflict.
func (r *Redis) DropUser(ctx context.Context, t tenant.Tenant, claim Claim) error {
	if err := r.checkUser(ctx, t, claim); err != nil {
		return err
	}

	return r.each(ctx, func(ctx context.Context, _ string, node *redis.Client) error {
		removed, err := node.Do(ctx, "ACL", "DELUSER", t.RedisUser()).Int()
		if err != nil || removed == 0 {
			return err
		}
		return saveACL(ctx, node)
	})
}

// scanCount is how many keys one SCAN looks at: some 0.2 ms of the server.
const scanCount = 1000

// DropKeys removes every key of the tenant, and that it has an owner. Keys that
// belong to another object are an OwnershipConflict.
func (r *Redis) DropKeys(ctx context.Context, t tenant.Tenant, claim Claim) error {
	if err := r.checkUser(ctx, t, claim); err != nil {
		return err
	}

	err := r.each(ctx, func(ctx context.Context, _ string, node *redis.Client) error {
		role, err := node.Do(ctx, "ROLE").Slice()
		if err != nil || len(role) == 0 || role[0] != "master" {
			return err // replicas follow
		}

		return r.dropKeysOf(ctx, t, node)
	})
	if err != nil {
		return err
	}

	return r.forgetOwner(ctx, t)
}

// dropKeysOf goes on from where the last call ended that did not get through all of
// the node's keys, which are those of all tenants. A cursor is of one run of a server.
func (r *Redis) dropKeysOf(ctx context.Context, t tenant.Tenant, node *redis.Client) error {
	info, err := node.Info(ctx, "server").Result()
	if err != nil {
		return err
	}

	at := infoField(info, "run_id") + " " + t.ID
	cursor, _ := r.scans.Load(at)
	for next, _ := cursor.(uint64); ; r.scans.Store(at, next) {
		var keys []string
		var err error
		if keys, next, err = node.Scan(ctx, next, t.KeyPrefix()+"*", scanCount).Result(); err != nil {
			return err
		}

		pipe := node.Pipeline()
		for _, key := range keys { // one by one: in a cluster they are of different slots
			pipe.Unlink(ctx, key)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}

		if next == 0 {
			r.scans.Delete(at)
			return nil
		}
	}
}

// saveACL keeps users over a restart, where the server has a file for them.
func saveACL(ctx context.Context, node *redis.Client) error {
	err := node.Do(ctx, "ACL", "SAVE").Err()
	if err != nil && strings.Contains(err.Error(), "not configured to use an ACL file") {
		return nil // then a restart loses them and Watch notices
	}
	return err
}

func arguments(command, verb, name string, rules []string) []any {
	all := []any{command, verb, name}
	for _, rule := range rules {
		all = append(all, rule)
	}
	return all
}

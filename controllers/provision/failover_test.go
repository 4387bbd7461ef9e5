package provision

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

// deployment is a Redis of several nodes.
type deployment struct {
	admin  RedisAdmin
	nodes  []*stores.Redis
	master func(context.Context) (*stores.Redis, error)
	whole  func(context.Context) error
	// client connects as the tenant, to whichever node serves.
	client func(username, password string) redis.UniversalClient
}

func clusterDeployment(t *testing.T) deployment {
	cluster, err := stores.StartRedisCluster(t.Context(), stores.RedisClusterOptions{Replicas: 1})
	require.NoError(t, err)
	t.Cleanup(cluster.Close)

	return deployment{
		admin: RedisAdmin{Mode: Cluster, Endpoints: cluster.Addresses()[:4], Username: stores.AdminUser, Password: cluster.Nodes[0].AdminPassword()},
		nodes: cluster.Nodes, whole: cluster.WaitUntilWhole,
		master: func(ctx context.Context) (*stores.Redis, error) { return cluster.Master(ctx, "{0}") },
		client: func(username, password string) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addresses(), Username: username, Password: password,
				DisableIdentity: true, ClusterStateReloadInterval: time.Second})
		},
	}
}

func sentinelDeployment(t *testing.T) deployment {
	watched, err := stores.StartSentinel(t.Context(), stores.SentinelOptions{})
	require.NoError(t, err)
	t.Cleanup(watched.Close)

	return deployment{
		admin: RedisAdmin{Mode: Sentinel, Endpoints: append([]string{"127.0.0.1:1"}, watched.Addresses()...), MasterName: stores.SentinelMaster,
			Username: stores.AdminUser, Password: watched.Nodes[0].AdminPassword()},
		nodes: watched.Nodes, whole: watched.WaitUntilWhole, master: watched.Master,
		client: func(username, password string) redis.UniversalClient {
			return redis.NewFailoverClient(&redis.FailoverOptions{MasterName: stores.SentinelMaster, SentinelAddrs: watched.Addresses(),
				Username: username, Password: password, DisableIdentity: true})
		},
	}
}

// A failover loses no tenant's user, and a node that comes back with an old one
// gets what it missed.
func TestRedisUsersOutliveAFailover(t *testing.T) {
	for name, start := range map[string]func(*testing.T) deployment{"cluster": clusterDeployment, "sentinel": sentinelDeployment} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			r, err := OpenRedis(d.admin)
			require.NoError(t, err)
			t.Cleanup(r.Close)
			_, err = r.Check(t.Context())
			require.NoError(t, err)
			one, claim := newTenant()
			password, next := rand.Text(), rand.Text()
			ensure(t, r, one, claim, true, password)
			ensure(t, r, one, claim, false, password)
			d.requireLogin(t, one, password)

			client := d.client(one.RedisUser(), password)
			defer client.Close()

			key := one.KeyPrefix() + "{0}a"
			require.NoError(t, client.Set(t.Context(), key, 1, 0).Err())
			lost, stopWatching := watch(t, r)
			defer stopWatching()

			first, err := d.master(t.Context())
			require.NoError(t, err)
			first.Kill()
			eventually(t, "the tenant writes to the promoted replica", func() error {
				if now, err := d.master(t.Context()); err != nil || now == first {
					return fmt.Errorf("%v is the master (%w)", now, err)
				}
				return client.Set(t.Context(), key, 2, 0).Err()
			})

			// The password is changed while the node is away; it comes back with its file.
			eventually(t, "the nodes that are left are provisioned", func() error {
				_, err := r.EnsureUser(t.Context(), one, claim, next)
				return err
			})
			drain(lost)
			require.NoError(t, first.Start(t.Context()))

			select {
			case <-lost:
			case <-time.After(time.Minute):
				t.Fatal("the restart was not noticed")
			}

			require.NoError(t, d.whole(t.Context()))
			eventually(t, "the node that is back is provisioned", func() error { // once it is tried again
				_, err := r.EnsureUser(t.Context(), one, claim, next)
				return err
			})
			ensure(t, r, one, claim, false, next)
			d.requireLogin(t, one, next)
			d.requireDropped(t, r, one, claim, next)
		})
	}
}

func ensure(t *testing.T, r *Redis, one tenant.Tenant, claim Claim, changes bool, password string) {
	t.Helper()
	changed, err := r.EnsureUser(t.Context(), one, claim, password)
	require.NoError(t, err)
	require.Equal(t, changes, changed)
}

func watch(t *testing.T, r *Redis) (lost chan struct{}, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	lost = make(chan struct{}, 1)
	var watching sync.WaitGroup
	watching.Go(func() {
		r.Watch(ctx, watchInterval, func() {
			select {
			case lost <- struct{}{}:
			default: // it has been noticed
			}
		})
	})

	return lost, func() {
		cancel()
		watching.Wait()
	}
}

func drain(events chan struct{}) {
	select {
	case <-events:
	default:
	}
}

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	require.Eventually(t, func() bool {
		err = try()
		return err == nil
	}, 2*time.Minute, 50*time.Millisecond, "%s: %v", what, &err)
}

// requireLogin logs in on every node as the tenant.
func (d deployment) requireLogin(t *testing.T, one tenant.Tenant, password string) {
	t.Helper()
	for _, node := range d.nodes {
		client := redis.NewClient(&redis.Options{Addr: node.Address(), Username: one.RedisUser(), Password: password, DisableIdentity: true, MaxRetries: -1})
		require.NoError(t, client.Ping(t.Context()).Err(), node.Address())
		require.NoError(t, client.Close())
	}
}

// requireDropped drops the user from every node, and keys of any slot.
func (d deployment) requireDropped(t *testing.T, r *Redis, one tenant.Tenant, claim Claim, password string) {
	t.Helper()
	client := d.client(one.RedisUser(), password)
	for i := range 50 {
		eventually(t, "the tenant writes", func() error {
			return client.Set(t.Context(), fmt.Sprintf("%s{%d}", one.KeyPrefix(), i), i, 0).Err()
		})
	}

	require.NoError(t, client.Close())
	for range 2 {
		require.NoError(t, r.DropUser(t.Context(), one, claim))
		require.NoError(t, r.DropKeys(t.Context(), one, claim))
	}

	for _, node := range d.nodes {
		admin := node.Client()
		users, err := admin.Do(t.Context(), "ACL", "USERS").StringSlice()
		require.NoError(t, err)
		require.NotContains(t, users, one.RedisUser(), node.Address())
		eventually(t, "the keys are gone", func() error {
			if n, err := admin.DBSize(t.Context()).Result(); err != nil || n != 0 {
				return fmt.Errorf("%d keys are left on %s (%w)", n, node.Address(), err)
			}
			return nil
		})

		require.NoError(t, admin.Close())
	}
}

// The policy of every node counts, also while another one is away.
func TestRedisCheckLooksAtEveryNode(t *testing.T) {
	for name, start := range map[string]func(*testing.T) deployment{"cluster": clusterDeployment, "sentinel": sentinelDeployment} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			r, err := OpenRedis(d.admin)
			require.NoError(t, err)
			t.Cleanup(r.Close)
			_, err = r.Check(t.Context())
			require.NoError(t, err)

			for i, node := range d.nodes {
				client := node.Client()
				require.NoError(t, client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lfu").Err())
				_, err := r.Check(t.Context())
				require.Equal(t, Misconfigured, KindOf(err), "node %d: %v", i, err)
				require.ErrorContains(t, err, node.Address())
				require.NoError(t, client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
				require.NoError(t, client.Close())
			}

			last := d.nodes[len(d.nodes)-1].Client()
			defer last.Close()

			require.NoError(t, last.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lfu").Err())
			d.nodes[1].Kill()
			_, err = r.Check(t.Context())
			require.Equal(t, Misconfigured, KindOf(err), err)
		})
	}
}

// A node that refuses the administrator keeps no other one from its users.
func TestOneBadNodeHidesNoOther(t *testing.T) {
	d := sentinelDeployment(t)
	master, err := d.master(t.Context())
	require.NoError(t, err)

	for _, bad := range d.nodes {
		if bad == master {
			continue
		}
		require.NoError(t, d.whole(t.Context()))
		admin := bad.Client()
		require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", stores.AdminUser, "-acl|setuser").Err())
		one, claim := newTenant()
		r, err := OpenRedis(d.admin)
		require.NoError(t, err)
		_, err = r.EnsureUser(t.Context(), one, claim, rand.Text())
		require.Equal(t, InsufficientRights, KindOf(err), "%v", err)
		r.Close()

		for _, node := range d.nodes {
			client := node.Client()
			users, err := client.Do(t.Context(), "ACL", "USERS").StringSlice()
			require.NoError(t, err)
			require.Equal(t, node != bad, slices.Contains(users, one.RedisUser()), node.Address())
			require.NoError(t, client.Close())
		}

		// The file gives the right back.
		require.NoError(t, admin.Do(t.Context(), "ACL", "LOAD").Err())
		require.NoError(t, admin.Close())
	}
}

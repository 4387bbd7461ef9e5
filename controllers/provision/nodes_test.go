package provision

import (
	"crypto/rand"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

func TestClusterAddresses(t *testing.T) {
	t.Parallel()
	const rest = " - 0 1700000000000 1 connected 0-16383\n"
	for name, test := range map[string]struct {
		answer    string
		byName    bool
		addresses []string
		noMaster  bool
	}{
		"masters and replicas": {
			answer:    "a 10.0.0.1:6379@16379 myself,master" + rest + "b 10.0.0.2:6379@16379 slave a 0 0 1 connected\n",
			addresses: []string{"10.0.0.1:6379", "10.0.0.2:6379"}},
		"flags are words": {
			answer:    "a 10.0.0.1:6379@16379 myself,master,nofailover" + rest + "b 10.0.0.2:6379@16379 slave,nofailover a 0 0 1 connected\n",
			addresses: []string{"10.0.0.1:6379", "10.0.0.2:6379"}},
		"nodes that are away": {
			answer: "a 10.0.0.1:6379@16379 master" + rest + "b 10.0.0.2:6379@16379 master,fail" + rest + "c 10.0.0.3:6379@16379 slave,fail? a 0 0 1 connected\n" +
				"d 10.0.0.4:6379@16379 handshake - 0 0 0 connected\ne :0@0 slave,noaddr a 0 0 1 disconnected\n",
			addresses: []string{"10.0.0.1:6379"}},
		"IPv6 without brackets": {
			answer:    "a ::1:7001@17001 myself,master" + rest + "b fd00::2:7002@17002 slave a 0 0 1 connected\nc [fd00::3]:7003@17003 slave a 0 0 1 connected\n",
			addresses: []string{"[::1]:7001", "[fd00::2]:7002", "[fd00::3]:7003"}},
		"host names under TLS": {
			answer: "a 10.0.0.1:6379@16379,redis-0.redis.svc myself,master" + rest + "b 10.0.0.2:6379@16379,redis-1.redis.svc,shard-id=1 slave a 0 0 1 connected\n" +
				"c 10.0.0.3:6379@16379,,shard-id=1 slave a 0 0 1 connected\nd 10.0.0.4:6379@16379,? slave a 0 0 1 connected\ne 10.0.0.5:6379@16379,shard-id=1 slave a 0 0 1 connected\n",
			byName:    true,
			addresses: []string{"redis-0.redis.svc:6379", "redis-1.redis.svc:6379", "10.0.0.3:6379", "10.0.0.4:6379", "10.0.0.5:6379"}},
		"host names without TLS": {
			answer:    "a 10.0.0.1:6379@16379,redis-0.redis.svc myself,master" + rest + "b ?:6379@16379,redis-1.redis.svc slave a 0 0 1 connected\n",
			addresses: []string{"10.0.0.1:6379", "redis-1.redis.svc:6379"}},
		"a cluster of one knows no address": {
			answer: "a :6379@16379 myself,master" + rest, addresses: []string{"seed:6379"}},
		"another node without an address": {
			answer: "a 10.0.0.1:6379@16379 myself,master" + rest + "b :6379@16379 slave a 0 0 1 connected\n", addresses: []string{"10.0.0.1:6379"}},
		"no master": {
			answer:    "a 10.0.0.1:6379@16379 master,fail" + rest + "b 10.0.0.2:6379@16379 myself,slave a 0 0 1 connected\n",
			addresses: []string{"10.0.0.2:6379"}, noMaster: true},
		"nothing": {answer: "", noMaster: true},
		"what is no list": {
			answer: "a\nb c\nd nowhere master\n", noMaster: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addresses, master := clusterAddresses(test.answer, "seed:7000", test.byName)
			require.Equal(t, test.addresses, addresses)
			require.Equal(t, !test.noMaster, master)
		})
	}
}

func TestSentinelAddresses(t *testing.T) {
	t.Parallel()
	replica := func(ip, flags string) map[string]string {
		return map[string]string{"ip": ip, "port": "6379", "flags": flags}
	}
	require.Equal(t, []string{"[fd00::1]:6379", "download.example:6379"}, sentinelAddresses([]string{"fd00::1", "6379"}, []map[string]string{
		replica("download.example", "slave"), replica("10.0.0.2", "s_down,slave"), replica("10.0.0.3", "slave,o_down"), replica("10.0.0.4", "slave,disconnected"),
	}))
}

// Every node gets the tenant's user in a cluster whose nodes do not fail over on their own
// and have certificates for the host names that they announce; and one whose nodes list no
// master is none that has users.
func TestRedisClusterWithHostNames(t *testing.T) {
	authority, err := stores.NewAuthority()
	require.NoError(t, err)
	authority.Host = "localhost"
	cluster, err := stores.StartRedisCluster(t.Context(), stores.RedisClusterOptions{Masters: 1, Replicas: 1, Authority: authority,
		Args: []string{"--cluster-replica-no-failover", "yes", "--cluster-announce-hostname", "localhost", "--cluster-preferred-endpoint-type", "hostname"}})
	require.NoError(t, err)
	t.Cleanup(cluster.Close)

	admin := RedisAdmin{Mode: Cluster, TLS: true, CA: authority.PEM, Username: stores.AdminUser, Password: cluster.Nodes[0].AdminPassword()}
	for _, node := range cluster.Nodes {
		admin.Endpoints = append(admin.Endpoints, net.JoinHostPort("localhost", strconv.Itoa(node.Port)))
	}
	r, err := OpenRedis(admin)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	_, err = r.Check(t.Context())
	require.NoError(t, err)

	one, claim := newTenant()
	ensure(t, r, one, claim, true, rand.Text())
	for _, node := range cluster.Nodes {
		client := node.Client()
		defer client.Close()
		user, err := aclUser(t.Context(), client, one.RedisUser())
		require.NoError(t, err)
		require.NotNil(t, user, "the node %s has the user", node.Address())
	}

	cluster.Nodes[0].Kill()
	admin.Endpoints = admin.Endpoints[1:]
	alone, err := OpenRedis(admin)
	require.NoError(t, err)
	t.Cleanup(alone.Close)
	eventually(t, "the node that is left knows no master", func() error {
		_, err := alone.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), "lists no master that can be used") {
			return fmt.Errorf("the check says %w", err)
		}
		require.Equal(t, Unreachable, KindOf(err))
		return nil
	})
}

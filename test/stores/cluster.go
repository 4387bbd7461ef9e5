package stores

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// clusterSlots is how many slots a Redis Cluster has.
	clusterSlots = 16384
	// clusterNodeTimeout is after how many milliseconds a node counts as failed: as
	// short as busy test machines let it be.
	clusterNodeTimeout = "1500"
	// pollInterval is how often the state of several nodes is looked at.
	pollInterval = 20 * time.Millisecond
)

// RedisClusterOptions says how a Redis Cluster is started.
type RedisClusterOptions struct {
	// Masters share the slots; 0: three, the fewest that can vote on a failover.
	Masters int
	// Replicas is how many each master has.
	Replicas int
	// Authority, where set, signs certificates for the nodes, which then take encrypted
	// connections only.
	Authority *Authority
	// Args are further arguments of redis-server.
	Args []string
}

// RedisCluster is a running Redis Cluster, each node with an ACL file (see
// RedisOptions.ACLFile).
type RedisCluster struct {
	// Nodes are all nodes. The masters come first at the start; failovers change
	// who is one.
	Nodes []*Redis
}

// StartRedisCluster starts the nodes, makes them one cluster and returns once
// every node finds it whole and every replica follows its master.
func StartRedisCluster(ctx context.Context, options RedisClusterOptions) (*RedisCluster, error) {
	if options.Masters == 0 {
		options.Masters = 3
	}

	c := &RedisCluster{Nodes: make([]*Redis, options.Masters*(1+options.Replicas))}
	var group errgroup.Group
	for i := range c.Nodes {
		group.Go(func() (err error) {
			c.Nodes[i], err = startClusterNode(ctx, options)
			return err
		})
	}

	err := group.Wait()
	if err == nil {
		err = c.join(ctx, options)
	}

	if err != nil {
		c.Close()
		return nil, fmt.Errorf("start a Redis Cluster: %w", err)
	}

	return c, nil
}

// startClusterNode starts a node; another process may take the port of its bus first.
func startClusterNode(ctx context.Context, options RedisClusterOptions) (node *Redis, err error) {
	for range 3 {
		busPort, failed := freePort() // the default, ten thousand more than the port, need not exist
		if failed != nil {
			return nil, failed
		}
		if node, err = startClusterNodeAt(ctx, busPort, options); err == nil {
			return node, nil
		}
	}
	return nil, err
}

func startClusterNodeAt(ctx context.Context, busPort int, options RedisClusterOptions) (*Redis, error) {
	args := append(replicationArgs(), "--cluster-enabled", "yes",
		"--cluster-port", strconv.Itoa(busPort), "--cluster-node-timeout", clusterNodeTimeout,
		// However long a replica was cut off, it takes over; and it stays with its master.
		"--cluster-replica-validity-factor", "0", "--cluster-allow-replica-migration", "no")
	if options.Authority != nil {
		args = append(args, "--tls-cluster", "yes", "--tls-replication", "yes")
	}
	return StartRedis(ctx, RedisOptions{ACLFile: true, Authority: options.Authority, Args: append(args, options.Args...)})
}

// replicationArgs let a node follow another that has an ACL file.
func replicationArgs() []string {
	return []string{"--masteruser", AdminUser, "--masterauth", redisAdminPassword, "--repl-diskless-sync-delay", "0"}
}

// join makes single nodes one cluster.
func (c *RedisCluster) join(ctx context.Context, options RedisClusterOptions) error {
	for i, node := range c.Nodes {
		client := node.Client()
		defer client.Close()

		commands := [][]any{{"CLUSTER", "SET-CONFIG-EPOCH", i + 1}}
		if i < options.Masters {
			commands = append(commands, []any{"CLUSTER", "ADDSLOTSRANGE", i * clusterSlots / options.Masters, (i+1)*clusterSlots/options.Masters - 1})
		}

		if i > 0 {
			commands = append(commands, []any{"CLUSTER", "MEET", "127.0.0.1", c.Nodes[0].Port, c.Nodes[0].busPort()})
		}

		for _, command := range commands {
			if err := client.Do(ctx, command...).Err(); err != nil {
				return fmt.Errorf("%v: %w", command, err)
			}
		}
	}

	for i := options.Masters; i < len(c.Nodes); i++ {
		if err := follow(ctx, c.Nodes[i], c.Nodes[i%options.Masters]); err != nil {
			return err
		}
	}

	return c.WaitUntilWhole(ctx)
}

// busPort is the port that nodes talk to each other on.
func (r *Redis) busPort() string {
	return r.options.Args[slices.Index(r.options.Args, "--cluster-port")+1]
}

// follow makes a node of a cluster the replica of another as soon as it knows it.
func follow(ctx context.Context, replica, master *Redis) error {
	id, err := master.nodeID(ctx)
	if err != nil {
		return err
	}
	client := replica.Client()
	defer client.Close()
	return poll(ctx, func(ctx context.Context) error { return client.ClusterReplicate(ctx, id).Err() })
}

func (r *Redis) nodeID(ctx context.Context) (string, error) {
	client := r.Client()
	defer client.Close()
	return client.ClusterMyID(ctx).Result()
}

// poll tries until it succeeds or ctx ends.
func poll(ctx context.Context, try func(context.Context) error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()

	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := try(attempt)
		cancel()
		if err == nil {
			return nil
		}

		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// Addresses are host:port of every node.
func (c *RedisCluster) Addresses() []string {
	all := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		all[i] = node.Address()
	}
	return all
}

// WaitUntilWhole waits until every node runs, knows all others, finds every slot
// served, and follows its master if it is a replica.
func (c *RedisCluster) WaitUntilWhole(ctx context.Context) error {
	for _, node := range c.Nodes {
		client := node.Client()
		defer client.Close()
		err := poll(ctx, func(ctx context.Context) error { return c.whole(ctx, client) })
		if err != nil {
			return fmt.Errorf("node %s: %w", node.Address(), err)
		}
	}
	return nil
}

// failing is a flag of a node that is down, and not part of another one (nofailover).
var failing = regexp.MustCompile(`[ ,]fail[?]?[ ,]`)

func (c *RedisCluster) whole(ctx context.Context, node *redis.Client) error {
	info, err := node.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}

	nodes, err := node.ClusterNodes(ctx).Result()
	if err != nil {
		return err
	}

	replication, err := node.Info(ctx, "replication").Result()
	switch {
	case err != nil:
		return err
	case !strings.Contains(info, "cluster_state:ok"), strings.Count(nodes, "\n") != len(c.Nodes),
		failing.MatchString(nodes), strings.Contains(nodes, "handshake"):
		return fmt.Errorf("the cluster is not whole:\n%s%s", info, nodes)
	case strings.Contains(replication, "master_link_status:down"), strings.Contains(replication, "master_sync_in_progress:1"):
		return fmt.Errorf("the replica does not follow:\n%s", replication)
	}

	return nil
}

// Master returns the node that serves the key, as the other nodes see it.
func (c *RedisCluster) Master(ctx context.Context, key string) (*Redis, error) {
	var failed error
	for _, node := range c.Nodes {
		master, err := c.masterAsSeenBy(ctx, node, key)
		if err == nil {
			return master, nil
		}
		failed = errors.Join(failed, err)
	}

	return nil, fmt.Errorf("find who serves %s: %w", key, failed)
}

func (c *RedisCluster) masterAsSeenBy(ctx context.Context, node *Redis, key string) (*Redis, error) {
	client := node.Client()
	defer client.Close()

	slot, err := client.ClusterKeySlot(ctx, key).Result()
	if err != nil {
		return nil, err
	}

	shards, err := client.ClusterShards(ctx).Result()
	if err != nil {
		return nil, err
	}

	for _, shard := range shards {
		if !slices.ContainsFunc(shard.Slots, func(r redis.SlotRange) bool { return r.Start <= slot && slot <= r.End }) {
			continue
		}
		for _, found := range shard.Nodes {
			i := slices.IndexFunc(c.Nodes, func(n *Redis) bool { return int64(n.Port) == found.Port })
			if found.Role == "master" && found.Health == "online" && i >= 0 { // a master that is gone stays in the list
				return c.Nodes[i], nil
			}
		}
	}

	return nil, fmt.Errorf("%s knows no master for slot %d", node.Address(), slot)
}

// Close ends all nodes and removes their folders.
func (c *RedisCluster) Close() {
	for _, node := range c.Nodes {
		if node != nil {
			node.Close()
		}
	}
}

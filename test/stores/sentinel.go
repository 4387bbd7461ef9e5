package stores

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// SentinelMaster is the name that the Sentinels of [StartSentinel] know the
// master by.
const SentinelMaster = "leaderboards"

const sentinelNodes, sentinelCount, sentinelQuorum = 3, 3, 2

// Sentinel is a running master with two replicas, each with an ACL file (see
// RedisOptions.ACLFile), and three Sentinels that watch them without a login of
// their own.
type Sentinel struct {
	// Nodes are the master and its replicas. Failovers change who is which.
	Nodes     []*Redis
	sentinels []*sentinel
	options   SentinelOptions
}

// sentinel is one Sentinel process.
type sentinel struct {
	port    int
	dir     string
	process *process
	options SentinelOptions
}

// SentinelOptions says how nodes and Sentinels are started.
type SentinelOptions struct {
	// Login has Sentinels ask for a login: SentinelPassword for their user default, who may
	// do everything, and SentinelGames with the same password for games.
	Login bool
	// Authority, where set, signs certificates for all of them, which then take encrypted
	// connections only.
	Authority *Authority
}

// Logins of Sentinels that ask for one.
const (
	SentinelPassword = "sentinels-of-a-throwaway-master"
	SentinelGames    = "games"
)

// sentinelRights are those that docs/stores.md lists for games.
const sentinelRights = "resetchannels &+switch-master &+slave-reconf-done -@all +subscribe +ping +hello +sentinel|get-master-addr-by-name +sentinel|sentinels +sentinel|replicas"

// StartSentinel starts the nodes and the Sentinels and returns once every
// Sentinel knows all of them, so that a failover can begin.
func StartSentinel(ctx context.Context, options SentinelOptions) (*Sentinel, error) {
	s := &Sentinel{Nodes: make([]*Redis, sentinelNodes), options: options}
	err := s.startNodes(ctx)
	for range sentinelCount {
		if err == nil {
			err = s.startSentinel(ctx)
		}
	}

	if err == nil {
		err = s.WaitUntilWhole(ctx)
	}

	if err != nil {
		s.Close()
		return nil, fmt.Errorf("start Redis with Sentinels: %w", err)
	}

	return s, nil
}

func (s *Sentinel) startNodes(ctx context.Context) error {
	var group errgroup.Group
	for i := range s.Nodes {
		group.Go(func() (err error) {
			s.Nodes[i], err = StartRedis(ctx, RedisOptions{ACLFile: true, Authority: s.options.Authority, Args: replicationArgs()})
			return err
		})
	}

	if err := group.Wait(); err != nil {
		return err
	}

	for _, replica := range s.Nodes[1:] {
		client := replica.Client()
		defer client.Close()

		if err := client.Do(ctx, "REPLICAOF", "127.0.0.1", s.Nodes[0].Port).Err(); err != nil {
			return fmt.Errorf("follow the master: %w", err)
		}
		if err := poll(ctx, func(ctx context.Context) error { return follows(ctx, client) }); err != nil {
			return err
		}
	}

	return nil
}

func follows(ctx context.Context, replica *redis.Client) error {
	info, err := replica.Info(ctx, "replication").Result()
	if err == nil && !strings.Contains(info, "master_link_status:up") {
		err = fmt.Errorf("the replica does not follow:\n%s", info)
	}
	return err
}

func (s *Sentinel) startSentinel(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "sentinel-")
	if err != nil {
		return fmt.Errorf("make the folder of a Sentinel: %w", err)
	}

	one := &sentinel{dir: dir, options: s.options}
	s.sentinels = append(s.sentinels, one)
	if one.port, err = freePort(); err != nil {
		return err
	}

	config := filepath.Join(dir, "sentinel.conf") // which the Sentinel rewrites
	content := fmt.Sprintf(`bind 127.0.0.1
dir %[3]s
sentinel monitor %[1]s 127.0.0.1 %[4]d %[2]d
sentinel auth-user %[1]s %[5]s
sentinel auth-pass %[1]s %[6]s
sentinel down-after-milliseconds %[1]s 1000
sentinel failover-timeout %[1]s 3000
`, SentinelMaster, sentinelQuorum, dir, s.Nodes[0].Port, AdminUser, redisAdminPassword)
	more, err := one.settings()
	if err != nil {
		return err
	}
	content += more

	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return fmt.Errorf("write the configuration of a Sentinel: %w", err)
	}

	log := filepath.Join(dir, "server.log")
	if one.process, err = startProcess(s.Nodes[0].binary, []string{config, "--sentinel"}, nil, log, nil); err != nil {
		return err
	}

	client := one.client()
	defer client.Close()

	return one.process.ready(ctx, "Sentinel", log, func(ctx context.Context) error {
		// Tests wait for it: it looks around several times a second, not every 10 s.
		return client.Process(ctx, redis.NewCmd(ctx, "SENTINEL", "DEBUG", "info-period", 500, "publish-period", 200, "ask-period", 200, "ping-period", 200))
	})
}

// settings are those of the port and of who may log in.
func (one *sentinel) settings() (string, error) {
	lines := []string{"port " + strconv.Itoa(one.port)}
	if one.options.Authority != nil {
		certificate := filepath.Join(one.dir, "server.crt")
		if err := one.options.Authority.certify(certificate, nil); err != nil {
			return "", err
		}
		lines = []string{"port 0"}
		for pair := range slices.Chunk(tlsArgs("", one.port, certificate, false), 2) {
			lines = append(lines, strings.Join(pair, " "))
		}
	}
	if one.options.Login {
		lines = append(lines, "requirepass "+SentinelPassword, "user "+SentinelGames+" on >"+SentinelPassword+" "+sentinelRights)
	}
	return strings.Join(lines, "\n") + "\n", nil
}

func (one *sentinel) client() *redis.SentinelClient {
	options := &redis.Options{Addr: address(one.port), DisableIdentity: true, MaxRetries: -1, DialerRetries: 1}
	if one.options.Login {
		options.Password = SentinelPassword
	}
	if one.options.Authority != nil {
		options.TLSConfig = one.options.Authority.clientConfig()
	}
	return redis.NewSentinelClient(options)
}

// Addresses are host:port of the Sentinels.
func (s *Sentinel) Addresses() []string {
	all := make([]string, len(s.sentinels))
	for i, one := range s.sentinels {
		all[i] = address(one.port)
	}
	return all
}

// WaitUntilWhole waits until every Sentinel finds the master, both replicas and
// the other Sentinels alive.
func (s *Sentinel) WaitUntilWhole(ctx context.Context) error {
	for _, one := range s.sentinels {
		client := one.client()
		defer client.Close()
		if err := poll(ctx, func(ctx context.Context) error { return whole(ctx, client) }); err != nil {
			return fmt.Errorf("Sentinel %d: %w", one.port, err)
		}
	}
	return nil
}

func whole(ctx context.Context, sentinel *redis.SentinelClient) error {
	master, err := sentinel.Master(ctx, SentinelMaster).Result()
	if err != nil {
		return err
	}
	if master["flags"] != "master" || master["num-slaves"] != strconv.Itoa(sentinelNodes-1) || master["num-other-sentinels"] != strconv.Itoa(sentinelCount-1) {
		return fmt.Errorf("not all are found yet: %v", master)
	}

	replicas, err := sentinel.Replicas(ctx, SentinelMaster).Result()
	if err != nil {
		return err
	}

	for _, replica := range replicas {
		if replica["flags"] != "slave" || replica["master-link-status"] != "ok" {
			return fmt.Errorf("a replica is not in order: %v", replica)
		}
	}

	return nil
}

// Master returns the node that the first Sentinel calls the master.
func (s *Sentinel) Master(ctx context.Context) (*Redis, error) {
	client := s.sentinels[0].client()
	defer client.Close()

	found, err := client.GetMasterAddrByName(ctx, SentinelMaster).Result()
	if err != nil {
		return nil, fmt.Errorf("ask for the master: %w", err)
	}

	for _, node := range s.Nodes {
		if strconv.Itoa(node.Port) == found[1] {
			return node, nil
		}
	}

	return nil, fmt.Errorf("the master %v is unknown", found)
}

// Close ends all processes and removes their folders.
func (s *Sentinel) Close() {
	for _, one := range s.sentinels {
		if one.process != nil {
			one.process.signal(syscall.SIGKILL)
		}
		_ = os.RemoveAll(one.dir)
	}
	for _, node := range s.Nodes {
		if node != nil {
			node.Close()
		}
	}
}

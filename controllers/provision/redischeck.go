package provision

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// minRedis is the oldest supported version.
const minRedis = 7

// neverEvict is the only maxmemory-policy under which a ranking stays whole.
const neverEvict = "noeviction"

// Check says whether the deployment can hold rankings, and its version. A node that does
// not answer hides nothing that is wrong with another one.
func (r *Redis) Check(ctx context.Context) (version string, err error) {
	err = r.each(ctx, func(ctx context.Context, address string, node *redis.Client) error {
		found, err := r.checkNode(ctx, address, node)
		if err == nil {
			version = found
		}
		return redisError(err, "look at the node %s", address)
	})
	return version, err
}

func (r *Redis) checkNode(ctx context.Context, address string, node *redis.Client) (version string, err error) {
	info, err := node.Info(ctx, "server", "memory", "replication").Result()
	if err != nil {
		return "", err
	}

	version = infoField(info, "redis_version")
	name := "Redis"
	if valkey := infoField(info, "valkey_version"); valkey != "" {
		version, name = valkey, "Valkey"
	}

	major, _, _ := strings.Cut(version, ".")
	if number, err := strconv.Atoi(major); err != nil || number < minRedis {
		return "", &Error{Kind: Misconfigured, Message: fmt.Sprintf("%s %s on %s is too old: Redis 7.0 or Valkey 8 is needed", name, version, address)}
	}
	if err := checkEviction(address, info); err != nil {
		return "", err
	}

	return name + " " + version, r.checkRole(address, info)
}

// checkRole refuses a node that is not what the class says it is. Replicas take no writes:
// they belong to a deployment whose primary is found through Sentinels or the cluster.
func (r *Redis) checkRole(address, info string) error {
	switch {
	case infoField(info, "redis_mode") == "sentinel":
		return &Error{Kind: Misconfigured, Message: "a Sentinel answers on " + address + ": set redis.mode to Sentinel and redis.masterName to the name of the primary"}
	case r.admin.Mode == Standalone && infoField(info, "role") == "slave":
		return &Error{Kind: ReadOnly, Message: "Redis on " + address + " is a replica, which takes no writes: set redis.endpoints to the primary (of a managed service, to its primary endpoint), or wait until it has been promoted"}
	}
	return nil
}

// Prepare says whether the deployment can be shared by tenants, loads the functions, and
// tries out what tenants will need.
func (r *Redis) Prepare(ctx context.Context) error {
	err := r.each(ctx, func(ctx context.Context, address string, node *redis.Client) error {
		if err := checkDefaultUser(ctx, address, node); err != nil {
			return err
		}
		return functions.Ensure(ctx, node)
	})
	if err != nil {
		return err
	}
	return r.Probe(ctx)
}

func checkDefaultUser(ctx context.Context, address string, node *redis.Client) error {
	user, err := aclUser(ctx, node, "default")
	if err != nil {
		return aclError(err, address, "ACL GETUSER")
	}
	if user != nil && slices.Contains(user.flags, "on") && slices.Contains(user.flags, "nopass") {
		return &Error{Kind: Misconfigured, Message: "the user default of Redis on " + address +
			" needs no password, so that anyone who reaches it can read every game: turn it off (user default off in the ACL file)"}
	}

	return nil
}

// checkEviction refuses a node that may delete keys to make room: what is left of
// a board would be served as if it were whole. INFO says the policy on managed
// services, too, which deny CONFIG GET. A replica becomes a master one day, so its
// policy matters as well.
func checkEviction(address, info string) error {
	if policy := infoField(info, "maxmemory_policy"); policy != "" && policy != neverEvict {
		return &Error{Kind: Misconfigured, Message: fmt.Sprintf("Redis on %s would evict keys of rankings once its memory is full (maxmemory-policy %s): "+
			"set maxmemory-policy %s on every node, in redis.conf and with CONFIG SET, or in the parameters of the managed service", address, policy, neverEvict)}
	}

	return nil
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

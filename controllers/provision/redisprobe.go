package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// The user and the keys by which a deployment is tried out. No tenant's begin like them.
// The user has the same name each time, so one that was left behind, when the operator was
// ended in between, is replaced by the next one; by then it may use its own keys alone.
const (
	probeUser   = "leaderboard-operator-probe"
	probePrefix = "leaderboard-operator:probe:"
)

// Probe does on every node what games will need: it makes a user with the rights of a
// tenant, logs in as it, has it write through a function where the node is a primary, and
// removes the user.
func (r *Redis) Probe(ctx context.Context) error {
	return r.each(ctx, r.probeNode)
}

func (r *Redis) probeNode(ctx context.Context, address string, node *redis.Client) (err error) {
	password := rand.Text()
	rules := append([]string{"reset", "on", ">" + password, "~" + probePrefix + "*", "resetchannels", "&" + probePrefix + "*"}, r.tenantCommands()...)
	if err := node.Do(ctx, arguments("ACL", "SETUSER", probeUser, rules)...).Err(); err != nil {
		return aclError(err, address, "ACL SETUSER")
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		if left := node.Do(ctx, "ACL", "DELUSER", probeUser).Err(); left != nil && err == nil {
			err = aclError(left, address, "ACL DELUSER")
		}
		if unsaved := saveACL(ctx, node); unsaved != nil && err == nil {
			err = aclError(unsaved, address, "ACL SAVE")
		}
	}()

	user, err := aclUser(ctx, node, probeUser)
	switch {
	case err != nil:
		return aclError(err, address, "ACL GETUSER")
	case user == nil || !slices.Contains(user.flags, "on"):
		return &Error{Kind: Misconfigured, Message: fmt.Sprintf("Redis on %s takes ACL SETUSER and has no such user afterwards, so games could not log in: set redis.endpoints to the servers themselves, not to a proxy", address)}
	}

	return r.probeAsTenant(ctx, address, node, password)
}

// probeAsTenant logs in as the probe's user and writes a key, which expires.
func (r *Redis) probeAsTenant(ctx context.Context, address string, node *redis.Client, password string) error {
	options := *node.Options()
	options.Username, options.Password, options.PoolSize, options.ClientName = probeUser, password, 1, ""
	client := redis.NewClient(&options)
	defer client.Close()

	err := client.Ping(ctx).Err()
	if refused := redis.Error(nil); errors.As(err, &refused) {
		return &Error{Kind: Misconfigured, Message: fmt.Sprintf("Redis on %s does not let a user in that was made by ACL SETUSER, so games could not log in", address), Cause: err}
	}
	if err != nil {
		return err
	}

	info, err := node.Info(ctx, "replication").Result()
	if err != nil || infoField(info, "role") != "master" {
		return err
	}

	key := probePrefix + rand.Text()
	now, interval := time.Now().UnixMicro(), time.Second.Microseconds()
	err = client.FCall(ctx, functions.TakeRate.Name, []string{key}, now, interval, 1).Err()
	return r.writeError(err, address)
}

// writeError words what refused a write of the probe; nil stays nil.
func (r *Redis) writeError(err error, address string) error {
	var answer redis.Error
	if err == nil || !errors.As(err, &answer) {
		return err
	}

	switch text := err.Error(); {
	case strings.HasPrefix(text, "MOVED"), strings.HasPrefix(text, "ASK"):
		if r.admin.Mode == Cluster {
			return nil // another node has the slot; the right to the command was looked at before
		}
		return &Error{Kind: Misconfigured, Message: fmt.Sprintf("Redis on %s is a node of a Redis Cluster: set redis.mode to Cluster", address), Cause: err}
	case strings.HasPrefix(text, "READONLY"):
		return nil // it was demoted in between; Check says so
	case strings.HasPrefix(text, "CLUSTERDOWN"), strings.HasPrefix(text, "LOADING"):
		return err
	case strings.HasPrefix(text, "OOM"):
		return &Error{Kind: ReadOnly, Message: fmt.Sprintf("Redis on %s takes no writes, as its memory is full: raise maxmemory; about 130 bytes a player and board are needed", address), Cause: err}
	case strings.HasPrefix(text, "MISCONF"):
		return &Error{Kind: ReadOnly, Message: fmt.Sprintf("Redis on %s takes no writes, as it could not store its last snapshot: make room on its disk, or turn snapshots off (save \"\"), which nobody needs here", address), Cause: err}
	case strings.HasPrefix(text, "NOREPLICAS"):
		return &Error{Kind: ReadOnly, Message: fmt.Sprintf("Redis on %s takes no writes without more replicas: start them, or lower min-replicas-to-write", address), Cause: err}
	default:
		return &Error{Kind: Misconfigured, Message: fmt.Sprintf("Redis on %s does not run the functions of games (FCALL with the rights of a user): Redis 7.0 or Valkey 8 with all commands is needed", address), Cause: err}
	}
}

// aclError words that the administrator may not look after users.
func aclError(err error, address, command string) error {
	var answer redis.Error
	if !errors.As(err, &answer) || strings.HasPrefix(err.Error(), "LOADING") {
		return err
	}

	return &Error{Kind: InsufficientRights, Message: fmt.Sprintf("Redis on %s refused the administrator %s, and every game gets a user of its own: give it +@all, ~* and &* (or the rights in docs/managed-stores.md); "+
		"a managed service that keeps ACLs to itself cannot be used", address, command), Cause: err}
}

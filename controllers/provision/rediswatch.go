package provision

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// lookAtNodes loads the functions where they are missing, closes what keeps others out, and returns the run id of every
// node by its address. A node that has been restarted has another one, and may have lost
// its users.
func (r *Redis) lookAtNodes(ctx context.Context) (map[string]string, error) {
	ids := map[string]string{}
	err := r.each(ctx, func(ctx context.Context, address string, node *redis.Client) error {
		info, err := node.Info(ctx, "server", "clients").Result()
		if err != nil {
			return err
		}
		ids[address] = infoField(info, "run_id")
		if err := functions.Ensure(ctx, node); err != nil {
			return err
		}
		return endCrowd(ctx, node, info)
	})
	return ids, err
}

// Redis bounds the connections of all users together (maxclients). Once half of them are
// taken, a tenant that has more than a quarter has all of its own closed.
const crowded, tenantShare = 2, 4

// endCrowd closes the connections of a tenant that keeps others out. info is of INFO with
// the section clients.
func endCrowd(ctx context.Context, node *redis.Client, info string) error {
	connected, _ := strconv.Atoi(infoField(info, "connected_clients"))
	most, err := strconv.Atoi(infoField(info, "maxclients"))
	if err != nil || connected*crowded < most {
		return nil //nolint:nilerr // a service that does not tell
	}

	list, err := node.ClientList(ctx).Result()
	if err != nil {
		return err
	}
	count := map[string]int{}
	for line := range strings.Lines(list) {
		for field := range strings.FieldsSeq(line) {
			if user, ok := strings.CutPrefix(field, "user="); ok && strings.HasPrefix(user, tenant.SchemaPrefix) {
				count[user]++
			}
		}
	}

	for user, n := range count {
		if n*tenantShare > most {
			if err := node.Do(ctx, "CLIENT", "KILL", "USER", user).Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Watch calls lost whenever a node has been restarted or is back after it could
// not be reached, until ctx ends. It asks every interval, and puts the functions where
// they are missing.
func (r *Redis) Watch(ctx context.Context, interval time.Duration, lost func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()

	known, away := map[string]string(nil), false
	for {
		ids, err := r.lookAtNodes(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			away = true
		default:
			if away || known != nil && restarted(known, ids) {
				r.id.Store(nil) // it may be another one
				lost()
			}
			known, away = ids, false
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// restarted says whether a node is new or has been restarted.
func restarted(before, now map[string]string) bool {
	for address, id := range now {
		if before[address] != id {
			return true
		}
	}
	return false
}

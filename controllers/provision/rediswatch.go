package provision

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// lookAtNodes loads the functions where they are missing, and returns the run id of every
// node by its address. A node that has been restarted has another one, and may have lost
// its users.
func (r *Redis) lookAtNodes(ctx context.Context) (map[string]string, error) {
	ids := map[string]string{}
	err := r.each(ctx, func(ctx context.Context, address string, node *redis.Client) error {
		info, err := node.Info(ctx, "server").Result()
		if err != nil {
			return err
		}
		ids[address] = infoField(info, "run_id")
		return functions.Ensure(ctx, node)
	})
	return ids, err
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

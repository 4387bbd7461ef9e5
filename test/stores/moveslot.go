package stores

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// MoveSlot moves the slot of the key to another master, key by key as
// redis-cli --cluster reshard does. between is called before the first key is
// moved, after each one, and once all are gone but the slot is not yet handed over.
func (c *RedisCluster) MoveSlot(ctx context.Context, key string, to *Redis, between func()) error {
	from, err := c.Master(ctx, key)
	if err != nil {
		return err
	}

	m := &slotMove{source: from.Client(), target: to.Client(), to: to}
	defer m.source.Close()
	defer m.target.Close()

	if m.slot, err = m.source.ClusterKeySlot(ctx, key).Result(); err != nil {
		return fmt.Errorf("find the slot of %s: %w", key, err)
	}
	if m.targetID, err = to.nodeID(ctx); err != nil {
		return err
	}

	sourceID, err := from.nodeID(ctx)
	if err != nil {
		return err
	}
	if err := m.target.Do(ctx, "CLUSTER", "SETSLOT", m.slot, "IMPORTING", sourceID).Err(); err != nil {
		return fmt.Errorf("import slot %d: %w", m.slot, err)
	}
	if err := m.source.Do(ctx, "CLUSTER", "SETSLOT", m.slot, "MIGRATING", m.targetID).Err(); err != nil {
		return fmt.Errorf("migrate slot %d: %w", m.slot, err)
	}

	between()
	if err := m.keys(ctx, between); err != nil {
		return fmt.Errorf("move the keys of slot %d: %w", m.slot, err)
	}

	// The new owner first: nobody may be told that nobody has the slot.
	for _, node := range []*redis.Client{m.target, m.source} {
		if err := node.Do(ctx, "CLUSTER", "SETSLOT", m.slot, "NODE", m.targetID).Err(); err != nil {
			return fmt.Errorf("hand slot %d over: %w", m.slot, err)
		}
	}

	return c.agree(ctx, key, to)
}

// agree waits until every node has heard whose the slot is: a replica that has
// not is refused the votes to take over from its master.
func (c *RedisCluster) agree(ctx context.Context, key string, owner *Redis) error {
	for _, node := range c.Nodes {
		err := poll(ctx, func(ctx context.Context) error {
			seen, err := c.masterAsSeenBy(ctx, node, key)
			if err == nil && seen != owner {
				err = fmt.Errorf("%s takes %s for the owner of %s", node.Address(), seen.Address(), key)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

type slotMove struct {
	slot           int64
	source, target *redis.Client
	to             *Redis
	targetID       string
}

func (m *slotMove) keys(ctx context.Context, between func()) error {
	for {
		keys, err := m.source.ClusterGetKeysInSlot(ctx, int(m.slot), 1).Result()
		if err != nil || len(keys) == 0 {
			return err
		}

		const timeout = 5000 // milliseconds
		if err := m.source.Do(ctx, "MIGRATE", "127.0.0.1", m.to.Port, "", 0, timeout,
			"AUTH2", AdminUser, redisAdminPassword, "KEYS", keys[0]).Err(); err != nil {
			return err
		}

		between()
	}
}

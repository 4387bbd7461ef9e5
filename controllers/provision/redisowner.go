package provision

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// Owners of users are kept in one hash under the operator's own prefix, since a
// user has no comment. A Redis that was emptied has lost them: then the next one
// that asks is the owner.

// onKeeper runs do on the primary that holds the operator's own keys.
func (r *Redis) onKeeper(ctx context.Context, do func(context.Context, redis.Cmdable) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	if r.admin.Mode == Cluster {
		return redisError(do(ctx, r.clusterClient()), "read or write the operator's keys")
	}

	nodes, err := r.nodes(ctx)
	if err != nil {
		return err
	}

	return redisError(do(ctx, r.client(nodes[0])), "read or write the operator's keys on %s", nodes[0])
}

// clusterClient finds the node of a key; it is made when first needed.
func (r *Redis) clusterClient() *redis.ClusterClient {
	r.mutex.Lock()
	defer r.mutex.Unlock()

	if r.cluster == nil {
		r.cluster = redis.NewClusterClient(&redis.ClusterOptions{Addrs: r.admin.Endpoints, Username: r.admin.Username, Password: r.admin.Password, ClientName: clientName,
			Dialer: r.dial, ReadTimeout: connectTimeout, WriteTimeout: connectTimeout, MaxRetries: -1, PoolSize: 2, DisableIdentity: true})
	}

	return r.cluster
}

// claimUser makes the claim's owner the owner of the tenant's user and keys, or
// returns an OwnershipConflict. It writes nothing if it is that already.
func (r *Redis) claimUser(ctx context.Context, t tenant.Tenant, claim Claim) error {
	want, err := encode(claim.Owner)
	if err != nil {
		return err
	}

	return r.onKeeper(ctx, func(ctx context.Context, keeper redis.Cmdable) error {
		has, err := admittedOwner(ctx, keeper, t, claim)
		switch {
		case err != nil || has == want:
			return err
		case has != "":
			return keeper.HSet(ctx, redisOwnersKey, t.RedisUser(), want).Err()
		}

		if set, err := keeper.HSetNX(ctx, redisOwnersKey, t.RedisUser(), want).Result(); err != nil || set {
			return err
		}
		_, err = admittedOwner(ctx, keeper, t, claim) // another operator was faster
		return err
	})
}

// checkUser returns an OwnershipConflict if the tenant's user and keys are another's.
func (r *Redis) checkUser(ctx context.Context, t tenant.Tenant, claim Claim) error {
	return r.onKeeper(ctx, func(ctx context.Context, keeper redis.Cmdable) error {
		_, err := admittedOwner(ctx, keeper, t, claim)
		return err
	})
}

// admittedOwner reads whose the tenant's user is, as it is written down; "" is nobody.
// An owner that does not admit the claim is an error.
func admittedOwner(ctx context.Context, keeper redis.Cmdable, t tenant.Tenant, claim Claim) (string, error) {
	text, err := keeper.HGet(ctx, redisOwnersKey, t.RedisUser()).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", err
	}

	what := "the Redis user " + t.RedisUser()
	if owner, known := parseOwner(text); known {
		return text, claim.admit(owner, what)
	}
	return text, claim.admitUnknown(what, t.RedisUser())
}

// forgetOwner gives the tenant's user up.
func (r *Redis) forgetOwner(ctx context.Context, t tenant.Tenant) error {
	return r.onKeeper(ctx, func(ctx context.Context, keeper redis.Cmdable) error {
		return keeper.HDel(ctx, redisOwnersKey, t.RedisUser()).Err()
	})
}

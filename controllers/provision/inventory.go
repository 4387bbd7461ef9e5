package provision

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// Holding is what the stores of a class hold of one tenant.
type Holding struct {
	// Owner is who it was made for; zero where nothing says it.
	Owner  Owner
	Schema bool
	Roles  []string
	// RedisNodes are the addresses of the nodes that have the tenant's user.
	RedisNodes []string
}

// Inventory is what the stores hold, by the tenant's id.
type Inventory map[string]*Holding

func (i Inventory) of(id string) *Holding {
	if i[id] == nil {
		i[id] = &Holding{}
	}
	return i[id]
}

// Inventory adds the schemas of the database to what is known, and those roles of the
// server that are marked for this database, or not marked.
func (p *Postgres) Inventory(ctx context.Context, known Inventory) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	id, err := p.ID(ctx)
	if err != nil {
		return err
	}

	rows, err := p.pool.Query(ctx, `SELECT true, nspname::text, coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE starts_with(nspname::text, $1)
		UNION ALL SELECT false, rolname::text, coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE starts_with(rolname::text, $1)`, tenant.SchemaPrefix)
	if err != nil {
		return postgresError(err, "list the schemas and roles")
	}

	var isSchema bool
	var name, comment string
	_, err = pgx.ForEachRow(rows, []any{&isSchema, &name, &comment}, func() error {
		var has mark
		_ = json.Unmarshal([]byte(comment), &has) // one that says nothing has no owner
		if isSchema {
			holding := known.of(strings.TrimPrefix(name, tenant.SchemaPrefix))
			holding.Schema, holding.Owner = true, has.Owner
			return nil
		}
		if has.PostgresID != (PostgresID{}) && has.PostgresID != id {
			return nil
		}
		if owner, ok := tenant.OfRole(name); ok {
			holding := known.of(owner.ID)
			holding.Roles = append(holding.Roles, name)
			if !holding.Schema {
				holding.Owner = has.Owner
			}
		}
		return nil
	})

	return postgresError(err, "list the schemas and roles")
}

// Inventory adds the users of every node to what is known.
func (r *Redis) Inventory(ctx context.Context, known Inventory) error {
	var owners map[string]string
	err := r.onKeeper(ctx, func(ctx context.Context, keeper redis.Cmdable) (err error) {
		owners, err = keeper.HGetAll(ctx, redisOwnersKey).Result()
		return err
	})
	if err != nil {
		return err
	}

	return r.each(ctx, func(ctx context.Context, address string, node *redis.Client) error {
		users, err := node.Do(ctx, "ACL", "USERS").StringSlice()
		if err != nil {
			return err
		}

		for _, user := range users {
			id, ours := strings.CutPrefix(user, tenant.SchemaPrefix)
			if !ours {
				continue
			}
			holding := known.of(id)
			holding.RedisNodes = append(holding.RedisNodes, address)
			if owner, ok := parseOwner(owners[user]); ok && holding.Owner == (Owner{}) {
				holding.Owner = owner
			}
		}

		return nil
	})
}

// Tenants returns the ids of the tenants whose schema in this database belongs to
// the Leaderboard, with any UID: what an operator with another cluster id, or a
// Leaderboard that was deleted and retained, has made.
func (p *Postgres) Tenants(ctx context.Context, owner Owner) ([]string, error) {
	known := Inventory{}
	if err := p.Inventory(ctx, known); err != nil {
		return nil, err
	}

	var ids []string
	for id, holding := range known {
		has := holding.Owner
		if holding.Schema && has.Namespace == owner.Namespace && has.Name == owner.Name && (has.Cluster == owner.Cluster || has.Cluster == "") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)

	return ids, nil
}

package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	// InPostgres and InRedis are fingerprints of all that the stores tell of the tenant,
	// which is all but passwords of PostgreSQL. One that has not changed needs no second
	// look.
	InPostgres, InRedis string
}

// Inventory is what the stores hold, by the tenant's id.
type Inventory map[string]*Holding

func (i Inventory) of(id string) *Holding {
	if i[id] == nil {
		i[id] = &Holding{}
	}
	return i[id]
}

// inventorySQL lists the schemas and roles of tenants with a fingerprint of all that the
// catalogue, and the registry, say of each. %s is what the registry says, once there is one.
const inventorySQL = `
WITH of_roles AS (SELECT oid, rolname, regexp_replace(rolname, '_(owner|rw|a|b)$', '') AS tenant FROM pg_roles WHERE starts_with(rolname, $1)),
lines (tenant, line) AS (
	SELECT o.tenant, concat_ws(' ', 'role', rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit, rolconnlimit,
		rolvaliduntil, rolconfig, shobj_description(oid, 'pg_authid')) FROM pg_roles JOIN of_roles o USING (oid, rolname)
	UNION ALL SELECT tenant, concat_ws(' ', 'member', member, roleid) FROM pg_auth_members JOIN of_roles o ON o.oid IN (member, roleid)
	UNION ALL SELECT tenant, concat_ws(' ', 'setting', setdatabase, setconfig) FROM pg_db_role_setting JOIN of_roles o ON o.oid = setrole
	UNION ALL SELECT tenant, concat_ws(' ', 'defaults', defaclobjtype, defaclacl) FROM pg_default_acl d JOIN of_roles o ON o.oid = defaclrole WHERE defaclnamespace = 0
	UNION ALL SELECT tenant, concat_ws(' ', 'database', datname, privilege_type) FROM pg_database, aclexplode(datacl) JOIN of_roles o ON o.oid = grantee
	UNION ALL SELECT nspname, concat_ws(' ', 'schema', nspowner, nspacl, obj_description(oid, 'pg_namespace')) FROM pg_namespace
	UNION ALL SELECT nspname, concat_ws(' ', 'defaults', defaclrole, defaclobjtype, defaclacl) FROM pg_default_acl d JOIN pg_namespace n ON n.oid = defaclnamespace
	UNION ALL SELECT nspname, concat_ws(' ', 'relation', relname, relkind, relowner, relacl) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	UNION ALL SELECT nspname, concat_ws(' ', 'column', attrelid, attname, attacl) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
		JOIN pg_namespace n ON n.oid = relnamespace WHERE attacl IS NOT NULL
	UNION ALL SELECT nspname, concat_ws(' ', 'routine', p.oid, proowner, proacl) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace%s)
SELECT substr(p.tenant, length($1) + 1), p.print, n.oid IS NOT NULL, coalesce(obj_description(n.oid, 'pg_namespace'), ''), coalesce(r.names, '{}'), coalesce(r.comments, '{}')
FROM (SELECT tenant, md5(string_agg(line, E'\n' ORDER BY line)) AS print FROM lines WHERE starts_with(tenant, $1) GROUP BY tenant) p
LEFT JOIN pg_namespace n ON n.nspname = p.tenant
LEFT JOIN (SELECT tenant, array_agg(rolname::text ORDER BY rolname) AS names, array_agg(coalesce(shobj_description(oid, 'pg_authid'), '') ORDER BY rolname) AS comments
	FROM of_roles GROUP BY tenant) r ON r.tenant = p.tenant`

const issuedSQL = `
	UNION ALL SELECT $1 || id, concat_ws(' ', 'issued', issued_slot, issued_digest, issued_at) FROM leaderboard_operator.tenants`

// Inventory adds the schemas of the database to what is known, and those roles of the
// server that are marked for this database, or not marked.
func (p *Postgres) Inventory(ctx context.Context, known Inventory) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	id, err := p.ID(ctx)
	if err != nil {
		return err
	}

	err = p.inventory(ctx, fmt.Sprintf(inventorySQL, issuedSQL), id, known)
	if state := sqlState(err); state == stateUndefinedTable || state == stateInvalidSchema {
		err = p.inventory(ctx, fmt.Sprintf(inventorySQL, ""), id, known)
	}
	return postgresError(err, "list the schemas and roles")
}

func (p *Postgres) inventory(ctx context.Context, sql string, id PostgresID, known Inventory) error {
	rows, err := p.pool.Query(ctx, sql, tenant.SchemaPrefix)
	if err != nil {
		return err
	}

	var name, fingerprint, comment string
	var schema bool
	var roles, comments []string
	_, err = pgx.ForEachRow(rows, []any{&name, &fingerprint, &schema, &comment, &roles, &comments}, func() error {
		found := Holding{Schema: schema, InPostgres: fingerprint}
		if schema {
			found.Owner = parseMark(comment).Owner
		}
		for i, role := range roles {
			has := parseMark(comments[i])
			_, ours := tenant.OfRole(role)
			if !ours || has.PostgresID != (PostgresID{}) && has.PostgresID != id {
				continue
			}
			found.Roles = append(found.Roles, role)
			if !schema {
				found.Owner = has.Owner
			}
		}

		if found.Schema || len(found.Roles) > 0 {
			holding := known.of(name)
			holding.Owner, holding.Schema, holding.Roles, holding.InPostgres = found.Owner, found.Schema, found.Roles, found.InPostgres
		}
		return nil
	})
	return err
}

// parseMark reads a comment; one that says nothing has no owner.
func parseMark(comment string) (has mark) {
	_ = json.Unmarshal([]byte(comment), &has)
	return has
}

// Inventory adds the users of every node to what is known. Whose they are is asked for
// only if the owner of some is not known.
func (r *Redis) Inventory(ctx context.Context, known Inventory) error {
	rules, unknown := map[string]*strings.Builder{}, false
	err := r.each(ctx, func(ctx context.Context, address string, node *redis.Client) error {
		users, err := node.Do(ctx, "ACL", "LIST").StringSlice()
		if err != nil {
			return err
		}

		for _, line := range users {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "user "), " ")
			id, ours := strings.CutPrefix(name, tenant.SchemaPrefix)
			if !ours {
				continue
			}
			holding := known.of(id)
			holding.RedisNodes = append(holding.RedisNodes, address)
			unknown = unknown || holding.Owner == (Owner{})
			if rules[id] == nil {
				rules[id] = &strings.Builder{}
			}
			rules[id].WriteString(address + " " + line + "\n")
		}
		return nil
	})
	if err != nil {
		return err
	}

	for id, text := range rules {
		sum := sha256.Sum256([]byte(text.String()))
		known[id].InRedis = hex.EncodeToString(sum[:])
	}
	if !unknown {
		return nil
	}
	return r.addOwners(ctx, known)
}

// addOwners says whose the users are that nobody is known to have.
func (r *Redis) addOwners(ctx context.Context, known Inventory) error {
	var owners map[string]string
	err := r.onKeeper(ctx, func(ctx context.Context, keeper redis.Cmdable) (err error) {
		owners, err = keeper.HGetAll(ctx, redisOwnersKey).Result()
		return err
	})
	if err != nil {
		return err
	}

	for user, text := range owners {
		id, _ := strings.CutPrefix(user, tenant.SchemaPrefix)
		holding := known[id]
		if holding == nil || holding.Owner != (Owner{}) {
			continue
		}
		if owner, ok := parseOwner(text); ok {
			holding.Owner = owner
		}
	}
	return nil
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

package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// censusSQL is a fingerprint of all that the catalogue says of each tenant: roles,
// memberships, settings, the schema, what is in it, rights, comments, and what was issued.
// Passwords are not in the catalogue.
const censusSQL = `
SELECT substr(tenant, length($1) + 1), md5(string_agg(line, E'\n' ORDER BY line)) FROM (
	SELECT regexp_replace(rolname, '_(owner|rw|a|b)$', '') AS tenant, concat_ws(' ', 'role', rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication,
		rolbypassrls, rolinherit, rolconnlimit, rolvaliduntil, rolconfig, shobj_description(oid, 'pg_authid')) AS line FROM pg_roles
	UNION ALL SELECT regexp_replace(pg_get_userbyid(roleid), '_(owner|rw|a|b)$', ''), concat_ws(' ', 'member', pg_get_userbyid(member), pg_get_userbyid(roleid)) FROM pg_auth_members
	UNION ALL SELECT regexp_replace(pg_get_userbyid(member), '_(owner|rw|a|b)$', ''), concat_ws(' ', 'member of', pg_get_userbyid(member), pg_get_userbyid(roleid)) FROM pg_auth_members
	UNION ALL SELECT regexp_replace(pg_get_userbyid(setrole), '_(owner|rw|a|b)$', ''), concat_ws(' ', 'setting', setdatabase, setconfig) FROM pg_db_role_setting
	UNION ALL SELECT nspname, concat_ws(' ', 'schema', nspowner, nspacl, obj_description(oid, 'pg_namespace')) FROM pg_namespace
	UNION ALL SELECT nspname, concat_ws(' ', 'defaults', defaclrole, defaclobjtype, defaclacl) FROM pg_default_acl d JOIN pg_namespace n ON n.oid = defaclnamespace
	UNION ALL SELECT regexp_replace(pg_get_userbyid(defaclrole), '_(owner|rw|a|b)$', ''), concat_ws(' ', 'defaults', defaclobjtype, defaclacl) FROM pg_default_acl WHERE defaclnamespace = 0
	UNION ALL SELECT nspname, concat_ws(' ', 'relation', relname, relkind, relowner, relacl) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
	UNION ALL SELECT nspname, concat_ws(' ', 'column', attrelid, attname, attacl) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
		WHERE attacl IS NOT NULL
	UNION ALL SELECT nspname, concat_ws(' ', 'routine', p.oid, proowner, proacl) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
	UNION ALL SELECT regexp_replace(pg_get_userbyid(grantee), '_(owner|rw|a|b)$', ''), concat_ws(' ', 'database', datname, privilege_type) FROM pg_database, aclexplode(datacl)
	UNION ALL SELECT $1 || id, concat_ws(' ', 'issued', issued_slot, issued_digest, issued_at) FROM leaderboard_operator.tenants
) lines WHERE starts_with(tenant, $1) GROUP BY tenant`

// Census returns a fingerprint of what PostgreSQL holds of each tenant, by its id: what
// EnsureSchema, the logins and the registry look after. One that has not changed needs no
// second look.
func (p *Postgres) Census(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	rows, err := p.pool.Query(ctx, censusSQL, tenant.SchemaPrefix)
	if err != nil {
		return nil, postgresError(err, "look at all tenants")
	}

	found := map[string]string{}
	var id, fingerprint string
	_, err = pgx.ForEachRow(rows, []any{&id, &fingerprint}, func() error {
		found[id] = fingerprint
		return nil
	})
	return found, postgresError(err, "look at all tenants")
}

// Census returns a fingerprint of each tenant's user on all nodes, by the tenant's id.
func (r *Redis) Census(ctx context.Context) (map[string]string, error) {
	users := map[string]*strings.Builder{}
	err := r.each(ctx, func(ctx context.Context, address string, node *redis.Client) error {
		lines, err := node.Do(ctx, "ACL", "LIST").StringSlice()
		if err != nil {
			return err
		}

		for _, line := range lines {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "user "), " ")
			id, ours := strings.CutPrefix(name, tenant.SchemaPrefix)
			if !ours {
				continue
			}
			if users[id] == nil {
				users[id] = &strings.Builder{}
			}
			users[id].WriteString(address + " " + line + "\n")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}

	found := make(map[string]string, len(users))
	for id, lines := range users {
		sum := sha256.Sum256([]byte(lines.String()))
		found[id] = hex.EncodeToString(sum[:])
	}
	return found, nil
}

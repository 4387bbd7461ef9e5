package provision

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// observed is what PostgreSQL holds of a tenant.
type observed struct {
	admin       string
	schemaOwner string // empty: there is no schema
	marks       marks
	roles       map[string]roleState
	// grants on the schema: grantee (empty: PUBLIC) to privileges.
	grants map[string][]string
	// defaults: privileges of the group role on tables (r) and sequences (S)
	// that the owner will make.
	defaults map[string][]string
	connect  bool
	// ownsAsMember: the administrator may act as the owner role.
	ownsAsMember bool
	// strangers are members of the owner or group role that should not be and can be
	// removed, member first.
	strangers [][2]string
}

type roleState struct {
	Login, Super, CreateDB, CreateRole, Replication, BypassRLS bool
	Connections                                                int
	Settings                                                   []string
	MemberOf                                                   []string
}

// observe looks at everything that EnsureSchema looks after.
func observe(ctx context.Context, tx pgx.Tx, t tenant.Tenant) (*observed, error) {
	seen := &observed{roles: map[string]roleState{}, grants: map[string][]string{}, defaults: map[string][]string{}}
	err := tx.QueryRow(ctx, `SELECT current_user, coalesce(pg_get_userbyid(n.nspowner), ''),
		coalesce(g.oid IS NOT NULL AND EXISTS (SELECT FROM pg_database d, aclexplode(d.datacl) a
			WHERE d.datname = current_database() AND a.grantee = g.oid AND a.privilege_type = 'CONNECT'), false),
		coalesce(pg_has_role(current_user, o.oid, 'USAGE'), false)
		FROM (SELECT) one LEFT JOIN pg_namespace n ON n.nspname = $1 LEFT JOIN pg_roles g ON g.rolname = $2
			LEFT JOIN pg_roles o ON o.rolname = $3`,
		t.Schema(), t.GroupRole(), t.OwnerRole()).Scan(&seen.admin, &seen.schemaOwner, &seen.connect, &seen.ownsAsMember)
	if err != nil {
		return nil, fmt.Errorf("look at the schema: %w", err)
	}
	if seen.marks, err = readMarks(ctx, tx, t); err != nil {
		return nil, err
	}

	rows, err := tx.Query(ctx, `SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit,
		coalesce(rolconfig, '{}'), ARRAY(SELECT pg_get_userbyid(roleid)::text FROM pg_auth_members WHERE member = r.oid)
		FROM pg_roles r WHERE rolname = ANY($1)`, t.Roles())
	if err != nil {
		return nil, fmt.Errorf("look at the roles: %w", err)
	}

	var name string
	var role roleState
	_, err = pgx.ForEachRow(rows, []any{&name, &role.Login, &role.Super, &role.CreateDB, &role.CreateRole, &role.Replication, &role.BypassRLS,
		&role.Connections, &role.Settings, &role.MemberOf}, func() error {
		seen.roles[name] = role
		role = roleState{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at the roles: %w", err)
	}

	return seen, seen.observeGrants(ctx, tx, t)
}

// observeStrangers looks for members that somebody added.
func (o *observed) observeStrangers(ctx context.Context, tx pgx.Tx, t tenant.Tenant) error {
	rows, err := tx.Query(ctx, `SELECT DISTINCT pg_get_userbyid(member)::text, pg_get_userbyid(roleid)::text FROM pg_auth_members
		WHERE pg_get_userbyid(roleid) = ANY($1) AND pg_get_userbyid(member) <> ALL($2) AND `+revocable,
		[]string{t.OwnerRole(), t.GroupRole()}, append(t.LoginRoles(), o.admin))
	if err != nil {
		return fmt.Errorf("look at the members: %w", err)
	}

	var member, role string
	_, err = pgx.ForEachRow(rows, []any{&member, &role}, func() error {
		o.strangers = append(o.strangers, [2]string{member, role})
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at the members: %w", err)
	}

	return nil
}

func (o *observed) observeGrants(ctx context.Context, tx pgx.Tx, t tenant.Tenant) error {
	rows, err := tx.Query(ctx, `
		SELECT 'schema', CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee) END, privilege_type
			FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) WHERE nspname = $1
		UNION ALL
		SELECT 'default', defaclobjtype::text, privilege_type
			FROM pg_default_acl d JOIN pg_namespace n ON n.oid = defaclnamespace, aclexplode(defaclacl)
			WHERE n.nspname = $1 AND pg_get_userbyid(defaclrole) = $2 AND pg_get_userbyid(grantee) = $3`,
		t.Schema(), t.OwnerRole(), t.GroupRole())
	if err != nil {
		return fmt.Errorf("look at the grants: %w", err)
	}

	var kind, key, privilege string
	_, err = pgx.ForEachRow(rows, []any{&kind, &key, &privilege}, func() error {
		target := o.grants
		if kind == "default" {
			target = o.defaults
		}
		target[key] = append(target[key], privilege)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at the grants: %w", err)
	}

	return o.observeStrangers(ctx, tx, t)
}

package provision

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// driftSQL writes the statements that undo what somebody changed about what migrations
// have made, and about the roles, which the operator makes once and then only compares.
// What the administrator may not change is left out: a table that a superuser made in
// the schema, or a membership that another administrator granted (see Strangers).
//
//	$1 schema, $2 owner role, $3 group role, $4 all roles, $5 login roles
//
// The audit, and no other table, is one to which servers only add.
const driftSQL = `
WITH relations AS (
	SELECT c.oid, c.relkind, c.relowner, c.relacl, CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || format('%I.%I', $1::text, c.relname) AS target,
		CASE WHEN c.relkind = 'S' THEN ARRAY['SELECT', 'USAGE'] WHEN c.relname = 'audit' THEN ARRAY['INSERT', 'SELECT'] ELSE ARRAY['DELETE', 'INSERT', 'SELECT', 'UPDATE'] END AS wanted
	FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
		AND pg_has_role(c.relowner, 'USAGE')),
grants AS (
	SELECT r.oid, a.grantee, array_agg(DISTINCT a.privilege_type ORDER BY a.privilege_type) AS privileges
	FROM relations r, aclexplode(r.relacl) a GROUP BY r.oid, a.grantee
	UNION ALL
	SELECT attrelid, a.grantee, ARRAY['a column'] FROM pg_attribute, aclexplode(attacl) a WHERE attrelid IN (SELECT oid FROM relations)),
names AS (SELECT (SELECT oid FROM pg_roles WHERE rolname = $2) AS owner, (SELECT oid FROM pg_roles WHERE rolname = $3) AS "group")

SELECT format('ALTER TABLE %s OWNER TO %I', substr(target, 7), $2::text) FROM relations, names
	WHERE relowner <> names.owner AND relkind <> 'S'
UNION ALL
SELECT format('ALTER SEQUENCE %s OWNER TO %I', substr(target, 10), $2::text) FROM relations c, names
	WHERE relowner <> names.owner AND relkind = 'S' AND NOT ` + linkedSequence + `
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $2::text) FROM pg_proc p, names
	WHERE p.pronamespace = to_regnamespace(quote_ident($1)) AND p.proowner <> names.owner AND pg_has_role(p.proowner, 'USAGE')
UNION ALL
SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', r.target, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END)
	FROM relations r JOIN grants g USING (oid), names
	WHERE g.grantee NOT IN (names.owner, r.relowner) AND (g.grantee <> names."group" OR g.privileges <> r.wanted)
UNION ALL
SELECT format('GRANT %s ON %s TO %I', array_to_string(r.wanted, ', '), r.target, $3::text) FROM relations r, names
	WHERE NOT EXISTS (SELECT FROM grants g WHERE g.oid = r.oid AND g.grantee = names."group" AND g.privileges = r.wanted)
UNION ALL
SELECT DISTINCT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON %s FROM %s', $2::text, CASE WHEN n.nspname IS NULL THEN '' ELSE format(' IN SCHEMA %I', n.nspname) END,
		CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END,
		CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
	FROM pg_default_acl d JOIN names ON d.defaclrole = names.owner LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
	WHERE a.grantee <> names.owner AND NOT (d.defaclnamespace <> 0 AND a.grantee = names."group")
UNION ALL
SELECT format('ALTER ROLE %I VALID UNTIL ''infinity''', rolname) FROM pg_roles WHERE rolname = ANY($4) AND rolvaliduntil < 'infinity'
UNION ALL
SELECT format('ALTER ROLE %I IN DATABASE %I RESET ALL', r.rolname, d.datname)
	FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase WHERE r.rolname = ANY($4)
UNION ALL
SELECT format('REVOKE %I FROM %I', pg_get_userbyid(roleid), pg_get_userbyid(member)) FROM pg_auth_members
	WHERE pg_get_userbyid(roleid) = ANY($5) AND pg_get_userbyid(member) <> current_user AND ` + revocable

// revocable says whether the administrator can take a row of pg_auth_members back.
const revocable = `(current_setting('server_version_num')::int < 160000 OR pg_has_role(grantor, 'USAGE'))`

// Strangers returns the statements that would take from a tenant's roles the members that
// another administrator has put there, each with who has to run it: since PostgreSQL 16
// nobody else can.
func (p *Postgres) Strangers(ctx context.Context, t tenant.Tenant) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	rows, err := p.pool.Query(ctx, `SELECT format('REVOKE %I FROM %I (as %s)', pg_get_userbyid(roleid), pg_get_userbyid(member), pg_get_userbyid(grantor))
		FROM pg_auth_members WHERE pg_get_userbyid(roleid) = ANY ($1) AND pg_get_userbyid(member) <> ALL ($1) AND pg_get_userbyid(member) <> current_user
			AND NOT `+revocable+` ORDER BY 1`, t.Roles())
	if err != nil {
		return nil, postgresError(err, "look at the members of the roles of %s", t.ID)
	}

	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return statements, postgresError(err, "look at the members of the roles of %s", t.ID)
}

// drift returns the statements of driftSQL.
func drift(ctx context.Context, tx pgx.Tx, t tenant.Tenant) ([]string, error) {
	rows, err := tx.Query(ctx, driftSQL, t.Schema(), t.OwnerRole(), t.GroupRole(), t.Roles(), t.LoginRoles())
	if err != nil {
		return nil, fmt.Errorf("look for drift: %w", err)
	}

	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for drift: %w", err)
	}

	return statements, nil
}

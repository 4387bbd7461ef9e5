package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// Owner is the object that a schema belongs to. It stands in the schema's
// comment.
type Owner struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Retained says that the object was deleted and its scores were kept.
	Retained bool `json:"retained,omitempty"`
}

// SchemaOptions are what a tenant's schema and roles are made with.
type SchemaOptions struct {
	Owner Owner
	// Adopt takes a schema over that was made for another object of the same
	// namespace and name.
	Adopt bool
	// Connections bounds each login role.
	Connections int
}

// Settings of the login roles. They are defaults, which a session can change,
// not a boundary. A statement of the server takes milliseconds; a report over
// years, seconds.
const (
	statementTimeout = "30s"
	idleTimeout      = "60s"
)

// EnsureSchema makes the tenant's roles and schema what they should be. It
// writes nothing, and returns false, if they are that already.
func (p *Postgres) EnsureSchema(ctx context.Context, t tenant.Tenant, options SchemaOptions) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	err = p.locked(ctx, t, func(tx pgx.Tx) error {
		seen, err := observe(ctx, tx, t)
		if err != nil {
			return err
		}

		comment, err := claim(seen, t, options)
		if err != nil {
			return err
		}

		statements := seen.missing(t, options, comment)
		changed = len(statements) > 0
		if changed {
			if err := lockDatabase(ctx, tx); err != nil {
				return err
			}
		}

		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}

		return nil
	})
	return changed, postgresError(err, "provision the schema %s", t.Schema())
}

// locked runs a transaction that excludes every other one of the same tenant.
func (p *Postgres) locked(ctx context.Context, t tenant.Tenant, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", "leaderboard-operator "+t.ID); err != nil {
			return err
		}
		return do(tx)
	})
}

// lockDatabase excludes other tenants' changes: grants on the database are all
// in one row of the catalogue, and PostgreSQL refuses to change it twice at once.
// It comes after a tenant's own lock, never before.
func lockDatabase(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('leaderboard-operator', 0))")
	return err
}

// claim decides whether the schema is the owner's and returns the comment that
// says so.
func claim(seen *observed, t tenant.Tenant, options SchemaOptions) (string, error) {
	want := options.Owner
	want.Retained = false
	comment, err := json.Marshal(want)
	if err != nil {
		return "", fmt.Errorf("encode the owner: %w", err)
	}
	if seen.schemaOwner == "" || seen.comment == string(comment) {
		return string(comment), nil
	}

	var has Owner
	known := json.Unmarshal([]byte(seen.comment), &has) == nil && has.UID != ""
	same := known && has.Namespace == want.Namespace && has.Name == want.Name
	if same && (has.UID == want.UID || has.Retained || options.Adopt) || !known && options.Adopt {
		return string(comment), nil
	}

	whose := "somebody unknown"
	if known {
		whose = fmt.Sprintf("the Leaderboard %s/%s with the UID %s", has.Namespace, has.Name, has.UID)
	}

	return "", &Error{Kind: OwnershipConflict, Message: fmt.Sprintf("the schema %s belongs to %s", t.Schema(), whose)}
}

// observed is what PostgreSQL holds of a tenant.
type observed struct {
	admin       string
	schemaOwner string // empty: there is no schema
	comment     string
	roles       map[string]roleState
	// grants on the schema: grantee (empty: PUBLIC) to privileges.
	grants map[string][]string
	// defaults: privileges of the group role on tables (r) and sequences (S)
	// that the owner will make.
	defaults map[string][]string
	connect  bool
	// ownsAsMember: the administrator may act as the owner role.
	ownsAsMember bool
	// strangers are members of the owner or group role that should not be,
	// member first.
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
	err := tx.QueryRow(ctx, `SELECT current_user, coalesce(pg_get_userbyid(n.nspowner), ''), coalesce(obj_description(n.oid, 'pg_namespace'), ''),
		coalesce(g.oid IS NOT NULL AND EXISTS (SELECT FROM pg_database d, aclexplode(d.datacl) a
			WHERE d.datname = current_database() AND a.grantee = g.oid AND a.privilege_type = 'CONNECT'), false),
		coalesce(pg_has_role(current_user, o.oid, 'USAGE'), false)
		FROM (SELECT) one LEFT JOIN pg_namespace n ON n.nspname = $1 LEFT JOIN pg_roles g ON g.rolname = $2
			LEFT JOIN pg_roles o ON o.rolname = $3`,
		t.Schema(), t.GroupRole(), t.OwnerRole()).Scan(&seen.admin, &seen.schemaOwner, &seen.comment, &seen.connect, &seen.ownsAsMember)
	if err != nil {
		return nil, fmt.Errorf("look at the schema: %w", err)
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
		WHERE pg_get_userbyid(roleid) = ANY($1) AND pg_get_userbyid(member) <> ALL($2)`,
		[]string{t.OwnerRole(), t.GroupRole()}, []string{o.admin, t.LoginRole(tenant.SlotA), t.LoginRole(tenant.SlotB)})
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

// missing returns the statements that make what was observed what it should be.
func (o *observed) missing(t tenant.Tenant, options SchemaOptions, comment string) []string {
	var statements []string
	add := func(format string, args ...any) { statements = append(statements, fmt.Sprintf(format, args...)) }
	owner, group, schema := quote(t.OwnerRole()), quote(t.GroupRole()), quote(t.Schema())

	for _, role := range []string{t.OwnerRole(), t.GroupRole()} {
		o.missingRole(add, role, false, -1, nil, nil)
	}

	settings := []string{"search_path=" + t.Schema(), "statement_timeout=" + statementTimeout, "idle_in_transaction_session_timeout=" + idleTimeout}
	for _, slot := range tenant.Slots {
		o.missingRole(add, t.LoginRole(slot), true, options.Connections, settings, []string{t.GroupRole()})
	}

	if !o.ownsAsMember {
		add("GRANT %s TO CURRENT_USER", owner)
	}

	for _, stranger := range o.strangers {
		add("REVOKE %s FROM %s", quote(stranger[1]), quote(stranger[0]))
	}

	switch o.schemaOwner {
	case t.OwnerRole():
	case "":
		add("CREATE SCHEMA %s AUTHORIZATION %s", schema, owner)
	default:
		add("ALTER SCHEMA %s OWNER TO %s", schema, owner)
	}

	for grantee, privileges := range o.grants {
		switch {
		case grantee == t.OwnerRole():
		case grantee == t.GroupRole() && slices.Equal(privileges, []string{"USAGE"}):
		case grantee == "":
			add("REVOKE ALL ON SCHEMA %s FROM PUBLIC", schema)
		default:
			add("REVOKE ALL ON SCHEMA %s FROM %s", schema, quote(grantee))
		}
	}

	if !slices.Equal(o.grants[t.GroupRole()], []string{"USAGE"}) {
		add("GRANT USAGE ON SCHEMA %s TO %s", schema, group)
	}

	// Without FOR ROLE the defaults would not reach what the owner makes.
	for kind, privileges := range map[string][]string{"r": {"SELECT", "INSERT", "UPDATE", "DELETE"}, "S": {"SELECT", "USAGE"}} {
		if containsAll(o.defaults[kind], privileges) {
			continue
		}
		objects := map[string]string{"r": "TABLES", "S": "SEQUENCES"}[kind]
		add("ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s GRANT %s ON %s TO %s", owner, schema, strings.Join(privileges, ", "), objects, group)
	}

	if !o.connect {
		add("DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %%I TO %%I', current_database(), %s); END $$", literal(t.GroupRole()))
	}

	if o.comment != comment {
		add("COMMENT ON SCHEMA %s IS %s", schema, literal(comment))
	}

	return statements
}

// missingRole makes one role, or takes from it what it should not have.
func (o *observed) missingRole(add func(string, ...any), name string, login bool, connections int, settings, memberOf []string) {
	role, exists := o.roles[name]
	quoted := quote(name)
	if !exists {
		// A login role can log in once it has been given a password.
		add("CREATE ROLE %s NOLOGIN CONNECTION LIMIT %d", quoted, connections)
	} else {
		for attribute, has := range map[string]bool{"SUPERUSER": role.Super, "CREATEDB": role.CreateDB, "CREATEROLE": role.CreateRole,
			"REPLICATION": role.Replication, "BYPASSRLS": role.BypassRLS} {
			if has { // one by one: to name an attribute takes the right to change it
				add("ALTER ROLE %s NO%s", quoted, attribute)
			}
		}
		if role.Login && !login {
			add("ALTER ROLE %s NOLOGIN", quoted)
		}
		if role.Connections != connections {
			add("ALTER ROLE %s CONNECTION LIMIT %d", quoted, connections)
		}
	}

	if !sameSet(role.Settings, settings) {
		if len(role.Settings) > 0 {
			add("ALTER ROLE %s RESET ALL", quoted)
		}
		for _, setting := range settings {
			name, value, _ := strings.Cut(setting, "=")
			add("ALTER ROLE %s SET %s = %s", quoted, name, literal(value))
		}
	}

	for _, group := range memberOf {
		if !slices.Contains(role.MemberOf, group) {
			add("GRANT %s TO %s", quote(group), quoted)
		}
	}

	for _, group := range role.MemberOf {
		if !slices.Contains(memberOf, group) {
			add("REVOKE %s FROM %s", quote(group), quoted)
		}
	}
}

func containsAll(has, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(one string) bool { return !slices.Contains(has, one) })
}

func sameSet(a, b []string) bool { return len(a) == len(b) && containsAll(a, b) }

// literal quotes a string constant. It holds nothing that a tenant chose except
// a namespace's and an object's name, inside JSON.
func literal(text string) string {
	if strings.ContainsRune(text, 0) {
		return "''" // no name and no comment of ours holds a NUL
	}
	if strings.Contains(text, `\`) {
		return " E'" + strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), "'", "''") + "'"
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// missing returns the statements that make what was observed what it should be.
func (o *observed) missing(t tenant.Tenant, options SchemaOptions, mark string) []string {
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

	return append(statements, o.marks.missing(t, mark)...)
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
		// Lowered once no Pod needs more: see LowerConnections.
		if role.Connections >= 0 && (connections < 0 || role.Connections < connections) {
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

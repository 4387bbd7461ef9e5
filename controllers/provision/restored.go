package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// A restore without owners (pg_restore --no-owner) leaves the schema and what is in it to
// who restored it. What the administrator may give back is drift; the rest is somebody
// else's to give back.

// linkedSequence is a sequence (c of pg_class) of a column, which goes with its table.
const linkedSequence = `EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
	AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i'))`

const belongingsSQL = `
WITH belongings (owner, is_schema) AS (
	SELECT nspowner, true FROM pg_namespace WHERE nspname = $1
	UNION ALL SELECT relowner, false FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident($1)) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))
SELECT ARRAY(SELECT DISTINCT pg_get_userbyid(owner)::text FROM belongings WHERE pg_get_userbyid(owner) <> $2 AND NOT pg_has_role(owner, 'USAGE') ORDER BY 1),
	EXISTS (SELECT FROM belongings WHERE is_schema AND pg_get_userbyid(owner) <> $2 AND NOT pg_has_role(owner, 'USAGE')),
	EXISTS (SELECT FROM belongings WHERE NOT is_schema AND (pg_get_userbyid(owner) = $2 OR pg_has_role(owner, 'USAGE')))`

// foreign are the roles whose the tenant's schema, or something in it, is, and from which
// the administrator cannot take it.
type foreign struct {
	owners []string
	// all: the schema, or all that is in it. A single table may be what somebody made there.
	all bool
}

func readForeign(ctx context.Context, q rowQuerier, t tenant.Tenant) (found foreign, err error) {
	var schema, some bool
	err = q.QueryRow(ctx, belongingsSQL, t.Schema(), t.OwnerRole()).Scan(&found.owners, &schema, &some)
	if err != nil {
		return foreign{}, fmt.Errorf("look at the owners: %w", err)
	}

	found.all = schema || len(found.owners) > 0 && !some
	return found, nil
}

// checkRestored returns an error with what has to be run if the schema is not the tenant's.
func (p *Postgres) checkRestored(ctx context.Context, tx pgx.Tx, t tenant.Tenant) error {
	found, err := readForeign(ctx, tx, t)
	if err != nil || !found.all {
		return err
	}
	return &Error{Kind: InsufficientRights, Message: fmt.Sprintf("the schema %s, or what is in it, belongs to %s, as it does after a restore without owners. In the database %s, as a superuser: %s",
		t.Schema(), strings.Join(found.owners, ", "), p.admin.Database, giveBack(t.Schema(), t.OwnerRole()))}
}

// Foreign returns what has to be run, and by whom, for what somebody has made in the
// tenant's schema to be the tenant's; empty: there is nothing.
func (p *Postgres) Foreign(ctx context.Context, t tenant.Tenant) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	found, err := readForeign(ctx, p.pool, t)
	if err != nil || len(found.owners) == 0 {
		return "", postgresError(err, "look at the owners in %s", t.Schema())
	}
	return fmt.Sprintf("%s (as a superuser: some of it belongs to %s)", giveBack(t.Schema(), t.OwnerRole()), strings.Join(found.owners, ", ")), nil
}

// giveBack is the statement that gives a schema and all that is in it to a role.
func giveBack(schema, owner string) string {
	in := literal(quote(schema)) + "::regnamespace"
	return strings.Join(strings.Fields(fmt.Sprintf(`DO $$ DECLARE s text; BEGIN FOR s IN
		SELECT %[1]s UNION ALL
		SELECT format('ALTER TABLE %%s OWNER TO %%I', c.oid::regclass, %[2]s) FROM pg_class c
			WHERE relnamespace = %[3]s AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT %[4]s UNION ALL
		SELECT format('ALTER ROUTINE %%s OWNER TO %%I', oid::regprocedure, %[2]s) FROM pg_proc WHERE pronamespace = %[3]s
		LOOP EXECUTE s; END LOOP; END $$`,
		literal("ALTER SCHEMA "+quote(schema)+" OWNER TO "+quote(owner)), literal(owner), in, linkedSequence)), " ")
}

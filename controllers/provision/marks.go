package provision

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// mark is the comment on a tenant's schema and on each of its roles. Roles are the
// server's and not the database's, so each says in which database it is used.
type mark struct {
	Owner
	PostgresID
}

// marks are the comments as they are: those of what exists.
type marks struct {
	schema *string
	roles  map[string]string // by the role's name
}

func readMarks(ctx context.Context, tx pgx.Tx, t tenant.Tenant) (marks, error) {
	rows, err := tx.Query(ctx, `SELECT true, nspname::text, coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = $1
		UNION ALL SELECT false, rolname, coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = ANY($2)`, t.Schema(), t.Roles())
	if err != nil {
		return marks{}, fmt.Errorf("look at the comments: %w", err)
	}

	found := marks{roles: map[string]string{}}
	var isSchema bool
	var name, comment string
	_, err = pgx.ForEachRow(rows, []any{&isSchema, &name, &comment}, func() error {
		if isSchema {
			schema := comment
			found.schema = &schema
		} else {
			found.roles[name] = comment
		}
		return nil
	})
	if err != nil {
		return marks{}, fmt.Errorf("look at the comments: %w", err)
	}

	return found, nil
}

// readAdmitted reads the marks; what is another's is an OwnershipConflict.
func (p *Postgres) readAdmitted(ctx context.Context, tx pgx.Tx, t tenant.Tenant, claim Claim) (marks, error) {
	found, err := readMarks(ctx, tx, t)
	if err != nil {
		return marks{}, err
	}
	_, err = found.admit(t, claim, *p.id.Load())
	return found, err
}

// admit returns the mark that what exists is to have from now on, or an
// OwnershipConflict if some of it is another's.
func (m marks) admit(t tenant.Tenant, claim Claim, id PostgresID) (string, error) {
	wanted := mark{Owner: claim.Owner, PostgresID: id}
	wanted.Retained = false
	text, err := encode(wanted)
	if err != nil {
		return "", err
	}

	if m.schema != nil {
		if err := claim.admitMark(*m.schema, id, "the schema "+t.Schema()); err != nil {
			return "", err
		}
	}

	for _, role := range t.Roles() {
		comment, exists := m.roles[role]
		if !exists || comment == "" && m.schema != nil { // older operators marked schemas only
			continue
		}
		if err := claim.admitMark(comment, id, "the role "+role); err != nil {
			return "", err
		}
	}

	return text, nil
}

// admitMark is [Claim.admit] for what has the mark in PostgreSQL.
func (c Claim) admitMark(text string, id PostgresID, what string) error {
	var has mark
	if err := json.Unmarshal([]byte(text), &has); err != nil || has.UID == "" {
		return c.admitUnknown(what, what)
	}
	if err := c.admit(has.Owner, what); err != nil {
		return err
	}
	if has.PostgresID == (PostgresID{}) || has.PostgresID == id {
		return nil
	}

	move := moveOf(has.PostgresID, id)
	if c.Approved.has(move) {
		return nil
	}

	return &Error{Kind: OwnershipConflict, Approve: ApprovalOf(move),
		Message: fmt.Sprintf("%s was made for the database %s, and this one is %s", what, has.PostgresID, id)}
}

// missing returns the statements that mark what is not marked so. What does not
// exist yet is made by statements before them.
func (m marks) missing(t tenant.Tenant, mark string) []string {
	var statements []string
	if m.schema == nil || *m.schema != mark {
		statements = append(statements, commentOn("SCHEMA", t.Schema(), mark))
	}
	for _, role := range t.Roles() {
		if m.roles[role] != mark {
			statements = append(statements, commentOn("ROLE", role, mark))
		}
	}
	return statements
}

func commentOn(kind, name, text string) string {
	return "COMMENT ON " + kind + " " + quote(name) + " IS " + literal(text)
}

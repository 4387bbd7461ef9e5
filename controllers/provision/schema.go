package provision

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// SchemaOptions are what a tenant's schema and roles are made with.
type SchemaOptions struct {
	// Existed says that the schema was made before: if it is not there, its data has
	// been lost, and an empty one in its place has to be approved.
	Existed bool
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
// writes nothing, and returns false, if they are that already. What belongs to
// another object is an OwnershipConflict; a schema that is not there any more is
// Missing.
func (p *Postgres) EnsureSchema(ctx context.Context, t tenant.Tenant, claim Claim, options SchemaOptions) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	var statements []string
	err = pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := p.checkID(ctx, tx); err != nil {
			return err
		}
		statements, err = p.plan(ctx, tx, t, claim, options)
		return err
	})
	if err != nil || len(statements) == 0 {
		return false, postgresError(err, "look at the schema %s", t.Schema())
	}

	err = p.locked(ctx, t, claim, func(tx pgx.Tx) error {
		if err := lockDatabase(ctx, tx); err != nil {
			return err
		}
		if statements, err = p.plan(ctx, tx, t, claim, options); err != nil {
			return err
		}

		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}

		return nil
	})
	return err == nil && len(statements) > 0, postgresError(err, "provision the schema %s", t.Schema())
}

// plan returns the statements that make the tenant's schema and roles what they
// should be.
func (p *Postgres) plan(ctx context.Context, tx pgx.Tx, t tenant.Tenant, claim Claim, options SchemaOptions) ([]string, error) {
	seen, err := observe(ctx, tx, t)
	if err != nil {
		return nil, err
	}

	mark, err := seen.marks.admit(t, claim, *p.id.Load())
	if err != nil {
		return nil, err
	}
	if seen.schemaOwner == "" && options.Existed {
		change := "empty " + t.ID + " " + p.id.Load().String()
		if !claim.Approved.has(change) {
			return nil, &Error{Kind: Missing, Message: fmt.Sprintf("the schema %s, which holds the accounts and scores, is not in the database %s any more", t.Schema(), p.admin.Database),
				Approve: ApprovalOf(change)}
		}
	}

	if err := p.checkRestored(ctx, tx, t); err != nil {
		return nil, err
	}

	changed, err := drift(ctx, tx, t)
	if err != nil {
		return nil, err
	}

	return append(seen.missing(t, options, mark), changed...), nil
}

package provision

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// Release ends a tenant's logins and notes on the schema that its data is kept
// for the next object of the same namespace and name. A schema that belongs to
// another object is an OwnershipConflict; one that is not there is no error.
func (p *Postgres) Release(ctx context.Context, t tenant.Tenant, owner Owner) error {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()

	if found, err := p.owns(ctx, t, owner); err != nil || !found {
		return err
	}

	for _, slot := range tenant.Slots {
		if err := p.DisableLogin(ctx, t, slot); err != nil {
			return err
		}
	}

	owner.Retained = true
	comment, err := json.Marshal(owner)
	if err != nil {
		return fmt.Errorf("encode the owner: %w", err)
	}

	err = p.locked(ctx, t, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "COMMENT ON SCHEMA "+quote(t.Schema())+" IS "+literal(string(comment)))
		return err
	})
	return postgresError(err, "release the schema %s", t.Schema())
}

// Drop removes a tenant's schema with all its data, and its roles. A schema
// that belongs to another object is an OwnershipConflict; what is not there any
// more is no error, so that it can be run again.
func (p *Postgres) Drop(ctx context.Context, t tenant.Tenant, owner Owner) error {
	ctx, cancel := context.WithTimeout(ctx, 4*callTimeout)
	defer cancel()

	if _, err := p.owns(ctx, t, owner); err != nil {
		return err
	}

	// First nobody may log in, which has to be committed before sessions are
	// ended; else they could come back.
	for _, slot := range tenant.Slots {
		if err := p.DisableLogin(ctx, t, slot); err != nil {
			return err
		}
	}

	err := p.locked(ctx, t, func(tx pgx.Tx) error {
		existing, err := existingRoles(ctx, tx, t)
		if err != nil || len(existing) == 0 {
			return err
		}
		if err := lockDatabase(ctx, tx); err != nil {
			return err
		}

		for _, role := range existing {
			// An administrator that is no superuser may drop what a role owns only
			// as a member of it.
			if _, err := tx.Exec(ctx, "GRANT "+quote(role)+" TO CURRENT_USER"); err != nil {
				return err
			}
		}

		if _, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+quote(t.Schema())+" CASCADE"); err != nil {
			return err
		}

		for _, role := range existing {
			for _, statement := range []string{"DROP OWNED BY ", "DROP ROLE "} {
				if _, err := tx.Exec(ctx, statement+quote(role)); err != nil {
					return err
				}
			}
		}

		return nil
	})
	return postgresError(err, "drop the schema %s", t.Schema())
}

// owns says whether the schema exists; if it is another's, that is an error.
func (p *Postgres) owns(ctx context.Context, t tenant.Tenant, owner Owner) (found bool, err error) {
	var seen *observed
	err = pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		seen, err = observe(ctx, tx, t)
		return err
	})
	if err != nil {
		return false, postgresError(err, "look at the schema %s", t.Schema())
	}

	_, err = claim(seen, t, SchemaOptions{Owner: owner})
	return seen.schemaOwner != "", err
}

func existingRoles(ctx context.Context, tx pgx.Tx, t tenant.Tenant) ([]string, error) {
	var existing []string
	for _, role := range t.Roles() {
		var exists bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role).Scan(&exists); err != nil {
			return nil, fmt.Errorf("look for the role %s: %w", role, err)
		}
		if exists {
			existing = append(existing, role)
		}
	}

	return existing, nil
}

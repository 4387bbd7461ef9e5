package provision

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// Release ends a tenant's logins and notes on the schema and its roles that they are
// kept for the next object of the same namespace and name. A schema or role that
// belongs to another object is an OwnershipConflict; one that is not there is no
// error.
func (p *Postgres) Release(ctx context.Context, t tenant.Tenant, claim Claim) error {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()

	found, err := p.owned(ctx, t, claim)
	if err != nil || found.schema == nil {
		return err
	}
	if err := p.DisableLogins(ctx, t, claim); err != nil {
		return err
	}

	err = p.locked(ctx, t, claim, func(tx pgx.Tx) error { return p.markRetained(ctx, tx, t, claim) })
	return postgresError(err, "release the schema %s", t.Schema())
}

func (p *Postgres) markRetained(ctx context.Context, tx pgx.Tx, t tenant.Tenant, claim Claim) error {
	retained := mark{Owner: claim.Owner, PostgresID: *p.id.Load()}
	retained.Retained = true
	text, err := encode(retained)
	if err != nil {
		return err
	}

	found, err := readMarks(ctx, tx, t)
	if err != nil {
		return err
	}
	if found.schema != nil {
		if _, err := tx.Exec(ctx, commentOn("SCHEMA", t.Schema(), text)); err != nil {
			return err
		}
	}

	for role := range found.roles {
		if _, err := tx.Exec(ctx, commentOn("ROLE", role, text)); err != nil {
			return err
		}
	}

	return nil
}

// Drop removes a tenant's schema with all its data, and its roles. A schema or role
// that belongs to another object is an OwnershipConflict; what is not there any
// more is no error, so that it can be run again. It returns the roles that are left,
// without a login, because they own something in another database of the server.
func (p *Postgres) Drop(ctx context.Context, t tenant.Tenant, claim Claim) (left []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 4*callTimeout)
	defer cancel()

	if _, err := p.owned(ctx, t, claim); err != nil {
		return nil, err
	}

	// First nobody may log in, which has to be committed before sessions are
	// ended; else they could come back.
	if err := p.DisableLogins(ctx, t, claim); err != nil {
		return nil, err
	}

	err = p.locked(ctx, t, claim, func(tx pgx.Tx) error {
		left = nil
		if err := lockDatabase(ctx, tx); err != nil {
			return err
		}

		found, err := readMarks(ctx, tx, t)
		if err != nil {
			return err
		}

		for role := range found.roles {
			// An administrator that is no superuser may drop what a role owns only
			// as a member of it.
			if _, err := tx.Exec(ctx, "GRANT "+quote(role)+" TO CURRENT_USER"); err != nil {
				return err
			}
		}

		if _, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+quote(t.Schema())+" CASCADE"); err != nil {
			return err
		}

		for _, role := range t.Roles() {
			if _, exists := found.roles[role]; !exists {
				continue
			}
			dropped, err := dropRole(ctx, tx, role)
			if err != nil {
				return err
			}
			if !dropped {
				left = append(left, role)
			}
		}

		if err := p.markRetained(ctx, tx, t, claim); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM leaderboard_operator.tenants WHERE id = $1", t.ID)
		return err
	})

	return left, postgresError(err, "drop the schema %s", t.Schema())
}

// dropRole removes a role and what it owns in this database, and reports false if
// something in another database still depends on it.
func dropRole(ctx context.Context, tx pgx.Tx, role string) (bool, error) {
	if _, err := tx.Exec(ctx, "DROP OWNED BY "+quote(role)); err != nil {
		return false, err
	}

	err := pgx.BeginFunc(ctx, tx, func(nested pgx.Tx) error {
		_, err := nested.Exec(ctx, "DROP ROLE "+quote(role))
		return err
	})
	if sqlState(err) == stateDependentObjects {
		return false, nil
	}

	return err == nil, err
}

// DisableLogins is [Postgres.DisableLogin] for both slots.
func (p *Postgres) DisableLogins(ctx context.Context, t tenant.Tenant, claim Claim) error {
	for _, slot := range tenant.Slots {
		if err := p.DisableLogin(ctx, t, claim, slot); err != nil {
			return err
		}
	}
	return nil
}

// owned reads the marks of what exists of the tenant; what is another's is an
// OwnershipConflict.
func (p *Postgres) owned(ctx context.Context, t tenant.Tenant, claim Claim) (found marks, err error) {
	err = pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := p.checkID(ctx, tx); err != nil {
			return err
		}
		found, err = p.readAdmitted(ctx, tx, t, claim)
		return err
	})
	if err != nil {
		return marks{}, postgresError(err, "look at the schema %s", t.Schema())
	}

	return found, nil
}

package provision

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// Operator is the process on whose behalf stores are written.
type Operator struct {
	// Cluster is the UID of the namespace kube-system, which no other cluster has.
	Cluster string
	// ClusterID is the part of tenants' names that tells clusters apart.
	ClusterID string
	// ControllerName is that of the classes which the operator serves, and Namespace
	// where it runs.
	ControllerName, Namespace string
	// Holder is this process's own: another one, of the same cluster too, has another.
	Holder string
	// Leads returns an error unless this process is the one that leads now. It must
	// ask, not remember. Nil: there is no other one.
	Leads func(context.Context) error
}

// The registry is a schema that only the administrator can look into. Its tables
// take the place of advisory locks, which any login of the database could hold:
//
//   - operators has a row for each operator that works in the database. Its holder
//     is the process that leads; every transaction that writes locks the row and
//     compares it, so one that led before can commit nothing after another has
//     taken over (a fencing token:
//     https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
//   - tenants has a row for each tenant; who has locked it writes that tenant. It holds
//     what was issued last, when, and at whose request: the Secret that serves it is the
//     tenant's to write.
//   - database_grants has no rows. Its lock orders grants on the database, which are
//     all in one row of the catalogue that PostgreSQL refuses to change twice at once.
//
// Locks are taken in this order.
const registrySQL = `
CREATE SCHEMA IF NOT EXISTS leaderboard_operator;
CREATE TABLE IF NOT EXISTS leaderboard_operator.operators (
	cluster_id text NOT NULL, controller_name text NOT NULL, cluster text NOT NULL, namespace text NOT NULL, holder text NOT NULL,
	PRIMARY KEY (cluster_id, controller_name));
CREATE TABLE IF NOT EXISTS leaderboard_operator.tenants (id text PRIMARY KEY, issued_slot text, issued_digest text,
	issued_at timestamptz, issued_request text);
DO $$ BEGIN
	IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'leaderboard_operator.tenants'::regclass AND attname = 'issued_at') THEN
		ALTER TABLE leaderboard_operator.tenants ADD COLUMN issued_at timestamptz, ADD COLUMN issued_request text;
	END IF;
END $$;
CREATE TABLE IF NOT EXISTS leaderboard_operator.database_grants ();`

// errNotHolder: the registry names another process as the one that leads, or none.
var errNotHolder = errors.New("another operator has taken over this database")

// Register writes down that this process leads in the database. It writes nothing
// if that stands there already. An operator of another cluster with the same
// cluster id, or one in another namespace with the same controller name, is an
// OwnershipConflict until the change is approved.
func (p *Postgres) Register(ctx context.Context, approved Approvals) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	err := pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return p.checkHolder(ctx, tx, "")
	})
	if !errors.Is(err, errNotHolder) {
		return postgresError(err, "look into the schema leaderboard_operator")
	}

	return p.register(ctx, approved)
}

// register is [Postgres.Register] where another process or none is registered.
func (p *Postgres) register(ctx context.Context, approved Approvals) error {
	if err := p.checkLease(ctx); err != nil {
		return err
	}

	err := p.takeOver(ctx, approved)
	switch sqlState(err) {
	case stateUniqueViolation, stateDuplicateSchema, stateDuplicateTable, stateDuplicateColumn, stateDeadlockDetected:
		err = p.takeOver(ctx, approved) // another operator was making or using the registry
	}
	if sqlState(err) == stateInsufficientPrivilege {
		return &Error{Kind: InsufficientRights, Message: "the schema leaderboard_operator cannot be made or belongs to another administrator: give all operators of one database the same one, which owns the database. After a restore without owners, as a superuser: " + giveBack("leaderboard_operator", p.admin.Username), Cause: short(err)}
	}

	return postgresError(err, "register in the schema leaderboard_operator")
}

func (p *Postgres) takeOver(ctx context.Context, approved Approvals) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, registrySQL, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}

		has, err := readOperator(ctx, tx, p.operator, "FOR UPDATE")
		if err != nil {
			return err
		}
		if err := p.operator.admits(has, approved); err != nil {
			return err
		}

		_, err = tx.Exec(ctx, `INSERT INTO leaderboard_operator.operators (cluster_id, controller_name, cluster, namespace, holder)
			VALUES ($1, $2, $3, $4, $5) ON CONFLICT (cluster_id, controller_name)
			DO UPDATE SET cluster = excluded.cluster, namespace = excluded.namespace, holder = excluded.holder`,
			p.operator.ClusterID, p.operator.ControllerName, p.operator.Cluster, p.operator.Namespace, p.operator.Holder)
		return err
	})
}

// admits returns nil if the operator may go on from where the registered one, which
// is zero if there is none, has been.
func (o Operator) admits(has Operator, approved Approvals) error {
	var change, message string
	switch {
	case has.Holder == "":
		return nil
	case has.Cluster != o.Cluster:
		change = fmt.Sprintf("cluster %s %s", has.Cluster, o.Cluster)
		message = fmt.Sprintf("an operator of another Kubernetes cluster, whose namespace kube-system has the UID %s, works in this database with the cluster id %q: "+
			"give each cluster an id of its own (clusterID of the chart), or a database", has.Cluster, o.ClusterID)
	case has.Namespace != o.Namespace:
		change = operatorChange(o.ControllerName, has.Namespace, o.Namespace)
		message = fmt.Sprintf("an operator in the namespace %s works in this database with the controller name %s: "+
			"remove one of them, or give each a controllerName of its own", has.Namespace, o.ControllerName)
	default:
		return nil
	}

	if approved.has(change) {
		return nil
	}

	return &Error{Kind: OwnershipConflict, Message: message, Approve: ApprovalOf(change)}
}

// ApprovalOfOperator is the word by which the platform team approves that the operator in
// one namespace takes the place of that in another.
func ApprovalOfOperator(controllerName, from, to string) string {
	return ApprovalOf(operatorChange(controllerName, from, to))
}

func operatorChange(controllerName, from, to string) string {
	return fmt.Sprintf("operator %s %s %s", controllerName, from, to)
}

// readOperator reads the row of the operator; a zero one if there is none.
func readOperator(ctx context.Context, tx pgx.Tx, o Operator, lock string) (has Operator, err error) {
	err = tx.QueryRow(ctx, "SELECT cluster, namespace, holder FROM leaderboard_operator.operators WHERE cluster_id = $1 AND controller_name = $2 "+lock,
		o.ClusterID, o.ControllerName).Scan(&has.Cluster, &has.Namespace, &has.Holder)
	if errors.Is(err, pgx.ErrNoRows) {
		return Operator{}, nil
	}
	return has, err
}

// checkHolder returns errNotHolder unless the registry names this process.
func (p *Postgres) checkHolder(ctx context.Context, tx pgx.Tx, lock string) error {
	has, err := readOperator(ctx, tx, p.operator, lock)
	if state := sqlState(err); state == stateUndefinedTable || state == stateInvalidSchema {
		return errNotHolder
	}
	if err == nil && has.Holder != p.operator.Holder {
		return errNotHolder
	}
	return err
}

// locked runs a transaction that excludes every other one of the same tenant. It
// commits only if this process leads, PostgreSQL is the one that it was, and what
// exists of the tenant is the claim's.
func (p *Postgres) locked(ctx context.Context, t tenant.Tenant, claim Claim, do func(pgx.Tx) error) error {
	attempt := func() error {
		return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
			if err := p.checkHolder(ctx, tx, "FOR SHARE"); err != nil {
				return err
			}
			if err := p.checkID(ctx, tx); err != nil {
				return err
			}
			if err := lockTenant(ctx, tx, t); err != nil {
				return err
			}
			if _, err := p.readAdmitted(ctx, tx, t, claim); err != nil {
				return err
			}
			return do(tx)
		})
	}

	err := attempt()
	if !errors.Is(err, errNotHolder) {
		return err
	}
	if err := p.register(ctx, nil); err != nil {
		return err
	}

	return attempt()
}

// WhileLeading runs do while this process leads: no other one can take over before it has
// returned. It is for what is written elsewhere. Where PostgreSQL does not answer, takes
// no writes (of which its locks are one), or does not name this process yet, the lease alone is asked: nothing is registered here,
// as the database may turn out to be another one than the game's.
func (p *Postgres) WhileLeading(ctx context.Context, do func(context.Context) error) error {
	begun, doErr := false, error(nil)
	err := pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if err := p.checkHolder(ctx, tx, "FOR SHARE"); err != nil {
			return err
		}
		begun = true
		doErr = do(ctx)
		return nil
	})

	if begun {
		return doErr
	}
	if err != nil && !errors.Is(err, errNotHolder) {
		err = postgresError(err, "look who leads")
		if kind := KindOf(err); kind != Unreachable && kind != ReadOnly {
			return err
		}
	}
	if err := p.checkLease(ctx); err != nil {
		return err
	}
	return do(ctx)
}

// checkLease returns an error unless this process leads.
func (p *Postgres) checkLease(ctx context.Context) error {
	if p.operator.Leads == nil {
		return nil
	}
	if err := p.operator.Leads(ctx); err != nil {
		return &Error{Kind: Fenced, Message: "another operator leads, so this one changes nothing more", Cause: err}
	}
	return nil
}

// lockTenant excludes other transactions of the tenant until this one ends.
func lockTenant(ctx context.Context, tx pgx.Tx, t tenant.Tenant) error {
	if _, err := tx.Exec(ctx, "INSERT INTO leaderboard_operator.tenants (id) VALUES ($1) ON CONFLICT DO NOTHING", t.ID); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "SELECT FROM leaderboard_operator.tenants WHERE id = $1 FOR UPDATE", t.ID)
	return err
}

// lockDatabase excludes other tenants' changes of what is the database's.
func lockDatabase(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "LOCK TABLE leaderboard_operator.database_grants IN EXCLUSIVE MODE")
	return err
}

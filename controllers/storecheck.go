package controllers

import (
	"context"
	"errors"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
)

// Stock is what a check of a class's stores has found.
type Stock struct {
	Postgres     provision.PostgresServer
	RedisVersion string
	Placement    v1alpha1.Placement
	// LeftOpen says in words what PUBLIC may do and the administrator was not allowed
	// to take away.
	LeftOpen []string
}

// Check asks both stores of a class whether they can be used and are those that the
// class has led to so far, registers the operator there, and takes from PUBLIC what
// would let tenants reach each other.
func (s *Stores) Check(ctx context.Context, class *v1alpha1.LeaderboardClass) (Stock, error) {
	handle, err := s.acquire(ctx, class)
	if err != nil {
		return Stock{}, err
	}
	defer handle.release()

	var stock Stock
	postgresErr := handle.checkPostgres(ctx, class, &stock)
	redisErr := handle.checkRedis(ctx, class, &stock)
	switch {
	case postgresErr != nil:
		step := asClassError(class, postgresErr, v1alpha1.ReasonPostgresUnreachable)
		if redisErr != nil {
			step.message += "; " + asClassError(class, redisErr, v1alpha1.ReasonRedisUnreachable).message
		}
		return Stock{}, step
	case redisErr != nil:
		return Stock{}, asClassError(class, redisErr, v1alpha1.ReasonRedisUnreachable)
	}

	return stock, nil
}

// checkPostgres writes nothing before it is known which database this is.
func (e *storeEntry) checkPostgres(ctx context.Context, class *v1alpha1.LeaderboardClass, stock *Stock) (err error) {
	if stock.Postgres, err = e.postgres.Check(ctx); err != nil {
		return err
	}

	id := stock.Postgres.ID
	if moved := checkPostgresMove(class, class.Status.Placement, id, ""); moved != nil {
		return moved
	}

	stock.Placement.PostgresServer, stock.Placement.PostgresDatabase = id.Server, id.Database
	if stock.LeftOpen, err = e.prepare(ctx, class); err != nil {
		return err
	}

	return e.postgres.CheckPooler(ctx)
}

func (e *storeEntry) checkRedis(ctx context.Context, class *v1alpha1.LeaderboardClass, stock *Stock) (err error) {
	if stock.RedisVersion, err = e.redis.Check(ctx); err != nil {
		return err
	}
	if err := e.prepareRedis(ctx); err != nil {
		return err
	}
	if stock.Placement.Redis, err = e.redis.ID(ctx); err != nil {
		return err
	}
	if moved := checkRedisMove(class, stock.Placement.Redis, ""); moved != nil {
		return moved
	}
	return nil
}

// prepareInterval is how often it is looked at what changes seldom: who is registered,
// whether PUBLIC has rights that it must not have, whether Redis lets anyone in, and whether
// what games need can be done, which is tried out. Each is a write, so none is part of every
// check; all are when the class or an admin Secret has changed, and after a failure.
const prepareInterval = 10 * time.Minute

// prepare registers the operator, takes from PUBLIC what it must not have, and tries out
// what games need.
func (e *storeEntry) prepare(ctx context.Context, class *v1alpha1.LeaderboardClass) (leftOpen []string, err error) {
	e.preparing.Lock()
	defer e.preparing.Unlock()

	err = seldom(&e.prepareAt, func() (err error) {
		if err := e.postgres.Register(ctx, approvals(class)); err != nil {
			return err
		}
		if e.leftOpen, err = e.postgres.PrepareDatabase(ctx, class.Spec.Postgres.RestrictMaintenanceDatabases); err != nil {
			return err
		}
		return e.postgres.Probe(ctx)
	})
	if errors.Is(err, provision.ErrBusy) {
		err = nil // nothing is wrong; the next check tries
	}
	return e.leftOpen, err
}

// prepareRedis looks whether tenants can share Redis and have what they need, and which one
// it is.
func (e *storeEntry) prepareRedis(ctx context.Context) error {
	e.preparing.Lock()
	defer e.preparing.Unlock()

	return seldom(&e.prepareRedisAt, func() error {
		if err := e.redis.Prepare(ctx); err != nil {
			return err
		}
		if err := e.redis.CheckGames(ctx); err != nil {
			return err
		}
		_, err := e.redis.Identify(ctx)
		return err
	})
}

// seldom does what is due at a time, and sets the next time once it has been done.
func seldom(at *time.Time, do func() error) error {
	if time.Now().Before(*at) {
		return nil
	}
	if err := do(); err != nil {
		return err
	}

	*at = time.Now().Add(prepareInterval)
	return nil
}

// asClassError words what a check found for the condition Reachable.
func asClassError(class *v1alpha1.LeaderboardClass, err error, unreachable string) *stepError {
	var step *stepError
	if errors.As(err, &step) {
		return step
	}

	reason := map[provision.Kind]string{
		provision.Unreachable:        unreachable,
		provision.Refused:            v1alpha1.ReasonInsufficientRights,
		provision.InsufficientRights: v1alpha1.ReasonInsufficientRights,
		provision.Misconfigured:      v1alpha1.ReasonMisconfigured,
		provision.ReadOnly:           v1alpha1.ReasonReadOnly,
		provision.OwnershipConflict:  v1alpha1.ReasonOwnershipConflict,
	}[provision.KindOf(err)]
	if reason == "" {
		reason = v1alpha1.ReasonProvisioningFailed
	}

	var refused *provision.Error
	if errors.As(err, &refused) && refused.Approve != "" {
		return stalledBy("", reason, "%s. %s", sentence(err), howToApprove(class, refused.Approve))
	}

	return stalledBy("", reason, "%s", sentence(err))
}

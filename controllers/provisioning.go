package controllers

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	ledger "github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

// connect gets the connections to the class's stores, and reads what the game
// is served: together they say whether the stores have to be asked again.
func (r *LeaderboardReconciler) connect(ctx context.Context, p *pass) error {
	handle, err := r.Stores.acquire(ctx, p.class)
	if err != nil {
		step := asStepError(err, v1alpha1.ReasonClassNotReady)
		return &stepError{reason: v1alpha1.ReasonClassNotReady, stalled: step.stalled, cause: step.cause,
			message: "The LeaderboardClass " + p.class.Name + " cannot be used; the platform team must fix it: " + step.message}
	}

	p.stores = handle
	return nil
}

func (p *pass) close() {
	if p.stores != nil {
		p.stores.release()
	}
}

// checkFreshness reads the served credentials and decides whether the stores were
// recently verified for exactly these.
func (r *LeaderboardReconciler) checkFreshness(ctx context.Context, p *pass) error {
	var err error
	if p.served, err = r.getSecret(ctx, p.lb, workload.CredentialsName(p.lb)); err != nil {
		return secretFailure(err)
	}

	p.fresh = p.served != nil &&
		p.conditions().isTrue(v1alpha1.ConditionSchemaReady) && p.conditions().isTrue(v1alpha1.ConditionKeyspaceReady) &&
		r.verified.fresh(p.lb.UID, p.freshnessKey(workload.Checksum(p.served.Data)))
	return nil
}

// freshnessKey changes with everything that the stores depend on.
func (p *pass) freshnessKey(credentials string) string {
	return strings.Join([]string{p.stores.key, credentials, p.lb.Annotations[v1alpha1.AdoptAnnotation]}, " ")
}

func (p *pass) owner() provision.Owner {
	return provision.Owner{Namespace: p.lb.Namespace, Name: p.lb.Name, UID: string(p.lb.UID)}
}

// ensureSchema makes the schema and the roles; nobody can log in yet.
func (r *LeaderboardReconciler) ensureSchema(ctx context.Context, p *pass) error {
	if p.fresh {
		return nil
	}

	_, err := p.stores.postgres.EnsureSchema(ctx, p.tenant, provision.SchemaOptions{
		Owner: p.owner(), Adopt: p.lb.Annotations[v1alpha1.AdoptAnnotation] == "true",
		Connections: int(p.class.Spec.Limits.PostgresConnections),
	})
	if provision.KindOf(err) == provision.OwnershipConflict && err != nil {
		return stalledBy(v1alpha1.ConditionSchemaReady, v1alpha1.ReasonOwnershipConflict,
			"%s: to take it over with its scores, set the annotation %s=true", sentence(err), v1alpha1.AdoptAnnotation)
	}

	return storeFailure(err, v1alpha1.ConditionSchemaReady)
}

// ensureLogin lets the served role log in with the served password, and checks
// that the pooler, where there is one, lets it in as well.
func (r *LeaderboardReconciler) ensureLogin(ctx context.Context, p *pass) error {
	if p.fresh {
		return nil
	}

	works, err := p.stores.postgres.VerifyLogin(ctx, p.tenant, p.creds.slot, p.creds.postgresPassword)
	if err == nil && !works {
		err = p.stores.postgres.SetPassword(ctx, p.tenant, p.creds.slot, p.creds.postgresPassword)
	}

	if err == nil {
		err = p.stores.postgres.VerifyPooledLogin(ctx, p.tenant, p.creds.slot, p.creds.postgresPassword)
	}

	return storeFailure(err, v1alpha1.ConditionSchemaReady)
}

// ensureMigrations brings the schema to the version that the server needs.
func (r *LeaderboardReconciler) ensureMigrations(ctx context.Context, p *pass) error {
	if p.fresh {
		return nil
	}

	conn, err := p.stores.postgres.MigrationConn(ctx, p.tenant)
	if err != nil {
		return storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	err = ledger.Migrate(ctx, conn, p.tenant.Schema())
	if errors.Is(err, ledger.ErrNewerSchema) {
		return stalledBy(v1alpha1.ConditionSchemaReady, v1alpha1.ReasonMigrationFailed,
			"The schema was migrated by a newer operator than this one, which leaves it alone: the platform team must update the operator")
	}
	if err != nil {
		return failedBy(err, v1alpha1.ConditionSchemaReady, v1alpha1.ReasonMigrationFailed, "The schema could not be migrated; this is tried again: %v", err)
	}

	p.conditions().set(v1alpha1.ConditionSchemaReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "The schema and its roles are as the server needs them")
	return nil
}

// ensureKeyspace makes the Redis user. A game that already runs goes on without
// Redis: submissions are accepted, so its other objects are still looked after.
func (r *LeaderboardReconciler) ensureKeyspace(ctx context.Context, p *pass) error {
	if p.fresh {
		return nil
	}

	changed, err := p.stores.redis.EnsureUser(ctx, p.tenant, p.creds.redisPassword)
	if err != nil {
		failure := storeFailure(err, v1alpha1.ConditionKeyspaceReady)
		if p.lb.Status.Endpoint == "" {
			return failure
		}
		p.conditions().fail(failure)
		p.later = failure
		return nil
	}

	if changed && p.conditions().isTrue(v1alpha1.ConditionKeyspaceReady) {
		r.Recorder.Eventf(p.lb, nil, corev1.EventTypeNormal, "KeyspaceRestored", "Provision", "The Redis user was missing or changed and has been made again")
	}

	p.conditions().set(v1alpha1.ConditionKeyspaceReady, metav1.ConditionTrue, v1alpha1.ReasonReady, "The Redis user exists on every node")
	return nil
}

// markVerified notes that the stores are right, so that they are not asked again
// before the next resync.
func (r *LeaderboardReconciler) markVerified(_ context.Context, p *pass) error {
	if p.later == nil && !p.fresh {
		r.verified.mark(p.lb.UID, p.freshnessKey(p.creds.checksum()), r.Resync/2)
	}

	// The steps that were left out confirm the present generation as well.
	for _, conditionType := range []string{v1alpha1.ConditionSchemaReady, v1alpha1.ConditionKeyspaceReady} {
		p.conditions().renew(conditionType)
	}

	return nil
}

// disableOldLogin ends the login that is not served, once no Pod uses it: the
// rollout of the served one is complete.
func (r *LeaderboardReconciler) disableOldLogin(ctx context.Context, p *pass) error {
	key := p.freshnessKey(p.creds.checksum())
	if r.oldLoginDisabled.fresh(p.lb.UID, key) {
		return nil
	}
	if err := p.stores.postgres.DisableLogin(ctx, p.tenant, p.creds.slot.Other()); err != nil {
		return storeFailure(err, v1alpha1.ConditionSchemaReady)
	}

	r.oldLoginDisabled.mark(p.lb.UID, key, r.Resync/2)
	return nil
}

// releaseStores does with the stores what the deletion policy says. A schema
// that is another's is left alone, and so is the Redis user of its name.
func (r *LeaderboardReconciler) releaseStores(ctx context.Context, p *pass) error {
	var err error
	if p.lb.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete {
		err = p.stores.postgres.Drop(ctx, p.tenant, p.owner())
	} else {
		err = p.stores.postgres.Release(ctx, p.tenant, p.owner())
	}

	if err != nil && provision.KindOf(err) == provision.OwnershipConflict {
		r.Recorder.Eventf(p.lb, nil, corev1.EventTypeWarning, v1alpha1.ReasonOwnershipConflict, "Delete", "%s, so it was left alone", sentence(err))
		return nil
	}
	if err != nil {
		return storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	// The user first: nobody writes keys after they have been removed.
	if err := p.stores.redis.DropUser(ctx, p.tenant); err != nil {
		return storeFailure(err, v1alpha1.ConditionKeyspaceReady)
	}

	return storeFailure(p.stores.redis.DropKeys(ctx, p.tenant), v1alpha1.ConditionKeyspaceReady)
}

// storeFailure words an error of a store for the condition that it makes false;
// nil stays nil.
func storeFailure(err error, condition string) error {
	if err == nil {
		return nil
	}

	unreachable, store := v1alpha1.ReasonPostgresUnreachable, "Postgres"
	if condition == v1alpha1.ConditionKeyspaceReady {
		unreachable, store = v1alpha1.ReasonRedisUnreachable, "Redis"
	}

	switch provision.KindOf(err) {
	case provision.Unreachable:
		return failedBy(err, condition, unreachable, "%s did not answer in time; this is tried again on its own", store)
	case provision.Refused, provision.InsufficientRights:
		return stalledBy(condition, v1alpha1.ReasonInsufficientRights, "The platform team must fix the class: %s", sentence(err))
	case provision.Misconfigured:
		return stalledBy(condition, v1alpha1.ReasonClassNotReady, "The platform team must fix the class: %s", sentence(err))
	default:
		return failedBy(err, condition, v1alpha1.ReasonProvisioningFailed, "%s refused something; this is tried again: %s", store, sentence(err))
	}
}

// sentence begins an error's text with a capital letter, as messages do.
func sentence(err error) string {
	text := err.Error()
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

package controllers

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
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
	if p.keptStores != handle.key { // the class was edited in between
		p.keptPostgres, p.keptRedis = attempt{}, attempt{}
	}
	return nil
}

func (p *pass) close() {
	if p.stores != nil {
		p.stores.release()
	}
}

// checkFreshness reads the served credentials and decides whether the stores were
// recently verified for exactly these. If they have to be written, the Leaderboard has to
// be there.
func (r *LeaderboardReconciler) checkFreshness(ctx context.Context, p *pass) error {
	var err error
	if p.served, err = r.getSecret(ctx, p.lb, workload.CredentialsName(p.lb)); err != nil {
		return secretFailure(err)
	}

	p.fresh = p.served != nil &&
		p.conditions().isTrue(v1alpha1.ConditionSchemaReady) && p.conditions().isTrue(v1alpha1.ConditionKeyspaceReady) &&
		r.rests(ctx, p, p.stores, freshnessKey(p.stores, workload.Checksum(p.served.Data), p))
	if p.fresh {
		return nil
	}
	return r.confirmLeaderboard(ctx, p)
}

// freshnessKey changes with everything that the stores, and when to rotate, depend on.
func freshnessKey(stores *storeHandle, credentials string, p *pass) string {
	return stores.identity + " " + credentials + " " + rotationRequest(p.lb) + " " + p.class.Spec.Rotation.Every.String()
}

// ensureSchema makes the schema and the roles; nobody can log in yet.
func (r *LeaderboardReconciler) ensureSchema(ctx context.Context, p *pass) error {
	if p.fresh || p.keptPostgres.made {
		return p.keptPostgres.err
	}
	return p.storeFailure(ensureRoles(ctx, p, p.stores.postgres), v1alpha1.ConditionSchemaReady)
}

// ensureLogin lets the served role log in with the served password.
func (r *LeaderboardReconciler) ensureLogin(ctx context.Context, p *pass) error {
	if p.fresh || p.keptPostgres.made {
		return p.keptPostgres.err
	}
	return p.storeFailure(ensureLogin(ctx, p, p.stores.postgres, p.creds), v1alpha1.ConditionSchemaReady)
}

// ensureMigrations brings the schema to the version that the server needs.
func (r *LeaderboardReconciler) ensureMigrations(ctx context.Context, p *pass) error {
	if p.fresh {
		return nil
	}

	conn, err := p.stores.postgres.MigrationConn(ctx, p.tenant)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	if err := r.migrate(ctx, p, conn); err != nil {
		return err
	}

	p.lb.Status.SchemaCreated = true
	strangers, err := p.stores.postgres.Strangers(ctx, p.tenant)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	foreign, err := p.stores.postgres.Foreign(ctx, p.tenant)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	if foreign != "" {
		strangers = append(strangers, foreign)
	}
	message := schemaReady
	if len(strangers) > 0 {
		message += ". Others have rights to them that the operator cannot take away; the platform team can: " + strings.Join(strangers, "; ")
	}

	p.conditions().set(v1alpha1.ConditionSchemaReady, metav1.ConditionTrue, v1alpha1.ReasonReady, message)
	return nil
}

// versionTimeout bounds the reading of a schema's version, which is one row.
const versionTimeout = 15 * time.Second

// errMigrationTurn: enough games of the class are being migrated.
var errMigrationTurn = errors.New("other games of the class are being migrated")

// migrate brings the schema to the version of this operator. A new operator brings a
// migration to every game, and each may take minutes: they take turns, and nothing is
// said of those that wait, which go on as they are.
func (r *LeaderboardReconciler) migrate(ctx context.Context, p *pass, conn *pgx.Conn) error {
	reading, cancel := context.WithTimeout(ctx, versionTimeout)
	version, err := ledger.CurrentVersion(reading, conn, p.tenant.Schema())
	cancel()

	if err == nil && version == ledger.RequiredVersion() {
		return nil
	}
	if err == nil && version > 0 && version < ledger.RequiredVersion() {
		if !r.migrations.take(p.class.Name) {
			return errMigrationTurn
		}
		defer r.migrations.giveBack(p.class.Name)
	}

	if err == nil {
		err = ledger.Migrate(ctx, conn, p.tenant.Schema())
	}
	if errors.Is(err, ledger.ErrNewerSchema) {
		return stalledBy(v1alpha1.ConditionSchemaReady, v1alpha1.ReasonMigrationFailed,
			"The schema was migrated by a newer operator than this one, which leaves it alone: the platform team must update the operator")
	}
	if err != nil {
		return failedBy(err, v1alpha1.ConditionSchemaReady, v1alpha1.ReasonMigrationFailed, "The schema could not be migrated; this is tried again: %v", err)
	}

	return nil
}

// ensureKeyspace makes the Redis user. A game that already runs goes on without
// Redis: submissions are accepted, so its other objects are still looked after.
func (r *LeaderboardReconciler) ensureKeyspace(ctx context.Context, p *pass) error {
	if p.fresh {
		return nil
	}

	done := p.keptRedis
	if !done.made {
		done.err = p.storeFailure(r.ensureUser(ctx, p, p.stores, p.creds), v1alpha1.ConditionKeyspaceReady)
	}

	var failure *stepError
	switch {
	case done.err == nil:
		p.conditions().set(v1alpha1.ConditionKeyspaceReady, metav1.ConditionTrue, v1alpha1.ReasonReady, keyspaceReady)
		return nil
	case p.lb.Status.Endpoint == "", errors.As(done.err, &failure) && failure.reason == v1alpha1.ReasonPlacementChanged:
		return done.err
	case p.class.Status.ReachedGeneration != p.class.Generation:
		return done.err // Pods must not be told of a Redis that nobody has reached yet
	}

	p.conditions().fail(done.err)
	p.later = done.err
	return nil
}

// markVerified notes that the stores are right, so that they are not asked again
// before the next resync.
func (r *LeaderboardReconciler) markVerified(_ context.Context, p *pass) error {
	if p.later == nil && !p.fresh && !p.rotationWaits {
		key := freshnessKey(p.stores, p.creds.checksum(), p)
		r.verified.mark(p.lb.UID, key, r.Resync/2)
		now := time.Now()
		r.resting.note(p.lb.UID, key, p.fingerprint, now, now.Add(min(wholeLook, untilRotation(p))))
	}

	// The steps that were left out confirm the present generation as well.
	p.renewStores()
	return nil
}

// renewStores has the conditions of the stores, where they are true, speak of the present
// generation.
func (p *pass) renewStores() {
	for _, conditionType := range []string{v1alpha1.ConditionSchemaReady, v1alpha1.ConditionKeyspaceReady} {
		p.conditions().renew(conditionType)
	}
}

// releaseStores does with the stores what the deletion policy says. A schema
// that is another's is left alone, and so is the Redis user of its name.
func (r *LeaderboardReconciler) releaseStores(ctx context.Context, p *pass) error {
	var left []string
	var err error
	if p.lb.Spec.DeletionPolicy == v1alpha1.DeletionPolicyDelete {
		left, err = p.stores.postgres.Drop(ctx, p.tenant, p.claim)
	} else {
		err = p.stores.postgres.Release(ctx, p.tenant, p.claim)
	}

	if len(left) > 0 {
		r.Recorder.Eventf(p.lb, nil, corev1.EventTypeWarning, "RolesLeft", "Delete",
			"The roles %s own something in another database of the server, so they were left, without a login", strings.Join(left, ", "))
	}
	if r.leftAlone(p, err) {
		return nil
	}
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}

	err = p.stores.dropFromRedis(ctx, p.tenant, p.claim)
	if r.leftAlone(p, err) {
		return nil
	}

	return p.storeFailure(err, v1alpha1.ConditionKeyspaceReady)
}

// leftAlone reports whether something was not removed because it is another's.
func (r *LeaderboardReconciler) leftAlone(p *pass, err error) bool {
	if err == nil || provision.KindOf(err) != provision.OwnershipConflict {
		return false
	}
	r.Recorder.Eventf(p.lb, nil, corev1.EventTypeWarning, v1alpha1.ReasonOwnershipConflict, "Delete", "%s, so it was left alone", sentence(err))
	return true
}

// storeFailure words an error of a store for the condition that it makes false;
// nil stays nil.
func (p *pass) storeFailure(err error, condition string) error {
	var known *stepError
	if err == nil || errors.As(err, &known) {
		return err
	}

	unreachable, store := v1alpha1.ReasonPostgresUnreachable, "Postgres"
	if condition == v1alpha1.ConditionKeyspaceReady {
		unreachable, store = v1alpha1.ReasonRedisUnreachable, "Redis"
	}

	switch provision.KindOf(err) {
	case provision.Unreachable:
		return failedBy(err, condition, unreachable, "%s did not answer in time; this is tried again on its own", store)
	case provision.ReadOnly:
		return failedBy(err, condition, v1alpha1.ReasonReadOnly, "%s. This is tried again on its own", sentence(err))
	case provision.OwnershipConflict:
		return stalledBy(condition, v1alpha1.ReasonOwnershipConflict, "%s: it was left alone. %s", sentence(err), p.howToApprove(err))
	case provision.Missing:
		return stalledBy(condition, v1alpha1.ReasonSchemaMissing, "%s: restore it from a backup, or begin with an empty one. %s", sentence(err), p.howToApprove(err))
	case provision.Refused, provision.InsufficientRights:
		return stalledBy(condition, v1alpha1.ReasonInsufficientRights, "The platform team must fix the class: %s", sentence(err))
	case provision.Misconfigured:
		return stalledBy(condition, v1alpha1.ReasonClassNotReady, "The platform team must fix the class: %s", sentence(err))
	default:
		return failedBy(err, condition, v1alpha1.ReasonProvisioningFailed, "%s refused something; this is tried again: %s", store, sentence(err))
	}
}

// howToApprove says how what a store's error refuses can be approved, if it can.
func (p *pass) howToApprove(err error) string {
	var refused *provision.Error
	if !errors.As(err, &refused) || refused.Approve == "" {
		return "It cannot be taken over: use another name"
	}
	return howToApprove(p.class, refused.Approve)
}

// sentence begins an error's text with a capital letter, as messages do.
func sentence(err error) string {
	text := err.Error()
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

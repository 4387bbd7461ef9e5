package controllers

import (
	"context"
	"errors"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
)

// attempt is what became of one store in this pass.
type attempt struct {
	made bool
	err  error
}

// keep looks after what a game already runs on: its roles, its login and its Redis
// user, with the credentials that it is served. It comes before everything that may
// refuse the spec: a game that is suspended, or no longer admitted, still runs, and a
// store may lose what it needs. Each store is seen to on its own; the steps that follow
// go on from what was done here.
func (r *LeaderboardReconciler) keep(ctx context.Context, p *pass) {
	if p.lb.Status.Placement == nil || !p.lb.Status.SchemaCreated {
		return // nothing runs yet
	}

	stores, err := r.storesToKeep(ctx, p)
	if err != nil {
		return // the steps find the same, and say it
	}
	defer stores.release()

	served, err := r.getSecret(ctx, p.lb, workload.CredentialsName(p.lb))
	creds := readCredentials(served)
	if err != nil || creds == nil {
		return
	}

	key := freshnessKey(stores, workload.Checksum(served.Data), p)
	if r.kept.fresh(p.lb.UID, key) || r.rests(ctx, p, stores, key) {
		p.renewStores() // as they would be if they were looked at
		return
	}
	if r.confirmLeaderboard(ctx, p) != nil {
		return // the steps find the same
	}

	if issued, err := stores.postgres.Issued(ctx, p.tenant); err == nil {
		p.issued = &issued
		if issued.Digest != "" && issued.Digest != creds.digest() {
			return // somebody has written the Secret: what the stores know is right
		}
	}

	p.keptStores = stores.key
	p.keptPostgres = r.keepPostgres(ctx, p, stores, creds)
	p.keptRedis = r.keepRedis(ctx, p, stores, creds)
	if p.keptPostgres.err == nil && p.keptRedis.err == nil {
		r.kept.mark(p.lb.UID, key, r.Resync/2)
	}
}

// confirmLeaderboard looks at the Leaderboard itself before anything is written for it in
// the stores, once a pass: the cache of an operator that has just taken the lead may not
// have heard yet that another one has deleted it, and released what it had. A conflict has
// the pass come again when the cache has caught up.
func (r *LeaderboardReconciler) confirmLeaderboard(ctx context.Context, p *pass) error {
	if p.confirmed {
		return nil
	}

	live := &v1alpha1.Leaderboard{}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(p.lb), live)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return failedBy(err, "", v1alpha1.ReasonProgressing, "The Leaderboard could not be read; this is tried again")
	case err != nil, live.UID != p.lb.UID, !live.DeletionTimestamp.IsZero():
		return apierrors.NewConflict(v1alpha1.GroupVersion.WithResource("leaderboards").GroupResource(), p.lb.Name, errors.New("it is being deleted"))
	}

	p.confirmed = true
	return nil
}

// storesToKeep connects to the class's stores or, if the class can no longer be
// used, for example since its admin Secret is gone, takes the connections that it had.
func (r *LeaderboardReconciler) storesToKeep(ctx context.Context, p *pass) (*storeHandle, error) {
	class, err := r.findClass(ctx, p.lb)
	if err != nil {
		return nil, err
	}

	p.class = class
	if err := r.prepareClaim(ctx, p); err != nil {
		return nil, err
	}

	handle, err := r.Stores.acquire(ctx, class)
	if err == nil {
		return handle, nil
	}
	if handle = r.Stores.last(class.Name); handle != nil {
		return handle, nil
	}

	return nil, err
}

func (r *LeaderboardReconciler) keepPostgres(ctx context.Context, p *pass, stores *storeHandle, creds *credentials) attempt {
	id, err := stores.postgres.ID(ctx)
	if err == nil && checkPostgresMove(p.class, p.lb.Status.Placement, id, "") != nil {
		return attempt{} // the step placement refuses it
	}
	if err == nil {
		err = ensureRoles(ctx, p, stores.postgres)
	}
	if err == nil {
		err = ensureLogin(ctx, p, stores.postgres, creds)
	}

	return conclude(p, err, v1alpha1.ConditionSchemaReady, schemaReady)
}

func (r *LeaderboardReconciler) keepRedis(ctx context.Context, p *pass, stores *storeHandle, creds *credentials) attempt {
	err := r.ensureUser(ctx, p, stores, creds)
	return conclude(p, err, v1alpha1.ConditionKeyspaceReady, keyspaceReady)
}

// conclude sets the condition of a store that has been seen to. A migration that
// failed is the step migrations' to tell.
func conclude(p *pass, err error, condition, message string) attempt {
	failure := p.storeFailure(err, condition)
	is := meta.FindStatusCondition(p.lb.Status.Conditions, condition)
	switch {
	case failure != nil:
		p.conditions().fail(failure)
	case is != nil && is.Status == metav1.ConditionTrue && strings.HasPrefix(is.Message, message):
		p.conditions().renew(condition) // the step migrations may have told more
	case is == nil || is.Reason != v1alpha1.ReasonMigrationFailed:
		p.conditions().set(condition, metav1.ConditionTrue, v1alpha1.ReasonReady, message)
	}
	return attempt{made: true, err: failure}
}

// Messages of the conditions of the stores while they are true.
const (
	schemaReady   = "The schema and its roles are as the server needs them"
	keyspaceReady = "The Redis user exists on every node"
)

// ensureRoles makes the schema and the roles; nobody can log in yet.
func ensureRoles(ctx context.Context, p *pass, postgres *provision.Postgres) error {
	_, err := postgres.EnsureSchema(ctx, p.tenant, p.claim, provision.SchemaOptions{
		Existed: p.lb.Status.SchemaCreated, Connections: int(workload.ConnectionLimit(p.class)),
	})
	return err
}

// ensureLogin lets the role of the credentials log in, and checks that the pooler,
// where there is one, lets it in as well.
func ensureLogin(ctx context.Context, p *pass, postgres *provision.Postgres, creds *credentials) error {
	if err := postgres.EnsureLogin(ctx, p.tenant, p.claim, creds.slot, creds.postgresPassword); err != nil {
		return err
	}
	return postgres.VerifyPooledLogin(ctx, p.tenant, creds.slot, creds.postgresPassword)
}

// ensureUser makes the Redis user with the password of the credentials, unless the
// class leads to another Redis than before: Pods must not be told of that one.
func (r *LeaderboardReconciler) ensureUser(ctx context.Context, p *pass, stores *storeHandle, creds *credentials) error {
	id, err := stores.redis.ID(ctx)
	if err != nil {
		return err
	}
	if moved := checkRedisMove(p.class, id, v1alpha1.ConditionKeyspaceReady); moved != nil {
		return moved
	}

	changed, err := addPassword(ctx, p, stores, creds)
	if changed && p.conditions().isTrue(v1alpha1.ConditionKeyspaceReady) {
		r.Recorder.Eventf(p.lb, nil, corev1.EventTypeNormal, "KeyspaceRestored", "Provision", "The Redis user was missing or changed and has been made again")
	}

	return err
}

// addPassword makes the Redis user, which takes the password of the credentials next to
// those that it takes.
func addPassword(ctx context.Context, p *pass, stores *storeHandle, creds *credentials) (changed bool, err error) {
	err = stores.postgres.WhileLeading(ctx, func(ctx context.Context) (err error) {
		changed, err = stores.redis.AddPassword(ctx, p.tenant, p.claim, creds.redisPassword)
		return err
	})
	return changed, err
}

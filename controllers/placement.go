package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// approvals of a class are the changes that its platform team has approved.
func approvals(class *v1alpha1.LeaderboardClass) provision.Approvals {
	return commaSeparated(class.Annotations[v1alpha1.ApproveAnnotation])
}

// commaSeparated are the words of an annotation.
func commaSeparated(text string) []string {
	var words []string
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// howToApprove ends a message that refuses a change: who may approve it, and how.
func howToApprove(class *v1alpha1.LeaderboardClass, word string) string {
	return fmt.Sprintf("If this is intended, the platform team approves it: kubectl annotate leaderboardclass %s --overwrite %s=%s",
		class.Name, v1alpha1.ApproveAnnotation, strings.Join(append(approvals(class), word), ","))
}

func postgresOf(placement *v1alpha1.Placement) provision.PostgresID {
	return provision.PostgresID{Server: placement.PostgresServer, Database: placement.PostgresDatabase}
}

// checkPostgresMove returns why data that is recorded in one database must not be
// looked for in another: nil, if nothing is recorded, it is the same, or the move is
// approved.
func checkPostgresMove(class *v1alpha1.LeaderboardClass, recorded *v1alpha1.Placement, found provision.PostgresID, condition string) *stepError {
	if recorded == nil || recorded.PostgresServer == "" || postgresOf(recorded) == found {
		return nil
	}

	word := provision.ApprovalOfMove(postgresOf(recorded), found)
	if slices.Contains(approvals(class), word) {
		return nil
	}

	return stalledBy(condition, v1alpha1.ReasonPlacementChanged,
		"The LeaderboardClass %s leads to the database %s (system identifier/oid), and the scores are in %s: nothing was changed. Set its postgres back, or move the schemas first. %s",
		class.Name, found, postgresOf(recorded), howToApprove(class, word))
}

// redisAddress is where a class looks for Redis.
func redisAddress(spec v1alpha1.RedisSpec) string {
	return strings.Join(append([]string{string(spec.Mode), spec.MasterName}, spec.Endpoints...), " ")
}

// checkRedisMove returns why the Redis that was found must not be used: nil, if the
// class has none recorded, it is the same, or the move is approved. At an unchanged
// address another identity means that Redis was emptied; rankings are rebuilt.
func checkRedisMove(class *v1alpha1.LeaderboardClass, found, condition string) *stepError {
	recorded := class.Status.Placement
	if recorded == nil || recorded.Redis == "" || recorded.Redis == found || class.Status.RedisAddress == redisAddress(class.Spec.Redis) {
		return nil
	}

	word := provision.ApprovalOfRedisMove(recorded.Redis, found)
	if slices.Contains(approvals(class), word) {
		return nil
	}

	return stalledBy(condition, v1alpha1.ReasonPlacementChanged,
		"The LeaderboardClass %s leads to another Redis than before: nothing was changed. Set its redis back, or move on to this one, in which rankings are rebuilt from PostgreSQL; users and keys in the old one stay behind. %s",
		class.Name, howToApprove(class, word))
}

// ensurePlacement makes sure that the class's stores are those that hold the game's
// data, and records them before anything is made there.
func (r *LeaderboardReconciler) ensurePlacement(ctx context.Context, p *pass) error {
	recorded := p.lb.Status.Placement
	if recorded == nil {
		recorded = p.class.Status.Placement // where a new game belongs
	}

	id, err := r.locate(ctx, p, recorded)
	if err != nil {
		return err
	}
	if p.lb.Status.Tenant == "" {
		if err := r.findTenant(ctx, p); err != nil {
			return err
		}
	}

	placement := &v1alpha1.Placement{PostgresServer: id.Server, PostgresDatabase: id.Database, NamespaceUID: p.claim.Owner.NamespaceUID}
	if known := p.lb.Status.Placement; known != nil {
		placement.Redis = known.Redis
	}
	if redis, err := p.stores.redis.ID(ctx); err == nil { // the step keyspace says what is wrong with it
		placement.Redis = redis
	}

	p.lb.Status.Tenant, p.lb.Status.Placement = p.tenant.ID, placement
	return r.writeStatus(ctx, p)
}

// locate says on whose behalf the pass writes, and returns which database the class
// leads to, if data that is recorded in a placement may be looked for there.
func (r *LeaderboardReconciler) locate(ctx context.Context, p *pass, recorded *v1alpha1.Placement) (provision.PostgresID, error) {
	if err := r.prepareClaim(ctx, p); err != nil {
		return provision.PostgresID{}, err
	}

	id, err := p.stores.postgres.ID(ctx)
	if err != nil {
		return provision.PostgresID{}, p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	if moved := checkPostgresMove(p.class, recorded, id, v1alpha1.ConditionSchemaReady); moved != nil {
		return provision.PostgresID{}, moved
	}

	return id, nil
}

// prepareClaim says on whose behalf the stores are written in this pass.
func (r *LeaderboardReconciler) prepareClaim(ctx context.Context, p *pass) error {
	namespace, err := r.getNamespace(ctx, p.lb.Namespace)
	if err != nil {
		return failedBy(err, "", v1alpha1.ReasonProgressing, "The namespace %s could not be read; this is tried again", p.lb.Namespace)
	}

	p.claim = provision.Claim{Approved: approvals(p.class), Owner: provision.Owner{Cluster: r.Stores.operator.Cluster,
		Namespace: p.lb.Namespace, NamespaceUID: string(namespace.UID), Name: p.lb.Name, UID: string(p.lb.UID)}}
	return nil
}

// findTenant looks for what an earlier Leaderboard of this name, or this one before
// its status was lost, has in the stores: its tenant's id may have been made with
// another cluster id, and its class may have been another default.
func (r *LeaderboardReconciler) findTenant(ctx context.Context, p *pass) error {
	ids, err := p.stores.postgres.Tenants(ctx, p.claim.Owner)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	if len(ids) > 0 && !slices.Contains(ids, p.tenant.ID) {
		if found, ok := tenant.Recorded(ids[0]); ok {
			p.tenant = found
		}
	}
	if len(ids) > 0 || p.lb.Spec.ClassName != nil {
		return nil
	}

	return r.refuseIfElsewhere(ctx, p)
}

// refuseIfElsewhere stops a Leaderboard that names no class if its scores are in the
// stores of a class that is no longer the default. A class whose stores do not answer
// is passed over: it must not keep new games of others waiting.
func (r *LeaderboardReconciler) refuseIfElsewhere(ctx context.Context, p *pass) error {
	classes := &v1alpha1.LeaderboardClassList{}
	if err := r.Client.List(ctx, classes); err != nil {
		return failedBy(err, "", v1alpha1.ReasonClassNotReady, "The LeaderboardClasses could not be listed; this is tried again")
	}

	for i := range classes.Items {
		other := &classes.Items[i]
		if other.Name == p.class.Name || other.Spec.ControllerName != r.ControllerName ||
			!(conditions{list: &other.Status.Conditions}).isTrue(v1alpha1.ConditionReachable) {
			continue
		}

		handle, err := r.Stores.acquire(ctx, other)
		if err != nil {
			continue
		}
		ids, err := handle.postgres.Tenants(ctx, p.claim.Owner)
		handle.release()
		if err != nil || len(ids) == 0 {
			continue
		}

		word := provision.ApprovalOf("elsewhere " + ids[0] + " " + string(p.lb.UID))
		if slices.Contains(p.claim.Approved, word) {
			continue
		}

		return stalledBy(v1alpha1.ConditionSchemaReady, v1alpha1.ReasonPlacementChanged,
			"The scores of a Leaderboard %s/%s are in the stores of the LeaderboardClass %s, and the default is %s now: make the Leaderboard again with spec.className %s. To begin with an empty schema instead: %s",
			p.lb.Namespace, p.lb.Name, other.Name, p.class.Name, other.Name, howToApprove(p.class, word))
	}

	return nil
}

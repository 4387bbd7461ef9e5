package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// maxOrphans bounds what the status of a class lists.
const maxOrphans = 50

// inventory tells in the class's status what its stores hold that no Leaderboard has,
// and removes what the platform team has asked for.
func (r *LeaderboardClassReconciler) inventory(ctx context.Context, class *v1alpha1.LeaderboardClass) error {
	handle, err := r.Stores.acquire(ctx, class)
	if err != nil {
		return err
	}
	defer handle.release()

	found, _, err := handle.inventory(ctx, censusAge(r.Resync))
	if err != nil {
		return err
	}

	unused, err := r.unused(ctx, r.Client, found)
	if err != nil {
		return err
	}
	if len(unused) > 0 { // perhaps of a game that was deleted since
		if found, _, err = handle.inventory(ctx, 0); err != nil {
			return err
		}
		if unused, err = r.unused(ctx, r.Client, found); err != nil {
			return err
		}
	}

	remove := commaSeparated(class.Annotations[v1alpha1.RemoveAnnotation])
	if slices.ContainsFunc(remove, func(id string) bool { return unused[id] != nil }) {
		// The cache may lag behind a Leaderboard that has just been made.
		if unused, err = r.unused(ctx, r.Live, unused); err != nil {
			return err
		}
		r.remove(ctx, class, handle, unused, remove)
	}

	class.Status.Retained, class.Status.Orphans = r.summarize(unused)
	return nil
}

// unused is the part of the inventory that no Leaderboard has. What is of namespaces that are not
// watched, or may be, is left out: it may well be used.
func (r *LeaderboardClassReconciler) unused(ctx context.Context, reader client.Reader, found provision.Inventory) (provision.Inventory, error) {
	all, err := r.Watched.leaderboards(ctx, reader)
	if err != nil {
		return nil, fmt.Errorf("list the Leaderboards: %w", err)
	}

	tenants, uids := map[string]bool{}, map[string]bool{}
	for i := range all {
		tenants[all[i].Status.Tenant], uids[string(all[i].UID)] = true, true
	}

	unused := provision.Inventory{}
	for id, holding := range found {
		if !tenants[id] && !uids[holding.Owner.UID] && r.Watched.has(holding.Owner.Namespace) {
			unused[id] = holding
		}
	}

	return unused, nil
}

// remove drops the tenants that are asked for and that nobody has.
func (r *LeaderboardClassReconciler) remove(ctx context.Context, class *v1alpha1.LeaderboardClass, handle *storeHandle, unused provision.Inventory, ids []string) {
	for _, id := range ids {
		t, ok := tenant.Recorded(id)
		holding := unused[id]
		if !ok || holding == nil {
			continue
		}

		claim := provision.Claim{Owner: holding.Owner, Approved: approvals(class)}
		left, err := handle.postgres.Drop(ctx, t, claim)
		if err == nil {
			err = handle.dropFromRedis(ctx, t, claim)
		}

		switch {
		case err != nil:
			r.Recorder.Eventf(class, nil, corev1.EventTypeWarning, "NotRemoved", "Remove", "The tenant %s could not be removed: %s", id, asClassError(class, err, v1alpha1.ReasonProvisioningFailed).message)
		case len(left) > 0:
			r.Recorder.Eventf(class, nil, corev1.EventTypeWarning, "RolesLeft", "Remove", "The tenant %s was removed, but for the roles %s, which own something in another database of the server", id, strings.Join(left, ", "))
		default:
			r.Recorder.Eventf(class, nil, corev1.EventTypeNormal, "Removed", "Remove", "The tenant %s was removed with all its scores", id)
		}
		if err == nil {
			delete(unused, id)
		}
	}
}

// summarize counts what is retained and words the rest. What is another cluster's is
// not this one's to tell of.
func (r *LeaderboardClassReconciler) summarize(unused provision.Inventory) (retained int32, orphans []string) {
	for id, holding := range unused {
		switch owner := holding.Owner; {
		case owner.Cluster != "" && owner.Cluster != r.Stores.operator.Cluster:
		case owner.Retained && holding.Schema && len(holding.RedisNodes) == 0:
			retained++
		default:
			orphans = append(orphans, describeHolding(id, holding))
		}
	}

	slices.Sort(orphans)
	return retained, orphans[:min(len(orphans), maxOrphans)]
}

func describeHolding(id string, holding *provision.Holding) string {
	var parts []string
	if holding.Schema {
		parts = append(parts, "a schema")
	}
	if n := len(holding.Roles); n > 0 {
		parts = append(parts, fmt.Sprintf("%d roles", n))
	}
	if n := len(holding.RedisNodes); n > 0 {
		parts = append(parts, fmt.Sprintf("a user on %d Redis nodes", n))
	}

	whose := "made for " + holding.Owner.Namespace + "/" + holding.Owner.Name
	if holding.Owner == (provision.Owner{}) {
		whose = "nothing says for whom"
	}

	return fmt.Sprintf("%s: %s; %s", id, strings.Join(parts, ", "), whose)
}

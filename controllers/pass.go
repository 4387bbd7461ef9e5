package controllers

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/provision"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/tenant"
)

// pass is one pass over one Leaderboard. Each part is filled in by the steps that
// it names, and read by those after them.
type pass struct {
	subject
	placement
	logins
	progress
}

// subject is the Leaderboard, from the start of the pass.
type subject struct {
	// base is as read or last written; lb is the copy whose status is worked on.
	base, lb *v1alpha1.Leaderboard
	tenant   tenant.Tenant
}

// placement is where the tenant lives, and on whose behalf it is written: of the
// steps class, connect and placement.
type placement struct {
	class  *v1alpha1.LeaderboardClass
	stores *storeHandle
	claim  provision.Claim
}

// logins are the tenant's credentials: of the steps check-freshness and credentials.
type logins struct {
	// served is the Secret as it was found; creds is what the game is to be served.
	served *corev1.Secret
	creds  *credentials
	// fresh: the stores need not be asked in this pass.
	fresh bool
	// fingerprint is what the stores held of the tenant before the pass; empty: not known.
	fingerprint string
	// issued is what keep has read of it; nil: it has not.
	issued *provision.Issued
	// confirmed: the Leaderboard was found as it is in the cache, not deleted.
	confirmed bool
	// What keep has done in this pass, and with which stores.
	keptPostgres, keptRedis attempt
	keptStores              string
}

// progress is what the steps that write leave to those after them.
type progress struct {
	// deployed is the generation of the Deployment that the step workload asked for.
	deployed int64
	// retiring: a login that is no longer served can still log in, so the pass comes back
	// soon; rotationWaits: it is in the way of the next rotation.
	retiring, rotationWaits bool
	// seasonsMoved: the end of a season was moved in this pass.
	seasonsMoved bool
	// seasonsNext is in how long the status has to tell of other seasons; 0: not known.
	seasonsNext time.Duration
	// refoldsNext is in how long the status has to tell how far boards are on the way to
	// another order, scoring or columns; 0: none is.
	refoldsNext time.Duration
	// later is a failure that did not stop the pass, but is its result.
	later error
	// unserved is what leaves the game without service although all was made for it.
	unserved error
}

// newPass takes the tenant that is recorded: its id is made once, and stays when the
// cluster's id changes.
func newPass(base *v1alpha1.Leaderboard, clusterID string) *pass {
	recorded, ok := tenant.Recorded(base.Status.Tenant)
	if !ok {
		recorded = tenant.For(clusterID, base.Namespace, base.Name)
	}
	return &pass{subject: subject{base: base, lb: base.DeepCopy(), tenant: recorded}}
}

func (p *pass) conditions() conditions {
	return conditions{list: &p.lb.Status.Conditions, generation: p.lb.Generation}
}

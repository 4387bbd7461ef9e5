package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/keyset"
)

// The credentials of a game, as the stores and the registry have them:
//
//	            rotate: the other login gets            retire: no session of the
//	            its password, Redis a second            old one is left, or time
//	            one; it is written down and served      is up
//	served a ─────────────────────────────────► served b, ──────────────────────► served b
//	                                            retiring a
//
// Where the operator is ended, the next one goes on from what it finds: before the login
// is written down it is given another password; after that, as the Secret serves another
// one, it is issued again. Signing keys, and secrets of service accounts, follow: one is
// added whenever the newest is older than the credentials.

// Retirement is for how long a login that is no longer served can still log in.
type Retirement struct {
	// Least is how long nodes take to give Pods a Secret that has changed.
	Least time.Duration
	// Most is when it ends although there are sessions of it.
	Most time.Duration
}

// DefaultRetirement suits kubelet, which looks at mounted Secrets every minute and takes
// up to another minute to learn of a change.
var DefaultRetirement = Retirement{Least: 2 * time.Minute, Most: 10 * time.Minute}

// retirementLook is how often it is looked whether a login is still in use.
const retirementLook = 10 * time.Second

// keyLife is for how long a superseded signing key is kept: the longest life of a token,
// and some time for clocks that differ.
const keyLife = 24*time.Hour + 10*time.Minute

// keySlack is by how much the newest signing key may be older than the credentials that
// were issued together with it.
const keySlack = time.Minute

// rotationRequest is by what a request to rotate is known again; empty: there is none.
func rotationRequest(lb *v1alpha1.Leaderboard) string {
	value := lb.Annotations[v1alpha1.RotateAnnotation]
	if value == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:8])
}

// rotationDue says whether the credentials have to be replaced: by a request that they do
// not answer to, or for their age.
func rotationDue(p *pass) bool {
	if request := rotationRequest(p.lb); request != "" && request != p.issued.Request {
		return true
	}
	return untilRotation(p) <= 0
}

// untilRotation is in how long the credentials are old enough to be replaced.
func untilRotation(p *pass) time.Duration {
	every := p.class.Spec.Rotation.Every.Duration
	if every == 0 {
		return wholeLook
	}
	return spread(every, p.lb.UID) - p.issued.Age
}

// spread is from nine tenths of a period to all of it, so that games that were made
// together do not rotate together.
func spread(period time.Duration, uid types.UID) time.Duration {
	sum := sha256.Sum256([]byte(uid))
	share := float64(binary.BigEndian.Uint32(sum[:])) / (1 << 32)
	return period - time.Duration(share*float64(period)/10)
}

// rotate replaces the credentials if that is due and those before them are no longer in
// use. The stores take the new ones before they are served.
func (r *LeaderboardReconciler) rotate(ctx context.Context, p *pass) error {
	whole := p.later == nil
	if p.fresh || !whole || !rotationDue(p) {
		return nil
	}

	logins, err := p.stores.postgres.Logins(ctx, p.tenant)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	if logins[p.creds.slot.Other()] {
		p.rotationWaits = true // the last one is not over
		return nil
	}

	next := newCredentials(p.creds.slot.Other())
	if err := ensureLogin(ctx, p, p.stores.postgres, next); err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	if _, err := addPassword(ctx, p, p.stores, next); err != nil {
		return p.storeFailure(err, v1alpha1.ConditionKeyspaceReady)
	}

	p.creds = next
	if err := r.issue(ctx, p, rotationRequest(p.lb)); err != nil {
		return err
	}
	if err := r.serveCredentials(ctx, p); err != nil {
		return err
	}

	r.Recorder.Eventf(p.lb, nil, corev1.EventTypeNormal, "CredentialsRotated", "Provision",
		"New logins are served in the Secret %s; the old ones end once no Pod uses them", workload.CredentialsName(p.lb))
	return nil
}

// rotateKeys adds a signing key if the newest is older than the credentials, and drops
// those that no token can be of any more.
func (r *LeaderboardReconciler) rotateKeys(p *pass, set keyset.Set) (keyset.Set, error) {
	if p.issued == nil { // the pass has not looked
		return set, nil
	}

	now := time.Now()
	set = set.Prune(now, keyLife)
	keys := set.Keys()
	if !issuedSince(p, now, keys[len(keys)-1].CreatedAt()) || len(keys) == keyset.MaxKeys {
		return set, nil
	}
	return set.Rotate(now, r.Retirement.Least, keyLife)
}

// issuedSince says whether the pass knows that credentials were issued after what was made
// at that time together with those before them.
func issuedSince(p *pass, now, made time.Time) bool {
	return p.issued != nil && now.Sub(made) > p.issued.Age+keySlack
}

// retireLogin ends the login that is not served once no session of it is left and Pods
// have had the time to read the new one, or when time is up.
func (r *LeaderboardReconciler) retireLogin(ctx context.Context, p *pass) error {
	key := freshnessKey(p.stores, p.creds.checksum(), p)
	if r.oldLoginDisabled.fresh(p.lb.UID, key) || p.fresh && r.oldLoginDisabled.known(p.lb.UID, key) {
		return nil
	}

	over, err := r.retired(ctx, p)
	if err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}
	if p.retiring = !over; p.retiring {
		return nil
	}
	if err := p.stores.postgres.DisableLogin(ctx, p.tenant, p.claim, p.creds.slot.Other()); err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}

	// And the passwords of Redis that are not served.
	if p.later == nil {
		err := p.stores.postgres.WhileLeading(ctx, func(ctx context.Context) error {
			_, err := p.stores.redis.EnsureUser(ctx, p.tenant, p.claim, p.creds.redisPassword)
			return err
		})
		if err != nil {
			return p.storeFailure(err, v1alpha1.ConditionKeyspaceReady)
		}
	}

	r.oldLoginDisabled.mark(p.lb.UID, key, r.Resync/2)
	return nil
}

// retired says whether the login that is not served may be ended.
func (r *LeaderboardReconciler) retired(ctx context.Context, p *pass) (bool, error) {
	login, sessions, err := p.stores.postgres.InUse(ctx, p.tenant, p.creds.slot.Other())
	if err != nil || !login {
		return true, err
	}

	issued := p.issued
	if issued == nil {
		now, err := p.stores.postgres.Issued(ctx, p.tenant)
		if err != nil {
			return false, err
		}
		issued = &now
	}
	return issued.Age >= r.Retirement.Most || sessions == 0 && issued.Age >= r.Retirement.Least, nil
}

// lowerConnections bounds the logins once no Pod holds more connections than that.
func (r *LeaderboardReconciler) lowerConnections(ctx context.Context, p *pass) error {
	connections := workload.ConnectionLimit(p.class)
	key := freshnessKey(p.stores, p.creds.checksum(), p) + " " + strconv.Itoa(int(connections))
	if r.bounded.fresh(p.lb.UID, key) || p.fresh && r.bounded.known(p.lb.UID, key) {
		return nil
	}
	if err := p.stores.postgres.LowerConnections(ctx, p.tenant, p.claim, int(connections)); err != nil {
		return p.storeFailure(err, v1alpha1.ConditionSchemaReady)
	}

	r.bounded.mark(p.lb.UID, key, r.Resync/2)
	return nil
}

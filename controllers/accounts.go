package controllers

import (
	"context"
	"encoding/json"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/controllers/workload"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
)

// DefaultSecretOverlap is for how long a secret of a service account is accepted that
// another one has taken the place of. Game servers that mount the Secret have the new one
// within two minutes; those that read it when they start, or that have a copy outside the
// cluster, need somebody to restart them: a working day, wherever on earth it is.
const DefaultSecretOverlap = 24 * time.Hour

// Service accounts are in a Secret for the servers, with hashes, and each has a Secret of
// its own, with the secret itself. A secret that is issued is pending first, in the Secret
// for the servers, where no Pod is given it; then it is published in the account's own:
//
//	        issue: the hash for the servers, the         publish: it is in the account's
//	        secret next to it, in one write              Secret, those before it get an end
//	served ───────────────────────────────────► pending ───────────────────────────────► served
//
// A pending secret waits until the servers have read its hash, unless what the account's
// Secret has is good for nothing. Wherever the operator is ended, the next one goes on from
// what it finds: what is pending is published, as often as it takes.

// accountState is what a pass finds of the service accounts, and makes of them.
type accountState struct {
	// secret is the one for the servers as it was found; nil: there is none.
	secret *corev1.Secret
	// known are the accounts in it, and pending the secrets that are to be published.
	known   accounts.Set
	pending map[string]string
	// workloads is what the servers are told of ServiceAccounts; nil: nothing.
	workloads []byte
}

// ensureAccounts makes the Secrets of service accounts what the spec says.
func (r *LeaderboardReconciler) ensureAccounts(ctx context.Context, p *pass) error {
	if len(p.lb.Spec.ServiceAccounts) == 0 && len(p.lb.Status.ServiceAccounts) == 0 {
		return nil
	}
	if err := r.recordAccounts(ctx, p); err != nil {
		return err
	}

	state, err := r.readAccounts(ctx, p)
	if err != nil {
		return secretFailure(err)
	}
	if err := r.removeAccounts(ctx, p, state); err != nil {
		return secretFailure(err)
	}

	// All hashes are there before any secret is served.
	served := map[string]*corev1.Secret{}
	for _, spec := range p.lb.Spec.ServiceAccounts {
		if served[spec.Name], err = r.getSecret(ctx, p.lb, workload.AccountName(p.lb, spec.Name)); err != nil {
			return secretFailure(err)
		}
	}
	if len(p.lb.Spec.ServiceAccounts) == 0 && state.secret == nil { // nothing was made, or somebody has deleted it
		p.lb.Status.ServiceAccounts = nil
		return nil
	}

	if state.workloads, err = r.workloadsFile(ctx, p, state); err != nil {
		return secretFailure(err)
	}
	set, publish := r.issueSecrets(p, state, served, time.Now())
	if err := r.writeAccounts(ctx, p, state, set); err != nil {
		return secretFailure(err)
	}
	if err := r.serveSecrets(ctx, p, state, served, set, publish); err != nil {
		return secretFailure(err)
	}

	p.lb.Status.ServiceAccounts = accountStatus(p.lb, p.lb.Spec.ServiceAccounts)
	return nil
}

// serveSecrets makes the Secret of each account what it should be, with the pending secret
// where that is to be published, and has the servers know that it was.
func (r *LeaderboardReconciler) serveSecrets(ctx context.Context, p *pass, state *accountState, served map[string]*corev1.Secret, set accounts.Set, publish map[string]bool) (err error) {
	published := false
	for i, account := range set {
		secret := clientSecret(p.lb, served[account.Name])
		if publish[account.Name] {
			secret = state.pending[account.Name]
		}
		desired := workload.AccountSecret(p.lb, p.class, account.Name, secret)
		if err := r.applier.applySecret(ctx, p.lb.UID, desired, served[account.Name]); err != nil {
			return err
		}

		if publish[account.Name] {
			r.recordPublished(p, account, served[account.Name])
			delete(state.pending, account.Name)
			set[i], published = account.Supersede(time.Now().Add(r.SecretOverlap)), true
		}
	}

	if !published {
		return nil
	}
	if state.secret, err = r.getSecret(ctx, p.lb, workload.AccountsName(p.lb)); err != nil {
		return err
	}
	return r.writeAccounts(ctx, p, state, set)
}

// recordAccounts writes down the accounts of the spec before anything is made for them:
// without one of them in the status or the spec, nobody would look for its Secret.
func (r *LeaderboardReconciler) recordAccounts(ctx context.Context, p *pass) error {
	recorded := map[string]bool{}
	for _, account := range p.lb.Status.ServiceAccounts {
		recorded[account.Name] = true
	}

	var added []v1alpha1.ServiceAccount
	for _, spec := range p.lb.Spec.ServiceAccounts {
		if !recorded[spec.Name] {
			added = append(added, spec)
		}
	}
	p.lb.Status.ServiceAccounts = append(p.lb.Status.ServiceAccounts, accountStatus(p.lb, added)...)
	return r.writeStatus(ctx, p)
}

func accountStatus(lb *v1alpha1.Leaderboard, specs []v1alpha1.ServiceAccount) []v1alpha1.ServiceAccountStatus {
	var list []v1alpha1.ServiceAccountStatus
	for _, spec := range specs {
		list = append(list, v1alpha1.ServiceAccountStatus{Name: spec.Name, SecretName: workload.AccountName(lb, spec.Name)})
	}
	return list
}

// readAccounts reads the Secret for the servers. What is damaged in it is as if it were not
// there: secrets that are served are then taken as they are.
func (r *LeaderboardReconciler) readAccounts(ctx context.Context, p *pass) (*accountState, error) {
	state := &accountState{pending: map[string]string{}}
	var err error
	state.secret, err = r.getSecret(ctx, p.lb, workload.AccountsName(p.lb))
	if err != nil || state.secret == nil || ofAnother(state.secret, p.lb) {
		return state, err
	}

	if set, err := accounts.Parse(state.secret.Data[workload.AccountsKey]); err == nil {
		state.known = set
	}
	pending := map[string]string{}
	if json.Unmarshal(state.secret.Data[workload.PendingKey], &pending) == nil {
		state.pending = pending
	}
	return state, nil
}

// removeAccounts deletes the Secrets of accounts that the spec no longer has.
func (r *LeaderboardReconciler) removeAccounts(ctx context.Context, p *pass, state *accountState) error {
	wanted := map[string]bool{}
	for _, spec := range p.lb.Spec.ServiceAccounts {
		wanted[spec.Name] = true
	}

	maps.DeleteFunc(state.pending, func(name, _ string) bool { return !wanted[name] })

	gone := map[string]bool{}
	for _, account := range p.lb.Status.ServiceAccounts {
		gone[account.Name] = !wanted[account.Name]
	}
	for _, account := range state.known {
		gone[account.Name] = !wanted[account.Name]
	}
	for name, is := range gone {
		if !is {
			continue
		}
		if err := r.deleteSecret(ctx, p.lb, workload.AccountName(p.lb, name)); err != nil {
			return err
		}
	}
	return nil
}

// deleteSecret deletes a Secret that is the Leaderboard's.
func (r *LeaderboardReconciler) deleteSecret(ctx context.Context, lb *v1alpha1.Leaderboard, name string) error {
	secret, err := r.getSecret(ctx, lb, name)
	if err != nil || secret == nil || !metav1.IsControlledBy(secret, lb) {
		return err
	}
	err = r.Client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// issueSecrets decides which accounts get a new secret, which is pending from then on, and
// whose pending one is to be published now.
func (r *LeaderboardReconciler) issueSecrets(p *pass, state *accountState, served map[string]*corev1.Secret, now time.Time) (set accounts.Set, publish map[string]bool) {
	publish = map[string]bool{}
	for _, spec := range p.lb.Spec.ServiceAccounts {
		account, _ := state.known.Lookup(spec.Name)
		account.Name, account.Scopes = spec.Name, nil
		for _, scope := range spec.Scopes {
			account.Scopes = append(account.Scopes, accounts.Scope(scope))
		}
		account = account.Prune(now)

		secret := clientSecret(p.lb, served[spec.Name])
		pending, waits := state.pending[spec.Name]
		waits = waits && accounts.HashOf(pending) == account.Newest().Hash
		if !waits {
			delete(state.pending, spec.Name)
			account, pending = r.nextSecret(p, account, secret, now)
		}
		if pending != "" {
			state.pending[spec.Name] = pending
			known := !now.Before(account.Newest().IssuedAt.Add(r.Retirement.Least))
			publish[spec.Name] = known || !account.Accepts(secret, now)
		}
		set = append(set, account)
	}
	return set, publish
}

// nextSecret issues a secret if the account's Secret does not have the newest one, or if
// that is older than the game's credentials.
func (r *LeaderboardReconciler) nextSecret(p *pass, account accounts.Account, secret string, now time.Time) (next accounts.Account, issued string) {
	if len(account.Secrets) == 0 { // nothing is known of it, and perhaps everything was lost
		if adopted, ok := account.Adopt(secret, now); ok {
			return adopted, ""
		}
		return account.Issue(now)
	}

	newest := account.Newest()
	lost := accounts.HashOf(secret) != newest.Hash
	if lost || issuedSince(p, now, newest.IssuedAt) && len(account.Secrets) < accounts.MaxSecrets {
		return account.Issue(now)
	}
	return account, ""
}

// writeAccounts writes the Secret for the servers.
func (r *LeaderboardReconciler) writeAccounts(ctx context.Context, p *pass, state *accountState, set accounts.Set) error {
	file, err := set.Marshal()
	if err != nil {
		return err
	}
	pending, err := json.Marshal(state.pending)
	if err != nil {
		return err
	}

	data := map[string][]byte{workload.AccountsKey: file, workload.PendingKey: pending}
	if state.workloads != nil {
		data[workload.WorkloadsKey] = state.workloads
	}
	return r.applier.applySecret(ctx, p.lb.UID, workload.AccountsSecret(p.lb, p.class, data), state.secret)
}

// recordPublished tells of a secret that takes the place of another one.
func (r *LeaderboardReconciler) recordPublished(p *pass, account accounts.Account, before *corev1.Secret) {
	name := workload.AccountName(p.lb, account.Name)
	switch {
	case len(account.Secrets) == 1: // its first
	case account.Accepts(clientSecret(p.lb, before), time.Now()):
		r.Recorder.Eventf(p.lb, nil, corev1.EventTypeNormal, "ServiceAccountRotated", "Provision",
			"A new secret is served in the Secret %s; the one before is accepted for another %s", name, r.SecretOverlap)
	default:
		r.Recorder.Eventf(p.lb, nil, corev1.EventTypeWarning, "ServiceAccountReplaced", "Provision",
			"The Secret %s was missing, damaged or written by somebody: a new secret is issued; the one before is accepted for another %s", name, r.SecretOverlap)
	}
}

// clientSecret is what an account's Secret has; empty: nothing that counts.
func clientSecret(lb *v1alpha1.Leaderboard, secret *corev1.Secret) string {
	return string(ownData(lb, secret, workload.ClientSecretKey))
}

// ownData is what a Secret has under a key; nil where there is none, or it is another owner's.
func ownData(lb *v1alpha1.Leaderboard, secret *corev1.Secret, key string) []byte {
	if secret == nil || ofAnother(secret, lb) {
		return nil
	}
	return secret.Data[key]
}

// ofAnother says whether the object is another owner's, such as an earlier Leaderboard's of
// the same name.
func ofAnother(secret *corev1.Secret, lb *v1alpha1.Leaderboard) bool {
	return metav1.GetControllerOf(secret) != nil && !metav1.IsControlledBy(secret, lb)
}

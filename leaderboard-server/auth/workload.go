package auth

import (
	"context"
	"crypto/rand"

	"github.com/golang-jwt/jwt/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/oidc"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/workloads"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/config"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// cluster is the Kubernetes cluster whose ServiceAccounts are service accounts.
type cluster struct {
	file     workloads.File
	verifier *oidc.Verifier
}

// SetWorkloads replaces what is known of the cluster and its ServiceAccounts. From now on
// tokens are refused that were got as one that is no longer the same service account.
func (t *Tokens) SetWorkloads(file workloads.File) error {
	verifier, err := oidc.NewStatic(config.Issuer{Issuer: file.Issuer, Audience: file.Audience}, file.Keys, t.now)
	if err != nil {
		return err
	}
	t.cluster.Store(&cluster{file: file, verifier: verifier})
	return nil
}

// AuthenticateWorkload finds the service account that a Pod is, by the token of its
// ServiceAccount, and that one's subject.
func (t *Tokens) AuthenticateWorkload(ctx context.Context, token string) (account accounts.Account, subject string, err error) {
	c := t.cluster.Load()
	if c == nil {
		return accounts.Account{}, "", leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "this game takes no tokens of ServiceAccounts")
	}
	claims, err := c.verifier.Verify(ctx, token)
	if err != nil {
		return accounts.Account{}, "", err
	}

	name, ok := c.file.Lookup(claims.Subject)
	account, known := t.accounts.Load().Lookup(name)
	if !ok || !known {
		return accounts.Account{}, "", leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "%s is no service account of this game", claims.Subject)
	}
	return account, claims.Subject, nil
}

// IssueWorkload signs a token for the service account, as which a Pod with the subject has
// logged in, that may do what the scopes say.
func (t *Tokens) IssueWorkload(account, subject string, scopes accounts.Scopes) (string, error) {
	return t.sign(typeService, ServiceTokenTTL, claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: account, ID: rand.Text()},
		ClientID:         account,
		Scope:            scopes.String(),
		Workload:         subject,
	})
}

// isWorkload says whether the subject still is the service account.
func (t *Tokens) isWorkload(subject, account string) bool {
	c := t.cluster.Load()
	if c == nil {
		return false
	}
	name, ok := c.file.Lookup(subject)
	return ok && name == account
}

package main

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// followInterval is how often a server that is asked for something looks which accounts
	// have changed at others, and idleFollowInterval how often one that is not.
	followInterval, idleFollowInterval = 2 * time.Second, 15 * time.Second
	// followOverlap is longer than a transaction takes that changes an account: what it has
	// changed is of the time at which it began.
	followOverlap = 30 * time.Second
)

// followAccounts applies what other servers change of accounts, until ctx ends: names that
// players take, and logins and tokens that are withdrawn. While that cannot be read, what is
// known goes on, and access tokens end when they expire.
func (s *server) followAccounts(ctx context.Context) {
	// What happened before this server began is of interest for as long as tokens from before
	// it are good.
	from := time.Now().Add(-s.tokens.TTL())
	var looked time.Time
	var seen uint64
	var known string
	failing := false

	for {
		if requests := s.requests.Load(); requests != seen || time.Since(looked) >= idleFollowInterval {
			begun := time.Now()
			identity, err := s.lookAtAccounts(ctx, begun.Sub(from)+followOverlap, known)
			switch {
			case err == nil:
				from, looked, seen = begun, begun, requests
				if known != "" && known != identity { // the whole time counts, in the other history
					from = begun.Add(-s.tokens.TTL())
				}
				known = identity
			case !failing && ctx.Err() == nil:
				s.log.WarnContext(ctx, "changes of accounts cannot be read, trying again", "error", err)
			}
			failing = err != nil
		}

		if !sleep(ctx, followInterval-rand.N(followInterval/4)) {
			return
		}
	}
}

// lookAtAccounts applies what changed in the last part of time.
func (s *server) lookAtAccounts(ctx context.Context, last time.Duration, known string) (identity string, err error) {
	identity, changes, err := s.ledger.AccountChanges(ctx, last)
	if err != nil {
		return "", err
	}

	if known != "" && known != identity {
		s.tokens.ForgetChanges()
	}
	s.tokens.Apply(changes...)
	s.directory.Apply(changes...)
	return identity, nil
}

package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// refreshAfter is how old keys are when they are fetched again in the background.
	refreshAfter = time.Hour
	// staleAfter is how old keys may be that cannot be fetched again. A key that an issuer has
	// withdrawn is good for no longer than that.
	staleAfter = 24 * time.Hour
	// unknownKeyPause is between two fetches for keys that are not known, whatever tokens name.
	unknownKeyPause = 30 * time.Second
	// firstPause is after a fetch that failed, and longestPause after many.
	firstPause, longestPause = time.Second, time.Minute
	// maxWaiting bounds the tokens that wait for one issuer.
	maxWaiting = 256
)

var (
	errUnknownKey  = errors.New("the issuer has no such key")
	errUnavailable = errors.New("the keys of the issuer cannot be fetched now")
)

// keys are those of an issuer, as they were fetched last.
type keys struct {
	fetch func(ctx context.Context) (jose.JSONWebKeySet, error)
	now   func() time.Time
	// failed is told of a fetch that failed.
	failed func(err error)
	// fetching has the fetches that run, which end with ctx.
	ctx      context.Context
	fetching *sync.WaitGroup

	mu  sync.Mutex
	set []jose.JSONWebKey
	// fetchedAt is when set was.
	fetchedAt time.Time
	// pause is after the fetch that failed last, until resumeAt; 0: the last one did not fail.
	pause    time.Duration
	resumeAt time.Time
	// running is closed when the fetch that runs has ended; nil: none does.
	running chan struct{}
	waiting int
}

// lookup finds the key with the id, for signatures of the algorithm.
func (k *keys) lookup(ctx context.Context, id, algorithm string) (any, error) {
	for fetched := false; ; fetched = true {
		key, known, ended, err := k.look(id, algorithm, fetched)
		if known || err != nil {
			return key, err
		}
		if err := k.await(ctx, ended); err != nil {
			return nil, err
		}
	}
}

// look finds a key in memory. Where it takes a fetch to know, that is under way and ended is
// closed with it.
func (k *keys) look(id, algorithm string, fetched bool) (key any, known bool, ended chan struct{}, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()

	now := k.now()
	if len(k.set) > 0 && now.Sub(k.fetchedAt) >= staleAfter {
		k.set = nil
	}
	if key, known = find(k.set, id, algorithm); known {
		if now.Sub(k.fetchedAt) >= refreshAfter && k.mayFetch(now) {
			k.begin()
		}
		return key, true, nil, nil
	}

	switch {
	case k.running != nil && !fetched:
	case !fetched && k.mayFetch(now) && (k.pause > 0 || k.set == nil || now.Sub(k.fetchedAt) >= unknownKeyPause):
		k.begin()
	case k.set == nil || k.pause > 0:
		return nil, false, nil, errUnavailable
	default:
		return nil, false, nil, errUnknownKey
	}
	if k.waiting >= maxWaiting {
		return nil, false, nil, errUnavailable
	}
	k.waiting++
	return nil, false, k.running, nil
}

func (k *keys) mayFetch(now time.Time) bool {
	return k.running == nil && !now.Before(k.resumeAt)
}

// begin fetches the keys. It belongs to none of those who wait for it. The caller holds the
// lock.
func (k *keys) begin() {
	ended := make(chan struct{})
	k.running = ended
	k.fetching.Go(func() {
		set, err := k.fetch(k.ctx)
		usable := usableKeys(set)
		if err == nil && len(usable) == 0 {
			err = errors.New("there is no key that could verify anything")
		}

		k.mu.Lock()
		defer k.mu.Unlock()
		defer close(ended)
		k.running = nil
		if err != nil {
			k.pause = min(max(2*k.pause, firstPause), longestPause)
			k.resumeAt = k.now().Add(k.pause)
			k.failed(err)
			return
		}
		k.set, k.fetchedAt, k.pause = usable, k.now(), 0
	})
}

func (k *keys) await(ctx context.Context, ended chan struct{}) error {
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.waiting--
	}()

	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errUnavailable, ctx.Err())
	}
}

// find finds the key; without an id that is the one that there is.
func find(set []jose.JSONWebKey, id, algorithm string) (key any, ok bool) {
	if id == "" && len(set) != 1 {
		return nil, false
	}
	for _, k := range set {
		if (id == "" || k.KeyID == id) && (k.Algorithm == "" || k.Algorithm == algorithm) {
			return k.Key, true
		}
	}
	return nil, false
}

// usableKeys are the public keys that are for signatures and neither weak nor so large that
// they would take long to verify with.
func usableKeys(set jose.JSONWebKeySet) []jose.JSONWebKey {
	const leastRSA, mostRSA = 2048, 8192 // bits
	var usable []jose.JSONWebKey
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" || !k.Valid() {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if bits := key.N.BitLen(); bits < leastRSA || bits > mostRSA {
				continue
			}
		case *ecdsa.PublicKey, ed25519.PublicKey:
		default: // private and symmetric ones among them
			continue
		}
		usable = append(usable, k)
	}
	return usable
}

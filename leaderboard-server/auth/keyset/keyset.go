// Package keyset is the set of keys that sign a game's tokens, and its file
// format: a JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037) with their
// private parts. The newest active key signs, every listed one verifies.
//
// A set is replaced in three steps without anybody noticing: [Set.Rotate] adds
// a key that becomes active later, once every server has read the file; then
// that key signs; and Rotate drops a key once every token that it signed has
// expired.
package keyset

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxKeys bounds the keys of a set.
const MaxKeys = 32

// Key is one signing key. It prints as its id.
type Key struct {
	id         string
	private    ed25519.PrivateKey
	createdAt  time.Time
	activeFrom time.Time
}

// ID is the key's id ("kid"): its RFC 7638 thumbprint.
func (k Key) ID() string { return k.id }

// Private is the key itself.
func (k Key) Private() ed25519.PrivateKey { return k.private }

// Public verifies what Private signed.
func (k Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// CreatedAt is when the key was made, to the second.
func (k Key) CreatedAt() time.Time { return k.createdAt }

// ActiveFrom is from when the key signs, to the second.
func (k Key) ActiveFrom() time.Time { return k.activeFrom }

// Format prints the id, whatever the verb: keys must not get into logs.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "key %s", k.id) }

// Set is an immutable set of keys with at least one key, in the order in which
// they become active. The zero value has none: use [New] or [Parse].
type Set struct{ keys []Key }

// New makes a set with one key that is active from now on.
func New(now time.Time) (Set, error) {
	key, err := newKey(now, now)
	if err != nil {
		return Set{}, err
	}
	return Set{keys: []Key{key}}, nil
}

// Rotate adds a key that becomes active after delay, the time that every
// server needs to read the new set. It drops the keys that, at now, have been
// superseded for longer than keep: the life of a token and some tolerance for
// clocks that differ.
func (s Set) Rotate(now time.Time, delay, keep time.Duration) (Set, error) {
	key, err := newKey(now, now.Add(delay))
	if err != nil {
		return Set{}, err
	}
	return s.Prune(now, keep).with(key)
}

// Prune drops the keys that, at now, have been superseded for longer than keep.
func (s Set) Prune(now time.Time, keep time.Duration) Set {
	var kept []Key
	for i, key := range s.keys {
		if i+1 < len(s.keys) && s.keys[i+1].activeFrom.Add(keep).Before(now) {
			continue
		}
		kept = append(kept, key)
	}

	return Set{keys: kept}
}

func (s Set) with(keys ...Key) (Set, error) {
	all := append(slices.Clone(s.keys), keys...)
	slices.SortStableFunc(all, func(a, b Key) int {
		if c := a.activeFrom.Compare(b.activeFrom); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})

	if len(all) == 0 || len(all) > MaxKeys {
		return Set{}, fmt.Errorf("a key set has 1 to %d keys, this one has %d", MaxKeys, len(all))
	}

	for i, key := range all {
		if slices.ContainsFunc(all[:i], func(other Key) bool { return other.id == key.id }) {
			return Set{}, fmt.Errorf("key %s is in the set twice", key.id)
		}
	}

	return Set{keys: all}, nil
}

// Signer is the key that signs at now: the one that became active last. Where
// none is active yet, as when clocks differ, it is the one that will be first.
func (s Set) Signer(now time.Time) Key {
	signer := s.keys[0]
	for _, key := range s.keys {
		if !key.activeFrom.After(now) {
			signer = key
		}
	}
	return signer
}

// Lookup finds a key by id.
func (s Set) Lookup(id string) (Key, bool) {
	for _, key := range s.keys {
		if key.id == id {
			return key, true
		}
	}
	return Key{}, false
}

// Format prints the ids, whatever the verb.
func (s Set) Format(f fmt.State, _ rune) {
	fmt.Fprint(f, "keys")
	for _, key := range s.keys {
		fmt.Fprint(f, " ", key.id)
	}
}

// MarshalJSON refuses: a set is written by [Set.Marshal], on purpose, or not at
// all.
func (s Set) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a key set is not to be encoded: Marshal writes its file")
}

// Keys returns the keys in the order in which they become active.
func (s Set) Keys() []Key { return slices.Clone(s.keys) }

func newKey(now, activeFrom time.Time) (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("make a signing key: %w", err)
	}
	return Key{id: thumbprint(private), private: private,
		createdAt: now.UTC().Truncate(time.Second), activeFrom: activeFrom.UTC().Truncate(time.Second)}, nil
}

// thumbprint is RFC 7638's over the members that RFC 8037 section 2 requires.
func thumbprint(private ed25519.PrivateKey) string {
	x := encode(private.Public().(ed25519.PublicKey))
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return encode(sum[:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// document is the file. iat and nbf are not registered for keys; they mean what
// they mean in tokens.
type document struct {
	Keys []webKey `json:"keys"`
}

type webKey struct {
	KeyType    string `json:"kty"`
	Curve      string `json:"crv"`
	Algorithm  string `json:"alg"`
	Use        string `json:"use"`
	ID         string `json:"kid"`
	Public     string `json:"x"`
	Private    string `json:"d"`
	CreatedAt  int64  `json:"iat"`
	ActiveFrom int64  `json:"nbf"`
}

// Marshal writes the set as a file, private parts included.
func (s Set) Marshal() ([]byte, error) {
	if len(s.keys) == 0 {
		return nil, errors.New("a key set without keys cannot be written")
	}

	var d document
	for _, key := range s.keys {
		d.Keys = append(d.Keys, webKey{KeyType: "OKP", Curve: "Ed25519", Algorithm: "EdDSA", Use: "sig", ID: key.id,
			Public: encode(key.Public()), Private: encode(key.private.Seed()),
			CreatedAt: key.createdAt.Unix(), ActiveFrom: key.activeFrom.Unix()})
	}

	file, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the key set: %w", err)
	}

	return append(file, '\n'), nil
}

// Parse reads a file that Marshal wrote. Its errors repeat no content.
func Parse(file []byte) (Set, error) {
	var d document
	if err := json.Unmarshal(file, &d); err != nil {
		return Set{}, errors.New("the key set is not a JSON Web Key Set: it is not valid JSON")
	}

	keys := make([]Key, 0, len(d.Keys))
	for i, w := range d.Keys {
		key, err := w.key()
		if err != nil {
			return Set{}, fmt.Errorf("key %d of the key set: %w", i+1, err)
		}
		keys = append(keys, key)
	}

	return Set{}.with(keys...)
}

func (w webKey) key() (Key, error) {
	if w.KeyType != "OKP" || w.Curve != "Ed25519" || w.Algorithm != "EdDSA" || w.Use != "sig" {
		return Key{}, errors.New("it is not an Ed25519 signing key (kty OKP, crv Ed25519, alg EdDSA, use sig)")
	}

	seed, err := base64.RawURLEncoding.DecodeString(w.Private)
	if err != nil || len(seed) != ed25519.SeedSize {
		return Key{}, fmt.Errorf("its private part (d) is not %d bytes of base64url", ed25519.SeedSize)
	}

	private := ed25519.NewKeyFromSeed(seed)
	if id := thumbprint(private); w.ID != id || w.Public != encode(private.Public().(ed25519.PublicKey)) {
		return Key{}, errors.New("its kid or its public part (x) does not belong to its private part")
	}
	if w.ActiveFrom <= 0 || w.CreatedAt <= 0 {
		return Key{}, errors.New("it does not say when it was made (iat) and from when it signs (nbf)")
	}

	return Key{id: w.ID, private: private, createdAt: time.Unix(w.CreatedAt, 0).UTC(), activeFrom: time.Unix(w.ActiveFrom, 0).UTC()}, nil
}

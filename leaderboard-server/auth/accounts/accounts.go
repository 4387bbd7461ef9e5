// Package accounts is the set of a game's service accounts, with which servers of the
// game log in, and its file format: as the operator writes it and the server reads it.
// It has the hashes of the accounts' secrets, never the secrets.
//
// A secret is replaced without a failed request in three steps: [Account.Issue] adds
// one, and every server reads the file; then the account's owner is given it, and
// [Account.Supersede] says until when those before it are accepted; then
// [Account.Prune] drops them.
//
// A secret is 256 bits of a random source, so its plain SHA-256 says nothing of it:
// what makes the hashes of passwords slow would protect nothing here.
package accounts

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// MaxAccounts bounds the accounts of a game.
	MaxAccounts = 16
	// MaxSecrets bounds the secrets of an account.
	MaxSecrets = 8
)

// secretBytes is how long a secret is, before it is written as text.
const secretBytes = 32

// Scope is something that an account may do.
type Scope string

// The scopes.
const (
	// Submit hands in scores of players, and decides on those that are held back.
	Submit Scope = "submit"
	// Read reads what only players may read otherwise.
	Read Scope = "read"
	// Moderate bans players, hides entries, has scores not count, decides on submissions that are
	// held back, ends seasons, reads the audit, resets passwords, and reads which names players had.
	Moderate Scope = "moderate"
	// Admin erases players, ends seasons and reads the audit.
	Admin Scope = "admin"
)

// Scopes are what an account, or a token, may do.
type Scopes []Scope

// All are all scopes.
var All = Scopes{Submit, Read, Moderate, Admin}

// String is how OAuth 2.0 writes them (RFC 6749, section 3.3).
func (s Scopes) String() string {
	texts := make([]string, len(s))
	for i, scope := range s {
		texts[i] = string(scope)
	}
	return strings.Join(texts, " ")
}

// Has says whether the scope is among them.
func (s Scopes) Has(scope Scope) bool { return slices.Contains(s, scope) }

// In are those of them that are among others, too.
func (s Scopes) In(others Scopes) Scopes {
	return slices.DeleteFunc(slices.Clone(s), func(scope Scope) bool { return !others.Has(scope) })
}

// ParseScopes reads what String wrote, each scope once. It reports false if there is one
// that does not exist.
func ParseScopes(text string) (scopes Scopes, ok bool) {
	for word := range strings.FieldsSeq(text) {
		scope := Scope(word)
		if !All.Has(scope) {
			return nil, false
		}
		if !scopes.Has(scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes, true
}

// Hash is the SHA-256 of a secret.
type Hash [sha256.Size]byte

// HashOf returns the hash of a secret.
func HashOf(secret string) Hash { return sha256.Sum256([]byte(secret)) }

// MarshalText implements [encoding.TextMarshaler].
func (h Hash) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(h)) {
		return errors.New("it is not a SHA-256 in hexadecimal digits")
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// Secret is what is known of a secret.
type Secret struct {
	Hash Hash `json:"sha256"`
	// IssuedAt is when it was made; zero: that is not known.
	IssuedAt time.Time `json:"issuedAt,omitzero"`
	// ExpiresAt is until when it is accepted; zero: for as long as it is listed.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// ID names the secret in the tokens that were got with it: 64 bits of its hash, which say
// as little of it as all of them.
func (s Secret) ID() string { return hex.EncodeToString(s.Hash[:8]) }

func (s Secret) validAt(now time.Time) bool { return s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt) }

// Account is one service account.
type Account struct {
	Name   string `json:"name"`
	Scopes Scopes `json:"scopes"`
	// Secrets are those that it may have, in the order in which they were issued.
	Secrets []Secret `json:"secrets"`
}

// Newest is the secret that was issued last; zero: there is none.
func (a Account) Newest() Secret {
	if len(a.Secrets) == 0 {
		return Secret{}
	}
	return a.Secrets[len(a.Secrets)-1]
}

// Match finds what is known of the secret if it is one of the account's. How long it takes
// to refuse another does not depend on it.
func (a Account) Match(secret string, now time.Time) (match Secret, ok bool) {
	hash := HashOf(secret)
	for _, s := range a.Secrets {
		if subtle.ConstantTimeCompare(hash[:], s.Hash[:]) == 1 && s.validAt(now) {
			match, ok = s, true
		}
	}
	return match, ok
}

// Accepts says whether the secret is one of the account's.
func (a Account) Accepts(secret string, now time.Time) bool {
	_, ok := a.Match(secret, now)
	return ok
}

// HasSecret says whether the account has the secret with this ID.
func (a Account) HasSecret(id string, now time.Time) bool {
	return slices.ContainsFunc(a.Secrets, func(s Secret) bool { return s.ID() == id && s.validAt(now) })
}

// Issue returns the account with a new secret, and the secret. Where there are as many as
// there may be, the first one goes.
func (a Account) Issue(now time.Time) (Account, string) {
	var random [secretBytes]byte
	rand.Read(random[:]) // never fails
	secret := base64.RawURLEncoding.EncodeToString(random[:])
	return a.with(secret, now), secret
}

// Adopt returns the account with a secret of which nothing was known, and reports false
// if the secret is not of the form that Issue gives to them.
func (a Account) Adopt(secret string, now time.Time) (Account, bool) {
	random, err := base64.RawURLEncoding.Strict().DecodeString(secret)
	if err != nil || len(random) != secretBytes {
		return a, false
	}
	return a.with(secret, now), true
}

func (a Account) with(secret string, now time.Time) Account {
	kept := a.Secrets[max(0, len(a.Secrets)+1-MaxSecrets):]
	a.Secrets = append(slices.Clone(kept), Secret{Hash: HashOf(secret), IssuedAt: now.UTC().Truncate(time.Second)})
	return a
}

// Supersede returns the account with an end for all secrets but the newest that have
// none yet.
func (a Account) Supersede(end time.Time) Account {
	a.Secrets = slices.Clone(a.Secrets)
	for i := range len(a.Secrets) - 1 {
		if a.Secrets[i].ExpiresAt.IsZero() {
			a.Secrets[i].ExpiresAt = end.UTC().Truncate(time.Second)
		}
	}
	return a
}

// Prune returns the account without secrets that are no longer accepted.
func (a Account) Prune(now time.Time) Account {
	a.Secrets = slices.DeleteFunc(slices.Clone(a.Secrets), func(s Secret) bool { return !s.validAt(now) })
	return a
}

// Set is the accounts of a game. It is not to be changed.
type Set []Account

// Lookup finds an account by name.
func (s Set) Lookup(name string) (Account, bool) {
	i := slices.IndexFunc(s, func(a Account) bool { return a.Name == name })
	if i < 0 {
		return Account{}, false
	}
	return s[i], true
}

// document is the file.
type document struct {
	Accounts Set `json:"accounts"`
}

// Marshal writes the file.
func (s Set) Marshal() ([]byte, error) {
	if s == nil {
		s = Set{}
	}
	file, err := json.MarshalIndent(document{Accounts: s}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the service accounts: %w", err)
	}
	return append(file, '\n'), nil
}

// namePattern is that of the resource: a name is part of that of a Secret.
var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{1,30})[a-z0-9]$`)

// Parse reads a file: {"accounts": [{"name": ..., "scopes": [...], "secrets": [{"sha256":
// ...}]}]}, where a secret may have issuedAt and expiresAt (RFC 3339). Its errors repeat
// nothing but names.
func Parse(file []byte) (Set, error) {
	var d document
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return nil, errors.New("the file of service accounts is not {\"accounts\": [...]} as documented")
	}
	if len(d.Accounts) > MaxAccounts {
		return nil, fmt.Errorf("there are %d service accounts, at most %d are possible", len(d.Accounts), MaxAccounts)
	}

	for i, a := range d.Accounts {
		if !namePattern.MatchString(a.Name) {
			return nil, fmt.Errorf("the name of service account %d must have 3 to 32 lower-case letters, digits or -, and begin and end with a letter or digit", i+1)
		}
		if _, twice := d.Accounts[:i].Lookup(a.Name); twice {
			return nil, fmt.Errorf("the service account %s is there twice", a.Name)
		}
		if len(a.Scopes) == 0 || len(a.Scopes.In(All)) != len(a.Scopes) {
			return nil, fmt.Errorf("the scopes of the service account %s must be one or more of %s", a.Name, All)
		}
		if len(a.Secrets) > MaxSecrets {
			return nil, fmt.Errorf("the service account %s has %d secrets, at most %d are possible", a.Name, len(a.Secrets), MaxSecrets)
		}
	}
	return d.Accounts, nil
}

// Package endpoint is where a game's webhooks go and what their messages are signed with,
// as the operator writes it and the servers read it, and which addresses they may go to.
package endpoint

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// MaxEndpoints bounds the webhooks of a game.
	MaxEndpoints = 8
	// MaxSecrets bounds the secrets of a webhook: each is a signature of every message.
	MaxSecrets = 4
	// MaxTop is how many entries a message can have.
	MaxTop = 100
	// secretBytes is the length of a secret: Standard Webhooks has 24 to 64 bytes.
	secretBytes, leastSecretBytes, mostSecretBytes = 32, 24, 64
	// secretPrefix begins every secret, as Standard Webhooks has it.
	secretPrefix = "whsec_"
)

// Secret is what messages are signed with. It prints as nothing but its age.
type Secret struct {
	// Value is whsec_ and the base64 of the key.
	Value string `json:"secret"`
	// IssuedAt is when it was made, to the second; zero: that is not known.
	IssuedAt time.Time `json:"issuedAt,omitzero"`
	// ExpiresAt is until when messages are signed with it; zero: for as long as it is listed.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// Format prints no secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "signing secret of %s", s.IssuedAt.Format(time.RFC3339))
}

func (s Secret) validAt(now time.Time) bool { return s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt) }

// WellFormed says whether a secret is whsec_ and the base64 of 24 to 64 bytes.
func WellFormed(secret string) bool {
	encoded, ok := strings.CutPrefix(secret, secretPrefix)
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	return ok && err == nil && len(key) >= leastSecretBytes && len(key) <= mostSecretBytes
}

// Endpoint is one webhook.
type Endpoint struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// Events are the types of those that it is told of.
	Events []string `json:"events"`
	// Top is how many of a board's first entries it is told.
	Top int `json:"top"`
	// Secrets are those that it has, in the order in which they were issued.
	Secrets []Secret `json:"secrets"`
}

// Newest is the secret that was issued last; zero: there is none.
func (e Endpoint) Newest() Secret {
	if len(e.Secrets) == 0 {
		return Secret{}
	}
	return e.Secrets[len(e.Secrets)-1]
}

// Signing returns the values of the secrets that messages are signed with at now.
func (e Endpoint) Signing(now time.Time) []string {
	var values []string
	for _, s := range e.Secrets {
		if s.validAt(now) {
			values = append(values, s.Value)
		}
	}
	return values
}

// Issue returns the webhook with a new secret. Where there are as many as there may be, the
// first one goes.
func (e Endpoint) Issue(now time.Time) Endpoint {
	var key [secretBytes]byte
	rand.Read(key[:]) // never fails
	return e.Adopt(secretPrefix+base64.StdEncoding.EncodeToString(key[:]), now)
}

// Adopt returns the webhook with a secret that is known to be well-formed.
func (e Endpoint) Adopt(secret string, now time.Time) Endpoint {
	kept := e.Secrets[max(0, len(e.Secrets)+1-MaxSecrets):]
	e.Secrets = append(slices.Clone(kept), Secret{Value: secret, IssuedAt: now.UTC().Truncate(time.Second)})
	return e
}

// Supersede returns the webhook with an end for all secrets but the newest that have none
// yet, and says whether there was one.
func (e Endpoint) Supersede(end time.Time) (superseded Endpoint, changed bool) {
	e.Secrets = slices.Clone(e.Secrets)
	for i := range max(0, len(e.Secrets)-1) {
		if e.Secrets[i].ExpiresAt.IsZero() {
			e.Secrets[i].ExpiresAt, changed = end.UTC().Truncate(time.Second), true
		}
	}
	return e, changed
}

// Prune returns the webhook without secrets that nothing is signed with any more.
func (e Endpoint) Prune(now time.Time) Endpoint {
	e.Secrets = slices.DeleteFunc(slices.Clone(e.Secrets), func(s Secret) bool { return !s.validAt(now) })
	return e
}

// Set is the webhooks of a game, and what they have in common. It is not to be changed.
type Set struct {
	// Authorities are certificates (PEM) of authorities that are trusted besides those of the
	// system.
	Authorities string     `json:"authorities,omitempty"`
	Endpoints   []Endpoint `json:"webhooks"`
}

// Lookup finds a webhook by name.
func (s Set) Lookup(name string) (Endpoint, bool) {
	i := slices.IndexFunc(s.Endpoints, func(e Endpoint) bool { return e.Name == name })
	if i < 0 {
		return Endpoint{}, false
	}
	return s.Endpoints[i], true
}

// Marshal writes the file, secrets included.
func (s Set) Marshal() ([]byte, error) {
	if s.Endpoints == nil {
		s.Endpoints = []Endpoint{}
	}
	file, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the webhooks: %w", err)
	}
	return append(file, '\n'), nil
}

// namePattern is that of the resource: a name is part of that of a Secret.
var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// Parse reads a file: {"webhooks": [{"name": ..., "url": ..., "events": [...], "top": 10,
// "secrets": [{"secret": "whsec_..."}]}]}, where a secret may have issuedAt and expiresAt (RFC
// 3339). Its errors repeat nothing but names. URLs are held to a [Policy] when they are used.
func Parse(file []byte) (Set, error) {
	var s Set
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return Set{}, errors.New("the file of webhooks is not {\"webhooks\": [...]} as documented")
	}
	if len(s.Endpoints) > MaxEndpoints {
		return Set{}, fmt.Errorf("there are %d webhooks, at most %d are possible", len(s.Endpoints), MaxEndpoints)
	}
	if s.Authorities != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(s.Authorities)) {
		return Set{}, errors.New("the authorities of the webhooks have no certificate in PEM")
	}

	for i, e := range s.Endpoints {
		if !namePattern.MatchString(e.Name) {
			return Set{}, fmt.Errorf("the name of webhook %d must have 1 to 32 lower-case letters, digits or -, and begin and end with a letter or digit", i+1)
		}
		if slices.ContainsFunc(s.Endpoints[:i], func(other Endpoint) bool { return other.Name == e.Name }) {
			return Set{}, fmt.Errorf("the webhook %s is there twice", e.Name)
		}
		if e.Top < 0 || e.Top > MaxTop {
			return Set{}, fmt.Errorf("top of the webhook %s must be from 0 to %d", e.Name, MaxTop)
		}
		if len(e.Secrets) > MaxSecrets || slices.ContainsFunc(e.Secrets, func(s Secret) bool { return !WellFormed(s.Value) }) {
			return Set{}, fmt.Errorf("the secrets of the webhook %s must be up to %d, each whsec_ and the base64 of %d to %d bytes", e.Name, MaxSecrets, leastSecretBytes, mostSecretBytes)
		}
	}
	return s, nil
}

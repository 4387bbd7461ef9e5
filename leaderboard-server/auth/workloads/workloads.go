// Package workloads is the file that says which ServiceAccounts of a Kubernetes cluster are
// which service accounts of a game, and with which keys the cluster signs their tokens, as the
// operator writes it and the server reads it.
package workloads

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxMappings bounds the ServiceAccounts of a game.
const MaxMappings = 128

// Mapping says that a ServiceAccount is a service account.
type Mapping struct {
	// Namespace and ServiceAccount are the cluster's.
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	// Account is the game's.
	Account string `json:"account"`
}

// Subject is what tokens of the ServiceAccount have as "sub".
func (m Mapping) Subject() string {
	return "system:serviceaccount:" + m.Namespace + ":" + m.ServiceAccount
}

// File is the file. It is not to be changed.
type File struct {
	// Issuer and Audience are what tokens have as "iss" and "aud".
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	// Keys are the cluster's, a JSON Web Key Set.
	Keys     json.RawMessage `json:"keys"`
	Mappings []Mapping       `json:"mappings"`
}

// Lookup finds the service account that the subject of a token is.
func (f File) Lookup(subject string) (account string, ok bool) {
	for _, m := range f.Mappings {
		if m.Subject() == subject {
			return m.Account, true
		}
	}
	return "", false
}

// Marshal writes the file.
func (f File) Marshal() ([]byte, error) {
	if f.Mappings == nil {
		f.Mappings = []Mapping{}
	}
	file, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the ServiceAccounts: %w", err)
	}
	return append(file, '\n'), nil
}

// Parse reads a file: {"issuer": ..., "audience": ..., "keys": {"keys": [...]}, "mappings":
// [{"namespace": ..., "serviceAccount": ..., "account": ...}]}.
func Parse(file []byte) (File, error) {
	var f File
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return File{}, errors.New(`the file of ServiceAccounts is not {"issuer": ..., "audience": ..., "keys": ..., "mappings": [...]} as documented`)
	}
	if f.Issuer == "" || f.Audience == "" {
		return File{}, errors.New("the file of ServiceAccounts has no issuer or no audience")
	}
	if len(f.Mappings) > MaxMappings {
		return File{}, fmt.Errorf("there are %d ServiceAccounts, at most %d are possible", len(f.Mappings), MaxMappings)
	}

	seen := map[string]bool{}
	for i, m := range f.Mappings {
		if m.Namespace == "" || m.ServiceAccount == "" || m.Account == "" {
			return File{}, fmt.Errorf("ServiceAccount %d has no namespace, no serviceAccount or no account", i+1)
		}
		if seen[m.Subject()] {
			return File{}, fmt.Errorf("the ServiceAccount %s of the namespace %s is there twice", m.ServiceAccount, m.Namespace)
		}
		seen[m.Subject()] = true
	}
	return f, nil
}

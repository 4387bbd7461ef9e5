package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// MaxIssuers bounds the issuers of a game.
const MaxIssuers = 8

// Issuer is somebody elsewhere who knows the game's players.
type Issuer struct {
	// Name is for logs.
	Name string `json:"name"`
	// Issuer is the URL that its tokens have as "iss", under which it is discovered.
	Issuer string `json:"issuer"`
	// Audience is what its tokens for this game have as "aud".
	Audience string `json:"audience"`
	// UsernameClaim is the claim with a player's name.
	UsernameClaim string `json:"usernameClaim"`
}

// Issuers are those of a game.
type Issuers []Issuer

// UnmarshalText reads a JSON list.
func (i *Issuers) UnmarshalText(text []byte) error {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	var list []Issuer
	if err := decoder.Decode(&list); err != nil {
		return errors.New(`it is not a JSON list such as [{"name": "store", "issuer": "https://id.example.com", "audience": "game", "usernameClaim": "preferred_username"}]`)
	}
	*i = list
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (i Issuers) MarshalText() ([]byte, error) {
	if len(i) == 0 {
		return nil, nil
	}
	return json.Marshal([]Issuer(i))
}

func (a Auth) validateIssuers(v *validation) {
	v.check(len(a.Issuers) <= MaxIssuers, EnvIssuers, fmt.Sprintf("must be at most %d issuers, not %d", MaxIssuers, len(a.Issuers)))
	known := map[string]bool{}
	for _, i := range a.Issuers {
		u, err := url.Parse(i.Issuer)
		ok := err == nil && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http" && a.InsecureIssuers)
		v.check(ok, EnvIssuers, fmt.Sprintf("has the issuer %q, which is not an https URL without a query", i.Issuer))
		v.check(i.Name != "" && i.Audience != "" && i.UsernameClaim != "", EnvIssuers, fmt.Sprintf("must have a name, an audience and a usernameClaim for the issuer %q", i.Issuer))
		v.check(!known[i.Issuer], EnvIssuers, fmt.Sprintf("has the issuer %q twice", i.Issuer))
		known[i.Issuer] = true
	}
}

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Logins is the content of [Config.LoginsFile], as the operator writes it and the server
// reads it.
type Logins struct {
	Postgres Login `json:"postgres"`
	Redis    Login `json:"redis"`
}

// Login is one store's.
type Login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// ParseLogins reads a file of logins. Its errors repeat nothing of it.
func ParseLogins(content []byte) (Logins, error) {
	var logins Logins
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&logins); err != nil {
		return Logins{}, errors.New("it is not a JSON object with the logins postgres and redis")
	}

	for store, login := range map[string]Login{"postgres": logins.Postgres, "redis": logins.Redis} {
		if login.Username == "" || login.Password == "" {
			return Logins{}, fmt.Errorf("the login %s has no username or no password", store)
		}
	}
	return logins, nil
}

// Format prints the names, whatever the verb.
func (l Login) Format(f fmt.State, _ rune) { fmt.Fprint(f, l.Username) }

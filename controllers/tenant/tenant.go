// Package tenant makes the names under which a Leaderboard exists in the
// stores. It is the one place where such names are made: nobody can choose
// them, and nothing else derives them.
//
// A name holds a part of the Leaderboard's namespace and name, for people, and
// a hash of both and of the cluster's id, which decides. Names never change
// with versions of the operator: data is found by them.
package tenant

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

const (
	// hashBytes of SHA-256 are 80 bits: 16 characters of base 32. Two among a
	// million tenants share a hash with a probability of 4 in 10^13.
	hashBytes = 10
	// readableLength bounds the part for people, so that the longest identifier,
	// "lb_" + 24 + "_" + 16 + "_owner", stays below PostgreSQL's 63 bytes, past
	// which identifiers are silently cut.
	readableLength = 24
)

// Slot is one of the two login roles of a tenant, of which one serves while the
// other waits for the next credentials.
type Slot string

// The two slots.
const (
	SlotA Slot = "a"
	SlotB Slot = "b"
)

// Slots are both slots.
var Slots = [2]Slot{SlotA, SlotB}

// Other is the slot that is not s.
func (s Slot) Other() Slot {
	if s == SlotA {
		return SlotB
	}
	return SlotA
}

// Tenant is what one Leaderboard is called in the stores.
type Tenant struct {
	// ID is made of the characters a-z, 0-9 and _, begins with a letter or digit
	// and has at most 41 of them. It is also the audience of the game's tokens.
	ID string
}

// For returns the tenant of a Leaderboard. clusterID tells clusters apart that
// share stores; it may be empty.
func For(clusterID, namespace, name string) Tenant {
	hash := sha256.New()
	for _, part := range []string{clusterID, namespace, name} {
		// The length before each part: "a-b", "c" and "a", "b-c" differ.
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		hash.Write(length[:])
		hash.Write([]byte(part))
	}

	sum := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(hash.Sum(nil)[:hashBytes])
	return Tenant{ID: readable(namespace+"_"+name) + "_" + strings.ToLower(sum)}
}

// maxIDLength is that of the longest id that [For] makes.
const maxIDLength = readableLength + 1 + 16

// Recorded returns the tenant of an id that was written down, and reports false
// unless it has the form of one. Whose it is, the stores say.
func Recorded(id string) (Tenant, bool) {
	if id == "" || len(id) > maxIDLength || id[0] == '_' || id != readableID(id) {
		return Tenant{}, false
	}
	return Tenant{ID: id}, true
}

// readable keeps what every store accepts in an identifier; in particular no
// character that means something in a Redis ACL pattern.
func readable(text string) string {
	kept := readableID(text)
	if len(kept) > readableLength {
		kept = kept[:readableLength]
	}

	if kept = strings.Trim(kept, "_"); kept == "" {
		return "x"
	}

	return kept
}

// readableID replaces every character that an id must not have.
func readableID(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		default:
			return '_'
		}
	}, text)
}

// SchemaPrefix begins the schema of every tenant.
const SchemaPrefix = "lb_"

// Schema is the Postgres schema.
func (t Tenant) Schema() string { return SchemaPrefix + t.ID }

// OwnerRole owns the schema and cannot log in.
func (t Tenant) OwnerRole() string { return t.Schema() + "_owner" }

// GroupRole has the privileges of the login roles and cannot log in.
func (t Tenant) GroupRole() string { return t.Schema() + "_rw" }

// LoginRole is the role of a slot, with which the servers log in.
func (t Tenant) LoginRole(slot Slot) string { return t.Schema() + "_" + string(slot) }

// LoginRoles are the roles of both slots.
func (t Tenant) LoginRoles() []string { return []string{t.LoginRole(SlotA), t.LoginRole(SlotB)} }

// Roles are all roles of the tenant, login roles first.
func (t Tenant) Roles() []string { return append(t.LoginRoles(), t.GroupRole(), t.OwnerRole()) }

// OfRole returns the tenant that a role of this name is of, and reports false if it is
// not named like one.
func OfRole(role string) (Tenant, bool) {
	for _, suffix := range []string{"_owner", "_rw", "_" + string(SlotA), "_" + string(SlotB)} {
		id, found := strings.CutSuffix(role, suffix)
		if t, ok := Recorded(strings.TrimPrefix(id, SchemaPrefix)); found && ok && strings.HasPrefix(id, SchemaPrefix) {
			return t, true
		}
	}
	return Tenant{}, false
}

// RedisUser is the ACL user, named like the schema.
func (t Tenant) RedisUser() string { return t.Schema() }

// KeyPrefix begins every Redis key and channel of the tenant.
func (t Tenant) KeyPrefix() string { return "lb:" + t.ID + ":" }

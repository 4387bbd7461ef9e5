package leaderboard

import (
	"context"
	"crypto/rand"
	"strings"
)

// MaxExternalID is the longest external id, in bytes (all ASCII).
const MaxExternalID = 128

// ExternalPlayer is a player whom a game knows by an id of its own, from Steam for example. It
// has no password, so nobody logs in as it.
type ExternalPlayer struct {
	ExternalID string
	Username   Username
}

// CheckExternalID accepts printable ASCII without a space: what every platform's ids are, and
// what is one way of writing each.
func CheckExternalID(field, id string) error {
	if len(id) == 0 || len(id) > MaxExternalID {
		return invalid(field, "%s must have 1 to %d characters", field, MaxExternalID)
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return invalid(field, "%s must be printable ASCII without spaces", field)
		}
	}
	return nil
}

// FindExternal finds players by external id. With create, those that there are not are made;
// without, they are left out.
func (s *Service) FindExternal(ctx context.Context, ids []string, create bool) (map[string]PlayerName, error) {
	found, err := s.Directory.FindExternal(ctx, ids)
	if err != nil || !create {
		return found, err
	}

	var missing []ExternalPlayer
	listed := make(map[string]bool)
	for _, id := range ids {
		if _, ok := found[id]; ok || listed[id] {
			continue
		}
		username, err := s.generateUsername()
		if err != nil {
			return nil, err
		}
		listed[id] = true
		missing = append(missing, ExternalPlayer{ExternalID: id, Username: username})
	}
	if len(missing) == 0 {
		return found, nil
	}

	if err := s.Directory.CreateExternal(ctx, missing); err != nil {
		return nil, err
	}
	// Another server may have made some of them.
	return s.Directory.FindExternal(ctx, ids)
}

// generatedCharacters are how many random ones a generated name has, of 32 different ones
// each: no two are alike.
const generatedCharacters = 16

// generateUsername makes a username that nobody has.
func (s *Service) generateUsername() (Username, error) {
	return s.Usernames.Check(RandomName("player-"))
}

// RandomName makes a name that nobody has.
func RandomName(prefix string) string {
	return prefix + strings.ToLower(rand.Text()[:generatedCharacters])
}

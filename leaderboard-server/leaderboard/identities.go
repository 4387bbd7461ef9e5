package leaderboard

import (
	"context"
	"time"
)

// MaxIdentities is how many identities a player may have.
const MaxIdentities = 20

// DeviceIssuer is the issuer of the secrets that devices make for themselves.
const DeviceIssuer = ""

// Identity is what a player logs in with beside a password.
type Identity struct {
	// Issuer is the URL of who knows the player, or DeviceIssuer.
	Issuer string
	// Subject is of the device's secret, or of what the issuer calls the player.
	Subject SecretHash
}

// LinkedIdentity is one that a player has.
type LinkedIdentity struct {
	Issuer   string
	LinkedAt time.Time
}

// PlayerLogins is all that a player can log in with.
type PlayerLogins struct {
	// Password says that there is one.
	Password   bool
	Identities []LinkedIdentity
}

// Identities keeps what players log in with beside passwords.
type Identities interface {
	// PlayerByIdentity finds the player; CodeNoPlayer: there is none yet.
	PlayerByIdentity(ctx context.Context, identity Identity) (Player, error)
	// CreateIdentified stores a new player with the identity, or finds the one that has it by
	// now: created is false then. See [Players] for the names that are refused.
	CreateIdentified(ctx context.Context, player Player, identity Identity) (result Player, created bool, err error)
	// LinkIdentity gives the caller's player an identity more. One that is another player's, or
	// one too many, is CodeLoginConflict.
	LinkIdentity(ctx context.Context, caller Caller, identity Identity) error
	// SetFirstPassword gives the caller's player a password; one that has one is
	// CodeLoginConflict.
	SetFirstPassword(ctx context.Context, caller Caller, hash string) error
	// PlayerLogins returns what the player can log in with.
	PlayerLogins(ctx context.Context, player PlayerID) (PlayerLogins, error)
}

// PlayerByIdentity finds the active player with the identity; CodeNoPlayer: there is none yet.
func (s *Service) PlayerByIdentity(ctx context.Context, identity Identity) (Player, error) {
	player, err := s.Identities.PlayerByIdentity(ctx, identity)
	if err == nil && player.State != PlayerActive {
		err = Disabled()
	}
	return player, err
}

// RegisterIdentity makes a player that logs in with the identity. It gets the wanted name if
// the rules allow it and nobody has it, and else one that is made up.
func (s *Service) RegisterIdentity(ctx context.Context, identity Identity, wanted string) (player Player, created bool, err error) {
	if name, refused := s.Usernames.Check(wanted); refused == nil {
		player, created, err = s.createIdentified(ctx, identity, name)
		if CodeOf(err) != CodeConflict {
			return player, created, err
		}
	}

	name, err := s.generateUsername()
	if err != nil {
		return Player{}, false, err
	}
	return s.createIdentified(ctx, identity, name)
}

func (s *Service) createIdentified(ctx context.Context, identity Identity, name Username) (Player, bool, error) {
	player, created, err := s.Identities.CreateIdentified(ctx, Player{Username: name.Text, UsernameKey: name.Key, Skeleton: name.Skeleton}, identity)
	if err == nil && player.State != PlayerActive {
		err = Disabled()
	}
	return player, created, err
}

// SetFirstPassword gives a player that has no password one.
func (s *Service) SetFirstPassword(ctx context.Context, caller Caller, password string) error {
	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	return s.Identities.SetFirstPassword(ctx, caller, hash)
}

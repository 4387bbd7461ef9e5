package leaderboard

import (
	"context"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxOwnerName is the longest name of an owner, in characters.
const MaxOwnerName = 64

// Whose the entries of a board are, as the boards file and the API say it.
const (
	ownersPlayers  = "Players"
	ownersExternal = "External"
)

// Owner is what the entries of a board of External owners belong to: a team, a clan, a car or a
// map. In the ledger it is a player whom nobody logs in as. Its id is the game's own: the same
// owner on all boards of the game, and none that players have.
type Owner struct {
	// ID is as [CheckExternalID] accepts it.
	ID string
	// Name is what is shown; empty: the game has given none, and the id is shown.
	Name string
}

// Owners keeps the owners that games name.
type Owners interface {
	// FindOwners finds owners by the game's ids. One that there is not is left out.
	FindOwners(ctx context.Context, ids []string) (map[string]PlayerName, error)
	// SaveOwners makes the owners that there are not, and gives the others those of these names
	// that are not empty. Each is there once.
	SaveOwners(ctx context.Context, owners []Owner) error
}

// CheckOwnerName accepts a name for people to read: text that is on one line, and that changes
// nothing around it.
func CheckOwnerName(field, name string) error {
	length, blank := 0, true
	for _, r := range name {
		length++
		switch {
		case r == utf8.RuneError, unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control):
			return invalid(field, "%s must be text without control characters, line breaks, or characters that change the direction of text", field)
		case unicode.IsGraphic(r) && !unicode.IsSpace(r):
			blank = false
		}
	}

	if length > MaxOwnerName || blank {
		return invalid(field, "%s must have 1 to %d characters, one of them no space", field, MaxOwnerName)
	}
	return nil
}

// Owners says whose the entries of the board are: Players or External.
func (b Board) Owners() string {
	if b.External {
		return ownersExternal
	}
	return ownersPlayers
}

// CheckOwner refuses a score of a player where entries belong to owners that the game names, and
// one of such an owner where they belong to players. owner is the game's id; empty: it is a
// player's.
func (b Board) CheckOwner(owner string) error {
	switch {
	case b.External && owner == "":
		return invalid("user_id", "the entries of board %s belong to owners that the game's servers name, not to players: name one by owner_id", b.Name)
	case !b.External && owner != "":
		return invalid("owner_id", "the entries of board %s belong to players: name one by user_id or external_id", b.Name)
	}
	return nil
}

func (b Board) validateOwners() error {
	switch {
	case !b.External:
		return nil
	case !b.ServersOnly:
		return invalid("submitters", "submitters of board %s must be Servers or left out, as its owners are External: no player logs in as one", b.Name)
	case b.CountsTowardGlobal:
		return invalid("countsTowardGlobal", "board %s has owners that are External and cannot count toward %s, which ranks players: set countsTowardGlobal to false or leave it out", b.Name, GlobalBoard)
	}
	return nil
}

// keepOwners is the board as it is configured, of the owners that it has.
func (b Board) keepOwners(configured Board) Board {
	configured.External = b.External
	if b.External {
		configured.ServersOnly, configured.CountsTowardGlobal, configured.Signed = true, false, false
	}
	return configured
}

// OtherOwners says why the board cannot get the owners that are configured; empty: it has them.
func (b Board) OtherOwners(configured Board) string {
	if b.External == configured.External {
		return ""
	}
	return fmt.Sprintf("board %s cannot get the owners %s: its entries belong to those of %s. Add a board with another name instead", b.Name, configured.Owners(), b.Owners())
}

// FindOwner finds an owner by the game's id; CodeNoPlayer if there is none.
func (s *Service) FindOwner(ctx context.Context, id string) (PlayerName, error) {
	found, err := s.Owners.FindOwners(ctx, []string{id})
	if err != nil {
		return PlayerName{}, err
	}
	owner, ok := found[id]
	if !ok {
		return owner, Errorf(CodeNoPlayer, "owner_id", "there is no owner with this id: the first score that names it makes it, or PUT /v1/owners/{owner_id}")
	}
	return owner, nil
}

// SaveOwners finds owners by the game's ids, makes those that there are not, and gives them their
// names. Of several with one id the last name counts.
func (s *Service) SaveOwners(ctx context.Context, owners []Owner) (map[string]PlayerName, error) {
	names := make(map[string]string, len(owners))
	ids := make([]string, 0, len(owners))
	for _, o := range owners {
		name, listed := names[o.ID]
		if !listed {
			ids = append(ids, o.ID)
		}
		if o.Name != "" {
			name = o.Name
		}
		names[o.ID] = name
	}

	found, err := s.Owners.FindOwners(ctx, ids)
	if err != nil {
		return nil, err
	}
	var changed []Owner
	for _, id := range ids {
		if is, ok := found[id]; !ok || names[id] != "" && names[id] != is.OwnerName {
			changed = append(changed, Owner{ID: id, Name: names[id]})
		}
	}
	if len(changed) == 0 {
		return found, nil
	}

	if err := s.Owners.SaveOwners(ctx, changed); err != nil {
		return nil, err
	}
	return s.Owners.FindOwners(ctx, ids)
}

// SaveOwner is SaveOwners of one.
func (s *Service) SaveOwner(ctx context.Context, owner Owner) (PlayerName, error) {
	saved, err := s.SaveOwners(ctx, []Owner{owner})
	if err != nil {
		return PlayerName{}, err
	}
	name, ok := saved[owner.ID]
	if !ok {
		return name, OwnerErased()
	}
	return name, nil
}

// OwnerErased is the error for an owner that was there, and is no more once it is saved.
func OwnerErased() *Error {
	return Errorf(CodeBusy, "", "the owner was erased at the same time: try again")
}

// SetOwner makes an owner, or gives it another name. Attributes that are not nil are its
// attributes from now on, and no others.
func (s *Service) SetOwner(ctx context.Context, owner Owner, attributes map[string]string) (PlayerName, error) {
	if err := checkAttributes(s.Catalog(), attributes); err != nil {
		return PlayerName{}, err
	}
	name, err := s.SaveOwner(ctx, owner)
	if err == nil && attributes != nil {
		err = s.Attributes.SetAttributes(ctx, name.ID, 0, attributes)
	}
	return name, err
}

// CheckOwner is [Board.CheckOwner] of the board with this name.
func (s *Service) CheckOwner(board, owner string) error {
	b, err := lookup(s.Catalog(), board)
	if err != nil {
		return err
	}
	return b.CheckOwner(owner)
}

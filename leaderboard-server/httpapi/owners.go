package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// ownerPrefix and an owner_id after it name an owner where a player may be named.
const ownerPrefix = "owner:"

// naming names whose a server's score is, where user_id does not: a player, or an owner.
type naming struct {
	externalID string
	owner      leaderboard.Owner
}

// naming takes the fields that name whose a score is, but for user_id. Each may be left out:
// empty.
func (b *body) naming() naming {
	id := b.fields[ownerID]
	n := naming{externalID: b.checked(externalID, leaderboard.CheckExternalID)}
	n.owner = leaderboard.Owner{ID: b.checked(ownerID, leaderboard.CheckExternalID), Name: b.checked(ownerName, leaderboard.CheckOwnerName)}
	if n.owner.Name != "" && (id == nil || string(id) == "null") {
		b.wrong(ownerName, "owner_name is the name of the owner that owner_id names: send owner_id, too, or leave it out")
	}
	return n
}

// checked takes a text that may be left out, and is refused where it is empty.
func (b *body) checked(name string, check func(field, text string) error) string {
	raw, there := b.fields[name]
	errs := len(b.errs)
	text := b.text(name, false)
	if there && string(raw) != "null" && len(b.errs) == errs {
		b.refused(check(name, text))
	}
	return text
}

// check refuses a service account's score that does not name whose it is by one field.
func (n naming) check(player leaderboard.PlayerID) error {
	named := ""
	for _, field := range []struct{ name, value string }{{userID, string(player)}, {externalID, n.externalID}, {ownerID, n.owner.ID}} {
		switch {
		case field.value == "":
		case named != "":
			return invalidFields([]FieldError{{Field: field.name, Message: field.name + " is there as well as " + named + ": name whose score it is by one of them"}})
		default:
			named = field.name
		}
	}
	if named == "" {
		return invalidFields([]FieldError{{Field: userID, Message: "user_id or external_id is required with the token of a service account, or owner_id on a board whose owners are External: name whose score it is"}})
	}
	return nil
}

// named lets an error about the player name the field that named it.
func (n naming) named(err error) error {
	switch {
	case n.externalID != "":
		return fieldNamed(err, userID, externalID)
	case n.owner.ID != "":
		return fieldNamed(err, userID, ownerID)
	}
	return err
}

// resolve finds whose the score is that user_id does not name, and makes an owner that there is
// not.
func (n naming) resolve(ctx context.Context, service *leaderboard.Service, submission *leaderboard.Submission) error {
	switch {
	case n.externalID != "":
		player, err := findOneExternal(ctx, service, n.externalID)
		submission.Player = player.ID
		return err
	case n.owner.ID != "":
		if err := service.CheckOwner(submission.Board, n.owner.ID); err != nil {
			return err
		}
		owner, err := service.SaveOwner(ctx, n.owner)
		submission.Player, submission.Owner = owner.ID, n.owner.ID
		return err
	}
	return nil
}

// saveOwners finds the owners of the items that name them, makes those that there are not, and
// gives them their names.
func saveOwners(ctx context.Context, service *leaderboard.Service, items []item) error {
	var owners []leaderboard.Owner
	for i := range items {
		it := &items[i]
		if it.Err != nil || it.owner.ID == "" {
			continue
		}
		if it.Err = service.CheckOwner(it.Board, it.owner.ID); it.Err == nil {
			owners = append(owners, it.owner)
		}
	}
	if len(owners) == 0 {
		return nil
	}

	saved, err := service.SaveOwners(ctx, owners)
	if err != nil {
		return err
	}
	for i := range items {
		it := &items[i]
		if it.Err != nil || it.owner.ID == "" {
			continue
		}
		owner, ok := saved[it.owner.ID]
		if !ok {
			it.Err = leaderboard.OwnerErased()
		}
		it.Player, it.Owner, it.name = owner.ID, it.owner.ID, owner
	}
	return nil
}

// checkPlayer refuses the user_id of an owner where a score names a player.
func checkPlayer(player leaderboard.PlayerName, submission leaderboard.Submission) error {
	if player.OwnerID != "" && submission.Owner == "" {
		return leaderboard.Errorf(leaderboard.CodeInvalid, userID, "this is the user_id of an owner that is no account: name it by owner_id, on a board whose owners are External")
	}
	return nil
}

// ownerInPath takes the game's id of an owner, from a service account that has the scope.
func (a *API) ownerInPath(r *http.Request, scope accounts.Scope) (string, error) {
	if _, err := a.server(r, scope); err != nil {
		return "", err
	}
	if err := readQuery(r).finish(); err != nil {
		return "", err
	}
	id, err := pathParameter(r, ownerID)
	if err != nil {
		return "", err
	}
	return id, leaderboard.CheckExternalID(ownerID, id)
}

// owner answers with an owner.
func (a *API) owner(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	id, err := a.ownerInPath(r, accounts.Read)
	if err != nil {
		return err
	}

	found, err := service.FindOwner(r.Context(), id)
	if err != nil {
		return err
	}
	return answerOwner(w, r, service, found)
}

// setOwner makes an owner, or gives it another name and other attributes.
func (a *API) setOwner(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	id, err := a.ownerInPath(r, accounts.Submit)
	if err != nil {
		return err
	}

	b, err := readBody(r)
	if err != nil {
		return err
	}
	owner := leaderboard.Owner{ID: id, Name: b.checked(ownerName, leaderboard.CheckOwnerName)}
	attributes := b.texts("attributes", false, leaderboard.MaxAttributes)
	if err := b.finish(); err != nil {
		return err
	}

	saved, err := service.SetOwner(r.Context(), owner, attributes)
	if err != nil {
		return err
	}
	return answerOwner(w, r, service, saved)
}

func answerOwner(w http.ResponseWriter, r *http.Request, service *leaderboard.Service, owner leaderboard.PlayerName) error {
	attributes, err := service.PlayerAttributes(r.Context(), owner.ID)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, Owner{OwnerID: owner.OwnerID, OwnerName: owner.OwnerName, UserID: string(owner.ID), Attributes: attributes})
	return nil
}

// ownerNamed finds the owner that a name has after ownerPrefix. field is what the name is called.
func ownerNamed(ctx context.Context, service *leaderboard.Service, field, name string) (leaderboard.PlayerID, error) {
	id := strings.TrimPrefix(name, ownerPrefix)
	if err := leaderboard.CheckExternalID(field, id); err != nil {
		return "", err
	}
	owner, err := service.FindOwner(ctx, id)
	return owner.ID, fieldNamed(err, ownerID, field)
}

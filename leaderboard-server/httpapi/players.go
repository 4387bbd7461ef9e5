package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// me is how a player names itself; the token says who it is.
const me = "me"

// playerNamed finds out whom a request is about.
func (a *API) playerNamed(r *http.Request, service *leaderboard.Service, name string) (leaderboard.PlayerID, error) {
	if name == me {
		identity, err := a.player(r)
		return identity.Player, err
	}

	if strings.HasPrefix(name, ownerPrefix) {
		return ownerNamed(r.Context(), service, "player", name)
	}

	id, ok := parsePlayerID(name)
	if !ok {
		return "", invalidFields([]FieldError{{Field: "player", Message: "player must be a user_id, me, or owner: and an owner_id"}})
	}
	return id, nil
}

// parsePlayerID reads a user_id in its usual form, in either case.
func parsePlayerID(text string) (leaderboard.PlayerID, bool) {
	const length = 36 // others are read, too: in braces, without dashes
	id, err := uuid.Parse(text)
	return leaderboard.PlayerID(id.String()), err == nil && len(text) == length
}

// player takes the id of a player, which may be left out: empty.
func (b *body) player(name string) leaderboard.PlayerID {
	raw, ok := b.take(name, false)
	if !ok {
		return ""
	}

	text, isText := textOf(raw)
	id, ok := parsePlayerID(text)
	if !isText || !ok {
		b.wrong(name, "%s must be the id of a player: a UUID, as registrations and entries tell it", name)
	}
	return id
}

// players takes a list of who is named.
func (b *body) players(name string) []string {
	raw, ok := b.take(name, true)
	if !ok {
		return nil
	}

	var texts []string
	if raw[0] != '[' || json.Unmarshal(raw, &texts) != nil {
		b.wrong(name, "%s must be a list of user_ids", name)
		return nil
	}
	if len(texts) > leaderboard.MaxListed {
		b.wrong(name, "%s must name at most %d players, not %d", name, leaderboard.MaxListed, len(texts))
		return nil
	}

	for i, text := range texts {
		if _, ok := parsePlayerID(text); !ok && !strings.HasPrefix(text, ownerPrefix) {
			b.wrong(fmt.Sprintf("%s[%d]", name, i), "%s[%d] must be a user_id, or owner: and an owner_id", name, i)
		}
	}
	return texts
}

// playersNamed are the ids of those whom a list names.
func playersNamed(ctx context.Context, service *leaderboard.Service, field string, texts []string) ([]leaderboard.PlayerID, error) {
	var owners []string
	for i, text := range texts {
		owner, ok := strings.CutPrefix(text, ownerPrefix)
		if !ok {
			continue
		}
		if err := leaderboard.CheckExternalID(fmt.Sprintf("%s[%d]", field, i), owner); err != nil {
			return nil, err
		}
		owners = append(owners, owner)
	}

	var found map[string]leaderboard.PlayerName
	if len(owners) > 0 {
		var err error
		if found, err = service.Owners.FindOwners(ctx, owners); err != nil {
			return nil, err
		}
	}

	ids := make([]leaderboard.PlayerID, len(texts))
	for i, text := range texts {
		owner, ok := strings.CutPrefix(text, ownerPrefix)
		if !ok {
			ids[i], _ = parsePlayerID(text)
			continue
		}
		name, ok := found[owner]
		if !ok {
			return nil, invalidFields([]FieldError{{Field: fmt.Sprintf("%s[%d]", field, i), Message: "there is no owner with this id: leave it out"}})
		}
		ids[i] = name.ID
	}
	return ids, nil
}

// playerEntries answers with one player's entries on several boards.
func (a *API) playerEntries(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	q := readQuery(r)
	var boards []string
	if list := q.text("boards", ""); list != "" {
		boards = strings.Split(list, ",")
	}
	view := leaderboard.View{Window: q.text("window", ""), Viewer: a.viewer(r)}
	view.Include, view.Segments = q.includeOwn()
	var err error
	if view.Segment, err = a.segment(r, q); err != nil {
		return err
	}
	if err := q.finish(); err != nil {
		return err
	}

	name, err := pathParameter(r, "player")
	if err != nil {
		return err
	}
	id, err := a.playerNamed(r, service, name)
	if err != nil {
		return err
	}

	end, err := a.lists.begin(clientBucket(a.client(r)))
	if err != nil {
		return err
	}
	defer end()

	player, err := service.PlayerEntries(r.Context(), id, boards, view)
	if err != nil {
		return err
	}

	body := PlayerEntries{UserID: string(player.ID), Username: player.Username, OwnerID: player.OwnerID, OwnerName: player.OwnerName, Entries: make([]Entry, len(player.Entries))}
	for i, e := range player.Entries {
		body.Entries[i] = entry(e)
		body.Entries[i].ReachedAt, body.Entries[i].Metadata = reachedAt(view.ReachedAt, e.ReachedAt), metadataOf(view.Metadata, e.Metadata)
		body.Entries[i].Segments = segmentRanks(view.Segments, e.Segments)
	}
	return answerHeld(w, r, body)
}

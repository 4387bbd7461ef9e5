package httpapi

import (
	"context"
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// externalPlayer answers with the player of an external id.
func (a *API) externalPlayer(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	if _, err := a.server(r, accounts.Read); err != nil {
		return err
	}
	if err := readQuery(r).finish(); err != nil {
		return err
	}
	external, err := pathParameter(r, externalID)
	if err != nil {
		return err
	}
	if err := leaderboard.CheckExternalID(externalID, external); err != nil {
		return err
	}

	player, err := findOneExternal(r.Context(), service, external)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, ExternalPlayer{UserID: string(player.ID), Username: player.Username, ExternalID: external})
	return nil
}

// findOneExternal finds the player of an external id.
func findOneExternal(ctx context.Context, service *leaderboard.Service, external string) (leaderboard.PlayerName, error) {
	found, err := service.FindExternal(ctx, []string{external}, false)
	if err != nil {
		return leaderboard.PlayerName{}, err
	}
	player, ok := found[external]
	if !ok {
		return player, noExternalPlayer()
	}
	return player, nil
}

func noExternalPlayer() error {
	return leaderboard.Errorf(leaderboard.CodeNoPlayer, externalID, "no player has this external_id: a batch of scores with create_players makes one")
}

// findExternal finds the players of the items that name them by external id, or makes them.
func findExternal(ctx context.Context, service *leaderboard.Service, b batch) error {
	var ids []string
	for i := range b.items {
		if b.items[i].Err == nil && b.items[i].externalID != "" {
			ids = append(ids, b.items[i].externalID)
		}
	}
	if len(ids) == 0 {
		return nil
	}

	found, err := service.FindExternal(ctx, ids, b.createPlayers)
	if err != nil {
		return err
	}
	for i := range b.items {
		it := &b.items[i]
		if it.Err != nil || it.externalID == "" {
			continue
		}
		player, ok := found[it.externalID]
		if !ok {
			it.Err = noExternalPlayer()
		}
		it.Player, it.name = player.ID, player
	}
	return nil
}

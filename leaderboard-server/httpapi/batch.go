package httpapi

import (
	"context"
	"mime"
	"net/http"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/auth/accounts"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// maxBatchBody bounds the body of a batch, in bytes: its items may be of that many with the
// longest metadata, key and columns, and with as much whitespace again.
const maxBatchBody = 4 << 20

// submitBatch takes many scores from a service account, each for the player that it names.
func (a *API) submitBatch(w http.ResponseWriter, r *http.Request, service *leaderboard.Service) error {
	identity, err := a.server(r, accounts.Submit)
	if err != nil {
		return err
	}
	end, err := a.batches.begin(bucket(identity))
	if err != nil {
		return err
	}
	defer end()

	q := readQuery(r)
	create := q.boolean("create_players")
	if err := q.finish(); err != nil {
		return err
	}
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == mediaLines { // read strictly there
		return a.streamBatch(w, r, service, identity, create)
	}

	batch, err := readBatch(r)
	if err != nil {
		return err
	}
	batch.createPlayers = batch.createPlayers || create
	items := batch.items

	ctx, cancel := withoutClient(r.Context())
	defer cancel()
	if err := a.storeItems(ctx, service, identity, batch); err != nil {
		return err
	}

	content := encodeBatch(items, service.Catalog(), requestInfo(r))
	if err := holdAnswer(r, len(content)); err != nil {
		return err
	}
	writeBytes(w, mediaJSON, http.StatusOK, content)
	return nil
}

// batch is many scores.
type batch struct {
	items []item
	// createPlayers: external ids without a player get one.
	createPlayers bool
}

// item is one score of a batch, and what became of it.
type item struct {
	leaderboard.Submission
	leaderboard.Committed
	naming
	name leaderboard.PlayerName
}

// storeItems makes the items durable that are not refused yet. It fails only where nothing
// of them was stored.
func (a *API) storeItems(ctx context.Context, service *leaderboard.Service, identity auth.Identity, b batch) error {
	items := b.items
	if err := findExternal(ctx, service, b); err != nil {
		return err
	}
	if err := saveOwners(ctx, service, items); err != nil {
		return err
	}
	if err := nameItems(ctx, service, items); err != nil {
		return err
	}

	submissions, places := make([]leaderboard.Submission, 0, len(items)), make([]int, 0, len(items))
	for i := range items {
		if items[i].Err == nil {
			items[i].Account = identity.Account
			submissions, places = append(submissions, items[i].Submission), append(places, i)
		}
	}

	for j, committed := range service.SubmitAll(ctx, submissions) {
		items[places[j]].Committed = committed
	}
	return nil
}

// nameItems finds out whose the items are, and refuses those of nobody.
func nameItems(ctx context.Context, service *leaderboard.Service, items []item) error {
	ids := make([]leaderboard.PlayerID, 0, len(items))
	for i := range items {
		if items[i].Err == nil && items[i].name.ID == "" {
			ids = append(ids, items[i].Player)
		}
	}
	if len(ids) == 0 {
		return nil
	}

	names, err := service.Directory.Find(ctx, ids)
	if err != nil {
		return err
	}
	for i := range items {
		if items[i].Err != nil || items[i].name.ID != "" {
			continue
		}
		name, ok := names[items[i].Player]
		if items[i].Err = checkPlayer(name, items[i].Submission); !ok {
			items[i].Err = leaderboard.Errorf(leaderboard.CodeNoPlayer, userID, "there is no such player")
		}
		items[i].name = name
	}
	return nil
}

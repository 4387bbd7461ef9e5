package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/names"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
)

// saveOwner makes or names an owner, and returns it as it is known then.
func saveOwner(t *testing.T, d *postgres.Directory, id, name string) leaderboard.PlayerName {
	t.Helper()
	require.NoError(t, d.SaveOwners(t.Context(), []leaderboard.Owner{{ID: id, Name: name}}))
	found, err := d.FindOwners(t.Context(), []string{id, "nobody"})
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[id]
}

// Every server has the name that an owner was given last, once it hears of the change.
func TestNamesOfOwnersFollow(t *testing.T) {
	d := newDirectory(t)
	made := saveOwner(t, d.Directory, "7", "")
	require.Equal(t, []string{"7", "7"}, []string{made.OwnerID, made.OwnerName})
	other, err := postgres.NewDirectory(d.Ledger, 100)
	require.NoError(t, err)
	name := func(in *postgres.Directory) string {
		names, err := in.Names(t.Context(), []int64{made.Number})
		require.NoError(t, err)
		byID, err := in.Name(t.Context(), made.ID)
		require.NoError(t, err)
		require.Equal(t, byID, names[made.Number])
		require.Equal(t, made.Username, byID.Username)
		return byID.OwnerName
	}
	require.Equal(t, "7", name(other))

	require.Equal(t, "Seven", saveOwner(t, d.Directory, "7", "Seven").OwnerName)
	require.Equal(t, "Seven", saveOwner(t, d.Directory, "7", "").OwnerName, "without a name it keeps the one it has")
	require.Equal(t, "Seven", name(d.Directory))
	_, changes, err := d.Ledger.AccountChanges(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Equal(t, []leaderboard.AccountChange{{Player: made.ID, OwnerName: "Seven"}}, changes)
	other.Apply(changes...)
	require.Equal(t, "Seven", name(other))
}

// A board that is to have other owners stays as it is, and says so.
func TestOtherOwnersAreRefused(t *testing.T) {
	f, board := columnsFixture(t)
	other := board
	other.External, other.ServersOnly, other.CountsTowardGlobal = true, true, false
	is := configure(t, f.Ledger, other)
	require.Contains(t, is.Refold.Refused, "cannot get the owners External")
	require.False(t, is.External)
	require.Equal(t, is.Refold.AskedAt, configure(t, f.Ledger, other).Refold.AskedAt)
	_, err := f.Ledger.PrepareRefold(t.Context(), is)
	require.ErrorAs(t, err, new(*leaderboard.RefoldRefusedError))
	require.NoError(t, f.Ledger.RefuseRefold(t.Context(), is, err))
	require.Nil(t, configure(t, f.Ledger, board).Refold, "it is not asked for any more")

	other.Name = "clans"
	is = configure(t, f.Ledger, other)
	require.True(t, is.External)
	other.External, other.ServersOnly = false, false
	is = configure(t, f.Ledger, other)
	require.Contains(t, is.Refold.Refused, "cannot get the owners Players")
	require.True(t, is.External && is.ServersOnly)
}

// Messages to webhooks name owners as entries do, until they are erased.
func TestMessagesNameOwners(t *testing.T) {
	d := newDirectory(t)
	d.Ledger.SetSubscriptions([]leaderboard.Subscription{{Webhook: "results", Events: []leaderboard.EventType{leaderboard.EventSeasonClosed}, Top: 3}})
	board, player := d.Board(t, "podium"), d.Players(t, 1)[0]
	owner := saveOwner(t, d.Directory, `7"\`, `The "Sevens" \o/`)
	d.exec(t, `INSERT INTO window_seasons (board, number, name, ordinal, opens_at, closes_at) VALUES ($1, 101, 'daily', 100, now() - interval '2 hours', now() - interval '1 hour')`, board.Number)
	for i, number := range []int64{player.Number, owner.Number} {
		d.exec(t, `INSERT INTO score_events (id, at, player, score, board, columns) VALUES (nextval('event_ids'), now() - interval '90 minutes', $1, $2, $3, ARRAY[7::bigint])`, number, i, board.Number)
	}
	catalog, err := d.Ledger.LoadCatalog(t.Context())
	require.NoError(t, err)
	live, err := catalog.Lookup("podium")
	require.NoError(t, err)
	_, err = d.Ledger.CloseSeason(t.Context(), live.In(101))
	require.NoError(t, err)

	top := func() (results []leaderboard.WebhookResult) {
		var payload string
		require.NoError(t, d.conn.QueryRow(t.Context(), "SELECT payload FROM webhook_messages").Scan(&payload))
		var message struct{ Data leaderboard.SeasonClosed }
		require.NoError(t, json.Unmarshal([]byte(payload), &message))
		return message.Data.Top
	}
	columns := top()[0].Columns
	ofOwner := leaderboard.WebhookResult{Rank: 1, UserID: owner.ID, Username: owner.Username, OwnerID: owner.OwnerID, OwnerName: `The "Sevens" \o/`, Score: 1, GameID: "podium", Columns: columns}
	ofPlayer := leaderboard.WebhookResult{Rank: 2, UserID: player.ID, Username: player.Username, Score: 0, GameID: "podium", Columns: columns}
	if board.Order == leaderboard.Ascending {
		ofOwner.Rank, ofPlayer.Rank = 2, 1
	}
	require.ElementsMatch(t, []leaderboard.WebhookResult{ofOwner, ofPlayer}, top())

	finishErasures(t, d.Ledger, erase(t, d.Ledger, owner))
	ofOwner.UserID, ofOwner.Username, ofOwner.OwnerID, ofOwner.OwnerName = "", "", "", ""
	require.ElementsMatch(t, []leaderboard.WebhookResult{ofOwner, ofPlayer}, top())
	found, err := d.FindOwners(t.Context(), []string{owner.OwnerID})
	require.NoError(t, err)
	require.Empty(t, found)
	require.NotEqual(t, owner.ID, saveOwner(t, d.Directory, owner.OwnerID, "").ID, "the id is free")
}

// Owners take no usernames from players, nor what looks like one, also once maintenance has gone
// through all names.
func TestOwnersTakeNoUsernames(t *testing.T) {
	f := newFixture(t, postgres.Options{Skeleton: names.Skeleton})
	directory, err := postgres.NewDirectory(f.Ledger, 100)
	require.NoError(t, err)
	owner := saveOwner(t, directory, "cop", "cop")
	conn := f.Connect(t)
	_, err = conn.Exec(t.Context(), "UPDATE players SET created_at = now() - interval '2 hours'")
	require.NoError(t, err)
	registerBefore(t, conn, "later")

	require.NoError(t, f.Ledger.Maintain(t.Context()))
	require.Equal(t, "later", skeletonOwner(t, conn, "later"))
	for _, name := range []string{"cop", owner.Username} {
		require.Empty(t, skeletonOwner(t, conn, name))
		_, err := f.Ledger.CreatePlayer(t.Context(), newName(name), nil)
		require.NoError(t, err)
	}
	_, err = f.Ledger.PlayerByID(t.Context(), owner.ID)
	require.Equal(t, leaderboard.CodeNoPlayer, leaderboard.CodeOf(err))
	_, ok := names.Key("owner " + string(owner.ID))
	require.False(t, ok, "nobody types the key of an owner")
}

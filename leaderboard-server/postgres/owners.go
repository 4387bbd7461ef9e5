package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

var _ leaderboard.Owners = (*Directory)(nil)

const (
	// joinOwnerSQL adds owners o to players p.
	joinOwnerSQL = "LEFT JOIN owners o ON o.player = p.id"
	// ownerSQL are the id and the name of the owner that a row is joined to, empty of a player.
	ownerSQL = "coalesce(o.owner_id, ''), coalesce(nullif(o.name, ''), o.owner_id, '')"
)

// playerNamesSQL reads [leaderboard.PlayerName], with further columns.
func playerNamesSQL(further string) string {
	return "SELECT p.number, p.id::text, p.username, " + ownerSQL + further + " FROM players p " + joinOwnerSQL + " WHERE "
}

// FindOwners implements [leaderboard.Owners], with at most two queries.
func (d *Directory) FindOwners(ctx context.Context, ids []string) (map[string]leaderboard.PlayerName, error) {
	return d.findAliases(ctx, d.byOwner, ids, func(ctx context.Context, missing []string) (map[string]leaderboard.PlayerID, error) {
		return d.ledger.aliases(ctx, "find owners", "SELECT owner_id, player::text FROM owners WHERE owner_id = ANY ($1)", missing)
	})
}

// SaveOwners implements [leaderboard.Owners].
func (d *Directory) SaveOwners(ctx context.Context, owners []leaderboard.Owner) error {
	changes, err := d.ledger.saveOwners(ctx, owners)
	if err != nil {
		return err
	}
	d.Apply(changes...)
	return nil
}

// saveOwnersSQL makes the owners of those ids that there are not, and names the others: $1 their
// ids, $2 the ids of their rows in players, $3 names, $4 usernames. It returns the changes of
// names. Of servers that save the same ones it holds what createExternalSQL says. An owner takes
// no username from players: the key of its own has a space, which none of theirs has, or can be
// logged in with.
const saveOwnersSQL = `
	WITH wanted AS MATERIALIZED (
		SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) w (owner_id, id, name, username)
	), saved AS (
		INSERT INTO owners AS o (owner_id, player, name)
		SELECT owner_id, id, name FROM wanted ORDER BY owner_id COLLATE "C"
		ON CONFLICT (owner_id) DO UPDATE SET name = excluded.name WHERE excluded.name <> '' AND o.name <> excluded.name
		RETURNING owner_id, player
	), made AS (
		INSERT INTO players (id, username, username_key, password_hash)
		SELECT w.id, w.username, 'owner ' || w.id, '' FROM wanted w JOIN saved s ON s.player = w.id
	), renamed AS (
		INSERT INTO account_changes (player, owner_name)
		SELECT s.player, w.name FROM saved s JOIN wanted w USING (owner_id) WHERE s.player <> w.id
		RETURNING player, owner_name
	)
	SELECT player::text, owner_name FROM renamed`

// saveOwners makes or names owners, all or none.
func (l *Ledger) saveOwners(ctx context.Context, owners []leaderboard.Owner) (renamed []leaderboard.AccountChange, err error) {
	n := len(owners)
	ownerIDs, ids := make([]string, n), make([][16]byte, n)
	names, usernames := make([]string, n), make([]string, n)
	for i, o := range owners {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make the id of an owner: %w", err)
		}
		ownerIDs[i], ids[i] = o.ID, id
		names[i], usernames[i] = o.Name, leaderboard.RandomName("owner-")
	}

	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()

	rows, err := l.pool.Query(ctx, saveOwnersSQL, ownerIDs, ids, names, usernames)
	if err != nil {
		return nil, unavailable("save owners", err)
	}
	renamed, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c leaderboard.AccountChange, err error) {
		return c, row.Scan(&c.Player, &c.OwnerName)
	})
	if err != nil {
		return nil, unavailable("save owners", err)
	}
	return renamed, nil
}

// refuseOwner refuses what is for accounts alone where the row of players is an owner's.
func refuseOwner(ctx context.Context, tx pgx.Tx, id leaderboard.PlayerID) error {
	var owner string
	err := tx.QueryRow(ctx, "SELECT owner_id FROM owners WHERE player = $1::text::uuid", string(id)).Scan(&owner)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return leaderboard.Errorf(leaderboard.CodeNoPlayer, "", "this is the id of the owner %s, who has no account", owner)
}

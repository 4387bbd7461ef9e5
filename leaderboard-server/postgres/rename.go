package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Rename implements [leaderboard.Logins]. Names that players have given up keep their
// skeletons, so nobody else gets them, nor one that looks like them; the players themselves can
// return to them.
func (l *Ledger) Rename(ctx context.Context, caller leaderboard.Caller, name leaderboard.Username, every time.Duration) (change leaderboard.AccountChange, err error) {
	err = l.change(ctx, "rename a player", func(ctx context.Context, tx pgx.Tx) error {
		player, err := callersPlayer(ctx, tx, caller)
		if err != nil {
			return err
		}
		change = leaderboard.AccountChange{Player: player.ID, Username: name.Text}
		if player.Username == name.Text {
			return nil
		}
		return l.rename(ctx, tx, player, name, every)
	})
	if err != nil {
		return leaderboard.AccountChange{}, err
	}

	if directory := l.directory.Load(); directory != nil {
		directory.Apply(change)
	}
	return change, nil
}

func (l *Ledger) rename(ctx context.Context, tx pgx.Tx, player leaderboard.Player, name leaderboard.Username, every time.Duration) error {
	var wait *time.Duration
	err := tx.QueryRow(ctx, "SELECT max(until) + $2::interval - now() FROM past_names WHERE player = $1", player.Number, every).Scan(&wait)
	if err != nil {
		return err
	}
	if wait != nil && *wait > 0 {
		return leaderboard.Errorf(leaderboard.CodeRateLimited, "username", "this account has taken another name not long ago: Retry-After says in how many seconds it may do so again").After(*wait)
	}

	if err := l.claimName(ctx, tx, player, name); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "INSERT INTO past_names (player, username) VALUES ($1, $2)", player.Number, player.Username); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE players SET username = $2, username_key = $3 WHERE number = $1", player.Number, name.Text, name.Key)
	if sqlState(err) == stateUniqueViolation {
		return leaderboard.Errorf(leaderboard.CodeConflict, "username", "this username is taken, choose another")
	}
	if err != nil {
		return err
	}
	return announceChange(ctx, tx, leaderboard.AccountChange{Player: player.ID, Username: name.Text})
}

// claimName makes the new name's skeleton the player's, unless it is somebody else's, and the
// old name's, which servers of an earlier version have not stored.
func (l *Ledger) claimName(ctx context.Context, tx pgx.Tx, player leaderboard.Player, name leaderboard.Username) error {
	if l.options.Skeleton != nil {
		_, err := tx.Exec(ctx, "INSERT INTO name_skeletons (skeleton, player) VALUES ($1, $2) ON CONFLICT (skeleton) DO NOTHING", l.options.Skeleton(player.Username), player.Number)
		if err != nil {
			return err
		}
	}

	var owner int64
	err := tx.QueryRow(ctx, `INSERT INTO name_skeletons AS s (skeleton, player) VALUES ($1, $2)
		ON CONFLICT (skeleton) DO UPDATE SET player = s.player RETURNING player`, name.Skeleton, player.Number).Scan(&owner)
	switch {
	case err != nil:
		return err
	case owner != player.Number:
		return takenName(ctx, tx, name.Key)
	}
	return nil
}

// PastNames implements [leaderboard.Logins].
func (l *Ledger) PastNames(ctx context.Context, player leaderboard.PlayerID) ([]leaderboard.PastName, error) {
	id, err := uuid.Parse(string(player))
	if err != nil {
		return nil, noPlayer()
	}
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()

	// More than that nobody has: a name is kept for an hour at the least.
	const most = 1000
	rows, err := l.pool.Query(ctx, `SELECT n.username, n.until FROM players p LEFT JOIN past_names n ON n.player = p.number
		WHERE p.id = $1 ORDER BY n.until DESC LIMIT $2`, [16]byte(id), most)
	if err != nil {
		return nil, unavailable("query the names of a player", err)
	}
	type row struct {
		Username *string
		Until    *time.Time
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	switch {
	case err != nil:
		return nil, unavailable("read the names of a player", err)
	case len(found) == 0:
		return nil, noPlayer()
	}

	names := make([]leaderboard.PastName, 0, len(found))
	for _, r := range found {
		if r.Username != nil {
			names = append(names, leaderboard.PastName{Username: *r.Username, Until: r.Until.UTC()})
		}
	}
	return names, nil
}

// announceChange stores what other servers have to hear of an account.
func announceChange(ctx context.Context, tx pgx.Tx, c leaderboard.AccountChange) error {
	_, err := tx.Exec(ctx, "INSERT INTO account_changes (player, username, token_version, login) VALUES ($1::text::uuid, nullif($2, ''), nullif($3, 0), nullif($4, '')::uuid)",
		string(c.Player), c.Username, c.TokenVersion, string(c.Login))
	return err
}

// AccountChanges returns what has changed in the last part of time, in its order, and the
// identity of the ledger in which it has.
func (l *Ledger) AccountChanges(ctx context.Context, last time.Duration) (identity string, changes []leaderboard.AccountChange, err error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	rows, err := l.pool.Query(ctx, `
		SELECT ledger_identity(), c.player::text, coalesce(c.username, ''), coalesce(c.token_version, 0), coalesce(c.login::text, ''), coalesce(c.owner_name, '')
		FROM (SELECT) always LEFT JOIN account_changes c ON c.at > now() - $1::interval ORDER BY c.number`, last)
	if err != nil {
		return "", nil, unavailable("query the changes of accounts", err)
	}
	defer rows.Close()

	for rows.Next() {
		var player *string
		var c leaderboard.AccountChange
		if err := rows.Scan(&identity, &player, &c.Username, &c.TokenVersion, &c.Login, &c.OwnerName); err != nil {
			return "", nil, unavailable("read the changes of accounts", err)
		}
		if player != nil {
			c.Player = leaderboard.PlayerID(*player)
			changes = append(changes, c)
		}
	}
	if err := rows.Err(); err != nil {
		return "", nil, unavailable("read the changes of accounts", err)
	}
	return identity, changes, nil
}

package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

var _ leaderboard.Identities = (*Ledger)(nil)

const identifiedPlayer = "number = (SELECT player FROM player_identities WHERE issuer = $1 AND subject = $2)"

// PlayerByIdentity implements [leaderboard.Identities].
func (l *Ledger) PlayerByIdentity(ctx context.Context, identity leaderboard.Identity) (leaderboard.Player, error) {
	return l.player(ctx, identifiedPlayer, identity.Issuer, identity.Subject[:])
}

// CreateIdentified implements [leaderboard.Identities].
func (l *Ledger) CreateIdentified(ctx context.Context, player leaderboard.Player, identity leaderboard.Identity) (result leaderboard.Player, created bool, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return leaderboard.Player{}, false, err
	}

	err = l.change(ctx, "create a player with an identity", func(ctx context.Context, tx pgx.Tx) error {
		// Of a device that begins twice at once, the second finds the first one's player.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1 || encode($2::bytea, 'hex'), 0))", identity.Issuer, identity.Subject[:]); err != nil {
			return err
		}
		result, err = scanPlayer(tx.QueryRow(ctx, "SELECT "+playerColumns+" FROM players WHERE "+identifiedPlayer, identity.Issuer, identity.Subject[:]))
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}

		if result, err = insertPlayer(ctx, tx, id, player); err != nil {
			return err
		}
		created = true
		return insertIdentity(ctx, tx, result.Number, identity)
	})
	return result, created, err
}

func insertIdentity(ctx context.Context, tx pgx.Tx, player int64, identity leaderboard.Identity) error {
	_, err := tx.Exec(ctx, "INSERT INTO player_identities (issuer, subject, player) VALUES ($1, $2, $3)", identity.Issuer, identity.Subject[:], player)
	return err
}

// LinkIdentity implements [leaderboard.Identities].
func (l *Ledger) LinkIdentity(ctx context.Context, caller leaderboard.Caller, identity leaderboard.Identity) error {
	return l.change(ctx, "link an identity", func(ctx context.Context, tx pgx.Tx) error {
		player, err := callersPlayer(ctx, tx, caller)
		if err != nil {
			return err
		}

		var owner, linked int64
		err = tx.QueryRow(ctx, `SELECT coalesce((SELECT player FROM player_identities WHERE issuer = $1 AND subject = $2), 0),
			(SELECT count(*) FROM player_identities WHERE player = $3)`, identity.Issuer, identity.Subject[:], player.Number).Scan(&owner, &linked)
		switch {
		case err != nil:
			return err
		case owner == player.Number:
			return nil
		case owner != 0:
			return linkedElsewhere()
		case linked >= leaderboard.MaxIdentities:
			return leaderboard.Errorf(leaderboard.CodeLoginConflict, "", "this account has %d devices and accounts elsewhere to log in with, which is as many as there may be", linked)
		}

		err = insertIdentity(ctx, tx, player.Number, identity)
		if sqlState(err) == stateUniqueViolation {
			return linkedElsewhere()
		}
		return err
	})
}

func linkedElsewhere() *leaderboard.Error {
	return leaderboard.Errorf(leaderboard.CodeLoginConflict, "", "another account logs in with this: accounts are not merged; log in with it to go on with that account")
}

// SetFirstPassword implements [leaderboard.Identities].
func (l *Ledger) SetFirstPassword(ctx context.Context, caller leaderboard.Caller, hash string) error {
	return l.change(ctx, "set the first password", func(ctx context.Context, tx pgx.Tx) error {
		player, err := callersPlayer(ctx, tx, caller)
		if err != nil {
			return err
		}
		if player.PasswordHash != "" {
			return leaderboard.Errorf(leaderboard.CodeLoginConflict, "password", "this account has a password: change it at /v1/auth/password")
		}
		_, err = tx.Exec(ctx, "UPDATE players SET password_hash = $2 WHERE number = $1", player.Number, hash)
		return err
	})
}

// PlayerLogins implements [leaderboard.Identities].
func (l *Ledger) PlayerLogins(ctx context.Context, id leaderboard.PlayerID) (logins leaderboard.PlayerLogins, err error) {
	player, err := l.PlayerByID(ctx, id)
	if err != nil {
		return logins, err
	}
	logins.Password = player.PasswordHash != ""

	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return logins, err
	}
	defer done()

	rows, err := l.pool.Query(ctx, "SELECT issuer, created_at FROM player_identities WHERE player = $1 ORDER BY created_at, subject", player.Number)
	if err != nil {
		return logins, unavailable("query the identities of a player", err)
	}
	if logins.Identities, err = pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.LinkedIdentity]); err != nil {
		return logins, unavailable("read the identities of a player", err)
	}
	return logins, nil
}

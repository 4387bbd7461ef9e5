package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

var _ leaderboard.Logins = (*Ledger)(nil)

// BeginLogin implements [leaderboard.Logins].
func (l *Ledger) BeginLogin(ctx context.Context, player leaderboard.Player, login leaderboard.Login) error {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return err
	}
	defer done()

	tag, err := l.pool.Exec(ctx, `
		WITH displaced AS (
			DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE player = $2 ORDER BY expires_at DESC OFFSET $6)
		)
		INSERT INTO logins (id, player, token_hash, expires_at)
		SELECT $1, $2, $4, now() + $5::interval FROM players WHERE number = $2 AND token_version = $3 AND state = 'active'`,
		string(login.ID), player.Number, player.TokenVersion, login.Token[:], login.TTL, leaderboard.MaxLogins-1)
	switch {
	case err != nil:
		return unavailable("store a login", err)
	case tag.RowsAffected() == 0:
		return leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "the password of this account was changed just now: log in again")
	}
	return nil
}

// RefreshLogin implements [leaderboard.Logins].
func (l *Ledger) RefreshLogin(ctx context.Context, rotation leaderboard.Rotation) (player leaderboard.Player, nonce []byte, err error) {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return leaderboard.Player{}, nil, err
	}
	defer done()

	// What ends the login is committed, and refused after that.
	var refused error
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		player, nonce, refused, err = refreshLogin(ctx, tx, rotation)
		return err
	})
	switch {
	case err != nil:
		return leaderboard.Player{}, nil, unavailable("refresh a login", err)
	case refused != nil:
		return leaderboard.Player{}, nil, refused
	}
	return player, nonce, nil
}

// refreshLogin locks the login, so that of several refreshes at once one finds the good token,
// and the others find that it was used just now.
func refreshLogin(ctx context.Context, tx pgx.Tx, r leaderboard.Rotation) (player leaderboard.Player, nonce []byte, refused, err error) {
	var current, recent, expired bool
	err = tx.QueryRow(ctx, `
		SELECT token_hash = $2, coalesce(used_hash = $2 AND used_at > now() - $3::interval, false), expires_at <= now(), nonce,
			p.number, p.id::text, p.username, p.token_version, p.state
		FROM logins l JOIN players p ON p.number = l.player WHERE l.id = $1 FOR UPDATE OF l`, string(r.Login), r.Presented[:], leaderboard.RefreshGrace).
		Scan(&current, &recent, &expired, &nonce, &player.Number, &player.ID, &player.Username, &player.TokenVersion, &player.State)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return player, nil, noLogin(), nil
	case err != nil:
		return player, nil, nil, err
	case expired:
		return player, nil, noLogin(), nil
	case player.State != leaderboard.PlayerActive:
		return player, nil, leaderboard.Disabled(), nil
	case recent:
		return player, nonce, nil, nil
	case current:
		_, err = tx.Exec(ctx, `UPDATE logins SET used_hash = token_hash, used_at = now(), nonce = $2, token_hash = $3, expires_at = now() + $4::interval WHERE id = $1`,
			string(r.Login), r.Nonce, r.Next[:], r.TTL)
		return player, r.Nonce, nil, err
	}

	// RFC 9700, section 4.14.2: a copy of it was used before, and who has the right one is not
	// known.
	reused := leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "this refresh token was used before, so somebody else may have a copy of it: the login has ended, log in again")
	return player, nil, reused, endLogin(ctx, tx, player.ID, r.Login)
}

func noLogin() *leaderboard.Error {
	return leaderboard.Errorf(leaderboard.CodeUnauthenticated, "", "the refresh token is not good: it has expired, or its login has ended; log in again")
}

func endLogin(ctx context.Context, tx pgx.Tx, player leaderboard.PlayerID, login leaderboard.LoginID) error {
	if _, err := tx.Exec(ctx, "DELETE FROM logins WHERE id = $1", string(login)); err != nil {
		return err
	}
	return announceChange(ctx, tx, leaderboard.AccountChange{Player: player, Login: login})
}

// callersPlayer finds and locks the caller's player, which has to be active and to have the
// version of tokens that the caller's has.
func callersPlayer(ctx context.Context, tx pgx.Tx, caller leaderboard.Caller) (leaderboard.Player, error) {
	player, err := lockPlayer(ctx, tx, caller.Player)
	switch {
	case leaderboard.CodeOf(err) == leaderboard.CodeNoPlayer, err == nil && player.TokenVersion != caller.TokenVersion:
		return leaderboard.Player{}, leaderboard.StaleToken()
	case err != nil:
		return leaderboard.Player{}, err
	case player.State != leaderboard.PlayerActive:
		return leaderboard.Player{}, leaderboard.Disabled()
	}
	return player, nil
}

// lockPlayer finds a player and locks its row.
func lockPlayer(ctx context.Context, tx pgx.Tx, id leaderboard.PlayerID) (leaderboard.Player, error) {
	parsed, err := uuid.Parse(string(id))
	if err != nil {
		return leaderboard.Player{}, noPlayer()
	}
	player, err := scanPlayer(tx.QueryRow(ctx, "SELECT "+playerColumns+" FROM players WHERE id = $1 FOR UPDATE", [16]byte(parsed)))
	if errors.Is(err, pgx.ErrNoRows) {
		err = noPlayer()
	}
	return player, err
}

// change runs a transaction that changes an account. Errors that are refusals stay as they are.
func (l *Ledger) change(ctx context.Context, doing string, f func(ctx context.Context, tx pgx.Tx) error) error {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return err
	}
	defer done()

	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error { return f(ctx, tx) })
	return refusalOr(doing, err)
}

// EndLogin implements [leaderboard.Logins].
func (l *Ledger) EndLogin(ctx context.Context, caller leaderboard.Caller) error {
	return l.change(ctx, "end a login", func(ctx context.Context, tx pgx.Tx) error {
		return endLogin(ctx, tx, caller.Player, caller.Login)
	})
}

// EndLogins implements [leaderboard.Logins].
func (l *Ledger) EndLogins(ctx context.Context, caller leaderboard.Caller) (change leaderboard.AccountChange, err error) {
	err = l.change(ctx, "end all logins of a player", func(ctx context.Context, tx pgx.Tx) error {
		player, err := callersPlayer(ctx, tx, caller)
		if err == nil {
			change, err = withdrawTokens(ctx, tx, player, "", nil)
		}
		return err
	})
	return change, err
}

// withdrawTokens ends all logins but one and raises the version of tokens; with a hash it
// changes the password, too.
func withdrawTokens(ctx context.Context, tx pgx.Tx, player leaderboard.Player, kept leaderboard.LoginID, hash *string) (leaderboard.AccountChange, error) {
	change := leaderboard.AccountChange{Player: player.ID}
	err := tx.QueryRow(ctx, "UPDATE players SET token_version = token_version + 1, password_hash = coalesce($2, password_hash) WHERE number = $1 RETURNING token_version",
		player.Number, hash).Scan(&change.TokenVersion)
	if err != nil {
		return change, fmt.Errorf("withdraw tokens: %w", err)
	}
	if _, err := tx.Exec(ctx, "DELETE FROM logins WHERE player = $1 AND id::text <> $2", player.Number, string(kept)); err != nil {
		return change, fmt.Errorf("delete logins: %w", err)
	}
	return change, announceChange(ctx, tx, change)
}

// ChangePassword implements [leaderboard.Logins].
func (l *Ledger) ChangePassword(ctx context.Context, caller leaderboard.Caller, oldHash, newHash string) (player leaderboard.Player, err error) {
	err = l.change(ctx, "change a password", func(ctx context.Context, tx pgx.Tx) error {
		if player, err = callersPlayer(ctx, tx, caller); err != nil {
			return err
		}
		if player.PasswordHash != oldHash { // a login has renewed it, or somebody else has changed it
			return leaderboard.Errorf(leaderboard.CodeBusy, "", "the password was changed at the same time: try again")
		}

		change, err := withdrawTokens(ctx, tx, player, caller.Login, &newHash)
		player.TokenVersion, player.PasswordHash = change.TokenVersion, newHash
		return err
	})
	return player, err
}

// PasswordReset implements [leaderboard.Logins].
func (l *Ledger) PasswordReset(ctx context.Context, token leaderboard.SecretHash) (leaderboard.Player, error) {
	player, err := l.player(ctx, "number = (SELECT player FROM password_resets WHERE token_hash = $1 AND expires_at > now())", token[:])
	if leaderboard.CodeOf(err) == leaderboard.CodeNoPlayer {
		err = noReset()
	}
	return player, err
}

func noReset() *leaderboard.Error {
	return leaderboard.Errorf(leaderboard.CodeInvalid, "reset_token", "reset_token is not good: it was used, it has expired, or a later one was issued")
}

// ResetPassword implements [leaderboard.Logins].
func (l *Ledger) ResetPassword(ctx context.Context, token leaderboard.SecretHash, hash string) (change leaderboard.AccountChange, err error) {
	err = l.change(ctx, "reset a password", func(ctx context.Context, tx pgx.Tx) error {
		var number int64
		err := tx.QueryRow(ctx, "DELETE FROM password_resets WHERE token_hash = $1 AND expires_at > now() RETURNING player", token[:]).Scan(&number)
		if errors.Is(err, pgx.ErrNoRows) {
			return noReset()
		}
		if err != nil {
			return err
		}

		player, err := scanPlayer(tx.QueryRow(ctx, "SELECT "+playerColumns+" FROM players WHERE number = $1 FOR UPDATE", number))
		if err != nil {
			return err
		}
		// Whoever had the account may have linked something of their own.
		if _, err := tx.Exec(ctx, "DELETE FROM player_identities WHERE player = $1", number); err != nil {
			return err
		}
		change, err = withdrawTokens(ctx, tx, player, "", &hash)
		return err
	})
	return change, err
}

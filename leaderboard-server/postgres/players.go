package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const playerColumns = "number, id::text, username, username_key, password_hash, token_version, state, created_at"

func scanPlayer(row pgx.Row) (leaderboard.Player, error) {
	var p leaderboard.Player
	err := row.Scan(&p.Number, &p.ID, &p.Username, &p.UsernameKey, &p.PasswordHash, &p.TokenVersion, &p.State, &p.CreatedAt)
	return p, err
}

// CreatePlayer implements [leaderboard.Players].
func (l *Ledger) CreatePlayer(ctx context.Context, player leaderboard.Player) (leaderboard.Player, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return leaderboard.Player{}, fmt.Errorf("make a player id: %w", err)
	}

	ctx, cancel := l.deadline(ctx)
	defer cancel()

	// A conflict is looked for first: a failed insert would use up a number, and
	// numbers are what ranking entries are small by.
	created, err := scanPlayer(l.pool.QueryRow(ctx, `
		INSERT INTO players (id, username, username_key, password_hash)
		SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT FROM players WHERE username_key = $3)
		ON CONFLICT (username_key) DO NOTHING
		RETURNING `+playerColumns, [16]byte(id), player.Username, player.UsernameKey, player.PasswordHash))

	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return leaderboard.Player{}, leaderboard.Errorf(leaderboard.CodeConflict, "username", "this username is taken, choose another")
	case err != nil:
		return leaderboard.Player{}, unavailable("create a player", err)
	}

	return created, nil
}

// PlayerByUsername implements [leaderboard.Players].
func (l *Ledger) PlayerByUsername(ctx context.Context, key string) (leaderboard.Player, error) {
	return l.player(ctx, "username_key = $1", key)
}

// PlayerByID implements [leaderboard.Players].
func (l *Ledger) PlayerByID(ctx context.Context, id leaderboard.PlayerID) (leaderboard.Player, error) {
	parsed, err := uuid.Parse(string(id))
	if err != nil {
		return leaderboard.Player{}, noPlayer()
	}
	return l.player(ctx, "id = $1", [16]byte(parsed))
}

// UpdatePasswordHash implements [leaderboard.Players].
func (l *Ledger) UpdatePasswordHash(ctx context.Context, number int64, oldHash, newHash string) error {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	_, err := l.pool.Exec(ctx, "UPDATE players SET password_hash = $3 WHERE number = $1 AND password_hash = $2", number, oldHash, newHash)
	if err != nil {
		return unavailable("update the hash of a password", err)
	}

	return nil
}

func (l *Ledger) player(ctx context.Context, where string, arg any) (leaderboard.Player, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	p, err := scanPlayer(l.pool.QueryRow(ctx, "SELECT "+playerColumns+" FROM players WHERE "+where, arg))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return p, noPlayer()
	case err != nil:
		return p, unavailable("find a player", err)
	}

	return p, nil
}

func noPlayer() error {
	return leaderboard.Errorf(leaderboard.CodeNotFound, "", "there is no such player")
}

// namesByNumber reads the names of players; numbers without a player are left out.
func (l *Ledger) namesByNumber(ctx context.Context, numbers []int64) ([]leaderboard.PlayerName, error) {
	ctx, cancel := l.deadline(ctx)
	defer cancel()

	rows, err := l.pool.Query(ctx, "SELECT number, id::text, username FROM players WHERE number = ANY ($1)", numbers)
	if err == nil {
		var names []leaderboard.PlayerName
		names, err = pgx.CollectRows(rows, pgx.RowToStructByPos[leaderboard.PlayerName])
		if err == nil {
			return names, nil
		}
	}

	return nil, unavailable("find players' names", err)
}

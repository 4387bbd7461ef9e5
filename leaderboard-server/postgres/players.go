package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// lookupQueue bounds the lookups that wait for their turn.
const lookupQueue = 1024

const playerColumns = "number, id::text, username, username_key, password_hash, token_version, state, created_at"

// lookUp waits until this call may use a connection to read or make players, and
// bounds it. Submissions share those connections: however many look players up,
// most stay free.
func (l *Ledger) lookUp(ctx context.Context, timeout time.Duration) (bounded context.Context, done func(), err error) {
	bounded, cancel := context.WithTimeout(ctx, timeout)
	leave, err := l.lookups.Load().Enter(bounded)
	if err != nil {
		cancel()
		return nil, nil, err
	}

	return bounded, func() { leave(); cancel() }, nil
}

func scanPlayer(row pgx.Row) (leaderboard.Player, error) {
	var p leaderboard.Player
	err := row.Scan(&p.Number, &p.ID, &p.Username, &p.UsernameKey, &p.PasswordHash, &p.TokenVersion, &p.State, &p.CreatedAt)
	return p, err
}

// CreatePlayer implements [leaderboard.Players].
func (l *Ledger) CreatePlayer(ctx context.Context, player leaderboard.Player, attributes map[string]string) (leaderboard.Player, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return leaderboard.Player{}, fmt.Errorf("make a player id: %w", err)
	}

	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return leaderboard.Player{}, err
	}
	defer done()

	if len(attributes) == 0 {
		return insertPlayer(ctx, l.pool, id, player)
	}
	var created leaderboard.Player
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if created, err = insertPlayer(ctx, tx, id, player); err != nil {
			return err
		}
		return setAttributes(ctx, tx, created.Number, attributes)
	})
	return created, refusalOr("create a player", err)
}

func insertPlayer(ctx context.Context, in querier, id uuid.UUID, player leaderboard.Player) (leaderboard.Player, error) {
	// Conflicts are looked for first: a failed insert would use up a number, and numbers are
	// what ranking entries are small by. Of two that race for a skeleton, one fails.
	created, err := scanPlayer(in.QueryRow(ctx, `
		WITH made AS (
			INSERT INTO players (id, username, username_key, password_hash)
			SELECT $1, $2, $3, $4
			WHERE NOT EXISTS (SELECT FROM players WHERE username_key = $3) AND NOT EXISTS (SELECT FROM name_skeletons WHERE skeleton = $5)
			ON CONFLICT (username_key) DO NOTHING
			RETURNING *
		), claimed AS (
			INSERT INTO name_skeletons (skeleton, player) SELECT $5, number FROM made WHERE $5 <> ''
		)
		SELECT `+playerColumns+` FROM made`, [16]byte(id), player.Username, player.UsernameKey, player.PasswordHash, player.Skeleton))

	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return leaderboard.Player{}, takenName(ctx, in, player.UsernameKey)
	case sqlState(err) == stateUniqueViolation:
		return leaderboard.Player{}, lookalike()
	case err != nil:
		return leaderboard.Player{}, unavailable("create a player", err)
	}

	return created, nil
}

// takenName is the error for a username that is taken, or looks like one that is.
func takenName(ctx context.Context, in querier, key string) error {
	var taken bool
	err := in.QueryRow(ctx, "SELECT EXISTS (SELECT FROM players WHERE username_key = $1)", key).Scan(&taken)
	switch {
	case err != nil:
		return unavailable("look whether a username is taken", err)
	case taken:
		return leaderboard.Errorf(leaderboard.CodeConflict, "username", "this username is taken, choose another")
	}
	return lookalike()
}

func lookalike() error {
	return leaderboard.Errorf(leaderboard.CodeConflict, "username", "this username looks like another one that is taken, choose one that cannot be confused with it")
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
	return l.player(ctx, "id = $1 AND NOT EXISTS (SELECT FROM owners WHERE player = $1)", [16]byte(parsed))
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

func (l *Ledger) player(ctx context.Context, where string, args ...any) (leaderboard.Player, error) {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return leaderboard.Player{}, err
	}
	defer done()

	p, err := scanPlayer(l.pool.QueryRow(ctx, "SELECT "+playerColumns+" FROM players WHERE "+where, args...))
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return p, noPlayer()
	case err != nil:
		return p, unavailable("find a player", err)
	}

	return p, nil
}

func noPlayer() error {
	return leaderboard.Errorf(leaderboard.CodeNoPlayer, "", "there is no such player")
}

// identifiedName is a name with the identity of the ledger that it was read from.
type identifiedName struct {
	leaderboard.PlayerName
	Identity string
}

var identifiedNamesSQL = playerNamesSQL(", (SELECT ledger_identity())")

// nameByID reads a player's name.
func (l *Ledger) nameByID(ctx context.Context, id leaderboard.PlayerID) (identifiedName, error) {
	names, err := l.namesByID(ctx, []leaderboard.PlayerID{id})
	if err == nil && len(names) == 0 {
		err = noPlayer()
	}
	if err != nil {
		return identifiedName{}, err
	}

	return names[0], nil
}

// namesByID reads the names of players; ids without a player are left out.
func (l *Ledger) namesByID(ctx context.Context, ids []leaderboard.PlayerID) ([]identifiedName, error) {
	parsed := make([][16]byte, 0, len(ids))
	for _, id := range ids {
		if id, err := uuid.Parse(string(id)); err == nil {
			parsed = append(parsed, id)
		}
	}
	if len(parsed) == 0 {
		return nil, nil
	}
	return l.names(ctx, l.options.Timeout, "p.id = ANY ($1)", parsed)
}

// namesByNumber reads the names of players; numbers without a player are left out.
func (l *Ledger) namesByNumber(ctx context.Context, numbers []int64) ([]identifiedName, error) {
	return l.names(ctx, l.options.NamesTimeout, "p.number = ANY ($1)", numbers)
}

func (l *Ledger) names(ctx context.Context, timeout time.Duration, where string, arg any) ([]identifiedName, error) {
	ctx, done, err := l.lookUp(ctx, timeout)
	if err != nil {
		return nil, err
	}
	defer done()

	rows, err := l.pool.Query(ctx, identifiedNamesSQL+where, arg)
	if err == nil {
		var names []identifiedName
		names, err = pgx.CollectRows(rows, pgx.RowToStructByPos[identifiedName])
		if err == nil {
			return names, nil
		}
	}

	return nil, unavailable("find players' names", err)
}

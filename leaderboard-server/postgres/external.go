package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// FindExternal implements [leaderboard.Directory], with at most two queries.
func (d *Directory) FindExternal(ctx context.Context, externalIDs []string) (map[string]leaderboard.PlayerName, error) {
	return d.findAliases(ctx, d.byExternal, externalIDs, func(ctx context.Context, missing []string) (map[string]leaderboard.PlayerID, error) {
		return d.ledger.aliases(ctx, "find players by external id", "SELECT external_id, player::text FROM external_ids WHERE external_id = ANY ($1)", missing)
	})
}

// ExternalID implements [leaderboard.Directory].
func (d *Directory) ExternalID(ctx context.Context, id leaderboard.PlayerID) (external string, err error) {
	ctx, done, err := d.ledger.lookUp(ctx, d.ledger.options.Timeout)
	if err != nil {
		return "", err
	}
	defer done()

	err = d.ledger.pool.QueryRow(ctx, "SELECT external_id FROM external_ids WHERE player = $1::text::uuid", string(id)).Scan(&external)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", unavailable("find the external id of a player", err)
	}
	return external, nil
}

// CreateExternal implements [leaderboard.Directory].
func (d *Directory) CreateExternal(ctx context.Context, players []leaderboard.ExternalPlayer) error {
	return d.ledger.createExternal(ctx, players)
}

// createExternalSQL makes the players of those external ids that have none: $1 external ids,
// $2 ids, $3 usernames, $4 their keys, $5 their skeletons. Two servers that make the same ones
// wait for each other in the order of external ids, so they do not deadlock, and what the
// first one has claimed the second leaves alone.
const createExternalSQL = `
	WITH wanted AS MATERIALIZED (
		SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[]) w (external_id, id, username, username_key, skeleton)
	), claimed AS (
		INSERT INTO external_ids (external_id, player)
		SELECT external_id, id FROM wanted ORDER BY external_id COLLATE "C"
		ON CONFLICT (external_id) DO NOTHING
		RETURNING player
	), made AS (
		INSERT INTO players (id, username, username_key, password_hash)
		SELECT w.id, w.username, w.username_key, '' FROM wanted w JOIN claimed c ON c.player = w.id
		RETURNING id, number
	)
	INSERT INTO name_skeletons (skeleton, player) SELECT w.skeleton, m.number FROM made m JOIN wanted w ON w.id = m.id`

// createExternal makes players, all or none; those whose external id has a player already are
// left out.
func (l *Ledger) createExternal(ctx context.Context, players []leaderboard.ExternalPlayer) error {
	n := len(players)
	externalIDs, ids := make([]string, n), make([][16]byte, n)
	usernames, keys, skeletons := make([]string, n), make([]string, n), make([]string, n)
	for i, p := range players {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make a player id: %w", err)
		}
		externalIDs[i], ids[i] = p.ExternalID, id
		usernames[i], keys[i], skeletons[i] = p.Username.Text, p.Username.Key, p.Username.Skeleton
	}

	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return err
	}
	defer done()

	if _, err := l.pool.Exec(ctx, createExternalSQL, externalIDs, ids, usernames, keys, skeletons); err != nil {
		return unavailable("make players of external ids", err)
	}
	return nil
}

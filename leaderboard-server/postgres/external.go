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
	known := make(map[string]leaderboard.PlayerID, len(externalIDs))
	var missing []string
	d.mu.RLock()
	for _, external := range externalIDs {
		if id, ok := d.byExternal.Get(external); ok {
			known[external] = id
		} else {
			missing = append(missing, external)
		}
	}
	epoch := d.epoch
	d.mu.RUnlock()

	if len(missing) > 0 {
		looked, err := d.ledger.externalIDs(ctx, missing)
		if err != nil {
			return nil, err
		}
		d.rememberExternal(epoch, looked)
		for external, id := range looked {
			known[external] = id
		}
	}

	ids := make([]leaderboard.PlayerID, 0, len(known))
	for _, id := range known {
		ids = append(ids, id)
	}
	names, err := d.Find(ctx, ids)
	if err != nil {
		return nil, err
	}

	found := make(map[string]leaderboard.PlayerName, len(known))
	for external, id := range known {
		if name, ok := names[id]; ok {
			found[external] = name
		}
	}
	return found, nil
}

// rememberExternal is [Directory.remember] of external ids. Those of another ledger than the
// names are from end with the names.
func (d *Directory) rememberExternal(epoch uint64, looked map[string]leaderboard.PlayerID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.epoch != epoch {
		return
	}
	for external, id := range looked {
		d.byExternal.Add(external, id)
	}
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

// externalIDs reads whose external ids these are; those of nobody are left out.
func (l *Ledger) externalIDs(ctx context.Context, externalIDs []string) (map[string]leaderboard.PlayerID, error) {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()

	rows, err := l.pool.Query(ctx, "SELECT external_id, player::text FROM external_ids WHERE external_id = ANY ($1)", externalIDs)
	if err != nil {
		return nil, unavailable("find players by external id", err)
	}

	found := make(map[string]leaderboard.PlayerID)
	var external string
	var id leaderboard.PlayerID
	if _, err := pgx.ForEachRow(rows, []any{&external, &id}, func() error { found[external] = id; return nil }); err != nil {
		return nil, unavailable("find players by external id", err)
	}
	return found, nil
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

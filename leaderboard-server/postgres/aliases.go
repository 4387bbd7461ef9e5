package postgres

import (
	"context"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// aliases has in memory whose the ids are that a game has of its own.
type aliases = lru.Cache[string, leaderboard.PlayerID]

// findAliases finds players by ids that the game has of its own; look reads whose those are that
// are not in memory.
func (d *Directory) findAliases(ctx context.Context, in *aliases, all []string, look func(ctx context.Context, missing []string) (map[string]leaderboard.PlayerID, error)) (map[string]leaderboard.PlayerName, error) {
	known := make(map[string]leaderboard.PlayerID, len(all))
	var missing []string
	d.mu.RLock()
	for _, alias := range all {
		if id, ok := in.Get(alias); ok {
			known[alias] = id
		} else {
			missing = append(missing, alias)
		}
	}
	epoch := d.epoch
	d.mu.RUnlock()

	if len(missing) > 0 {
		looked, err := look(ctx, missing)
		if err != nil {
			return nil, err
		}
		d.rememberAliases(epoch, in, looked)
		for alias, id := range looked {
			known[alias] = id
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
	for alias, id := range known {
		if name, ok := names[id]; ok {
			found[alias] = name
		}
	}
	return found, nil
}

// rememberAliases is [Directory.remember] of such ids. Those of another ledger than the names
// are from end with the names.
func (d *Directory) rememberAliases(epoch uint64, in *aliases, looked map[string]leaderboard.PlayerID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.epoch != epoch {
		return
	}
	for alias, id := range looked {
		in.Add(alias, id)
	}
}

// aliases reads with a query, of a list of ids that the game has of its own, whose they are; those
// of nobody are left out.
func (l *Ledger) aliases(ctx context.Context, doing, sql string, all []string) (map[string]leaderboard.PlayerID, error) {
	ctx, done, err := l.lookUp(ctx, l.options.Timeout)
	if err != nil {
		return nil, err
	}
	defer done()

	rows, err := l.pool.Query(ctx, sql, all)
	if err != nil {
		return nil, unavailable(doing, err)
	}

	found := make(map[string]leaderboard.PlayerID)
	var alias string
	var id leaderboard.PlayerID
	if _, err := pgx.ForEachRow(rows, []any{&alias, &id}, func() error { found[alias] = id; return nil }); err != nil {
		return nil, unavailable(doing, err)
	}
	return found, nil
}

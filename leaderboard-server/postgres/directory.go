package postgres

import (
	"context"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Directory keeps the names of players that were asked for lately in memory. It
// never goes stale because a player's number, id and username never change once
// they exist; whatever lets a username change must end that here too.
type Directory struct {
	ledger   *Ledger
	byNumber *lru.Cache[int64, leaderboard.PlayerName]
	byID     *lru.Cache[leaderboard.PlayerID, leaderboard.PlayerName]
}

// NewDirectory makes a directory that remembers up to size players (about 300
// bytes each).
func NewDirectory(ledger *Ledger, size int) (*Directory, error) {
	byNumber, err := lru.New[int64, leaderboard.PlayerName](size)
	if err != nil {
		return nil, fmt.Errorf("make the cache of players: %w", err)
	}

	byID, err := lru.New[leaderboard.PlayerID, leaderboard.PlayerName](size)
	if err != nil {
		return nil, fmt.Errorf("make the cache of players: %w", err)
	}

	return &Directory{ledger: ledger, byNumber: byNumber, byID: byID}, nil
}

// Name implements [leaderboard.Directory].
func (d *Directory) Name(ctx context.Context, id leaderboard.PlayerID) (leaderboard.PlayerName, error) {
	if name, ok := d.byID.Get(id); ok {
		return name, nil
	}

	player, err := d.ledger.PlayerByID(ctx, id)
	if err != nil {
		return leaderboard.PlayerName{}, err
	}

	name := leaderboard.PlayerName{Number: player.Number, ID: player.ID, Username: player.Username}
	d.byID.Add(id, name)
	return name, nil
}

// Names implements [leaderboard.Directory], with at most one query.
func (d *Directory) Names(ctx context.Context, numbers []int64) (map[int64]leaderboard.PlayerName, error) {
	found := make(map[int64]leaderboard.PlayerName, len(numbers))
	var missing []int64
	for _, number := range numbers {
		if name, ok := d.byNumber.Get(number); ok {
			found[number] = name
		} else {
			missing = append(missing, number)
		}
	}

	if len(missing) == 0 {
		return found, nil
	}

	names, err := d.ledger.namesByNumber(ctx, missing)
	if err != nil {
		return nil, err
	}

	for _, name := range names {
		found[name.Number] = name
		d.byNumber.Add(name.Number, name)
	}

	return found, nil
}

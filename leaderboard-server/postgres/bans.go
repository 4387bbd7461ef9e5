package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// bansFresh is how old what is known of bans may be, and bansTimeout how long a request waits
	// to find out: without PostgreSQL nobody can be banned, and boards are served all the same.
	bansFresh   = time.Second
	bansTimeout = 500 * time.Millisecond
)

// Bans knows the players who were banned or erased lately, so that their tokens are refused: who
// was for longer than tokens are good has none. It asks at most once a second, and only
// while requests with players' tokens come in. It is safe for concurrent use.
type Bans struct {
	ledger *Ledger
	// life is how long a token is good for.
	life time.Duration

	mu sync.Mutex
	// moderation is the last one that banned has, read and its time are of the last look.
	moderation int64
	read       bool
	looked     time.Time
	banned     map[leaderboard.PlayerID]bool
}

// NewBans makes bans of players whose tokens are good for that long.
func NewBans(ledger *Ledger, life time.Duration) *Bans { return &Bans{ledger: ledger, life: life} }

// Banned says whether a player was banned or erased, as of a second ago at the latest. Where the ledger
// does not answer it is as of when it did.
func (b *Bans) Banned(ctx context.Context, id leaderboard.PlayerID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()

	if time.Since(b.looked) >= bansFresh {
		_ = b.look(ctx) // the next one looks again
		b.looked = time.Now()
	}
	return b.banned[id]
}

// look reads the bans if there can be others. The caller holds the lock.
func (b *Bans) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bansTimeout)
	defer cancel()

	var last int64
	if err := b.ledger.pool.QueryRow(ctx, "SELECT "+lastModerationSQL).Scan(&last); err != nil || b.read && last == b.moderation {
		return err
	}

	rows, err := b.ledger.pool.Query(ctx, `
		SELECT p.id::text FROM exclusions x JOIN players p ON p.number = x.player WHERE x.kind = 'ban' AND x.since > clock_timestamp() - $1::interval
		UNION ALL
		SELECT player::text FROM audit WHERE action = 'erase' AND at > clock_timestamp() - $1::interval`, b.life)
	if err != nil {
		return err
	}
	defer rows.Close()

	banned := make(map[leaderboard.PlayerID]bool)
	for rows.Next() {
		var id leaderboard.PlayerID
		if err := rows.Scan(&id); err != nil {
			return err
		}
		banned[id] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	b.banned, b.moderation, b.read = banned, last, true
	return nil
}

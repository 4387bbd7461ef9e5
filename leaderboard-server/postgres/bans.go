package postgres

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// bansFresh is how old what is known of bans may be, and bansTimeout how long a look takes at the
	// most: without PostgreSQL nobody can be banned, and boards are served all the same.
	bansFresh   = time.Second
	bansTimeout = 500 * time.Millisecond
)

// Bans knows the players who were banned or erased lately, so that their tokens are refused: who
// was for longer than tokens are good has none. It knows all who are shadow-banned, too. It asks
// at most once a second, and only while requests come in for which it matters. It is safe for
// concurrent use.
type Bans struct {
	ledger *Ledger
	// life is how long a token is good for.
	life    time.Duration
	entries *shadowEntries

	looking sync.Mutex
	known   atomic.Pointer[knownBans]
}

// knownBans are those as of a look.
type knownBans struct {
	looked time.Time
	// moderation is the last one that is known; read says that it was read at all.
	moderation       int64
	read             bool
	banned, shadowed map[leaderboard.PlayerID]bool
}

// NewBans makes bans of players whose tokens are good for that long.
func NewBans(ledger *Ledger, life time.Duration) *Bans {
	b := &Bans{ledger: ledger, life: life, entries: newShadowEntries(ledger)}
	b.known.Store(&knownBans{})
	return b
}

// Banned says whether a player was banned or erased, as of a second ago, or of the time that a look
// takes longer. Where the ledger does not answer it is as of when it did.
func (b *Bans) Banned(ctx context.Context, id leaderboard.PlayerID) bool {
	return b.now(ctx).banned[id]
}

// Shadowed implements [leaderboard.Shadows].
func (b *Bans) Shadowed(ctx context.Context, id leaderboard.PlayerID) bool {
	return b.now(ctx).shadowed[id]
}

// now returns what is known, after a look if that is due. While one request looks the others go by
// what was known before, unless that is nothing.
func (b *Bans) now(ctx context.Context) *knownBans {
	known := b.known.Load()
	if time.Since(known.looked) < bansFresh {
		return known
	}
	if known.read {
		if !b.looking.TryLock() {
			return known
		}
	} else {
		b.looking.Lock()
	}
	defer b.looking.Unlock()

	if known = b.known.Load(); time.Since(known.looked) < bansFresh {
		return known
	}
	next := *known
	if looked, err := b.look(ctx, known); err == nil {
		next = *looked
	} // else the next one looks again
	next.looked = time.Now()
	b.known.Store(&next)
	return &next
}

// look reads the bans if there can be others than are known.
func (b *Bans) look(ctx context.Context, known *knownBans) (*knownBans, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bansTimeout)
	defer cancel()

	next := &knownBans{read: true}
	if err := b.ledger.pool.QueryRow(ctx, "SELECT "+lastModerationSQL).Scan(&next.moderation); err != nil {
		return nil, err
	}
	if known.read && next.moderation == known.moderation {
		next = known
		return next, nil
	}

	var err error
	if next.banned, err = b.readPlayers(ctx, `
		SELECT p.id::text, true FROM exclusions x JOIN players p ON p.number = x.player WHERE x.kind = 'ban' AND x.since > clock_timestamp() - $1::interval
		UNION ALL
		SELECT player::text, true FROM audit WHERE action = 'erase' AND at > clock_timestamp() - $1::interval`, nil, b.life); err != nil {
		return nil, err
	}
	if known.read && next.moderation > known.moderation {
		// Of all that there are, those that may have changed.
		next.shadowed, err = b.readPlayers(ctx, `
			SELECT p.id::text, EXISTS (SELECT FROM exclusions x WHERE x.player = p.number AND x.board = 0 AND x.kind = 'shadow')
			FROM players p WHERE p.number IN (SELECT player FROM moderations WHERE number > $1)`, known.shadowed, known.moderation)
	} else {
		next.shadowed, err = b.readPlayers(ctx, "SELECT p.id::text, true FROM exclusions x JOIN players p ON p.number = x.player WHERE x.board = 0 AND x.kind = 'shadow'", nil)
	}
	return next, err
}

// readPlayers returns players as a query says whether they are among them, and the others as
// before.
func (b *Bans) readPlayers(ctx context.Context, sql string, before map[leaderboard.PlayerID]bool, arguments ...any) (map[leaderboard.PlayerID]bool, error) {
	rows, err := b.ledger.pool.Query(ctx, sql, arguments...)
	if err != nil {
		return nil, err
	}

	players := maps.Clone(before)
	if players == nil {
		players = make(map[leaderboard.PlayerID]bool)
	}
	var id leaderboard.PlayerID
	var among bool
	_, err = pgx.ForEachRow(rows, []any{&id, &among}, func() error {
		if among {
			players[id] = true
		} else {
			delete(players, id)
		}
		return nil
	})
	return players, err
}

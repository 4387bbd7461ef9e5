package postgres

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/gate"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// keptShadowEntries bounds the entries of shadow-banned players that are kept, each for
	// shadowEntryFresh.
	keptShadowEntries = 1024
	shadowEntryFresh  = time.Second
	// shadowQueue bounds the requests that wait to read such an entry: they go through the
	// player's submissions, one at a time.
	shadowQueue = 16
)

// shadowEntries reads what shadow-banned players would have in rankings.
type shadowEntries struct {
	ledger *Ledger
	turns  *gate.Gate
	recent *lru.Cache[leaderboard.EntryKey, shadowEntry]
}

// shadowEntry is one of them as it was read.
type shadowEntry struct {
	leaderboard.RankingEntry
	found bool
	at    time.Time
}

func newShadowEntries(ledger *Ledger) *shadowEntries {
	recent, err := lru.New[leaderboard.EntryKey, shadowEntry](keptShadowEntries)
	if err != nil {
		panic(err) // it is of a size of 0 only
	}
	return &shadowEntries{ledger: ledger, recent: recent, turns: gate.New(1, shadowQueue, "the server has too many entries to look up, try again")}
}

// LiveEntry implements [leaderboard.Shadows].
func (b *Bans) LiveEntry(ctx context.Context, board leaderboard.LiveBoard, player int64, now bool) (leaderboard.RankingEntry, bool, error) {
	key := leaderboard.EntryKey{Board: board.Number, Season: board.Season, Player: player}
	if kept, ok := b.entries.recent.Get(key); ok && !now && time.Since(kept.at) < shadowEntryFresh {
		return kept.RankingEntry, kept.found, nil
	}

	began := time.Now()
	entry, found, err := b.entries.read(ctx, board, key)
	if err == nil {
		b.entries.recent.Add(key, shadowEntry{entry, found, began})
	}
	return entry, found, err
}

func (s *shadowEntries) read(ctx context.Context, board leaderboard.LiveBoard, key leaderboard.EntryKey) (entry leaderboard.RankingEntry, found bool, err error) {
	ctx, done, err := s.ledger.lookUp(ctx, s.ledger.options.Timeout)
	if err != nil {
		return entry, false, err
	}
	defer done()

	leave, err := s.turns.Enter(ctx)
	if err != nil {
		return entry, false, err
	}
	defer leave()

	p := leaderboard.ModeratedPlayer{Player: key.Player}
	err = pgx.BeginTxFunc(ctx, s.ledger.pool, oneSnapshot, func(tx pgx.Tx) error {
		return s.ledger.readModerated(ctx, tx, &p, []leaderboard.LiveBoard{board}, "shadow")
	})
	if err != nil {
		return entry, false, unavailable("read the entry of a player", err)
	}

	standing, found := p.Entries(s.ledger.Catalog())[key]
	return leaderboard.RankingEntry{Player: key.Player, Score: standing.Score, Columns: standing.Columns, Event: standing.Event, Origin: standing.Origin}, found, nil
}

// ClosedEntry implements [leaderboard.Shadows].
func (b *Bans) ClosedEntry(ctx context.Context, board leaderboard.LiveBoard, player int64) (entry leaderboard.RankingEntry, found bool, err error) {
	results := b.ledger.Results()
	var changed, out bool
	var score, event pgtype.Int8
	var origin pgtype.Int4
	var columns []int64
	err = results.query(ctx, func(ctx context.Context) error {
		return b.ledger.pool.QueryRow(ctx, `
			SELECT c.player IS NOT NULL, EXISTS (SELECT FROM exclusions WHERE player = $3 AND board IN (0, $1) AND kind <> 'shadow'), c.score, c.columns, c.event, c.origin
			FROM (SELECT) one LEFT JOIN result_changes c ON c.board = $1 AND c.season = $2 AND c.player = $3`, board.Number, board.Season, player).
			Scan(&changed, &out, &score, &columns, &event, &origin)
	})
	switch {
	case err != nil:
		return entry, false, fmt.Errorf("read the entry of a player: %w", err)
	case out || changed && !score.Valid:
		return entry, false, nil
	case changed:
		return leaderboard.RankingEntry{Player: player, Score: score.Int64, Columns: board.Fold().Submitted(readColumns(columns)), Event: event.Int64, Origin: origin.Int32}, true, nil
	}

	stored, err := results.storedRanks(ctx, []leaderboard.EntryQuery{{Board: board, Player: player}})
	if err != nil || stored[0].Rank == 0 {
		return entry, false, err
	}
	entry = stored[0].RankingEntry
	entry.Player = player
	return entry, true, nil
}

package catchup

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Moderations is the ledger's part of what moderators do: it is committed there first, and
// rankings follow, each shard from the one on that it has followed last.
//
// What a shard has of a player cannot get worse by joining, so it is replaced, in three steps:
//
//   - The ledger is read, and the player's entries in the shard are replaced by what it says. From
//     then on nothing is joined that was reached by an event up to the moderation.
//   - A later event may have been joined before that, and is lost now. So the ledger is read once
//     more, and what it says is joined.
//   - The shard remembers that it has followed, unless somebody else has replaced anything of it
//     since: a leader that does not know yet that it is none.
//
// Who ends in between leaves a shard that has not followed, and the next leader does it again.
type Moderations interface {
	// ReadModerations returns the players of the next moderations after one, as they are now,
	// and the number of the last of those; 0: there are none.
	ReadModerations(ctx context.Context, after int64) (players []leaderboard.ModeratedPlayer, last int64, err error)
	// ReadPlayer returns one player as it is now.
	ReadPlayer(ctx context.Context, player int64) (leaderboard.ModeratedPlayer, error)
	// SettledModeration is the last one that a ranking of the board which is made now needs not
	// to follow. Excluded are the players that it must not take standings of.
	SettledModeration(ctx context.Context, board leaderboard.LiveBoard) (number int64, excluded []int64, err error)
}

// moderate has the shards that are whole follow what moderators did.
func (t *term) moderate(ctx context.Context, shards []leaderboard.Shard, states []leaderboard.ShardState, whole map[leaderboard.ShardID]*work, ledger string) error {
	last := t.catalog.Moderated()
	var behind []leaderboard.Following
	for i, s := range shards {
		if whole[s.ShardID] != nil && states[i].Moderated < last {
			behind = append(behind, leaderboard.Following{Shard: s, Ledger: ledger, After: states[i].Moderated})
		}
	}

	for len(behind) > 0 {
		after := slices.MinFunc(behind, func(a, b leaderboard.Following) int { return int(a.After - b.After) }).After
		players, upTo, err := t.ledger.ReadModerations(ctx, after)
		if err != nil {
			return err
		}
		if upTo == 0 {
			return nil
		}
		if err := t.followUpTo(ctx, behind, players, upTo); err != nil {
			return fmt.Errorf("follow moderations: %w", err)
		}
		for i := range behind {
			behind[i].After = max(behind[i].After, upTo)
		}
		behind = slices.DeleteFunc(behind, func(f leaderboard.Following) bool { return f.After >= last })
		t.update(func(s *Status) { s.Moderated += uint64(len(players)) })
	}
	return nil
}

// followUpTo has shards follow moderations up to one, which are of these players.
func (t *term) followUpTo(ctx context.Context, behind []leaderboard.Following, players []leaderboard.ModeratedPlayer, upTo int64) error {
	due := slices.DeleteFunc(slices.Clone(behind), func(f leaderboard.Following) bool { return f.After >= upTo })
	served := make(map[leaderboard.ShardID]bool, len(due))
	for i := range due {
		due[i].Token, served[due[i].ShardID] = rand.Text(), true
	}

	entries := make([]map[leaderboard.EntryKey]leaderboard.Standing, len(players))
	for i, p := range players {
		entries[i] = p.Entries(t.catalog)
	}
	err := t.ranking.Replace(ctx, due, func(s leaderboard.Shard) (replaced []leaderboard.Replacement) {
		for i, p := range players {
			if leaderboard.ShardIndex(p.Player, s.Of) == s.Index {
				replaced = append(replaced, replacement(s, p, entries[i]))
			}
		}
		return replaced
	})
	if err != nil {
		return err
	}

	for _, p := range players {
		if err := t.joinAgain(ctx, p.Player, due[0].Ledger, served); err != nil {
			return err
		}
	}
	return t.ranking.Followed(ctx, due, upTo)
}

// replacement is what one shard is to have of a player.
func replacement(shard leaderboard.Shard, p leaderboard.ModeratedPlayer, entries map[leaderboard.EntryKey]leaderboard.Standing) leaderboard.Replacement {
	r := leaderboard.Replacement{Player: p.Player, Through: p.Through}
	if leaderboard.ExcludedFrom(p.Excluded, shard.Board) {
		r.Through = leaderboard.EveryEvent
		return r
	}
	for key, s := range entries {
		if season, _ := leaderboard.SplitSeason(key.Season); key.Board == shard.Board && season == shard.Season {
			r.Standings = append(r.Standings, s)
		}
	}
	return r
}

// joinAgain joins what the player has by now to the shards.
func (t *term) joinAgain(ctx context.Context, player int64, ledger string, shards map[leaderboard.ShardID]bool) error {
	p, err := t.ledger.ReadPlayer(ctx, player)
	if err != nil {
		return err
	}

	projection := leaderboard.Projection{Identity: ledger}
	for key, s := range p.Entries(t.catalog) {
		if board, ok := t.catalog.Numbered(key.Board); ok && shards[board.ShardFor(key).ShardID] {
			projection.Changes = append(projection.Changes, leaderboard.Change{Standing: s})
		}
	}
	if len(projection.Changes) == 0 {
		return nil
	}
	_, err = t.ranking.Apply(ctx, projection)
	return err
}

// guard keeps players who can still submit, and are left out of the board's rankings, out of
// shards that are made from nothing, which have followed all settled moderations then.
func (t *term) guard(ctx context.Context, catalog *leaderboard.Catalog, board leaderboard.LiveBoard, ledger string, shards []leaderboard.Shard) error {
	if catalog.Moderated() == 0 {
		return nil
	}

	settled, excluded, err := t.ledger.SettledModeration(ctx, board)
	if err != nil || settled == 0 && len(excluded) == 0 {
		return err
	}
	follows := make([]leaderboard.Following, len(shards))
	for i, s := range shards {
		follows[i] = leaderboard.Following{Shard: s, Ledger: ledger, Token: rand.Text()}
	}
	err = t.ranking.Replace(ctx, follows, func(s leaderboard.Shard) (replaced []leaderboard.Replacement) {
		for _, player := range excluded {
			if leaderboard.ShardIndex(player, s.Of) == s.Index {
				replaced = append(replaced, leaderboard.Replacement{Player: player, Through: leaderboard.EveryEvent})
			}
		}
		return replaced
	})
	if err != nil {
		return err
	}
	return t.ranking.Followed(ctx, follows, settled)
}

package leaderboard

import (
	"context"
	"slices"
)

// shadowView is a ranking as a player sees it who is left out of it.
type shadowView struct {
	Ranking
	player int64
	// entry returns the player's entry in a season; false: there is none.
	entry func(ctx context.Context, board LiveBoard, player int64) (RankingEntry, bool, error)
}

// own is the player's entry; nil: there is none, or the ranking has it, as the player was
// shadowed a moment ago.
func (v shadowView) own(ctx context.Context, board LiveBoard) (*shadowed, error) {
	if _, err := v.Ranking.Rank(ctx, board, v.player); CodeOf(err) != CodeNoEntry {
		return nil, err
	}
	entry, found, err := v.entry(ctx, board, v.player)
	if err != nil || !found {
		return nil, err
	}
	entry.Player = v.player
	return v.locate(ctx, board, entry)
}

// Page implements [Ranking].
func (v shadowView) Page(ctx context.Context, board LiveBoard, offset, limit int64) (entries []RankingEntry, total int64, err error) {
	own, err := v.own(ctx, board)
	if err != nil {
		return nil, 0, err
	}
	if own == nil || own.Place > offset+limit {
		if entries, total, err = v.Ranking.Page(ctx, board, offset, limit); own != nil {
			total++
		}
		return entries, total, err
	}

	if own.Place > offset {
		entries, total, err = v.Ranking.Page(ctx, board, offset, limit)
		return limited(own.insert(entries), limit), total + 1, err
	}
	entries, total, err = v.Ranking.Page(ctx, board, offset-1, limit)
	for i := range entries {
		own.push(&entries[i])
	}
	return entries, total + 1, err
}

// limited are the first of the entries.
func limited(entries []RankingEntry, limit int64) []RankingEntry {
	return entries[:min(int64(len(entries)), limit)]
}

// Rank implements [Ranking].
func (v shadowView) Rank(ctx context.Context, board LiveBoard, player int64) (OwnEntry, error) {
	entries, err := v.Ranks(ctx, []EntryQuery{{Board: board, Player: player}})
	if err == nil && entries[0].Rank == 0 {
		return v.Ranking.Rank(ctx, board, player) // and says that there is none
	}
	if err != nil {
		return OwnEntry{}, err
	}
	return entries[0], nil
}

// Ranks implements [Ranking].
func (v shadowView) Ranks(ctx context.Context, queries []EntryQuery) ([]OwnEntry, error) {
	entries, err := v.Ranking.Ranks(ctx, queries)
	if err != nil {
		return nil, err
	}

	known := make(map[SeasonID]*shadowed)
	for i, q := range queries {
		own, ok := known[q.Board.SeasonID()]
		if !ok {
			if own, err = v.own(ctx, q.Board); err != nil {
				return nil, err
			}
			known[q.Board.SeasonID()] = own
		}

		e := &entries[i]
		switch {
		case own == nil:
		case q.Player == v.player:
			*e = own.OwnEntry
		case e.Rank != 0:
			e.Total = own.Total
			if own.before(e.RankingEntry) && (own.ranks == Ordinal || own.fold.Compare(own.Standing(), e.Standing()) < 0) {
				e.Better++
			}
			own.push(&e.RankingEntry)
		}
	}
	return entries, nil
}

// CountBetter implements [Ranking].
func (v shadowView) CountBetter(ctx context.Context, board LiveBoard, bounds []ScoreBound) ([]int64, error) {
	counts, err := v.Ranking.CountBetter(ctx, board, bounds)
	if err != nil {
		return nil, err
	}
	own, err := v.own(ctx, board)
	if err != nil || own == nil {
		return counts, err
	}

	for i, bound := range bounds {
		if board.Order.Better(own.Score, bound.Score) || bound.Included && own.Score == bound.Score {
			counts[i]++
		}
	}
	return counts, nil
}

// AroundPlayer implements [Ranking].
func (v shadowView) AroundPlayer(ctx context.Context, board LiveBoard, player, before, after int64) (Neighbours, error) {
	entry, err := v.Rank(ctx, board, player)
	if err != nil {
		return Neighbours{}, err
	}
	return AroundEntry(ctx, v, board, entry.RankingEntry, before, after)
}

// AroundScore implements [Ranking].
func (v shadowView) AroundScore(ctx context.Context, board LiveBoard, score, before, after int64) (Neighbours, error) {
	return AroundPlace(ctx, v, board, score, before, after)
}

// Walk implements [Ranking]. The player's entry is in the part that has the last entry of the
// snapshot before it, or in the first one: so in one part of any walk.
func (v shadowView) Walk(ctx context.Context, board LiveBoard, walk Walk, limit int64) (WalkPart, error) {
	part, err := v.Ranking.Walk(ctx, board, walk, limit)
	if err != nil {
		return WalkPart{}, err
	}
	own, err := v.own(ctx, board)
	if err != nil || own == nil {
		return part, err
	}

	here, err := v.isIn(ctx, board, part, own)
	if err != nil {
		return WalkPart{}, err
	}
	if here && int64(len(part.Entries)) == limit && limit > 1 {
		// There is room for one less.
		if part, err = v.Ranking.Walk(ctx, board, walk, limit-1); err != nil {
			return WalkPart{}, err
		}
		if here, err = v.isIn(ctx, board, part, own); err != nil {
			return WalkPart{}, err
		}
	}

	part.Total++
	part.Entries = slices.Clone(part.Entries)
	if here {
		part.Entries = own.insert(part.Entries)
		return part, nil
	}
	for i := range part.Entries {
		own.push(&part.Entries[i])
	}
	return part, nil
}

// isIn says whether the player's entry belongs to a part of a walk.
func (v shadowView) isIn(ctx context.Context, board LiveBoard, part WalkPart, own *shadowed) (bool, error) {
	if len(part.Entries) == 0 {
		return part.Previous == nil && part.Next == nil, nil
	}
	if part.Previous != nil && own.before(part.Entries[0]) {
		return false, nil
	}
	if part.Next == nil || own.before(part.Entries[len(part.Entries)-1]) {
		return true, nil
	}

	next, err := v.Ranking.Walk(ctx, board, *part.Next, 1)
	if err != nil {
		return false, err
	}
	return len(next.Entries) == 0 || own.before(next.Entries[0]), nil
}

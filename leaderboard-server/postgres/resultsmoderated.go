package postgres

import (
	"context"
	"sort"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// storedAt is the entry of the results with so many before it; false: there is none.
func (r *Results) storedAt(ctx context.Context, board leaderboard.LiveBoard, before int64) (leaderboard.RankingEntry, bool, error) {
	if before < 0 {
		return leaderboard.RankingEntry{}, false, nil
	}
	entries, _, err := r.storedPage(ctx, board, before, 1)
	if err != nil || len(entries) == 0 {
		return leaderboard.RankingEntry{}, false, err
	}
	return entries[0], true, nil
}

func (r *Results) storedTotal(ctx context.Context, board leaderboard.LiveBoard) (int64, error) {
	_, total, err := r.storedPage(ctx, board, 0, 0)
	return total, err
}

// pageThrough is a page of the results as they are seen through an overlay.
func (r *Results) pageThrough(ctx context.Context, board leaderboard.LiveBoard, o *resultOverlay, offset, limit int64) (entries []leaderboard.RankingEntry, total int64, err error) {
	add := func(e leaderboard.OwnEntry, better, distinct int64) {
		e.Place = offset + int64(len(entries)) + 1
		o.rank(board, &e, better, distinct)
		entries = append(entries, e.RankingEntry)
	}
	next := sort.Search(len(o.added), func(i int) bool { return o.placeOf(i) > offset })
	from := int64(sort.Search(int(o.stored), func(i int) bool { return o.place(int64(i)+1) > offset }))
	for int64(len(entries)) < limit {
		part, _, err := r.storedPage(ctx, board, from, limit)
		if err != nil {
			return nil, 0, err
		}
		for i := range part {
			part[i].Place = from + int64(i) + 1
		}

		for i := 0; i <= len(part) && int64(len(entries)) < limit; i++ {
			for ; next < len(o.added) && o.added[next].before <= from+int64(i) && int64(len(entries)) < limit; next++ {
				a := o.added[next]
				add(leaderboard.OwnEntry{RankingEntry: a.RankingEntry}, a.better, a.distinct)
			}
			if i < len(part) && int64(len(entries)) < limit && !o.isGone(part[i].Place) {
				add(leaderboard.OwnEntry{RankingEntry: part[i]}, part[i].Rank-1, part[i].Rank-1)
			}
		}
		if from += int64(len(part)); len(part) == 0 {
			break
		}
	}
	return entries, o.total(), nil
}

// isGone says whether the entry of the results with this place is.
func (o *resultOverlay) isGone(place int64) bool {
	return o.goneBefore(place) > o.goneBefore(place-1)
}

// overlayRanks brings entries of the results in line with the overlays of their seasons.
func (r *Results) overlayRanks(ctx context.Context, queries []leaderboard.EntryQuery, entries []leaderboard.OwnEntry) error {
	known := make(map[leaderboard.SeasonID]*resultOverlay)
	for i, q := range queries {
		o, ok := known[q.Board.SeasonID()]
		if !ok {
			var err error
			if o, err = r.overlay(ctx, q.Board); err != nil {
				return err
			}
			known[q.Board.SeasonID()] = o
		}
		if o != nil {
			entries[i] = o.own(q.Board, q.Player, entries[i])
		}
	}
	return nil
}

// own is what a player has, who has this entry in the results, or none.
func (o *resultOverlay) own(board leaderboard.LiveBoard, player int64, stored leaderboard.OwnEntry) leaderboard.OwnEntry {
	for i, a := range o.added {
		if a.Player == player {
			e := leaderboard.OwnEntry{RankingEntry: a.RankingEntry, Total: o.total()}
			e.Place = o.placeOf(i)
			o.rank(board, &e, a.better, a.distinct)
			return e
		}
	}
	if stored.Rank == 0 || o.isGone(stored.Place) {
		return leaderboard.OwnEntry{}
	}

	distinct := stored.Rank - 1
	stored.Place, stored.Total = o.place(stored.Place), o.total()
	o.rank(board, &stored, stored.Better, distinct)
	return stored
}

// count corrects how many entries are before bounds.
func (o *resultOverlay) count(board leaderboard.LiveBoard, bounds []leaderboard.ScoreBound, counts []int64) {
	before := func(score int64, bound leaderboard.ScoreBound) bool {
		return board.Order.Better(score, bound.Score) || bound.Included && score == bound.Score
	}
	for i, bound := range bounds {
		for _, e := range o.gone {
			if before(e.Score, bound) {
				counts[i]--
			}
		}
		for _, e := range o.added {
			if before(e.Score, bound) {
				counts[i]++
			}
		}
	}
}

// overlaySeasons counts the entries of closed seasons as they are now.
func (r *Results) overlaySeasons(ctx context.Context, board leaderboard.LiveBoard, seasons []leaderboard.Season) error {
	if r.ledger.Catalog().Moderated() == 0 {
		return nil
	}
	for i, s := range seasons {
		if !s.Closed() {
			continue
		}
		o, err := r.overlay(ctx, board.InClosed(s))
		if err != nil {
			return err
		}
		if o != nil {
			seasons[i].Entries = o.total()
		}
	}
	return nil
}

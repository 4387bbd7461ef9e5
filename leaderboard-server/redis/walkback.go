package redis

import (
	"context"
	"math"
	"slices"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// tieChunk is how many entries of each source are read at first to find where entries that
// share a rank begin; it doubles up to snapshotChunk.
const tieChunk = 64

// walkBack reads the part of a walk before its place. Where ranks are Competition, an entry's
// rank is the place of the first one that shares it, which may be far before the part: it is
// looked for as far as one call may, and the next call goes on from there. Until it is found
// these entries are not handed out.
func (r *Ranking) walkBack(ctx context.Context, board leaderboard.LiveBoard, walk leaderboard.Walk, limit int64) (leaderboard.WalkPart, error) {
	better := walk
	read, total, end, err := r.nextEntries(ctx, board, &better, limit)
	if err != nil {
		return leaderboard.WalkPart{}, err
	}
	end = end || int64(len(read)) >= walk.Passed

	known, first := len(read), walk.Rank
	if board.Ranks == leaderboard.Competition && known > 0 && !walk.Shares(&read[known-1].RankingEntry) {
		t := tiesOf(read, better.WalkPlace, end)
		if err := r.findFirst(ctx, board, walk, &t); err != nil {
			return leaderboard.WalkPart{}, err
		}
		if first = walk.Passed - int64(t.from) - t.count + 1; !t.whole {
			known, first = t.from, walk.Passed-int64(t.from)+1
		}
		better.Tied, better.TiedFrom = t.count, t.place
	}

	switch {
	case known == len(read) && known > 0:
		better.Tied, better.TiedFrom = 0, leaderboard.WalkPlace{}
	case known > 0:
		better.WalkPlace = read[known-1].next(true)
	case len(read) > 0:
		better.WalkPlace = walk.WalkPlace
	}

	part := leaderboard.WalkPart{Entries: make([]leaderboard.RankingEntry, known), Total: total}
	for i := range known {
		part.Entries[known-1-i] = read[i].RankingEntry
	}
	better.PassBack(part.Entries, board.Ranks, first)
	if part.Between(better, walk); end && known == len(read) {
		part.Previous = nil
	}
	return part, nil
}

// ties are entries of a snapshot that share a rank, the last ones that were read backwards.
type ties struct {
	leaderboard.RankingEntry
	// from is the index of the last of them among what was read, and count how many of them
	// were found from there to place.
	from  int
	count int64
	place leaderboard.WalkPlace
	// whole says that these are all.
	whole bool
}

// tiesOf are the ties at the end of what was read, up to a place.
func tiesOf(read []position, place leaderboard.WalkPlace, end bool) ties {
	last := len(read) - 1
	t := ties{RankingEntry: read[last].RankingEntry, from: last, place: place, whole: end}
	for t.from > 0 && t.with(&read[t.from-1]) {
		t.from--
	}
	t.count = int64(len(read) - t.from)
	return t
}

// with says whether an entry is one of the ties.
func (t *ties) with(p *position) bool { return p.Score == t.Score && p.Columns == t.Columns }

// findFirst looks for the first of the ties, as far as one call may.
func (r *Ranking) findFirst(ctx context.Context, board leaderboard.LiveBoard, walk leaderboard.Walk, t *ties) error {
	if t.from == 0 && walk.Tied > t.count && !t.whole {
		t.count, t.place = walk.Tied, walk.TiedFrom // an earlier call has got further
	}

	look := walk
	look.WalkPlace = t.place
	for round := range maxWalkRounds {
		if t.whole {
			return nil
		}

		view, err := r.readSnapshot(ctx, board, look, min(int64(tieChunk)<<round, snapshotChunk))
		if err != nil {
			return err
		}
		read, end := view.merge(math.MaxInt64, &look.WalkPlace)
		other := slices.IndexFunc(read, func(p position) bool { return !t.with(&p) })
		if t.whole = end || other >= 0; other >= 0 {
			read = read[:other]
		}
		t.count, t.place = t.count+int64(len(read)), look.WalkPlace
	}

	return nil
}

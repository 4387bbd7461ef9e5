package postgres

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"sort"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// The results of a closed season stay as they were written: who is left out, or has something else
// in them since, is told by an overlay. It is made again after each moderation, when the
// results are read next, and taking a moderation back leaves nothing behind.
type resultOverlay struct {
	// moderation is the last one that it knows.
	moderation int64
	// gone are entries that are not in the ranking any more, in the order of their places in the
	// results, and added those that are in it instead, in rank order.
	gone  []leaderboard.OwnEntry
	added []addedEntry
	// emptied are what nobody in the ranking has any more, of what somebody in the results has,
	// where ranks are dense.
	emptied []leaderboard.Standing
	// stamp is another one where the ranking is another one, and stored how many entries the
	// results have.
	stamp  uint64
	stored int64
}

// addedEntry is an entry that the results do not have.
type addedEntry struct {
	leaderboard.RankingEntry
	// before is how many entries of the results rank before it, and better how many of those are
	// better. fresh says, where ranks are dense, that nobody in the ranking has what it has but
	// those after it.
	before, better, distinct int64
	fresh                    bool
}

// overlays bounds the overlays that are kept: most are empty.
const overlays = 1024

// resultOverlays keeps those that were made last.
type resultOverlays struct {
	mu     sync.Mutex
	recent *lru.Cache[leaderboard.SeasonID, *resultOverlay]
}

func newResultOverlays() (*resultOverlays, error) {
	recent, err := lru.New[leaderboard.SeasonID, *resultOverlay](overlays)
	return &resultOverlays{recent: recent}, err
}

// overlay returns that of the board's season; nil: its results are as they were written.
func (r *Results) overlay(ctx context.Context, board leaderboard.LiveBoard) (o *resultOverlay, err error) {
	var last int64
	err = r.query(ctx, func(ctx context.Context) error {
		return r.ledger.pool.QueryRow(ctx, "SELECT "+lastModerationSQL).Scan(&last)
	})
	if err != nil || last == 0 {
		return nil, err
	}

	kept := r.ledger.overlays
	kept.mu.Lock()
	o, ok := kept.recent.Get(board.SeasonID())
	kept.mu.Unlock()
	if !ok || o.moderation < last {
		// What is read is of last or later, so it is never taken for newer than it is.
		if o, err = r.makeOverlay(ctx, board); err != nil {
			return nil, err
		}
		o.moderation = last
		kept.mu.Lock()
		kept.recent.Add(board.SeasonID(), o)
		kept.mu.Unlock()
	}
	if len(o.gone) == 0 && len(o.added) == 0 {
		return nil, nil
	}
	return o, nil
}

// makeOverlay reads who was moderated and compares with the results.
func (r *Results) makeOverlay(ctx context.Context, board leaderboard.LiveBoard) (*resultOverlay, error) {
	o := &resultOverlay{}
	var queries []leaderboard.EntryQuery
	err := r.query(ctx, func(ctx context.Context) error {
		rows, err := r.ledger.pool.Query(ctx, `
			SELECT p.player, CASE WHEN NOT p.out THEN c.score END, c.columns, c.event, c.origin
			FROM (
				SELECT player, bool_or(out) AS out FROM (
					SELECT player, true AS out FROM exclusions WHERE board IN (0, $1)
					UNION ALL
					SELECT player, false FROM result_changes WHERE board = $1 AND season = $2
				) p GROUP BY player
			) p LEFT JOIN result_changes c ON c.board = $1 AND c.season = $2 AND c.player = p.player`, board.Number, board.Season)
		if err != nil {
			return err
		}
		defer rows.Close()

		for rows.Next() {
			var player int64
			var score, event pgtype.Int8
			var origin pgtype.Int4
			var columns []int64
			if err := rows.Scan(&player, &score, &columns, &event, &origin); err != nil {
				return err
			}
			queries = append(queries, leaderboard.EntryQuery{Board: board, Player: player})
			if score.Valid {
				o.added = append(o.added, addedEntry{RankingEntry: leaderboard.RankingEntry{Player: player, Score: score.Int64,
					Columns: board.Fold().Submitted(readColumns(columns)), Event: event.Int64, Origin: origin.Int32}})
			}
		}
		return rows.Err()
	})
	if err != nil || len(queries) == 0 {
		return o, err
	}

	found, err := r.storedRanks(ctx, queries)
	if err != nil {
		return o, err
	}
	if o.stored, err = r.storedTotal(ctx, board); err != nil {
		return o, err
	}
	for i, e := range found {
		if e.Rank != 0 {
			e.Player = queries[i].Player
			o.gone = append(o.gone, e)
		}
	}
	slices.SortFunc(o.gone, func(a, b leaderboard.OwnEntry) int { return int(a.Place - b.Place) })
	fold := board.Fold()
	slices.SortFunc(o.added, func(a, b addedEntry) int {
		if fold.Before(a.Standing(), b.Standing()) {
			return -1
		}
		return 1
	})
	if err := r.placeAdded(ctx, board, o); err != nil {
		return o, err
	}
	if err := r.findEmptied(ctx, board, o); err != nil {
		return o, err
	}
	o.setStamp()
	return o, nil
}

// placeAdded finds where the added entries are among those of the results.
func (r *Results) placeAdded(ctx context.Context, board leaderboard.LiveBoard, o *resultOverlay) error {
	fold := board.Fold()
	for i := range o.added {
		a := &o.added[i]
		var failed error
		a.before = int64(sort.Search(int(o.stored), func(i int) bool {
			e, ok, err := r.storedAt(ctx, board, int64(i))
			if err != nil || !ok {
				failed = err
				return true
			}
			return !fold.Before(e.Standing(), a.Standing())
		}))
		if failed != nil {
			return failed
		}
		if err := r.compareNeighbours(ctx, board, o, a); err != nil {
			return err
		}
	}

	// Of several that have the same, which nobody in the results has, the first is fresh.
	for i := 1; i < len(o.added); i++ {
		if fold.Compare(o.added[i-1].Standing(), o.added[i].Standing()) == 0 {
			o.added[i].fresh = false
		}
	}
	return nil
}

// compareNeighbours finds how many of the results are better than an added entry, by those next
// to it.
func (r *Results) compareNeighbours(ctx context.Context, board leaderboard.LiveBoard, o *resultOverlay, a *addedEntry) error {
	a.better, a.fresh = a.before, true
	if board.Ranks == leaderboard.Ordinal {
		return nil
	}

	for _, place := range []int64{a.before - 1, a.before} {
		e, ok, err := r.storedAt(ctx, board, place)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		same := board.Fold().Compare(e.Standing(), a.Standing()) == 0
		switch {
		case same && board.Ranks == leaderboard.Competition:
			a.better = e.Rank - 1
		case same:
			first, err := r.firstOfRank(ctx, board, o, e.Rank)
			if err != nil {
				return err
			}
			a.better, a.distinct, a.fresh = first, e.Rank-1, false
		case place < a.before:
			a.distinct = e.Rank
		}
		if same {
			return nil
		}
	}
	return nil
}

// firstOfRank is how many entries of the results have a lower rank.
func (r *Results) firstOfRank(ctx context.Context, board leaderboard.LiveBoard, o *resultOverlay, rank int64) (int64, error) {
	var failed error
	before := sort.Search(int(o.stored), func(i int) bool {
		e, _, err := r.storedAt(ctx, board, int64(i))
		if err != nil {
			failed = err
		}
		return err != nil || e.Rank >= rank
	})
	return int64(before), failed
}

// findEmptied finds the dense ranks of which all entries are gone, and that no added one has.
func (r *Results) findEmptied(ctx context.Context, board leaderboard.LiveBoard, o *resultOverlay) error {
	if board.Ranks != leaderboard.Dense {
		return nil
	}

	fold := board.Fold()
	for i := 0; i < len(o.gone); {
		rank, first := o.gone[i].Rank, o.gone[i]
		n := int64(0)
		for ; i < len(o.gone) && o.gone[i].Rank == rank; i++ {
			n++
		}
		from, err := r.firstOfRank(ctx, board, o, rank)
		if err != nil {
			return err
		}
		past, err := r.firstOfRank(ctx, board, o, rank+1)
		if err != nil {
			return err
		}
		taken := slices.ContainsFunc(o.added, func(a addedEntry) bool {
			return fold.Compare(a.Standing(), first.Standing()) == 0
		})
		if n == past-from && !taken {
			o.emptied = append(o.emptied, first.Standing())
		}
	}
	return nil
}

func (o *resultOverlay) setStamp() {
	h := fnv.New64a()
	var b []byte
	for _, e := range o.gone {
		b = binary.BigEndian.AppendUint64(b, uint64(e.Place))
	}
	for _, a := range o.added {
		b = binary.BigEndian.AppendUint64(b, uint64(a.Player))
		b = binary.BigEndian.AppendUint64(b, uint64(a.Event))
	}
	h.Write(b)
	o.stamp = h.Sum64()
}

// stampOf is that of an overlay, 0 without one.
func (o *resultOverlay) stampOf() uint64 {
	if o == nil {
		return 0
	}
	return o.stamp
}

// total is how many entries there are.
func (o *resultOverlay) total() int64 { return o.stored - int64(len(o.gone)) + int64(len(o.added)) }

// goneBefore is how many entries are gone that had one of the first places.
func (o *resultOverlay) goneBefore(places int64) int64 {
	return int64(sort.Search(len(o.gone), func(i int) bool { return o.gone[i].Place > places }))
}

// addedBefore is how many were added before the entry of the results that has so many before it.
func (o *resultOverlay) addedBefore(places int64) int64 {
	return int64(sort.Search(len(o.added), func(i int) bool { return o.added[i].before > places }))
}

// place is that of an entry of the results which is still there.
func (o *resultOverlay) place(stored int64) int64 {
	return stored - o.goneBefore(stored) + o.addedBefore(stored-1)
}

// placeOf is that of the i-th added entry.
func (o *resultOverlay) placeOf(i int) int64 {
	return o.added[i].before - o.goneBefore(o.added[i].before) + int64(i) + 1
}

// rank gives an entry its rank and says how many are better. better and distinct are how many
// entries of the results are, and how many of what those have is.
func (o *resultOverlay) rank(board leaderboard.LiveBoard, e *leaderboard.OwnEntry, better, distinct int64) {
	if board.Ranks == leaderboard.Ordinal {
		e.Rank, e.Better = e.Place, e.Place-1
		return
	}

	fold, this := board.Fold(), e.Standing()
	for _, g := range o.gone {
		if fold.Compare(g.Standing(), this) < 0 {
			better--
		}
	}
	for _, a := range o.added {
		if fold.Compare(a.Standing(), this) >= 0 {
			continue
		}
		if better++; a.fresh {
			distinct++
		}
	}
	for _, group := range o.emptied {
		if fold.Compare(group, this) < 0 {
			distinct--
		}
	}
	e.Better = better
	if e.Rank = better + 1; board.Ranks == leaderboard.Dense {
		e.Rank = distinct + 1
	}
}

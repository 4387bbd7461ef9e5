package leaderboard

import (
	"context"
	"sort"
)

// Shadows knows the players who are left out of all rankings and are to see themselves there
// all the same.
type Shadows interface {
	// Shadowed says whether a player is one of them, as of a second ago or so.
	Shadowed(ctx context.Context, player PlayerID) bool
	// LiveEntry returns what the player, by number, would have in a season that is not closed,
	// or its segment, as of a second ago, or with now as of now; false: nothing.
	LiveEntry(ctx context.Context, board LiveBoard, player int64, now bool) (RankingEntry, bool, error)
	// ClosedEntry is LiveEntry of a closed season.
	ClosedEntry(ctx context.Context, board LiveBoard, player int64) (RankingEntry, bool, error)
}

// seenBy returns a ranking as the viewer sees it: itself, unless the viewer is shadowed.
func (s *Service) seenBy(ctx context.Context, viewer PlayerID, ranking Ranking, closed bool) (Ranking, error) {
	if viewer == "" || !s.Shadows.Shadowed(ctx, viewer) {
		return ranking, nil
	}

	name, err := s.Directory.Name(ctx, viewer)
	if err != nil {
		return nil, err
	}

	view := shadowView{Ranking: ranking, player: name.Number, entry: s.Shadows.ClosedEntry}
	if !closed {
		view.entry = func(ctx context.Context, board LiveBoard, player int64) (RankingEntry, bool, error) {
			return s.Shadows.LiveEntry(ctx, board, player, false)
		}
	}
	return view, nil
}

// showToShadowed has the receipt of a shadowed player say what that of another one would. Where
// that cannot be found out it stays as it is: a ranking may be delayed.
func (s *Service) showToShadowed(ctx context.Context, r *Receipt) {
	if !s.Shadows.Shadowed(ctx, r.Player) {
		return
	}
	name, err := s.Directory.Name(ctx, r.Player)
	if err != nil {
		return
	}
	board, err := s.Catalog().Lookup(r.Board)
	if err != nil {
		return
	}
	running, err := s.running(s.Catalog(), board, "")
	if err != nil {
		return
	}

	view := shadowView{Ranking: running.ranking, player: name.Number, entry: func(ctx context.Context, board LiveBoard, player int64) (RankingEntry, bool, error) {
		return s.Shadows.LiveEntry(ctx, board, player, true)
	}}
	own, err := view.Rank(ctx, running.board, name.Number)
	if err != nil {
		return
	}
	r.Ranking, r.Rank, r.StandingScore, r.StandingColumns = RankingLive, own.Rank, own.Score, own.Columns
	if !board.Scoring.Ordered() {
		r.Improved = own.Event == r.Event
	}
}

// shadowed is the entry of a shadowed player among those of a ranking.
type shadowed struct {
	OwnEntry
	fold  Fold
	ranks Ranks
	// alone says that no other entry has the same score and columns.
	alone bool
}

// before says whether the player's entry ranks before another one.
func (s *shadowed) before(e RankingEntry) bool { return s.fold.Before(s.Standing(), e.Standing()) }

// push moves another entry down where it ranks behind the player's.
func (s *shadowed) push(e *RankingEntry) {
	if !s.before(*e) {
		return
	}

	e.Place++
	worse := s.fold.Compare(s.Standing(), e.Standing()) < 0
	if s.ranks == Ordinal || worse && (s.ranks == Competition || s.alone) {
		e.Rank++
	}
}

// insert puts the player's entry among some that follow each other, which it pushes.
func (s *shadowed) insert(entries []RankingEntry) []RankingEntry {
	at := sort.Search(len(entries), func(i int) bool { return s.before(entries[i]) })
	seen := make([]RankingEntry, 0, len(entries)+1)
	seen = append(append(append(seen, entries[:at]...), s.RankingEntry), entries[at:]...)
	for i := at + 1; i < len(seen); i++ {
		s.push(&seen[i])
	}
	return seen
}

// locate finds where the entry of a shadowed player is among those of a ranking.
func (v shadowView) locate(ctx context.Context, board LiveBoard, entry RankingEntry) (*shadowed, error) {
	counts, err := v.Ranking.CountBetter(ctx, board, []ScoreBound{{Score: entry.Score}, {Score: entry.Score, Included: true}})
	if err != nil {
		return nil, err
	}

	fold := board.Fold()
	s := &shadowed{OwnEntry: OwnEntry{RankingEntry: entry}, fold: fold, ranks: board.Ranks}
	r := &placeReader{ctx: ctx, ranking: v.Ranking, board: board}
	s.Place = 1 + r.search(counts[0], counts[1], func(e RankingEntry) bool { return s.before(e) })
	s.Better = r.search(counts[0], counts[1], func(e RankingEntry) bool { return fold.Compare(entry.Standing(), e.Standing()) <= 0 })

	same, ok := r.at(s.Better)
	s.alone = !ok || fold.Compare(entry.Standing(), same.Standing()) != 0
	switch {
	case board.Ranks == Ordinal:
		s.Rank, s.Better = s.Place, s.Place-1
	case board.Ranks == Competition:
		s.Rank = s.Better + 1
	case !s.alone:
		s.Rank = same.Rank
	default:
		better, _ := r.at(s.Better - 1)
		s.Rank = better.Rank + 1
	}

	s.Total = r.total + 1
	return s, r.err
}

// placeReader reads entries of a ranking one by one, until it fails.
type placeReader struct {
	ctx     context.Context
	ranking Ranking
	board   LiveBoard
	total   int64
	err     error
}

// at is the entry with so many before it; false: there is none.
func (r *placeReader) at(before int64) (e RankingEntry, ok bool) {
	if r.err != nil || before < 0 {
		return e, false
	}
	entries, total, err := r.ranking.Page(r.ctx, r.board, before, 1)
	r.total, r.err = total, err
	if len(entries) == 0 {
		return e, false
	}
	return entries[0], true
}

// search is how many entries are before the first one from a place on, and up to another, that is
// behind.
func (r *placeReader) search(from, past int64, behind func(RankingEntry) bool) int64 {
	return from + int64(sort.Search(int(max(past-from, 0)), func(i int) bool {
		e, ok := r.at(from + int64(i))
		return !ok || behind(e)
	}))
}

package leaderboard

import (
	"context"
	"math"
)

// Page returns a page of a board. A page past the end is empty.
func (s *Service) Page(ctx context.Context, view View, page, pageSize int64) (Page, error) {
	offset, err := PageOffset(page, pageSize)
	if err != nil {
		return Page{}, err
	}

	result, err := s.pageAt(ctx, view, offset, pageSize)
	result.Page = page
	return result, err
}

// pageAt reads the entries after the first offset ones.
func (s *Service) pageAt(ctx context.Context, view View, offset, size int64) (Page, error) {
	scope, err := s.open(ctx, view)
	if err != nil {
		return Page{}, err
	}

	page := Page{Of: scope.Of, PageSize: size}
	page.Entries, page.TotalEntries, err = s.entries(ctx, scope, offset, size)
	if err != nil {
		return Page{}, err
	}
	return page, nil
}

// PageFrom returns at most size entries of a board from a place on, which counts them one
// by one, whatever the board's Ranks.
func (s *Service) PageFrom(ctx context.Context, view View, place, size int64) (Page, error) {
	if place < 1 {
		return Page{}, invalid("from_rank", "from_rank must be at least 1")
	}
	if _, err := PageOffset(1, size); err != nil {
		return Page{}, err
	}
	return s.pageAt(ctx, view, min(place-1, math.MaxInt64-MaxPageSize), size)
}

// ScoreBound is a score among the entries of a board.
type ScoreBound struct {
	Score int64
	// Included says that entries with the score itself are before the bound.
	Included bool
}

// ScoreRange is the scores from Min to Max, both included.
type ScoreRange struct{ Min, Max int64 }

// PageInRange returns a page of the entries whose scores are in the range, and in
// TotalEntries how many those are. Ranks are those of the board.
func (s *Service) PageInRange(ctx context.Context, view View, scores ScoreRange, page, size int64) (Page, error) {
	scope, err := s.open(ctx, view)
	if err != nil {
		return Page{}, err
	}
	offset, err := PageOffset(page, size)
	if err != nil {
		return Page{}, err
	}
	if scores.Min > scores.Max {
		return Page{}, invalid("min_score", "min_score must not be greater than max_score")
	}

	best, worst := scores.Max, scores.Min
	if scope.board.Order == Ascending {
		best, worst = worst, best
	}
	counts, err := scope.ranking.CountBetter(ctx, scope.board, []ScoreBound{{Score: best}, {Score: worst, Included: true}})
	if err != nil {
		return Page{}, err
	}

	result := Page{Of: scope.Of, Page: page, PageSize: size, TotalEntries: max(counts[1]-counts[0], 0)}
	if offset >= result.TotalEntries {
		return result, nil
	}
	entries, _, err := s.entries(ctx, scope, counts[0]+offset, min(size, result.TotalEntries-offset))
	for _, e := range entries {
		if e.Score >= scores.Min && e.Score <= scores.Max { // entries may have moved since they were counted
			result.Entries = append(result.Entries, e)
		}
	}
	return result, err
}

// entries reads a part of a board, with names.
func (s *Service) entries(ctx context.Context, scope scope, offset, limit int64) (ranked []RankedEntry, total int64, err error) {
	entries, total, err := scope.ranking.Page(ctx, scope.board, offset, limit)
	if err != nil {
		return nil, 0, err
	}
	ranked, err = s.ranked(ctx, scope, entries)
	return ranked, total, err
}

// ranked fills in the players' names, and what is asked for besides.
func (s *Service) ranked(ctx context.Context, scope scope, entries []RankingEntry) (ranked []RankedEntry, err error) {
	if ranked, err = s.named(ctx, scope, entries); err != nil {
		return nil, err
	}
	return ranked, s.addIncluded(ctx, scope.each, entries, func(i int) *RankedEntry { return &ranked[i] })
}

// named fills in the players' names. Ranks are served without the ledger, too: an
// entry whose player cannot be looked up now has neither id nor name.
func (s *Service) named(ctx context.Context, scope scope, entries []RankingEntry) ([]RankedEntry, error) {
	numbers := make([]int64, len(entries))
	for i, e := range entries {
		numbers[i] = e.Player
	}

	names, err := s.Directory.Names(ctx, numbers)
	if err != nil && (ctx.Err() != nil || !temporary(err)) {
		return nil, err
	}

	result := make([]RankedEntry, len(entries))
	for i, e := range entries {
		result[i] = scope.ranked(e, names[e.Player])
	}

	return result, nil
}

// Rank returns a player's own entry on a board. CodeNoEntry says that the player has no
// entry there yet.
func (s *Service) Rank(ctx context.Context, id PlayerID, view View) (BoardEntry, error) {
	scope, err := s.open(ctx, view)
	if err != nil {
		return BoardEntry{}, err
	}

	name, err := s.Directory.Name(ctx, id)
	if err != nil {
		return BoardEntry{}, err
	}

	entry, err := scope.ranking.Rank(ctx, scope.board, name.Number)
	if err != nil {
		return BoardEntry{}, err
	}

	own := scope.own(entry, name)
	if view.Segments {
		if err := s.addSegments(ctx, name, one(scope), []*BoardEntry{&own}); err != nil {
			return BoardEntry{}, err
		}
	}
	return own, s.addIncluded(ctx, scope.each, []RankingEntry{entry.RankingEntry}, func(int) *RankedEntry { return &own.RankedEntry })
}

// one is a list of one scope.
func one(of scope) []scope { return []scope{of} }

// own puts the name to a player's own entry.
func (s scope) own(e OwnEntry, name PlayerName) BoardEntry {
	return BoardEntry{On: s.Of, RankedEntry: s.ranked(e.RankingEntry, name), TotalEntries: e.Total, Percentile: e.Percentile()}
}

// each is the scope of every entry that was read of it.
func (s scope) each(int) scope { return s }

// ranked puts the names to an entry.
func (s scope) ranked(e RankingEntry, name PlayerName) RankedEntry {
	return RankedEntry{Rank: e.Rank, Player: name.ID, Username: name.Username, OwnerID: name.OwnerID, OwnerName: name.OwnerName, Score: e.Score, Columns: s.board.Named(e.Columns), Board: s.originOf(e.Origin)}
}

// originOf names the board where a score was made.
func (s scope) originOf(number int32) string {
	if board, ok := s.catalog.Numbered(number); ok {
		return board.Name
	}
	return s.board.Name // another replica added that board a moment ago
}

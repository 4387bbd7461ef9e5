package leaderboard

import (
	"cmp"
	"context"
	"slices"
	"strconv"
)

// MaxListed bounds the players of one list, such as a player's friends or a clan.
const MaxListed = 200

// EntryQuery asks for a player's entry on a board.
type EntryQuery struct {
	Board  LiveBoard
	Player int64
}

// ListedEntry is an entry of a list of players.
type ListedEntry struct {
	// Position is the place among the entries of the list, from 1.
	Position int64
	RankedEntry
}

// List is how players do among themselves.
type List struct {
	Of
	// Entries are in rank order.
	Entries []ListedEntry
	// Without are those who have no entry yet, in the order in which they were named.
	Without []PlayerName
}

// List ranks players among themselves and on the board. A player who does not exist, or is
// there twice, is CodeInvalid.
func (s *Service) List(ctx context.Context, view View, ids []PlayerID) (List, error) {
	scope, err := s.open(ctx, view)
	if err != nil {
		return List{}, err
	}

	names, err := s.find(ctx, ids)
	if err != nil {
		return List{}, err
	}

	queries := make([]EntryQuery, len(names))
	for i, name := range names {
		queries[i] = EntryQuery{Board: scope.board, Player: name.Number}
	}
	entries, err := scope.ranking.Ranks(ctx, queries)
	if err != nil {
		return List{}, err
	}

	ranked := make([]RankedEntry, len(entries))
	for i, e := range entries {
		ranked[i] = scope.ranked(e.RankingEntry, names[i])
	}
	if err := s.addIncluded(ctx, scope.each, withoutOthers(entries), func(i int) *RankedEntry { return &ranked[i] }); err != nil {
		return List{}, err
	}

	list := List{Of: scope.Of}
	for i, e := range ranked {
		if e.Rank == 0 {
			list.Without = append(list.Without, names[i])
			continue
		}
		list.Entries = append(list.Entries, ListedEntry{Position: entries[i].Place, RankedEntry: e})
	}

	slices.SortFunc(list.Entries, func(a, b ListedEntry) int { return cmp.Compare(a.Position, b.Position) })
	for i := range list.Entries {
		list.Entries[i].Position = int64(i) + 1
	}
	return list, nil
}

// withoutOthers are own entries without where they stand among all.
func withoutOthers(own []OwnEntry) []RankingEntry {
	entries := make([]RankingEntry, len(own))
	for i, e := range own {
		entries[i] = e.RankingEntry
	}
	return entries
}

// find finds all players of a list.
func (s *Service) find(ctx context.Context, ids []PlayerID) ([]PlayerName, error) {
	if len(ids) == 0 || len(ids) > MaxListed {
		return nil, invalid("players", "players must name 1 to %d players, not %d", MaxListed, len(ids))
	}

	first := make(map[PlayerID]int, len(ids))
	for i, id := range ids {
		if j, twice := first[id]; twice {
			return nil, invalid(listed(i), "this player is the same as players[%d]: name each once", j)
		}
		first[id] = i
	}

	found, err := s.Directory.Find(ctx, ids)
	if err != nil {
		return nil, err
	}

	names := make([]PlayerName, len(ids))
	for i, id := range ids {
		name, ok := found[id]
		if !ok {
			return nil, invalid(listed(i), "there is no player with this id: leave it out")
		}
		names[i] = name
	}
	return names, nil
}

// listed is the name of one player of a list, as the API spells it.
func listed(i int) string { return "players[" + strconv.Itoa(i) + "]" }

// PlayerEntries are the entries of one player.
type PlayerEntries struct {
	PlayerName
	// Entries are in the order of the boards.
	Entries []BoardEntry
}

// BoardEntry is an entry with what it is on.
type BoardEntry struct {
	On Of
	RankedEntry
	// TotalEntries is how many entries there are, and Percentile as [OwnEntry.Percentile].
	TotalEntries, Percentile int64
	// Segments are in the order of the attributes; those in which there is no entry are left
	// out.
	Segments []SegmentEntry
}

// PlayerEntries returns a player's entries in the open seasons of the view's window of the
// named boards, or without names of all that have one, and its segment. Boards without an
// entry are left out.
func (s *Service) PlayerEntries(ctx context.Context, id PlayerID, boardNames []string, view View) (PlayerEntries, error) {
	catalog := s.Catalog()
	scopes, err := s.chosen(catalog, boardNames, view.Window)
	if err != nil {
		return PlayerEntries{}, err
	}
	if scopes, err = s.chosenSegments(ctx, catalog, scopes, len(boardNames) > 0, view.Segment); err != nil {
		return PlayerEntries{}, err
	}
	ranking, err := s.seenBy(ctx, view.Viewer, s.Ranking, false)
	if err != nil {
		return PlayerEntries{}, err
	}
	for i := range scopes {
		scopes[i].include, scopes[i].ranking = view.Include, ranking
	}

	name, err := s.Directory.Name(ctx, id)
	if err != nil {
		return PlayerEntries{}, err
	}

	owned, err := s.owned(ctx, name, ranking, scopes)
	if err != nil {
		return PlayerEntries{}, err
	}

	if view.Segments {
		each := make([]*BoardEntry, len(owned))
		for i := range owned {
			each[i] = &owned[i]
		}
		if err := s.addSegments(ctx, name, scopes, each); err != nil {
			return PlayerEntries{}, err
		}
	}

	return PlayerEntries{PlayerName: name, Entries: withEntry(owned)}, nil
}

// owned are a player's entries in the scopes, which are of one ranking: with Rank 0 where
// there is none.
func (s *Service) owned(ctx context.Context, name PlayerName, ranking Ranking, scopes []scope) ([]BoardEntry, error) {
	queries := make([]EntryQuery, len(scopes))
	for i, scope := range scopes {
		queries[i] = EntryQuery{Board: scope.board, Player: name.Number}
	}
	entries, err := ranking.Ranks(ctx, queries)
	if err != nil {
		return nil, err
	}

	owned := make([]BoardEntry, len(entries))
	for i, e := range entries {
		owned[i] = scopes[i].own(e, name)
	}
	return owned, s.addIncluded(ctx, func(i int) scope { return scopes[i] }, withoutOthers(entries), func(i int) *RankedEntry { return &owned[i].RankedEntry })
}

// withEntry are those of them that are entries.
func withEntry(owned []BoardEntry) (entries []BoardEntry) {
	for _, e := range owned {
		if e.Rank != 0 {
			entries = append(entries, e)
		}
	}
	return entries
}

// chosen are the open seasons of a window of the boards with these names, or of all that
// have one.
func (s *Service) chosen(catalog *Catalog, names []string, window string) ([]scope, error) {
	var scopes []scope
	if len(names) == 0 {
		for _, board := range catalog.All() {
			if scope, err := s.running(catalog, board, window); board.Active && err == nil {
				scopes = append(scopes, scope)
			}
		}
		return scopes, nil
	}

	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, invalid("boards", "boards names %q twice", name)
		}
		board, err := catalog.Lookup(name)
		if err != nil {
			return nil, NoBoard(name).Named("boards")
		}
		scope, err := s.running(catalog, board, window)
		if err != nil {
			return nil, err
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

// chosenSegments are the segments of the scopes that have it; where boards are named, all must.
func (s *Service) chosenSegments(ctx context.Context, catalog *Catalog, scopes []scope, named bool, query SegmentQuery) ([]scope, error) {
	if query.Attribute == "" {
		return scopes, nil
	}

	var split []scope
	for _, of := range scopes {
		if of.board.splitBy(query.Attribute) {
			split = append(split, of)
		} else if named {
			return nil, noSegment(of.board.Board, query.Attribute)
		}
	}
	if len(split) == 0 {
		return nil, Errorf(CodeNoSegment, "segment", "no board has a segment %q", query.Attribute)
	}

	value, err := s.findSegment(ctx, catalog, query)
	for i, of := range split {
		split[i] = of.in(value)
	}
	return split, err
}

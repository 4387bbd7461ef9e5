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
	Board string
	// Entries are in rank order.
	Entries []ListedEntry
	// Without are those who have no entry yet, in the order in which they were named.
	Without []PlayerName
}

// List ranks players among themselves and on the board. An empty board name is
// GlobalBoard. A player who does not exist, or is there twice, is CodeInvalid.
func (s *Service) List(ctx context.Context, boardName string, ids []PlayerID) (List, error) {
	catalog := s.Catalog()
	board, err := lookup(catalog, boardName)
	if err != nil {
		return List{}, err
	}

	names, err := s.find(ctx, ids)
	if err != nil {
		return List{}, err
	}

	queries := make([]EntryQuery, len(names))
	for i, name := range names {
		queries[i] = EntryQuery{Board: board, Player: name.Number}
	}
	entries, err := s.Ranking.Ranks(ctx, queries)
	if err != nil {
		return List{}, err
	}

	list := List{Board: board.Name}
	for i, e := range entries {
		if e.Rank == 0 {
			list.Without = append(list.Without, names[i])
			continue
		}
		list.Entries = append(list.Entries, ListedEntry{RankedEntry: ranked(catalog, board, e, names[i])})
	}

	slices.SortFunc(list.Entries, func(a, b ListedEntry) int { return cmp.Compare(a.Rank, b.Rank) })
	for i := range list.Entries {
		list.Entries[i].Position = int64(i) + 1
	}
	return list, nil
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

// BoardEntry is an entry with the name of its board.
type BoardEntry struct {
	On string
	RankedEntry
}

// PlayerEntries returns a player's entries on the named boards, or without names on all.
// Boards without one are left out.
func (s *Service) PlayerEntries(ctx context.Context, id PlayerID, boardNames []string) (PlayerEntries, error) {
	catalog := s.Catalog()
	boards, err := chosen(catalog, boardNames)
	if err != nil {
		return PlayerEntries{}, err
	}

	name, err := s.Directory.Name(ctx, id)
	if err != nil {
		return PlayerEntries{}, err
	}

	queries := make([]EntryQuery, len(boards))
	for i, board := range boards {
		queries[i] = EntryQuery{Board: board, Player: name.Number}
	}
	entries, err := s.Ranking.Ranks(ctx, queries)
	if err != nil {
		return PlayerEntries{}, err
	}

	result := PlayerEntries{PlayerName: name}
	for i, e := range entries {
		if e.Rank != 0 {
			result.Entries = append(result.Entries, BoardEntry{On: boards[i].Name, RankedEntry: ranked(catalog, boards[i], e, name)})
		}
	}
	return result, nil
}

// chosen are the active boards with these names, or all.
func chosen(catalog *Catalog, names []string) ([]LiveBoard, error) {
	var boards []LiveBoard
	if len(names) == 0 {
		for _, board := range catalog.All() {
			if board.Active {
				boards = append(boards, board)
			}
		}
		return boards, nil
	}

	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return nil, invalid("boards", "boards names %q twice", name)
		}
		board, err := catalog.Lookup(name)
		if err != nil {
			return nil, NoBoard(name).Named("boards")
		}
		boards = append(boards, board)
	}
	return boards, nil
}

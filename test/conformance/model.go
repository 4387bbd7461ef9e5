package conformance

import (
	"sort"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// Model is the ranking as its definition says it: standings folded from events in
// the events' order, sorted. It is not safe for concurrent use.
type Model struct {
	catalog   *leaderboard.Catalog
	standings map[leaderboard.EntryKey]leaderboard.Standing
	events    []modelEvent
}

// modelEvent is a submission.
type modelEvent struct {
	board                 leaderboard.LiveBoard
	player, score, number int64
}

// NewModel makes a model without entries.
func NewModel(catalog *leaderboard.Catalog) *Model {
	return &Model{catalog: catalog, standings: make(map[leaderboard.EntryKey]leaderboard.Standing)}
}

// Submit adds an event to the board's and to the global standings. Events must
// come in their order. It reports whether the board's standing got better.
func (m *Model) Submit(board leaderboard.LiveBoard, player, score, event int64) (improved bool) {
	m.events = append(m.events, modelEvent{board, player, score, event})
	improved = m.fold(board, board.Number, player, score, event)
	if global := m.catalog.Global(); board.CountsTowardGlobal && board.Number != global.Number {
		m.fold(global, board.Number, player, score, event)
	}
	return improved
}

func (m *Model) fold(board leaderboard.LiveBoard, origin int32, player, score, event int64) (improved bool) {
	key := leaderboard.EntryKey{Board: board.Number, Season: board.Season, Player: player}
	single := leaderboard.Single(key, score, event, origin)
	before, had := m.standings[key]
	if !had {
		m.standings[key] = board.Scoring.Begin(single)
		return true
	}

	after, improved, ok := leaderboard.Append(board.Order, board.Scoring, before, single)
	if ok {
		m.standings[key] = after
	}
	return improved && ok
}

// EntriesIn returns all entries of a season of a window of the board: what its events make,
// whose times are given by their numbers.
func (m *Model) EntriesIn(board leaderboard.LiveBoard, season leaderboard.Season, times map[int64]time.Time) []leaderboard.RankingEntry {
	of := NewModel(m.catalog)
	board = board.In(season.Number)
	for _, e := range m.events {
		counts := e.board.Number == board.Number || board.Name == leaderboard.GlobalBoard && e.board.CountsTowardGlobal
		if counts && season.OpenAt(times[e.number]) {
			of.fold(board, e.board.Number, e.player, e.score, e.number)
		}
	}
	return of.Entries(board)
}

// Entries returns all entries of a board in rank order.
func (m *Model) Entries(board leaderboard.LiveBoard) []leaderboard.RankingEntry {
	var standings []leaderboard.Standing
	for key, s := range m.standings {
		if key.Board == board.Number && key.Season == board.Season {
			standings = append(standings, s)
		}
	}

	sort.Slice(standings, func(i, j int) bool { return board.Order.Before(standings[i], standings[j]) })
	entries := make([]leaderboard.RankingEntry, len(standings))
	for i, s := range standings {
		entries[i] = leaderboard.RankingEntry{Rank: int64(i + 1), Player: s.Player, Score: s.Score, Origin: s.Origin}
	}

	return entries
}

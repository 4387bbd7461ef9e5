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
	// Attributes are what players have now: the numbers of their values, by player and
	// attribute.
	Attributes map[int64]map[string]int32
	// metadata is what came with events, by their numbers.
	metadata map[int64]string
	// moderation is what of the events does not count, and who is left out.
	moderation moderation
}

// modelEvent is a submission.
type modelEvent struct {
	board                 leaderboard.LiveBoard
	player, score, number int64
	columns               leaderboard.Columns
	// own are the values in whose segments the event counts on its board, and global those on
	// global: what the player had then of what the boards were split by then.
	own, global []int32
}

// NewModel makes a model without entries.
func NewModel(catalog *leaderboard.Catalog) *Model {
	return &Model{catalog: catalog, standings: make(map[leaderboard.EntryKey]leaderboard.Standing), metadata: make(map[int64]string), moderation: newModeration()}
}

// Submit adds an event to the board's and to the global standings. Events must
// come in their order. It reports whether the board's standing got better.
func (m *Model) Submit(board leaderboard.LiveBoard, player, score int64, columns leaderboard.Columns, event int64) (improved bool) {
	global := m.catalog.Global()
	e := modelEvent{board, player, score, event, columns, m.values(player, board), m.values(player, global)}
	m.events = append(m.events, e)
	improved = m.foldAll(board, e)
	if board.CountsTowardGlobal && board.Number != global.Number {
		m.foldAll(global, e)
	}
	return improved
}

// values are those that the player has of what the board is split by.
func (m *Model) values(player int64, board leaderboard.LiveBoard) (values []int32) {
	for _, attribute := range board.Segments {
		if value, ok := m.Attributes[player][attribute]; ok {
			values = append(values, value)
		}
	}
	return values
}

// foldAll folds an event into the board and into the segments in which it counts there.
func (m *Model) foldAll(board leaderboard.LiveBoard, e modelEvent) (improved bool) {
	if !m.moderation.counts(e, board) {
		return false
	}
	values := e.own
	if board.Number != e.board.Number {
		values = e.global
	}
	for _, value := range values {
		m.fold(board.InSegment(value), e)
	}
	return m.fold(board, e)
}

// Describe says what came with an event.
func (m *Model) Describe(event int64, metadata string) {
	if metadata != "" {
		m.metadata[event] = metadata
	}
}

func (m *Model) fold(board leaderboard.LiveBoard, e modelEvent) (improved bool) {
	key := leaderboard.EntryKey{Board: board.Number, Season: board.Season, Player: e.player}
	single := leaderboard.Single(key, e.score, e.number, e.board.Number)
	if e.board.Number == board.Number {
		single.Columns = board.Fold().Submitted(board.Fold().Ranked(e.columns)) // of those that it has
	}
	before, had := m.standings[key]
	if !had {
		m.standings[key] = board.Scoring.Begin(single)
		return true
	}

	after, improved, ok := board.Fold().Append(before, single)
	if ok {
		m.standings[key] = after
	}
	return improved && ok
}

// In is what the events of a season of a window of the board make, whose times are given by
// their numbers.
func (m *Model) In(board leaderboard.LiveBoard, season leaderboard.Season, times map[int64]time.Time) *Model {
	of := NewModel(m.catalog)
	of.moderation = m.moderation
	board = board.In(season.Number)
	for _, e := range m.events {
		counts := e.board.Number == board.Number || board.Name == leaderboard.GlobalBoard && e.board.CountsTowardGlobal
		if counts && season.OpenAt(times[e.number]) {
			of.foldAll(board, e)
		}
	}
	return of
}

// Entries returns all entries of a board in rank order.
func (m *Model) Entries(board leaderboard.LiveBoard) []leaderboard.RankingEntry {
	var standings []leaderboard.Standing
	for key, s := range m.standings {
		if key.Board == board.Number && key.Season == board.Season && !m.moderation.leavesOut(key.Player, board) {
			standings = append(standings, s)
		}
	}

	sort.Slice(standings, func(i, j int) bool { return board.Fold().Before(standings[i], standings[j]) })
	entries := make([]leaderboard.RankingEntry, len(standings))
	for i, s := range standings {
		place := int64(i + 1)
		better, distinct := better(board, standings[:i], s)
		rank := map[leaderboard.Ranks]int64{leaderboard.Ordinal: place, leaderboard.Competition: better + 1, leaderboard.Dense: distinct + 1}[board.Ranks]
		entries[i] = leaderboard.RankingEntry{Rank: rank, Place: place, Player: s.Player, Score: s.Score, Columns: s.Columns, Event: s.Event, Origin: s.Origin}
	}

	return entries
}

// better says how many of those before a standing have a better score or columns, and how
// many different ones those have.
func better(board leaderboard.LiveBoard, before []leaderboard.Standing, s leaderboard.Standing) (better, distinct int64) {
	type has struct {
		score   int64
		columns leaderboard.Columns
	}
	seen := make(map[has]bool)
	for _, b := range before {
		if board.Fold().Compare(b, s) < 0 {
			better++
			seen[has{b.Score, b.Columns}] = true
		}
	}
	return better, int64(len(seen))
}

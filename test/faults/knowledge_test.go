package faults

import (
	"slices"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// pageAge is how old a page that was read without a token may be, the server's
// default, and one reading of it.
const pageAge = 10 * time.Millisecond

// weather is what readers have to reckon with.
type weather struct {
	mu sync.Mutex
	// whole is since when nothing is broken; zero: something is.
	whole time.Time
	// rolledBack is since when Redis has not come back with an earlier state;
	// rollingBack: it may at any moment.
	rolledBack  time.Time
	rollingBack bool
}

func (w *weather) breaks(rollback bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = time.Time{}
	w.rollingBack = w.rollingBack || rollback
}

func (w *weather) isWhole() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = time.Now()
	if w.rollingBack {
		w.rollingBack, w.rolledBack = false, w.whole
	}
}

// outlook is the weather at one moment.
type outlook struct {
	whole, rolledBack time.Time
	rollingBack       bool
}

func (w *weather) now() outlook {
	w.mu.Lock()
	defer w.mu.Unlock()
	return outlook{w.whole, w.rolledBack, w.rollingBack}
}

// record is an acknowledged submission that was the player's best on a board.
type record struct {
	score int64
	// sent and acknowledged are the client's times.
	sent, acknowledged time.Time
	// live: its receipt told a rank.
	live bool
}

// known is what the players know of one player on one board.
type known struct {
	// submitted are the boards that scores were submitted to.
	submitted map[int64]string
	records   []record
}

func (k *known) all() []record {
	if k == nil {
		return nil
	}
	return k.records
}

// memory is what the players together know: what a reader may be told at the most
// and at the least. It covers the boards where the best score counts.
type memory struct {
	mu      sync.Mutex
	players map[string]map[string]*known // by the player's id, and board
}

// better says which of two scores is better on a board; ok is false where not the
// best score counts.
func better(board string, a, b int64) (is, ok bool) {
	switch board {
	case "race", "global":
		return a > b, true
	case "golf":
		return a < b, true
	}
	return false, false
}

// countsOn are the boards where a submission to a board counts.
func countsOn(board string) []string {
	if board == "race" {
		return []string{"race", "global"}
	}
	return []string{board}
}

func (m *memory) of(player, board string) *known {
	boards := m.players[player]
	if boards == nil {
		boards = make(map[string]*known)
		m.players[player] = boards
	}

	if boards[board] == nil {
		boards[board] = &known{submitted: make(map[int64]string)}
	}

	return boards[board]
}

// submits notes that a score is on its way.
func (m *memory) submits(player, board string, score int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range countsOn(board) {
		m.of(player, b).submitted[score] = board
	}
}

// acknowledged notes that a score was.
func (m *memory) acknowledged(player, board string, r record) {
	m.mu.Lock()
	defer m.mu.Unlock()

	for _, b := range countsOn(board) {
		k := m.of(player, b)
		if n := len(k.records); n > 0 {
			if is, _ := better(b, r.score, k.records[n-1].score); !is {
				continue
			}
		}

		known := r
		known.live = r.live && b == board // a receipt is about its own board
		k.records = append(k.records, known)
	}
}

// recordsOf are what is known of a player's best submissions on a board.
func (m *memory) recordsOf(player, board string) []record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.of(player, board).records)
}

// least is the worst score that the player may be shown with on the board by an
// answer that was asked for at a time and may be so old; false: none has to be shown.
// before and after are the weather then and when the answer had come.
func (m *memory) least(player, board string, asked time.Time, age time.Duration, before, after outlook) (least record, has bool) {
	m.mu.Lock()
	defer m.mu.Unlock()

	records := m.of(player, board).records
	for i := len(records) - 1; i >= 0; i-- {
		if r := records[i]; r.mustShow(asked.Add(-age), before, after) {
			return r, true
		}
	}

	return record{}, false
}

func (r record) mustShow(asked time.Time, before, after outlook) bool {
	if !r.acknowledged.Before(asked) {
		return false
	}
	// What was in Redis is to be seen, unless Redis has gone back since.
	if r.live && !after.rollingBack && r.sent.After(after.rolledBack) {
		return true
	}

	return !before.whole.IsZero() && before.whole.Equal(after.whole) &&
		asked.Sub(before.whole) > *staleness && asked.Sub(r.acknowledged) > *staleness
}

// plausible says whether the entry on the board is one that was submitted.
func (m *memory) plausible(board string, e gameclient.Entry) bool {
	if _, ok := better(board, 0, 0); !ok {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	origin, ok := m.of(e.UserID, board).submitted[e.Score]
	return ok && origin == e.GameID
}

package conformance

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// onBoard is a player on a board, by numbers; board 0 is all of them.
type onBoard struct {
	player int64
	board  int32
}

// moderation is what moderators did, as the model has it.
type moderation struct {
	voids    map[int64]bool
	removals map[onBoard]int64
	excluded map[onBoard]map[leaderboard.AuditAction]bool
	// moderated says that anything ever was.
	moderated bool
}

func newModeration() moderation {
	return moderation{voids: make(map[int64]bool), removals: make(map[onBoard]int64), excluded: make(map[onBoard]map[leaderboard.AuditAction]bool)}
}

// counts says whether an event counts on a board.
func (m moderation) counts(e modelEvent, board leaderboard.LiveBoard) bool {
	return !m.voids[e.number] && e.number > m.removals[onBoard{e.player, e.board.Number}] && e.number > m.removals[onBoard{e.player, board.Number}]
}

// leavesOut says whether a player is left out of the rankings of a board.
func (m moderation) leavesOut(player int64, board leaderboard.LiveBoard) bool {
	return len(m.excluded[onBoard{player, 0}]) > 0 || len(m.excluded[onBoard{player, board.Number}]) > 0
}

func (m moderation) exclude(at onBoard, kind leaderboard.AuditAction, out bool) {
	if m.excluded[at] == nil {
		m.excluded[at] = make(map[leaderboard.AuditAction]bool)
	}
	if delete(m.excluded[at], kind); out {
		m.excluded[at][kind] = true
	}
}

// apply does to the model what a moderator did. through is the last event that a removal is of.
func (m *Model) apply(a leaderboard.Moderation, player int64, board int32, through int64) {
	m.moderation.moderated = true
	switch at := (onBoard{player, board}); a.Action {
	case leaderboard.Ban, leaderboard.Unban:
		m.moderation.exclude(onBoard{player, 0}, leaderboard.Ban, a.Action == leaderboard.Ban)
	case leaderboard.ShadowBan, leaderboard.ShadowUnban:
		m.moderation.exclude(onBoard{player, 0}, leaderboard.ShadowBan, a.Action == leaderboard.ShadowBan)
	case leaderboard.Hide, leaderboard.Unhide:
		m.moderation.exclude(at, leaderboard.Hide, a.Action == leaderboard.Hide)
	case leaderboard.Remove:
		m.moderation.removals[at] = through
	case leaderboard.Restore:
		delete(m.moderation.removals, at)
	case leaderboard.Void:
		m.moderation.voids[a.Event] = true
	case leaderboard.Unvoid:
		delete(m.moderation.voids, a.Event)
	}
}

// refold folds all events once more, in their order.
func (m *Model) refold() {
	clear(m.standings)
	slices.SortFunc(m.events, func(a, b modelEvent) int { return cmp.Compare(a.number, b.number) })
	global := m.catalog.Global()
	for _, e := range m.events {
		m.foldAll(e.board, e)
		if e.board.CountsTowardGlobal && e.board.Number != global.Number {
			m.foldAll(global, e)
		}
	}
}

// moderator moderates at random while scores come in.
type moderator struct {
	tenant  *Tenant
	model   *Model
	players []leaderboard.PlayerName
	done    sync.WaitGroup
	// did is what the model is told once all scores are in it.
	did []func()
	err error
	// banned are to be unbanned before they submit again.
	banned []leaderboard.PlayerName
	random *rand.Rand
}

// moderationsPerRound is how many things a moderator does beside one round of submissions.
const moderationsPerRound = 6

// moderate begins to moderate, by all replicas. Of what the model has already, events are
// voided.
func (t *Tenant) moderate(tb testing.TB, model *Model, replicas []*Replica, players []leaderboard.PlayerName, seed uint64) *moderator {
	tb.Helper()
	m := &moderator{tenant: t, model: model, players: players, random: rand.New(rand.NewPCG(seed, 77))}
	conn := t.Connect(tb)
	boards, events := t.Catalog.All(), model.events
	m.done.Go(func() {
		for i := range moderationsPerRound {
			player, board := players[m.random.IntN(len(players))], boards[m.random.IntN(len(boards))]
			a := leaderboard.Moderation{Actor: "tests", Reason: "a reason", Player: player.ID}
			switch kind := m.random.IntN(9); {
			case kind == 8 && !board.Derived:
				if m.err = m.review(replicas[i%len(replicas)], replicas[(i+1)%len(replicas)], player, board); m.err != nil {
					return
				}
				continue
			case kind < 2 && len(events) > 0: // of one whose score counts, as a rule
				e := events[m.random.IntN(len(events))]
				a.Action, a.Board, a.Event = []leaderboard.AuditAction{leaderboard.Void, leaderboard.Unvoid}[m.random.IntN(2)*m.random.IntN(2)], e.board.Name, e.number
				for _, p := range players {
					if p.Number == e.player {
						player, board, a.Player = p, e.board, p.ID
					}
				}
			case kind < 4:
				a.Action, a.Board = []leaderboard.AuditAction{leaderboard.Remove, leaderboard.Restore}[m.random.IntN(2)], board.Name
			case kind < 6:
				a.Action, a.Board = []leaderboard.AuditAction{leaderboard.Hide, leaderboard.Unhide}[m.random.IntN(2)], board.Name
			default:
				a.Action = []leaderboard.AuditAction{leaderboard.ShadowBan, leaderboard.ShadowUnban}[m.random.IntN(2)]
			}

			ctx := context.Background()
			if m.err = patiently(func() error { _, err := replicas[i%len(replicas)].Ledger.Moderate(ctx, a); return err }); m.err != nil {
				return
			}
			var through int64
			if a.Action == leaderboard.Remove {
				if m.err = conn.QueryRow(ctx, "SELECT through FROM removals WHERE player = $1 AND board = $2", player.Number, board.Number).Scan(&through); m.err != nil {
					return
				}
			}
			m.did = append(m.did, func() { model.apply(a, player.Number, board.Number, through) })
		}
	})
	return m
}

// review has a submission of a player held back, and accepts it through another replica, while
// others are stored.
func (m *moderator) review(holds, accepts *Replica, player leaderboard.PlayerName, board leaderboard.LiveBoard) error {
	ctx := context.Background()
	submission := ledgertest.Submission(player, board.Name, m.random.Int64N(21)-10)
	submission.Columns, submission.HoldBack = randomColumns(m.random, board), leaderboard.ReviewedAlways
	held, err := holds.Ledger.HoldBack(ctx, submission)
	if err != nil {
		return err
	}

	a := leaderboard.Moderation{Action: leaderboard.AcceptSubmission, Actor: "tests", Reason: "a reason"}
	submission.Account, submission.HoldBack = a.Actor, ""
	var accepted leaderboard.HeldSubmission
	if err := patiently(func() error { _, accepted, err = accepts.Ledger.Accept(ctx, a, held.ID, submission); return err }); err != nil {
		return err
	}
	m.did = append(m.did, func() {
		m.model.Submit(board, player.Number, submission.Score, submission.Columns, accepted.Event)
	})
	return nil
}

// patiently repeats what a moderator is told to try again: nothing waits for long for batches that
// are being stored, and a busy machine takes its time.
func patiently(moderate func() error) (err error) {
	const attempts = 20
	for range attempts {
		if err = moderate(); leaderboard.CodeOf(err) != leaderboard.CodeUnavailable {
			return err
		}
	}
	return err
}

// randomColumns are some for the board: few values, and now and then a great one.
func randomColumns(random *rand.Rand, board leaderboard.LiveBoard) (columns leaderboard.Columns) {
	for i := range board.Columns {
		place := board.Fold().Place(i)
		columns[place] = random.Int64N(3) - 1
		if random.IntN(10) == 0 {
			columns[place] = random.Int64N(2*leaderboard.MaxScore+1) - leaderboard.MaxScore
		}
	}
	return columns
}

// stop waits until all is done, bans some players, and tells the model.
func (m *moderator) stop(tb testing.TB) {
	tb.Helper()
	m.done.Wait()
	require.NoError(tb, m.err)
	for _, did := range m.did {
		did()
	}
	for range 3 {
		m.do(tb, leaderboard.Ban, m.players[m.random.IntN(len(m.players))])
	}
	m.model.refold()
}

func (m *moderator) do(tb testing.TB, action leaderboard.AuditAction, player leaderboard.PlayerName) {
	tb.Helper()
	a := leaderboard.Moderation{Action: action, Actor: "tests", Reason: "a reason", Player: player.ID}
	require.NoError(tb, patiently(func() error { _, err := m.tenant.Ledger.Moderate(tb.Context(), a); return err }))
	if m.model.apply(a, player.Number, 0, 0); action == leaderboard.Ban {
		m.banned = append(m.banned, player)
	}
}

// pardon unbans those who were banned.
func (m *moderator) pardon(tb testing.TB) {
	tb.Helper()
	for _, player := range m.banned {
		m.do(tb, leaderboard.Unban, player)
	}
	m.banned = nil
}

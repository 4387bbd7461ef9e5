package conformance

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// What was committed while nobody led, as when a leader ended before any ranking had followed, is
// in the rankings once somebody does. Taken back in the same way, nothing of it is left.
func TestModerationsOutliveTheLeader(t *testing.T) {
	tenant := newSegmented(t, Standalone(rdb), 3)
	players := tenant.Players(t, 30)
	model := NewModel(tenant.Catalog)
	leading := func(name string, do func(*testing.T, *Replica)) {
		t.Run(name, func(t *testing.T) { do(t, tenant.Start(t)) })
	}
	equal := func(t *testing.T, r *Replica) { tenant.RequireEqual(t, r.Ranking, model, players) }

	leading("scores", func(t *testing.T, r *Replica) {
		for _, s := range round(t, tenant, []*Replica{r}, players, 1, 300) {
			model.Submit(s.board, s.player, s.score, s.columns, s.receipt.Event)
		}
		equal(t, r)
	})

	m := &moderator{tenant: tenant, model: model, players: players, random: rand.New(rand.NewPCG(1, 1))}
	m.do(t, leaderboard.Ban, players[0])
	m.do(t, leaderboard.ShadowBan, players[1])
	e := model.events[0]
	void := leaderboard.Moderation{Action: leaderboard.Void, Actor: "tests", Reason: "a reason", Board: e.board.Name, Event: e.number}
	for _, p := range players {
		if p.Number == e.player {
			void.Player = p.ID
		}
	}
	_, err := tenant.Ledger.Moderate(t.Context(), void)
	require.NoError(t, err)
	model.apply(void, e.player, e.board.Number, 0)
	model.refold()
	leading("moderated", equal)

	m.do(t, leaderboard.Unban, players[0])
	m.do(t, leaderboard.ShadowUnban, players[1])
	void.Action = leaderboard.Unvoid
	_, err = tenant.Ledger.Moderate(t.Context(), void)
	require.NoError(t, err)
	model.apply(void, e.player, e.board.Number, 0)
	model.refold()
	leading("taken back", equal)
}

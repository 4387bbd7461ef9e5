package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// bounded is a board that bounds improvements to 10.
func bounded(name string, order leaderboard.Order, scoring leaderboard.Scoring) leaderboard.Board {
	return leaderboard.Board{Name: name, Order: order, Scoring: scoring, MinScore: -1000, MaxScore: 1000, CountsTowardGlobal: order == leaderboard.Descending,
		Shards: 1, Ranks: leaderboard.Ordinal, MaxImprovement: 10}
}

// boundedBoards have every kind of board that bounds improvements, and one that does not.
func boundedBoards(tb testing.TB) leaderboard.Boards {
	tb.Helper()
	weekly := bounded("weekly", leaderboard.Descending, leaderboard.Best)
	weekly.Windows, weekly.WindowsOnly = []leaderboard.Window{ledgertest.Window("weekly", "weekly")}, true
	rating := bounded("weekly-rating", leaderboard.Descending, leaderboard.Latest)
	rating.Windows, rating.WindowsOnly = weekly.Windows, true
	split := bounded("split", leaderboard.Descending, leaderboard.Latest)
	split.Segments = []string{"country"}
	match := bounded("match", leaderboard.Descending, leaderboard.Best)
	match.Segments, match.Columns = split.Segments, []leaderboard.Column{{Name: "deaths", Order: leaderboard.Ascending, Min: 0, Max: 99}}
	free := bounded("free", leaderboard.Descending, leaderboard.Best)
	free.MaxImprovement = 0

	boards, err := leaderboard.NewBoards(bounded("arena", leaderboard.Descending, leaderboard.Best), bounded("race", leaderboard.Ascending, leaderboard.Best),
		bounded("rating", leaderboard.Descending, leaderboard.Latest), bounded("handicap", leaderboard.Ascending, leaderboard.Latest), weekly, rating, split, match, free)
	require.NoError(tb, err)
	boards, err = boards.WithAttributes(ledgertest.Attributes...)
	require.NoError(tb, err)
	return boards
}

// ordered is a submission as the service makes it of a board that takes a player's submissions
// one after the other.
func ordered(player leaderboard.PlayerName, board string, score int64) leaderboard.Submission {
	s := ledgertest.Submission(player, board, score)
	s.Ordered = true
	return s
}

func TestImprovementsAreBounded(t *testing.T) {
	f := ledgertest.New(t, server, boundedBoards(t), postgres.Options{})
	const taken, refused = true, false
	type step struct {
		score int64
		want  bool
	}
	boards := []struct {
		name  string
		steps []step
	}{
		{"arena", []step{{500, taken}, {511, refused}, {510, taken}, {1, taken}, {520, taken}, {531, refused}, {530, taken}}},
		{"race", []step{{500, taken}, {489, refused}, {490, taken}, {900, taken}, {480, taken}, {469, refused}}},
		{"rating", []step{{500, taken}, {511, refused}, {510, taken}, {100, taken}, {111, refused}, {110, taken}}},
		{"handicap", []step{{500, taken}, {489, refused}, {490, taken}, {900, taken}, {889, refused}, {890, taken}}},
		{"weekly", []step{{500, taken}, {511, refused}, {510, taken}}},
		{"weekly-rating", []step{{500, taken}, {511, refused}, {400, taken}, {411, refused}, {410, taken}}},
		{"split", []step{{500, taken}, {100, taken}, {111, refused}, {110, taken}}},
		{"match", []step{{-5, taken}, {5, taken}, {16, refused}, {15, taken}}},
		{"free", []step{{-1000, taken}, {1000, taken}}},
	}
	for name, save := range map[string]bool{"as it is": false, "saved": true} {
		t.Run(name, func(t *testing.T) {
			p := f.Players(t, 1)[0]
			for i := range 7 { // one batch has the step of each board
				var batch []leaderboard.Submission
				var want []step
				for _, b := range boards {
					if i < len(b.steps) {
						batch, want = append(batch, ordered(p, b.name, b.steps[i].score)), append(want, b.steps[i])
					}
				}

				for j, o := range store(t, f.Ledger, batch...).Outcomes {
					if want[j].want == taken {
						require.NoError(t, o.Err, "step %d of %s", i, batch[j].Board)
						continue
					}
					require.Equal(t, leaderboard.CodeImprovementTooLarge, leaderboard.CodeOf(o.Err), "step %d of %s", i, batch[j].Board)
					require.ErrorContains(t, o.Err, "by 10 at the most")
					require.ErrorContains(t, o.Err, "scores are from -1000 to 1000")
				}
				if save {
					ledgertest.SaveStandings(t, f.Ledger)
				}
			}
			requireSound(t, f.Ledger)
		})
	}
}

// A player's bound follows the standing of all players, not that of the segment, and not that of
// another season.
func TestABoundIsOfTheStandingOfAllTime(t *testing.T) {
	f := ledgertest.New(t, server, boundedBoards(t), postgres.Options{})
	p := f.Players(t, 1)[0]
	id := p.ID
	move := func(country string) {
		require.NoError(t, f.Ledger.SetAttributes(t.Context(), id, 1, map[string]string{"country": country}))
		_, err := f.Ledger.LoadCatalog(t.Context())
		require.NoError(t, err)
	}

	move("DE")
	require.NoError(t, store(t, f.Ledger, ordered(p, "split", 500)).Outcomes[0].Err)
	move("FR")
	require.NoError(t, store(t, f.Ledger, ordered(p, "split", 100)).Outcomes[0].Err)
	move("DE") // where the player's score is 500
	require.Error(t, store(t, f.Ledger, ordered(p, "split", 500)).Outcomes[0].Err)
	require.NoError(t, store(t, f.Ledger, ordered(p, "split", 110)).Outcomes[0].Err)

	conn := f.Connect(t)
	require.NoError(t, store(t, f.Ledger, ordered(p, "weekly", 500)).Outcomes[0].Err)
	_, err := conn.Exec(t.Context(), "UPDATE window_seasons SET opens_at = opens_at - interval '8 days', closes_at = now() - interval '1 hour' WHERE board = $1 AND ordinal = 1", f.Board(t, "weekly").Number)
	require.NoError(t, err)
	require.Error(t, store(t, f.Ledger, ordered(p, "weekly", 511)).Outcomes[0].Err, "the season is over, the bound is not")
}

func TestARepetitionIsNotHeldToTheBound(t *testing.T) {
	f := ledgertest.New(t, server, boundedBoards(t), postgres.Options{})
	p := f.Players(t, 1)[0]
	keyed := func(key string, score int64) leaderboard.Submission {
		s := ordered(p, "rating", score)
		s.IdempotencyKey = key
		return s
	}

	first := store(t, f.Ledger, keyed("first", 500)).Outcomes[0]
	require.NoError(t, first.Err)
	require.NoError(t, store(t, f.Ledger, keyed("worse", 100)).Outcomes[0].Err)
	again := store(t, f.Ledger, keyed("first", 500)).Outcomes[0]
	require.NoError(t, again.Err)
	require.True(t, again.Replayed)
	require.Equal(t, first.Event, again.Event)
	require.Equal(t, leaderboard.CodeKeyReused, leaderboard.CodeOf(store(t, f.Ledger, keyed("first", 501)).Outcomes[0].Err))
	require.Equal(t, leaderboard.CodeImprovementTooLarge, leaderboard.CodeOf(store(t, f.Ledger, keyed("another", 500)).Outcomes[0].Err))
	require.NoError(t, store(t, f.Ledger, keyed("another", 110)).Outcomes[0].Err, "a refusal is not remembered")
}

// A bound holds from what players have when it comes, wherever that is: in the standings, or in
// the log alone, or stored by a server that did not know of the bound yet.
func TestABoundBeginsWithWhatThereIs(t *testing.T) {
	f, arena := refoldFixture(t, postgres.Options{})
	other := f.Open(t, postgres.Options{})
	late, err := other.LoadCatalog(t.Context())
	require.NoError(t, err)
	require.False(t, late.Global().BoundsImprovement())
	players := f.Players(t, 3)
	saved, unsaved, stale := players[0], players[1], players[2]

	store(t, f.Ledger, ledgertest.Submission(saved, "arena", 500))
	ledgertest.SaveStandings(t, f.Ledger)
	store(t, f.Ledger, ledgertest.Submission(unsaved, "arena", 500))
	arena.MaxImprovement = 10
	configure(t, f.Ledger, arena)
	require.NoError(t, store(t, other, ledgertest.Submission(stale, "arena", 500)).Outcomes[0].Err)
	for _, p := range players {
		require.Error(t, store(t, f.Ledger, ordered(p, "arena", 511)).Outcomes[0].Err)
		require.NoError(t, store(t, f.Ledger, ordered(p, "arena", 510)).Outcomes[0].Err)
		require.Error(t, store(t, other, ordered(p, "arena", 521)).Outcomes[0].Err, "it knows by now")
	}
	requireSound(t, f.Ledger)

	// Where it is taken away for a while, what comes then counts.
	arena.MaxImprovement = 0
	configure(t, f.Ledger, arena)
	require.NoError(t, store(t, f.Ledger, ledgertest.Submission(saved, "arena", 800)).Outcomes[0].Err)
	arena.MaxImprovement = 10
	configure(t, f.Ledger, arena)
	require.NoError(t, store(t, f.Ledger, ordered(saved, "arena", 810)).Outcomes[0].Err)
	require.Error(t, store(t, f.Ledger, ordered(saved, "arena", 821)).Outcomes[0].Err)
	requireSound(t, f.Ledger)
}

// Once servers know of a bound and the standings have what was stored before it, the log is not
// read any more.
func TestTheLogIsReadForAShortTimeOnly(t *testing.T) {
	f, arena := refoldFixture(t, postgres.Options{})
	arena.MaxImprovement = 10
	configure(t, f.Ledger, arena)
	conn, p := f.Connect(t), f.Players(t, 1)[0]
	reads := func() bool {
		var due bool
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT b.bounded_since > now() - interval '1 minute' OR b.bounded_xid >= l.checkpoint FROM boards b, ledger_state l WHERE b.name = 'arena'`).Scan(&due))
		return due
	}

	require.True(t, reads())
	_, err := conn.Exec(t.Context(), "UPDATE boards SET bounded_since = now() - interval '2 minutes' WHERE name = 'arena'")
	require.NoError(t, err)
	require.True(t, reads(), "the standings may lack what came before")
	store(t, f.Ledger, ordered(p, "arena", 1))
	ledgertest.SaveStandings(t, f.Ledger)
	require.False(t, reads())

	// An event that nothing but the log knows shows that it is not read.
	_, err = conn.Exec(t.Context(), "INSERT INTO score_events (id, player, score, board, xid) SELECT nextval('event_ids'), $1, 900, number, log_xid() FROM boards WHERE name = 'arena'", p.Number)
	require.NoError(t, err)
	require.Error(t, store(t, f.Ledger, ordered(p, "arena", 12)).Outcomes[0].Err)
	_, err = conn.Exec(t.Context(), "UPDATE boards SET bounded_since = now() WHERE name = 'arena'")
	require.NoError(t, err)
	require.NoError(t, store(t, f.Ledger, ordered(p, "arena", 12)).Outcomes[0].Err)
}

// Another order or scoring is made of all events, and the bound holds for what they make.
func TestABoundFollowsARefold(t *testing.T) {
	f, arena := refoldFixture(t, postgres.Options{})
	arena.MaxImprovement = 10
	configure(t, f.Ledger, arena)
	p := f.Players(t, 1)[0]
	for _, score := range []int64{500, 300, 400} {
		require.NoError(t, store(t, f.Ledger, ordered(p, "arena", score)).Outcomes[0].Err)
	}

	for _, next := range []struct {
		order         leaderboard.Order
		scoring       leaderboard.Scoring
		taken, beyond int64
	}{
		{leaderboard.Ascending, leaderboard.Best, 290, 279},
		{leaderboard.Descending, leaderboard.Latest, 300, 311},
		{leaderboard.Descending, leaderboard.Best, 510, 521},
	} {
		arena.Order, arena.Scoring = next.order, next.scoring
		work, err := f.Ledger.PrepareRefold(t.Context(), configure(t, f.Ledger, arena))
		require.NoError(t, err)
		finishRefold(t, f.Ledger, work)
		_, err = f.Ledger.LoadCatalog(t.Context())
		require.NoError(t, err)
		require.NoError(t, store(t, f.Ledger, ordered(p, "arena", next.taken)).Outcomes[0].Err, "%s %s", next.order, next.scoring)
		require.Error(t, store(t, f.Ledger, ordered(p, "arena", next.beyond)).Outcomes[0].Err, "%s %s", next.order, next.scoring)
	}
}

// What is voided counts for no bound, and a player who was taken off the board begins once more.
func TestABoundFollowsModeration(t *testing.T) {
	for name, save := range map[string]bool{"as it is": false, "saved": true} {
		t.Run(name, func(t *testing.T) {
			f := ledgertest.New(t, server, boundedBoards(t), postgres.Options{})
			p := f.Players(t, 1)[0]
			for _, board := range []string{"arena", "rating"} {
				require.NoError(t, store(t, f.Ledger, ordered(p, board, 500)).Outcomes[0].Err)
				voided := store(t, f.Ledger, ordered(p, board, 510)).Outcomes[0]
				require.NoError(t, voided.Err)
				moderate := func(m leaderboard.Moderation) {
					if save {
						ledgertest.SaveStandings(t, f.Ledger)
					}
					m.Actor, m.Player, m.Board, m.Reason = "tests", p.ID, board, "a reason"
					_, err := f.Ledger.Moderate(t.Context(), m)
					require.NoError(t, err)
				}

				moderate(leaderboard.Moderation{Action: leaderboard.Void, Event: voided.Event})
				require.Error(t, store(t, f.Ledger, ordered(p, board, 511)).Outcomes[0].Err)
				require.NoError(t, store(t, f.Ledger, ordered(p, board, 509)).Outcomes[0].Err)

				moderate(leaderboard.Moderation{Action: leaderboard.Remove})
				require.NoError(t, store(t, f.Ledger, ordered(p, board, 900)).Outcomes[0].Err)
				require.Error(t, store(t, f.Ledger, ordered(p, board, 911)).Outcomes[0].Err)
			}
			requireSound(t, f.Ledger)
		})
	}
}

// model is what a player has on a board.
type model struct {
	known bool
	score int64
}

// submit decides what becomes of a score.
func (m *model) submit(b leaderboard.Board, score int64) (taken bool) {
	gain := score - m.score
	if b.Order == leaderboard.Ascending {
		gain = -gain
	}
	if m.known && b.MaxImprovement > 0 && gain > b.MaxImprovement {
		return false
	}
	if !m.known || b.Scoring == leaderboard.Latest || gain > 0 {
		*m = model{true, score}
	}
	return true
}

// Whatever is submitted through whichever replica, is saved, or repeated, and whenever bounds come
// and go: what the ledger takes is what the model takes.
func TestBoundsDecideAsTheModel(t *testing.T) {
	boards := boundedBoards(t)
	f := ledgertest.New(t, server, boards, postgres.Options{})
	replicas := []*postgres.Ledger{f.Ledger, f.Open(t, postgres.Options{})}
	players := f.Players(t, 4)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	list := append([]leaderboard.Board(nil), boards.All()[1:]...)
	models := make(map[string]*model)
	refused := 0

	for step := range 400 {
		if random.IntN(25) == 0 {
			ledgertest.SaveStandings(t, f.Ledger)
		}
		if random.IntN(20) == 0 { // another bound, or none
			b := &list[random.IntN(len(list))]
			b.MaxImprovement = []int64{0, 1, 10, 25}[random.IntN(4)]
			changed, err := leaderboard.NewBoards(list...)
			require.NoError(t, err)
			changed, err = changed.WithAttributes(ledgertest.Attributes...)
			require.NoError(t, err)
			_, err = f.Ledger.SyncBoards(t.Context(), changed)
			require.NoError(t, err)
			_, err = replicas[1].LoadCatalog(t.Context())
			require.NoError(t, err)
		}

		var batch []leaderboard.Submission
		var on []leaderboard.Board
		for range 1 + random.IntN(6) {
			b := list[random.IntN(len(list))]
			s := ordered(players[random.IntN(len(players))], b.Name, random.Int64N(60)-30)
			if random.IntN(3) == 0 {
				s.IdempotencyKey = fmt.Sprint("step ", step, " ", len(batch))
			}
			batch, on = append(batch, s), append(on, b)
			if len(oncePerEntry(append([]leaderboard.Submission(nil), batch...))) < len(batch) {
				batch, on = batch[:len(batch)-1], on[:len(on)-1]
			}
		}

		outcomes := storeRepeating(t, replicas[random.IntN(2)], batch)
		for i, s := range batch {
			m := models[string(s.Player)+s.Board]
			if m == nil {
				m = &model{}
				models[string(s.Player)+s.Board] = m
			}
			before := *m
			if m.submit(on[i], s.Score) {
				require.NoError(t, outcomes[i].Err, "step %d, %s: %d after %v", step, s.Board, s.Score, before)
			} else {
				refused++
				require.Equal(t, leaderboard.CodeImprovementTooLarge, leaderboard.CodeOf(outcomes[i].Err), "step %d, %s: %d after %v", step, s.Board, s.Score, before)
			}
			if s.IdempotencyKey != "" && outcomes[i].Err == nil {
				again := storeRepeating(t, replicas[random.IntN(2)], []leaderboard.Submission{s})[0]
				require.True(t, again.Replayed)
				require.Equal(t, outcomes[i].Event, again.Event)
			}
		}
	}

	require.Positive(t, refused)
	requireSound(t, f.Ledger)
}

// However many submissions of one player race through two replicas, the first included, each is
// held to the standing that those before it made.
func TestRacesDoNotPassABound(t *testing.T) {
	patient := postgres.Options{LockTimeout: time.Minute}
	f := ledgertest.New(t, server, boundedBoards(t), patient)
	replicas := []*postgres.Ledger{f.Ledger, f.Open(t, patient)}
	names := []string{"arena", "race", "rating", "handicap", "weekly", "match"}
	const rounds, racers = 12, 6
	taken, refused := 0, 0

	for round := range rounds {
		players := f.Players(t, 4)
		outcomes := make([][]leaderboard.Outcome, racers)
		var group sync.WaitGroup
		for racer := range racers {
			group.Go(func() {
				var batch []leaderboard.Submission
				for i := range players { // each racer in another order
					p := players[(i+racer)%len(players)]
					for _, board := range names {
						batch = append(batch, ordered(p, board, int64(7*((racer*5+round)%racers))))
					}
				}
				outcomes[racer] = storeRepeating(t, replicas[racer%2], batch)
			})
		}
		group.Wait()
		for _, list := range outcomes {
			for _, o := range list {
				if o.Err == nil {
					taken++
				} else {
					refused++
					require.Equal(t, leaderboard.CodeImprovementTooLarge, leaderboard.CodeOf(o.Err))
				}
			}
		}
	}
	require.Positive(t, taken)
	require.Positive(t, refused)

	rows, err := f.Connect(t).Query(t.Context(), "SELECT player, board, score FROM score_events ORDER BY id")
	require.NoError(t, err)
	defer rows.Close()
	models := make(map[[2]int64]*model)
	counted := 0
	for rows.Next() {
		var player, board, score int64
		require.NoError(t, rows.Scan(&player, &board, &score))
		live, _ := f.Ledger.Catalog().Numbered(int32(board))
		m := models[[2]int64{player, board}]
		if m == nil {
			m = &model{}
			models[[2]int64{player, board}] = m
		}
		require.True(t, m.submit(live.Board, score), "%d on %s after %d", score, live.Name, m.score)
		counted++
	}
	require.NoError(t, rows.Err())
	require.Equal(t, taken, counted)
	requireSound(t, f.Ledger)
}

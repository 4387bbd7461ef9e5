package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

var server *stores.Postgres

func TestMain(m *testing.M) { os.Exit(stores.Main(m, &server, nil)) }

func newFixture(tb testing.TB, options postgres.Options) *ledgertest.Fixture {
	tb.Helper()
	return ledgertest.New(tb, server, ledgertest.Boards(tb, 1), options)
}

func store(tb testing.TB, ledger *postgres.Ledger, batch ...leaderboard.Submission) leaderboard.Stored {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	stored, err := ledger.Store(ctx, batch)
	require.NoError(tb, err)
	require.Len(tb, stored.Outcomes, len(batch))
	return stored
}

// requireSound folds the log into the standings and verifies them.
func requireSound(tb testing.TB, ledger *postgres.Ledger) {
	tb.Helper()
	ledgertest.SaveStandings(tb, ledger)
	mismatches, err := ledger.Verify(tb.Context(), 10)
	require.NoError(tb, err)
	require.Empty(tb, mismatches)
}

// standing reads one standing of the checkpoint; nil: there is none.
func standing(tb testing.TB, f *ledgertest.Fixture, board string, player leaderboard.PlayerName) *leaderboard.Standing {
	tb.Helper()
	var found *leaderboard.Standing
	none := func([]leaderboard.Event) error { return nil }
	require.NoError(tb, f.Ledger.ReadBoard(tb.Context(), f.Board(tb, board), 100, func(uint64, uint64) {}, func(chunk []leaderboard.Standing) error {
		for _, s := range chunk {
			if s.Player == player.Number {
				found = &s
			}
		}
		return nil
	}, none))
	return found
}

func TestStoreFoldsEveryScoring(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	for _, c := range []struct {
		board    string
		scores   []int64
		improved []bool
		want     []int64 // the standing after each
		tie      int     // which of the submissions reached the last
	}{
		{"speed", []int64{5, 3, 5, 9, -1}, nil, []int64{5, 5, 5, 9, 9}, 3},
		{"race", []int64{5, 3, 5, 9, 3}, nil, []int64{5, 3, 3, 3, 3}, 1},
		{"mood", []int64{5, 3, 3, 9, -1, -1}, []bool{true, false, false, true, false, false}, []int64{5, 3, 3, 9, -1, -1}, 4},
		{"mood", []int64{50, 40, 50}, []bool{true, false, true}, []int64{50, 40, 50}, 2},
		{"coins", []int64{5, 3, 0, -9, 0}, []bool{true, true, false, false, false}, []int64{5, 8, 8, -1, -1}, 3},
		{"golf", []int64{5, 3, 0, -9}, []bool{true, false, false, true}, []int64{5, 8, 8, -1}, 3},
		{"coins", []int64{0, 0}, []bool{true, false}, []int64{0, 0}, 0},
	} {
		t.Run(fmt.Sprint(c.board, c.scores), func(t *testing.T) {
			player := f.Players(t, 1)[0]
			board := f.Board(t, c.board)
			var events []int64

			for i, score := range c.scores {
				o := store(t, f.Ledger, ledgertest.Submission(player, c.board, score)).Outcomes[0]
				require.NoError(t, o.Err)
				require.Equal(t, leaderboard.EntryKey{Board: board.Number, Season: 1, Player: player.Number}, o.Entry)
				events = append(events, o.Event)
				if !board.Scoring.Ordered() {
					require.Nil(t, o.Standing, "a join needs no standing")
					continue
				}
				require.Equal(t, c.want[i], o.Standing.Score)
				require.Equal(t, c.improved[i], o.Improved, "submission %d", i)
				require.Equal(t, o.Event, o.Standing.Last)
			}

			ledgertest.SaveStandings(t, f.Ledger)
			s := standing(t, f, c.board, player)
			require.Equal(t, c.want[len(c.want)-1], s.Score)
			require.Equal(t, events[c.tie], s.Event, "the event that reached the score")
		})
	}
	requireSound(t, f.Ledger)
}

// Global has the best single score of the boards that count, with where it was made.
func TestGlobal(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	p := f.Players(t, 1)[0]
	stored := store(t, f.Ledger, ledgertest.Submission(p, "speed", 7), ledgertest.Submission(p, "race", 1000), ledgertest.Submission(p, "coins", 8),
		ledgertest.Submission(p, leaderboard.GlobalBoard, 8))
	require.Equal(t, f.Board(t, leaderboard.GlobalBoard).Number, stored.Outcomes[0].Global.Board)
	require.Zero(t, stored.Outcomes[1].Global, "an ascending board does not count")
	require.Zero(t, stored.Outcomes[3].Global, "it is for global itself")
	require.True(t, stored.Outcomes[0].Event < stored.Outcomes[1].Event && stored.Outcomes[1].Event < stored.Outcomes[2].Event, "events are in the batch's order")

	ledgertest.SaveStandings(t, f.Ledger)
	s := standing(t, f, leaderboard.GlobalBoard, p)
	require.Equal(t, int64(8), s.Score)
	require.Equal(t, f.Board(t, "coins").Number, s.Origin, "of equal scores the earlier one")
	require.Equal(t, stored.Outcomes[2].Event, s.Event)
	requireSound(t, f.Ledger)
}

func TestStoreRefusesOneAndKeepsTheOthers(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	players := f.Players(t, 3)
	conn := f.Connect(t)
	_, err := conn.Exec(t.Context(), "UPDATE players SET state = 'disabled' WHERE number = $1", players[1].Number)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "UPDATE players SET token_version = 2 WHERE number = $1", players[2].Number)
	require.NoError(t, err)
	stranger := leaderboard.PlayerName{ID: "01890000-0000-7000-8000-000000000000"}
	nobody := leaderboard.PlayerName{ID: "not a uuid"}
	batch := []leaderboard.Submission{
		ledgertest.Submission(players[0], "speed", 1), ledgertest.Submission(players[1], "speed", 1), ledgertest.Submission(players[2], "speed", 1),
		ledgertest.Submission(stranger, "speed", 1), ledgertest.Submission(nobody, "speed", 1), ledgertest.Submission(players[0], "nowhere", 1),
	}

	stored := store(t, f.Ledger, batch...)
	for i, code := range []leaderboard.Code{"", leaderboard.CodeForbidden, leaderboard.CodeUnauthenticated, leaderboard.CodeUnauthenticated,
		leaderboard.CodeUnauthenticated, leaderboard.CodeNoBoard} {
		require.Equal(t, code, leaderboard.CodeOf(stored.Outcomes[i].Err), "submission %d", i)
	}

	require.NotNil(t, stored.Outcomes[0].Global)
	requireSound(t, f.Ledger)
	var events int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM score_events").Scan(&events))
	require.Equal(t, 1, events)
}

func TestSumsStayWithinBounds(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	players := f.Players(t, 2)
	rich, other := players[0], players[1]
	store(t, f.Ledger, ledgertest.Submission(rich, "coins", leaderboard.MaxScore-5))
	stored := store(t, f.Ledger, ledgertest.Submission(rich, "coins", 6), ledgertest.Submission(other, "coins", 6))
	require.Equal(t, leaderboard.CodeOutOfRange, leaderboard.CodeOf(stored.Outcomes[0].Err))
	require.NoError(t, stored.Outcomes[1].Err)
	require.NoError(t, store(t, f.Ledger, ledgertest.Submission(rich, "coins", -6)).Outcomes[0].Err)
	require.Equal(t, int64(leaderboard.MaxScore), store(t, f.Ledger, ledgertest.Submission(rich, "coins", 11)).Outcomes[0].Standing.Score)
	requireSound(t, f.Ledger)
}

func TestABatchTakesOneOrderedSubmissionOfAnEntry(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	p := f.Players(t, 1)[0]
	_, err := f.Ledger.Store(t.Context(), []leaderboard.Submission{ledgertest.Submission(p, "coins", 1), ledgertest.Submission(p, "coins", 2)})
	require.ErrorContains(t, err, "two submissions of one player to board coins")
	store(t, f.Ledger, ledgertest.Submission(p, "coins", 1), ledgertest.Submission(p, "golf", 2), ledgertest.Submission(p, "speed", 1), ledgertest.Submission(p, "speed", 2))
	requireSound(t, f.Ledger)
}

// What would be refused now is answered with the first outcome if it was stored
// before.
func TestARepetitionIsNotRefused(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	p := f.Players(t, 1)[0]
	keyed := func(board, key string, score int64, refusal error) leaderboard.Submission {
		s := ledgertest.Submission(p, board, score)
		s.IdempotencyKey, s.Refusal = key, refusal
		return s
	}

	first := store(t, f.Ledger, keyed("coins", "sum", leaderboard.MaxScore, nil)).Outcomes[0]
	require.NoError(t, first.Err)
	again := store(t, f.Ledger, keyed("coins", "sum", leaderboard.MaxScore, nil)).Outcomes[0]
	require.NoError(t, again.Err, "the sum is at its bound by now")
	require.True(t, again.Replayed)
	require.Equal(t, first.Event, again.Event)
	require.Equal(t, leaderboard.CodeOutOfRange, leaderboard.CodeOf(store(t, f.Ledger, keyed("coins", "another", 1, nil)).Outcomes[0].Err))
	require.Equal(t, leaderboard.CodeKeyReused, leaderboard.CodeOf(store(t, f.Ledger, keyed("coins", "sum", 1, nil)).Outcomes[0].Err))

	narrowed := leaderboard.Errorf(leaderboard.CodeOutOfRange, "score", "the board has been narrowed")
	first = store(t, f.Ledger, keyed("speed", "wide", 500, nil)).Outcomes[0]
	again = store(t, f.Ledger, keyed("speed", "wide", 500, narrowed)).Outcomes[0]
	require.NoError(t, again.Err)
	require.Equal(t, first.Event, again.Event)
	require.ErrorIs(t, store(t, f.Ledger, keyed("speed", "fresh", 500, narrowed)).Outcomes[0].Err, narrowed)
	require.ErrorIs(t, store(t, f.Ledger, keyed("speed", "", 500, narrowed)).Outcomes[0].Err, narrowed)
	require.NoError(t, store(t, f.Ledger, keyed("speed", "fresh", 500, nil)).Outcomes[0].Err, "a refusal is not remembered")
	requireSound(t, f.Ledger)
}

func TestIdempotencyKeys(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	players := f.Players(t, 2)
	keyed := func(player leaderboard.PlayerName, key string, score int64) leaderboard.Submission {
		s := ledgertest.Submission(player, "speed", score)
		s.IdempotencyKey = key
		return s
	}

	first := store(t, f.Ledger, keyed(players[0], "k", 5)).Outcomes[0]
	require.False(t, first.Replayed)
	again := store(t, f.Ledger, keyed(players[0], "k", 5), keyed(players[0], "k", 6), keyed(players[1], "k", 6), keyed(players[0], "k2", 5), keyed(players[0], "k2", 5))
	require.Equal(t, leaderboard.Outcome{Event: first.Event, Entry: first.Entry, Global: first.Global, Replayed: true}, again.Outcomes[0])
	require.Equal(t, leaderboard.CodeKeyReused, leaderboard.CodeOf(again.Outcomes[1].Err))
	require.NoError(t, again.Outcomes[2].Err, "a key is the player's own")
	require.False(t, again.Outcomes[2].Replayed)
	require.False(t, again.Outcomes[3].Replayed)
	require.True(t, again.Outcomes[4].Replayed, "the same key twice in one batch")
	require.Equal(t, again.Outcomes[3].Event, again.Outcomes[4].Event)
	requireSound(t, f.Ledger)
}

// Two replicas get the same requests at the same time.
func TestConcurrentRepetitionsHaveOneOutcome(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	replicas := []*postgres.Ledger{f.Ledger, f.Open(t, postgres.Options{})}
	players := f.Players(t, 8)
	const rounds, copies = 20, 6

	for round := range rounds {
		outcomes := make([][]leaderboard.Outcome, copies)
		var group sync.WaitGroup
		for c := range copies {
			group.Go(func() {
				var batch []leaderboard.Submission
				for i := range players { // each copy in another order
					s := ledgertest.Submission(players[(i+c)%len(players)], "coins", 1)
					s.IdempotencyKey = fmt.Sprint("round ", round)
					batch = append(batch, s)
				}

				outcomes[c] = make([]leaderboard.Outcome, len(players))
				for i, o := range storeRepeating(t, replicas[c%2], batch) {
					outcomes[c][(i+c)%len(players)] = o
				}
			})
		}

		group.Wait()
		for i := range players {
			fresh := 0
			for c := range copies {
				require.NoError(t, outcomes[c][i].Err)
				require.Equal(t, outcomes[0][i].Event, outcomes[c][i].Event)
				if !outcomes[c][i].Replayed {
					fresh++
				}
			}
			require.Equal(t, 1, fresh)
		}
	}

	requireSound(t, f.Ledger)
	stored := store(t, f.Ledger, ledgertest.Submission(players[0], "coins", 0))
	require.Equal(t, int64(rounds), stored.Outcomes[0].Standing.Score)
}

// storeRepeating stores as the committer does: again after ErrRepeat.
func storeRepeating(tb testing.TB, ledger *postgres.Ledger, batch []leaderboard.Submission) []leaderboard.Outcome {
	for range 20 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		stored, err := ledger.Store(ctx, batch)
		cancel()
		if err == nil {
			return stored.Outcomes
		}
		if !errors.Is(err, leaderboard.ErrRepeat) {
			tb.Error(err)
			break
		}
	}

	tb.Error("the batch was never stored")
	return make([]leaderboard.Outcome, len(batch))
}

// oncePerEntry drops what a batch has no room for.
func oncePerEntry(batch []leaderboard.Submission) []leaderboard.Submission {
	type entry struct {
		player leaderboard.PlayerID
		board  string
	}
	seen := make(map[entry]bool)
	return slices.DeleteFunc(batch, func(s leaderboard.Submission) bool {
		key := entry{s.Player, s.Board}
		twice := s.Ordered && seen[key]
		seen[key] = true
		return twice
	})
}

// Whatever the interleaving, the standings are the fold of the events.
func TestStandingsAreTheFoldOfTheEvents(t *testing.T) {
	patient := postgres.Options{LockTimeout: time.Minute} // a deadlock is found before
	f := newFixture(t, patient)
	replicas := []*postgres.Ledger{f.Ledger, f.Open(t, patient)}
	players := f.Players(t, 12)
	boards := []string{"speed", "race", "mood", "coins", "golf", leaderboard.GlobalBoard}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var group sync.WaitGroup

	for worker := range 6 {
		random := rand.New(rand.NewPCG(seed, uint64(worker)))
		group.Go(func() {
			for range 60 {
				batch := make([]leaderboard.Submission, 1+random.IntN(40))
				for i := range batch {
					batch[i] = ledgertest.Submission(players[random.IntN(len(players))], boards[random.IntN(len(boards))], random.Int64N(7)-3)
				}
				batch = oncePerEntry(batch)
				for _, o := range storeRepeating(t, replicas[worker%2], batch) {
					if o.Err != nil {
						t.Error(o.Err)
					}
				}
			}
		})
	}

	group.Wait()
	requireSound(t, f.Ledger)
}

func TestVerifyFindsADifference(t *testing.T) {
	f := newFixture(t, postgres.Options{})
	players := f.Players(t, 2)
	store(t, f.Ledger, ledgertest.Submission(players[0], "race", 5), ledgertest.Submission(players[1], "race", 5))
	requireSound(t, f.Ledger)
	_, err := f.Connect(t).Exec(t.Context(), "UPDATE standings SET score = 4 WHERE player = $1", players[0].Number)
	require.NoError(t, err)
	mismatches, err := f.Ledger.Verify(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, mismatches, 1)
	require.Equal(t, players[0].Number, mismatches[0].Player)
}

// A player whose standing somebody holds locked fails alone and soon.
func TestALockedStandingIsRejectedSoon(t *testing.T) {
	f := newFixture(t, postgres.Options{LockTimeout: 50 * time.Millisecond})
	players := f.Players(t, 2)
	store(t, f.Ledger, ledgertest.Submission(players[0], "golf", 5))
	conn := f.Connect(t)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM standings WHERE player = $1 FOR UPDATE", players[0].Number)
	require.NoError(t, err)
	_, err = f.Ledger.Store(t.Context(), []leaderboard.Submission{ledgertest.Submission(players[1], "golf", 1), ledgertest.Submission(players[0], "golf", 1)})
	require.ErrorIs(t, err, leaderboard.ErrRejected)
	require.Equal(t, leaderboard.CodeUnavailable, leaderboard.CodeOf(err))
	store(t, f.Ledger, ledgertest.Submission(players[1], "golf", 1))
	require.NoError(t, tx.Rollback(t.Context()))
	store(t, f.Ledger, ledgertest.Submission(players[0], "golf", 1))
	requireSound(t, f.Ledger)
}

// Planning the statement costs more than running it for a small batch.
func TestTheBatchStatementIsPlannedAFewTimesOnly(t *testing.T) {
	for _, size := range []int{1, 300} {
		f := newFixture(t, postgres.Options{MaxConnections: 1})
		players := f.Players(t, 2000)
		for range 30 {
			batch := make([]leaderboard.Submission, size)
			for i := range batch {
				batch[i] = ledgertest.Submission(players[rand.IntN(len(players))], "speed", rand.Int64N(100))
			}
			store(t, f.Ledger, batch...)
		}

		custom, generic, err := f.Ledger.Plans(t.Context())
		require.NoError(t, err)
		require.Equal(t, int64(5), custom, "PostgreSQL's trial of custom plans")
		require.Equal(t, int64(25), generic)
	}
}

package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// limitedBoards have every kind of limit, one by one and together, on boards of several scorings.
func limitedBoards(tb testing.TB) leaderboard.Boards {
	tb.Helper()
	limited := func(name string, scoring leaderboard.Scoring, limits leaderboard.Limits) leaderboard.Board {
		return leaderboard.Board{Name: name, Order: leaderboard.Descending, Scoring: scoring, MinScore: -1000, MaxScore: 1000, CountsTowardGlobal: true,
			Shards: 1, Ranks: leaderboard.Ordinal, Windows: []leaderboard.Window{ledgertest.Window("daily", "daily")}, Limits: limits}
	}
	daily, all := leaderboard.Attempts{Window: "daily", Max: 4}, leaderboard.Attempts{Window: leaderboard.AllTime, Max: 7}
	every := limited("every", leaderboard.Best, leaderboard.Limits{PerMinute: 3, Cooldown: 5 * time.Second, Attempts: []leaderboard.Attempts{daily, all}})
	every.MaxImprovement, every.Segments = 2000, []string{"country"}
	weekly := limited("weekly", leaderboard.Sum, leaderboard.Limits{PerMinute: 2, Attempts: []leaderboard.Attempts{daily}})
	weekly.WindowsOnly = true

	boards, err := leaderboard.NewBoards(limited("minute", leaderboard.Best, leaderboard.Limits{PerMinute: 3}), limited("pause", leaderboard.Latest, leaderboard.Limits{Cooldown: 20 * time.Second}),
		limited("daily", leaderboard.Count, leaderboard.Limits{Attempts: []leaderboard.Attempts{daily}}), limited("all", leaderboard.First, leaderboard.Limits{Attempts: []leaderboard.Attempts{all}}),
		every, weekly, limited("free", leaderboard.Best, leaderboard.Limits{}))
	require.NoError(tb, err)
	boards, err = boards.WithAttributes(ledgertest.Attributes...)
	require.NoError(tb, err)
	return boards
}

// limitsFixture is a game with limits whose first seasons are open, and what has time pass.
type limitsFixture struct {
	*ledgertest.Fixture
	conn   *pgx.Conn
	boards leaderboard.Boards
}

func newLimitsFixture(t *testing.T, options postgres.Options) *limitsFixture {
	boards := limitedBoards(t)
	f := &limitsFixture{ledgertest.New(t, server, boards, options), nil, boards}
	f.conn = f.Connect(t)
	f.exec(t, "UPDATE window_seasons SET opens_at = now() - interval '1 hour', closes_at = now() + interval '1 hour'")
	f.reload(t, f.Ledger)
	return f
}

func (f *limitsFixture) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := f.conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// reload announces seasons that are due, and has the ledgers know them.
func (f *limitsFixture) reload(t *testing.T, ledgers ...*postgres.Ledger) {
	t.Helper()
	for _, l := range ledgers {
		_, err := l.SyncBoards(t.Context(), f.boards)
		require.NoError(t, err)
	}
}

// pass makes what was counted older.
func (f *limitsFixture) pass(t *testing.T, d time.Duration) {
	t.Helper()
	f.exec(t, "UPDATE submission_counts SET last_at = last_at - $1::interval, recent = ARRAY(SELECT t - $1::interval FROM unnest(recent) t ORDER BY t)", d)
}

// endSeasons ends the seasons that are open, and opens the next ones.
func (f *limitsFixture) endSeasons(t *testing.T, ledgers ...*postgres.Ledger) {
	t.Helper()
	f.reload(t, ledgers[0])
	f.exec(t, `UPDATE window_seasons SET opens_at = now() - interval '1 day', closes_at = now() - interval '1 second', closed_at = now()
		WHERE closed_at IS NULL AND opens_at <= now()`)
	f.exec(t, "UPDATE window_seasons SET opens_at = now() - interval '1 second', closes_at = now() + interval '1 hour' WHERE closed_at IS NULL")
	f.reload(t, ledgers...)
}

// requireSound verifies the standings of all time: those of the seasons are of other times than
// their events, as the fixture moves them.
func (f *limitsFixture) requireSound(t *testing.T) {
	t.Helper()
	ledgertest.SaveStandings(t, f.Ledger)
	mismatches, err := f.Ledger.Verify(t.Context(), 10_000)
	require.NoError(t, err)
	for _, m := range mismatches {
		require.NotEqual(t, int32(1), m.Season, "%v", m)
	}
}

func TestLimits(t *testing.T) {
	f := newLimitsFixture(t, postgres.Options{})
	p := f.Players(t, 1)[0]
	take := func(board string) leaderboard.Outcome {
		t.Helper()
		return store(t, f.Ledger, ordered(p, board, 1)).Outcomes[0]
	}
	left := func(o leaderboard.Outcome, limit string) leaderboard.Allowance {
		t.Helper()
		i := slices.IndexFunc(o.Allowances, func(a leaderboard.Allowance) bool { return a.Limit == limit })
		require.GreaterOrEqual(t, i, 0, "%s of %v", limit, o.Allowances)
		return o.Allowances[i]
	}
	taken := func(board, limit string, remaining int) {
		t.Helper()
		o := take(board)
		require.NoError(t, o.Err)
		require.Equal(t, remaining, left(o, limit).Remaining)
	}
	refused := func(board, limit string, atLeast, atMost time.Duration, message string) {
		t.Helper()
		o := take(board)
		require.Equal(t, leaderboard.CodeLimitExceeded, leaderboard.CodeOf(o.Err), "%v", o.Err)
		var e *leaderboard.Error
		require.ErrorAs(t, o.Err, &e)
		require.Contains(t, e.Message, message)
		require.GreaterOrEqual(t, e.RetryAfter, atLeast)
		require.LessOrEqual(t, e.RetryAfter, atMost)
		require.Zero(t, left(o, limit).Remaining)
		require.Equal(t, e.Allowances, o.Allowances)
		require.Equal(t, limit, e.Limit)
	}

	t.Run("a minute", func(t *testing.T) {
		for remaining := range 3 {
			taken("minute", "per-minute", 2-remaining)
			f.pass(t, 10*time.Second)
		}
		refused("minute", "per-minute", time.Second, 30*time.Second, "board minute limits the submissions of a player: there are 3 in any 60 s, and the next one is taken in ")
		f.pass(t, 30*time.Second)
		taken("minute", "per-minute", 0)
		refused("minute", "per-minute", time.Second, 10*time.Second, "3 in any 60 s")
		f.pass(t, time.Hour)
		taken("minute", "per-minute", 2)
	})
	t.Run("a cooldown", func(t *testing.T) {
		taken("pause", "cooldown", 0)
		refused("pause", "cooldown", time.Second, 20*time.Second, "there is one in 20 s, and the next one is taken in ")
		f.pass(t, 20*time.Second)
		taken("pause", "cooldown", 0)
	})
	t.Run("attempts in a season", func(t *testing.T) {
		for remaining := range 4 {
			taken("daily", "attempts-daily", 3-remaining)
		}
		refused("daily", "attempts-daily", time.Minute, time.Hour, "there are 4 in a season of the window daily, and the next one is taken in ")
		f.endSeasons(t, f.Ledger)
		taken("daily", "attempts-daily", 3)
	})
	t.Run("attempts of all time", func(t *testing.T) {
		for remaining := range 7 {
			taken("all", "attempts-all", 6-remaining)
		}
		f.endSeasons(t, f.Ledger)
		refused("all", "attempts-all", 0, 0, "there are 7 in all, and no further one is taken")
	})
	t.Run("together", func(t *testing.T) {
		taken("every", "attempts-all", 6)
		refused("every", "cooldown", time.Second, 5*time.Second, "one in 5 s")
		for range 2 {
			f.pass(t, 5*time.Second)
			require.NoError(t, take("every").Err)
		}
		refused("every", "per-minute", 5*time.Second, 50*time.Second, "3 in any 60 s") // which is what holds for longer
		f.pass(t, time.Hour)
		taken("every", "attempts-daily", 0)
		f.pass(t, time.Hour)
		refused("every", "attempts-daily", time.Minute, time.Hour, "4 in a season")
	})
	t.Run("none", func(t *testing.T) {
		for range 10 {
			o := take("free")
			require.NoError(t, o.Err)
			require.Nil(t, o.Allowances)
		}
	})
	t.Run("what is refused does not count", func(t *testing.T) {
		p = f.Players(t, 1)[0]
		tooMuch := ordered(p, "weekly", 1)
		tooMuch.Refusal = leaderboard.Errorf(leaderboard.CodeOutOfRange, "score", "out of range")
		for range 3 {
			require.Equal(t, leaderboard.CodeOutOfRange, leaderboard.CodeOf(store(t, f.Ledger, tooMuch).Outcomes[0].Err))
		}
		taken("weekly", "per-minute", 1)
	})
	t.Run("repetitions do not count", func(t *testing.T) {
		p = f.Players(t, 1)[0]
		keyed := ordered(p, "minute", 1)
		keyed.IdempotencyKey = "once"
		first := store(t, f.Ledger, keyed).Outcomes[0]
		for range 3 {
			again := store(t, f.Ledger, keyed).Outcomes[0]
			require.True(t, again.Replayed)
			require.Equal(t, 2, left(again, "per-minute").Remaining)
		}
		taken("minute", "per-minute", 1)
		taken("minute", "per-minute", 0)

		again := store(t, f.Ledger, keyed).Outcomes[0]
		require.NoError(t, again.Err, "what was stored is answered, whatever is left")
		require.Equal(t, first.Event, again.Event)
		keyed.IdempotencyKey = "another"
		require.Equal(t, leaderboard.CodeLimitExceeded, leaderboard.CodeOf(store(t, f.Ledger, keyed).Outcomes[0].Err))
		f.pass(t, time.Hour)
		require.NoError(t, store(t, f.Ledger, keyed).Outcomes[0].Err, "a refusal is not remembered")
	})
	t.Run("a batch that is older than the limits", func(t *testing.T) {
		_, err := f.Ledger.Store(t.Context(), []leaderboard.Submission{ordered(p, "minute", 1), ordered(p, "minute", 2)})
		require.ErrorIs(t, err, leaderboard.ErrRejected)
	})
	f.requireSound(t)
}

// Counts of what no limit asks for any more are deleted, and those of an open season are not.
func TestStaleCountsAreDeleted(t *testing.T) {
	f := newLimitsFixture(t, postgres.Options{})
	p := f.Players(t, 1)[0]
	names := []string{"minute", "pause", "daily", "all", "every", "weekly"}
	for _, board := range names {
		require.NoError(t, store(t, f.Ledger, ordered(p, board, 1)).Outcomes[0].Err)
	}
	kept := func() []string {
		require.NoError(t, f.Ledger.Maintain(t.Context()))
		rows, err := f.conn.Query(t.Context(), "SELECT b.name FROM submission_counts c JOIN boards b ON b.number = c.board ORDER BY array_position($1::text[], b.name)", names)
		require.NoError(t, err)
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return list
	}

	f.pass(t, 7*24*time.Hour)
	require.Equal(t, names, kept())
	f.pass(t, 2*24*time.Hour)
	require.Equal(t, []string{"daily", "all", "every", "weekly"}, kept())
	f.endSeasons(t, f.Ledger)
	require.Equal(t, []string{"all", "every"}, kept())
	f.exec(t, "UPDATE boards SET limits = NULL WHERE name = 'all'")
	require.Equal(t, []string{"every"}, kept())

	record := leaderboard.Moderation{Action: leaderboard.Erase, Actor: "tests", Player: p.ID, Reason: "a reason"}
	_, err := f.Ledger.Erase(t.Context(), record, nil)
	require.NoError(t, err)
	require.Empty(t, kept())
}

// limitModel is what a player has submitted to a board.
type limitModel struct {
	board leaderboard.Board
	taken []time.Time
	// season and all are how many there were.
	season, all int
}

// remaining is how many more are taken at a time.
func (m *limitModel) remaining(at time.Time) int {
	within := func(d time.Duration) (n int) {
		for _, t := range m.taken {
			if at.Sub(t) < d {
				n++
			}
		}
		return n
	}
	left := 1 << 30
	if n := m.board.Limits.PerMinute; n > 0 {
		left = min(left, n-within(time.Minute))
	}
	if pause := m.board.Limits.Cooldown; pause > 0 {
		left = min(left, 1-min(within(pause), 1))
	}
	for _, a := range m.board.Limits.Attempts {
		used := m.season
		if a.Window == leaderboard.AllTime {
			used = m.all
		}
		left = min(left, a.Max-used)
	}
	return max(left, 0)
}

// However many submissions of a player race through two servers, with keys or without, over the
// end of a season: as many are taken as the limits leave room for, no more, and no fewer.
func TestLimitsDecideAsTheModel(t *testing.T) {
	patient := postgres.Options{LockTimeout: time.Minute}
	f := newLimitsFixture(t, patient)
	replicas := []*postgres.Ledger{f.Ledger, f.Open(t, patient)}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const rounds, racers = 40, 6
	now := func() (now time.Time) {
		require.NoError(t, f.conn.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now))
		return now
	}

	var players []leaderboard.PlayerName
	models := make(map[string]*limitModel)
	taken, refused, replayed := 0, 0, 0
	for round := range rounds {
		if round%10 == 0 { // whose first submissions race
			players = f.Players(t, 3)
			for _, p := range players {
				for _, b := range f.boards.All()[1:] {
					models[string(p.ID)+b.Name] = &limitModel{board: b}
				}
			}
		}
		if round%13 == 12 {
			f.endSeasons(t, replicas...)
			for _, m := range models {
				m.season = 0
			}
		}

		before := now()
		batches, outcomes := make([][]leaderboard.Submission, racers), make([][]leaderboard.Outcome, racers)
		for racer := range batches {
			for _, p := range players {
				for _, b := range f.boards.All()[1:] {
					s := ordered(p, b.Name, random.Int64N(100))
					switch random.IntN(4) {
					case 0: // the same as another racer's
						s.Score, s.IdempotencyKey = 5, fmt.Sprint(round, b.Name, random.IntN(3))
					case 1:
						s.IdempotencyKey = fmt.Sprint(round, b.Name, "racer", racer)
					case 2:
						continue
					}
					batches[racer] = append(batches[racer], s)
				}
			}
			random.Shuffle(len(batches[racer]), func(i, j int) { batches[racer][i], batches[racer][j] = batches[racer][j], batches[racer][i] })
		}
		var group sync.WaitGroup
		for racer := range racers {
			group.Go(func() { outcomes[racer] = storeRepeating(t, replicas[racer%2], batches[racer]) })
		}
		group.Wait()
		after := now()

		events, lost := make(map[string][]int64), make(map[string]int)
		for racer, list := range outcomes {
			for i, o := range list {
				entry := string(batches[racer][i].Player) + batches[racer][i].Board
				switch {
				case o.Err != nil:
					require.Equal(t, leaderboard.CodeLimitExceeded, leaderboard.CodeOf(o.Err), "%v", o.Err)
					lost[entry]++
					refused++
				case o.Replayed:
					replayed++
				default:
					events[entry] = append(events[entry], o.Event)
					taken++
				}
			}
		}
		for entry, m := range models {
			if m.board.Name == "free" {
				require.Zero(t, lost[entry])
				continue
			}
			most, least := m.remaining(after), m.remaining(before)
			require.LessOrEqual(t, len(events[entry]), most, "round %d, %s", round, m.board.Name)
			if lost[entry] > 0 {
				require.GreaterOrEqual(t, len(events[entry]), least, "round %d, %s: one was refused for which there was room", round, m.board.Name)
			}
			for _, event := range events[entry] {
				var at time.Time
				require.NoError(t, f.conn.QueryRow(t.Context(), "SELECT at FROM score_events WHERE id = $1", event).Scan(&at))
				m.taken = append(m.taken, at)
				m.season++
				m.all++
			}
		}

		passed := time.Duration(random.IntN(30)) * time.Second
		f.pass(t, passed)
		for _, m := range models {
			for i := range m.taken {
				m.taken[i] = m.taken[i].Add(-passed)
			}
		}
	}

	require.Positive(t, taken)
	require.Positive(t, refused)
	require.Positive(t, replayed)
	f.requireSound(t)
}

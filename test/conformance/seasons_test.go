package conformance

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// endSeason ends the open season of the board's window daily as soon as it may. It waits until there is one.
func (t *Tenant) endSeason(tb testing.TB, board string) time.Time {
	tb.Helper()
	conn := t.Connect(tb)
	var ends *time.Time
	require.Eventually(tb, func() bool {
		require.NoError(tb, conn.QueryRow(context.Background(), "SELECT end_season($1, 'daily', NULL, '-infinity')", board).Scan(&ends))
		return ends != nil
	}, time.Minute, 50*time.Millisecond, "a season of board %s is open", board)
	return *ends
}

// closed waits until a season of the window daily is closed.
func (t *Tenant) closed(tb testing.TB, board leaderboard.LiveBoard, ordinal int32) (season leaderboard.Season) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		var ok bool
		var err error
		season, ok, err = t.Ledger.Results().Season(context.Background(), board, "daily", ordinal)
		return err == nil && ok && season.Closed()
	}, time.Minute, 10*time.Millisecond, "season %d of board %s", ordinal, board.Name)
	return season
}

// Scores come in all the time while seasons end, on every kind of board, and the leader
// changes: what counts where is for the events' times to say, and nothing is lost or twice.
func TestSeasonsEndWhileScoresComeIn(t *testing.T) {
	tenant := NewTenant(t, pg, rdb, 3)
	replicas := []*Replica{tenant.Start(t), tenant.Start(t), tenant.Start(t)}
	players := tenant.Players(t, 60)
	model := NewModel(tenant.Catalog)
	tenant.RequireEqual(t, replicas[0].Ranking, model, players[:1])

	boards := []string{"speed", "race", "mood", "coins", "sprint", "debut", "plays", "tuple", "rating", "podium", leaderboard.GlobalBoard}
	for ordinal := int32(1); ordinal <= 2; ordinal++ {
		var over sync.WaitGroup
		stop := make(chan struct{})
		var all []stored
		over.Go(func() {
			for seed := uint64(ordinal) << 32; ; seed++ {
				all = append(all, round(t, tenant, replicas, players, seed, 40)...)
				select {
				case <-stop:
					return
				default:
				}
			}
		})

		var ends time.Time
		for _, name := range boards {
			ends = tenant.endSeason(t, name)
		}
		replicas[ordinal].Drop.Store(true) // one never applies what it stored
		eventually(t, "the seasons are over", func() bool { return tenant.now(t).After(ends.Add(time.Second)) })
		close(stop)
		over.Wait()
		replicas[ordinal].Drop.Store(false)

		sortByEvent(all)
		for _, s := range all {
			model.Submit(s.board, s.player, s.score, s.columns, s.receipt.Event)
		}
		for _, name := range boards {
			season := tenant.closed(t, tenant.Board(t, name), ordinal)
			require.NotZero(t, season.Entries, name)
		}
		tenant.RequireEqual(t, replicas[0].Ranking, model, players)
	}
}

// now is the time by the ledger's clock.
func (t *Tenant) now(tb testing.TB) (now time.Time) {
	tb.Helper()
	catalog, err := t.Ledger.LoadCatalog(tb.Context())
	require.NoError(tb, err)
	return catalog.Now()
}

// A week without anybody: every season that was missed is there, in order, each with its
// own results, and the one that is open begins where the last one ended.
func TestMissedSeasonsAreClosedInOrder(t *testing.T) {
	tenant := NewTenant(t, pg, rdb, 1)
	player := tenant.Players(t, 1)[0]
	speed, coins := tenant.Board(t, "speed"), tenant.Board(t, "coins")

	// As it would be: a season of long ago with scores, and nobody who closed it.
	conn := tenant.Connect(t)
	for _, sql := range []string{
		"DELETE FROM window_seasons WHERE ordinal > 1 AND name = 'daily' AND board = ANY ($1)",
		"UPDATE window_seasons SET opens_at = now() - interval '7 days 1 hour', closes_at = date_trunc('day', now() - interval '6 days') WHERE name = 'daily' AND board = ANY ($1)",
	} {
		_, err := conn.Exec(t.Context(), sql, []int32{speed.Number, coins.Number})
		require.NoError(t, err)
	}
	_, err := conn.Exec(t.Context(), `INSERT INTO score_events (id, at, player, score, board)
		SELECT nextval('event_ids'), now() - interval '7 days', $1, 77, $2`, player.Number, speed.Number)
	require.NoError(t, err)

	r := tenant.Start(t)
	last := tenant.closed(t, speed, 7)
	for ordinal := int32(1); ordinal <= 7; ordinal++ {
		season := tenant.closed(t, speed, ordinal)
		require.Equal(t, ordinal == 1, season.Entries == 1, "season %d has %d entries", ordinal, season.Entries)
		require.False(t, season.ClosedAt.After(last.ClosedAt), "season %d was closed after the last one", ordinal)
		if next, ok, err := tenant.Ledger.Results().Season(t.Context(), speed, "daily", ordinal+1); ok {
			require.NoError(t, err)
			require.Equal(t, season.Closes, next.Opens)
		}
	}

	first := tenant.closed(t, speed, 1)
	entry, err := tenant.Ledger.Results().Rank(t.Context(), speed.In(first.Number), player.Number)
	require.NoError(t, err)
	require.NotZero(t, entry.Event)
	require.Equal(t, leaderboard.OwnEntry{Total: 1,
		RankingEntry: leaderboard.RankingEntry{Rank: 1, Place: 1, Player: player.Number, Score: 77, Event: entry.Event, Origin: speed.Number}}, entry)

	// The present season works at once.
	for _, board := range []leaderboard.LiveBoard{speed, coins} {
		receipt := commitOne(t, r, ledgertest.Submission(player, board.Name, 5))
		require.NotZero(t, receipt.Event)
		eventually(t, "the season that is open has the score", func() bool {
			catalog := r.Ledger.Catalog()
			live, err := catalog.Lookup(board.Name)
			require.NoError(t, err)
			season, ok := live.SeasonAt("daily", catalog.Now())
			if !ok {
				return false
			}
			entry, err := r.Ranking.Rank(context.Background(), live.In(season.Number), player.Number)
			return err == nil && entry.Score == 5
		})
	}
}

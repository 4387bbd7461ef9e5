package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

type boards struct{ catalog *leaderboard.Catalog }

func (b boards) Catalog() *leaderboard.Catalog { return b.catalog }

func testBoard(shards int) leaderboard.LiveBoard {
	board := leaderboard.Global()
	board.Shards = shards
	return leaderboard.LiveBoard{Board: board, Number: 1, Season: 1, Active: true}
}

// entry is a standing on that board.
func entry(player, score, event int64, origin int32) leaderboard.Standing {
	return leaderboard.Single(leaderboard.EntryKey{Board: 1, Season: 1, Player: player}, score, event, origin)
}

func watermark(xid int) string { return fmt.Sprintf("%020d", xid) }

func newRanking(t *testing.T, shards int) (*Ranking, *goredis.Client) {
	t.Helper()
	return newRankingWith(t, testBoard(shards))
}

// newRankingOf makes a ranking of a board with this order and scoring, and so many columns
// of either order in turn.
func newRankingOf(t *testing.T, order leaderboard.Order, scoring leaderboard.Scoring, columns int) (*Ranking, leaderboard.LiveBoard) {
	t.Helper()
	board := testBoard(1)
	board.Order, board.Scoring = order, scoring
	for i := range columns {
		board.Columns = append(board.Columns, leaderboard.Column{Order: []leaderboard.Order{leaderboard.Ascending, leaderboard.Descending}[i%2]})
	}
	r, _ := newRankingWith(t, board)
	r.prefix += string(order) + string(scoring)
	return r, board
}

func newRankingWith(t *testing.T, board leaderboard.LiveBoard) (*Ranking, *goredis.Client) {
	t.Helper()
	catalog, err := leaderboard.NewCatalog([]leaderboard.LiveBoard{board})
	require.NoError(t, err)
	client := server.Client()
	t.Cleanup(func() { _ = client.Close() })
	r, err := New(Options{Client: client, Prefix: "lb:" + t.Name() + ":", Boards: boards{catalog}, Timeout: time.Minute})
	require.NoError(t, err)

	return r, client
}

// begin starts a session on a shard that has no watermark.
func begin(tb testing.TB, r *Ranking, s shard) leaderboard.RankingSession {
	tb.Helper()
	session, err := r.Begin(tb.Context(), s.Shard, leaderboard.SessionStart{Ledger: "ledger", Repair: true})
	require.NoError(tb, err)
	return session
}

// fill makes a ranking of n players, player i with score i, complete.
func fill(t *testing.T, r *Ranking, board leaderboard.LiveBoard, n int64) {
	t.Helper()
	for _, s := range shardsOf(board) {
		session := begin(t, r, s)
		var chunk []leaderboard.Standing

		for player := int64(1); player <= n; player++ {
			if leaderboard.ShardIndex(player, board.Shards) == s.Index {
				chunk = append(chunk, entry(player, player, player, 1))
			}
		}

		require.NoError(t, session.Apply(t.Context(), chunk))
		require.NoError(t, session.Finish(t.Context(), watermark(100), nil))
	}
}

// Many callers, some of whom leave: each gets their own answer, and none waits for ever.
func TestConcurrentRanks(t *testing.T) {
	for _, shards := range []int{1, 3} {
		r, _ := newRanking(t, shards)
		board := testBoard(shards)
		const n = 1000

		if shards == 1 {
			fill(t, r, board, n)
		} else {
			r.prefix += "3:"
			fill(t, r, board, n)
		}

		var group sync.WaitGroup
		for range 300 {
			group.Go(func() {
				for range 20 {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					leaves := rand.IntN(4) == 0
					if leaves {
						cancel()
						ctx, cancel = context.WithTimeout(context.Background(), time.Duration(rand.IntN(1000))*time.Microsecond)
					}

					player := 1 + rand.Int64N(n+10)
					entry, err := r.Rank(ctx, board, player)
					cancel()

					switch {
					case leaves && leaderboard.CodeOf(err) == leaderboard.CodeRankingUnavailable && errors.Is(err, context.DeadlineExceeded):
					case player > n:
						if leaderboard.CodeOf(err) != leaderboard.CodeNoEntry {
							t.Errorf("player %d: %v", player, err)
						}
					case err != nil || entry.Player != player || entry.Rank != n-player+1:
						t.Errorf("player %d: %+v, %v", player, entry, err)
					}
				}
			})
		}

		group.Wait()
		require.Empty(t, r.ranks.waiting)
		require.False(t, r.ranks.underWay)
	}
}

// Answers overtake each other: one that is older than another but was asked for
// before it is no sign that Redis was put back.
func TestAnswersMayOvertakeEachOther(t *testing.T) {
	r, client := newRanking(t, 1)
	board := testBoard(1)
	fill(t, r, board, 1)
	s := shardsOf(board)[0]
	read := func() *call {
		c := r.newCall(functions.Page, s, 0, 0, 0, "o")
		require.NoError(t, r.pipeline(t.Context(), []*call{c}))
		return c
	}

	trust := func(c *call) error {
		_, err := r.trusted(c, 2)
		return err
	}
	slow := read()
	require.NoError(t, client.HSet(t.Context(), s.stateKey(r.prefix), "w", watermark(200)).Err())
	require.NoError(t, trust(read()))
	require.NoError(t, trust(slow), "asked for while 100 was the latest")

	require.NoError(t, client.HSet(t.Context(), s.stateKey(r.prefix), "w", watermark(100)).Err())
	require.Equal(t, leaderboard.CodeRankingUnavailable, leaderboard.CodeOf(trust(read())), "asked for after 200 was seen")
}

package redis

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

var server *stores.Redis

func TestMain(m *testing.M) { os.Exit(stores.Main(m, nil, &server)) }

func TestEntriesAreEncodedExactly(t *testing.T) {
	for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
		s := shard{leaderboard.Shard{ShardID: leaderboard.ShardID{Board: 1, Season: 1}, Of: 1, Fold: leaderboard.Fold{Order: order, Scoring: leaderboard.Best}}}
		for _, score := range []int64{0, 1, -1, leaderboard.MaxScore, -leaderboard.MaxScore} {
			for _, origin := range []int32{1, 2, 127, 128, math.MaxInt32} {
				standing := entry(1<<40-1, score, 1<<48-1, origin)
				e := s.encode(&standing)
				p, err := s.decode(string(e.member), e.score)
				require.NoError(t, err)
				require.Equal(t, ranked(standing), p.RankingEntry)
				require.Equal(t, s.oriented(score), p.order)
				require.Equal(t, string(e.member[:tieBytes]), p.key)

				tuple := shard{leaderboard.Shard{ShardID: s.ShardID, Of: 1, Fold: leaderboard.Fold{Order: order, Columns: [4]leaderboard.Order{"Ascending", "Descending"}}}}
				standing.Columns = leaderboard.Columns{score, -score}
				e = tuple.encode(&standing)
				p, err = tuple.decode(string(e.member), e.score)
				require.NoError(t, err)
				require.Equal(t, ranked(standing), p.RankingEntry)
				require.Equal(t, string(appendNumber(appendNumber(nil, score), score)), p.group().key)
			}
		}
	}

	s := shard{leaderboard.Shard{Of: 1}}
	// As Redis may write large integral doubles.
	first := leaderboard.Single(leaderboard.EntryKey{Player: 1}, 0, 1, 0)
	e := s.encode(&first)
	p, err := s.decode(string(e.member), "9.007199254740991e+15")
	require.NoError(t, err)
	require.Equal(t, int64(leaderboard.MaxScore), p.Score)

	for _, bad := range []struct{ member, score string }{{"short", "1"}, {string(e.member), "x"}, {string(e.member) + "\x80", "1"}} {
		_, err := s.decode(bad.member, bad.score)
		require.Error(t, err)
	}
}

// ranked is the entry that a standing makes, without its rank.
func ranked(s leaderboard.Standing) leaderboard.RankingEntry {
	return leaderboard.RankingEntry{Player: s.Player, Score: s.Score, Columns: s.Columns, Event: s.Event, Origin: s.Origin}
}

// Numbers have the order of their bytes, and are read as they were written.
func TestNumbersAreEncodedInTheirOrder(t *testing.T) {
	values := []int64{0, leaderboard.MaxScore, -leaderboard.MaxScore}
	for shift := range 53 {
		for _, near := range []int64{-1, 0, 1} {
			values = append(values, 1<<shift+near, -(1<<shift)+near)
		}
	}
	slices.Sort(values)
	values = slices.Compact(values)

	encoded := make([]string, len(values))
	for i, value := range values {
		encoded[i] = string(appendNumber(nil, value))
		require.LessOrEqual(t, len(encoded[i]), maxNumber)
		read, rest, ok := readNumber(encoded[i] + "rest")
		require.True(t, ok)
		require.Equal(t, value, read)
		require.Equal(t, "rest", rest)
		for n := range encoded[i] {
			_, _, ok := readNumber(encoded[i][:n])
			require.False(t, ok, "the first %d bytes of %d", n, value)
		}
	}
	require.True(t, slices.IsSorted(encoded))
}

func TestEveryPlayerHasAPlaceOfTheirOwn(t *testing.T) {
	for _, shards := range []int{1, 3, 16} {
		type place struct {
			shard         int
			bucket, field string
		}
		taken := make(map[place]int64)
		perBucket := make(map[place]int)

		for player := int64(1); player <= 10_000; player++ {
			index := leaderboard.ShardIndex(player, shards)
			bucket, field := shard{leaderboard.Shard{ShardID: leaderboard.ShardID{Index: index}, Of: shards}}.place("p:", player)
			p := place{index, bucket, field}

			if other, twice := taken[p]; twice {
				t.Fatalf("players %d and %d share %+v", other, player, p)
			}

			taken[p] = player
			perBucket[place{index, bucket, ""}]++
		}

		for p, n := range perBucket {
			require.LessOrEqual(t, n, bucketSize, "%+v", p)
		}
	}
}

// The extremes survive Redis, in order, and buckets stay compact.
func TestScoresAreExactInRedis(t *testing.T) {
	r, client := newRanking(t, 1)
	board := testBoard(1)
	scores := []int64{leaderboard.MaxScore, leaderboard.MaxScore - 1, 1 << 52, 1, 0, -1, -leaderboard.MaxScore + 1, -leaderboard.MaxScore}
	session := begin(t, r, shardsOf(board)[0])
	var chunk []leaderboard.Standing

	for i, score := range scores {
		chunk = append(chunk, entry(int64(i+1), score, int64(100-i), 1))
	}

	for player := int64(len(scores) + 1); player < bucketSize; player++ {
		chunk = append(chunk, entry(player, -leaderboard.MaxScore, 1000+player, math.MaxInt32))
	}

	require.NoError(t, session.Apply(t.Context(), chunk))
	require.NoError(t, session.Finish(t.Context(), watermark(5), nil))
	entries, total, err := r.Page(t.Context(), board, 0, int64(len(scores)))
	require.NoError(t, err)
	require.Equal(t, int64(bucketSize-1), total)

	for i, e := range entries {
		want := ranked(chunk[i])
		want.Rank, want.Place = int64(i+1), int64(i+1)
		require.Equal(t, want, e)
	}

	encoding, err := client.ObjectEncoding(t.Context(), shardsOf(board)[0].bucketKey(r.prefix, 0)).Result()
	require.NoError(t, err)
	require.Equal(t, "listpack", encoding)
}

// projection joins the standings and asks for all of them.
func projection(identity string, standings ...leaderboard.Standing) leaderboard.Projection {
	p := leaderboard.Projection{Identity: identity}
	for _, s := range standings {
		p.Changes = append(p.Changes, leaderboard.Change{Standing: s, Ask: true})
	}
	return p
}

// The function is the domain's join, whatever comes in whatever order, and knows what
// improved.
func TestApplyIsTheJoin(t *testing.T) {
	for _, scoring := range []leaderboard.Scoring{leaderboard.Best, leaderboard.First, leaderboard.Latest} {
		for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
			for columns := range 3 {
				t.Run(fmt.Sprintf("%s%s%d", scoring, order, columns), func(t *testing.T) { applyIsTheJoin(t, order, scoring, columns) })
			}
		}
	}
}

func applyIsTheJoin(t *testing.T, order leaderboard.Order, scoring leaderboard.Scoring, columns int) {
	t.Helper()
	r, board := newRankingOf(t, order, scoring, columns)
	fold := board.Fold()
	fill(t, r, board, 3)
	want := entry(2, 2, 2, 1)
	rapid.Check(t, func(rt *rapid.T) {
		s := entry(2, rapid.Int64Range(-3, 3).Draw(rt, "score"), rapid.Int64Range(1, 20).Draw(rt, "event"), 1)
		s.Last = s.Event + rapid.Int64Range(0, 3).Draw(rt, "repetitions")
		for i := range columns {
			s.Columns[i] = rapid.SampledFrom([]int64{0, 1, -1, 256, -256, leaderboard.MaxScore}).Draw(rt, "column")
		}
		before := want
		want = fold.Join(want, s)
		applied, err := r.Apply(t.Context(), projection("ledger", s))
		require.NoError(rt, err)
		require.Equal(rt, want.Score, applied[0].Score)
		require.Equal(rt, want.Columns, applied[0].Columns)
		if !scoring.Ordered() {
			require.Equal(rt, want.Event, applied[0].Event)
		}
		if scoring == leaderboard.Best {
			same := fold.Compare(s, before) == 0 && s.Event == before.Event
			require.Equal(rt, fold.Compare(want, before) < 0 || same, applied[0].Improved)
		}
	})

	_, total, err := r.Page(t.Context(), board, 0, 10)
	require.NoError(t, err)
	require.Equal(t, int64(3), total)
}

// Of several submissions of one entry in a batch, each is answered for what it
// improved, and all with the rank after the batch.
func TestABatchIsAppliedInItsOrder(t *testing.T) {
	r, _ := newRanking(t, 1)
	board := testBoard(1)
	fill(t, r, board, 3)
	applied, err := r.Apply(t.Context(), projection("ledger", entry(9, 1, 50, 1), entry(9, 7, 51, 1), entry(9, 5, 52, 1), entry(8, 7, 53, 1)))
	require.NoError(t, err)
	nine := leaderboard.RankingEntry{Rank: 1, Place: 1, Player: 9, Score: 7, Event: 51, Origin: 1}
	require.Equal(t, []leaderboard.Applied{
		{RankingEntry: nine, Improved: true}, {RankingEntry: nine, Improved: true}, {RankingEntry: nine},
		{RankingEntry: leaderboard.RankingEntry{Rank: 2, Place: 2, Player: 8, Score: 7, Event: 53, Origin: 1}, Improved: true},
	}, applied)
}

// A repetition is answered with an entry that reflects it, or not at all, and changes
// nothing.
func TestRepetitions(t *testing.T) {
	for _, scoring := range []leaderboard.Scoring{leaderboard.Best, leaderboard.First, leaderboard.Latest} {
		r, board := newRankingOf(t, leaderboard.Descending, scoring, 0)
		fill(t, r, board, 3)
		for name, c := range map[string]struct {
			s    leaderboard.Standing
			told bool
		}{
			"what is there":      {entry(2, 2, 2, 1), true},
			"better and earlier": {entry(2, 5, 1, 1), scoring == leaderboard.Latest},
			"better and later":   {entry(2, 5, 7, 1), scoring == leaderboard.First},
			"worse and later":    {entry(2, 1, 7, 1), scoring != leaderboard.Latest},
			"nobody's":           {entry(77, 1, 7, 1), false},
		} {
			applied, err := r.Apply(t.Context(), leaderboard.Projection{Identity: "ledger", Changes: []leaderboard.Change{{Standing: c.s, Ask: true, Repeated: true}}})
			require.NoError(t, err)
			require.Equal(t, c.told, applied[0].Rank != 0, name)
		}
		_, total, err := r.Page(t.Context(), board, 0, 10)
		require.NoError(t, err)
		require.Equal(t, int64(3), total)
	}
}

func TestAppliesOfAnotherLedgerAreRefused(t *testing.T) {
	r, _ := newRanking(t, 1)
	board := testBoard(1)
	fill(t, r, board, 3)

	_, err := r.Apply(t.Context(), projection("another ledger", entry(1, 77, 60, 1)))
	require.Error(t, err, "catch-up is to look")
	rank, err := r.Rank(t.Context(), board, 1)
	require.NoError(t, err)
	require.Equal(t, int64(1), rank.Score)
}

// A shard that lost a part is not served as a smaller one, and takes nothing.
func TestAShardThatLostAPartIsNotWhole(t *testing.T) {
	board := testBoard(1)
	for name, lose := range map[string]func(*goredis.Client, *Ranking, shard) error{
		"the entries": func(c *goredis.Client, r *Ranking, s shard) error {
			return c.Del(t.Context(), s.entriesKey(r.prefix)).Err()
		},
		"some entries": func(c *goredis.Client, r *Ranking, s shard) error {
			return c.ZRemRangeByRank(t.Context(), s.entriesKey(r.prefix), 0, 0).Err()
		},
		"the state": func(c *goredis.Client, r *Ranking, s shard) error {
			return c.Del(t.Context(), s.stateKey(r.prefix)).Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, client := newRanking(t, 1)
			woken := 0
			r.damaged = func() { woken++ }
			fill(t, r, board, 3)
			s := shardsOf(board)[0]
			require.NoError(t, lose(client, r, s))

			_, _, err := r.Page(t.Context(), board, 0, 10)
			require.Equal(t, leaderboard.CodeRankingUnavailable, leaderboard.CodeOf(err))
			_, err = r.Rank(t.Context(), board, 1)
			require.Equal(t, leaderboard.CodeRankingUnavailable, leaderboard.CodeOf(err))
			_, err = r.Apply(t.Context(), projection("ledger", entry(1, 77, 60, 1)))
			require.Error(t, err)
			require.Positive(t, woken)
			state := r.States(t.Context(), []leaderboard.Shard{s.Shard})[0]
			require.False(t, state.Whole && state.Watermark != "")
		})
	}
}

// A session that another one ended, or that Redis lost a part of, sets no watermark.
func TestSessionsHaveNoGaps(t *testing.T) {
	r, client := newRanking(t, 1)
	s := shardsOf(testBoard(1))[0]
	chunk := []leaderboard.Standing{entry(1, 1, 1, 1)}
	ctx := t.Context()
	apply := func(n leaderboard.RankingSession) error {
		if err := n.Apply(ctx, chunk); err != nil {
			return err
		}
		return n.Wait()
	}

	first := begin(t, r, s)
	require.NoError(t, apply(first))
	second := begin(t, r, s)
	require.ErrorIs(t, apply(first), leaderboard.ErrShardMoved)
	require.ErrorIs(t, first.Finish(ctx, watermark(5), nil), leaderboard.ErrShardMoved)

	require.NoError(t, apply(second))
	require.NoError(t, client.HSet(ctx, s.stateKey(r.prefix), "n", 0).Err()) // as an older copy has it
	require.ErrorIs(t, apply(second), leaderboard.ErrShardMoved)
	require.ErrorIs(t, second.Finish(ctx, watermark(5), nil), leaderboard.ErrShardMoved)

	require.NoError(t, begin(t, r, s).Finish(ctx, watermark(5), nil))
	_, err := r.Begin(ctx, s.Shard, leaderboard.SessionStart{Ledger: "ledger"})
	require.ErrorIs(t, err, leaderboard.ErrShardMoved, "the watermark is another")
	_, err = r.Begin(ctx, s.Shard, leaderboard.SessionStart{Ledger: "another ledger", Watermark: watermark(5)})
	require.ErrorIs(t, err, leaderboard.ErrShardMoved, "what is there is not thrown away unless asked")
}

// A shard remembers the transactions whose batches it has, until a session that went by
// them has ended; the session fails if Redis was put back since.
func TestShardsRememberWhatBatchesApplied(t *testing.T) {
	r, client := newRanking(t, 1)
	board := testBoard(1)
	fill(t, r, board, 3)
	s := shardsOf(board)[0]
	start := leaderboard.SessionStart{Ledger: "ledger", Watermark: watermark(100)}
	apply := func(xid uint64, task leaderboard.Change) {
		_, err := r.Apply(t.Context(), leaderboard.Projection{Identity: "ledger", Xid: xid, Changes: []leaderboard.Change{task}})
		require.NoError(t, err)
	}
	applied := func() []uint64 {
		state := r.States(t.Context(), []leaderboard.Shard{s.Shard})[0]
		require.NoError(t, state.Err)
		return state.Applied
	}
	finish := func(known ...uint64) error {
		session, err := r.Begin(t.Context(), s.Shard, start)
		require.NoError(t, err)
		return session.Finish(t.Context(), start.Watermark, known)
	}

	apply(1<<62, leaderboard.Change{Standing: entry(1, 10, 10, 1)})
	apply(7, leaderboard.Change{Standing: entry(2, 11, 11, 1), Ask: true})
	apply(8, leaderboard.Change{Standing: entry(2, 11, 11, 1), Repeated: true}) // it joins nothing
	require.Equal(t, []uint64{1 << 62, 7}, applied())
	require.NoError(t, finish(1<<62))
	require.Equal(t, []uint64{7}, applied())

	require.NoError(t, client.Del(t.Context(), s.appliedKey(r.prefix)).Err()) // as an older copy has it
	apply(9, leaderboard.Change{Standing: entry(3, 12, 12, 1)})
	require.ErrorIs(t, finish(7), leaderboard.ErrShardMoved)
	require.Equal(t, []uint64{9}, applied())
	_, err := r.Begin(t.Context(), s.Shard, leaderboard.SessionStart{Ledger: "ledger", Watermark: watermark(100), Repair: true})
	require.NoError(t, err)
	require.Empty(t, applied(), "a repair goes by the log alone")

	require.NoError(t, client.Set(t.Context(), s.appliedKey(r.prefix), strings.Repeat(encodeTransaction(1), 5000), 0).Err())
	apply(10, leaderboard.Change{Standing: entry(3, 13, 13, 1)})
	require.Len(t, applied(), 5000, "the list is bounded")
}

func TestNarrowNeverCrossesItsBounds(t *testing.T) {
	for _, sum := range []int64{-5, 0, 3, 6, 1000} {
		low, high := []int64{1, 2, 0}, []int64{4, 2, 9}
		narrow(low, high, []int64{sum, 1, sum - 1}, 0, 6)
		for i := range low {
			require.LessOrEqual(t, low[i], high[i], strconv.FormatInt(sum, 10))
		}
	}
}

// A Redis that lost its functions gets them again, where the server's user may load them.
func TestFunctionsAreLoadedAgain(t *testing.T) {
	r, client := newRanking(t, 1)
	board := testBoard(1)
	fill(t, r, board, 3)
	require.NoError(t, client.FunctionFlush(t.Context()).Err())
	rank, err := r.Rank(t.Context(), board, 1)
	require.NoError(t, err)
	require.Equal(t, int64(3), rank.Rank)
	require.NoError(t, client.FunctionFlush(t.Context()).Err())
	_, err = r.Apply(t.Context(), projection("ledger", entry(9, 0, 9, 1)))
	require.NoError(t, err)
}

func TestNewRefusesBadPrefixes(t *testing.T) {
	for _, prefix := range []string{"", "a{b", "a}b"} {
		_, err := New(Options{Client: goredis.NewClient(&goredis.Options{}), Boards: boards{}, Prefix: prefix})
		require.Error(t, err)
	}
}

// A shard that is forgotten leaves no key, whatever state it is in, nor does one of
// the old format.
func TestForgottenShardsLeaveNothing(t *testing.T) {
	r, client := newRanking(t, 3)
	board := testBoard(3)
	fill(t, r, board, 1000)
	_, err := r.BeginWalk(t.Context(), board)
	require.NoError(t, err)
	shards := shardsOf(board)
	require.NoError(t, client.Del(t.Context(), shards[1].entriesKey(r.prefix)).Err())
	for bucket := range 1200 {
		require.NoError(t, client.HSet(t.Context(), fmt.Sprintf("%s{global:1:0}:p:%d", r.prefix, bucket), "1", "x").Err())
	}
	require.NoError(t, client.HSet(t.Context(), r.prefix+"{global:1:0}:m", "b", 1199).Err())

	for _, s := range shards {
		require.NoError(t, r.Forget(t.Context(), s.Shard))
		require.NoError(t, r.Forget(t.Context(), s.Shard), "again")
	}
	left, err := client.Keys(t.Context(), r.prefix+"*").Result()
	require.NoError(t, err)
	require.Len(t, left, 1201, "the old format")
	require.NoError(t, r.ForgetOldFormat(t.Context(), shards[0].Shard))
	require.Empty(t, client.Keys(t.Context(), r.prefix+"*").Val())
}

// A season that is over may be forgotten when its board has fewer shards than it had.
func TestForgottenShardsOfAnOldLayoutLeaveNothing(t *testing.T) {
	r, client := newRanking(t, 3)
	fill(t, r, testBoard(3), 300)
	require.NotEmpty(t, client.Keys(t.Context(), r.prefix+"{global:1:2}*").Val())
	require.NoError(t, r.Forget(t.Context(), shardsOf(testBoard(1))[0].Shard))
	require.Empty(t, client.Keys(t.Context(), r.prefix+"*").Val())
}

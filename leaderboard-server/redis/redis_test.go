package redis

import (
	"math"
	"os"
	"strconv"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/stores"
)

var server *stores.Redis

func TestMain(m *testing.M) { os.Exit(stores.Main(m, nil, &server)) }

func TestEntriesAreEncodedExactly(t *testing.T) {
	for _, order := range []leaderboard.Order{leaderboard.Descending, leaderboard.Ascending} {
		s := shard{shardID: shardID{board: 1, season: 1}, of: 1, descending: order == leaderboard.Descending}
		for _, score := range []int64{0, 1, -1, leaderboard.MaxScore, -leaderboard.MaxScore} {
			for _, origin := range []int32{1, 2, 127, 128, math.MaxInt32} {
				standing := leaderboard.Standing{Board: 1, Season: 1, Player: 1<<40 - 1, Score: score, Event: 1<<48 - 1, Origin: origin, Version: math.MaxInt64}
				e := s.encode(&standing)
				p, err := s.decode(string(e.member), e.score)
				require.NoError(t, err)
				require.Equal(t, position{RankingEntry: leaderboard.RankingEntry{Player: standing.Player, Score: score, Origin: origin},
					order: s.oriented(score), tie: standing.Event}, p)
			}
		}
	}

	s := shard{of: 1}
	// As Redis may write large integral doubles.
	e := s.encode(&leaderboard.Standing{Player: 1, Event: 1})
	p, err := s.decode(string(e.member), "9.007199254740991e+15")
	require.NoError(t, err)
	require.Equal(t, int64(leaderboard.MaxScore), p.Score)

	for _, bad := range []struct{ member, score string }{{"short", "1"}, {string(e.member), "x"}, {string(e.member) + "\x80", "1"}} {
		_, err := s.decode(bad.member, bad.score)
		require.Error(t, err)
	}
}

func TestEveryPlayerHasAPlaceOfTheirOwn(t *testing.T) {
	for _, shards := range []int{1, 3, 16} {
		type place struct {
			shard  int
			bucket int64
			field  string
		}
		taken := make(map[place]int64)
		perBucket := make(map[place]int)

		for player := int64(1); player <= 10_000; player++ {
			index := shardIndex(player, shards)
			bucket, field := shard{shardID: shardID{index: index}, of: shards}.place(player)
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
	session, err := r.begin(t.Context(), shardsOf(board)[0], "ledger", "", false)
	require.NoError(t, err)
	var chunk []leaderboard.ChangedStanding

	for i, score := range scores {
		chunk = append(chunk, leaderboard.ChangedStanding{Standing: leaderboard.Standing{Board: 1, Season: 1, Player: int64(i + 1), Score: score,
			Event: int64(100 - i), Origin: 1, Version: 1 << 40}})
	}

	for player := int64(len(scores) + 1); player < bucketSize; player++ {
		chunk = append(chunk, leaderboard.ChangedStanding{Standing: leaderboard.Standing{Board: 1, Season: 1, Player: player, Score: -leaderboard.MaxScore,
			Event: 1000 + player, Origin: math.MaxInt32, Version: math.MaxInt32}})
	}

	require.NoError(t, session.apply(t.Context(), chunk))
	require.NoError(t, session.finish(t.Context(), formatXid(5)))
	entries, total, err := r.Page(t.Context(), board, 0, int64(len(scores)))
	require.NoError(t, err)
	require.Equal(t, int64(bucketSize-1), total)

	for i, e := range entries {
		require.Equal(t, leaderboard.RankingEntry{Rank: int64(i + 1), Player: int64(i + 1), Score: scores[i], Origin: 1}, e)
	}

	encoding, err := client.ObjectEncoding(t.Context(), shardsOf(board)[0].bucketKey(r.prefix, 0)).Result()
	require.NoError(t, err)
	require.Equal(t, "listpack", encoding)
}

// projection asks for the entries as they are, whatever they reflect.
func projection(identity string, xid uint64, standings ...leaderboard.Standing) leaderboard.Projection {
	p := leaderboard.Projection{Identity: identity, Xid: xid, Standings: standings}
	for _, s := range standings {
		p.Ask = append(p.Ask, leaderboard.Ask{EntryKey: s.Key(), Score: -leaderboard.MaxScore})
	}
	return p
}

func TestOnlyHigherVersionsReplace(t *testing.T) {
	r, _ := newRanking(t, 1)
	board := testBoard(1)
	fill(t, r, board, 3)
	standing := func(version, score int64, removed bool) leaderboard.Standing {
		return leaderboard.Standing{Board: 1, Season: 1, Player: 2, Score: score, Event: 50 + version, Origin: 7, Version: version, Removed: removed}
	}

	apply := func(s leaderboard.Standing) leaderboard.RankingEntry {
		t.Helper()
		entries, err := r.Apply(t.Context(), projection("ledger", 200, s))
		require.NoError(t, err)
		return entries[0]
	}
	require.Equal(t, leaderboard.RankingEntry{Rank: 1, Player: 2, Score: 10, Origin: 7}, apply(standing(300, 10, false)))
	require.Equal(t, int64(10), apply(standing(299, 20, false)).Score, "older")
	require.Equal(t, int64(10), apply(standing(300, 20, false)).Score, "the same again")
	require.Equal(t, int64(3), apply(standing(301, -5, false)).Rank)
	require.Zero(t, apply(standing(302, -5, true)).Rank)
	require.Zero(t, apply(standing(301, -5, false)).Rank, "a tombstone is not overtaken")
	_, total, err := r.Page(t.Context(), board, 0, 10)
	require.NoError(t, err)
	require.Equal(t, int64(2), total)
	require.Equal(t, int64(1), apply(standing(303, 99, false)).Rank)
}

func TestAppliesOfAnotherTimeAreRefused(t *testing.T) {
	r, _ := newRanking(t, 1)
	board := testBoard(1)

	fill(t, r, board, 3) // watermark 100
	s := leaderboard.Standing{Board: 1, Season: 1, Player: 1, Score: 77, Event: 60, Origin: 1, Version: 9}
	for name, p := range map[string]leaderboard.Projection{
		"another ledger":      projection("another ledger", 500, s),
		"below the watermark": projection("ledger", 99, s),
	} {
		_, err := r.Apply(t.Context(), p)
		require.NoError(t, err)
		entry, err := r.Rank(t.Context(), board, 1)
		require.NoError(t, err)
		require.Equal(t, int64(1), entry.Score, name)
	}

	entries, err := r.Apply(t.Context(), projection("ledger", 100, s))
	require.NoError(t, err)
	require.Equal(t, int64(77), entries[0].Score, "the watermark itself is not caught up")
}

// A session that another one ended, or that Redis lost a part of, sets no watermark.
func TestSessionsHaveNoGaps(t *testing.T) {
	r, client := newRanking(t, 1)
	s := shardsOf(testBoard(1))[0]
	chunk := []leaderboard.ChangedStanding{{Standing: leaderboard.Standing{Board: 1, Season: 1, Player: 1, Score: 1, Event: 1, Origin: 1, Version: 1}}}
	ctx := t.Context()
	apply := func(n *session) error {
		if err := n.apply(ctx, chunk); err != nil {
			return err
		}
		return n.wait()
	}

	first, err := r.begin(ctx, s, "ledger", "", false)
	require.NoError(t, err)
	require.NoError(t, apply(first))
	second, err := r.begin(ctx, s, "ledger", "", false)
	require.NoError(t, err)
	require.ErrorIs(t, apply(first), errInterrupted)
	require.ErrorIs(t, first.finish(ctx, formatXid(5)), errInterrupted)

	require.NoError(t, apply(second))
	require.NoError(t, client.HSet(ctx, s.stateKey(r.prefix), "n", 0).Err()) // as an older copy has it
	require.ErrorIs(t, apply(second), errInterrupted)
	require.ErrorIs(t, second.finish(ctx, formatXid(5)), errInterrupted)

	third, err := r.begin(ctx, s, "ledger", "", false)
	require.NoError(t, err)
	require.NoError(t, third.finish(ctx, formatXid(5)))
	_, err = r.begin(ctx, s, "ledger", "", false)
	require.ErrorIs(t, err, errInterrupted, "the watermark is another")
	_, err = r.begin(ctx, s, "another ledger", formatXid(5), false)
	require.ErrorIs(t, err, errInterrupted, "what is there is not thrown away unless asked")
}

func TestDiagnose(t *testing.T) {
	s := shard{of: 1}
	at := formatXid
	snapshot := leaderboard.Snapshot{Identity: "L", Xmin: 100, Xmax: 110}

	for name, c := range map[string]struct {
		is      shardState
		p       progress
		healthy bool
		from    uint64
		discard bool
	}{
		"as it was left":                       {shardState{identity: "L/1", watermark: at(90)}, progress{stored: at(90), upTo: 95}, true, 0, false},
		"a new leader":                         {shardState{identity: "L/1", watermark: at(90)}, progress{}, false, 90, false},
		"Redis was put back":                   {shardState{identity: "L/1", watermark: at(80)}, progress{stored: at(90), upTo: 95}, false, 80, false},
		"Redis was emptied":                    {shardState{}, progress{stored: at(90), upTo: 95}, false, 0, false},
		"emptied, and applied to":              {shardState{identity: "L/1"}, progress{stored: at(90), upTo: 95}, false, 0, false},
		"another ledger":                       {shardState{identity: "M/1", watermark: at(90)}, progress{}, false, 0, true},
		"another number of shards":             {shardState{identity: "L/2", watermark: at(90)}, progress{}, false, 0, true},
		"being thrown away":                    {shardState{identity: "~L/1"}, progress{}, false, 0, true},
		"PostgreSQL was put back":              {shardState{identity: "L/1", watermark: at(101)}, progress{}, false, 0, true},
		"PostgreSQL was put back since":        {shardState{identity: "L/1", watermark: at(90)}, progress{stored: at(90), upTo: 105}, false, 0, true},
		"numbers compare beyond 32 bits":       {shardState{identity: "L/1", watermark: at(1 << 33)}, progress{}, false, 0, true},
		"a watermark that is none of a ledger": {shardState{identity: "L/1", watermark: "x"}, progress{}, false, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := diagnose(s, c.is, &c.p, snapshot)
			require.Equal(t, c.healthy, r == nil)
			if r != nil {
				require.Equal(t, []any{c.from, c.discard}, []any{r.from, r.discard})
			}
		})
	}
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

// A Redis that lost its scripts gets them again.
func TestScriptsAreLoadedAgain(t *testing.T) {
	r, client := newRanking(t, 1)
	board := testBoard(1)
	fill(t, r, board, 3)
	require.NoError(t, client.ScriptFlush(t.Context()).Err())
	entry, err := r.Rank(t.Context(), board, 1)
	require.NoError(t, err)
	require.Equal(t, int64(3), entry.Rank)
	require.NoError(t, client.ScriptFlush(t.Context()).Err())
	_, err = r.Apply(t.Context(), projection("ledger", 200, leaderboard.Standing{Board: 1, Season: 1, Player: 9, Event: 9, Origin: 1, Version: 1}))
	require.NoError(t, err)
}

func TestNewRefusesBadPrefixes(t *testing.T) {
	for _, prefix := range []string{"", "a{b", "a}b"} {
		_, err := New(Options{Client: goredis.NewClient(&goredis.Options{}), Boards: boards{}, Prefix: prefix})
		require.Error(t, err)
	}
}

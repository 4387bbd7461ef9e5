package redis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// walked is a ranking that a test changes and knows.
type walked struct {
	*Ranking
	t       *testing.T
	client  *goredis.Client
	board   leaderboard.LiveBoard
	entries map[int64]leaderboard.Standing
	event   int64
}

// latestBoard is a board whose entries a test can change to anything.
func latestBoard(shards int) leaderboard.LiveBoard {
	board := testBoard(shards)
	board.Scoring = leaderboard.Latest
	return board
}

func newWalked(t *testing.T, shards int, players int64) *walked {
	return newWalkedOn(t, latestBoard(shards), players)
}

func newWalkedOn(t *testing.T, board leaderboard.LiveBoard, players int64) *walked {
	r, client := newRankingWith(t, board)
	r.prefix = fmt.Sprintf("lb:walked-%d:", rand.Uint64())
	w := &walked{Ranking: r, t: t, client: client, board: board, entries: make(map[int64]leaderboard.Standing), event: players}
	fill(t, r, w.board, players)

	for p := int64(1); p <= players; p++ {
		w.entries[p] = entry(p, p, p, 1)
	}

	return w
}

// set gives a player a score.
func (w *walked) set(player, score int64) { w.setTo(player, score, leaderboard.Columns{}) }

// setTo gives a player a score and, where the board has some, columns.
func (w *walked) setTo(player, score int64, columns leaderboard.Columns) {
	w.t.Helper()
	w.event++
	s := entry(player, score, w.event, 1)
	if len(w.board.Columns) > 0 {
		s.Columns = columns
	}
	_, err := w.Apply(w.t.Context(), leaderboard.Projection{Identity: "ledger", Changes: []leaderboard.Change{{Standing: s}}})
	require.NoError(w.t, err)
	w.entries[player] = s
}

// now is the board as it is.
func (w *walked) now() []leaderboard.RankingEntry {
	list := make([]leaderboard.Standing, 0, len(w.entries))
	for _, s := range w.entries {
		list = append(list, s)
	}

	sort.Slice(list, func(i, j int) bool { return w.board.Fold().Before(list[i], list[j]) })
	entries := make([]leaderboard.RankingEntry, len(list))
	for i, s := range list {
		entries[i] = ranked(s)
		entries[i].Rank, entries[i].Place = int64(i+1), int64(i+1)
	}
	w.board.Ranks.CountOn(entries)

	return entries
}

func (w *walked) begin() leaderboard.Walk {
	w.t.Helper()
	walk, err := w.BeginWalk(w.t.Context(), w.board)
	require.NoError(w.t, err)
	return walk
}

// ended checks that the walk is told to begin again.
func (w *walked) ended(walk leaderboard.Walk) {
	w.t.Helper()
	_, err := w.Walk(w.t.Context(), w.board, walk, 10)
	require.Equal(w.t, leaderboard.CodeWalkEnded, leaderboard.CodeOf(err), "%v", err)
}

func (w *walked) keys() []string {
	w.t.Helper()
	keys, err := w.client.Keys(w.t.Context(), w.prefix+"{*}:*[sto]:*").Result()
	require.NoError(w.t, err)
	return keys
}

// Walks that begin at different times and go on and back each see the board of their
// beginning, whatever happens in between.
func TestWalksSeeTheBoardOfTheirBeginning(t *testing.T) {
	competition, dense, columns := latestBoard(3), latestBoard(1), latestBoard(3)
	competition.Ranks, dense.Ranks, columns.Ranks = leaderboard.Competition, leaderboard.Dense, leaderboard.Competition
	columns.Columns = []leaderboard.Column{{Name: "time", Order: leaderboard.Ascending}}

	for name, board := range map[string]leaderboard.LiveBoard{
		"1 shard": latestBoard(1), "3 shards": latestBoard(3), "16 shards": latestBoard(16),
		"competition": competition, "dense": dense, "columns": columns,
	} {
		t.Run(name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			w := newWalkedOn(t, board, 400)
			w.snapshotSharing = 0
			w.snapshotLifetime = 10 * time.Minute
			change := func(n int) {
				for range n {
					w.setTo(1+random.Int64N(500), random.Int64N(20), leaderboard.Columns{random.Int64N(3)})
				}
			}

			var walkers []*walker
			for step, under := 0, 0; step < 3 || under > 0; step++ {
				if step < 3 {
					walk := w.begin()
					walkers = append(walkers, &walker{walk: &walk, want: w.now()})
					require.Len(t, w.keys(), 3*board.Shards*(step+1))
				}
				change(random.IntN(150))
				under = 0

				for _, v := range walkers {
					// Some go back where they can, and all get to the end at last.
					back := step < 20 && random.IntN(5) < 2
					if v.walk == nil && !back {
						continue
					}
					v.step(t, w, back, 1+random.Int64N(60))
					under++
				}
			}

			for _, v := range walkers { // and all the way back
				for v.previous != nil {
					v.step(t, w, true, 1+random.Int64N(60))
					change(10)
				}
				require.Zero(t, v.at)
			}

			entries, _, err := w.Page(t.Context(), w.board, 0, 1000)
			require.NoError(t, err)
			require.Equal(t, w.now(), entries)

			for _, key := range w.keys() {
				ttl, err := w.client.PTTL(t.Context(), key).Result()
				require.NoError(t, err)
				require.True(t, ttl > 0 && ttl <= 2*w.snapshotLifetime+time.Second, "%s lives %v", key, ttl)
			}
		})
	}
}

// walker reads a snapshot on and back.
type walker struct {
	walk, previous *leaderboard.Walk
	want           []leaderboard.RankingEntry
	// at is how many entries are before the place that the last part led to.
	at int64
}

// step reads a part and compares it: from the beginning or the end of the last part, back
// where that is asked for and can be done.
func (v *walker) step(t *testing.T, w *walked, back bool, limit int64) leaderboard.WalkPart {
	t.Helper()
	if v.walk == nil && v.previous == nil {
		return leaderboard.WalkPart{}
	}
	from := v.walk
	if from == nil || back && v.previous != nil {
		from = v.previous
	}

	part, err := w.Walk(t.Context(), w.board, *from, limit)
	require.NoError(t, err)
	require.Equal(t, int64(len(v.want)), part.Total)
	require.LessOrEqual(t, int64(len(part.Entries)), limit)

	n := int64(len(part.Entries))
	begins := from.Passed
	if from.Back {
		begins -= n
	}
	require.Equal(t, v.want[begins:begins+n], part.Entries, "at %d of %d", begins, len(v.want))
	require.Equal(t, begins > 0, part.Previous != nil, "at %d", begins)
	require.Equal(t, begins+n < part.Total, part.Next != nil, "at %d", begins)
	if part.Previous != nil {
		require.Equal(t, begins, part.Previous.Passed)
	}
	if part.Next != nil {
		require.Equal(t, begins+n, part.Next.Passed)
	}
	v.walk, v.previous, v.at = part.Next, part.Previous, begins
	if !from.Back {
		v.at += n
	}
	return part
}

// Where thousands share a rank, the way back to the first of them takes several calls, and
// parts without entries; nobody is left out or told a wrong rank.
func TestAWalkBackAmongManyWhoShareARank(t *testing.T) {
	for _, shards := range []int{1, 3} {
		board := latestBoard(shards)
		board.Ranks = leaderboard.Competition
		w := newWalkedOn(t, board, 3)
		const many, worse = 12_000, 30
		for p := int64(1); p <= worse; p++ {
			w.set(10+many+p, -p)
		}
		standings := make([]leaderboard.Change, 0, many)
		for p := int64(10); p < 10+many; p++ {
			w.event++
			s := entry(p, 2, w.event, 1)
			standings, w.entries[p] = append(standings, leaderboard.Change{Standing: s}), s
		}
		for chunk := range slices.Chunk(standings, 500) {
			_, err := w.Apply(t.Context(), leaderboard.Projection{Identity: "ledger", Changes: chunk})
			require.NoError(t, err)
		}
		walk := w.begin()
		v := &walker{walk: &walk, want: w.now()}
		for p := int64(10); p < 10+many; p += 3 { // a third is kept, and is elsewhere by now
			w.set(p, 5+p%3)
		}

		for v.walk != nil {
			limit := int64(1000)
			if v.at == 12*limit {
				limit = worse / 2
			}
			v.step(t, w, false, limit)
		}
		v.step(t, w, true, 3) // in between those who are worse
		empty := 0
		for v.previous != nil {
			if len(v.step(t, w, true, 1000).Entries) == 0 {
				empty++
			}
		}
		if shards == 1 {
			require.Positive(t, empty, "more share the rank than one call looks through")
		}
		require.Less(t, empty, 10)
		for v.walk != nil { // parts may be read again in any direction
			v.step(t, w, false, 1000)
		}
	}
}

// Where everybody has changed, parts are short and the walk still ends.
func TestAWalkWhereEverybodyHasChanged(t *testing.T) {
	const n = 6 * snapshotChunk
	w := newWalked(t, 1, n)
	w.set(1, n+1)
	want := w.now()
	walk := w.begin()

	for p := int64(1); p <= n; p++ {
		w.set(p, 10*n+p)
	}

	var got []leaderboard.RankingEntry
	var last *leaderboard.Walk
	for next, parts := &walk, 0; next != nil; parts++ {
		part, err := w.Walk(t.Context(), w.board, *next, 100)
		require.NoError(t, err)
		got, next, last = append(got, part.Entries...), part.Next, part.Previous
		require.Less(t, parts, n)
	}

	require.Equal(t, want, got)

	got = nil
	for back, parts := last, 0; back != nil; parts++ {
		part, err := w.Walk(t.Context(), w.board, *back, 100)
		require.NoError(t, err)
		got, back = append(part.Entries, got...), part.Previous
		require.Less(t, parts, n)
	}
	require.Equal(t, want[:len(got)], got)
	require.Greater(t, len(got), len(want)-101)
}

// pass lets time go by for all snapshots of the first shard, oldest first.
func (w *walked) pass(age time.Duration) {
	w.t.Helper()
	s := shardsOf(w.board)[0]
	for _, key := range w.keys() {
		if !strings.HasPrefix(key, s.key(w.prefix, "s:")) {
			continue
		}

		left, err := w.client.PTTL(w.t.Context(), key).Result()
		require.NoError(w.t, err)
		if left -= age; left <= 0 {
			require.NoError(w.t, w.client.Del(w.t.Context(), key).Err())
			continue
		}

		require.NoError(w.t, w.client.PExpire(w.t.Context(), key, left).Err())
	}
}

// Nobody is turned away, whoever shares has half of the life, and there are at
// most four.
func TestSnapshotsAreShared(t *testing.T) {
	w := newWalked(t, 1, 10)
	w.snapshotSharing = time.Second
	first := w.begin()
	require.Equal(t, first.Snapshot, w.begin().Snapshot, "a young one is shared")
	require.WithinDuration(t, time.Now().Add(10*time.Minute), first.Expires, time.Minute)
	w.pass(2 * time.Second)
	second := w.begin()
	require.NotEqual(t, first.Snapshot, second.Snapshot)
	w.pass(2 * time.Second)
	third := w.begin()
	require.NotEqual(t, second.Snapshot, third.Snapshot)
	w.pass(4 * time.Minute)
	shared := w.begin()
	require.Equal(t, third.Snapshot, shared.Snapshot, "the last place is kept")
	require.Equal(t, third.AsOf, shared.AsOf)
	w.pass(time.Minute)
	fourth := w.begin()
	require.NotContains(t, []string{first.Snapshot, second.Snapshot, third.Snapshot}, fourth.Snapshot)
	w.pass(4*time.Minute + 50*time.Second)
	require.Equal(t, fourth.Snapshot, w.begin().Snapshot, "all places are taken")
	require.Len(t, w.keys(), 3*maxSnapshots)

	w.pass(10 * time.Second) // the first has ended
	fifth := w.begin()
	require.NotEqual(t, fourth.Snapshot, fifth.Snapshot)
	w.ended(first)
	w.ended(third)
	_, err := w.Walk(t.Context(), w.board, fourth, 5)
	require.NoError(t, err)
	require.Len(t, w.keys(), 3*2)

	for range 3000 { // a crowd, over hours
		walk := w.begin()
		require.Greater(t, time.Until(walk.Expires), 5*time.Minute-5*time.Second)
		require.LessOrEqual(t, len(w.keys()), 3*maxSnapshots)
		w.pass(time.Duration(rand.IntN(20_000)) * time.Millisecond)
	}
}

// What was kept goes with the first change after the end.
func TestSnapshotsLeaveNothing(t *testing.T) {
	w := newWalked(t, 1, 10)
	w.snapshotSharing = 0
	walk := w.begin()
	w.begin()
	w.set(3, 30)
	require.Len(t, w.keys(), 6)
	w.pass(time.Hour)
	w.ended(walk)
	w.set(4, 40)
	require.Empty(t, w.keys())
	require.False(t, w.client.HExists(t.Context(), shardsOf(w.board)[0].stateKey(w.prefix), "x").Val())
}

// A board that changes too much ends its walks instead of filling Redis.
func TestSnapshotsAreBounded(t *testing.T) {
	w := newWalked(t, 1, 50)
	w.maxChanges = 20
	w.snapshotSharing = 0
	walk := w.begin()

	for p := int64(1); p <= 20; p++ {
		w.set(p, 100)
	}

	_, err := w.Walk(t.Context(), w.board, walk, 5)
	require.NoError(t, err)
	w.set(21, 100)
	w.ended(walk)
	require.Empty(t, w.keys())
	walk = w.begin()
	_, err = w.Walk(t.Context(), w.board, walk, 5)
	require.NoError(t, err)
}

// A snapshot does not outlive the data that it is of.
func TestSnapshotsEndWithTheirData(t *testing.T) {
	for name, lose := range map[string]func(w *walked){
		"thrown away": func(w *walked) {
			for _, s := range shardsOf(w.board) {
				session, err := w.Begin(w.t.Context(), s.Shard, leaderboard.SessionStart{Ledger: "another ledger", Watermark: watermark(100), Discard: true})
				require.NoError(w.t, err)
				require.NoError(w.t, session.Finish(w.t.Context(), watermark(200), nil))
			}
		},
		"one shard lost": func(w *walked) {
			s := shardsOf(w.board)[2]
			keys, err := w.client.Keys(w.t.Context(), s.key(w.prefix, "*")).Result()
			require.NoError(w.t, err)
			require.NoError(w.t, w.client.Del(w.t.Context(), keys...).Err())
			session, err := w.Begin(w.t.Context(), s.Shard, leaderboard.SessionStart{Ledger: "ledger"})
			require.NoError(w.t, err)
			require.NoError(w.t, session.Finish(w.t.Context(), watermark(200), nil))
		},
		"repaired": func(w *walked) {
			for _, s := range shardsOf(w.board) {
				session, err := w.Begin(w.t.Context(), s.Shard, leaderboard.SessionStart{Ledger: "ledger", Watermark: watermark(100), Repair: true})
				require.NoError(w.t, err)
				require.NoError(w.t, session.Finish(w.t.Context(), watermark(200), nil))
			}
			require.Empty(w.t, w.keys())
		},
		"a part evicted": func(w *walked) {
			var sets []string
			for _, key := range w.keys() {
				if strings.Contains(key, "}:2o:") {
					sets = append(sets, key)
				}
			}
			require.NoError(w.t, w.client.Del(w.t.Context(), sets[0]).Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWalked(t, 3, 30)
			walk := w.begin()
			for _, s := range shardsOf(w.board) { // the usual catch-up changes nothing
				session, err := w.Begin(t.Context(), s.Shard, leaderboard.SessionStart{Ledger: "ledger", Watermark: watermark(100)})
				require.NoError(t, err)
				require.NoError(t, session.Finish(t.Context(), watermark(100), nil))
			}

			_, err := w.Walk(t.Context(), w.board, walk, 10)
			require.NoError(t, err)
			lose(w)
			w.ended(walk)
			if name == "thrown away" {
				return
			}

			// Who begins now gets all of it; who had it before is not deceived.
			part, err := w.Walk(t.Context(), w.board, w.begin(), 100)
			require.NoError(t, err)
			require.NotEmpty(t, part.Entries)
			w.ended(walk)
		})
	}
}

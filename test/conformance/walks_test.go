package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/conformance/ledgertest"
)

// writers submit from several goroutines until the test ends. Each has
// players of its own, so that the model sees every player's events in order.
type writers struct {
	tenant   *Tenant
	replicas []*Replica
	model    *Model
	// still is held for reading while something is being written.
	still   sync.RWMutex
	modelMu sync.Mutex
	// written counts what was acknowledged.
	written atomic.Int64
}

const numberOfWriters = 4

// startWriters starts the writers.
func startWriters(t *testing.T, tenant *Tenant, replicas []*Replica, players []leaderboard.PlayerName, seed uint64) *writers {
	t.Helper()
	w := &writers{tenant: tenant, replicas: replicas, model: NewModel(tenant.Catalog)}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	t.Cleanup(func() { cancel(); group.Wait() })

	for i := range numberOfWriters {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		boards := tenant.Catalog.All()
		group.Go(func() {
			for ctx.Err() == nil {
				n := random.IntN(len(players)/numberOfWriters)*numberOfWriters + i
				board := boards[random.IntN(len(boards))]
				w.still.RLock()
				err := w.submit(replicas[i%len(replicas)], board, players[n], random.Int64N(21)-10, randomColumns(random, board)) // few values: many ties
				w.still.RUnlock()
				if err != nil {
					t.Errorf("writer %d: %v", i, err)
					return
				}

				w.written.Add(1)
			}
		})
	}

	return w
}

func (w *writers) submit(r *Replica, board leaderboard.LiveBoard, player leaderboard.PlayerName, score int64, columns leaderboard.Columns) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	submission := ledgertest.Submission(player, board.Name, score)
	submission.Columns = columns
	receipt, err := r.Committer.Commit(ctx, submission)
	if err != nil {
		return err
	}

	w.modelMu.Lock()
	defer w.modelMu.Unlock()

	w.model.Submit(board, player.Number, score, columns, receipt.Event)
	return nil
}

// more waits until n more writes were acknowledged.
func (w *writers) more(t *testing.T, n int64) {
	t.Helper()
	target := w.written.Load() + n
	eventually(t, "the writers go on", func() bool { return w.written.Load() >= target })
}

// begin begins a walk while nothing is being written, and returns what it has to
// see.
func (w *writers) begin(t *testing.T, r *Replica, board leaderboard.LiveBoard) (leaderboard.Walk, []leaderboard.RankingEntry) {
	t.Helper()
	w.still.Lock()
	defer w.still.Unlock()

	want := w.model.Entries(board)
	eventually(t, "everything is applied", func() bool {
		got, _, err := r.Ranking.Page(context.Background(), board, 0, 1000)
		return err == nil && slices.Equal(got, want)
	})

	walk, err := r.Ranking.BeginWalk(t.Context(), board)
	require.NoError(t, err)
	return walk, want
}

// Walks begin at different times and go on and back in turns, with parts of random sizes,
// while scores move: each is the board of its beginning, everybody once.
func TestAWalkIsTheBoardOfItsBeginning(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, shards := range []int{1, 3, 16} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) { walks(t, NewTenant(t, pg, rdb, shards), seed) })
	}
	t.Run("cluster", func(t *testing.T) { walks(t, NewTenantOn(t, pg, Clustered(startCluster(t)), 3), seed) })
}

// walker is one walk of a test.
type walker struct {
	board          leaderboard.LiveBoard
	previous, next *leaderboard.Walk
	want           []leaderboard.RankingEntry
	// backward is how many of its next parts go back; once it was at the end all do.
	backward int
	ended    bool
}

// step reads a part, back or on, and compares it.
func (w *walker) step(t *testing.T, ranking leaderboard.Ranking, size int64) {
	t.Helper()
	from := w.next
	if w.previous != nil && (w.backward > 0 || w.ended) {
		from = w.previous
		w.backward--
	}
	part, err := ranking.Walk(t.Context(), w.board, *from, size)
	require.NoError(t, err)
	require.Equal(t, int64(len(w.want)), part.Total)
	require.LessOrEqual(t, int64(len(part.Entries)), size)

	begins, ends := from.Passed, from.Passed+int64(len(part.Entries))
	if from.Back {
		begins, ends = from.Passed-int64(len(part.Entries)), from.Passed
	}
	require.Equal(t, w.want[begins:ends], part.Entries, "board %s at %d", w.board.Name, begins)
	require.Equal(t, []bool{begins > 0, ends < part.Total}, []bool{part.Previous != nil, part.Next != nil}, "board %s at %d", w.board.Name, begins)
	w.previous, w.next = part.Previous, part.Next
}

func walks(t *testing.T, tenant *Tenant, seed uint64) {
	t.Helper()
	tenant.SnapshotSharing = time.Nanosecond // every walk has a snapshot of its own
	replicas := []*Replica{tenant.Start(t), tenant.Start(t)}
	players := tenant.Players(t, 160)
	w := startWriters(t, tenant, replicas, players, seed)
	w.more(t, 500)
	random := rand.New(rand.NewPCG(seed, 100))

	var begin []leaderboard.LiveBoard // two walks on each board, in a random order
	for _, board := range tenant.Catalog.All() {
		if !board.WindowsOnly {
			begin = append(begin, board, board)
		}
	}

	random.Shuffle(len(begin), func(i, j int) { begin[i], begin[j] = begin[j], begin[i] })
	var under, done []*walker
	for len(begin)+len(under) > 0 {
		replica := replicas[random.IntN(2)]
		replicas[0].Drop.Store(random.IntN(5) == 0) // what a server forgets, catch-up applies
		if len(begin) > 0 && random.IntN(3) == 0 {
			walk, want := w.begin(t, replica, begin[0])
			under, begin = append(under, &walker{board: begin[0], next: &walk, want: want}), begin[1:]
		}

		for i := len(under) - 1; i >= 0; i-- {
			if random.IntN(2) == 0 {
				continue
			}

			v := under[i]
			v.step(t, replica.Ranking, 1+random.Int64N(40))
			if random.IntN(4) == 0 {
				v.backward = random.IntN(4)
			}
			if v.ended = v.ended || v.next == nil; v.ended && v.previous == nil { // and all the way back
				under, done = slices.Delete(under, i, i+1), append(done, v)
			}
		}

		w.more(t, random.Int64N(40))
	}

	for _, v := range done {
		require.NotEmpty(t, v.want)
	}

	t.Logf("%d walks, %d writes", len(done), w.written.Load())
}

// A walk that begins amid writes, too, yields nobody twice and skips nobody who
// was there throughout.
func TestAWalkAmidWrites(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, shards := range []int{1, 3, 16} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			tenant := NewTenant(t, pg, rdb, shards)
			tenant.SnapshotSharing = time.Nanosecond
			r := tenant.Start(t)
			players := tenant.Players(t, 120)
			const residents = 60

			mood := tenant.Board(t, "mood") // the latest counts: up and down
			tenant.RequireEqual(t, r.Ranking, NewModel(tenant.Catalog), players[:1])
			for _, p := range players[:residents] {
				commitOne(t, r, ledgertest.Submission(p, "mood", 0))
			}

			w := startWriters(t, tenant, []*Replica{r}, players, seed)
			for range 3 {
				walk, err := r.Ranking.BeginWalk(t.Context(), mood)
				require.NoError(t, err)
				seen := make(map[int64]bool)
				last := leaderboard.RankingEntry{Score: leaderboard.MaxScore}

				for next := &walk; next != nil; {
					part, err := r.Ranking.Walk(t.Context(), mood, *next, 7)
					require.NoError(t, err)
					for _, e := range part.Entries {
						require.False(t, seen[e.Player], "twice: %+v", e)
						require.Equal(t, last.Rank+1, e.Rank)
						require.GreaterOrEqual(t, last.Score, e.Score)
						seen[e.Player], last = true, e
					}

					next = part.Next
					w.more(t, 20)
				}

				for _, p := range players[:residents] {
					require.True(t, seen[p.Number], "player %d was there throughout", p.Number)
				}
			}
		})
	}
}

// walkFour begins a walk through a board of ten and takes the first part.
func walkFour(t *testing.T, tenant *Tenant) (*Replica, leaderboard.LiveBoard, leaderboard.Walk) {
	t.Helper()
	r := tenant.Start(t)
	players := tenant.Players(t, 10)
	tenant.RequireEqual(t, r.Ranking, NewModel(tenant.Catalog), players[:1])

	for i, p := range players {
		commitOne(t, r, ledgertest.Submission(p, "speed", int64(i)))
	}

	board := tenant.Board(t, "speed")
	walk, err := r.Ranking.BeginWalk(t.Context(), board)
	require.NoError(t, err)
	part, err := r.Ranking.Walk(t.Context(), board, walk, 4)
	require.NoError(t, err)
	require.Len(t, part.Entries, 4)

	return r, board, *part.Next
}

// A Redis that lost everything has lost its snapshots, also once it is rebuilt.
func TestAWalkEndsWithTheDataOfRedis(t *testing.T) {
	for _, shards := range []int{1, 3} {
		tenant := NewTenant(t, pg, ownRedis(t), shards)
		r, board, walk := walkFour(t, tenant)
		admin := tenant.Redis.Nodes[0].Client()
		require.NoError(t, admin.FlushAll(t.Context()).Err())
		require.NoError(t, admin.Close())
		_, err := r.Ranking.Walk(t.Context(), board, walk, 4)
		require.Equal(t, leaderboard.CodeWalkEnded, leaderboard.CodeOf(err))
		eventually(t, "the ranking is rebuilt, and can be walked", func() bool {
			again, err := r.Ranking.BeginWalk(context.Background(), board)
			if err != nil {
				return false
			}
			part, err := r.Ranking.Walk(context.Background(), board, again, 100)
			return err == nil && len(part.Entries) == 10 && part.Next == nil
		})

		_, err = r.Ranking.Walk(t.Context(), board, walk, 4)
		require.Equal(t, leaderboard.CodeWalkEnded, leaderboard.CodeOf(err))
	}
}

// A walk that takes too long ends, and what was kept for it goes.
func TestAWalkExpires(t *testing.T) {
	tenant := NewTenant(t, pg, rdb, 1)
	tenant.SnapshotLifetime = time.Second
	r, board, walk := walkFour(t, tenant)
	eventually(t, "the walk ends", func() bool {
		_, err := r.Ranking.Walk(context.Background(), board, walk, 4)
		return leaderboard.CodeOf(err) == leaderboard.CodeWalkEnded
	})

	admin := rdb.Client()
	t.Cleanup(func() { _ = admin.Close() })
	eventually(t, "nothing is left", func() bool {
		keys, err := admin.Keys(context.Background(), tenant.Prefix+"{*}:[sto]:*").Result()
		return err == nil && len(keys) == 0
	})
}

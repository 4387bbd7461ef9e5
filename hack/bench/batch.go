package main

import (
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/commit"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/postgres"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis"
)

const (
	// batchSize is the server's default for the most submissions of a transaction.
	batchSize = 256
	// batchTarget is the least share of the bare loop that the batch path keeps.
	batchTarget = 0.80
)

// submissionTargets is the most of PostgreSQL's CPU that a submission may take, in
// microseconds, without and with an idempotency key, by the size of its batch.
var submissionTargets = map[bool]map[int]float64{false: {64: 12, batchSize: 8}, true: {64: 24, batchSize: 20}}

// measureBatch compares the path of a submission without HTTP (queue, batch,
// ledger, ranking, receipt) with a loop that feeds the same statement to
// PostgreSQL over one connection and does nothing else.
func measureBatch(ctx context.Context, o options, r *report) error {
	s, err := newGame(ctx, httpPlayers)
	if err != nil {
		return err
	}
	defer s.Close()

	b, err := s.openBatchPath(ctx)
	if err != nil {
		return err
	}
	defer b.close()

	t := r.table("Submissions without HTTP", fmt.Sprintf("%d players; batches of at most %d. Each ran for %s, in turn in short rounds.", httpPlayers, batchSize, o.duration),
		"path", "submissions/s")
	var loop float64
	var path [2]float64
	paths := []int{batchSize, 4 * batchSize}

	for range rounds {
		f, err := b.loop(ctx, batchSize, false, o.duration/rounds)
		if err != nil {
			return err
		}
		loop += f / rounds

		for i, callers := range paths {
			f, err := b.commit(ctx, callers, o.duration/rounds)
			if err != nil {
				return err
			}
			path[i] += f / rounds
		}
	}

	r.line(t, "bare loop over one connection", number(loop))
	for i, callers := range paths {
		r.line(t, fmt.Sprintf("batch path, %d callers", callers), number(path[i]))
	}

	r.atLeast(fmt.Sprintf("batch path / bare pgx loop, %d callers", paths[1]), path[1]/loop, batchTarget)
	r.inform(fmt.Sprintf("batch path / bare pgx loop, %d callers", paths[0]), path[0]/loop, "")
	return b.bySize(ctx, s.Postgres.PID(), o, r)
}

// bySize shows what of a batch's cost is the statement's and what each submission's.
func (b *batchPath) bySize(ctx context.Context, postgresPID int, o options, r *report) error {
	t := r.table("The statement, by the size of its batch", fmt.Sprintf("One connection, one batch after the other for %s.", o.duration/rounds),
		"submissions", "ms a batch", "CPU PostgreSQL, us a batch", "us a submission")
	for _, keyed := range []bool{false, true} {
		for _, size := range []int{1, 8, 64, batchSize} {
			before, err := processTime(postgresPID)
			if err != nil {
				return err
			}

			rate, err := b.loop(ctx, size, keyed, o.duration/rounds)
			if err != nil {
				return err
			}

			after, err := processTime(postgresPID)
			if err != nil {
				return err
			}

			used := float64(after-before) / float64(time.Microsecond) / (rate * (o.duration / rounds).Seconds())
			name, target := "", submissionTargets[keyed][size]
			if keyed {
				name = " with a key each"
			}
			r.line(t, fmt.Sprint(size, name), number(1000*float64(size)/rate), number(used*float64(size)), number(used))
			if target != 0 {
				r.atMost(fmt.Sprintf("PostgreSQL's CPU a submission%s, batches of %d", name, size), used, "us", target)
			}
		}
	}

	return nil
}

// batchPath is the server's inner parts in this process.
type batchPath struct {
	ledger    *postgres.Ledger
	client    *goredis.Client
	committer *commit.Committer
	players   []leaderboard.PlayerID
}

func (s *game) openBatchPath(ctx context.Context) (b *batchPath, err error) {
	b = &batchPath{client: goredis.NewClient(&goredis.Options{Addr: s.Redis.Address()})}
	defer func() {
		if err != nil {
			b.close()
		}
	}()

	if b.ledger, err = postgres.Open(ctx, postgres.Options{URL: s.Postgres.URL(s.Database)}); err != nil {
		return nil, err
	}

	configured, err := leaderboard.ParseBoards([]byte(boards))
	if err != nil {
		return nil, err
	}
	if _, err := b.ledger.SyncBoards(ctx, configured); err != nil {
		return nil, err
	}

	ranking, err := redis.New(redis.Options{Client: b.client, Prefix: "lb:batch:", Boards: b.ledger})
	if err != nil {
		return nil, err
	}
	if b.committer, err = commit.New(commit.Options{Ledger: b.ledger, Ranking: ranking, MaxBatch: batchSize}); err != nil {
		return nil, err
	}

	conn, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	rows, err := conn.Query(ctx, "SELECT id::text FROM players")
	if err != nil {
		return nil, err
	}

	for rows.Next() {
		var id leaderboard.PlayerID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		b.players = append(b.players, id)
	}

	return b, rows.Err()
}

func (b *batchPath) close() {
	if b.committer != nil {
		b.committer.Close()
	}
	if b.ledger != nil {
		b.ledger.Close()
	}
	_ = b.client.Close() // nothing is under way
}

// submission is like those of the HTTP part: half of them change a standing.
func (b *batchPath) submission() leaderboard.Submission {
	score := rand.Int64N(1_000_000) - 1_000_000
	if rand.IntN(2) == 0 {
		score = 1_000_000_000 + rising.Add(1)
	}
	return leaderboard.Submission{Player: b.players[rand.IntN(len(b.players))], TokenVersion: 1, Board: leaderboard.GlobalBoard, Score: score}
}

// loop stores one batch after the other and returns submissions a second.
func (b *batchPath) loop(ctx context.Context, size int, keyed bool, duration time.Duration) (float64, error) {
	batch := make([]leaderboard.Submission, size)
	stored, started := 0, time.Now()
	for time.Since(started) < duration {
		for i := range batch {
			if batch[i] = b.submission(); keyed {
				batch[i].IdempotencyKey = cryptorand.Text()
			}
		}
		if _, err := b.ledger.Store(ctx, batch); err != nil {
			return 0, err
		}
		stored += len(batch)
	}

	return float64(stored) / time.Since(started).Seconds(), nil
}

// commit submits from many callers at once and returns acknowledged submissions
// a second.
func (b *batchPath) commit(ctx context.Context, callers int, duration time.Duration) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	var acknowledged atomic.Int64
	var group sync.WaitGroup
	started := time.Now()

	for range callers {
		group.Go(func() {
			for time.Since(started) < duration && ctx.Err() == nil {
				if _, err := b.committer.Commit(ctx, b.submission()); err != nil {
					cancel(err)
					return
				}
				acknowledged.Add(1)
			}
		})
	}

	group.Wait()
	return float64(acknowledged.Load()) / time.Since(started).Seconds(), context.Cause(ctx)
}

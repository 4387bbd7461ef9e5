package main

import (
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
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

// bySize shows what of a batch's cost is the statement's and what each submission's,
// beside what PostgreSQL takes to find the players and insert the rows alone.
func (b *batchPath) bySize(ctx context.Context, postgresPID int, o options, r *report) error {
	t := r.table("The statement, by the size of its batch", fmt.Sprintf("One connection, one batch after the other for %s.", o.duration/rounds),
		"submissions", "ms a batch", "CPU PostgreSQL, us a batch", "us a submission")

	measure := func(name string, size int, loop func() (rate float64, err error)) (used float64, err error) {
		before, err := processTime(postgresPID)
		if err != nil {
			return 0, err
		}
		rate, err := loop()
		if err != nil {
			return 0, err
		}
		after, err := processTime(postgresPID)
		if err != nil {
			return 0, err
		}

		used = float64(after-before) / float64(time.Microsecond) / (rate * (o.duration / rounds).Seconds())
		r.line(t, fmt.Sprint(size, name), number(1000*float64(size)/rate), number(used*float64(size)), number(used))
		return used, nil
	}

	for _, size := range []int{1, 8, 64, batchSize} {
		bare, err := measure(" inserted and nothing else", size, func() (float64, error) { return b.bareLoop(ctx, size, o.duration/rounds) })
		if err != nil {
			return err
		}

		for _, keyed := range []bool{false, true} {
			name := ""
			if keyed {
				name = " with a key each"
			}
			used, err := measure(name, size, func() (float64, error) { return b.loop(ctx, size, keyed, o.duration/rounds) })
			if err != nil {
				return err
			}

			target, ok := submissionTargets[keyed][size]
			if !ok {
				continue
			}
			r.atMost(fmt.Sprintf("PostgreSQL's CPU a submission%s, batches of %d", name, size), used, "us", target)
			r.inform(fmt.Sprintf("PostgreSQL's CPU a submission%s / a row inserted, batches of %d", name, size), used/bare, "")
		}
	}

	return nil
}

// bareSQL is the least that stores submissions: players are found and rows inserted.
const bareSQL = `INSERT INTO score_events (id, player, score, board, xid)
	SELECT nextval('event_ids'), p.number, i.score, 1, (SELECT log_xid())
	FROM unnest($1::uuid[], $2::bigint[]) AS i (id, score) JOIN players p ON p.id = i.id
	RETURNING id`

// bareLoop runs bareSQL one time after the other and returns rows a second.
func (b *batchPath) bareLoop(ctx context.Context, size int, duration time.Duration) (float64, error) {
	ids, scores := make([]string, size), make([]int64, size)
	return repeat(size, duration, func() error {
		for i := range size {
			s := b.submission()
			ids[i], scores[i] = string(s.Player), s.Score
		}

		rows, err := b.conn.Query(ctx, bareSQL, ids, scores)
		if err != nil {
			return err
		}
		if _, err := pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
			return fmt.Errorf("insert rows: %w", err)
		}
		return nil
	})
}

// repeat stores batches of that size one after the other and returns submissions a
// second.
func repeat(size int, duration time.Duration, store func() error) (float64, error) {
	stored, started := 0, time.Now()
	for time.Since(started) < duration {
		if err := store(); err != nil {
			return 0, err
		}
		stored += size
	}
	return float64(stored) / time.Since(started).Seconds(), nil
}

// batchPath is the server's inner parts in this process.
type batchPath struct {
	ledger    *postgres.Ledger
	conn      *pgx.Conn
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
	if b.committer, err = commit.New(commit.Options{Ledger: b.ledger, Ranking: ranking, QueueSize: 4 * batchSize, MaxBatch: batchSize, InFlight: 2}); err != nil {
		return nil, err
	}

	if b.conn, err = s.Connect(ctx); err != nil {
		return nil, err
	}
	rows, err := b.conn.Query(ctx, "SELECT id::text FROM players")
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
	if b.conn != nil {
		_ = b.conn.Close(context.Background()) // nothing is under way
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
	return repeat(size, duration, func() error {
		for i := range batch {
			if batch[i] = b.submission(); keyed {
				batch[i].IdempotencyKey = cryptorand.Text()
			}
		}
		_, err := b.ledger.Store(ctx, batch)
		return err
	})
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

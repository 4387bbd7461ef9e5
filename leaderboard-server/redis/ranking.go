package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/gate"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/redis/functions"
)

// Options configure a [Ranking].
type Options struct {
	// Client reaches Redis: standalone, through Sentinel or a Cluster. The ranking
	// does not close it. Required.
	Client goredis.UniversalClient
	// Prefix begins every key, and holds no { or }. Required.
	Prefix string
	// Boards has the boards as the ledger knows them. Required.
	Boards interface{ Catalog() *leaderboard.Catalog }
	// Damaged is called when a shard turns out not to be whole, to hasten its repair;
	// may be nil. It must not block.
	Damaged func()
	// Timeout bounds one read and one application of a batch. Default: 1 s.
	Timeout time.Duration
	// SnapshotLifetime is how long a snapshot for walks through a board lives.
	// Whoever shares one has half of it at least. Default: 10 minutes.
	SnapshotLifetime time.Duration
	// SnapshotSharing is how old a snapshot may be to be shared where there could be
	// a new one. Default: 1 s.
	SnapshotSharing time.Duration
}

// Ranking is a tenant's ranking. It is safe for concurrent use.
type Ranking struct {
	client  goredis.UniversalClient
	prefix  string
	boards  interface{ Catalog() *leaderboard.Catalog }
	damaged func()
	timeout time.Duration
	// functions are loaded by this process if nobody else did.
	functions *functions.Loader
	ranks     rankQueue
	lists     *gate.Gate
	pauses    pauses
	// maxChanges is how many changes a shard's snapshot keeps.
	maxChanges                        int
	snapshotLifetime, snapshotSharing time.Duration
	// looks counts those at the states of shards; suspicious says that a part of one may be
	// missing.
	looks      atomic.Uint64
	suspicious atomic.Bool
	seen       sync.Map // leaderboard.ShardID -> mark: the highest watermark that this process has seen
}

// mark is a shard's watermark as a process saw it.
type mark struct{ identity, generation, watermark string }

// New makes a ranking. It does not connect yet.
func New(options Options) (*Ranking, error) {
	if options.Client == nil || options.Boards == nil {
		return nil, errors.New("a ranking needs a client and the boards")
	}
	if options.Prefix == "" || strings.ContainsAny(options.Prefix, "{}") {
		return nil, fmt.Errorf("the key prefix %q must not be empty and hold no { or }", options.Prefix)
	}

	if options.Timeout == 0 {
		options.Timeout = time.Second
	}

	if options.SnapshotLifetime == 0 {
		options.SnapshotLifetime = 10 * time.Minute
	}

	if options.SnapshotSharing == 0 {
		options.SnapshotSharing = time.Second
	}

	if options.Damaged == nil {
		options.Damaged = func() {}
	}

	return &Ranking{client: options.Client, functions: functions.NewLoader(options.Client), prefix: options.Prefix, boards: options.Boards, damaged: options.Damaged, timeout: options.Timeout,
		lists:      gate.New(1, maxListsWaiting, "the server has too many lists of players to look up, try again"),
		maxChanges: maxChanges, snapshotLifetime: options.SnapshotLifetime, snapshotSharing: options.SnapshotSharing}, nil
}

// Ping says whether Redis answers.
func (r *Ranking) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.client.Ping(ctx).Err()
}

// Ready fails unless every active board can be read: Redis answers and no ranking
// is being rebuilt.
func (r *Ranking) Ready(ctx context.Context) error {
	catalog := r.boards.Catalog()
	if catalog == nil {
		return errors.New("the boards are not known yet")
	}

	for _, board := range catalog.All() {
		main := board.Main(catalog.Now())
		if !board.Active || main == 0 {
			continue
		}
		if _, _, err := r.Page(ctx, board.In(main), 0, 1); err != nil {
			return fmt.Errorf("board %s: %w", board.Name, err)
		}
	}

	return nil
}

// unavailable is the answer while a ranking cannot be read.
func unavailable(reason string, cause error) error {
	return leaderboard.Errorf(leaderboard.CodeRankingUnavailable, "", "the ranking %s, try again in a moment; scores are being accepted", reason).
		After(time.Second).WithCause(cause)
}

// headSize is how many values begin the answers of most functions: the shard's identity,
// watermark (nil: it is not whole) and generation.
const headSize = 3

// trust decides whether what a call read of a shard may be shown: its data are
// complete, and Redis was not put back to an earlier state since this process had
// looked when the call was sent. Answers may overtake each other.
func (r *Ranking) trust(c *call, values []any) error {
	s := c.shard
	var now mark
	now.identity, _ = values[0].(string)
	now.watermark, _ = values[1].(string)
	now.generation, _ = values[2].(string)

	if now.watermark == "" || !s.Serves(now.identity) {
		r.suspicious.Store(true)
		r.damaged()
		return unavailable("is being rebuilt", fmt.Errorf("shard %d of board %s is not whole", s.Index, s.Name))
	}
	if now.before(c.seen) {
		r.damaged()
		return unavailable("is catching up", fmt.Errorf("shard %d of board %s went back from %s to %s", s.Index, s.Name, c.seen.watermark, now.watermark))
	}

	// Of two answers that race here the later may lose: the next one sets it right.
	last, known := r.seen.LoadOrStore(s.ShardID, now)
	if known && last != now && !now.before(last.(mark)) {
		r.seen.CompareAndSwap(s.ShardID, last, now)
	}

	return nil
}

// before says whether m is earlier in the same history than other: a rebuild under
// another identity or generation starts its own.
func (m mark) before(other mark) bool {
	return m.identity == other.identity && m.generation == other.generation && m.watermark < other.watermark
}

// ForgetSeasons drops what this process remembers of the shards of seasons that the ledger
// does not list any more.
func (r *Ranking) ForgetSeasons() {
	catalog := r.boards.Catalog()
	listed := func(id leaderboard.ShardID) bool {
		board, ok := catalog.Numbered(id.Board)
		return ok && board.HasRanking(id.Season)
	}

	r.seen.Range(func(key, _ any) bool {
		if id := key.(leaderboard.ShardID); !listed(id) {
			r.seen.Delete(id)
		}
		return true
	})
	r.pauses.forget(listed)
}

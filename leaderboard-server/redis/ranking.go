package redis

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

var (
	//go:embed scripts/apply.lua
	applySource string
	//go:embed scripts/rank.lua
	rankSource string
	//go:embed scripts/page.lua
	pageSource string
	//go:embed scripts/count.lua
	countSource string
	//go:embed scripts/begin.lua
	beginSource string
	//go:embed scripts/wipe.lua
	wipeSource string
	//go:embed scripts/finish.lua
	finishSource string
	//go:embed scripts/forget.lua
	forgetSource string
	//go:embed scripts/snapshot.lua
	snapshotSource string
	//go:embed scripts/walk.lua
	walkSource string

	applyScript    = goredis.NewScript(applySource)
	rankScript     = goredis.NewScript(rankSource)
	pageScript     = goredis.NewScript(pageSource)
	countScript    = goredis.NewScript(countSource)
	beginScript    = goredis.NewScript(beginSource)
	wipeScript     = goredis.NewScript(wipeSource)
	finishScript   = goredis.NewScript(finishSource)
	forgetScript   = goredis.NewScript(forgetSource)
	snapshotScript = goredis.NewScript(snapshotSource)
	walkScript     = goredis.NewScript(walkSource)
)

// Options configure a [Ranking].
type Options struct {
	// Client reaches Redis: standalone, through Sentinel or a Cluster. The ranking
	// does not close it. Required.
	Client goredis.UniversalClient
	// Prefix begins every key, and holds no { or }. Required.
	Prefix string
	// Boards tells the boards as the ledger knows them. Required.
	Boards interface{ Catalog() *leaderboard.Catalog }
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
	timeout time.Duration
	ranks   rankQueue
	// maxChanges is how many changes a shard's snapshot keeps.
	maxChanges                        int
	snapshotLifetime, snapshotSharing time.Duration
	seen                              sync.Map // shardID -> mark: the highest watermark that this process has seen
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

	return &Ranking{client: options.Client, prefix: options.Prefix, boards: options.Boards, timeout: options.Timeout,
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
		if !board.Active || board.Season == 0 {
			continue
		}
		if _, _, err := r.Page(ctx, board, 0, 1); err != nil {
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

// trust decides whether what a call read of a shard may be shown: its data are
// complete, and Redis was not put back to an earlier state since this process had
// looked when the call was sent. Answers may overtake each other.
func (r *Ranking) trust(c *call, identity, watermark, generation any) error {
	s := c.shard
	var now mark
	now.identity, _ = identity.(string)
	now.generation, _ = generation.(string)
	now.watermark, _ = watermark.(string)
	if now.watermark == "" || !strings.HasSuffix(now.identity, "/"+strconv.Itoa(s.of)) {
		return unavailable("is being rebuilt", fmt.Errorf("shard %d of board %s has no watermark", s.index, s.name))
	}
	if now.before(c.seen) {
		return unavailable("is catching up", fmt.Errorf("shard %d of board %s went back from %s to %s", s.index, s.name, c.seen.watermark, now.watermark))
	}

	// Of two answers that race here the later may lose: the next one sets it right.
	last, known := r.seen.LoadOrStore(s.shardID, now)
	if known && last != now && !now.before(last.(mark)) {
		r.seen.CompareAndSwap(s.shardID, last, now)
	}

	return nil
}

// before says whether m is earlier in the same history than other: a rebuild under
// another identity or generation starts its own.
func (m mark) before(other mark) bool {
	return m.identity == other.identity && m.generation == other.generation && m.watermark < other.watermark
}

// pipeline runs the calls in one round trip per node.
func (r *Ranking) pipeline(ctx context.Context, calls []*call) error {
	if len(calls) == 0 {
		return nil
	}

	send := func(calls []*call, whole bool) error {
		_, err := r.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
			for _, c := range calls {
				if seen, ok := r.seen.Load(c.shard.shardID); ok {
					c.seen = seen.(mark)
				}
				c.queue(ctx, pipe, whole)
			}
			return nil
		})
		return err
	}
	err := send(calls, false)
	if err == nil {
		return nil
	}

	// A node that does not know a script is sent its source. Scripts can be
	// repeated, so whatever else failed is left to the callers.
	var missing []*call
	for _, c := range calls {
		if goredis.HasErrorPrefix(c.result.Err(), "NOSCRIPT") {
			missing = append(missing, c)
		}
	}

	if len(missing) == 0 {
		return err
	}
	if err := send(missing, true); err != nil {
		return err
	}

	for _, c := range calls {
		if err := c.result.Err(); err != nil {
			return err
		}
	}

	return nil
}

// call is one script on one shard.
type call struct {
	script   *goredis.Script
	source   string
	readOnly bool
	shard    shard
	keys     []string
	args     []any
	result   *goredis.Cmd
	// seen is the mark of the shard when the call was sent.
	seen mark
}

func (c *call) queue(ctx context.Context, pipe goredis.Pipeliner, whole bool) {
	switch {
	case whole && c.readOnly:
		c.result = pipe.EvalRO(ctx, c.source, c.keys, c.args...)
	case whole:
		c.result = pipe.Eval(ctx, c.source, c.keys, c.args...)
	case c.readOnly:
		c.result = pipe.EvalShaRO(ctx, c.script.Hash(), c.keys, c.args...)
	default:
		c.result = pipe.EvalSha(ctx, c.script.Hash(), c.keys, c.args...)
	}
}

// values is the script's answer, at least n values long.
func (c *call) values(n int) ([]any, error) {
	values, err := c.result.Slice()
	if err != nil {
		return nil, err
	}
	if len(values) < n {
		return nil, fmt.Errorf("a script answered %d values instead of %d", len(values), n)
	}

	return values, nil
}

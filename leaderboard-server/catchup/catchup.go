package catchup

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// awayTicks is after how many ticks in a row that reached nothing of Redis a
	// leader gives the lead up: another replica may reach it.
	awayTicks = 3
	// leastPauses is how many ticks there may be in an interval, when others wake the
	// leader all the time.
	leastPauses = 10
	// idleFactor is how many intervals there are between two ticks, and between two
	// attempts to lead, when nothing has happened for long.
	idleFactor = 16
	// probeFactor is how many intervals there are between two looks for the lead's
	// connection.
	probeFactor = 8
	// lagInterval is how often one who does not lead measures the lag.
	lagInterval = 15 * time.Second
)

// Ledger is the log and its standings.
type Ledger interface {
	Refolds
	Moderations
	Erasures
	// TryLead returns the lead, or nil if another process has it, and the number of the
	// last event. Whether the lead was lost is looked for every probe.
	TryLead(ctx context.Context, probe time.Duration) (lead *leaderboard.Leadership, lastEvent int64, err error)
	// WakeLeader asks the leader, wherever it is, for a tick now.
	WakeLeader(ctx context.Context) error
	Snapshot(ctx context.Context) (leaderboard.Snapshot, error)
	// Catalog returns the boards as they were read last.
	Catalog() *leaderboard.Catalog
	LoadCatalog(ctx context.Context) (*leaderboard.Catalog, error)
	// AnnounceSeasons makes the seasons that are due to be announced.
	AnnounceSeasons(ctx context.Context) (*leaderboard.Catalog, error)
	// CloseSeason makes the results of the board's season and says how many entries they
	// have. Every transaction that could count in it has ended.
	CloseSeason(ctx context.Context, board leaderboard.LiveBoard) (entries int64, err error)
	// SweepSeason records that nothing of a closed season is left in rankings, and
	// DropResults deletes those that are no longer kept.
	SweepSeason(ctx context.Context, board leaderboard.LiveBoard) error
	DropResults(ctx context.Context) error
	// ReadLog streams the events of transactions from <= xid < until.
	ReadLog(ctx context.Context, from, until uint64, size int, fn func([]leaderboard.Event) error) error
	// ReadBoard streams the standings of a board's season and the events behind their checkpoint.
	ReadBoard(ctx context.Context, board leaderboard.LiveBoard, size int,
		begin func(checkpoint, xmin uint64), standings func([]leaderboard.Standing) error, events func([]leaderboard.Event) error) error
	// Checkpoint says how far the standings are and where the log begins.
	Checkpoint(ctx context.Context) (leaderboard.Checkpoint, error)
	// SaveStandings joins standings and moves the checkpoint, unless a player's standings were
	// made again since the moderation recounted.
	SaveStandings(ctx context.Context, from, until uint64, recounted int64, standings []leaderboard.Standing) error
	// OldVersionLeads says whether a server of the version before folds this ledger, too.
	OldVersionLeads(ctx context.Context) (bool, error)
	// OldestEvent is how old the oldest event of transactions from from on is.
	OldestEvent(ctx context.Context, from uint64) (age time.Duration, ok bool, err error)
}

// Ranking is what catch-up brings up to date.
type Ranking interface {
	// States returns what each shard says of itself, in the order of shards.
	States(ctx context.Context, shards []leaderboard.Shard) []leaderboard.ShardState
	// Begin starts a session on a shard, unless it is elsewhere than start says:
	// [leaderboard.ErrShardMoved].
	Begin(ctx context.Context, shard leaderboard.Shard, start leaderboard.SessionStart) (leaderboard.RankingSession, error)
	// Forget deletes all that there is of a shard, if anything, and ForgetOldFormat what
	// servers of the version before kept of it.
	Forget(ctx context.Context, shard leaderboard.Shard) error
	// ForgetSegments deletes what there is of the segments of values, by number, of a shard
	// of the ledger: nothing once they were brought back and made again.
	ForgetSegments(ctx context.Context, shard leaderboard.Shard, ledger string, values []int32) error
	ForgetOldFormat(ctx context.Context, shard leaderboard.Shard) error
	// Replace gives each of the shards what it is to have of players instead of what it has, and
	// Followed has them remember that they have followed moderations up to the last one.
	// [leaderboard.ErrShardMoved]: one is not where it is taken to be.
	Replace(ctx context.Context, follows []leaderboard.Following, players func(leaderboard.Shard) []leaderboard.Replacement) error
	Followed(ctx context.Context, follows []leaderboard.Following, last int64) error
	// Apply joins changes, as batches do.
	Apply(ctx context.Context, projection leaderboard.Projection) ([]leaderboard.Applied, error)
}

// CatchUp folds the log into rankings and standings. Make one with [New].
type CatchUp struct {
	ranking  Ranking
	ledger   Ledger
	interval time.Duration
	log      *slog.Logger
	wake     chan struct{}
	lag      lag
	// outside is what is known of the log while another process leads.
	outside quiet

	mu     sync.Mutex
	status Status
}

// Status is what catch-up knows of itself, for metrics.
type Status struct {
	// Leading says that this process does the work.
	Leading bool
	// Behind is the age of the oldest committed event that is not known to be in every
	// ranking, whoever leads: below two intervals when all is well and events come in;
	// more while Redis is away or a transaction runs long anywhere in the PostgreSQL
	// cluster.
	Behind time.Duration
	// Rebuilding is how many shards are being rebuilt or are waiting for it; of a
	// leader.
	Rebuilding int
	// Refolding is how many boards are to get another order, scoring or columns, those included of
	// which that was refused. RefoldEvents is how many events there are to fold for the one
	// that is made now, and RefoldedEvents how many of them were; of a leader.
	Refolding                    int
	RefoldEvents, RefoldedEvents int64
	// Applied counts standings that were applied, Saved those that were written to the
	// checkpoint, Rebuilds the shards that were rebuilt from nothing, and Errors failed
	// ticks, since the process started. Closed counts seasons that were closed, and
	// Refolds boards that were refolded.
	Applied, Saved, Rebuilds, Closed, Refolds, Errors uint64
	// Moderated counts the players whose entries were replaced for moderators.
	Moderated uint64
}

// New makes a catch-up that works every interval while events come in, and less often
// otherwise. Run starts it.
func New(ranking Ranking, ledger Ledger, interval time.Duration, log *slog.Logger) *CatchUp {
	return &CatchUp{ranking: ranking, ledger: ledger, interval: interval, log: log, wake: make(chan struct{}, 1),
		lag: lag{applied: make(map[leaderboard.ShardID]uint64)}}
}

// Status returns the present status.
func (c *CatchUp) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()

	s := c.status
	s.Behind = c.lag.behind(time.Now())
	return s
}

func (c *CatchUp) update(change func(*Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.status)
}

// Wake asks the leader, here or elsewhere, for a tick now: a batch could not be
// applied, or a shard is not whole.
func (c *CatchUp) Wake() {
	select {
	case c.wake <- struct{}{}:
	default: // one is asked for already
	}
}

// idler lengthens the pauses between looks at what does not change.
type idler struct {
	interval, pause time.Duration
}

// next is the pause after a look that found something, or not.
func (i *idler) next(busy bool) time.Duration {
	if busy {
		i.pause = i.interval
	} else {
		i.pause = min(max(2*i.pause, i.interval), idleFactor*i.interval)
	}
	return i.pause
}

// Run works until ctx ends.
func (c *CatchUp) Run(ctx context.Context) {
	failing, last := false, int64(-1)
	idler := idler{interval: c.interval}
	for {
		lead, lastEvent, err := c.ledger.TryLead(ctx, probeFactor*c.interval)
		if lead != nil {
			c.lead(lead)
			lead.Release()
			c.update(func(s *Status) { s.Leading, s.Rebuilding, s.Refolding = false, 0, 0 })
		} else if err != nil && ctx.Err() == nil && !failing {
			c.log.WarnContext(ctx, "catch-up cannot reach the ledger", "error", err)
		}

		failing = err != nil
		pause := idler.next(failing || lead != nil || lastEvent != last)
		last = lastEvent
		// Others ask for the lead every pause: who left it is not the next.
		if !c.follow(ctx, pause+2*c.interval) {
			return
		}
	}
}

// follow waits until it is time to ask for the lead, passes what wakes the leader on,
// and measures the lag now and then. False: ctx has ended.
func (c *CatchUp) follow(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()

	if c.lag.due(time.Now(), lagInterval) {
		c.measureFromOutside(ctx)
	}

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-c.wake:
	}

	if err := c.ledger.WakeLeader(ctx); err != nil {
		c.log.DebugContext(ctx, "the leader could not be woken", "error", err) // it looks by itself, a little later
	}
	select { // no more than one notification a pause
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// lead ticks until the lead is lost or Redis cannot be reached, and then waits for its
// repairs.
func (c *CatchUp) lead(lead *leaderboard.Leadership) {
	ctx, end := context.WithCancel(lead.Context)
	t := newTerm(c)
	defer t.repairs.Wait()
	defer end() // what takes long is for the next leader

	c.update(func(s *Status) { s.Leading = true })
	failing := false
	idler := idler{interval: c.interval}
	for {
		busy, err := t.tick(ctx)
		if ctx.Err() != nil {
			return
		}

		if err != nil {
			c.update(func(s *Status) { s.Errors++ })
			if !failing { // once, not twice a second
				c.log.WarnContext(ctx, "catch-up is held up", "error", err)
			}
		} else if failing {
			c.log.InfoContext(ctx, "catch-up goes on")
		}

		failing = err != nil
		if t.away >= awayTicks {
			c.log.WarnContext(ctx, "catch-up leaves the lead to others, as Redis cannot be reached")
			return
		}

		pause := min(idler.next(busy || failing), max(t.seasons.next, c.interval))
		// However often it is woken, others get their turns between two ticks.
		leastPause := c.interval / leastPauses
		if wait(ctx, leastPause, nil, nil); wait(ctx, pause-leastPause, c.wake, lead.Woken) {
			idler.next(true)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// wait returns after d or when ctx ends, or earlier if it is woken.
func wait(ctx context.Context, d time.Duration, here, elsewhere <-chan struct{}) (woken bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return false
	case <-here:
	case <-elsewhere:
	}
	return true
}

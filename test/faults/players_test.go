package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

// serial makes every submitted score another one: it is the score's last six
// digits, so that each event of the ledger tells which submission it was.
const serial = 1_000_000

// submission is what a player handed in.
type submission struct {
	player int64
	board  string
	score  int64
	// keyed: with an Idempotency-Key, and repeated until it was acknowledged.
	keyed        bool
	acknowledged bool
}

// crowd is everybody who plays.
type crowd struct {
	world  *world
	serial atomic.Int64

	mu          sync.Mutex
	submissions []*submission
	violations  []string
	reads       atomic.Int64
	refused     atomic.Int64
}

func (c *crowd) violated(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations = append(c.violations, fmt.Sprintf(time.Now().Format("15:04:05.000 ")+format, args...))
}

// best is a player's best acknowledged score on race at a time.
type best struct {
	at    time.Time
	score int64
}

// play submits and reads as one player after the other until ctx ends.
func (c *crowd) play(ctx context.Context, players []site.Player, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	names := []string{"race", "race", "golf", "mood", "coins", ""}
	known := make(map[int64][]best)
	for ctx.Err() == nil {
		player := players[random.IntN(len(players))]
		s := &submission{player: player.Number, board: names[random.IntN(len(names))], keyed: random.IntN(2) == 0,
			score: random.Int64N(1000)*serial + c.serial.Add(1)}
		c.mu.Lock()
		c.submissions = append(c.submissions, s)
		c.mu.Unlock()
		c.submit(ctx, player, s, random)
		if s.acknowledged && s.board == "race" {
			known[player.Number] = append(known[player.Number], best{time.Now(), s.score})
		}
		if random.IntN(2) == 0 {
			c.readOwn(ctx, player, known[player.Number], random)
		}
	}
}

// submit hands a submission in; with a key until it is acknowledged.
func (c *crowd) submit(ctx context.Context, player site.Player, s *submission, random *rand.Rand) {
	key := ""
	if s.keyed {
		key = fmt.Sprintf("%d-%d", s.player, s.score)
	}
	for ctx.Err() == nil {
		// Not the campaign's context: what is on its way when it ends is to be answered.
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		receipt, err := c.world.one(random).client.Submit(attempt, player.Token, s.board, s.score, key)
		cancel()
		if err == nil {
			if receipt.ScoreSaved != s.score || receipt.UserID != player.ID {
				c.violated("a receipt for %d of %s tells %d of %s", s.score, player.ID, receipt.ScoreSaved, receipt.UserID)
			}
			s.acknowledged = true
			return
		}
		c.tolerate("submit", err)
		if !s.keyed {
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// readOwn checks that the player's rank on race reflects what was acknowledged
// longer than staleness ago.
func (c *crowd) readOwn(ctx context.Context, player site.Player, known []best, random *rand.Rand) {
	asked := time.Now()
	entry, err := c.world.one(random).client.Rank(ctx, player.Token, "race")
	var least int64
	for _, b := range known {
		if asked.Sub(b.at) > staleness {
			least = max(least, b.score)
		}
	}
	switch problem := (*gameclient.Problem)(nil); {
	case err == nil:
		if entry.Rank < 1 || entry.Score < least {
			c.violated("player %d is told rank %d with %d; %d was acknowledged %s before", player.Number, entry.Rank, entry.Score, least, staleness)
		}
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound && problem.Type != "":
		if least > 0 {
			c.violated("player %d is told of no entry; %d was acknowledged %s before", player.Number, least, staleness)
		}
	default:
		c.tolerate("my_rank", err)
	}
	c.reads.Add(1)
}

// read reads pages of all boards until ctx ends.
func (c *crowd) read(ctx context.Context, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	names := []string{"race", "golf", "mood", "coins", ""}
	for ctx.Err() == nil {
		board := names[random.IntN(len(names))]
		page, err := c.world.one(random).client.Page(ctx, board, 1+random.IntN(3), 20)
		c.reads.Add(1)
		if err != nil {
			c.tolerate("page", err)
			continue
		}
		seen := make(map[string]bool, len(page.Leaderboard))
		for i, e := range page.Leaderboard {
			if seen[e.UserID] {
				c.violated("a page of %q has %s twice", board, e.UserID)
			}
			seen[e.UserID] = true
			if i == 0 {
				continue
			}
			before := page.Leaderboard[i-1]
			if e.Rank != before.Rank+1 || board == "golf" && e.Score < before.Score || board != "golf" && e.Score > before.Score {
				c.violated("a page of %q goes from rank %d with %d to rank %d with %d", board, before.Rank, before.Score, e.Rank, e.Score)
			}
		}
	}
}

// tolerate accepts what a client has to reckon with while something is broken: no
// answer, or a 503.
func (c *crowd) tolerate(call string, err error) {
	var problem *gameclient.Problem
	if errors.As(err, &problem) && problem.Status != http.StatusServiceUnavailable {
		c.violated("%s: %v", call, err)
		return
	}
	c.refused.Add(1)
}

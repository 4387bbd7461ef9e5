package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
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
	player  int64
	board   string
	score   int64
	columns map[string]int64
	// keyed: with an Idempotency-Key, and repeated until it was acknowledged.
	keyed        bool
	acknowledged bool
	// refused: the server said that its queue was full, and so did not store it.
	refused bool
}

// metadata is what comes with a submission to a board that takes some; nil: nothing.
func (s *submission) metadata() json.RawMessage {
	if s.board != "golf" && s.board != "rally" {
		return nil
	}
	return fmt.Appendf(nil, `{"replay":"of %d"}`, s.identity())
}

// identity is the number that no other submission has: the score or, where scores are
// shared, the last column.
func (s *submission) identity() int64 {
	if s.columns != nil {
		return s.columns["serial"]
	}
	return s.score
}

// Of the reads of the readers, one in so many is a report, a history, or a page of a segment.
const reportEvery, historyEvery, segmentEvery = 50, 20, 10

// moveEvery is how many submissions there are to one change of a player's country.
const moveEvery = 10

// crowd is everybody who plays.
type crowd struct {
	world   *world
	serial  atomic.Int64
	memory  memory
	weather weather
	// turn is held for reading by whoever plays, and for writing to have them wait.
	turn sync.RWMutex

	mu          sync.Mutex
	submissions []*submission
	violations  []string
	// stored counts the submissions of play that were acknowledged.
	stored  atomic.Int64
	reads   atomic.Int64
	refused atomic.Int64
}

func newCrowd(w *world) *crowd {
	return &crowd{world: w, memory: memory{players: make(map[string]map[string]*known)}, weather: weather{whole: time.Now()}}
}

// summary is the campaign in a line.
func (c *crowd) summary(tally *tally) string {
	c.turn.Lock() // so that nobody writes submissions
	defer c.turn.Unlock()

	acknowledged := 0
	for _, s := range c.submissions {
		if s.acknowledged {
			acknowledged++
		}
	}

	return fmt.Sprintf("%d faults of %d kinds in %s, whole again after %.1fs at the most: %d submissions, %d acknowledged, %d lost, %d doubled; "+
		"%d reads, %d violations; %d calls refused or unanswered; %d full checks",
		tally.faults, len(tally.injected), time.Since(tally.started).Round(time.Second), tally.longest.Seconds(), len(c.submissions), acknowledged, tally.lost, tally.doubled,
		c.reads.Load(), len(c.violations), c.refused.Load(), tally.checks)
}

func (c *crowd) violated(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations = append(c.violations, fmt.Sprintf(time.Now().Format("15:04:05.000 ")+format, args...))
}

// impatience is how many of the attempts to submit are given up soon, one in so many.
const impatience = 4

// play submits and reads as one player after the other until ctx ends.
func (c *crowd) play(ctx context.Context, players []site.Player, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	names := append([]string{"race"}, boardNames...)
	for ctx.Err() == nil {
		player := players[random.IntN(len(players))]
		c.turn.RLock()
		s := c.handIn(player, names[random.IntN(len(names))], c.newScore(random))
		s.keyed = random.IntN(2) == 0
		if s.board == "rally" {
			s.columns = map[string]int64{"medals": random.Int64N(3), "serial": s.score}
			s.score = random.Int64N(5)
		}
		c.submit(ctx, player, s, random)

		if random.IntN(moveEvery) == 0 {
			c.move(ctx, player, random)
		}
		if random.IntN(2) == 0 {
			c.readOwn(ctx, player, []string{"race", "golf", "global"}[random.IntN(3)], random)
		}

		c.turn.RUnlock()
	}
}

// newScore is a score that no other submission has.
func (c *crowd) newScore(random *rand.Rand) int64 {
	return random.Int64N(1000)*serial + c.serial.Add(1)
}

// handIn remembers what is about to be submitted.
func (c *crowd) handIn(player site.Player, board string, score int64) *submission {
	s := c.handInUnseen(player, board, score)
	c.memory.submits(player.ID, board, score)
	return s
}

// handInUnseen is handIn of what no reader looks for.
func (c *crowd) handInUnseen(player site.Player, board string, score int64) *submission {
	s := &submission{player: player.Number, board: board, score: score}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.submissions = append(c.submissions, s)
	return s
}

// submit hands a submission in; with a key until it is acknowledged.
func (c *crowd) submit(ctx context.Context, player site.Player, s *submission, random *rand.Rand) {
	key := ""
	if s.keyed {
		key = fmt.Sprintf("%d-%d", s.player, s.identity())
	}

	for ctx.Err() == nil {
		patience := 20 * time.Second // longer than the server takes for anything
		if random.IntN(impatience) == 0 {
			patience = time.Duration(1+random.IntN(300)) * time.Millisecond
		}

		// Not the campaign's context: what is on its way when it ends is to be answered.
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		sent := time.Now()
		receipt, err := c.world.one(random).client.SubmitWith(attempt, player.Token, gameclient.Submission{Board: s.board, Score: s.score, Columns: s.columns, Metadata: s.metadata()}, key)
		cancel()
		if err == nil {
			if receipt.ScoreSaved != s.score || receipt.UserID != player.ID {
				c.violated("a receipt for %d of %s tells %d of %s", s.score, player.ID, receipt.ScoreSaved, receipt.UserID)
			}
			s.acknowledged = true
			c.stored.Add(1)
			c.memory.acknowledged(player.ID, s.board, record{score: s.score, sent: sent, acknowledged: time.Now(), live: receipt.Rank != nil})
			return
		}

		var problem *gameclient.Problem
		s.refused = errors.As(err, &problem) && strings.HasSuffix(problem.Type, "/busy")
		c.tolerate("submit", err)
		if !s.keyed {
			return
		}

		pause(ctx, 20*time.Millisecond)
	}
}

// readOwn checks that the player's rank on the board reflects what it has to.
func (c *crowd) readOwn(ctx context.Context, player site.Player, board string, random *rand.Rand) {
	replica, before, asked := c.world.one(random), c.weather.now(), time.Now()
	entry, err := replica.client.Rank(ctx, player.Token, board)
	c.reads.Add(1)

	switch problem := (*gameclient.Problem)(nil); {
	case err == nil:
		if entry.Rank < 1 {
			c.violated("player %s is told rank %d on %s", player.ID, entry.Rank, board)
		}
		c.check(replica, board, entry, asked, 0, before)
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound && problem.Type != "":
		if least, has := c.memory.least(player.ID, board, asked, 0, before, c.weather.now()); has {
			c.violated("%s tells player %s of no entry on %s; asked %s, acknowledged: %s", replica.name, player.ID, board, clock(asked), least)
		}
	default:
		c.tolerate("my_rank", err)
	}
}

// check compares an entry that was shown with what the players know.
func (c *crowd) check(replica *replica, board string, e gameclient.Entry, asked time.Time, age time.Duration, before outlook) {
	if e.UserID == "" {
		return // PostgreSQL is away, and the server has not met the player lately
	}
	if !c.memory.plausible(board, e) {
		c.violated("%s shows player %s with %d on %s (from %s), which was never submitted", replica.name, e.UserID, e.Score, board, e.GameID)
	}
	least, has := c.memory.least(e.UserID, board, asked, age, before, c.weather.now())
	if worse, _ := better(board, least.score, e.Score); has && worse {
		c.violated("%s shows player %s with %d on %s; asked %s, acknowledged: %s", replica.name, e.UserID, e.Score, board, clock(asked), least)
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// String is for violations.
func (r record) String() string {
	return fmt.Sprintf("%d, sent %s, receipt %s, live %t", r.score, clock(r.sent), clock(r.acknowledged), r.live)
}

// read reads pages of all boards, and reports, until ctx ends.
func (c *crowd) read(ctx context.Context, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	for ctx.Err() == nil {
		c.turn.RLock()
		switch {
		case random.IntN(reportEvery) == 0:
			c.readReport(ctx, random)
		case random.IntN(historyEvery) == 0:
			c.readHistory(ctx, random)
		case random.IntN(segmentEvery) == 0:
			c.readSegment(ctx, random)
		default:
			c.readPage(ctx, boardNames[random.IntN(len(boardNames))], 1+random.IntN(3), random)
		}
		c.turn.RUnlock()
	}
}

func (c *crowd) readPage(ctx context.Context, board string, number int, random *rand.Rand) {
	const size = 20
	replica, before, asked := c.world.one(random), c.weather.now(), time.Now()
	page, err := replica.client.Page(ctx, board, number, size)
	c.reads.Add(1)
	if err != nil {
		c.tolerate("page", err)
		return
	}

	seen := make(map[string]bool, len(page.Leaderboard))
	for i, e := range page.Leaderboard {
		if e.UserID != "" && seen[e.UserID] {
			c.violated("a page of %q has %s twice", board, e.UserID)
		}

		seen[e.UserID] = true
		if want := int64((number-1)*size + i + 1); e.Rank != want {
			c.violated("page %d of %q has rank %d instead of %d", number, board, e.Rank, want)
		}

		if i > 0 && board != "shift" {
			if before := page.Leaderboard[i-1]; board == "golf" && e.Score < before.Score || board != "golf" && e.Score > before.Score {
				c.violated("a page of %q goes from rank %d with %d to rank %d with %d", board, before.Rank, before.Score, e.Rank, e.Score)
			}
		}

		c.check(replica, board, e, asked, pageAge, before)
	}
}

// readReport checks that today's report of race, which comes from PostgreSQL, has
// every acknowledged submission.
func (c *crowd) readReport(ctx context.Context, random *rand.Rand) {
	player := c.world.Players[random.IntN(len(c.world.Players))]
	asked := time.Now()
	c.reads.Add(1)
	rows, err := c.world.one(random).client.TopPlayers(ctx, player.Token, "race", asked.UTC().AddDate(0, 0, -1), time.Now().UTC(), len(c.world.Players))
	if err != nil {
		c.tolerate("top_players", err)
		return
	}

	reported := make(map[string]int64, len(rows))
	for _, row := range rows {
		reported[row.UserID] = row.Score
	}

	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()

	for id, boards := range c.memory.players {
		for _, r := range boards["race"].all() {
			if r.acknowledged.Before(asked) && r.score > reported[id] {
				c.mu.Lock()
				c.violations = append(c.violations, fmt.Sprintf("the report of %s has player %s with %d; acknowledged: %s", clock(asked), id, reported[id], r))
				c.mu.Unlock()
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

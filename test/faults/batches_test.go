package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

const (
	// batchMost is how many scores a batch has at the most, and batchPause is between two.
	// Scores are numbered, and there are not enough numbers for more.
	batchMost  = 40
	batchPause = 200 * time.Millisecond
)

// submitBatches submits for many players as a server of the game does until ctx ends: what a
// batch, or a stream, was not told of is sent again, with the same keys.
func (c *crowd) submitBatches(ctx context.Context, players []site.Player, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 3))
	for ctx.Err() == nil {
		c.turn.RLock()
		pending := make([]batched, 1+random.IntN(batchMost))
		for i := range pending {
			player := players[random.IntN(len(players))]
			board := []string{"race", "golf", "mood", "coins", "global"}[random.IntN(5)]
			pending[i] = batched{player, c.handIn(player, board, c.newScore(random))}
			pending[i].keyed = true
		}
		for len(pending) > 0 && ctx.Err() == nil {
			if pending = c.submitBatch(ctx, pending, random); len(pending) > 0 {
				pause(ctx, 20*time.Millisecond)
			}
		}
		c.turn.RUnlock()
		pause(ctx, batchPause)
	}
}

// batched is a score of a batch.
type batched struct {
	of site.Player
	*submission
}

// submitBatch sends a batch and returns what of it is to be sent again.
func (c *crowd) submitBatch(ctx context.Context, batch []batched, random *rand.Rand) (again []batched) {
	items := make([]gameclient.Item, len(batch))
	for i, b := range batch {
		items[i] = gameclient.Item{UserID: b.of.ID, Key: fmt.Sprintf("batch-%d", b.score),
			Submission: gameclient.Submission{Board: b.board, Score: b.score, Metadata: b.metadata()}}
	}
	token, err := c.world.ServiceToken()
	if err != nil {
		c.violated("issue a token: %v", err)
		return nil
	}

	patience := 20 * time.Second
	if random.IntN(impatience) == 0 {
		patience = time.Duration(1+random.IntN(300)) * time.Millisecond
	}
	attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	sent := time.Now()
	client := c.world.one(random).client
	submit := client.SubmitBatch
	if random.IntN(2) == 0 {
		submit = client.SubmitLines
	}
	results, err := submit(attempt, token, items)
	if err != nil {
		c.tolerate("submit a batch", err)
	}
	if err == nil && len(results) != len(batch) || len(results) > len(batch) {
		c.violated("a batch of %d has %d results", len(batch), len(results))
		return nil
	}

	again = append(again, batch[len(results):]...)
	for i, r := range results {
		switch b := batch[i]; {
		case r.Status == "refused" || r.Status == "unknown":
			c.tolerate("an item of a batch", r.Problem)
			again = append(again, b)
		case r.Receipt == nil || r.Receipt.ScoreSaved != b.score || r.Receipt.UserID != b.of.ID:
			c.violated("an item with %d of %s is told %+v", b.score, b.of.ID, r.Receipt)
		default:
			b.acknowledged = true
			c.stored.Add(1)
			c.memory.acknowledged(b.of.ID, b.board, record{score: b.score, sent: sent, acknowledged: time.Now(), live: r.Receipt.Rank != nil})
		}
	}
	return again
}

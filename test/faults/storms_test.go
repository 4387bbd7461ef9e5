package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

const (
	// stormPlayers are the last of the world's players: nobody else plays as them.
	stormPlayers = 2
	// stormCallers is how many calls of a storm are on their way at once: more than a
	// server takes of one player.
	stormCallers = 48
	// leastProgress is how many submissions of others are acknowledged before a storm
	// ends: whoever it is, others are not kept out.
	leastProgress = 20
)

// storms are what one client does to everybody else.
var storms = []fault{
	{name: "a player repeats one key", target: atClients, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		player, score := w.stormPlayer(random), w.crowd.newScore(random)
		s := w.crowd.handIn(player, "race", score)
		s.keyed = true
		return w.storm(ctx, random, []int{http.StatusTooManyRequests}, func(ctx context.Context, client *gameclient.Client, _ *rand.Rand) error {
			receipt, err := client.Submit(ctx, player.Token, s.board, s.score, fmt.Sprintf("storm-%d", s.score))
			if err == nil && receipt.ScoreSaved != s.score {
				w.crowd.violated("a repetition of %d is told %d", s.score, receipt.ScoreSaved)
			}
			return w.crowd.settleStorm(s, err)
		})
	}},
	// From one bound of a sum to the other, so that no two of them fit in one sum.
	{name: "a player floods a Sum board", target: atClients, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		player := w.stormPlayer(random)
		answered := []int{http.StatusTooManyRequests, http.StatusUnprocessableEntity}
		return w.storm(ctx, random, answered, func(ctx context.Context, client *gameclient.Client, random *rand.Rand) error {
			score := leaderboard.MaxScore - w.crowd.serial.Add(1)
			if random.IntN(2) == 0 {
				score = -score
			}
			s := w.crowd.handIn(player, "coins", score)
			_, err := client.Submit(ctx, player.Token, s.board, s.score, "")
			return w.crowd.settleStorm(s, err)
		})
	}},
	{name: "a player submits more often than a board allows", target: atClients, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		player := w.stormPlayer(random)
		return w.storm(ctx, random, []int{http.StatusTooManyRequests}, func(ctx context.Context, client *gameclient.Client, random *rand.Rand) error {
			s := w.crowd.handInUnseen(player, limited, w.crowd.newScore(random))
			_, err := client.Submit(ctx, player.Token, s.board, s.score, "")
			return w.crowd.settleStorm(s, err)
		})
	}},
	// None of it is accepted.
	{name: "a player floods a board that holds back", target: atClients, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		player := w.stormPlayer(random)
		return w.storm(ctx, random, []int{http.StatusTooManyRequests, http.StatusConflict}, func(ctx context.Context, client *gameclient.Client, random *rand.Rand) error {
			s := w.crowd.handInUnseen(player, reviewed, w.crowd.newScore(random))
			s.refused = true
			_, err := client.SubmitForReview(ctx, player.Token, s.board, s.score, fmt.Sprintf("flood-%d", s.score))
			return err
		})
	}},
	{name: "lists and neighbours are asked for all the time", target: atClients, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		ids := make([]string, min(len(w.Players), leaderboard.MaxListed))
		for i := range ids {
			ids[i] = w.Players[i].ID
		}
		answered := []int{http.StatusTooManyRequests, http.StatusNotFound} // who has no entry has no neighbours
		return w.storm(ctx, random, answered, func(ctx context.Context, client *gameclient.Client, random *rand.Rand) error {
			player, board := w.Players[random.IntN(len(w.Players))], boardNames[random.IntN(len(boardNames))]
			if random.IntN(2) == 0 {
				return w.crowd.readNeighbours(ctx, client, player, board)
			}
			return w.crowd.readList(ctx, client, player, board, ids)
		})
	}},
	{name: "reports are asked for all the time", target: atClients, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.storm(ctx, random, []int{http.StatusTooManyRequests}, func(ctx context.Context, client *gameclient.Client, random *rand.Rand) error {
			player := w.Players[random.IntN(len(w.Players))]
			end := time.Now().UTC()
			_, err := client.TopPlayers(ctx, player.Token, "global", end.Add(-time.Duration(random.Int64N(int64(48*time.Hour)))), end, 1+random.IntN(100))
			return err
		})
	}},
	{name: "players change what they have all the time", target: atClients, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.storm(ctx, random, []int{http.StatusTooManyRequests}, func(ctx context.Context, client *gameclient.Client, random *rand.Rand) error {
			return client.SetAttributes(ctx, w.Players[random.IntN(len(w.Players))].Token, someCountry(random))
		})
	}},
	{name: "histories are asked for all the time", target: atClients, run: func(ctx context.Context, w *world, random *rand.Rand) error {
		return w.storm(ctx, random, []int{http.StatusTooManyRequests}, func(ctx context.Context, client *gameclient.Client, random *rand.Rand) error {
			player, of := w.Players[random.IntN(len(w.Players))], w.Players[random.IntN(len(w.Players))]
			_, err := client.History(ctx, player.Token, boardNames[random.IntN(len(boardNames))], of.ID, "")
			return err
		})
	}},
}

// readNeighbours checks that a player is among its neighbours, who are in rank order
// without a gap.
func (c *crowd) readNeighbours(ctx context.Context, client *gameclient.Client, player site.Player, board string) error {
	entries, err := client.Around(ctx, player.Token, board, 10)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(entries, func(e gameclient.Entry) bool { return e.Rank > 0 && (e.UserID == player.ID || e.UserID == "") }) {
		c.violated("%s is not among its neighbours on %q: %+v", player.Username, board, entries)
	}
	for i, e := range entries {
		if e.Rank != entries[0].Rank+int64(i) {
			c.violated("neighbours on %q have the ranks %d and %d", board, entries[0].Rank, e.Rank)
		}
	}
	return nil
}

// readList checks that listed players are in rank order.
func (c *crowd) readList(ctx context.Context, client *gameclient.Client, player site.Player, board string, ids []string) error {
	entries, err := client.List(ctx, player.Token, board, ids)
	for i, e := range entries {
		if e.Position != int64(i)+1 || i > 0 && e.Rank < entries[i-1].Rank {
			c.violated("a list on %q has %+v at place %d, after %+v", board, e, i+1, entries[max(i-1, 0)])
		}
	}
	return err
}

// stormPlayer is a player whom no writer plays as.
func (w *world) stormPlayer(random *rand.Rand) site.Player {
	return w.Players[len(w.Players)-1-random.IntN(stormPlayers)]
}

// settleStorm remembers what became of a storm's submission.
func (c *crowd) settleStorm(s *submission, err error) error {
	var problem *gameclient.Problem
	c.mu.Lock()
	defer c.mu.Unlock()

	s.acknowledged = s.acknowledged || err == nil
	s.refused = errors.As(err, &problem) && !strings.HasSuffix(problem.Type, "/unavailable")
	return err
}

// storm has many callers call both replicas at once, for a while and until others have
// got through.
func (w *world) storm(ctx context.Context, random *rand.Rand, answered []int, call func(context.Context, *gameclient.Client, *rand.Rand) error) error {
	before := w.crowd.stored.Load()
	calling, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	for i := range stormCallers {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		client := w.replicas[i%len(w.replicas)].client
		group.Go(func() {
			for calling.Err() == nil {
				// What is on its way when the storm ends is answered.
				err := call(context.WithoutCancel(ctx), client, own)
				var problem *gameclient.Problem
				if errors.As(err, &problem) && slices.Contains(answered, problem.Status) {
					w.crowd.refused.Add(1)
				} else if err != nil {
					w.crowd.tolerate("storm", err)
				}
			}
		})
	}

	pause(ctx, hold(random))
	for w.crowd.stored.Load() < before+leastProgress {
		if pause(ctx, 10*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("others got %d submissions through beside it: %w", w.crowd.stored.Load()-before, ctx.Err())
		}
	}
	return nil
}

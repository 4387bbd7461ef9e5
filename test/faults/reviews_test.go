package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

const (
	// reviewed is the board that holds back what players submit, and heldMost how many
	// submissions are held back before they are decided on: fewer than one player may have.
	reviewed = "trial"
	heldMost = 8
	// reviewPause is between two such rounds.
	reviewPause = 200 * time.Millisecond
)

// review submits for players to a board that holds it back, and decides as moderators do, until
// ctx ends: what was accepted is an event, once, and what was rejected is none, whatever was
// answered in between.
func (c *crowd) review(ctx context.Context, players []site.Player, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 4))
	for ctx.Err() == nil {
		c.turn.RLock()
		held := make(map[int64]*submission)
		for range 1 + random.IntN(heldMost) {
			player := players[random.IntN(len(players))]
			s := c.handInUnseen(player, reviewed, c.newScore(random))
			if id := c.holdBack(ctx, player, s, random); id != 0 {
				held[id] = s
			}
		}
		for id, s := range held {
			c.decide(ctx, id, s, random)
		}
		c.turn.RUnlock()
		pause(ctx, reviewPause)
	}
}

// holdBack submits until it is answered that the submission is held back, and returns its number;
// 0: ctx has ended.
func (c *crowd) holdBack(ctx context.Context, player site.Player, s *submission, random *rand.Rand) (id int64) {
	c.repeat(ctx, "submit for review", random, func(ctx context.Context, client *gameclient.Client) error {
		held, err := client.SubmitForReview(ctx, player.Token, s.board, s.score, fmt.Sprintf("held-%d", s.score))
		if err == nil && (held.Status != "pending" || held.Score != s.score || held.Submission == 0) {
			c.violated("a submission of %d that is held back is told %+v", s.score, held)
		}
		id = held.Submission
		return err
	})
	return id
}

// decide has one or two moderators decide on a submission at the same time, who may want different
// things, and remembers what came of it.
func (c *crowd) decide(ctx context.Context, id int64, s *submission, random *rand.Rand) {
	var group sync.WaitGroup
	states := make([]string, 1+random.IntN(2))
	for i := range states {
		decision, own := []string{"accept", "accept", "reject"}[random.IntN(3)], rand.New(rand.NewPCG(random.Uint64(), 0))
		group.Go(func() { states[i] = c.decideAs(ctx, id, decision, own) })
	}
	group.Wait()

	for _, state := range states {
		if state != "" && states[0] != "" && state != states[0] {
			c.violated("of submission %d moderators were told %q", id, states)
		}
		s.acknowledged = s.acknowledged || state == "accept"
		s.refused = s.refused || state == "reject"
	}
}

// decideAs has a moderator decide, and returns the decision that holds; empty: ctx has ended.
func (c *crowd) decideAs(ctx context.Context, id int64, decision string, random *rand.Rand) (holds string) {
	c.repeat(ctx, "decide on a submission", random, func(ctx context.Context, client *gameclient.Client) error {
		token, err := c.world.ServiceToken()
		if err != nil {
			return err
		}
		err = client.Decide(ctx, token, id, decision, "campaign")
		var problem *gameclient.Problem
		switch {
		case err == nil:
			holds = decision
		case errors.As(err, &problem) && problem.Status == http.StatusConflict:
			holds, err = map[string]string{"accept": "reject", "reject": "accept"}[decision], nil
		}
		return err
	})
	return holds
}

// repeat makes a call to one server after the other, some of them impatiently, until it is
// answered or ctx ends.
func (c *crowd) repeat(ctx context.Context, name string, random *rand.Rand, call func(context.Context, *gameclient.Client) error) {
	for ctx.Err() == nil {
		patience := 20 * time.Second
		if random.IntN(impatience) == 0 {
			patience = time.Duration(1+random.IntN(300)) * time.Millisecond
		}
		attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		err := call(attempt, c.world.one(random).client)
		cancel()
		if err == nil {
			return
		}
		c.tolerate(name, err)
		pause(ctx, 20*time.Millisecond)
	}
}

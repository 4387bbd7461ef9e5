package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

const (
	// queriesConnections is how many clients ask at once for what is told as a rate.
	queriesConnections = 64
	// friends is how long a list is.
	friends = 100
	// The least rate of the entries around a player, to that of a first page that is
	// read live, and the most that a list may take.
	aroundTarget  = 0.5
	friendsTarget = 2 * time.Millisecond
)

// measureQueries measures what is asked for around a player and of friends, in a game as
// large as the largest of the growth table.
func measureQueries(ctx context.Context, o options, r *report) error {
	players := o.sizes[len(o.sizes)-1]
	s, err := newGame(ctx, players)
	if err != nil {
		return err
	}
	defer s.Close()

	if err := s.startServer(ctx, o.server); err != nil {
		return err
	}
	if err := s.await(ctx, players); err != nil {
		return err
	}
	if err := s.meet(ctx, s.server); err != nil {
		return err
	}

	const entries = "/v1/boards/global/entries"
	loads := []load{
		{call: call{name: "first page live", method: http.MethodGet, path: firstPageCall.path, token: true}, connections: queriesConnections, duration: o.duration},
		{call: call{name: "first page live, with reached_at", method: http.MethodGet, path: firstPageCall.path + "&include=reached_at", token: true}, connections: queriesConnections, duration: o.duration},
		{call: call{name: "around me, 10 each side", method: http.MethodGet, path: entries + "/around?player=me&before=10&after=10", token: true}, connections: queriesConnections, duration: o.duration},
		{call: call{name: fmt.Sprintf("list of %d friends", friends), method: http.MethodPost, path: entries + "/list", token: true, body: func() []byte { return s.list(friends) }}, connections: 1, duration: o.duration},
	}
	f, err := s.takeTurns(ctx, warmUp, loads...)
	if err != nil {
		return err
	}

	t := r.table("Around a player, and among friends", fmt.Sprintf("%d players. Each load ran for %s, in turn in short rounds. Latencies in ms; CPU time of one request in microseconds.", players, o.duration),
		figuresColumns...)
	for i, l := range loads {
		r.figures(t, l.name, l.connections, "server", f[i])
	}
	r.atLeast(fmt.Sprintf("around me, 10 each side / first page live, %d players", players), f[2].Rate/f[0].Rate, aroundTarget)
	r.inform(fmt.Sprintf("first page live, with reached_at / without, %d players", players), f[1].Rate/f[0].Rate, "")
	r.atMost(fmt.Sprintf("list of %d friends p50, %d players", friends, players), float64(f[3].P50)/float64(time.Millisecond), "ms", float64(friendsTarget/time.Millisecond))
	return nil
}

// list makes the body that names n players who are online.
func (s *game) list(n int) []byte {
	first := rand.IntN(len(s.Players))
	ids := make([]string, min(n, leaderboard.MaxListed))
	for i := range ids {
		ids[i] = s.Players[(first+i*7)%len(s.Players)].ID // apart from each other on the board
	}

	body, err := json.Marshal(map[string][]string{"players": ids})
	if err != nil {
		panic(err) // texts always encode
	}
	return body
}

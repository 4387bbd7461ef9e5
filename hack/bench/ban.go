package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/leaderboard-dev/leaderboard-operator/test/site"
)

const (
	// bans is how many players are banned, one after the other.
	bans = 40
	// banTarget is within how many milliseconds of its call nothing shows a banned player.
	banTarget = 1000
	// banConnections is how many clients submit all the while.
	banConnections = 16
)

// measureBan bans the first of a ranking that two servers serve, while scores come in, and
// measures how long it takes until no read of either shows the player.
func measureBan(ctx context.Context, o options, r *report) error {
	s, err := startedGame(ctx, httpPlayers, boards, o.server)
	if err != nil {
		return err
	}
	defer s.Close()

	second, err := s.Start("second", o.server, func(string) []string { return []string{"serve"} }, nil)
	if err != nil {
		return err
	}
	if err := await(ctx, second); err != nil {
		return err
	}
	token, err := s.ServiceToken()
	if err != nil {
		return err
	}

	loading, stop := context.WithCancel(ctx)
	defer stop()
	client := newClient(banConnections)
	defer client.CloseIdleConnections()
	loaded := make(chan error, 1)
	go func() {
		for loading.Err() == nil {
			if err := s.drive(loading, &tally{program: second, client: client}, load{call: submitCall, connections: banConnections}, time.Second); err != nil && loading.Err() == nil {
				loaded <- err
				return
			}
		}
		loaded <- nil
	}()

	unseen, refused := make([]time.Duration, bans), make([]time.Duration, bans)
	for i := range bans {
		if unseen[i], refused[i], err = s.banFirst(ctx, s.Players[i], s.Players[bans], token, second); err != nil {
			break
		}
	}
	stop()
	if err := errors.Join(err, <-loaded); err != nil {
		return err
	}

	t := r.table("Bans", fmt.Sprintf("%d players, of whom %d are banned one after the other, with %d clients that submit. Milliseconds from the call until neither of two servers shows the player: on the first page, with and without a token, on a board's page, around its score, or among its own entries.", httpPlayers, bans, banConnections),
		"until", "median", "most")
	for _, until := range []struct {
		name  string
		times []time.Duration
	}{{"no read shows the player", unseen}, {"its token is refused", refused}} {
		slices.Sort(until.times)
		r.line(t, until.name, milliseconds(until.times[bans/2]), milliseconds(until.times[bans-1]))
	}
	r.atMost("until no read shows a banned player, at the most", float64(unseen[bans-1].Milliseconds()), "ms", banTarget)
	r.atMost("until no server takes its token, at the most", float64(refused[bans-1].Milliseconds()), "ms", 2*banTarget)
	return nil
}

// banFirst has a player be the first, waits until all see that, and bans it. It returns how long
// it takes until nobody does, and until no server takes its token.
func (s *game) banFirst(ctx context.Context, player, other site.Player, token string, second *site.Program) (unseen, refused time.Duration, err error) {
	status, err := post(ctx, s.server.URL+"/v1/scores/submit", player.Token, []byte(`{"score": 9007199254740991}`))
	if err != nil || status != http.StatusOK {
		return 0, 0, errors.Join(err, fmt.Errorf("submit the best score: status %d", status))
	}
	programs := []*site.Program{s.server, second}
	if err := s.untilShown(ctx, programs, player, other, true); err != nil {
		return 0, 0, err
	}

	began := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.server.URL+"/v1/admin/players/"+player.ID+"/ban", bytes.NewReader([]byte(`{"reason": "bench"}`)))
	if err != nil {
		return 0, 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if status, answer, err := send(request, token); err != nil || status != http.StatusOK {
		return 0, 0, errors.Join(err, fmt.Errorf("ban a player: status %d: %s", status, answer))
	}
	if err := s.untilShown(ctx, programs, player, other, false); err != nil {
		return 0, 0, err
	}
	unseen = time.Since(began)

	for _, p := range programs {
		for status := 0; status != http.StatusUnauthorized; {
			if status, _, err = get(ctx, p.URL+"/v1/leaderboard/my_rank", player.Token); err != nil {
				return 0, 0, err
			}
		}
	}
	return unseen, time.Since(began), nil
}

// untilShown reads in every way until all reads show a player, or none does.
func (s *game) untilShown(ctx context.Context, programs []*site.Program, player, other site.Player, shown bool) error {
	for deadline := time.Now().Add(patience); ; {
		differs := ""
		for _, p := range programs {
			for _, read := range []struct{ path, token string }{
				{"/v1/leaderboard/global?page_size=10", ""}, {"/v1/leaderboard/global?page_size=10", other.Token},
				{"/v1/boards/global/entries?page=1", ""},
				{"/v1/boards/global/entries/around?score=9007199254740991&before=5&after=0", ""},
				{"/v1/players/" + player.ID + "/entries", ""},
			} {
				status, body, err := get(ctx, p.URL+read.path, read.token)
				if err != nil {
					return err
				}
				if status != http.StatusOK || strings.Contains(string(withoutOwner(body)), player.ID) != shown {
					differs = p.URL + read.path
				}
			}
		}
		if differs == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("player %s was to be shown: %v, and %s says otherwise", player.ID, shown, differs)
		}
	}
}

// withoutOwner are the entries of an answer, which names whose they are next to them where it is
// about one player.
func withoutOwner(body []byte) []byte {
	var answer struct {
		Entries     json.RawMessage `json:"entries"`
		Leaderboard json.RawMessage `json:"leaderboard"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return body
	}
	return append(answer.Entries, answer.Leaderboard...)
}

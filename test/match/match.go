// Package match plays a short match through the public API of one game and
// compares what the API then says with what the rules demand. The demo and the
// end-to-end tests share it.
package match

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// Match is a match to be played.
type Match struct {
	Client *gameclient.Client
	// Boards of the game, without "global".
	Boards []Board
	// Attributes of the game: players have one of the values each, in turn.
	Attributes []games.Attribute
	// Names of the players. Each gets a suffix of its own, so that a match can
	// be played again on a game that keeps its scores.
	Names []string
	// Rounds: how many scores each player submits to each board.
	Rounds int
	// Seed of the scores.
	Seed uint64
}

// Player is somebody who took part.
type Player struct {
	Username string
	Password string
	Token    string
	// Attributes are the player's, by name.
	Attributes map[string]string
}

// Result is a match that has been played.
type Result struct {
	Players     []Player
	Submissions int
	// Days on which the match was played (UTC), first and last.
	First, Last time.Time

	client   *gameclient.Client
	expected map[string]*standings
	boards   []Board
}

// Play registers the players, logs them in and submits their scores one after
// the other, so that who was first is known. It fails on the first call that
// is not answered as documented.
func (m Match) Play(ctx context.Context) (*Result, error) {
	result := &Result{client: m.Client, expected: map[string]*standings{}, boards: append([]Board{Global}, m.Boards...),
		First: time.Now().UTC()}
	for _, board := range result.boards {
		result.expected[board.Name] = &standings{board: board, entries: map[string]Standing{}}
	}

	suffix := rand.Text()[:6]
	for _, name := range m.Names {
		player := Player{Username: name + "-" + suffix, Password: rand.Text()}
		if _, err := m.Client.Register(ctx, player.Username, player.Password); err != nil {
			return nil, fmt.Errorf("register %s: %w", player.Username, err)
		}

		token, err := m.Client.Login(ctx, player.Username, player.Password)
		if err != nil {
			return nil, fmt.Errorf("log %s in: %w", player.Username, err)
		}

		player.Token = token
		if err := m.choose(ctx, &player, len(result.Players)); err != nil {
			return nil, err
		}
		result.Players = append(result.Players, player)
	}

	scores := mathrand.New(mathrand.NewPCG(m.Seed, 0))
	for range m.Rounds {
		for _, board := range m.Boards {
			for _, player := range result.Players {
				if err := result.submit(ctx, player, board, score(scores, board)); err != nil {
					return nil, err
				}
			}
		}
	}

	for _, player := range result.Players {
		// Few different values on global itself make ties.
		if err := result.submit(ctx, player, Global, 900+10*scores.Int64N(3)); err != nil {
			return nil, err
		}
	}

	result.Last = time.Now().UTC()
	return result, nil
}

// score is between 100 and 999 for a board of best scores, where players tie
// now and then, and rarely twice the same elsewhere.
func score(source *mathrand.Rand, board Board) int64 {
	if board.Scoring == Best {
		return 100 + source.Int64N(90)*10
	}
	return 1 + source.Int64N(1_000_000)
}

func (r *Result) submit(ctx context.Context, player Player, board Board, score int64) error {
	receipt, err := r.client.Submit(ctx, player.Token, board.Name, score, rand.Text())
	if err != nil {
		return fmt.Errorf("submit for %s to %s: %w", player.Username, board.Name, err)
	}
	if receipt.ScoreSaved != score || receipt.Username != player.Username || receipt.GameID != board.Name {
		return fmt.Errorf("submitting %d for %s to %s was answered with %+v", score, player.Username, board.Name, receipt)
	}

	r.expected[board.Name].add(player.Username, score, board.Name, r.Submissions)
	if board.CountsTowardGlobal {
		r.expected[Global.Name].add(player.Username, score, board.Name, r.Submissions)
	}

	r.Submissions++
	return nil
}

// Board returns the entries of the match's players on the board, as the API
// gives them.
func (r *Result) Board(ctx context.Context, name string) ([]gameclient.Entry, error) {
	const pageSize = 100
	var entries []gameclient.Entry
	for page := 1; ; page++ {
		answer, err := r.client.Page(ctx, name, page, pageSize)
		if err != nil {
			return nil, fmt.Errorf("read page %d of %s: %w", page, name, err)
		}
		for i, entry := range answer.Leaderboard {
			if want := int64((page-1)*pageSize + i + 1); entry.Rank != want {
				return nil, fmt.Errorf("%s: line %d of page %d has rank %d instead of %d", name, i+1, page, entry.Rank, want)
			}
		}
		entries = append(entries, r.mine(answer.Leaderboard)...)
		if len(answer.Leaderboard) < pageSize {
			return entries, nil
		}
	}
}

// Verify reads every board, every player's rank and the reports of the boards, and
// returns what differs from the match.
func (r *Result) Verify(ctx context.Context) error {
	var differences []error
	for _, board := range r.boards {
		entries, err := r.Board(ctx, board.Name)
		if err != nil {
			return err
		}

		differences = append(differences, r.compare(board.Name, entries)...)
		if err := r.verifySegments(ctx, board); err != nil {
			differences = append(differences, err)
		}
		if board.Name != Global.Name {
			if err := r.verifyReport(ctx, board.Name); err != nil {
				differences = append(differences, err)
			}
		}

		for _, player := range r.Players {
			if err := r.verifyRank(ctx, board.Name, player, entries); err != nil {
				differences = append(differences, err)
			}
		}
	}

	return errors.Join(differences...)
}

func (r *Result) compare(board string, entries []gameclient.Entry) []error {
	expected := r.expected[board].ranked()
	if len(entries) != len(expected) {
		return []error{fmt.Errorf("%s has %d of the match's players instead of %d", board, len(entries), len(expected))}
	}

	var differences []error
	for i, entry := range entries {
		want := expected[i]
		if entry.Username != want.Username || entry.Score != want.Score || entry.GameID != want.GameID {
			differences = append(differences, fmt.Errorf("%s: place %d is %s with %d (%s) instead of %s with %d (%s)", board, i+1,
				entry.Username, entry.Score, entry.GameID, want.Username, want.Score, want.GameID))
		}
	}

	return differences
}

func (r *Result) verifyRank(ctx context.Context, board string, player Player, entries []gameclient.Entry) error {
	rank, err := r.client.Rank(ctx, player.Token, board)
	if err != nil {
		return fmt.Errorf("read the rank of %s on %s: %w", player.Username, board, err)
	}

	for _, entry := range entries {
		if entry.Username == player.Username {
			if entry.Rank != rank.Rank || entry.Score != rank.Score {
				return fmt.Errorf("%s: the page has %s at %d with %d, my_rank at %d with %d", board, player.Username,
					entry.Rank, entry.Score, rank.Rank, rank.Score)
			}
			return nil
		}
	}

	return fmt.Errorf("%s: %s is not on the board", board, player.Username)
}

// reportAge is how old a report may be, and then some.
const reportAge = 15 * time.Second

// verifyReport waits for a report that is young enough to have the match.
func (r *Result) verifyReport(ctx context.Context, board string) error {
	ctx, cancel := context.WithTimeout(ctx, reportAge)
	defer cancel()

	for {
		err := r.compareReport(ctx, board)
		if err == nil {
			return nil
		}

		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

// compareReport: the players are new, so what the board's scoring makes of the match's
// days are their standings.
func (r *Result) compareReport(ctx context.Context, board string) error {
	const limit = 100
	rows, err := r.Report(ctx, board, limit)
	if err != nil {
		return err
	}

	reported := map[string]int64{}
	for _, row := range rows {
		reported[row.Username] = row.Score
	}

	for _, want := range r.expected[board].ranked() {
		score, found := reported[want.Username]
		if len(rows) < limit && !found || found && score != want.Score {
			return fmt.Errorf("%s: the report has %s with %d instead of %d", board, want.Username, score, want.Score)
		}
	}

	return nil
}

// LogInAgain gives every player a new token, as after the game's keys changed.
func (r *Result) LogInAgain(ctx context.Context) error {
	for i := range r.Players {
		token, err := r.client.Login(ctx, r.Players[i].Username, r.Players[i].Password)
		if err != nil {
			return fmt.Errorf("log %s in: %w", r.Players[i].Username, err)
		}
		r.Players[i].Token = token
	}
	return nil
}

// Report reads the report of the match's days on a board.
func (r *Result) Report(ctx context.Context, board string, limit int) ([]gameclient.ReportRow, error) {
	rows, err := r.client.TopPlayers(ctx, r.Players[0].Token, board, r.First, r.Last, limit)
	if err != nil {
		return nil, fmt.Errorf("read the report of %s: %w", board, err)
	}
	return rows, nil
}

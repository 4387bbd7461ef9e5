package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

const (
	// demoWindow is the window whose season ends during the demo.
	demoWindow = "weekly"
	// seasonPoll is between two looks at a season, and seasonPatience the most that it may
	// take to open or to be closed.
	seasonPoll, seasonPatience = 100 * time.Millisecond, 2 * time.Minute
)

// season is a season that a match is played in.
type season struct {
	client *gameclient.Client
	board  string
	number int32
}

// openSeason waits until a season of demoWindow is open; nil: no board of the game has it.
func openSeason(ctx context.Context, client *gameclient.Client, game *games.Leaderboard) (*season, error) {
	i := slices.IndexFunc(game.Spec.Boards, func(b games.Board) bool {
		return slices.ContainsFunc(b.Windows, func(w games.Window) bool { return w.Name == demoWindow })
	})
	if i < 0 {
		return nil, nil
	}

	s := &season{client: client, board: game.Spec.Boards[i].Name}
	err := s.await(ctx, func(all []gameclient.Season) bool {
		open := slices.IndexFunc(all, func(s gameclient.Season) bool { return s.State == "open" })
		if open >= 0 {
			s.number = all[open].Season
		}
		return open > 0 // the next one is announced, too
	})
	return s, err
}

func (s *season) await(ctx context.Context, holds func([]gameclient.Season) bool) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, seasonPoll, seasonPatience, true, func(ctx context.Context) (bool, error) {
		var all []gameclient.Season
		all, last = s.client.Seasons(ctx, s.board, demoWindow)
		return last == nil && holds(all), nil
	})
	if err != nil {
		return fmt.Errorf("wait for season %d of window %s of board %s: %w (%w)", s.number, demoWindow, s.board, err, last)
	}
	return nil
}

// end ends the season by the annotation, shows its results and compares them with the
// match that was played in it.
func (s *season) end(ctx context.Context, cluster *cluster, game *games.Leaderboard, result *match.Result) error {
	value := fmt.Sprintf("%s/%s/%d", s.board, demoWindow, s.number)
	fmt.Printf("\nkubectl annotate lb -n %s %s %s=%s --overwrite\n", game.Namespace, game.Name, games.EndSeasonAnnotation, value)
	start := time.Now()
	if err := cluster.annotate(ctx, game, games.EndSeasonAnnotation, value); err != nil {
		return err
	}
	err := s.await(ctx, func(all []gameclient.Season) bool {
		return slices.ContainsFunc(all, func(each gameclient.Season) bool { return each.Season == s.number && each.State == "closed" })
	})
	if err != nil {
		return err
	}

	results, err := s.client.Window(ctx, s.board, demoWindow, s.number, 100)
	if err != nil {
		return fmt.Errorf("read the results: %w", err)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\nGET /v1/boards/%s/entries?window=%s&season=%d&page=1 (after %.1f s)\n  RANK\tPLAYER\tSCORE\n", s.board, demoWindow, s.number, time.Since(start).Seconds())
	for _, entry := range results[:min(len(results), shownEntries)] {
		fmt.Fprintf(out, "  %d\t%s\t%d\n", entry.Rank, entry.Username, entry.Score)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return s.compare(ctx, results, result)
}

// compare fails unless the results are the match's entries of the board.
func (s *season) compare(ctx context.Context, results []gameclient.Entry, result *match.Result) error {
	played, err := result.Board(ctx, s.board)
	if err != nil {
		return err
	}

	for i, entry := range results {
		if i >= len(played) || entry.UserID != played[i].UserID || entry.Score != played[i].Score || entry.Rank != int64(i+1) {
			return fmt.Errorf("place %d of the results is %s with %d, which is not what the match has there", i+1, entry.Username, entry.Score)
		}
	}
	if len(results) != len(played) {
		return fmt.Errorf("the results have %d entries, and the match %d", len(results), len(played))
	}
	fmt.Printf("the results of the season equal the match that was played\n")
	return nil
}

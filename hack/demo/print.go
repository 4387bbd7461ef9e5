package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

const shownEntries = 5

// print shows the global board, one player's rank, a report, and the calls with
// which the reader can go on.
func print(ctx context.Context, client *gameclient.Client, game *games.Leaderboard, result *match.Result) error {
	page, err := client.Page(ctx, "", 1, shownEntries)
	if err != nil {
		return fmt.Errorf("read the global board: %w", err)
	}

	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\nGET /v1/leaderboard/global (%d entries)\n  RANK\tPLAYER\tSCORE\tGAME_ID\n", page.TotalEntries)
	for _, entry := range page.Leaderboard {
		fmt.Fprintf(out, "  %d\t%s\t%d\t%s\n", entry.Rank, entry.Username, entry.Score, entry.GameID)
	}

	player := result.Players[0]
	rank, err := client.Rank(ctx, player.Token, "")
	if err != nil {
		return fmt.Errorf("read the rank of %s: %w", player.Username, err)
	}

	fmt.Fprintf(out, "\nGET /v1/leaderboard/my_rank\n  %s is number %d with %d\n", rank.Username, rank.Rank, rank.Score)
	rows, err := result.Report(ctx, "", shownEntries)
	if err != nil {
		return err
	}

	fmt.Fprintf(out, "\nGET /v1/reports/top_players\n  RANK\tPLAYER\tSCORE\tSUBMITTED\n")
	for _, row := range rows {
		fmt.Fprintf(out, "  %d\t%s\t%d\t%d\n", row.Rank, row.Username, row.Score, row.TotalScoresSubmitted)
	}

	if err := out.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}

	printCalls(game, player)
	return nil
}

func printCalls(game *games.Leaderboard, player match.Player) {
	endpoint := game.Status.Endpoint
	fmt.Printf(`
Go on with:
  curl %[1]s/v1/leaderboard/global?page_size=3
  TOKEN=$(curl -s %[1]s/v1/auth/token -H 'Content-Type: application/json' -d '{"username":"%[2]s","password":"%[3]s"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl %[1]s/v1/scores/submit -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"score":1000}'
  curl %[1]s/v1/leaderboard/my_rank -H "Authorization: Bearer $TOKEN"

`, endpoint, player.Username, player.Password)
}

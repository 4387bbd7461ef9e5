package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"text/tabwriter"

	games "github.com/leaderboard-dev/leaderboard-operator/api/v1alpha1"
	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
	"github.com/leaderboard-dev/leaderboard-operator/test/match"
)

const shownEntries = 5

// print shows the global board, one player's rank, a report, and the calls with
// which the reader can go on.
func print(ctx context.Context, client *gameclient.Client, game *games.Leaderboard, via string, result *match.Result) error {
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

	if err := printAround(ctx, out, client, result); err != nil {
		return err
	}
	if err := printSegments(ctx, out, client, game, result); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}

	return printCalls(os.Stdout, game.Status.Endpoint, via, player)
}

// printAround shows the entries around a player, and those of some friends.
func printAround(ctx context.Context, out io.Writer, client *gameclient.Client, result *match.Result) error {
	player := result.Players[0]
	around, err := client.Around(ctx, player.Token, match.Global.Name, 2)
	if err != nil {
		return fmt.Errorf("read the entries around %s: %w", player.Username, err)
	}

	fmt.Fprintf(out, "\nGET /v1/boards/global/entries/around?player=me&before=2&after=2\n  RANK\tPLAYER\tSCORE\n")
	ids := make([]string, 0, len(around))
	for _, entry := range around {
		fmt.Fprintf(out, "  %d\t%s\t%d\n", entry.Rank, entry.Username, entry.Score)
		ids = append(ids, entry.UserID)
	}

	friends, err := client.List(ctx, player.Token, match.Global.Name, ids)
	if err != nil {
		return fmt.Errorf("read how friends do: %w", err)
	}
	fmt.Fprintf(out, "\nPOST /v1/boards/global/entries/list (%d friends)\n  POSITION\tRANK\tPLAYER\tSCORE\n", len(ids))
	for _, entry := range friends {
		fmt.Fprintf(out, "  %d\t%d\t%s\t%d\n", entry.Position, entry.Rank, entry.Username, entry.Score)
	}
	return nil
}

// printSegments shows the first entries of each segment of the first board that is split.
func printSegments(ctx context.Context, out io.Writer, client *gameclient.Client, game *games.Leaderboard, result *match.Result) error {
	boards := match.Boards(game.Spec.Boards)
	i := slices.IndexFunc(boards, func(b match.Board) bool { return len(b.Segments) > 0 })
	if i < 0 {
		return nil
	}

	for _, segment := range result.Segments(boards[i]) {
		entries, err := client.First(ctx, boards[i].Name, gameclient.View{Segment: segment}, shownEntries)
		if err != nil {
			return fmt.Errorf("read segment %s of %s: %w", segment, boards[i].Name, err)
		}

		fmt.Fprintf(out, "\nGET /v1/boards/%s/entries?segment=%s\n  RANK\tPLAYER\tSCORE\n", boards[i].Name, segment)
		for _, entry := range entries {
			fmt.Fprintf(out, "  %d\t%s\t%d\n", entry.Rank, entry.Username, entry.Score)
		}
	}
	return nil
}

// printCalls shows calls of the endpoint, and one of the address via that works where
// the endpoint's name is not resolved.
func printCalls(out io.Writer, endpoint, via string, player match.Player) error {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("parse the endpoint: %w", err)
	}

	_, err = fmt.Fprintf(out, `
Go on with:
  curl %[1]s/v1/leaderboard/global?page_size=3
  TOKEN=$(curl -s %[1]s/v1/auth/token -H 'Content-Type: application/json' -d '{"username":"%[2]s","password":"%[3]s"}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl %[1]s/v1/scores/submit -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"score":1000}'
  curl %[1]s/v1/leaderboard/my_rank -H "Authorization: Bearer $TOKEN"
Browsers and curl resolve names that end in .localhost. Go, Python and most SDKs do not,
unless the system does (systemd-resolved): call the address with the name as Host header:
  curl -H 'Host: %[4]s' http://%[5]s/v1/leaderboard/global?page_size=3

`, endpoint, player.Username, player.Password, parsed.Hostname(), via)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}

	return nil
}

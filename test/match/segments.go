package match

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leaderboard-dev/leaderboard-operator/test/gameclient"
)

// choose gives the player, one of so many, its attributes: of each that lists its values,
// one of those.
func (m Match) choose(ctx context.Context, player *Player, number int) error {
	player.Attributes = make(map[string]string)
	for _, attribute := range m.Attributes {
		if len(attribute.Values) > 0 {
			player.Attributes[attribute.Name] = attribute.Values[number%len(attribute.Values)]
		}
	}
	if len(player.Attributes) == 0 {
		return nil
	}

	if err := m.Client.SetAttributes(ctx, player.Token, player.Attributes); err != nil {
		return fmt.Errorf("set the attributes of %s: %w", player.Username, err)
	}
	return nil
}

// Segments are those of the board in which the match's players are, as queries name them, in
// the order of the players.
func (r *Result) Segments(board Board) (segments []string) {
	for _, attribute := range board.Segments {
		for _, player := range r.Players {
			value, has := player.Attributes[attribute]
			if segment := attribute + ":" + value; has && !slices.Contains(segments, segment) {
				segments = append(segments, segment)
			}
		}
	}
	return segments
}

// verifySegments compares the first entries of each segment of the board with those that its
// players should have. In a game that keeps the scores of earlier matches, some of this one's
// players may be behind them.
func (r *Result) verifySegments(ctx context.Context, board Board) error {
	const limit = 100
	for _, segment := range r.Segments(board) {
		entries, err := r.client.First(ctx, board.Name, gameclient.View{Segment: segment}, limit)
		if err != nil {
			return fmt.Errorf("read segment %s of %s: %w", segment, board.Name, err)
		}

		got, want := r.mine(entries), r.expectedIn(board, segment)
		if len(entries) == limit {
			want = want[:min(len(want), len(got))]
		}
		if len(got) != len(want) {
			return fmt.Errorf("segment %s of %s has %d of the match's players instead of %d", segment, board.Name, len(got), len(want))
		}
		for i, entry := range got {
			if entry.Username != want[i].Username || entry.Score != want[i].Score {
				return fmt.Errorf("segment %s of %s: place %d is %s with %d instead of %s with %d", segment, board.Name, i+1,
					entry.Username, entry.Score, want[i].Username, want[i].Score)
			}
		}
	}
	return nil
}

// expectedIn are the entries that a segment of the board should have.
func (r *Result) expectedIn(board Board, segment string) (expected []Standing) {
	attribute, value, _ := strings.Cut(segment, ":")
	for _, standing := range r.expected[board.Name].ranked() {
		if r.player(standing.Username).Attributes[attribute] == value {
			expected = append(expected, standing)
		}
	}
	return expected
}

// mine are the entries of the match's players.
func (r *Result) mine(entries []gameclient.Entry) (mine []gameclient.Entry) {
	for _, entry := range entries {
		if r.player(entry.Username) != nil {
			mine = append(mine, entry)
		}
	}
	return mine
}

// player finds one of the match's players; nil: it is none.
func (r *Result) player(username string) *Player {
	i := slices.IndexFunc(r.Players, func(p Player) bool { return p.Username == username })
	if i < 0 {
		return nil
	}
	return &r.Players[i]
}

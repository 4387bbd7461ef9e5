package httpapi

import (
	"testing"

	"github.com/leaderboard-dev/leaderboard-operator/leaderboard-server/leaderboard"
)

// BenchmarkItem reads an item of a batch and writes its result.
func BenchmarkItem(b *testing.B) {
	content := []byte(`{"score":1000000123,"user_id":"0190c7a0-0000-7000-8000-000000000001","game_id":"global","idempotency_key":"match-17-a"}`)
	catalog, err := leaderboard.NewCatalog([]leaderboard.LiveBoard{{Board: leaderboard.Global(), Number: 1, Season: 1, Active: true}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		i := readItem(content)
		if i.Err != nil {
			b.Fatal(i.Err)
		}
		i.Receipt = leaderboard.Receipt{Event: 1, Player: i.Player, Board: i.Board, Score: i.Score, Ranking: leaderboard.RankingLive, Rank: 5, StandingScore: i.Score}
		encode(resultOf(&i, catalog, &info{}))
	}
}
